package main

// End-to-end tests: real daemons on the hosts of a lab, the real kernel, and
// real peers. This file has what they share.

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
	"github.com/holdfast-vrrp/holdfast/cmd/internal/lab"
)

// room is what a bound of the design is widened by on a machine that is busy
// with other things. It covers scheduling, not protocol.
const room = 300 * time.Millisecond

// require ends the test when something it needs is not there: it skips with the
// reason, or fails under make test, which provides all that is needed.
func require(t testing.TB, ok bool, what string) {
	t.Helper()
	if ok {
		return
	}
	if os.Getenv("HOLDFAST_REQUIRE") != "" {
		t.Fatalf("this test needs %s", what)
	}
	t.Skipf("this test needs %s", what)
}

// newLab returns a lab that is closed with the test.
func newLab(t testing.TB) *lab.Lab {
	t.Helper()
	require(t, os.Geteuid() == 0, "root")
	l, err := lab.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// node is a host that runs holdfast.
type node struct {
	*lab.Host
	t      testing.TB
	daemon *lab.Process
}

// newNode adds a host with eth0 on the lab's switch. When the test fails, the
// daemon's log is shown.
func newNode(t testing.TB, l *lab.Lab, name string, addrs ...string) *node {
	t.Helper()
	h, err := l.Host(name, addrs...)
	if err != nil {
		t.Fatal(err)
	}
	n := &node{Host: h, t: t}
	t.Cleanup(func() {
		if t.Failed() && n.daemon != nil {
			t.Logf("log of %s:\n%s", name, n.daemon.Output())
		}
	})
	return n
}

// run writes the configuration and starts the daemon.
func (n *node) run(config string) {
	n.t.Helper()
	n.configure(config)
	n.start()
}

func (n *node) configure(config string) {
	n.t.Helper()
	if err := n.WriteFile("/run/holdfast.toml", config, 0o600); err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) start() {
	n.t.Helper()
	p, err := n.Start(selfPath(), "run", "--config", "/run/holdfast.toml")
	if err != nil {
		n.t.Fatal(err)
	}
	n.daemon = p
	if err := p.WaitOutput(n.t.Context(), "starting"); err != nil {
		n.t.Fatalf("the daemon on %s does not start: %v\n%s", n.Name(), err, p.Output())
	}
}

// stop ends the daemon with SIGTERM and waits.
func (n *node) stop() {
	n.t.Helper()
	if err := n.daemon.Stop(); err != nil {
		n.t.Fatalf("stop %s: %v", n.Name(), err)
	}
}

// command runs a holdfast command on the node and returns what it printed and
// its exit status.
func (n *node) command(args ...string) (string, int) {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), 20*time.Second)
	defer cancel()
	c := n.Command(ctx, selfPath(), args...)
	out, err := c.CombinedOutput()
	if c.ProcessState == nil {
		n.t.Fatalf("holdfast %s on %s: %v", strings.Join(args, " "), n.Name(), err)
	}
	return string(out), c.ProcessState.ExitCode()
}

// status asks the daemon.
func (n *node) status() *control.Status {
	n.t.Helper()
	out, code := n.command("status", "--json", "--config", "/run/holdfast.toml")
	st := &control.Status{}
	if err := json.Unmarshal([]byte(out), st); err != nil {
		n.t.Fatalf("status on %s (exit status %d): %v\n%s", n.Name(), code, err, out)
	}
	return st
}

// instance returns the status of one instance.
func (n *node) instance(name string) control.Instance {
	n.t.Helper()
	for _, i := range n.status().Instances {
		if i.Name == name {
			return i
		}
	}
	n.t.Fatalf("%s has no instance %s", n.Name(), name)
	return control.Instance{}
}

// has reports whether the node has an address.
func (n *node) has(addr string) bool { return n.HasAddress(netip.MustParseAddr(addr)) }

// eventually waits until ok, for at most the time given, and returns how long
// it took.
func eventually(t testing.TB, most time.Duration, what string, ok func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	for {
		if ok() {
			return time.Since(began)
		}
		if time.Since(began) > most {
			t.Fatalf("after %v still not: %s", most, what)
		}
		time.Sleep(time.Millisecond)
	}
}

// during checks that ok holds all the time.
func during(t testing.TB, long time.Duration, what string, ok func() bool) {
	t.Helper()
	for began := time.Now(); time.Since(began) < long; time.Sleep(2 * time.Millisecond) {
		if !ok() {
			t.Fatalf("not any more after %v: %s", time.Since(began).Round(time.Millisecond), what)
		}
	}
}

// only waits until one of the nodes alone has the address. When that fails it
// shows who has which.
func only(t testing.TB, most time.Duration, addr string, holder *node, others ...*node) time.Duration {
	t.Helper()
	done := false
	defer func() {
		if done {
			return
		}
		for _, n := range append(others, holder) {
			list, err := n.Addresses("eth0")
			t.Logf("eth0 of %s has %v (%v)", n.Name(), list, err)
		}
	}()
	took := waitOnly(t, most, addr, holder, others)
	done = true
	return took
}

func waitOnly(t testing.TB, most time.Duration, addr string, holder *node, others []*node) time.Duration {
	t.Helper()
	return eventually(t, most, fmt.Sprintf("%s alone has %s", holder.Name(), addr), func() bool {
		for _, o := range others {
			if o.has(addr) {
				return false
			}
		}
		return holder.has(addr)
	})
}

// instanceTOML renders an [[instance]] named web with VRID 51 on eth0. Further
// lines are added as they are.
func instanceTOML(priority int, interval string, addresses []string, lines ...string) string {
	quoted := make([]string, len(addresses))
	for n, a := range addresses {
		quoted[n] = fmt.Sprintf("%q", a)
	}
	return fmt.Sprintf(`[[instance]]
name = "web"
interface = "eth0"
vrid = 51
priority = %d
addresses = [%s]
advert_interval = %q
%s
`, priority, strings.Join(quoted, ", "), interval, strings.Join(lines, "\n"))
}

// detection is the longest a backup of a priority takes to notice a silent
// master: 3 adverts and the skew.
func detection(interval time.Duration, priority int) time.Duration {
	return 3*interval + time.Duration(256-priority)*interval/256
}
