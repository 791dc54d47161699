package vrrp

import (
	"strings"
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

	te.pause(30 * second) // and takes over when there is nobody, though its clock may be fast
	te.advance(listen150 - 1)
	te.wantState("web", StateBackup)
	te.advance(1)
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
		{"nobody was heard to take over", web(), 0, StateMaster},
		{"a stronger one took over", web(), 200, StateBackup},
		{"a weaker one took over, may preempt", web(), 100, StateMaster},
		{"a weaker one took over, may not preempt", web(noPreempt), 100, StateBackup},
		{"a demoted one took over, may not preempt", web(noPreempt), 5, StateMaster},
	} {
		t.Run(tt.name, func(t *testing.T) {
			te := newMaster(t, tt.cfg)
			te.pause(6 * second)
			te.want("web: stop announcing eth0")
			if tt.heard != 0 {
				te.advert(peer, tt.heard)
			} else {
				te.advance(listen150)
			}
			te.wantState("web", tt.want)
			if tt.want == StateMaster {
				te.wantOnly("web: a", "web: advert prio=150 interval=1s to=224.0.0.18",
					"web: add 192.0.2.100/24 eth0", "web: announce 192.0.2.100/24 eth0")
			} else if tt.heard > 150 { // a last word
				te.wantOnly("advert", "web: advert prio=150 interval=1s to=224.0.0.18")
			} else { // which would make a weaker one yield
				te.wantOnly("advert")
			}
		})
	}
}

// What lies in the socket of a node that slept is old at its head: a release there
// says nothing of who has become master since.
func TestOldReleaseAfterSleep(t *testing.T) {
	te := newMaster(t, web(noPreempt))
	te.pause(6 * second)
	te.advert(peer, PriorityRelease)
	te.want("web: stop announcing eth0")
	te.advert(peer3, 100)
	te.wantState("web", StateBackup)

	// When nobody follows, it waits no longer than another backup would.
	te = newMaster(t, web(noPreempt))
	te.pause(6 * second)
	te.advert(peer, PriorityRelease)
	te.advance(skew(Version3, 150, second) - 1)
	te.want("web: stop announcing eth0")
	te.advance(1)
	te.wantState("web", StateMaster)
	te.wantOnly("advert", "web: advert prio=150 interval=1s to=224.0.0.18")
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
	te.want("web: stop announcing eth0")
}

// A reload meanwhile changes nothing about that: what it added comes with the rest.
func TestReloadWhileListening(t *testing.T) {
	for name, cfg := range map[string]Config{
		"address added": web(leased(2*second), vips("192.0.2.100/24", "192.0.2.101/24")),
		"lease changed": web(leased(4 * second)),
	} {
		t.Run(name, func(t *testing.T) {
			te := newMaster(t, web(leased(2*second)))
			te.pause(6 * second)
			te.lines = nil
			te.configure(cfg)
			te.wantNone()
			te.advance(listen150)
			all := strings.ReplaceAll(joinPrefixes(cfg.Addresses), ", ", " ")
			te.wantOnly("192.0.2.1", "web: add "+all+" eth0", "web: announce "+all+" eth0")
			te.advance(5 * second)
			if n := te.renewals(); n == 0 {
				t.Error("nothing is renewed afterwards")
			}
		})
	}
}

// An adopted router goes on at once, without a hook and without waiting.
func TestAdopt(t *testing.T) {
	te := newBare(t)
	te.do(&Adopt{Routers: []Adopted{{"eth0", 51, IPv4, false, time.Time{}}}})
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
	te.do(&Adopt{Routers: []Adopted{{"eth0", 51, IPv4, false, time.Time{}}}})
	te.configure(web())
	te.do(eth0(func(l *Link) { l.Carrier = false }))
	te.wantState("web", StateFault)
	te.do(eth0())
	te.wantState("web", StateBackup)
}

// A pause counts from the last advert, not from when the next was due: who was
// silent for three intervals listens, however late the last wake-up was.
func TestSilenceCountsNotLateness(t *testing.T) {
	te := newMaster(t, web(noPreempt))
	te.advance(500 * time.Millisecond)
	te.now = te.now.Add(3 * second)
	te.do(&Late{By: 2500 * time.Millisecond})
	te.do(&Tick{})
	te.want("web: stop announcing eth0")
	te.advert(peer, 100)
	te.wantState("web", StateBackup)
}

// The same in a suspension, of which the clock does not tell.
func TestSilenceCountsSleep(t *testing.T) {
	for asleep, want := range map[time.Duration]State{2500 * time.Millisecond: StateBackup, 2499 * time.Millisecond: StateMaster} {
		te := newMaster(t, web(noPreempt))
		te.advance(500 * time.Millisecond)
		te.do(&Late{By: asleep, Asleep: asleep})
		te.do(&Tick{})
		if want == StateBackup { // for now it listens
			te.want("web: stop announcing eth0")
		} else {
			te.wantNone()
		}
		te.advert(peer, 100)
		te.wantState("web", want)
	}
}

// A backup whose timer ran out in a pause waits for what lies in its socket,
// also when the wake-up was late by less than an interval.
func TestBackupThatIsALittleLate(t *testing.T) {
	te := newTest(t, web())
	te.advert(peer, 200)
	te.now = te.now.Add(down150 + 500*time.Millisecond)
	te.do(&Late{By: 500 * time.Millisecond})
	te.do(&Tick{})
	te.advert(peer, 200)
	te.advance(second)
	te.wantState("web", StateBackup)
}

// A master that is demoted while it listens hands over once it speaks again.
func TestDemotedWhileListening(t *testing.T) {
	te := newChecked(t, web(nginx))
	te.pause(6 * second)
	te.health("nginx", false, "connection refused")
	te.want("web: stop announcing eth0")
	te.advance(listen150)
	te.wantOnly("prio=0", "web: advert prio=0 interval=1s to=224.0.0.18")
}

// What an earlier daemon was master of and this one does not have is forgotten.
func TestAdoptionIsForgotten(t *testing.T) {
	te := newBare(t)
	te.do(&Adopt{Routers: []Adopted{{"eth0", 52, IPv4, false, time.Time{}}}})
	te.do(eth0())
	te.configure(web())
	te.configure(web(), named52)
	te.wantState("other", StateBackup)
}

// named52 is an instance of VRID 52.
var named52 = web(named("other", 52, "192.0.2.102/24"))

// A release is two packets a peer: one peer that cannot be reached does not make
// the node mute.
func TestReleaseToAnUnreachablePeerIsNotMute(t *testing.T) {
	te := newMaster(t, web(leased(2*second), unicast(peer, addr("192.0.2.3"))))
	te.sent = func(s *SendAdvert) {
		if s.Destination == peer {
			te.do(&SendFailed{Router: s.Router, Reason: "no route to host"})
		}
	}
	te.do(&Drain{Instance: "web"})
	te.advance(second)
	if n := te.renewals(); n == 0 {
		t.Error("nothing was renewed while handing over")
	}
}

// A master that slept does not know whether it still is one. Leaving, it says
// nothing: its release would make the present master yield or its backups stir.
// It serves on for as long as a peer that has not taken over yet may need.
func TestListeningMasterLeavesSilently(t *testing.T) {
	for name, leave := range map[string]Event{
		"stop":  &Stop{},
		"fault": &CheckChanged{Check: "db", Healthy: false},
	} {
		t.Run(name, func(t *testing.T) {
			te := newTest(t, web(checks(Check{Name: "db", OnFailure: Release})))
			te.health("db", true, "")
			te.advance(down150)
			te.pause(5 * second)
			te.lines = nil
			te.do(leave)
			te.wantOnly("advert")
			te.advance(skew150)
			te.wantAddresses("eth0", "192.0.2.100/24")
			te.advert(peer, 100)
			te.advance(lingered)
			te.wantAddresses("eth0")
			te.wantOnly("advert")
		})
	}
}

// A master that took over after its preempt delay and then sleeps waits for that
// delay anew: the end of the one before counts no more.
func TestSleepingMasterPreemptsAfterANewDelay(t *testing.T) {
	te := newBackup(t, web(func(c *Config) { c.PreemptDelay = 30 * second }))
	te.adverts(30*second+down150, second, peer, 100)
	te.wantState("web", StateMaster)
	if at := te.router().PreemptAt; !at.IsZero() {
		t.Errorf("as master the preempt delay still runs, until %v", at.Sub(te.now))
	}
	te.advance(10 * second)
	te.pause(6 * second)
	te.adverts(29*second, second, peer, 100)
	te.wantState("web", StateBackup)
	te.adverts(second+down150, second, peer, 100)
	te.wantState("web", StateMaster)
}
