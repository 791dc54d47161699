package vrrp

import (
	"testing"
	"time"
)

// pause lets time pass without a Tick and tells the Engine so.
func (te *engineTest) pause(d time.Duration) {
	te.Helper()
	te.now = te.now.Add(d)
	te.do(&Late{By: d})
	te.do(&Tick{})
}

// A backup that slept past its timer listens for one more interval.
func TestLateBackupListensFirst(t *testing.T) {
	te := newTest(t, web())
	te.advert(peer, 200)
	te.lines = nil
	te.pause(30 * second)
	te.wantNone()
	te.advance(second)
	te.advert(peer, 200)
	te.wantState("web", StateBackup)

	te.pause(30 * second) // and takes over when there is nobody
	te.advance(second + skew150)
	te.wantState("web", StateMaster)
}

// A master that slept past its peers' timers is silent until it knows.
func TestLateMasterListensFirst(t *testing.T) {
	for _, tt := range []struct {
		name  string
		cfg   Config
		heard uint8 // priority of the master heard then, 0 for none
		want  State
	}{
		{"nobody took over", web(), 0, StateMaster},
		{"a stronger one took over", web(), 200, StateBackup},
		{"a weaker one took over, may preempt", web(), 100, StateMaster},
		{"a weaker one took over, may not preempt", web(noPreempt), 100, StateBackup},
		{"a demoted one took over, may not preempt", web(noPreempt), 5, StateMaster},
	} {
		t.Run(tt.name, func(t *testing.T) {
			te := newMaster(t, tt.cfg)
			te.pause(6 * second)
			te.wantNone()
			if tt.heard != 0 {
				te.advert(peer, tt.heard)
			} else {
				te.advance(second + skew150)
			}
			te.wantState("web", tt.want)
			if tt.want == StateMaster {
				te.wantOnly("web: a", "web: advert prio=150 interval=1s to=224.0.0.18",
					"web: add 192.0.2.100/24 eth0", "web: announce 192.0.2.100/24 eth0")
			} else {
				te.wantOnly("advert")
			}
		})
	}
}

// A short pause changes nothing: the advert that is due leaves at once.
func TestShortPause(t *testing.T) {
	te := newMaster(t, web())
	te.pause(2 * second)
	te.want("web: advert prio=150 interval=1s to=224.0.0.18")
	te.wantState("web", StateMaster)
}

// While a master listens it repairs, answers and announces nothing.
func TestListeningMasterIsSilent(t *testing.T) {
	te := newMaster(t, web(leased(2*second)))
	te.pause(6 * second)
	te.do(&AddressesChanged{Router: RouterID{Instance: "web", Family: IPv4}, Addresses: []AddressState{{Address: prefixes("192.0.2.100/24")[0]}}})
	te.do(&AnnounceNow{})
	te.advance(900 * time.Millisecond)
	te.wantNone()
}

// An adopted router goes on at once, without a hook and without waiting.
func TestAdopt(t *testing.T) {
	te := newBare(t)
	te.do(&Adopt{Routers: []Adopted{{"eth0", 51, IPv4}}})
	cfg := web(checks(Check{Name: "nginx"}), func(c *Config) { c.StartupDelay = 10 * second })
	te.configure(cfg)
	te.lines = nil
	te.do(eth0())
	te.want(
		"web: advert prio=150 interval=1s to=224.0.0.18",
		"web: add 192.0.2.100/24 eth0",
		"web: announce 192.0.2.100/24 eth0",
		"web: init -> master (went on as master over a restart)",
	)
	te.health("nginx", false, "connection refused") // which counts from then on
	te.wantOnly("prio=0", "web: advert prio=0 interval=1s to=224.0.0.18")
}

// What cannot go on at once starts like any other, also later.
func TestAdoptionIsOnce(t *testing.T) {
	te := newBare(t)
	te.do(&Adopt{Routers: []Adopted{{"eth0", 51, IPv4}}})
	te.configure(web())
	te.do(eth0(func(l *Link) { l.Carrier = false }))
	te.wantState("web", StateFault)
	te.do(eth0())
	te.wantState("web", StateBackup)
}
