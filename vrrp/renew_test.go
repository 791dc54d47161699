package vrrp

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// A lease that must end before a peer takes over is renewed just behind the
// adverts, and one of less than two of their intervals once more before the next;
// others behind an advert that leaves anyway, a little more than twice in their time.
func TestRenewalsFollowAdverts(t *testing.T) {
	for _, tt := range []struct {
		name            string
		interval, lease time.Duration
		behind          time.Duration // the latest after an advert
		gap             time.Duration // the longest between two
	}{
		{"auto at 1s", second, AutoLease(second, 0), 0, second},
		{"auto at 2s", 2 * second, AutoLease(2*second, 0), 0, 2 * second},
		{"auto at 40s", 40 * second, AutoLease(40*second, 0), 0, 40 * second},
		{"too long to end in time", second, 10 * second, 0, 4 * second},
		{"auto at 0.9s", 900 * time.Millisecond, AutoLease(900*time.Millisecond, 0), 450 * time.Millisecond, 459 * time.Millisecond},
		{"auto at 0.7s", 700 * time.Millisecond, AutoLease(700*time.Millisecond, 0), 100 * time.Millisecond, 607 * time.Millisecond},
		{"a backstop", 100 * time.Millisecond, AutoLease(100*time.Millisecond, 0), 0, 400 * time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			te := newMaster(t, web(leased(tt.lease), func(c *Config) { c.AdvertInterval = tt.interval }))
			began, renewed := te.now, te.now
			var spoke time.Time
			var behind, gap time.Duration
			count := 0
			for te.now.Sub(began) < 10*tt.lease {
				te.now, _ = te.e.Deadline()
				te.now = te.now.Add(3 * time.Millisecond) // timers are late
				for _, a := range te.e.Step(te.now, &Tick{}) {
					switch a.(type) {
					case *SendAdvert:
						spoke = te.now
					case *RenewAddresses:
						count++
						gap = max(gap, te.now.Sub(renewed))
						if renewed = te.now; !spoke.IsZero() {
							behind = max(behind, te.now.Sub(spoke))
						}
					}
				}
			}
			const late = 10 * time.Millisecond
			if behind > tt.behind+late || gap > tt.gap+late || count < 20 {
				t.Errorf("%d renewals, at most %v behind an advert and %v apart; want %v and %v", count, behind, gap, tt.behind, tt.gap)
			}
		})
	}
}

// An address that is put back just behind an advert has a lease of a second, which
// would end with the next advert: it is made whole before.
func TestShortLeaseIsMadeWhole(t *testing.T) {
	id, vip := RouterID{Instance: "web", Family: IPv4}, prefixes("192.0.2.100/24")[0]
	for _, late := range []time.Duration{time.Millisecond, 50 * time.Millisecond, 500 * time.Millisecond} {
		te := newMaster(t, web(leased(2*second)))
		te.advance(10 * second)
		added := te.e.routers[routerKey{"eth0", 51, IPv4}].spokeAt.Add(second + late)
		te.advance(added.Sub(te.now))
		var lease time.Duration
		for _, a := range te.e.Step(te.now, &AddressesChanged{Router: id, Addresses: []AddressState{{Address: vip}}}) {
			if a, ok := a.(*AddAddresses); ok {
				lease = a.Lease
			}
		}
		if lease != second {
			t.Fatalf("%v behind an advert: put back for %v, want 1s", late, lease)
		}
		te.e.Step(te.now, &AddressesChanged{Router: id, Addresses: []AddressState{{Address: vip, Present: true}}})
		for renewed := false; !renewed; {
			te.now, _ = te.e.Deadline()
			for _, a := range te.e.Step(te.now, &Tick{}) {
				_, is := a.(*RenewAddresses)
				renewed = renewed || is
			}
		}
		if gap := te.now.Sub(added); gap > 900*time.Millisecond {
			t.Errorf("put back %v behind an advert, and renewed only %v later", late, gap)
		}
	}
}

// Who slept and is not master any more lets go at once, and renews nothing: the
// kernel may have removed the addresses long ago, and a renewal would bring
// them back.
func TestSleeperRenewsNothing(t *testing.T) {
	te := newMaster(t, web(noPreempt, leased(2*second)))
	te.advance(1500 * time.Millisecond)
	te.pause(6 * second)
	te.lines = nil
	te.advert(peer, 100)
	te.want("web: stop announcing eth0", "web: remove 192.0.2.100/24 eth0",
		"web: master -> backup (192.0.2.2 took over while this node could not act)", "web: hook backup")
	te.adverts(3*second, second, peer, 100)
	if n := te.renewals(); n != 0 {
		t.Errorf("%d renewals by one that slept", n)
	}
}

// largeSet is a list of so many addresses.
func largeSet(count int) (list []string) {
	for n := range count {
		list = append(list, fmt.Sprintf("10.0.%d.%d/32", n/250, n%250+1))
	}
	return list
}

// oldestRenewal runs a master for a while, with each wake-up late by what late
// returns, and returns the longest time that an address went without a renewal.
func (te *engineTest) oldestRenewal(d time.Duration, late func() time.Duration) (oldest time.Duration) {
	te.Helper()
	last := map[netip.Prefix]time.Time{}
	for _, p := range te.e.instances[0].cfg.Addresses {
		last[p] = te.now // they were added just now
	}
	for end := te.now.Add(d); te.now.Before(end); {
		at, _ := te.e.Deadline()
		te.now = at.Add(late())
		for _, a := range te.e.Step(te.now, &Tick{}) {
			r, ok := a.(*RenewAddresses)
			if !ok {
				continue
			}
			if len(r.Addresses) > renewSlice {
				te.Fatalf("%d addresses renewed at once", len(r.Addresses))
			}
			for _, p := range r.Addresses {
				oldest = max(oldest, te.now.Sub(last[p]))
				last[p] = te.now
			}
		}
	}
	for _, at := range last {
		oldest = max(oldest, te.now.Sub(at))
	}
	return oldest
}

// On a busy host every wake-up is late. The renewals of a large set, one slice
// at a time, must not add that up until the first address expires before its
// turn comes again.
func TestLateRenewalsDoNotAddUp(t *testing.T) {
	for _, each := range []time.Duration{0, 5 * time.Millisecond, 20 * time.Millisecond, 90 * time.Millisecond} {
		t.Run(each.String(), func(t *testing.T) {
			te := newMaster(t, web(leased(second), every(100*time.Millisecond), vips(largeSet(4000)...)))
			oldest := te.oldestRenewal(10*second, func() time.Duration { return each })
			if most := second*9/20 + second/5 + 2*each; oldest > most {
				t.Errorf("an address went %v without a renewal, want at most %v", oldest, most)
			}
		})
	}
}

// One long wait, here of most of the lease, makes everything due at once, and
// not late for good.
func TestRenewalsCatchUp(t *testing.T) {
	te := newMaster(t, web(leased(second), every(100*time.Millisecond), vips(largeSet(4000)...)))
	wait := 290 * time.Millisecond
	oldest := te.oldestRenewal(10*second, func() time.Duration {
		defer func() { wait = 0 }()
		return wait
	})
	if oldest > second*9/20+second/5+290*time.Millisecond {
		t.Errorf("an address went %v without a renewal", oldest)
	}
}

// A reload that adds an address in front moves all others to other slices; none
// may wait for its turn twice.
func TestReloadDoesNotDelayRenewals(t *testing.T) {
	list := largeSet(4000)
	config := func(list []string) Config {
		return web(leased(second), every(100*time.Millisecond), vips(list...))
	}
	te := newMaster(t, config(list[1:]))
	te.advance(3 * second)
	last := map[netip.Prefix]time.Time{}
	reloads := 0
	for began := te.now; te.now.Sub(began) < 3*second; {
		te.now, _ = te.e.Deadline()
		actions := te.e.Step(te.now, &Tick{})
		if reloads == 0 && te.now.Sub(began) > second { // in the middle of a round
			reloads++
			te.configure(config(list))
		}
		for _, a := range actions {
			if r, ok := a.(*RenewAddresses); ok {
				for _, p := range r.Addresses {
					if gap := te.now.Sub(last[p]); !last[p].IsZero() && gap > 600*time.Millisecond {
						t.Fatalf("%v was renewed after %v", p, gap)
					}
					last[p] = te.now
				}
			}
		}
	}
	if len(last) != len(list) {
		t.Errorf("%d addresses were renewed, want %d", len(last), len(list))
	}
}

// While adverts do not leave nothing is renewed; what was due meanwhile is
// renewed as soon as they do, not a round later.
func TestLargeSetMuteForAMoment(t *testing.T) {
	te := newMaster(t, web(leased(second), every(100*time.Millisecond), vips(largeSet(4000)...)))
	te.advance(2 * second)
	te.lines = nil
	te.do(&SendFailed{Router: RouterID{Instance: "web", Family: IPv4}, Reason: "no buffer space available"})
	oldest := te.oldestRenewal(2*second, func() time.Duration { return 0 })
	// Half a second at most since the last renewal when this began.
	if oldest > 560*time.Millisecond {
		t.Errorf("an address went %v without a renewal", oldest)
	}
}

// A set of more than one slice that counts as small is renewed as a whole: each
// of its addresses as often as the only one of another.
func TestSmallSetIsRenewedAsAWhole(t *testing.T) {
	for _, tt := range []struct {
		interval, most time.Duration
	}{{100 * time.Millisecond, 410 * time.Millisecond}, {second, second}} {
		te := newMaster(t, web(leased(AutoLease(tt.interval, 0)), every(tt.interval), vips(largeSet(renewSmall)...)))
		if oldest := te.oldestRenewal(10*second, func() time.Duration { return 0 }); oldest > tt.most {
			t.Errorf("adverts every %v: an address went %v without a renewal, want at most %v", tt.interval, oldest, tt.most)
		}
	}
}

// Wherever whole seconds allow that the automatic lease ends before a peer takes
// over, it does, and it does not end while its node is well.
func TestAutomaticLeaseEndsInTime(t *testing.T) {
	for interval := 670 * time.Millisecond; interval < 4*second; interval += IntervalStep {
		lease := AutoLease(interval, 0)
		te := newMaster(t, web(every(interval), leased(lease)))
		last := te.now
		for range 40 {
			at, _ := te.e.Deadline()
			te.advance(at.Sub(te.now))
			age := te.now.Sub(te.e.instances[0].routers[0].spokeAt)
			if te.renewals() == 0 {
				continue
			}
			most := downIntervals * interval
			if lease >= 2*interval {
				most = interval/10 + lease + removalLate
			}
			if ends := age + lease + removalLate; ends > most {
				t.Fatalf("interval %v: the lease of %v ends up to %v after the last advert", interval, lease, ends)
			}
			if gap := te.now.Sub(last); gap > lease-lease/5 {
				t.Fatalf("interval %v: %v between renewals of a lease of %v", interval, gap, lease)
			}
			last = te.now
		}
	}
}

// What is put back, or added by a reload, long after an advert has a shorter lease:
// a node that dies right then must have lost it when a peer takes over.
func TestLeaseIsReckonedFromTheAdvert(t *testing.T) {
	te := newMaster(t, web(every(2*second), leased(5*second)))
	te.advance(20 * second)
	next := te.router().Deadline.Sub(te.now)
	te.advance(next + second + second/2)
	vip := prefixes("192.0.2.100/24")[0]
	left := func() time.Duration { return te.leases[claim{"eth0", vip}].Sub(te.now) }
	lose := func() {
		te.do(&AddressesChanged{Router: RouterID{Instance: "web", Family: IPv4}, Addresses: []AddressState{{Address: vip}}})
	}
	if lose(); left() != 3*second {
		t.Errorf("added for %v, 1.5 s after an advert", left())
	}
	te.advance(second / 2)
	if lose(); left() != 5*second {
		t.Errorf("added for %v at an advert", left())
	}
}

// An advert out of turn does not move the renewals away from the regular ones:
// the addresses of a node that dies would outlive its last advert too long.
func TestRenewalsFollowRegularAdverts(t *testing.T) {
	te := newMaster(t, web(leased(2*second)))
	te.advance(5*second + 99*time.Millisecond)
	te.advert(peer, 100) // a rival, who is answered
	for range 20 {
		at, _ := te.e.Deadline()
		te.advance(at.Sub(te.now))
		for _, l := range te.lines {
			if age := te.now.Sub(te.e.instances[0].routers[0].spokeAt); strings.Contains(l, ": renew") && age > second/10 {
				t.Fatalf("renewed %v after an advert", age)
			}
		}
		te.lines = nil
	}
}
