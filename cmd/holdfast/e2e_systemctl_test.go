package main

// The package and its unit under a real systemd: process 1 of a Debian system on
// a host of the lab.

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/lab"
)

// bootScript waits for the files that a test adds, and becomes systemd. Beside
// the unit there is nothing to do: not even what other units a system has.
const bootScript = `
while [ ! -e /run/boot ]; do sleep 0.02; done
rm -r /lib/systemd/system-generators /lib/systemd/system/*.wants /etc/systemd/system/*.wants
exec /lib/systemd/systemd --system --unit=multi-user.target --log-target=null
`

// bootTargets do nothing, in place of those that a system has.
var bootTargets = []string{"sysinit", "basic", "shutdown", "network-pre", "multi-user"}

// whoTOML is a check and a hook that write down who they are and what they may.
const whoTOML = `
[[check]]
name = "who"
exec = ["/bin/sh", "-c", "{ id -un; grep CapEff: /proc/self/status; } >/run/holdfast/check"]
timeout = "10s"

[[notify]]
exec = ["/bin/sh", "-c", "{ id -un; grep CapEff: /proc/self/status; } >/run/holdfast/hook"]
`

// cgroupScript does something to the control group of a name, outside of any
// host.
func cgroupScript(name, script string) ([]byte, error) {
	c := exec.Command("unshare", "--mount", "--cgroup", "sh", "-c",
		"mount --make-rprivate / && mount -t cgroup2 cgroup2 /mnt && cd /mnt && "+script, name)
	return c.CombinedOutput()
}

// bootable skips the test where systemd cannot be run, and returns the name of a
// control group for it, which goes with the test. Call it before newLab.
func bootable(t *testing.T) string {
	t.Helper()
	require(t, os.Geteuid() == 0, "root")
	_, err := lab.FindSystem()
	require(t, err == nil, fmt.Sprint(err))
	name := fmt.Sprintf("holdfast-test-%d-%s", os.Getpid(), strings.ToLower(t.Name()))
	if out, err := cgroupScript(name, `mkdir "$0" && rmdir "$0"`); err != nil {
		t.Skipf("this test needs control groups of its own: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := cgroupScript(name, `[ ! -e "$0" ] || find "$0" -depth -type d -exec rmdir {} +`); err != nil {
			t.Errorf("control group %s stays: %v: %s", name, err, out)
		}
	})
	return name
}

// machine is a system that systemd runs.
type machine struct {
	*lab.System
	t testing.TB
}

// boot starts systemd on a node, in a system of its own.
func (n *node) boot(cgroup string) *machine {
	n.t.Helper()
	m := &machine{n.newSystem(cgroup, "sh", "-c", bootScript), n.t}
	for _, target := range bootTargets {
		m.write("/etc/systemd/system/"+target+".target", "[Unit]\nDefaultDependencies=no\n")
	}
	m.write("/etc/systemd/system/holdfast.service.d/log.conf", "[Service]\nStandardOutput=append:/run/daemon.log\nStandardError=append:/run/daemon.log\n")
	m.write("/run/boot", "")
	n.t.Cleanup(func() {
		if n.t.Failed() {
			out, err := m.systemctl("status", "holdfast")
			n.t.Logf("systemctl status: %v: %s", err, out)
			n.t.Logf("log of the daemon on %s:\n%s", n.Name(), m.log())
		}
	})
	eventually(n.t, settled, "systemd runs", func() bool {
		out, _ := m.systemctl("is-system-running")
		return strings.TrimSpace(out) == "running"
	})
	return m
}

func (m *machine) write(path, text string) {
	m.t.Helper()
	if err := m.WriteFile(path, text, 0o644); err != nil {
		m.t.Fatal(err)
	}
}

// log is what all daemons of the unit wrote.
func (m *machine) log() string { text, _ := m.ReadFile("/run/daemon.log"); return text }

func (m *machine) systemctl(args ...string) (string, error) {
	m.t.Helper()
	return inside(m.t, m.System, "systemctl", args...)
}

// run runs a command that succeeds, and returns how long it took.
func (m *machine) run(name string, args ...string) time.Duration {
	m.t.Helper()
	began := time.Now()
	if out := mustInside(m.t, m.System, name, args...); strings.TrimSpace(out) != "" {
		m.t.Logf("%s %s: %s", name, strings.Join(args, " "), strings.TrimSpace(out))
	}
	return time.Since(began)
}

// state is what systemd says of the unit.
func (m *machine) state() string {
	m.t.Helper()
	out, _ := m.systemctl("show", "holdfast", "--property=ActiveState,NRestarts,StatusText")
	return strings.ReplaceAll(strings.TrimSpace(out), "\n", " ")
}

// TestUnitUnderSystemd installs the package, has systemd restart the unit, start
// it again after a kill, upgrade, reload and remove it, with the peer watching:
// only the removal moves the addresses, and nothing is lost.
func TestUnitUnderSystemd(t *testing.T) {
	put := packages(t)
	t.Parallel()
	const interval = time.Second
	cgroup := bootable(t)
	l := newLab(t)
	n := nodes(t, l, 2)
	d := &duo{a: n[0], b: n[1], client: newClient(t, l)}
	a := d.a.boot(cgroup)
	put(a.System)
	a.run("dpkg", "--install", "/root/holdfast_1.0.0.deb")
	if s := a.state(); !strings.Contains(s, "ActiveState=inactive") {
		t.Errorf("without a configuration the unit is %s", s)
	}
	// A longer lease than by default: on a busy machine systemd takes its time.
	config := bothTOML(highest, interval.String(), "lease = 3") + whoTOML
	a.write("/etc/holdfast/holdfast.toml", config)
	a.run("systemctl", "start", "holdfast")
	for _, vip := range []string{vipFour, vipSix} {
		eventually(t, settled, "a has "+vip, func() bool { return d.a.has(vip) })
	}
	d.b.run(duoTOML(lower, interval))
	for _, vip := range []string{vipFour, vipSix} {
		p, err := d.client.Probe(addrOf(vip), 2000)
		if err != nil {
			t.Fatal(err)
		}
		served(t, p, d.a)
		d.probes = append(d.probes, p)
	}
	hooksRan(t, d.b, 2)
	peer := d.b.story()
	held := d.watchBoth(t)
	began := time.Now()
	runsAs(t, a, "check", "holdfast", "0000000000000000")
	runsAs(t, a, "hook", "holdfast", "0000000000000000")
	for round, c := range []struct {
		name    string
		command []string
	}{
		{"restart", []string{"systemctl", "restart", "holdfast"}},
		{"killed", []string{"systemctl", "kill", "--signal=KILL", "holdfast"}},
		{"upgrade", []string{"dpkg", "--install", "/root/holdfast_1.1.0.deb"}},
	} {
		at := time.Now()
		took := a.run(c.command[0], c.command[1:]...)
		eventually(t, detection(interval, lower)+settled, "both instances went on", func() bool {
			return strings.Count(a.log(), "went on as master") == 2*(round+1)
		})
		t.Logf("measured: %s: the command took %s, went on as master after %s", c.name, ms(took), ms(time.Since(at)))
	}
	// Until the peer would have noticed, and the lease have run out.
	during(t, detection(interval, lower)+room, "a alone has the addresses", func() bool {
		return d.a.has(vipFour) && d.a.has(vipSix) && !d.b.has(vipFour) && !d.b.has(vipSix)
	})
	a.run("systemctl", "reload", "holdfast")
	if s := a.state(); !strings.Contains(s, "ActiveState=active") || !strings.Contains(s, "StatusText=2 master") {
		t.Errorf("systemd says %s", s)
	}
	refusedUpgrade(t, a, config)

	// Scripts that need more.
	a.run("mkdir", "-p", "/etc/systemd/system/holdfast.service.d")
	a.run("cp", "/usr/share/doc/holdfast/examples/scripts-as-root.conf", "/etc/systemd/system/holdfast.service.d/")
	a.write("/etc/holdfast/holdfast.toml", config+"\n[[check]]\nname = \"nobody\"\nexec = [\"/bin/sh\", \"-c\", \"[ $(id -un) = nobody ]\"]\nuser = \"nobody\"\ntimeout = \"10s\"\n")
	// As root the daemon may read what root alone can, so an upgrade restarts it.
	a.run("chmod", "600", "/etc/holdfast/holdfast.toml")
	a.run("dpkg", "--install", "/root/holdfast_1.1.0.deb")
	runsAs(t, a, "check", "root", "")

	if strings.Contains(a.log(), "went wrong") || strings.Contains(a.log(), "[ERROR]") {
		t.Error("the daemon has something to tell")
	}
	for _, h := range held {
		h.wantAlways(t, "a")
	}
	sameStory(t, d.b, peer)
	took := a.run("dpkg", "--remove", "holdfast")
	for n, vip := range []string{vipFour, vipSix} {
		only(t, room, vip, d.b, d.a)
		served(t, d.probes[n], d.b)
	}
	t.Logf("measured: the removal took %s", ms(took))
	if text, err := a.ReadFile("/run/holdfast/journal.json"); err == nil {
		t.Errorf("after the removal there is a journal: %s", text)
	}
	d.lossless(t, began)
	a.installedAgain(t)
}

// TestUnitFailsAndEnds has the unit started with a file that is refused, which is told
// once and not tried again; has the daemon killed, which is; and stops it with hooks
// that take longer than the unit's time, which they get.
func TestUnitFailsAndEnds(t *testing.T) {
	put := packages(t)
	t.Parallel()
	cgroup := bootable(t)
	n := newNode(t, newLab(t), "lb1", "192.0.2.1/24")
	a := n.boot(cgroup)
	put(a.System)
	a.run("dpkg", "--install", "/root/holdfast_1.0.0.deb")
	a.write("/etc/systemd/system/holdfast.service.d/stop.conf", "[Service]\nTimeoutStopSec=1s\n")
	a.run("systemctl", "daemon-reload")

	const file = "/etc/holdfast/holdfast.toml"
	config := instanceTOML(150, "100ms", []string{lifeVIP + "/24"})
	a.write(file, config+"[nonsense]\n")
	if out, err := a.systemctl("start", "holdfast"); err == nil {
		t.Errorf("a start with a file that is refused is well: %s", out)
	}
	during(t, time.Second, "the unit is failed", func() bool {
		return strings.Contains(a.state(), "NRestarts=0") && strings.Contains(a.state(), "ActiveState=failed")
	})
	if n := strings.Count(a.log(), "nonsense"); n != 2 { // the sentence and the line
		t.Errorf("the log has the mistake %d times:\n%s", n, a.log())
	}

	hook := "[[notify]]\non = [\"stop\"]\nexec = [\"/bin/sh\", \"-c\", \"sleep 4; echo done >/run/holdfast.d/hook\"]\n"
	a.run("install", "-d", "-o", "holdfast", "/run/holdfast.d")
	a.write("/etc/systemd/system/holdfast.service.d/write.conf", "[Service]\nReadWritePaths=/run/holdfast.d\n")
	a.run("systemctl", "daemon-reload")
	a.write(file, config+hook)
	a.run("systemctl", "start", "holdfast")
	a.run("systemctl", "kill", "--signal=KILL", "holdfast")
	eventually(t, settled, "it was started again", func() bool {
		return strings.Contains(a.state(), "NRestarts=1 ") || strings.HasSuffix(a.state(), "NRestarts=1")
	})
	eventually(t, settled, "it is master", func() bool { return n.has(lifeVIP) })
	took := a.run("systemctl", "stop", "holdfast")
	if text, _ := a.ReadFile("/run/holdfast.d/hook"); text != "done\n" || !strings.Contains(a.state(), "ActiveState=inactive") {
		t.Errorf("after the stop the hook wrote %q and systemd says %s", text, a.state())
	}
	t.Logf("measured: with a hook of 4 s and TimeoutStopSec=1s the stop took %s", ms(took))
}

// installedAgain installs the package that was removed, not purged: the removal
// stopped the daemon, so the installation starts it. What the operator stopped or
// disabled stays so.
func (m *machine) installedAgain(t *testing.T) {
	t.Helper()
	install := []string{"dpkg", "--install", "/root/holdfast_1.1.0.deb"}
	for _, c := range []struct {
		before [][]string
		want   string
	}{
		{nil, "enabled active"},
		{[][]string{{"systemctl", "stop", "holdfast"}}, "enabled inactive"},
		{[][]string{{"systemctl", "disable", "holdfast"}, {"dpkg", "--remove", "holdfast"}}, "disabled inactive"},
	} {
		for _, command := range append(c.before, install) {
			m.run(command[0], command[1:]...)
		}
		enabled, _ := m.systemctl("is-enabled", "holdfast")
		active, _ := m.systemctl("is-active", "holdfast")
		if got := strings.Join(strings.Fields(enabled+active), " "); got != c.want {
			t.Errorf("installed again after %q the unit is %s, want %s", c.before, got, c.want)
		}
	}
}

// runsAs waits until a check or a hook has told that it is a user, with some
// capabilities.
func runsAs(t *testing.T, a *machine, what, user, capabilities string) {
	t.Helper()
	eventually(t, settled, what+" runs as "+user, func() bool {
		who, _ := a.ReadFile("/run/holdfast/" + what)
		return strings.HasPrefix(who, user+"\nCapEff:") && strings.Contains(who, capabilities)
	})
}

// refusedUpgrade tries an upgrade to a version that refuses the configuration:
// the daemon that runs must go on.
func refusedUpgrade(t *testing.T, a *machine, config string) {
	t.Helper()
	pid := mustInside(t, a.System, "systemctl", "show", "--property=MainPID", "holdfast")
	a.write("/etc/holdfast/holdfast.toml", config+"[nonsense]\n")
	out := mustInside(t, a.System, "dpkg", "--install", "/root/holdfast_1.1.0.deb")
	if !strings.Contains(out, "refuses /etc/holdfast/holdfast.toml, so the old one goes on running") {
		t.Errorf("the upgrade says: %s", out)
	}
	if now := mustInside(t, a.System, "systemctl", "show", "--property=MainPID", "holdfast"); now != pid {
		t.Errorf("the daemon was %s, is %s", pid, now)
	}
	// Nor may the daemon's user read what root alone can; it is told why.
	a.write("/etc/holdfast/holdfast.toml", config)
	a.run("chmod", "600", "/etc/holdfast/holdfast.toml")
	out = mustInside(t, a.System, "dpkg", "--install", "/root/holdfast_1.1.0.deb")
	if !strings.Contains(out, "As user holdfast it says:\nconfiguration /etc/holdfast/holdfast.toml cannot be read: permission denied") {
		t.Errorf("the upgrade with a configuration of root's says: %s", out)
	}
	a.run("chmod", "644", "/etc/holdfast/holdfast.toml")
}
