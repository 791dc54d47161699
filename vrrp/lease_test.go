package vrrp

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func leased(d time.Duration) func(*Config) { return func(c *Config) { c.Lease = d } }

func TestAutoLease(t *testing.T) {
	for _, tt := range []struct {
		interval time.Duration
		ipv6     int
		want     time.Duration
	}{
		{10 * time.Millisecond, 0, second},
		{100 * time.Millisecond, 0, second},
		{second, 0, 2 * second},
		{1500 * time.Millisecond, 0, 3 * second},
		{2 * second, 0, 5 * second},
		{MaxInterval, 0, 121 * second},
		{100 * time.Millisecond, 200, second},
		{100 * time.Millisecond, 201, 2 * second},
		{second, 400, 2 * second},
		{second, 4000, 20 * second},
		{MaxInterval, 4000, 121 * second},
	} {
		if got := AutoLease(tt.interval, tt.ipv6); got != tt.want {
			t.Errorf("AutoLease(%v, %d) = %v, want %v", tt.interval, tt.ipv6, got, tt.want)
		}
	}
}

// renewals counts the addresses that the recorded actions renew.
func (te *engineTest) renewals() (n int) {
	for _, l := range te.lines {
		if strings.Contains(l, ": renew ") {
			n += len(strings.Fields(l)) - 5 // instance, renew, interface, for, duration
		}
	}
	te.lines = nil
	return n
}

// A master renews twice in a lease, a backup never.
func TestLeaseIsRenewed(t *testing.T) {
	te := newMaster(t, web(leased(2*second)))
	te.advance(10 * second)
	if n := te.renewals(); n != 10 {
		t.Errorf("%d renewals of one address in 10 s, want 10", n)
	}
	te.advert(peer, 200)
	te.advance(lingered)
	te.lines = nil
	te.adverts(10*second, second, peer, 200)
	if n := te.renewals(); n != 0 {
		t.Errorf("%d renewals as backup", n)
	}
}

// Without a lease nothing is renewed.
func TestNoLease(t *testing.T) {
	te := newMaster(t, web())
	te.advance(10 * second)
	if n := te.renewals(); n != 0 {
		t.Errorf("%d renewals", n)
	}
}

// A large set is renewed in parts, each address at least twice in a lease.
func TestLargeLeaseIsRenewedInSlices(t *testing.T) {
	var list []string
	for n := range 1000 {
		list = append(list, fmt.Sprintf("10.0.%d.%d/32", n/250, n%250+1))
	}
	te := newMaster(t, web(leased(2*second), vips(list...)))
	last := map[netip.Prefix]time.Time{}
	for began := te.now; te.now.Sub(began) < 20*second; {
		at, _ := te.e.Deadline()
		te.now = at
		for _, a := range te.e.Step(te.now, &Tick{}) {
			r, ok := a.(*RenewAddresses)
			if !ok {
				continue
			}
			if len(r.Addresses) > renewSlice {
				t.Fatalf("%d addresses renewed at once", len(r.Addresses))
			}
			for _, p := range r.Addresses {
				if !last[p].IsZero() && te.now.Sub(last[p]) > 950*time.Millisecond {
					t.Fatalf("%v renewed after %v", p, te.now.Sub(last[p]))
				}
				last[p] = te.now
			}
		}
	}
	if len(last) != 1000 {
		t.Errorf("%d addresses were renewed", len(last))
	}
}

// A master whose adverts do not leave lets its lease run out, does not put back
// what the kernel removes, and gives up when its peers have taken over. Once
// adverts leave again it takes part as any other.
func TestMuteMasterLetsGo(t *testing.T) {
	te := newMaster(t, web(leased(2*second)))
	mute := true
	te.sent = func(s *SendAdvert) {
		if mute {
			te.next = append(te.next, &SendFailed{Router: s.Router, Reason: "send on eth0: no buffer space available"})
		}
	}
	te.advance(second)
	te.lines = nil
	te.advance(2500 * time.Millisecond)
	if n := te.renewals(); n != 0 {
		t.Errorf("%d renewals by a mute master", n)
	}
	te.do(&AddressesChanged{Router: RouterID{Instance: "web", Family: IPv4}, Addresses: []AddressState{{Address: prefixes("192.0.2.100/24")[0]}}})
	te.wantNone()
	te.advance(2 * second)
	te.wantState("web", StateFault)
	te.wantReason("web", "adverts cannot be sent: send on eth0: no buffer space available")
	mute = false
	te.advance(sendRetry + down150 + proveTime)
	te.wantState("web", StateMaster)
}

// A single advert that does not leave stops nothing, and what expired meanwhile
// is put back.
func TestMuteForAMoment(t *testing.T) {
	te := newMaster(t, web(leased(2*second)))
	te.advance(second)
	te.do(&SendFailed{Router: RouterID{Instance: "web", Family: IPv4}, Reason: "no buffer space available"})
	te.do(&AddressesChanged{Router: RouterID{Instance: "web", Family: IPv4}, Addresses: []AddressState{{Address: prefixes("192.0.2.100/24")[0]}}})
	te.lines = nil
	te.advance(2 * second)
	te.wantOnly(": add ", "web: add 192.0.2.100/24 eth0")
	te.wantState("web", StateMaster)
	te.advance(second)
	if n := te.renewals(); n == 0 {
		t.Error("nothing was renewed afterwards")
	}
}

// With several unicast peers, an advert has left when one of them can have it.
func TestOneUnreachablePeerIsNotMute(t *testing.T) {
	te := newMaster(t, web(leased(2*second), unicast(peer, addr("192.0.2.3"))))
	te.sent = func(s *SendAdvert) {
		if s.Destination == peer {
			te.next = append(te.next, &SendFailed{Router: s.Router, Reason: "no route to host"})
		}
	}
	te.advance(10 * second)
	te.wantState("web", StateMaster)
	if n := te.renewals(); n == 0 {
		t.Error("nothing was renewed")
	}
}

// Somebody who keeps removing an address makes the node hand over, for a while.
func TestRemovalsThatGoOnHandOver(t *testing.T) {
	te := newMaster(t, web())
	lost := &AddressesChanged{Router: RouterID{Instance: "web", Family: IPv4}, Addresses: []AddressState{{Address: prefixes("192.0.2.100/24")[0]}}}
	for range troubleRepairs - 1 {
		te.do(lost)
		te.advance(100 * time.Millisecond)
	}
	te.wantOnly("prio=0")
	te.lines = nil
	te.do(lost)
	te.wantOnly("prio=0", "web: advert prio=0 interval=1s to=224.0.0.18")
	te.advert(peer, 100)
	te.advance(lingered)
	te.wantState("web", StateBackup)
	if s := te.status("web"); !s.Demoted || s.DemotedWhy != "somebody keeps removing 192.0.2.100/24" {
		t.Errorf("demoted %v: %s", s.Demoted, s.DemotedWhy)
	}
	te.adverts(troublePenalty, second, peer, 100)
	te.advance(down150)
	te.wantState("web", StateMaster)
}

// Removals now and then are put back for ever.
func TestRareRemovalsAreRepaired(t *testing.T) {
	te := newMaster(t, web())
	for range 3 * troubleRepairs {
		te.do(&AddressesChanged{Router: RouterID{Instance: "web", Family: IPv4}, Addresses: []AddressState{{Address: prefixes("192.0.2.100/24")[0]}}})
		te.advance(troubleWindow / 2)
	}
	te.wantState("web", StateMaster)
	if te.status("web").Demoted {
		t.Error("demoted")
	}
}

// A reload that changes the lease takes it at once, and one that ends it makes
// the addresses stay.
func TestReloadChangesLease(t *testing.T) {
	te := newMaster(t, web(leased(2*second)))
	te.configure(web())
	te.wantOnly(" eth0", "web: add 192.0.2.100/24 eth0")
	te.advance(10 * second)
	if n := te.renewals(); n != 0 {
		t.Errorf("%d renewals without a lease", n)
	}
	te.configure(web(leased(4 * second)))
	te.wantOnly(" eth0", "web: add 192.0.2.100/24 eth0")
	te.advance(10 * second)
	if n := te.renewals(); n != 9 { // behind adverts, the first behind the second
		t.Errorf("%d renewals in 10 s, want 9", n)
	}
}

// A hold that is over when the node wakes late renews nothing any more: that
// would bring back addresses which the kernel has taken away.
func TestLateEndOfHoldRenewsNothing(t *testing.T) {
	te := newMaster(t, web(leased(2*second)))
	te.configure()
	te.now = te.now.Add(5 * second)
	te.lines = nil
	te.do(&Tick{})
	te.want("web: stop announcing eth0", "web: remove 192.0.2.100/24 eth0", "web: hook init")
}

// An advert that was late does not take the renewals out of step with the next,
// which is on time.
func TestRenewalsFollowTheNextAdvertAfterALateOne(t *testing.T) {
	te := newMaster(t, web(leased(2*second)))
	te.advance(10 * second)
	te.now = te.now.Add(1400 * time.Millisecond)
	te.do(&Late{By: 400 * time.Millisecond})
	te.do(&Tick{})
	te.advance(700*time.Millisecond + 1) // a hundred after the next advert
	te.lines = nil
	te.advance(800 * time.Millisecond)
	if n := te.renewals(); n != 0 {
		t.Errorf("%d renewals long after the advert", n)
	}
}

// One advert that could not be sent costs no lease: the next one that leaves is
// enough for a renewal just behind it.
func TestSingleFailureKeepsTheLease(t *testing.T) {
	te := newMaster(t, web(leased(2*second)))
	renewed, gap := te.now, time.Duration(0)
	for n := range 20 {
		te.now, _ = te.e.Deadline()
		for te.e.routers[routerKey{"eth0", 51, IPv4}].timer.After(te.now) {
			te.step(&Tick{}, &renewed, &gap)
			te.now, _ = te.e.Deadline()
		}
		te.step(&Tick{}, &renewed, &gap) // the advert
		if n%2 == 0 {
			te.e.Step(te.now, &SendFailed{Router: RouterID{Instance: "web", Family: IPv4}, Reason: "no buffer space available"})
		}
	}
	if most := 2*second - 20*time.Millisecond; gap >= most {
		t.Errorf("renewals were up to %v apart, want less than %v", gap, most)
	}
}

// step makes a step and follows for how long nothing is renewed.
func (te *engineTest) step(ev Event, renewed *time.Time, gap *time.Duration) {
	*gap = max(*gap, te.now.Sub(*renewed))
	for _, a := range te.e.Step(te.now, ev) {
		if _, ok := a.(*RenewAddresses); ok {
			*renewed = te.now
		}
	}
}

// A router that a reload replaced leaves the lease of an address to the one that
// has it now: its own, renewed once more, would end while that one is master.
func TestReplacedRouterRenewsNothing(t *testing.T) {
	te := newMaster(t, web(leased(2*second)))
	te.configure(web(named("web", 52, "192.0.2.100/24"), prio(255)))
	te.wantState("web", StateMaster)
	te.lines = nil
	te.advance(5 * second)
	te.wantOnly("renew")
	if at, ok := te.leases[claim{"eth0", prefixes("192.0.2.100/24")[0]}]; ok {
		t.Errorf("the address of a master without a lease goes at %v", at.Sub(te.now))
	}
}
