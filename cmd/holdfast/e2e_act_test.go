package main

// Packets that must act, from a router that is nobody's program (RFC 9568
// sections 6.4.2 and 6.4.3, RFC 3768 section 6.4.3).

import (
	"net/netip"
	"testing"
	"time"
)

// masterBed is a node that is master of one instance, with a stranger.
func masterBed(t *testing.T, interval time.Duration, lines ...string) (*node, *stranger) {
	t.Helper()
	l := newLab(t)
	n := newNode(t, l, "lb1", "192.0.2.1/24", "2001:db8::1/64")
	s := newStranger(t, l, n)
	n.run(instanceTOML(150, interval.String(), []string{"192.0.2.100/24"}, lines...))
	eventually(t, patience, "the VIP is there", func() bool { return n.has("192.0.2.100") })
	return n, s
}

// afterAdvert returns right after the node has sent a regular advert, so that
// the next one is an interval away.
func (s *stranger) afterAdvert() seen {
	s.t.Helper()
	return s.next(false, 51, time.Now())
}

// v2Advert is threeAdvert's sister for version 2 without authentication.
func v2Advert() advert {
	a := threeAdvert()
	a.version, a.word, a.trailer = 2, 1, make([]byte, 8)
	return a
}

func TestStrongerMasterWins(t *testing.T) {
	t.Parallel()
	n, s := masterBed(t, time.Second)
	a := threeAdvert()
	a.priority, a.word = 255, 30
	s.say(a)
	at := s.injected()
	gone := eventually(t, patience, "the VIP is released", func() bool { return !n.has("192.0.2.100") })
	if most := 100*time.Millisecond + room; gone > most { // it lingers for the successor's announcement
		t.Errorf("the VIP was released after %v, want at most %v", gone, most)
	}
	i := n.instance("web")
	if i.State != "backup" || i.Master == nil || i.Master.Address != "192.0.2.66" || i.Master.Priority != 255 || i.AdvertIntervalMS != 300 {
		t.Errorf("state %s, master %+v, interval %v ms; want backup of 192.0.2.66 with 255 at 300 ms", i.State, i.Master, i.AdvertIntervalMS)
	}
	// It learned the interval: three of 300 ms and the skew of that, not of 1 s.
	down := detection(300*time.Millisecond, 150)
	last := s.next(false, 51, at) // so that the stronger one knows of a rival
	if d := last.at.Sub(at); d > room || last.priority() != 150 {
		t.Errorf("the last word came %v after the stronger advert, with priority %d", d, last.priority())
	}
	first := s.next(false, 51, last.at)
	took := first.at.Sub(at)
	if took < down || took > down+room || first.priority() != 150 {
		t.Errorf("the next advert came %v after the stronger one with priority %d, want %v and 150", took, first.priority(), down)
	}
	t.Logf("measured: VIP released %v after the stronger advert; back %v after it (bound %v)", gone, took, down)
	n.stop()
}

func TestEqualPriorityHigherAddressWins(t *testing.T) {
	t.Parallel()
	n, s := masterBed(t, time.Second)
	a := threeAdvert()
	a.priority, a.word = 150, 100
	lower := netip.MustParseAddr("192.0.2.0")
	s.afterAdvert()
	s.send(packet{src: lower, dst: vrrpGroup, ttl: 255, payload: a.bytes(lower, vrrpGroup)})
	s.next(false, 51, s.injected())
	if i := n.instance("web"); i.State != "master" {
		t.Errorf("an equal advert from a lower address made it %s", i.State)
	}
	s.say(a) // from 192.0.2.66
	eventually(t, patience, "the VIP is released", func() bool { return !n.has("192.0.2.100") })
	// An equal master is obeyed by a backup, whatever its address.
	during(t, 4*time.Second, "an equal master keeps it backup", func() bool {
		if time.Since(s.injected()) > 500*time.Millisecond {
			s.send(packet{src: lower, dst: vrrpGroup, ttl: 255, payload: a.bytes(lower, vrrpGroup)})
		}
		return !n.has("192.0.2.100")
	})
	n.stop()
}

// TestAnswers injects what a master answers, or does not, right after one of
// its regular adverts, so that the next of those is an interval away.
func TestAnswers(t *testing.T) {
	tests := []struct {
		name   string
		lines  []string
		advert func() advert
		prio   byte
		// answered: an advert comes at once; restarts: the regular ones begin
		// anew from there.
		answered, restarts bool
	}{
		{"version 3 losing advert", nil, threeAdvert, 100, true, false},
		{"version 2 losing advert", []string{"version = 2"}, v2Advert, 100, false, false},
		{"version 3 release", nil, threeAdvert, 0, true, true},
		{"version 2 release", []string{"version = 2"}, v2Advert, 0, true, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n, s := masterBed(t, time.Second, tt.lines...)
			last := s.afterAdvert()
			time.Sleep(400 * time.Millisecond) // well between two regular adverts
			a := tt.advert()
			a.priority = tt.prio
			if a.version == 3 {
				a.word = 100
			}
			s.say(a)
			at := s.injected()
			second := s.next(false, 51, at)
			third := s.next(false, 51, second.at)
			// A regular advert is due this long after the injected one.
			regular := time.Second - at.Sub(last.at)
			t.Logf("measured: next advert %v after the injected one (a regular one was due after %v), the one after that %v later",
				second.at.Sub(at), regular, third.at.Sub(second.at))
			if early := second.at.Sub(at) < regular-50*time.Millisecond; early != tt.answered {
				t.Errorf("answered at once: %t, want %t", early, tt.answered)
			}
			if whole := third.at.Sub(second.at) > time.Second-50*time.Millisecond; tt.answered && whole != tt.restarts {
				t.Errorf("the interval begins anew with the answer: %t, want %t", whole, tt.restarts)
			}
			if i := n.instance("web"); i.State != "master" || i.Counters.BecameMaster != 1 {
				t.Errorf("it is %s and became master %d times", i.State, i.Counters.BecameMaster)
			}
			n.stop()
		})
	}
}

// TestRelease has a master that the node obeys say goodbye: the node takes over
// after its skew time of the interval that it learned, not after 3 adverts.
func TestRelease(t *testing.T) {
	for name, tt := range map[string]struct {
		lines  []string
		advert func() advert
	}{"version 3": {nil, threeAdvert}, "version 2": {[]string{"version = 2"}, v2Advert}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			n := newNode(t, l, "lb1", "192.0.2.1/24")
			s := newStranger(t, l, n)
			a := tt.advert()
			if a.version == 3 {
				a.word = 0xf000 | 100 // the reserved bits are ignored (RFC 9568 section 5.2.6)
			}
			n.run(instanceTOML(150, "1s", []string{"192.0.2.100/24"}, tt.lines...))
			eventually(t, patience, "the node obeys", func() bool {
				s.say(a)
				i := n.instance("web")
				return i.Master != nil && i.Master.Address == "192.0.2.66"
			})
			a.priority = 0
			s.say(a)
			at := s.injected()
			const skew = 106 * time.Second / 256
			first := s.next(false, 51, at)
			took := first.at.Sub(at)
			t.Logf("measured: taken over %v after the release, skew %v", took, skew)
			if took < skew-time.Millisecond || took > skew+room {
				t.Errorf("taken over %v after the release, want the skew of %v", took, skew)
			}
			n.stop()
		})
	}
}

// TestWeakerMasterIsReplaced has a master of lower priority go on sending: the
// node takes over when its own time is up, and with preempt = false never.
func TestWeakerMasterIsReplaced(t *testing.T) {
	for name, tt := range map[string]struct {
		lines []string
		takes bool
	}{"preempt": {nil, true}, "no preempt": {[]string{"preempt = false"}, false}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			n := newNode(t, l, "lb1", "192.0.2.1/24")
			s := newStranger(t, l, n)
			a := threeAdvert()
			a.priority, a.word = 50, 20
			n.run(instanceTOML(150, "200ms", []string{"192.0.2.100/24"}, tt.lines...))
			began := time.Now()
			for time.Since(began) < 3*time.Second && !n.has("192.0.2.100") {
				s.say(a)
				time.Sleep(50 * time.Millisecond)
			}
			took := time.Since(began)
			t.Logf("measured: took over: %t, after %v", n.has("192.0.2.100"), took)
			if n.has("192.0.2.100") != tt.takes {
				t.Errorf("took over: %t, want %t", !tt.takes, tt.takes)
			}
			n.stop()
		})
	}
}
