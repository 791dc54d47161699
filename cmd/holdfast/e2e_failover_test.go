package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/lab"
)

const (
	vipFour = "192.0.2.100"
	vipSix  = "2001:db8::100"

	// settled is ample for daemons that were just started to elect a master. It
	// is no bound of the design: nothing is measured by it.
	settled = 15 * time.Second
)

// namedTOML is instanceTOML with a name and a VRID of one's own.
func namedTOML(name string, vrid, priority int, interval string, addresses []string, lines ...string) string {
	return strings.NewReplacer(
		`name = "web"`, fmt.Sprintf("name = %q", name),
		"vrid = 51", fmt.Sprintf("vrid = %d", vrid),
	).Replace(instanceTOML(priority, interval, addresses, lines...))
}

// bothTOML renders one instance for each address family, so that one event is
// measured for both, and each without the other's help.
func bothTOML(priority int, interval string, lines ...string) string {
	return namedTOML("four", 51, priority, interval, []string{vipFour + "/24"}, lines...) +
		namedTOML("six", 52, priority, interval, []string{vipSix + "/64"}, lines...)
}

// nodes adds hosts a, b, … which answer the probe, at 192.0.2.1 and
// 2001:db8::1 and so on.
func nodes(t *testing.T, l *lab.Lab, count int) []*node {
	t.Helper()
	list := make([]*node, count)
	for n := range list {
		list[n] = newNode(t, l, string(rune('a'+n)),
			fmt.Sprintf("192.0.2.%d/24", n+1), fmt.Sprintf("2001:db8::%d/64", n+1))
		if _, err := list[n].Echo(); err != nil {
			t.Fatal(err)
		}
	}
	return list
}

// client adds a host that uses the service.
func newClient(t *testing.T, l *lab.Lab) *lab.Host {
	t.Helper()
	h, err := l.Host("client", "192.0.2.200/24", "2001:db8::200/64")
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// probes asks each address a thousand times a second.
func probes(t *testing.T, client *lab.Host, addrs ...string) []*lab.Probe {
	t.Helper()
	list := make([]*lab.Probe, len(addrs))
	for n, a := range addrs {
		p, err := client.Probe(netip.MustParseAddr(a), 1000)
		if err != nil {
			t.Fatal(err)
		}
		list[n] = p
	}
	return list
}

// served waits until the probe's latest answer is from the node.
func served(t *testing.T, p *lab.Probe, by *node) {
	t.Helper()
	eventually(t, settled, "the client is served by "+by.Name(), func() bool {
		now := time.Now()
		return p.Between(now.Add(-20*time.Millisecond), now).LastServer() == by.Name()
	})
}

// answered is how long after a moment the node first served the client. It is
// to be asked once it is known that the node does.
func answered(t *testing.T, p *lab.Probe, since time.Time, by *node) time.Duration {
	t.Helper()
	r := p.Between(since, time.Now())
	for _, s := range r.Servers {
		if s.Server == by.Name() {
			return s.From.Sub(since)
		}
	}
	t.Fatalf("%s never served: %v", by.Name(), r)
	return 0
}

// lossless reports what was never answered since a moment. An answer that the
// busy machine brought late is not lost.
func lossless(t *testing.T, what string, p *lab.Probe, since time.Time) {
	t.Helper()
	r := p.Between(since, time.Now())
	t.Logf("measured: %s: %v", what, r)
	if gone := r.Lost - r.Late; gone > 0 {
		t.Errorf("%s: %d of %d datagrams were lost, %s", what, gone, r.Sent, whenLost(p, since))
	}
	if r.Sent == 0 {
		t.Errorf("%s: the probe asked nothing", what)
	}
}

// whenLost tells in which moments datagrams were lost, to 5 ms.
func whenLost(p *lab.Probe, since time.Time) string {
	const slot = 5 * time.Millisecond
	var at []string
	for from := since; from.Before(time.Now()) && len(at) < 10; from = from.Add(slot) {
		if r := p.Between(from, from.Add(slot)); r.Lost > r.Late {
			at = append(at, from.Sub(since).String())
		}
	}
	return "after " + strings.Join(at, ", ")
}

func ms(d time.Duration) string { return d.Round(100 * time.Microsecond).String() }

// quick runs f at once, or with others when the interval makes it mostly wait.
func quick(t *testing.T, interval time.Duration, f func(*testing.T)) {
	t.Run(interval.String(), func(t *testing.T) {
		if interval >= time.Second {
			t.Parallel()
		}
		f(t)
	})
}

// A dead host's addresses are with the backup, and the client is served, within
// 3 adverts and the skew: design section 4, promise 2.
func TestFailover(t *testing.T) {
	cuts := []struct {
		name string
		cut  func(*node) error
	}{
		{"cable pulled", func(n *node) error { return n.Unplug() }},
		{"silent death", func(n *node) error { return n.Isolate(true) }},
	}
	for _, c := range cuts {
		t.Run(c.name, func(t *testing.T) {
			for _, interval := range []time.Duration{10 * time.Millisecond, 100 * time.Millisecond, time.Second} {
				quick(t, interval, func(t *testing.T) { failover(t, interval, c.cut) })
			}
		})
	}
}

func failover(t *testing.T, interval time.Duration, cut func(*node) error) {
	l := newLab(t)
	n := nodes(t, l, 2)
	a, b := n[0], n[1]
	a.run(bothTOML(150, interval.String()))
	b.run(bothTOML(100, interval.String()))
	only(t, settled, vipFour, a, b)
	only(t, settled, vipSix, a, b)
	ps := probes(t, newClient(t, l), vipFour, vipSix)
	for _, p := range ps {
		served(t, p, a)
	}

	began := time.Now()
	if err := cut(a); err != nil {
		t.Fatal(err)
	}
	most := detection(interval, 100) + room
	for n, vip := range []string{vipFour, vipSix} {
		eventually(t, most-time.Since(began), "b has "+vip, func() bool { return b.has(vip) })
		has := time.Since(began)
		served(t, ps[n], b)
		took := answered(t, ps[n], began, b)
		t.Logf("measured: %s: address on the backup after %s, client served after %s (3 adverts + skew: %s)",
			vip, ms(has), ms(took), ms(detection(interval, 100)))
		if took > most {
			t.Errorf("%s: the client was served after %v, want at most %v", vip, took, most)
		}
	}
}

// A stop hands over without losing a datagram: promise 4.
func TestPlannedStop(t *testing.T) {
	for _, version := range []int{3, 2} {
		t.Run(fmt.Sprintf("version %d", version), func(t *testing.T) {
			intervals := []time.Duration{10 * time.Millisecond, 100 * time.Millisecond, time.Second}
			if version == 2 {
				intervals = intervals[2:]
			}
			for _, interval := range intervals {
				quick(t, interval, func(t *testing.T) { plannedStop(t, version, interval) })
			}
		})
	}
}

func plannedStop(t *testing.T, version int, interval time.Duration) {
	config, vips := bothTOML, []string{vipFour, vipSix}
	if version == 2 {
		vips = vips[:1]
		config = func(priority int, interval string, lines ...string) string {
			return instanceTOML(priority, interval, []string{vipFour + "/24"}, append(lines, "version = 2")...)
		}
	}
	l := newLab(t)
	n := nodes(t, l, 2)
	a, b := n[0], n[1]
	a.run(config(150, interval.String()))
	b.run(config(100, interval.String()))
	for _, vip := range vips {
		only(t, settled, vip, a, b)
	}
	ps := probes(t, newClient(t, l), vips...)
	for _, p := range ps {
		served(t, p, a)
	}

	began := time.Now()
	a.stop()
	stopped := time.Since(began)
	for n, vip := range vips {
		if !b.has(vip) || a.has(vip) {
			t.Errorf("after the stop: a has %s: %v, b has it: %v", vip, a.has(vip), b.has(vip))
		}
		served(t, ps[n], b)
	}
	t.Logf("measured: the stop took %s", ms(stopped))
	if most := detection(interval, 100) + room; stopped > most {
		t.Errorf("the stop took %v, want at most %v", stopped, most)
	}
	for n, vip := range vips {
		lossless(t, vip, ps[n], began)
	}
}

// A host that comes back takes over again, or not, or later, as it was told to;
// and when it does nothing is lost.
func TestReturn(t *testing.T) {
	t.Parallel()
	const interval = 100 * time.Millisecond
	cases := []struct {
		preempt string
		after   time.Duration // the preempt delay
		never   bool
	}{
		{preempt: "true"},
		{preempt: "false", never: true},
		{preempt: `"1s"`, after: time.Second},
	}
	for _, c := range cases {
		t.Run("preempt "+strings.Trim(c.preempt, `"`), func(t *testing.T) {
			l := newLab(t)
			n := nodes(t, l, 2)
			a, b := n[0], n[1]
			a.run(bothTOML(150, interval.String(), "preempt = "+c.preempt))
			only(t, settled, vipFour, a, b)
			only(t, settled, vipSix, a, b)
			b.run(bothTOML(100, interval.String()))
			eventually(t, settled, "b hears a", func() bool { return b.instance("six").Master != nil })
			if err := a.Unplug(); err != nil {
				t.Fatal(err)
			}
			only(t, settled, vipFour, b, a)
			only(t, settled, vipSix, b, a)
			ps := probes(t, newClient(t, l), vipFour, vipSix)
			for _, p := range ps {
				served(t, p, b)
			}

			began := time.Now()
			if err := a.PlugIn(); err != nil {
				t.Fatal(err)
			}
			returned(t, a, b, began, c.after, c.never)
			for n, vip := range []string{vipFour, vipSix} {
				lossless(t, vip, ps[n], began)
			}
		})
	}
}

// returned watches who serves after a came back at the time began.
func returned(t *testing.T, a, b *node, began time.Time, after time.Duration, never bool) {
	t.Helper()
	const interval = 100 * time.Millisecond
	if never || after > 0 {
		watch := after
		if never {
			watch = 5 * detection(interval, 150)
		}
		during(t, watch-time.Since(began), "b keeps the addresses, a has none", func() bool {
			return b.has(vipFour) && b.has(vipSix) && !a.has(vipFour) && !a.has(vipSix)
		})
	}
	if never {
		if i := a.instance("four"); i.State != "backup" || i.Master == nil || i.Master.Address != "192.0.2.2" {
			t.Errorf("a is %s (%s), master %v: want backup of 192.0.2.2", i.State, i.Reason, i.Master)
		}
		return
	}
	// The carrier has to be noticed, and the delay begins with the first advert
	// heard.
	most := after + detection(interval, 150) + interval + room
	for _, vip := range []string{vipFour, vipSix} {
		eventually(t, most-time.Since(began), "a has "+vip, func() bool { return a.has(vip) })
		t.Logf("measured: a has %s again after %s", vip, ms(time.Since(began)))
	}
	only(t, room, vipFour, a, b)
	only(t, room, vipSix, a, b)
	during(t, 300*time.Millisecond, "a alone has the addresses", func() bool {
		return a.has(vipFour) && a.has(vipSix) && !b.has(vipFour) && !b.has(vipSix)
	})
}

// When a partition heals, one of two masters stays, and the client finds it at
// once, whichever of them speaks first.
func TestHeal(t *testing.T) {
	t.Parallel()
	const interval = 200 * time.Millisecond
	l := newLab(t)
	n := nodes(t, l, 2)
	a, b := n[0], n[1]
	a.run(bothTOML(150, interval.String()))
	b.run(bothTOML(100, interval.String()))
	only(t, settled, vipFour, a, b)
	only(t, settled, vipSix, a, b)
	ps := probes(t, newClient(t, l), vipFour, vipSix)
	for round := range 6 {
		if err := a.Isolate(true); err != nil {
			t.Fatal(err)
		}
		for _, p := range ps {
			served(t, p, b)
		}
		time.Sleep(time.Duration(round) * interval / 6) // another phase each time
		began := time.Now()
		if err := a.Isolate(false); err != nil {
			t.Fatal(err)
		}
		only(t, interval+room, vipFour, a, b)
		only(t, interval+room, vipSix, a, b)
		for n, vip := range []string{vipFour, vipSix} {
			eventually(t, interval+room, "the client is served by a at "+vip, func() bool {
				now := time.Now()
				return ps[n].Between(now.Add(-20*time.Millisecond), now).LastServer() == "a"
			})
			r := ps[n].Between(began, time.Now())
			loser := time.Duration(0) // until when the client's datagrams reached it
			for _, s := range r.Servers {
				if s.Server == "b" {
					loser = s.To.Sub(began)
				}
			}
			t.Logf("measured: round %d: %s: the winner alone is reached after %s: %v", round, vip, ms(loser), r)
			if loser > interval+room {
				t.Errorf("%s: the loser was reached for %v, want at most %v", vip, loser, interval+room)
			}
		}
	}
}

// Of three nodes the best that is left serves, and nobody else.
func TestThreeNodes(t *testing.T) {
	const interval = 100 * time.Millisecond
	l := newLab(t)
	n := nodes(t, l, 3)
	priorities := []int{200, 150, 100}
	for i, p := range priorities {
		n[i].run(bothTOML(p, interval.String()))
	}
	a, b, c := n[0], n[1], n[2]
	p := probes(t, newClient(t, l), vipFour)[0]
	alone := func(what string, most time.Duration, best *node) {
		t.Helper()
		others := slices.DeleteFunc(slices.Clone(n), func(o *node) bool { return o == best })
		began := time.Now()
		only(t, most, vipFour, best, others...)
		only(t, max(room, most-time.Since(began)), vipSix, best, others...)
		t.Logf("measured: %s: %s alone has both addresses after %s", what, best.Name(), ms(time.Since(began)))
		served(t, p, best)
		during(t, 2*interval, best.Name()+" alone has the addresses", func() bool {
			for _, vip := range []string{vipFour, vipSix} {
				if !best.has(vip) || slices.ContainsFunc(others, func(o *node) bool { return o.has(vip) }) {
					return false
				}
			}
			return true
		})
	}
	alone("start", settled, a)
	for _, step := range []struct {
		what string
		do   func() error
		best *node
		bad  int // priority of the slowest to notice
	}{
		{"a dies", a.Unplug, b, 150},
		{"b dies", b.Unplug, c, 100},
		{"b returns", b.PlugIn, b, 150},
		{"a returns", a.PlugIn, a, 200},
		{"b dies again", b.Unplug, a, 0},
		{"a dies again", a.Unplug, c, 100},
	} {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		alone(step.what, detection(interval, step.bad)+interval+room, step.best)
	}
}

// Of two with the same priority the higher address wins when both start, and
// who serves already stays.
func TestEqualPriorities(t *testing.T) {
	t.Parallel()
	const interval = 100 * time.Millisecond
	l := newLab(t)
	n := nodes(t, l, 2)
	a, b := n[0], n[1]
	a.run(instanceTOML(100, interval.String(), []string{vipFour + "/24"}))
	only(t, settled, vipFour, a, b)
	b.run(instanceTOML(100, interval.String(), []string{vipFour + "/24"}))
	during(t, 3*detection(interval, 100), "a, which was first, alone has the address", func() bool { return a.has(vipFour) && !b.has(vipFour) })

	// Two that did not hear each other are as two that start together.
	if err := a.Isolate(true); err != nil {
		t.Fatal(err)
	}
	eventually(t, detection(interval, 100)+room, "b has the address", func() bool { return b.has(vipFour) })
	if err := a.Isolate(false); err != nil {
		t.Fatal(err)
	}
	took := only(t, interval+room, vipFour, b, a)
	t.Logf("measured: two masters of the same priority for %s", ms(took))
	during(t, 3*detection(interval, 100), "b, with the higher address, alone has it", func() bool { return b.has(vipFour) && !a.has(vipFour) })
	if why := a.instance("web").Reason; !strings.Contains(why, "192.0.2.2") {
		t.Errorf("a does not tell who is master: %q", why)
	}
}

// Two that both claim to own the address: a mistake, which is told, and only
// one serves.
func TestTwoOwners(t *testing.T) {
	const interval = 100 * time.Millisecond
	l := newLab(t)
	n := nodes(t, l, 2)
	a, b := n[0], n[1]
	for _, o := range n {
		o.run(bothTOML(255, interval.String()))
	}
	for _, o := range n {
		eventually(t, settled, o.Name()+" is master of both", func() bool {
			return strings.Count(o.daemon.Output(), `reason="address owner"`) == 2
		})
	}
	// IPv6 elects by the link-local addresses, whose order is by chance.
	most := interval + room
	took := only(t, most, vipFour, b, a)
	eventually(t, most, "one alone has "+vipSix, func() bool { return a.has(vipSix) != b.has(vipSix) })
	t.Logf("measured: two owners for %s", ms(took))
	six := a.has(vipSix)
	during(t, 10*interval, "one alone has each address, always the same", func() bool {
		return !a.has(vipFour) && b.has(vipFour) && a.has(vipSix) == six && b.has(vipSix) != six
	})
	if log := a.daemon.Output() + b.daemon.Output(); !strings.Contains(log, "another address owner is heard") {
		t.Error("nobody was told that there are two address owners")
	}
}
