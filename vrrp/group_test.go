package vrrp

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

// The two sides of a firewall: outside on eth0, inside on eth1.
func edge(change ...func(*Config)) []Config {
	outside := web(append([]func(*Config){named("outside", 51, "192.0.2.100/24"), grouped}, change...)...)
	inside := web(append([]func(*Config){named("inside", 52, "198.51.100.100/24"), grouped}, change...)...)
	inside.Interface = "eth1"
	return []Config{outside, inside}
}

func grouped(c *Config) { c.Group = "edge" }

// eth1 is the other link in good order, changed by the given functions.
func eth1(change ...func(*Link)) *Link {
	l := &Link{Name: "eth1", Index: 3, Up: true, Carrier: true, Addresses: prefixes("198.51.100.1/24", "fe80::11/64")}
	for _, f := range change {
		f(l)
	}
	return l
}

func unplugged(l *Link) { l.Carrier = false }

// fromInside is an advert of the peer on eth1.
func fromInside(p *packet) {
	p.from, p.on, p.VRID = addr("198.51.100.2"), 3, 52
	p.Addresses = []netip.Addr{addr("198.51.100.100")}
}

// newEdge returns a test whose group is master of both sides.
func newEdge(t *testing.T, configs ...Config) *engineTest {
	te := newEdgeBackup(t, configs...)
	te.advance(down150)
	te.wantStates(StateMaster, StateMaster)
	te.lines = nil
	return te
}

// newEdgeBackup returns a test whose group has just started.
func newEdgeBackup(t *testing.T, configs ...Config) *engineTest {
	te := newTest(t)
	te.do(eth1())
	te.configure(configs...)
	for _, c := range configs {
		for _, k := range c.Checks {
			te.health(k.Name, true, "")
		}
	}
	te.lines = nil
	return te
}

func (te *engineTest) wantStates(outside, inside State) {
	te.Helper()
	te.wantState("outside", outside)
	te.wantState("inside", inside)
}

// hearBoth lets the peer be heard on both sides.
func (te *engineTest) hearBoth(priority uint8) {
	te.Helper()
	te.advert(peer, priority)
	te.advert(addr("198.51.100.2"), priority, fromInside)
}

func TestGroupLeavesWithALink(t *testing.T) {
	te := newEdge(t, edge()...)
	te.do(eth1(unplugged))
	te.wantStates(StateFault, StateFault)
	te.wantReason("outside", "inside of the same group: interface eth1 has no carrier")
	te.wantReason("inside", "interface eth1 has no carrier")
	te.wantOnly("advert", "outside: advert prio=150 interval=10ms to=224.0.0.18", "outside: advert prio=0 interval=1s to=224.0.0.18")
	te.wantAddresses("eth0", "192.0.2.100/24") // served until the peer has taken over
	te.advert(peer, 100)
	te.advance(lingered)
	te.wantAddresses("eth0")

	te.do(eth1())
	te.wantStates(StateBackup, StateBackup)
	te.adverts(down150, second, peer, 100) // weaker ones are not waited for
	te.wantStates(StateMaster, StateMaster)
}

// A group is demoted by the checks of any of its instances.
func TestGroupSharesChecks(t *testing.T) {
	c := edge()
	c[0].Checks = []Check{{Name: "nginx"}}
	c[1].Checks = []Check{{Name: "dns"}, {Name: "nginx"}}
	te := newEdge(t, c...)
	te.health("dns", false, "timeout")
	for _, name := range []string{"outside", "inside"} {
		if s := te.status(name); s.Effective != 17 || !s.Demoted || s.DemotedWhy != "check dns fails: timeout" {
			t.Errorf("%s: %+v", name, s)
		}
	}
	te.hearBoth(100)
	te.wantStates(StateBackup, StateBackup)
	te.health("dns", true, "")
	te.health("nginx", false, "refused")
	if why := te.status("inside").DemotedWhy; why != "check nginx fails: refused" {
		t.Errorf("a check that both have is told as %q", why)
	}
}

func TestGroupWaitsForAllChecks(t *testing.T) {
	c := edge()
	c[1].Checks = []Check{{Name: "dns"}}
	te := newTest(t)
	te.do(eth1())
	te.configure(c...)
	te.wantStates(StateInit, StateInit)
	te.health("dns", true, "")
	te.wantStates(StateBackup, StateBackup)
}

// Weights and releases act on the whole group too.
func TestGroupWeighsAndReleasesTogether(t *testing.T) {
	c := edge()
	c[1].Checks = []Check{{Name: "load", OnFailure: Weigh, Weight: -20}, {Name: "disk", OnFailure: Release}}
	te := newEdge(t, c...)
	te.health("load", false, "")
	if a, b := te.status("outside").Effective, te.status("inside").Effective; a != 130 || b != 130 {
		t.Errorf("effective priorities are %d and %d", a, b)
	}
	te.health("disk", false, "full")
	te.wantStates(StateFault, StateFault)
	te.health("disk", true, "")
	te.wantStates(StateBackup, StateBackup)
}

func TestGroupIsDrainedTogether(t *testing.T) {
	te := newEdge(t, edge()...)
	te.do(&Drain{Instance: "inside"})
	te.hearBoth(100)
	te.wantStates(StateBackup, StateBackup)
	for _, name := range []string{"outside", "inside"} {
		if s := te.status(name); !s.Drained || s.Effective != 30 {
			t.Errorf("%s: drained %v, effective %d", name, s.Drained, s.Effective)
		}
	}
	te.do(&Undrain{Instance: "outside"})
	if s := te.status("inside"); s.Drained || s.Effective != 150 {
		t.Errorf("after the undrain: drained %v, effective %d", s.Drained, s.Effective)
	}
}

// An address that the kernel does not keep concerns the group.
func TestGroupSharesTrouble(t *testing.T) {
	te := newEdge(t, edge()...)
	for range troubleRepairs {
		te.do(&AddressesChanged{Router: RouterID{Instance: "inside", Family: IPv4}, Addresses: []AddressState{{Address: prefixes("198.51.100.100/24")[0]}}})
	}
	if s := te.status("outside"); !s.Demoted || s.DemotedWhy != "inside of the same group: somebody keeps removing 198.51.100.100/24" {
		t.Errorf("outside: demoted %v: %s", s.Demoted, s.DemotedWhy)
	}
}

// Whatever split a group, without preemption it would stay split: who has a part
// and the higher priority takes the rest.
func TestGroupComesTogether(t *testing.T) {
	te := newEdgeBackup(t, edge(noPreempt)...)
	for range 8 {
		te.advert(peer, 100) // the peer is heard outside alone
		te.advance(second)
	}
	te.wantStates(StateMaster, StateMaster)

	// Without a part, preempt = false is obeyed.
	te = newEdgeBackup(t, edge(noPreempt)...)
	for range 5 {
		te.hearBoth(100)
		te.advance(second)
	}
	te.wantStates(StateBackup, StateBackup)
}

// A side that cannot send takes the other along, and both stay away until it
// has proved that it can.
func TestGroupOfAMuteInstance(t *testing.T) {
	te := newEdge(t, edge()...)
	mute := true
	te.sent = func(s *SendAdvert) {
		if mute && s.Router.Instance == "inside" {
			te.next = append(te.next, &SendFailed{Router: s.Router, Reason: "no buffer space"})
		}
	}
	for te.status("inside").State != StateFault {
		te.advance(100 * time.Millisecond)
	}
	te.wantStates(StateFault, StateFault)
	te.wantReason("outside", "inside of the same group: adverts cannot be sent: no buffer space")
	te.advance(sendRetry)
	te.lines = nil
	te.advance(time.Hour) // it tries, in vain
	te.wantOnly("->")
	te.wantStates(StateFault, StateFault)
	te.wantReason("outside", "inside of the same group: adverts cannot be sent: no buffer space")
	mute = false
	te.advance(sendRetryMax)
	te.wantStates(StateMaster, StateMaster)
}

func TestGroupAnnouncesTogether(t *testing.T) {
	te := newEdge(t, edge()...)
	te.advance(second)
	te.lines = nil
	te.advert(peer, 100)
	te.wantOnly("announce", "outside: announce 192.0.2.100/24 eth0", "inside: announce 198.51.100.100/24 eth1")
	te.advert(peer, 100)
	te.wantOnly("announce") // not for each advert
}

// A reload may put instances into a group and take them out again; nothing moves
// in between.
func TestGroupByReload(t *testing.T) {
	alone := edge(func(c *Config) { c.Group = "" })
	te := newEdge(t, alone...)
	te.do(eth1(unplugged))
	te.wantStates(StateMaster, StateFault)
	te.do(eth1())
	te.advance(down150)
	te.configure(edge()...)
	te.wantStates(StateMaster, StateMaster)
	te.do(eth1(unplugged))
	te.wantStates(StateFault, StateFault)
	te.configure(alone...)
	te.wantStates(StateBackup, StateFault)
}

// An instance that a reload leaves as it is follows what becomes of its group.
func TestReloadOfAMate(t *testing.T) {
	ill := edge()
	ill[1].Checks = []Check{{Name: "dns", OnFailure: Release}}
	apart := edge()
	apart[1].Group, apart[1].Checks = "", ill[1].Checks
	elsewhere := edge()
	elsewhere[1].Group, elsewhere[1].Checks = "core", ill[1].Checks
	moved := edge()
	moved[1].VRID, moved[1].Checks = 53, ill[1].Checks
	for _, tt := range []struct {
		name          string
		before, after []Config
		want          State
	}{
		{"leaves", ill, apart, StateBackup},
		{"goes to another group", ill, elsewhere, StateBackup},
		{"is removed", ill, ill[:1], StateBackup},
		{"is healthy by another configuration", ill, edge(), StateBackup},
		{"is another one", ill, moved, StateFault},
		{"comes", apart, ill, StateFault},
		{"comes from another group", elsewhere, ill, StateFault},
		{"is added", ill[:1], ill, StateFault},
	} {
		t.Run(tt.name, func(t *testing.T) {
			user := web(named("user", 99, "192.0.2.199/24"), checks(Check{Name: "dns"})) // of the check in any case
			te := newTest(t)
			te.do(eth1())
			te.configure(append([]Config{user}, tt.before...)...)
			te.health("dns", false, "timeout")
			te.configure(append([]Config{user}, tt.after...)...)
			te.wantState("outside", tt.want)
		})
	}
}

// A family without an address to send from leaves the group alone as long as the
// other one works.
func TestGroupOfDualStack(t *testing.T) {
	c := edge()
	c[1].Addresses = prefixes("198.51.100.100/24", "fe80::100/64", "2001:db8:1::100/64")
	te := newEdge(t, c...)
	te.do(eth1(func(l *Link) { l.Addresses = prefixes("198.51.100.1/24") }))
	te.wantStates(StateMaster, StateMaster)
}

func TestValidateGroups(t *testing.T) {
	c := edge()
	if err := ValidateAll(c); err != nil {
		t.Fatal(err)
	}
	c[1].Priority, c[1].Preempt, c[1].PreemptDelay = 140, false, time.Second
	err := ValidateAll(c)
	for _, want := range []string{
		`instance "inside": priority 140 must be the same as 150 of instance "outside": both are in group "edge"`,
		`preempt false must be the same as true`, `preempt delay 1s must be the same as 0s`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v lacks %q", err, want)
		}
	}
}

// Two instances that could not send and come into one group by a reload do not
// wait for each other for ever.
func TestGroupOfUnprovenInstances(t *testing.T) {
	c := edge()
	alone := edge()
	alone[0].Group, alone[1].Group = "", ""
	te := newTest(t)
	te.do(eth1())
	mute := true
	te.sent = func(s *SendAdvert) {
		if mute {
			te.next = append(te.next, &SendFailed{Router: s.Router, Reason: "operation not permitted"})
		}
	}
	te.configure(alone...)
	for te.status("outside").State != StateFault || te.status("inside").State != StateFault {
		te.advance(100 * time.Millisecond)
	}
	te.configure(c...)
	mute = false
	te.advance(sendRetryMax)
	te.wantStates(StateMaster, StateMaster)
}

// A rival on one side has the others announce, but not those that ask for a
// successor: one that nobody has heard may have announced itself just now.
func TestRivalLeavesThoseAloneThatHandOver(t *testing.T) {
	te := newEdge(t, edge()...)
	te.do(&Drain{Instance: "outside"})
	te.lines = nil
	te.advert(peer, 1)
	te.advance(200 * time.Millisecond)
	te.advert(peer, 1)
	te.advance(10 * time.Millisecond)
	te.wantOnly("inside: announce")
}
