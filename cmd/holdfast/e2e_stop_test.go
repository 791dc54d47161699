package main

// After a stop the host is as it was before the start.

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// stopAddresses are VIPs of both families, within the network of the
// interface, in one of their own, and alone.
var stopAddresses = []string{
	"192.0.2.100/24", "192.0.2.101/32", "203.0.113.7/24", "203.0.113.8/24",
	"2001:db8::100/64", "2001:db8:1::7/128",
}

func newStopNode(t *testing.T) *node {
	t.Helper()
	n := newNode(t, newLab(t), "lb1", "192.0.2.1/24", "2001:db8::1/64")
	// The value of a kernel, not that of a distribution.
	if err := n.SetSysctl("net.ipv4.conf.eth0.promote_secondaries", "0"); err != nil {
		t.Fatal(err)
	}
	return n
}

// snapshot writes down the network state of the node.
func (n *node) snapshot() string {
	n.t.Helper()
	s, err := n.Snapshot()
	if err != nil {
		n.t.Fatal(err)
	}
	return s
}

// hasAll waits until all VIPs are here, or none is.
func (n *node) hasAll(here bool) {
	n.t.Helper()
	eventually(n.t, 5*time.Second, "the addresses of the instance", func() bool {
		for _, a := range stopAddresses {
			addr, _, _ := strings.Cut(a, "/")
			if n.has(addr) != here {
				return false
			}
		}
		return true
	})
}

func lines(s string) []string { return strings.Split(s, "\n") }

func TestStopLeavesNothing(t *testing.T) {
	for _, c := range []struct {
		name string
		how  syscall.Signal
	}{{"terminated", syscall.SIGTERM}, {"interrupted", syscall.SIGINT}} {
		t.Run(c.name, func(t *testing.T) {
			n := newStopNode(t)
			before := n.snapshot()
			n.run(instanceTOML(150, "100ms", stopAddresses))
			n.hasAll(true)
			if cmp.Equal(before, n.snapshot()) {
				t.Fatal("the snapshot does not see that the daemon serves")
			}
			began := time.Now()
			if err := n.daemon.Signal(c.how); err != nil {
				t.Fatal(err)
			}
			if err := n.daemon.Wait(t.Context()); err != nil {
				t.Errorf("the daemon ended with: %v", err)
			}
			took := time.Since(began)
			if diff := cmp.Diff(lines(before), lines(n.snapshot())); diff != "" {
				t.Errorf("the host after the stop (-before +after):\n%s", diff)
			}
			// Nobody takes over: it waits for a successor as long as it must.
			t.Logf("measured: stopped in %v", took.Round(time.Millisecond))
			if most := handoverMost + room; took > most {
				t.Errorf("stopping took %v, want at most %v", took, most)
			}
			n.wantLog("stopping", "stopped: ran=")
		})
	}
}

// A killed daemon cannot clean up; the next one does, and tells so.
func TestStopAfterKill(t *testing.T) {
	n := newStopNode(t)
	before := n.snapshot()
	n.run(instanceTOML(150, "100ms", stopAddresses))
	n.hasAll(true)
	if err := n.daemon.Kill(); err != nil {
		t.Fatal(err)
	}
	// The next one has none of these addresses.
	n.run(instanceTOML(150, "100ms", []string{"192.0.2.200/24"}))
	for _, a := range stopAddresses {
		n.wantLog("removed an address of an earlier run: address=" + a + " interface=eth0")
	}
	n.wantLog("restored a setting that an earlier run had changed: setting=net/ipv4/conf/eth0/promote_secondaries")
	n.hasAll(false)
	eventually(t, 5*time.Second, "the new instance serves", func() bool { return n.has("192.0.2.200") })
	n.stop()
	if diff := cmp.Diff(lines(before), lines(n.snapshot())); diff != "" {
		t.Errorf("the host after a kill, a start and a stop (-before +after):\n%s", diff)
	}
	if _, code := n.command("status", "--config", "/run/holdfast.toml"); code != exitNotRunning {
		t.Errorf("holdfast status after the stop: exit status %d, want %d", code, exitNotRunning)
	}
	t.Logf("measured: the host is as before")
}

// A second daemon on the same host is refused and does no harm.
func TestSecondDaemonIsRefused(t *testing.T) {
	n := newStopNode(t)
	n.run(instanceTOML(150, "100ms", stopAddresses))
	n.hasAll(true)
	before := n.snapshot()
	out, code := n.command("run", "--config", "/run/holdfast.toml")
	if code != exitRefused || !strings.Contains(out, "another holdfast (pid ") {
		t.Errorf("a second daemon: exit status %d: %s", code, out)
	}
	if diff := cmp.Diff(lines(before), lines(n.snapshot())); diff != "" {
		t.Errorf("the second daemon changed the host (-before +after):\n%s", diff)
	}
	n.wantStatus(exitDone, "MASTER")
	t.Logf("measured: %s", strings.TrimSpace(out))
}
