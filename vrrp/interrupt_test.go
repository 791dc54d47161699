package vrrp

import (
	"testing"
	"time"
)

// noCarrier and noAddress are a link that fails and one that loses its addresses.
func noCarrier(l *Link) { l.Carrier = false }
func noAddress(l *Link) { l.Addresses = nil }

// A master that a fault of its own cuts off goes on as one, if it is over before a
// peer can have taken over. Of an advert just before the link failed nobody knows.
func TestShortFaultOfMaster(t *testing.T) {
	for _, tt := range []struct {
		name    string
		fault   func(*Link)
		lasts   time.Duration // the last advert was half a second before
		goesOn  bool
		howLong string
	}{
		{"a moment without an address", noAddress, 6 * time.Millisecond, true, "6ms"},
		{"without an address until a peer may take over", noAddress, 2250*time.Millisecond - 1, true, "2.25s"},
		{"without an address for longer", noAddress, 2250 * time.Millisecond, false, ""},
		{"a moment without carrier", noCarrier, 6 * time.Millisecond, true, "6ms"},
		{"down for a moment", func(l *Link) { l.Up = false }, 6 * time.Millisecond, true, "6ms"},
		{"gone for a moment", func(l *Link) { l.Index = 0 }, 6 * time.Millisecond, true, "6ms"},
		{"without carrier until a peer may take over", noCarrier, 1250*time.Millisecond - 1, true, "1.25s"},
		{"without carrier for longer", noCarrier, 1250 * time.Millisecond, false, ""},
	} {
		for _, cfg := range []Config{web(), web(noPreempt), web(v2)} {
			t.Run(tt.name, func(t *testing.T) {
				te := newMaster(t, cfg)
				te.advance(1500 * time.Millisecond)
				te.do(eth0(tt.fault))
				te.wantAddresses("eth0")
				te.advance(tt.lasts)
				te.lines = nil
				te.do(eth0())
				if !tt.goesOn {
					te.want("web: fault -> backup (listening for a master)", "web: hook backup")
					return
				}
				te.want(
					"web: advert prio=150 interval=1s to=224.0.0.18",
					"web: add 192.0.2.100/24 eth0",
					"web: announce 192.0.2.100/24 eth0",
					"web: fault -> master (went on as master: interface eth0 could not be used for "+tt.howLong+", which no peer can have noticed)",
					"web: hook master",
				)
				te.advance(10 * second)
				te.wantState("web", StateMaster)
			})
		}
	}
}

// What speaks against it, and what does not.
func TestShortFaultThatMayBeNoticed(t *testing.T) {
	soon := 10 * time.Millisecond
	for _, tt := range []struct {
		name   string
		before func(te *engineTest)
		while  func(te *engineTest)
		want   State
	}{
		{"nothing", nil, nil, StateMaster},
		{"another master is heard", nil, func(te *engineTest) { te.advert(peer, 50) }, StateBackup},
		{"a release is heard", nil, func(te *engineTest) { te.advert(peer, PriorityRelease) }, StateBackup},
		{"it was handing over", func(te *engineTest) { te.do(&Drain{Instance: "web"}) }, nil, StateBackup},
		{"it was listening", func(te *engineTest) { te.pause(6 * second) }, nil, StateBackup},
		{"the machine slept", func(te *engineTest) { te.do(&Late{By: soon, Asleep: soon}) }, nil, StateBackup},
		{"the machine slept before", func(te *engineTest) {
			te.do(&Late{By: soon, Asleep: soon})
			te.advance(2 * second)
		}, nil, StateMaster},
		{"the machine sleeps", nil, func(te *engineTest) { te.do(&Late{By: 3 * second, Asleep: 3 * second}) }, StateBackup},
		{"the machine sleeps shortly", nil, func(te *engineTest) { te.do(&Late{By: soon, Asleep: soon}) }, StateMaster},
		{"the last advert did not leave", nil, func(te *engineTest) {
			te.do(&SendFailed{Router: RouterID{Instance: "web", Family: IPv4}, Reason: "network is down"})
		}, StateBackup},
		{"another fault follows", nil, func(te *engineTest) { te.do(eth0(noAddress)) }, StateMaster},
		{"its priority falls", nil, func(te *engineTest) { te.configure(web(prio(60))) }, StateMaster},
		{"the next advert would come later", nil, func(te *engineTest) { te.configure(web(every(10 * second))) }, StateMaster},
		{"peers were told of a shorter interval", func(te *engineTest) {
			te.configure(web(every(20 * time.Millisecond)))
			te.advance(100 * time.Millisecond)
			te.configure(web())
			te.advance(soon)
		}, func(te *engineTest) { te.advance(100 * time.Millisecond) }, StateBackup},
	} {
		t.Run(tt.name, func(t *testing.T) {
			te := newMaster(t, web())
			te.advance(2500 * time.Millisecond)
			if tt.before != nil {
				tt.before(te)
			}
			te.do(eth0(noCarrier))
			te.wantState("web", StateFault)
			if tt.while != nil {
				tt.while(te)
			}
			te.advance(soon)
			te.do(eth0())
			te.wantState("web", tt.want)
		})
	}
}

// A failing check lets go with a release: peers take over at once.
func TestShortFaultAfterRelease(t *testing.T) {
	te := newTest(t, web(checks(Check{Name: "db", OnFailure: Release})))
	te.health("db", true, "")
	te.advance(down150 + second)
	te.wantState("web", StateMaster)
	te.health("db", false, "refused")
	te.health("db", true, "")
	te.wantState("web", StateBackup)
}

// One that is drained or whose check fails meanwhile goes on and hands over.
func TestShortFaultOfOneToHandOver(t *testing.T) {
	te := newMaster(t, web())
	te.advance(2500 * time.Millisecond)
	te.do(eth0(noCarrier))
	te.do(&Drain{Instance: "web"})
	te.lines = nil
	te.do(eth0())
	te.wantState("web", StateMaster)
	te.wantOnly("prio=0", "web: advert prio=0 interval=1s to=224.0.0.18")
	te.advert(peer, 100)
	te.wantState("web", StateBackup)
}

// Several failures in a row: none of the adverts between them need have got through.
func TestLinkThatFlickers(t *testing.T) {
	te := newMaster(t, web())
	te.advance(2500 * time.Millisecond)
	began := te.now
	for te.status("web").State != StateBackup {
		te.do(eth0(noCarrier))
		te.advance(100 * time.Millisecond)
		te.do(eth0())
		te.advance(100 * time.Millisecond)
		if te.now.Sub(began) > 5*second {
			t.Fatal("still master")
		}
	}
	if d := te.now.Sub(began); d < second || d > 2500*time.Millisecond {
		t.Errorf("it went on as master for %v", d)
	}
}

// A start-up delay and a check that has not answered keep nobody from going on who
// was master.
func TestShortFaultWithinStartupDelay(t *testing.T) {
	te := newBare(t)
	te.do(&Adopt{Routers: []Adopted{{"eth0", 51, IPv4, false, time.Time{}}}})
	te.configure(web(checks(Check{Name: "nginx"}), func(c *Config) { c.StartupDelay = time.Minute }))
	te.do(eth0())
	te.advance(2500 * time.Millisecond)
	te.do(eth0(noCarrier))
	te.do(eth0())
	te.wantState("web", StateMaster)
}

// Instances of one group go on together, or none does.
func TestShortFaultInGroup(t *testing.T) {
	group := func(c *Config) { c.Group = "fw" }
	inner := web(group)
	outer := web(group, named("outer", 52, "198.51.100.100/24"))

	te := newMaster(t, inner, outer) // on one link
	te.advance(2500 * time.Millisecond)
	te.do(eth0(noCarrier))
	te.do(eth0())
	te.wantState("web", StateMaster)
	te.wantState("outer", StateMaster)

	outer.Interface = "eth1" // which released
	te = newTest(t, inner, outer)
	te.do(eth1())
	te.advance(10 * second)
	te.wantState("outer", StateMaster)
	te.do(eth0(noCarrier))
	te.do(eth0())
	te.wantState("web", StateBackup)
	te.wantState("outer", StateBackup)
}
