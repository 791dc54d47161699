package sniff

import (
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// story is all that was found in frames, one line each: the time since the
// start, who, and what.
func story(t *testing.T, frames []Frame) (lines []string) {
	t.Helper()
	w := NewWatch()
	w.WantAnnouncements = true
	add := func(at time.Time, who netip.Addr, list ...Finding) {
		for _, f := range list {
			lines = append(lines, fmt.Sprintf("%v %v %s", at.Sub(start), who, f.Kind))
		}
	}
	for _, f := range frames {
		var events []Event
		if a, ok := DecodeAdvert(f); ok {
			events = w.Advert(&a)
			for _, e := range events {
				add(e.Time, e.Source, e.Finding)
			}
			add(a.Time, a.Source, a.Findings...)
			continue
		}
		n, ok := DecodeAnnouncement(f)
		if !ok {
			t.Fatalf("% x", f.Data)
		}
		events, _ = w.Announcement(&n)
		for _, e := range events {
			add(e.Time, e.Source, e.Finding)
		}
		add(n.Time, n.Address, n.Findings...)
	}
	return lines
}

// TestStories has what routers do to each other, and what is told of it.
func TestStories(t *testing.T) {
	ms := time.Millisecond
	a := func(changes ...change) *datagram {
		return send(lb1, good(lb1, 51, 150, second, vip), false, changes...)
	}
	b := func(changes ...change) *datagram {
		return send(lb2, good(lb2, 51, 100, second, vip), false, changes...)
	}
	to := func(dst netip.Addr) change { return func(d *datagram) { d.dst, d.to = dst, macOf(dst); reseal(d) } }
	release := send(lb1, good(lb1, 51, vrrp.PriorityRelease, second, vip), false)
	for _, tt := range []struct {
		name   string
		record func(r *recorded)
		want   []string
	}{
		{"a master alone", func(r *recorded) { r.add(a()).repeat(9, second, a()) }, []string{"0s 192.0.2.1 master"}},
		{"one advert is late", func(r *recorded) { r.add(a()).wait(1700 * ms).add(a()).wait(1800 * ms).add(a()) }, []string{
			"0s 192.0.2.1 master", "3.5s 192.0.2.1 gap",
		}},
		{"silent and back", func(r *recorded) { r.add(a()).wait(5*second).add(a()).repeat(2, second, a()) }, []string{
			"0s 192.0.2.1 master", "3.01s 192.0.2.1 silent", "5s 192.0.2.1 back",
		}},
		{"a takeover after silence", func(r *recorded) { r.add(a()).wait(3600*ms).add(b()).repeat(3, second, b()) }, []string{
			"0s 192.0.2.1 master", "3.01s 192.0.2.1 silent", "3.6s 192.0.2.2 takeover",
		}},
		{"a preempted one is no silent one", func(r *recorded) { r.add(b()).wait(700*ms).add(a()).repeat(9, second, a()) }, []string{
			"0s 192.0.2.2 master", "700ms 192.0.2.1 preempt",
		}},
		{"adverts that cross", func(r *recorded) { r.add(b()).wait(second).add(a()).wait(ms).add(b()).wait(second).add(a()) }, []string{
			"0s 192.0.2.2 master", "1s 192.0.2.1 preempt",
		}},
		{"a release, told once", func(r *recorded) { r.add(a()).add(release).add(release).wait(600*ms).add(b()).repeat(5, second, b()) }, []string{
			"0s 192.0.2.1 master", "0s 192.0.2.1 release", "600ms 192.0.2.2 takeover",
		}},
		{"a release that nobody answers", func(r *recorded) { r.add(a()).add(release).wait(5 * second).add(a()) }, []string{
			"0s 192.0.2.1 master", "0s 192.0.2.1 release", "5s 192.0.2.1 back",
		}},
		{"two masters, then one", func(r *recorded) {
			for range 3 {
				r.wait(500 * ms).add(a()).wait(500 * ms).add(b())
			}
			r.repeat(5, second, a())
		}, []string{
			"500ms 192.0.2.1 master", "1s 192.0.2.2 two_masters", "2s 192.0.2.2 two_masters", "3s 192.0.2.2 two_masters",
			"6.01s 192.0.2.2 one_master",
		}},
		{"two masters in phase", func(r *recorded) {
			for range 3 {
				r.wait(second).add(a()).wait(ms).add(b())
			}
		}, []string{"1s 192.0.2.1 master", "2.002s 192.0.2.2 two_masters", "3.003s 192.0.2.2 two_masters"}},
		{"two masters, and the better one dies", func(r *recorded) {
			r.add(a()).wait(500*ms).add(b()).repeat(5, second, b())
		}, []string{
			"0s 192.0.2.1 master", "500ms 192.0.2.2 two_masters", "1.5s 192.0.2.2 two_masters", "2.5s 192.0.2.2 two_masters",
			"3.01s 192.0.2.1 silent", "3.5s 192.0.2.2 one_master", "3.5s 192.0.2.2 takeover",
		}},
		{"two masters, one gives up", func(r *recorded) {
			r.add(send(lb2, good(lb2, 51, 200, second, vip), false)).wait(500 * ms).add(a()).wait(ms).add(release)
		}, []string{"0s 192.0.2.2 master", "500ms 192.0.2.1 two_masters", "501ms 192.0.2.1 release", "501ms 192.0.2.1 one_master"}},
		{"other links and families are other routers", func(r *recorded) {
			r.add(a()).wait(500 * ms).add(b(func(d *datagram) { d.vlans = []uint16{10} }))
			r.add(send(lb2v6, good(lb2v6, 51, 100, second, local6), false)).add(send(lb2, good(lb2, 52, 100, second, vip), false))
		}, []string{"0s 192.0.2.1 master", "500ms 192.0.2.2 master", "500ms fe80::2 master", "500ms 192.0.2.2 master"}},
		{"unicast peers", func(r *recorded) {
			r.add(a(to(lb2))).add(a(to(ip("192.0.2.3")))).wait(second).add(a(to(lb2))).add(a(to(ip("192.0.2.3"))))
			r.wait(second).add(b(to(lb1)))
		}, []string{"0s 192.0.2.1 master", "2s 192.0.2.2 two_masters"}},
		{"a unicast mesh: each tells once", func(r *recorded) {
			lb3 := ip("192.0.2.3")
			both := func(d *datagram) { r.add(d).add(a(to(lb3))) }
			for range 3 {
				both(a(to(lb2)))
				r.wait(second)
			}
			r.wait(2500 * ms)
			for range 5 {
				r.add(b(to(lb1))).add(b(to(lb3))).wait(second)
			}
		}, []string{"0s 192.0.2.1 master", "5.01s 192.0.2.1 silent", "5.5s 192.0.2.2 takeover"}},
		{"a unicast release, told once", func(r *recorded) {
			lb3 := ip("192.0.2.3")
			zero := func(dst netip.Addr) *datagram {
				return send(lb1, good(lb1, 51, vrrp.PriorityRelease, second, vip), false, to(dst))
			}
			r.add(a(to(lb2))).add(a(to(lb3))).wait(500 * ms).add(zero(lb2)).add(zero(lb3)).wait(600 * ms).add(b(to(lb1))).add(b(to(lb3)))
		}, []string{"0s 192.0.2.1 master", "500ms 192.0.2.1 release", "1.1s 192.0.2.2 takeover"}},
		{"a quick release that is late", func(r *recorded) {
			quick := send(lb1, good(lb1, 51, 150, 10*ms, vip), false)
			r.add(a()).wait(second).add(a()).wait(400*ms).add(quick).wait(80*ms).add(release).wait(6*ms).add(b()).repeat(5, second, b())
		}, []string{"0s 192.0.2.1 master", "1.4s 192.0.2.1 changed", "1.48s 192.0.2.1 release", "1.486s 192.0.2.2 takeover"}},
		{"a shorter interval that stays", func(r *recorded) {
			fast := send(lb1, good(lb1, 51, 150, 100*ms, vip), false)
			r.add(a()).wait(100*ms).add(fast).repeat(3, 100*ms, fast).wait(second).add(fast)
		}, []string{"0s 192.0.2.1 master", "100ms 192.0.2.1 changed", "710ms 192.0.2.1 silent", "1.4s 192.0.2.1 back"}},
		{"a former master takes over beside a third", func(r *recorded) {
			third := send(ip("192.0.2.3"), good(lb1, 51, 90, second, vip), false)
			r.add(b()).wait(second).add(b()).wait(800 * ms).add(a()).wait(second).add(a()).wait(900 * ms).add(release)
			r.wait(6*ms).add(third).wait(ms).add(b()).wait(ms).add(third).wait(998*ms).add(b()).repeat(3, second, b())
		}, []string{
			"0s 192.0.2.2 master", "1.8s 192.0.2.1 preempt", "3.7s 192.0.2.1 release", "3.706s 192.0.2.3 takeover", "3.707s 192.0.2.2 preempt",
		}},
		{"the same at once", func(r *recorded) {
			third := send(ip("192.0.2.3"), good(lb1, 51, 90, second, vip), false)
			r.add(b()).wait(second).add(b()).wait(300 * ms).add(a()).wait(500 * ms).add(release)
			r.wait(6*ms).add(third).wait(ms).add(b()).wait(ms).add(third).wait(998*ms).add(b()).repeat(3, second, b())
		}, []string{
			"0s 192.0.2.2 master", "1.3s 192.0.2.1 preempt", "1.8s 192.0.2.1 release", "1.806s 192.0.2.3 takeover", "1.807s 192.0.2.2 preempt",
		}},
		{"a master that gave way while its better one left", func(r *recorded) {
			third := send(ip("192.0.2.3"), good(lb1, 51, 120, second, vip), false)
			r.add(b()).wait(300*ms).add(a()).wait(second).add(release).wait(500*ms).add(third).repeat(4, second, third)
		}, []string{
			"0s 192.0.2.2 master", "300ms 192.0.2.1 preempt", "1.3s 192.0.2.1 release", "1.8s 192.0.2.3 takeover",
		}},
		{"strangers to each other", func(r *recorded) { r.add(a(to(ip("192.0.2.8")))).wait(second).add(b(to(ip("192.0.2.9")))) }, []string{
			"0s 192.0.2.1 master", "1s 192.0.2.2 master",
		}},
		{"unicast and multicast", func(r *recorded) { r.add(a()).wait(second).add(b(to(lb1))) }, []string{
			"0s 192.0.2.1 master", "1s 192.0.2.2 delivery", "1s 192.0.2.2 two_masters",
		}},
		{"version 2 and 3", func(r *recorded) {
			r.add(a()).wait(second).add(send(lb2, v2(good(lb2, 51, 100, second, vip), ""), false))
		}, []string{"0s 192.0.2.1 master", "1s 192.0.2.2 versions", "1s 192.0.2.2 two_masters"}},
		{"another list, told once and when it is another", func(r *recorded) {
			other := send(lb2, good(lb2, 51, 100, second, vip, ip("192.0.2.101")), false)
			third := send(lb2, good(lb2, 51, 100, second, ip("192.0.2.101")), false)
			r.add(a()).add(release).wait(500*ms).add(other).repeat(2, second, other).wait(second).add(third)
		}, []string{
			"0s 192.0.2.1 master", "0s 192.0.2.1 release", "500ms 192.0.2.2 address_lists", "500ms 192.0.2.2 takeover",
			"3.5s 192.0.2.2 changed", "3.5s 192.0.2.2 address_lists",
		}},
		{"the same priority", func(r *recorded) {
			same := send(lb2, good(lb2, 51, 150, second, vip), false)
			r.add(a()).wait(second).add(same).repeat(2, second, same)
		}, []string{"0s 192.0.2.1 master", "1s 192.0.2.2 same_priority", "1s 192.0.2.2 preempt"}},
		{"two hosts of one address", func(r *recorded) {
			twin := a(func(d *datagram) { d.from = MAC{2, 0, 0, 0, 0, 9} })
			r.add(a()).wait(500 * ms).add(twin).wait(500 * ms).add(a()).wait(500 * ms).add(twin)
		}, []string{"0s 192.0.2.1 master", "500ms 192.0.2.1 changed", "1s 192.0.2.1 duplicate_source", "1.5s 192.0.2.1 duplicate_source"}},
		{"demoted", func(r *recorded) {
			r.add(a()).wait(second).add(send(lb1, good(lb1, 51, 5, second, vip), false)).wait(ms).add(b()).repeat(4, second, b())
		}, []string{"0s 192.0.2.1 master", "1s 192.0.2.1 changed", "1.001s 192.0.2.2 preempt"}},
		{"a damaged packet changes nothing", func(r *recorded) {
			r.add(a()).wait(second).add(a(damage(2, 0x80))).wait(second).add(a())
		}, []string{"0s 192.0.2.1 master", "1s 192.0.2.1 checksum"}},
		{"the clock is set back", func(r *recorded) {
			r.add(a()).repeat(3, second, a()).wait(-9*second).add(a()).repeat(3, second, a())
		}, []string{"0s 192.0.2.1 master"}},
		{"frames out of order", func(r *recorded) {
			r.add(a()).repeat(3, second, a()).wait(-10 * ms).add(send(lb2, good(lb2, 52, 100, second, vip), false)).wait(1010 * ms).add(a())
		}, []string{"0s 192.0.2.1 master", "2.99s 192.0.2.2 master"}},
		{"an address is announced by another", func(r *recorded) {
			r.add(a()).raw(gratuitous(macOf(lb1), vip, 1)).raw(gratuitous(virtualMAC(false, 51), vip, 1)).raw(gratuitous(macOf(lb2), vip, 2))
		}, []string{"0s 192.0.2.1 master", "0s 192.0.2.100 announcer"}},
		{"a master answers until its successor is known", func(r *recorded) {
			r.add(a()).add(release).wait(6 * ms).add(b()).wait(50 * ms).raw(arpFrame(macOf(lb1), vip, ip("192.0.2.9"), 2))
			r.wait(1950 * ms).add(b()).raw(arpFrame(macOf(lb1), vip, ip("192.0.2.9"), 2))
		}, []string{"0s 192.0.2.1 master", "0s 192.0.2.1 release", "6ms 192.0.2.2 takeover", "2.006s 192.0.2.2 gap", "2.006s 192.0.2.100 announcer"}},
		{"one that was not heard for a while has nothing to announce", func(r *recorded) {
			r.add(a()).wait(5*second).add(a()).repeat(3, second, a()).add(send(lb2, good(lb2, 52, 100, second, vip), false))
		}, []string{"0s 192.0.2.1 master", "3.01s 192.0.2.1 silent", "5s 192.0.2.1 back", "8s 192.0.2.2 master"}},
		{"a new master announces nothing", func(r *recorded) { r.add(b()).wait(second).add(a()).repeat(3, second, a()) }, []string{
			"0s 192.0.2.2 master", "1s 192.0.2.1 preempt", "3s 192.0.2.1 unannounced",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRecorded("eth0")
			tt.record(r)
			got := story(t, r.frames)
			if tt.name != "one that was not heard for a while has nothing to announce" && !slices.ContainsFunc(tt.want, func(l string) bool { return strings.Contains(l, "unannounced") }) {
				got = slices.DeleteFunc(got, func(l string) bool { return strings.Contains(l, "unannounced") })
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// A Watch tells of silence by the clock alone, at its deadline and not before.
func TestWatchDeadline(t *testing.T) {
	list, _, w := heard(t, newRecorded("eth0").add(three()).frames)
	end := list[0].Time.Add(3*second + slack)
	if !w.Deadline().Equal(end) {
		t.Errorf("deadline %v, want %v", w.Deadline(), end)
	}
	if events := w.Advance(end.Add(-1)); len(events) > 0 {
		t.Errorf("too early: %v", events)
	}
	events := w.Advance(end.Add(time.Minute))
	if len(events) != 1 || !events[0].Time.Equal(end) || events[0].Finding.Kind != KindSilent || events[0].Interface != "eth0" || events[0].VRID != 51 {
		t.Errorf("%+v", events)
	}
	if !w.Deadline().IsZero() || len(w.Advance(end.Add(time.Hour))) > 0 {
		t.Error("it goes on")
	}
}

// A flood of invented routers is counted and takes no more memory.
func TestWatchFlood(t *testing.T) {
	w := NewWatch()
	for n := range 3 * maxRouters {
		src := netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})
		d := send(src, good(src, byte(n%255+1), 150, second, vip), false)
		a, _ := DecodeAdvert(newRecorded("").add(d).frames[0])
		w.Advert(&a)
	}
	s := w.Summary()
	if len(s.Routers) > maxRouters || s.Untracked != 3*maxRouters-len(s.Routers) || s.Packets != 3*maxRouters {
		t.Errorf("%d routers, %d packets of others, %d in all", len(s.Routers), s.Untracked, s.Packets)
	}
	for _, v := range w.virtuals {
		if len(v.routers) > maxRivals {
			t.Errorf("%d routers of vrid %d", len(v.routers), v.vrid)
		}
	}
}

// Who was not heard for long makes room, so that the sniffer is not blind for
// good after a flood.
func TestWatchForgets(t *testing.T) {
	w := NewWatch()
	r := newRecorded("")
	next := func(n int, vrid byte) {
		src := netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})
		a, _ := DecodeAdvert(newRecorded("").add(send(src, good(src, vrid, 150, second, vip), false)).frames[0])
		a.Time = r.now
		w.Advert(&a)
	}
	for n := range maxRouters {
		next(n, byte(n%255+1))
	}
	r.wait(rememberFor / 2)
	next(maxRouters, 7)
	before := w.Summary()
	if before.Untracked == 0 || before.Forgotten > 0 {
		t.Fatalf("%d untracked, %d forgotten", before.Untracked, before.Forgotten)
	}
	r.wait(rememberFor)
	for n := range 2 * maxRivals {
		next(100_000+n, 7)
	}
	after := w.Summary()
	if of7 := len(w.virtuals[virtualKey{place{"", "[]"}, false, 7}].routers); len(after.Routers) != len(before.Routers) ||
		after.Forgotten != maxRivals || after.Untracked != before.Untracked+maxRivals || of7 != maxRivals {
		t.Errorf("%d routers, %d forgotten, %d untracked, %d of vrid 7", len(after.Routers), after.Forgotten, after.Untracked, of7)
	}
}

// A unicast router is one, however many peers it has.
func TestSummaryUnicast(t *testing.T) {
	r := newRecorded("eth0")
	for range 4 {
		for n := range byte(20) {
			peer := netip.AddrFrom4([4]byte{192, 0, 2, 10 + n})
			r.add(send(lb1, good(lb1, 51, 150, second, vip), false, func(d *datagram) { d.dst, d.to = peer, macOf(peer) }))
		}
		r.wait(second)
	}
	_, _, w := heard(t, r.frames)
	s := w.Summary()
	if len(s.Routers) != 1 || s.Untracked != 0 {
		t.Fatalf("%+v", s)
	}
	if one := s.Routers[0]; len(one.Destinations) != 20 || one.Adverts != 80 || one.Mean != second || one.Longest != second {
		t.Errorf("%+v", one)
	}
}

// Frames of anything tell the time: who is silent among them is told.
func TestSessionTime(t *testing.T) {
	arp := arpFrame(macOf(lb2), lb2, lb1, 1)
	other := send(lb2, good(lb2, 52, 100, second, vip), false)
	for name, record := range map[string]func(r *recorded){
		"ARP":          func(r *recorded) { r.wait(4 * second).raw(arp) },
		"another VRID": func(r *recorded) { r.wait(4 * second).add(other) },
	} {
		r := newRecorded("eth0").add(three())
		record(r)
		s := &Session{Watch: NewWatch(), Printer: Silence{}, VRIDs: []uint8{51}}
		for _, f := range r.frames {
			if err := s.Frame(f); err != nil {
				t.Fatal(err)
			}
		}
		if got := s.Watch.Summary().Routers[0].State; got != "silent" {
			t.Errorf("after 4 s of %s the router is %s", name, got)
		}
	}
}

// A wrong announcer counts, so that --check sees it.
func TestAnnouncerCounts(t *testing.T) {
	r := newRecorded("eth0").add(three()).raw(gratuitous(macOf(lb2), vip, 1))
	s := &Session{Watch: NewWatch(), Printer: Silence{}, Announcements: true}
	s.Printer = Silence{&Text{W: io.Discard}}
	for _, f := range r.frames {
		if err := s.Frame(f); err != nil {
			t.Fatal(err)
		}
	}
	if sum := s.Watch.Summary(); sum.Worst() != Fault || sum.Routers[0].Counts[KindAnnouncer] != 1 {
		t.Errorf("%+v", sum)
	}
}

func TestSummary(t *testing.T) {
	a := three()
	r := newRecorded("eth0").add(a)
	for _, d := range []time.Duration{990, 1010, 990, 1010, 2000} {
		r.wait(d * time.Millisecond).add(a)
	}
	_, _, w := heard(t, r.frames)
	s := w.Summary().Routers[0]
	if s.Adverts != 6 || s.State != "master" || s.Mean != second || s.Longest != 2*second || s.Counts[KindGap] != 1 || s.Worst != Warning {
		t.Errorf("%+v", s)
	}
	if s.Jitter < 11*time.Millisecond || s.Jitter > 12*time.Millisecond { // of ±10 ms, four times
		t.Errorf("jitter %v", s.Jitter)
	}
	if rate := s.Rate(); rate < 0.83 || rate > 0.84 {
		t.Errorf("rate %v", rate)
	}
}
