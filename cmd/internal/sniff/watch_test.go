package sniff

import (
	"fmt"
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
		{"a new master announces nothing", func(r *recorded) { r.add(b()).wait(second).add(a()).repeat(3, second, a()) }, []string{
			"0s 192.0.2.2 master", "1s 192.0.2.1 preempt", "3s 192.0.2.1 unannounced",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRecorded("eth0")
			tt.record(r)
			got := story(t, r.frames)
			if !slices.ContainsFunc(tt.want, func(l string) bool { return strings.Contains(l, "unannounced") }) {
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
