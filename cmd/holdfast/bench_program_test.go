package main

// The two programs that the benchmarks compare, started and configured in the
// same way: two nodes, one of which is stronger, and defaults where they exist.

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/lab"
)

// program is one of the contenders.
type program struct {
	name   string
	render func(s *scene, priority int) string
	start  func(n *node, config string)
	reload func(n *node, config string)
	// failed is when the program said that a node's check fails.
	failed func(n *node) time.Time
	// master is in each line of its log that says that an instance became master.
	master string
}

var programs = []*program{
	{"holdfast", holdfastScene, startHoldfast, func(n *node, config string) { n.reload(config) }, holdfastFailed, " to=master "},
	{"keepalived", keepalivedScene, startKeepalived, reloadKeepalived, keepalivedFailed, "Entering MASTER STATE"},
}

// realTimeKeepalived is scheduled, when calm too, as Holdfast is while the host is busy.
var realTimeKeepalived = &program{
	name: "keepalived in real time",
	render: func(s *scene, priority int) string {
		const globals = "global_defs {\n"
		return strings.Replace(keepalivedScene(s, priority), globals, globals+" vrrp_rt_priority 50\n", 1)
	},
	start:  startKeepalived,
	master: programs[1].master,
}

// scene is what both nodes are configured with, whichever the program.
type scene struct {
	interval  time.Duration
	check     sceneCheck
	instances int  // 0 is 1
	more      bool // one more address
	large     bool // largeCount addresses
	vips      int  // so many addresses, 0 for what else is said
	quiet     bool // no client asks
}

// sceneCheck is what the nodes watch, once a second, and what they do when it fails
// twice.
type sceneCheck int

const (
	noCheck      sceneCheck = iota
	flagDemotes             // the file /run/ok; the node becomes weaker than the other
	portReleases            // the service's TCP port; the node gives the address up
)

// The strength of the two nodes, and what a failed check takes from the first
// under keepalived, so that it becomes the weaker.
const (
	firstPriority, secondPriority = 200, 150
	keepalivedWeight              = -60
)

// phase is how long after an advert it happens: spread over the interval, and
// the same for both programs.
func (s *scene) phase(round, rounds int) time.Duration {
	return s.interval * time.Duration(2*round+1) / time.Duration(2*rounds)
}

// addresses are those of one instance.
func (s *scene) addresses(instance int) []string {
	count := s.vips
	if s.large {
		count = largeCount
	}
	switch {
	case count > 0:
		var list []string
		for _, a := range largeAddresses()[:count] {
			list = append(list, a.String()+largeNetwork)
		}
		return list
	case s.instances > 0:
		return []string{fmt.Sprintf("10.%d.0.%d/16", 51+(instance-1)/perPort, (instance-1)%perPort+1)}
	case s.more:
		return []string{vipFour + "/24", "192.0.2.101/24"}
	}
	return []string{vipFour + "/24"}
}

// perPort is how many instances an interface can have.
const perPort = 255

// ports are the interfaces: one on the switch, or as many cables as it takes.
func (s *scene) ports() []string {
	if s.instances <= perPort {
		return []string{"eth0"}
	}
	var list []string
	for n := range (s.instances + perPort - 1) / perPort {
		list = append(list, fmt.Sprintf("p%d", n))
	}
	return list
}

// place is the interface and the VRID of an instance, which counts from 1.
func (s *scene) place(instance int) (ifname string, vrid int) {
	return s.ports()[(instance-1)/perPort], (instance-1)%perPort + 1
}

func holdfastScene(s *scene, priority int) string {
	var b strings.Builder
	for i := range max(1, s.instances) {
		ifname, vrid := s.place(i + 1)
		text := namedTOML(fmt.Sprintf("i%d", i+1), vrid, priority, s.interval.String(), s.addresses(i+1))
		b.WriteString(strings.Replace(text, `"eth0"`, strconv.Quote(ifname), 1))
	}
	switch s.check {
	case flagDemotes:
		b.WriteString("[[check]]\nname = \"flag\"\nexec = [\"/usr/bin/test\", \"-s\", \"/run/ok\"]\n")
	case portReleases:
		fmt.Fprintf(&b, "[[check]]\nname = \"port\"\ntcp = \"127.0.0.1:%d\"\non_failure = \"release\"\n", lab.EchoPort)
	}
	return b.String()
}

func keepalivedScene(s *scene, priority int) string {
	var b strings.Builder
	track := ""
	b.WriteString("global_defs {\n script_user root\n}\n")
	script := func(command string, weight int) {
		fmt.Fprintf(&b, "vrrp_script service {\n script \"%s\"\n interval 1\n fall 2\n rise 2\n weight %d\n}\n", command, weight)
		track = " track_script {\n  service\n }\n"
	}
	switch s.check {
	case flagDemotes:
		script("/usr/bin/test -s /run/ok", keepalivedWeight)
	case portReleases:
		script(fmt.Sprintf("/bin/bash -c 'exec 3<>/dev/tcp/127.0.0.1/%d'", lab.EchoPort), 0)
	}
	state := "BACKUP"
	if priority == firstPriority {
		state = "MASTER"
	}
	for i := range max(1, s.instances) {
		ifname, vrid := s.place(i + 1)
		fmt.Fprintf(&b, "vrrp_instance i%d {\n state %s\n interface %s\n virtual_router_id %d\n version 3\n priority %d\n advert_int %g\n%s%s}\n",
			i+1, state, ifname, vrid, priority, s.interval.Seconds(), track, keepalivedAddresses(s.addresses(i+1)))
	}
	return b.String()
}

// keepalivedAddresses has those that adverts carry, which are few, and the rest.
func keepalivedAddresses(list []string) string {
	const most = 20
	block := func(name string, list []string) string {
		return fmt.Sprintf(" %s {\n  %s\n }\n", name, strings.Join(list, "\n  "))
	}
	if len(list) <= most {
		return block("virtual_ipaddress", list)
	}
	return block("virtual_ipaddress", list[:most]) + block("virtual_ipaddress_excluded", list[most:])
}

// startHoldfast starts the program as it is installed.
func startHoldfast(n *node, config string) {
	n.t.Helper()
	n.configure(config)
	p, err := n.Start(builtProgram(n.t), "run", "--config", "/run/holdfast.toml")
	if err != nil {
		n.t.Fatal(err)
	}
	n.daemon = p
}

func startKeepalived(n *node, config string) {
	n.t.Helper()
	p, err := n.StartTerseKeepalived(config)
	if err != nil {
		n.t.Fatal(err)
	}
	n.daemon = p // its log is shown when something fails
}

func reloadKeepalived(n *node, config string) {
	n.t.Helper()
	if err := n.WriteFile("/run/keepalived/keepalived.conf", config, 0o644); err != nil {
		n.t.Fatal(err)
	}
	if err := n.daemon.Signal(syscall.SIGHUP); err != nil {
		n.t.Fatal(err)
	}
}

// becameMaster counts how often an instance of the node did.
func (p *program) becameMaster(n *node) int { return strings.Count(n.daemon.Output(), p.master) }

// keepalivedVersion is what that program says of itself, such as 2.2.7.
func keepalivedVersion(t testing.TB) string {
	t.Helper()
	p, err := lab.FindPeer("keepalived")
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(p.Path, "--version")
	c.Env = append(os.Environ(), p.Env...)
	out, err := c.CombinedOutput()
	words := strings.Fields(string(out))
	if err != nil || len(words) < 2 {
		t.Fatalf("the version of keepalived: %v: %s", err, out)
	}
	return strings.TrimPrefix(words[1], "v")
}

func holdfastFailed(n *node) time.Time {
	const line = "check fails: check="
	n.awaitOutput(line)
	return logTime(n.t, n, line)
}

// keepalivedFailed takes the time itself: keepalived tells the second.
func keepalivedFailed(n *node) time.Time {
	n.awaitOutput("VRRP_Script(service) failed")
	return time.Now()
}

// awaitOutput waits until the daemon has written something.
func (n *node) awaitOutput(text string) {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), settled)
	defer cancel()
	if err := n.daemon.WaitOutput(ctx, text); err != nil {
		n.t.Fatal(err)
	}
}

// tree lists a process and all that descend from it.
func tree(t testing.TB, pid int) []int {
	t.Helper()
	list := []int{pid}
	for k := 0; k < len(list); k++ {
		threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", list[k]))
		if err != nil {
			continue // it has just ended
		}
		for _, th := range threads {
			text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", list[k], th.Name()))
			if err != nil {
				continue
			}
			for field := range strings.FieldsSeq(string(text)) {
				child, err := strconv.Atoi(field)
				if err != nil {
					t.Fatalf("children of %d: %v", list[k], err)
				}
				list = append(list, child)
			}
		}
	}
	return list
}

// signalAll sends a signal to the daemon and all its processes.
func (n *node) signalAll(sig syscall.Signal) {
	n.t.Helper()
	for _, pid := range tree(n.t, n.daemon.PID()) {
		if err := syscall.Kill(pid, sig); err != nil {
			n.t.Fatalf("send %v to %d: %v", sig, pid, err)
		}
	}
}
