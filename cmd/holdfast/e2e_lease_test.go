package main

// Dead and frozen daemons let go, and what others take away comes back.

import (
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
)

func addrOf(text string) netip.Addr { return netip.MustParseAddr(text) }

// holding is who had an address for a while: the names of the nodes together.
type holding struct {
	Who      string
	From, To time.Time
}

// watched keeps who has an address, looking about every millisecond.
type watched struct {
	spans []holding
	stop  chan struct{}
	done  chan struct{}
}

// watch begins to look. The node that may take over is named first: it is
// looked at first, so that a hand-over between two looks is no overlap.
func watch(t *testing.T, vip string, nodes ...*node) *watched {
	t.Helper()
	w := &watched{stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(w.done)
		for {
			who := ""
			for _, n := range nodes {
				if n.has(vip) {
					who += n.Name()
				}
			}
			at := time.Now() // what was seen may have begun while it was looked at
			if k := len(w.spans); k == 0 || w.spans[k-1].Who != who {
				w.spans = append(w.spans, holding{Who: who, From: at})
			}
			w.spans[len(w.spans)-1].To = time.Now()
			select {
			case <-w.stop:
				return
			case <-time.After(time.Millisecond):
			}
		}
	}()
	t.Cleanup(w.end)
	return w
}

func (w *watched) end() {
	select {
	case <-w.stop:
	default:
		close(w.stop)
	}
	<-w.done
}

// both is how long two nodes had the address since a moment. It ends the watch.
func (w *watched) both(since time.Time) (sum time.Duration) {
	w.end()
	for _, s := range w.spans {
		if from := maxTime(s.From, since); len(s.Who) > 1 && s.To.After(from) {
			sum += s.To.Sub(from)
		}
	}
	return sum
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// String tells the whole story.
func (w *watched) String() string {
	w.end()
	var parts []string
	for _, s := range w.spans {
		who := s.Who
		if who == "" {
			who = "nobody"
		}
		parts = append(parts, fmt.Sprintf("%s for %s", who, ms(s.To.Sub(s.From))))
	}
	return strings.Join(parts, ", then ")
}

// wantAlways checks that nothing but this was ever seen.
func (w *watched) wantAlways(t *testing.T, who string) {
	t.Helper()
	w.end()
	if len(w.spans) != 1 || w.spans[0].Who != who {
		t.Errorf("the address was held by %v, want %s all the time", w, who)
	}
}

// watchBoth watches both addresses of a duo; b is the one that takes over.
func (d *duo) watchBoth(t *testing.T) []*watched {
	return []*watched{watch(t, vipFour, d.b, d.a), watch(t, vipSix, d.b, d.a)}
}

// overlapMost is for how long a dead node and its successor may both have an
// address: not at all where whole seconds of lease allow it.
func overlapMost(interval time.Duration) time.Duration {
	if interval >= time.Second {
		return 0
	}
	return 1500*time.Millisecond + room
}

// A daemon is killed and does not come back: the kernel takes the address away.
func TestLeaseKilled(t *testing.T) {
	for _, interval := range []time.Duration{10 * time.Millisecond, 100 * time.Millisecond, time.Second} {
		quick(t, interval, func(t *testing.T) {
			d := newDuo(t, duoTOML(highest, interval), duoTOML(lower, interval))
			held := d.watchBoth(t)
			began := time.Now()
			if err := d.a.daemon.Kill(); err != nil {
				t.Fatal(err)
			}
			for _, vip := range []string{vipFour, vipSix} {
				eventually(t, detection(interval, lower)+room-min(time.Since(began), detection(interval, lower)), "b has "+vip, func() bool { return d.b.has(vip) })
				only(t, overlapMost(interval), vip, d.b, d.a)
			}
			for n, vip := range []string{vipFour, vipSix} {
				both := held[n].both(began)
				t.Logf("measured: %s: two holders for %s: %v", vip, ms(both), held[n])
				if both > overlapMost(interval) {
					t.Errorf("%s: two holders for %v, want at most %v", vip, both, overlapMost(interval))
				}
			}
		})
	}
}

// When the daemon dies just before its next advert was due, the address is gone
// before the successor has it all the same, though that one counts from the last
// advert; with the shortest skew there is.
func TestLeaseKilledLate(t *testing.T) {
	const interval = time.Second
	t.Parallel()
	d := newDuo(t, duoTOML(254, interval), duoTOML(253, interval))
	adverts := captureAdverts(t, d.client, "eth0", 51)
	held := d.watchBoth(t)
	eventually(t, 2*interval, "a speaks", func() bool { return adverts.count() > 0 })
	time.Sleep(interval * 95 / 100)
	began := time.Now()
	if err := d.a.daemon.Kill(); err != nil {
		t.Fatal(err)
	}
	for n, vip := range []string{vipFour, vipSix} {
		only(t, detection(interval, 253)+room, vip, d.b, d.a)
		both := held[n].both(began)
		t.Logf("measured: %s: two holders for %s: %v", vip, ms(both), held[n])
		if both > 0 {
			t.Errorf("%s: two holders for %v", vip, both)
		}
	}
}

// A daemon is frozen for 6 s: nobody else is disturbed, and when it runs again
// it listens, and takes over without loss if it may.
func TestLeaseFrozen(t *testing.T) {
	const interval, pause = time.Second, 6 * time.Second
	for _, preempt := range []bool{true, false} {
		t.Run(fmt.Sprintf("preempt %v", preempt), func(t *testing.T) {
			t.Parallel()
			d := newDuo(t, duoTOML(highest, interval, fmt.Sprintf("preempt = %v", preempt)), duoTOML(lower, interval))
			held := d.watchBoth(t)
			began := time.Now()
			resumed := d.freeze(t, d.a, pause, func() {
				for _, vip := range []string{vipFour, vipSix} {
					if d.a.has(vip) || !d.b.has(vip) {
						t.Errorf("after %v: a has %s: %v, b has it: %v", pause, vip, d.a.has(vip), d.b.has(vip))
					}
				}
			})
			if preempt {
				for _, vip := range []string{vipFour, vipSix} {
					only(t, detection(interval, highest)+lingers(vip)+room, vip, d.a, d.b)
				}
			} else {
				during(t, detection(interval, highest)+interval, "b keeps the addresses", func() bool {
					return d.b.has(vipFour) && d.b.has(vipSix) && !d.a.has(vipFour) && !d.a.has(vipSix)
				})
			}
			d.lossless(t, resumed)
			for n, vip := range []string{vipFour, vipSix} {
				after := held[n].both(resumed)
				before := held[n].both(began) - after
				t.Logf("measured: %s: two holders for %s while frozen, %s after: %v", vip, ms(before), ms(after), held[n])
				if most := lingers(vip) + room; before > 0 || after > most || !preempt && after > 0 {
					t.Errorf("%s: two holders for %v while frozen and %v after, want 0 and at most %v", vip, before, after, most)
				}
			}
			d.a.wantLog("the daemon could not run for a while")
		})
	}
}

// freeze stops a daemon for a while, looks at something then, and returns when
// it let the daemon go on.
func (d *duo) freeze(t *testing.T, n *node, pause time.Duration, look func()) (resumed time.Time) {
	t.Helper()
	if err := n.daemon.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	time.Sleep(pause) // the time is what is tested
	look()
	resumed = time.Now()
	if err := n.daemon.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	return resumed
}

// A daemon is stopped for longer than a lease, and goes on before it must listen:
// what it says of its address is what happened, and so it is when somebody removes
// it afterwards.
func TestLeaseRunsOut(t *testing.T) {
	const interval = 2 * time.Second // three of them are more than the lease and what the kernel may be late
	const lapsed, removed = "address was put back after its lease ran out", "address was removed by somebody else and put back"
	t.Parallel()
	n := newNode(t, newLab(t), "a", "192.0.2.1/24")
	n.run(instanceTOML(254, interval.String(), []string{vipFour + "/24"}, "lease = 1"))
	eventually(t, detection(interval, 254)+settled, "the address is there", func() bool { return n.has(vipFour) })
	eventually(t, time.Second, "it is known to be there", func() bool { return n.instance("web").Addresses[0].Present })
	if err := n.daemon.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	gone := eventually(t, 2*time.Second+room, "the kernel takes the address away", func() bool { return !n.has(vipFour) })
	if err := n.daemon.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	back := eventually(t, room, "the address is back", func() bool { return n.has(vipFour) })
	n.wantLog(lapsed, vipFour+"/24, last renewed ", " ago for 1s: this node could not act for ")
	if strings.Contains(n.daemon.Output(), removed) {
		t.Error("it blames somebody else")
	}
	for line := range strings.Lines(n.daemon.Output()) {
		if strings.Contains(line, lapsed) {
			t.Logf("measured: gone %s after the stop, back %s after that: %s", ms(gone), ms(back), strings.TrimSpace(line))
		}
	}
	if c := n.instance("web").Counters; c.AddressesLapsed != 1 || c.AddressesRepaired != 0 || c.LeftMaster != 0 {
		t.Errorf("lapsed %d times, repaired %d, left master %d", c.AddressesLapsed, c.AddressesRepaired, c.LeftMaster)
	}
	if err := n.RemoveAddress("eth0", vipFour+"/24"); err != nil {
		t.Fatal(err)
	}
	n.wantLog(removed)
	eventually(t, time.Second, "the removal is counted", func() bool { return n.instance("web").Counters.AddressesRepaired == 1 })
}

// An address that somebody deletes is back at once, and no node changes its
// state for it.
func TestLeaseDeletedByHand(t *testing.T) {
	const interval, most = time.Second, 5 * time.Millisecond
	t.Parallel()
	d := newDuo(t, duoTOML(highest, interval), duoTOML(lower, interval))
	hooksRan(t, d.a, 4)
	before, peer := d.a.story(), d.b.story()
	const times = 3
	for name, prefix := range map[string]string{"four": vipFour + "/24", "six": vipSix + "/64"} {
		var gone []string
		for k := range times {
			took := d.a.deleted(prefix)
			gone = append(gone, ms(took))
			if took > most+room {
				t.Errorf("%s was back after %v, want at most %v", prefix, took, most)
			}
			// Deleted again before it was seen is another case.
			eventually(t, room, "the repair is counted", func() bool {
				return d.a.instance(name).Counters.AddressesRepaired == uint64(k+1)
			})
		}
		t.Logf("measured: %s was back after %s", prefix, strings.Join(gone, ", "))
	}
	during(t, interval, "a alone has the addresses", func() bool {
		return d.a.has(vipFour) && d.a.has(vipSix) && !d.b.has(vipFour) && !d.b.has(vipSix)
	})
	sameStory(t, d.a, before)
	sameStory(t, d.b, peer)
}

// deleted removes an address and returns how long the kernel was without, as
// the kernel's own notifications tell.
func (n *node) deleted(prefix string) time.Duration {
	n.t.Helper()
	p := netip.MustParsePrefix(prefix)
	updates, stop := make(chan netlink.AddrUpdate, 64), make(chan struct{})
	defer close(stop)
	if err := n.Do(func() error { return netlink.AddrSubscribe(updates, stop) }); err != nil {
		n.t.Fatal(err)
	}
	var removed bool
	var gone time.Time
	deadline := time.After(5 * time.Second)
	for {
		select {
		case u := <-updates:
			addr, _ := netip.AddrFromSlice(u.LinkAddress.IP)
			switch {
			case addr.Unmap() != p.Addr():
			case !removed: // renewed just now; a renewal in that moment might put it back unseen
				if err := n.RemoveAddress("eth0", prefix); err != nil {
					n.t.Fatal(err)
				}
				removed = true
			case !u.NewAddr:
				gone = time.Now()
			case !gone.IsZero():
				return time.Since(gone)
			}
		case <-deadline:
			n.t.Fatalf("%s did not come back", prefix)
		}
	}
}
