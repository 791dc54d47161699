package vrrp

import (
	"strings"
	"testing"
	"time"
)

// lockBusy is said where nothing else is known.
const lockBusy = "this host or its kernel's network lock was busy; look for what changed interfaces, routes or network namespaces then"

// What a master says of an address that is gone depends on whether the kernel can
// have ended its lease.
func TestWhyAnAddressWasGone(t *testing.T) {
	const ms = time.Millisecond
	removed := "web: notice: address was removed by somebody else and put back: 192.0.2.100/24"
	lapsed := "web: notice: address was put back after its lease ran out: 192.0.2.100/24, last renewed "
	gone := "web: notice: address was gone and put back: 192.0.2.100/24, last renewed "
	for _, tt := range []struct {
		name  string
		lapse *Lapse
		want  string
	}{
		{"no lease", nil, removed},
		{"renewed just now", &Lapse{2 * second, 0, ms}, removed},
		{"not the kernel, which is 20 ms early at most", &Lapse{2 * second, 1968 * ms, 1969 * ms}, removed},
		{"nothing is known of the lease", &Lapse{}, removed},
		{"the kernel may have been early", &Lapse{2 * second, 1980 * ms, 1981 * ms}, gone + "up to 1.98s ago for 2s: somebody else removed it, or its lease ran out: " + lockBusy},
		{"the kernel took its time", &Lapse{2 * second, 300 * ms, 2300 * ms}, gone + "up to 2.3s ago for 2s: somebody else removed it, or its lease ran out: " + lockBusy},
		{"just over", &Lapse{2 * second, 2 * second, 2001 * ms}, lapsed + "2s ago for 2s: " + lockBusy},
		{"late", &Lapse{2 * second, 2614 * ms, 2615 * ms}, lapsed + "2.61s ago for 2s: " + lockBusy},
		{"put back long after an advert", &Lapse{second, 1200 * ms, 1200 * ms}, lapsed + "1.2s ago for 1s: " + lockBusy},
	} {
		t.Run(tt.name, func(t *testing.T) {
			te := newMaster(t, web(leased(2*second)))
			vip := prefixes("192.0.2.100/24")[0]
			te.do(&AddressesChanged{Router: RouterID{Instance: "web", Family: IPv4}, Addresses: []AddressState{{Address: vip, Lapse: tt.lapse}}})
			te.want("web: add 192.0.2.100/24 eth0", "web: announce 192.0.2.100/24 eth0", tt.want)
			others, own := te.router().Counters.AddressesRepaired, te.router().Counters.AddressesLapsed
			if by := strings.HasPrefix(tt.want, removed); others+own != 1 || by != (others == 1) {
				t.Errorf("counted as removed by others: %d, as lapsed: %d", others, own)
			}
			if te.router().Addresses[0].Lapse != nil {
				t.Error("the status has what was told once")
			}
		})
	}
}

// What this node took off itself, before it was master again, nobody else removed: a
// busy kernel tells of it long afterwards.
func TestOwnRemovalIsNobodysElse(t *testing.T) {
	te := newBare(t)
	te.slow = true
	te.do(eth0())
	te.configure(web(prio(255)))
	te.do(eth0(func(l *Link) { l.Carrier = false }))
	te.do(eth0())
	te.lines = nil
	for len(te.results) > 0 {
		te.report()
	}
	te.wantNone()
	if s := te.router(); s.Counters.AddressesRepaired != 0 || !s.Addresses[0].Present {
		t.Errorf("%d repaired, present %t", s.Counters.AddressesRepaired, s.Addresses[0].Present)
	}
}

// What a renewal has brought back before anybody saw that it was gone needs
// nothing but a word, and an announcement: who asked for it meanwhile got no answer.
func TestLapsedAndBackByARenewal(t *testing.T) {
	te := newMaster(t, web(leased(2*second)))
	back := AddressState{Address: prefixes("192.0.2.100/24")[0], Present: true, Lapse: &Lapse{2 * second, 2400 * time.Millisecond, 2400 * time.Millisecond}}
	te.do(&AddressesChanged{Router: RouterID{Instance: "web", Family: IPv4}, Addresses: []AddressState{back}})
	te.want("web: announce 192.0.2.100/24 eth0", "web: notice: address was put back after its lease ran out: "+
		"192.0.2.100/24, last renewed 2.4s ago for 2s: "+lockBusy)
	if n := te.router().Counters.AddressesLapsed; n != 1 {
		t.Errorf("%d lapsed, want 1", n)
	}
}

// Each address is told under what became of it.
func TestRemovedAndLapsedAtOnce(t *testing.T) {
	te := newMaster(t, web(leased(2*second), vips("192.0.2.100/24", "192.0.2.101/24", "192.0.2.102/24")))
	ago := func(p string, ms time.Duration) AddressState {
		return AddressState{Address: prefixes(p)[0], Lapse: &Lapse{2 * second, ms * time.Millisecond, ms * time.Millisecond}}
	}
	te.do(&AddressesChanged{Router: RouterID{Instance: "web", Family: IPv4}, Addresses: []AddressState{
		ago("192.0.2.100/24", 2200), ago("192.0.2.101/24", 500), ago("192.0.2.102/24", 2900),
	}})
	te.wantOnly("notice",
		"web: notice: address was removed by somebody else and put back: 192.0.2.101/24",
		"web: notice: address was put back after its lease ran out: 192.0.2.100/24, 192.0.2.102/24, last renewed up to 2.9s ago for 2s: "+lockBusy)
}

// Of several of which nobody knows what became of them, the longest is told.
func TestSeveralUnclearAtOnce(t *testing.T) {
	te := newMaster(t, web(leased(2*second), vips("192.0.2.100/24", "192.0.2.101/24")))
	upTo := func(p string, ms time.Duration) AddressState {
		return AddressState{Address: prefixes(p)[0], Lapse: &Lapse{2 * second, 0, ms * time.Millisecond}}
	}
	te.do(&AddressesChanged{Router: RouterID{Instance: "web", Family: IPv4}, Addresses: []AddressState{
		upTo("192.0.2.100/24", 2100), upTo("192.0.2.101/24", 2600),
	}})
	te.wantOnly("notice", "web: notice: address was gone and put back: 192.0.2.100/24, 192.0.2.101/24, last renewed up to 2.6s ago for 2s: "+
		"somebody else removed it, or its lease ran out: "+lockBusy)
}

// The reason is told where it is known: the kernel refused the renewals, or there
// were none because adverts did not leave.
func TestWhyALeaseRanOut(t *testing.T) {
	id := RouterID{Instance: "web", Family: IPv4}
	vip := prefixes("192.0.2.100/24")[0]
	lost := &AddressesChanged{Router: id, Addresses: []AddressState{{Address: vip, Lapse: &Lapse{2 * second, 2500 * time.Millisecond, 2500 * time.Millisecond}}}}
	const said = "web: notice: address was put back after its lease ran out: 192.0.2.100/24, last renewed 2.5s ago for 2s: "
	t.Run("refused", func(t *testing.T) {
		te := newMaster(t, web(leased(2*second)))
		te.do(&AddressesChanged{Router: id, Addresses: []AddressState{{Address: vip, Present: true, Problem: "out of memory"}}})
		te.do(lost)
		te.wantOnly("lease ran out", said+"the kernel refused: out of memory")
	})
	t.Run("asleep", func(t *testing.T) {
		te := newMaster(t, web(leased(2*second)))
		te.do(&Late{By: 2700 * time.Millisecond})
		te.do(&Late{By: 20 * time.Millisecond}) // it is still slow
		te.do(lost)
		te.wantOnly("lease ran out", said+"this node could not act for 2.7s; look for a paused machine, swapping or busy processors then")
		te.advance(time.Minute)
		te.do(&Late{By: 20 * time.Millisecond})
		te.lines = nil
		te.do(lost)
		te.wantOnly("lease ran out", said+lockBusy)
	})
	t.Run("adverts failed", func(t *testing.T) {
		te := newMaster(t, web(leased(2*second)))
		te.advance(second)
		te.do(&SendFailed{Router: id, Reason: "no buffer space available"})
		te.advance(second + time.Millisecond)
		te.do(lost)
		te.wantOnly("lease ran out", said+"while adverts do not leave nothing is renewed: no buffer space available")
		te.lines = nil
		te.advance(time.Minute)
		te.do(lost) // long after that one
		te.wantOnly("lease ran out", said+lockBusy)
	})
}

// Leases that run out again and again are no quarrel with somebody: they do not
// make the node hand over, nor do they count beside real removals.
func TestLapsesDoNotHandOver(t *testing.T) {
	te := newMaster(t, web(leased(second)))
	id := RouterID{Instance: "web", Family: IPv4}
	vip := prefixes("192.0.2.100/24")[0]
	lapsed := &AddressesChanged{Router: id, Addresses: []AddressState{{Address: vip, Lapse: &Lapse{second, 1100 * time.Millisecond, 1100 * time.Millisecond}}}}
	unclear := &AddressesChanged{Router: id, Addresses: []AddressState{{Address: vip, Lapse: &Lapse{second, 0, 1100 * time.Millisecond}}}}
	removed := &AddressesChanged{Router: id, Addresses: []AddressState{{Address: vip, Lapse: &Lapse{second, 0, 0}}}}
	for range troubleRepairs - 1 {
		te.do(removed)
		for range troubleRepairs {
			te.do(lapsed)
			te.do(unclear)
		}
	}
	te.wantState("web", StateMaster)
	if te.status("web").Demoted {
		t.Error("demoted")
	}
	te.do(removed)
	if why := te.status("web").DemotedWhy; why != "somebody keeps removing 192.0.2.100/24" {
		t.Errorf("after the last removal that is tolerated: demoted for %q", why)
	}
}

// A node that slept says nothing of the addresses whose lease ran out meanwhile,
// for whoever took over may have them: it puts them back when it has listened.
func TestLapsesOfWhoSlept(t *testing.T) {
	te := newMaster(t, web(leased(2*second)))
	te.now = te.now.Add(5 * second)
	te.do(&Late{By: 5 * second})
	te.do(&AddressesChanged{Router: RouterID{Instance: "web", Family: IPv4}, Addresses: []AddressState{
		{Address: prefixes("192.0.2.100/24")[0], Lapse: &Lapse{2 * second, 5 * second, 5 * second}},
	}})
	te.want("web: stop announcing eth0")
	te.advance(2 * second)
	if strings.Contains(strings.Join(te.lines, "\n"), "notice") {
		t.Errorf("it says something: %q", te.lines)
	}
	te.wantOnly(": add ", "web: add 192.0.2.100/24 eth0")
}
