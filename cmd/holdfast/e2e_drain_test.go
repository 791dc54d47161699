package main

// The orders of the operator: drain, undrain, failover, announce.

import (
	"bytes"
	"encoding/binary"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// order runs a command that gives an order and checks what it says and returns.
func (n *node) order(code int, want string, args ...string) string {
	n.t.Helper()
	out, got := n.command(append(args, "--config", "/run/holdfast.toml")...)
	if got != code || !regexp.MustCompile(want).MatchString(out) {
		n.t.Errorf("holdfast %s on %s: exit status %d, want %d and %q:\n%s", strings.Join(args, " "), n.Name(), got, code, want, out)
	}
	return out
}

// tookOver is the line that tells of a take-over from an instance.
func tookOver(instance, peer string) string {
	return `(?m)^` + instance + `: ` + peer + ` took over after ([0-9.µm]+s)$`
}

// wantTook checks that the time told is no longer than the command itself took.
func wantTook(t *testing.T, out string, most time.Duration) {
	t.Helper()
	list := regexp.MustCompile(`took over after ([0-9.µm]+s)`).FindAllStringSubmatch(out, -1)
	for _, m := range list {
		d, err := time.ParseDuration(m[1])
		if err != nil || d <= 0 || d > most {
			t.Errorf("%q is not within the %v that the command took (%v)", m[1], most, err)
		}
	}
	t.Logf("measured: in %s: %s", ms(most), strings.ReplaceAll(strings.TrimSpace(out), "\n", "; "))
}

// A drain, an undrain, a failover and a second one lose nothing, name the peer,
// and stay where they should.
func TestOrdersAreLossless(t *testing.T) {
	for _, interval := range []time.Duration{10 * time.Millisecond, 100 * time.Millisecond, time.Second} {
		quick(t, interval, func(t *testing.T) {
			d := newDuo(t, duoTOML(highest, interval), duoTOML(lower, interval))
			moved := func(what string, to, from *node) {
				t.Helper()
				for n, vip := range []string{vipFour, vipSix} {
					only(t, detection(interval, highest)+lingers(vip)+room, vip, to, from)
					served(t, d.probes[n], to)
				}
				t.Log(what)
			}
			began := time.Now()
			out := d.a.order(exitDone, tookOver("four", "192.0.2.2"), "drain", "--why", "new kernel")
			wantTook(t, out, time.Since(began))
			if !regexp.MustCompile(tookOver("six", "fe80::[0-9a-f:]+")).MatchString(out) || !strings.Contains(out, "drained until 'holdfast undrain' or a restart of the daemon\n") {
				t.Errorf("the drain says:\n%s", out)
			}
			moved("drained", d.b, d.a)
			d.a.wantStatus(exitDone, "drained")
			if i := d.a.instance("four"); i.Drain == nil || i.Drain.Why != "new kernel" || !strings.HasPrefix(i.Drain.By, "root (uid 0") {
				t.Errorf("status tells of the drain %+v", i.Drain)
			}
			d.a.order(exitRefused, "(?m)^four: this node is backup; run it on 192.0.2.2, which is master$", "failover")
			d.a.order(exitDone, `(?m)^four: takes over from 192.0.2.2 within [0-9.]+m?s$`, "undrain")
			moved("undrained", d.a, d.b)

			began2 := time.Now()
			out = d.a.order(exitDone, tookOver("four", "192.0.2.2"), "failover", "four", "six")
			wantTook(t, out, time.Since(began2))
			moved("failed over", d.b, d.a)
			during(t, detection(interval, highest)+interval+room, "it does not flap back, though it preempts", func() bool {
				return d.b.has(vipFour) && d.b.has(vipSix) && !d.a.has(vipFour) && !d.a.has(vipSix)
			})
			d.b.order(exitDone, tookOver("four", "192.0.2.1"), "failover")
			moved("and back", d.a, d.b)
			d.lossless(t, began)
		})
	}
}

// Two who drain at once hear of the same take-over.
func TestConcurrentDrains(t *testing.T) {
	t.Parallel()
	const interval = time.Second
	d := newDuo(t, duoTOML(highest, interval), duoTOML(lower, interval))
	began := time.Now()
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() { d.a.order(exitDone, `(?m)^four: .*192\.0\.2\.2`, "drain") })
	}
	wg.Wait()
	only(t, room+lingerMost, vipFour, d.b, d.a)
	d.lossless(t, began)

	// Announcements reach the wire, for the master's addresses alone.
	wire, err := d.client.Capture("eth0", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer wire.Close()
	vip := addrOf(vipFour).As4()
	d.b.order(exitDone, `(?m)^four: announced 1 address on eth0, 5 times within 800ms$`, "announce", "four")
	eventually(t, patience, "a gratuitous ARP", func() bool {
		for _, f := range wire.Frames() {
			if len(f.Data) >= 42 && binary.BigEndian.Uint16(f.Data[12:]) == etherARP && bytes.Equal(f.Data[28:32], vip[:]) && bytes.Equal(f.Data[38:42], vip[:]) {
				return true
			}
		}
		return false
	})
	d.a.order(exitRefused, `(?m)^four: this node is backup; run it on 192\.0\.2\.2, which is master$`, "announce", "four")
}

// With a dead peer a drain is refused and changes nothing; forced, the node stays
// drained and serves. A drain ends by itself, and survives a restart if it is to.
func TestDrainAlone(t *testing.T) {
	t.Parallel()
	const interval = 100 * time.Millisecond
	d := newDuo(t, duoTOML(highest, interval), duoTOML(lower, interval))
	must(t, d.b.daemon.Signal(syscall.SIGKILL))
	<-d.b.daemon.Done()
	began := time.Now()
	d.a.order(exitRefused, `(?m)^four: nobody was heard to take over within 200ms: not drained, this node goes on as it was; with --force it is drained all the same$`, "drain")
	if i := d.a.instance("four"); i.State != "master" || i.Drained || i.Priority.Effective != highest {
		t.Errorf("after the refusal it is %s, drained %v, with priority %d", i.State, i.Drained, i.Priority.Effective)
	}
	d.a.order(exitRefused, `(?m)^four: nobody was heard to take over within 200ms: this node goes on as it was$`, "failover")
	d.a.order(exitDone, `(?m)^four: nobody was heard to take over within 200ms: drained, and this node serves until a healthy one does$`, "drain", "--force")
	d.a.wantStatus(exitDone, "drained")

	d.b.start() // a healthy one
	for _, vip := range []string{vipFour, vipSix} {
		only(t, settled, vip, d.b, d.a)
	}
	d.a.order(exitDone, "(?m)^four: takes over from", "undrain")
	for _, vip := range []string{vipFour, vipSix} {
		only(t, settled, vip, d.a, d.b)
	}
	until := time.Now()
	d.a.order(exitDone, "drained until 20.*, or 'holdfast undrain'", "drain", "--for", "2s")
	for _, vip := range []string{vipFour, vipSix} {
		only(t, room+lingers(vip), vip, d.b, d.a)
	}
	for _, vip := range []string{vipFour, vipSix} {
		only(t, settled, vip, d.a, d.b)
	}
	if took := time.Since(until); took < 2*time.Second {
		t.Errorf("drained for 2s it was back after %v", took)
	}
	d.lossless(t, began)

	for _, how := range []syscall.Signal{syscall.SIGKILL, syscall.SIGUSR2} {
		began := time.Now()
		d.a.order(exitDone, "(?m)^drained until 'holdfast undrain' or a reboot$", "drain", "--persist")
		must(t, d.a.daemon.Signal(how))
		<-d.a.daemon.Done()
		d.a.start()
		d.a.wantLog("still drained, as ordered before the restart")
		during(t, 2*detection(interval, highest)+room, "b serves", func() bool { return d.b.has(vipFour) && d.b.has(vipSix) })
		if i := d.a.instance("four"); i.State != "backup" || i.Drain == nil || !i.Drain.Persist {
			t.Errorf("%v: restarted it is %s, drain %+v", how, i.State, i.Drain)
		}
		d.a.order(exitDone, "(?m)^four: takes over from", "undrain")
		for _, vip := range []string{vipFour, vipSix} {
			only(t, settled, vip, d.a, d.b)
		}
		d.lossless(t, began)
	}
}

// keepalived takes over from a node that is drained, and gives back.
func TestDrainToKeepalived(t *testing.T) {
	t.Parallel()
	for name, mix := range map[string]mix{"version 2": version2, "version 3": version3} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMatch(t, mix)
			m.ours.run(m.holdfast(strong))
			m.startKeepalived(m.keepalived(weak))
			m.only("both started: ours alone is master", m.ours, m.theirs, m.down(strong))
			// One after the other: it announces the addresses of one router before it
			// looks at the next, and for six takes as long as a drain waits.
			for _, d := range m.dialects {
				began := time.Now()
				out := m.ours.order(exitDone, tookOver(d.name, ".*"), "drain", d.name)
				wantTook(t, out, time.Since(began))
			}
			m.only("drained: keepalived alone is master", m.theirs, m.ours, lingerMost6)
			m.stays(m.theirs, m.ours)
			m.ours.order(exitDone, "takes over from", "undrain")
			m.only("undrained: ours alone is master", m.ours, m.theirs, m.down(strong))
			m.noComplaint()
		})
	}
}

// Draining one instance of a group drains both sides, without loss.
func TestDrainOfAGroup(t *testing.T) {
	l := newLab(t)
	wire, err := l.Switch("inside")
	must(t, err)
	n := nodes(t, l, 2)
	a, b := n[0], n[1]
	for i, n := range n {
		_, err := n.Plug("eth1", wire, []string{"198.51.100.1/24", "198.51.100.2/24"}[i])
		must(t, err)
	}
	a.run(gatewayTOML(t, "150"))
	b.run(gatewayTOML(t, "100"))
	serves := func(n, other *node) func() bool {
		return func() bool {
			return n.has(vipFour) && n.has(insideVIP) && !other.has(vipFour) && !other.has(insideVIP)
		}
	}
	eventually(t, settled, "a has both", serves(a, b))
	outside := probes(t, newClient(t, l), vipFour)[0]
	served(t, outside, a)
	began := time.Now()
	out := a.order(exitDone, tookOver("outside", "192.0.2.2"), "drain", "inside")
	if !regexp.MustCompile(tookOver("inside", `198\.51\.100\.2`)).MatchString(out) {
		t.Errorf("the drain says:\n%s", out)
	}
	eventually(t, room+lingerMost, "b has both", serves(b, a))
	a.order(exitDone, "(?m)^outside: takes over from", "undrain", "outside")
	eventually(t, settled, "a has both again", serves(a, b))
	lossless(t, "outside", outside, began)
}
