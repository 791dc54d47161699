package vrrp

import (
	"testing"
	"time"
)

// A lease that must end before a peer takes over is renewed close behind the
// adverts, twice; others are spread evenly.
func TestRenewalsFollowAdverts(t *testing.T) {
	for _, tt := range []struct {
		name            string
		interval, lease time.Duration
		behind          time.Duration // the latest after an advert
		gap             time.Duration // the longest between two
	}{
		{"auto at 1s", second, AutoLease(second), 100 * time.Millisecond, 910 * time.Millisecond},
		{"auto at 2s", 2 * second, AutoLease(2 * second), 200 * time.Millisecond, 1820 * time.Millisecond},
		{"auto at 40s", 40 * second, AutoLease(40 * second), 4 * second, 36400 * time.Millisecond},
		{"too long to end in time", second, 10 * second, second, 2500 * time.Millisecond},
		{"too short to wait for the next advert", 900 * time.Millisecond, second, 900 * time.Millisecond, 250 * time.Millisecond},
		{"a backstop", 100 * time.Millisecond, AutoLease(100 * time.Millisecond), 100 * time.Millisecond, 250 * time.Millisecond},
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

// Who slept and is not master any more lets go at once, and renews nothing: the
// kernel may have removed the addresses long ago, and a renewal would bring
// them back.
func TestSleeperRenewsNothing(t *testing.T) {
	te := newMaster(t, web(noPreempt, leased(2*second)))
	te.advance(1500 * time.Millisecond)
	te.pause(6 * second)
	te.lines = nil
	te.advert(peer, 100)
	te.want("web: remove 192.0.2.100/24 eth0",
		"web: master -> backup (192.0.2.2 took over while this node could not act)", "web: hook backup")
	te.adverts(3*second, second, peer, 100)
	if n := te.renewals(); n != 0 {
		t.Errorf("%d renewals by one that slept", n)
	}
}
