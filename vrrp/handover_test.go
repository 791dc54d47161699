package vrrp

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

var nginx = checks(Check{Name: "nginx"})

// newChecked returns a master whose check nginx passes.
func newChecked(t *testing.T, c Config) *engineTest {
	t.Helper()
	te := newBare(t)
	te.do(eth0())
	te.health("nginx", true, "")
	te.configure(c)
	te.advance(downInterval(c.Version, c.Priority, c.AdvertInterval))
	te.wantState("web", StateMaster)
	te.lines = nil
	return te
}

// newBackup returns a backup of a healthy master of priority 200.
func newBackup(t *testing.T, c Config) *engineTest {
	t.Helper()
	te := newTest(t, c)
	te.advert(peer, 200)
	te.wantState("web", StateBackup)
	te.lines = nil
	return te
}

const bound = second + handoverGrace // with 1 s adverts

var quickRelease = []string{
	"web: advert prio=150 interval=10ms to=224.0.0.18",
	"web: advert prio=0 interval=1s to=224.0.0.18",
}

// A master that stops releases at once and serves until its successor has
// spoken and had a moment; then the addresses go, then the hooks run.
func TestStopServesUntilTheSuccessorIsThere(t *testing.T) {
	te := newMaster(t, web())
	te.do(&Stop{})
	te.want(append(quickRelease[:2:2], "web: master -> init (stopped)")...)
	te.wantAddresses("eth0", "192.0.2.100/24")
	if te.e.Stopped() {
		t.Error("stopped, with addresses held")
	}
	te.advance(20 * time.Millisecond)
	te.advert(peer, 100)
	te.advance(linger + lingerEach - 1)
	te.want("web: stop announcing eth0")
	te.advance(1)
	te.want("web: remove 192.0.2.100/24 eth0", "web: hook init")
	if !te.e.Stopped() {
		t.Error("not stopped")
	}
	if at, ok := te.e.Deadline(); ok {
		t.Errorf("a deadline at %v after the stop", at)
	}
}

// When nobody takes over, a stop takes no longer than its bound.
func TestStopIsBounded(t *testing.T) {
	for _, tt := range []struct {
		interval time.Duration
		want     time.Duration
	}{
		{MinInterval, 110 * time.Millisecond},
		{second, 1100 * time.Millisecond},
		{MaxInterval, 1100 * time.Millisecond},
	} {
		te := newMaster(t, web(every(tt.interval)))
		te.do(&Stop{})
		te.lines = nil
		te.advert(peer, 0) // another one that leaves is no successor
		te.advance(tt.want - 1)
		te.wantNone()
		te.advance(1)
		te.want("web: stop announcing eth0", "web: remove 192.0.2.100/24 eth0", "web: hook init")
	}
}

// What waits to be announced is taken back as soon as this node lets go, or does not
// know whether it is master: it may wait for as long as the kernel is busy.
func TestAnnouncementsAreTakenBack(t *testing.T) {
	for name, end := range map[string]func(te *engineTest){
		"link lost":                   func(te *engineTest) { te.do(eth0(func(l *Link) { l.Carrier = false })) },
		"stopped with a successor":    func(te *engineTest) { te.do(&Stop{}); te.advert(peer, 100); te.advance(bound) },
		"stopped without a successor": func(te *engineTest) { te.do(&Stop{}); te.advance(bound) },
		"yielded":                     func(te *engineTest) { te.advert(peer, 200); te.advance(bound) },
		"slept":                       func(te *engineTest) { te.pause(6 * second) },
	} {
		t.Run(name, func(t *testing.T) {
			te := newMaster(t, web())
			end(te)
			te.wantOnly("stop announcing", "web: stop announcing eth0")
		})
	}
}

// A successor late in the bound has its time to announce itself all the same,
// and its further adverts do not lengthen that.
func TestLateSuccessorHasItsTime(t *testing.T) {
	te := newMaster(t, web())
	te.do(&Stop{})
	te.advance(bound - linger/2)
	te.advert(peer, 100)
	te.advert(peer, 100)
	te.lines = nil
	te.advance(linger / 2)
	te.advert(peer, 100)
	te.wantNone()
	te.advance(linger/2 + lingerEach)
	te.want("web: remove 192.0.2.100/24 eth0", "web: hook init")
}

func TestStopTwiceAndEventsAfterIt(t *testing.T) {
	te := newMaster(t, web())
	te.do(&Stop{})
	te.advert(peer, 100)
	te.advance(second)
	te.lines = nil
	te.do(&Stop{})
	te.do(eth0(func(l *Link) { l.Up = false }))
	te.do(eth0())
	te.configure(web(), web(named("inside", 52, "192.0.2.101/24")))
	te.do(&AnnounceNow{})
	te.do(&Drain{Instance: "web"})
	te.advance(time.Hour)
	te.wantNone()
	if !te.e.Stopped() {
		t.Error("no longer stopped")
	}
}

// Version 2 has no interval to shorten: make before break alone hides the wait.
func TestVersion2HasNoQuickAdvert(t *testing.T) {
	te := newMaster(t, web(v2))
	te.do(&Stop{})
	te.want("web: advert prio=0 interval=1s to=224.0.0.18", "web: master -> init (stopped)")
	te.advance(skew150)
	te.advert(peer, 100, version2)
	te.advance(lingered)
	te.want("web: stop announcing eth0", "web: remove 192.0.2.100/24 eth0", "web: hook init")
}

// The wait of a backup after a quick release is its skew at 10 ms.
func TestQuickReleaseShortensTheWait(t *testing.T) {
	te := newBackup(t, web())
	te.advert(peer, 200, interval(quickInterval))
	te.advert(peer, 0)
	te.wantDue(skew150 / 100)
	te.advance(skew150 / 100)
	te.wantState("web", StateMaster)
	te.wantOnly("advert", "web: advert prio=150 interval=1s to=224.0.0.18")
}

// A demoted master releases with the priority its backups know, serves on, and
// yields to whoever is healthier.
func TestDemotedMasterHandsOver(t *testing.T) {
	te := newChecked(t, web(nginx))
	te.health("nginx", false, "status 500")
	te.want(quickRelease...)
	te.wantState("web", StateMaster)
	te.wantAddresses("eth0", "192.0.2.100/24")
	if !te.router().HandingOver {
		t.Error("the status does not tell of the handover")
	}
	te.advance(10 * time.Millisecond)
	te.advert(peer, 100)
	te.want(
		"web: advert prio=17 interval=1s to=224.0.0.18",
		"web: stop announcing eth0",
		"web: master -> backup (handed over to 192.0.2.2, which has priority 100: check nginx fails: status 500)",
	)
	te.advance(lingered)
	te.want("web: remove 192.0.2.100/24 eth0", "web: hook backup")
}

// A master that hands over may be heard, and hear, for the first time since a
// partition: it speaks once more, for the other one has been master all along
// and knows of no rival.
func TestHandingMasterSpeaksALastWord(t *testing.T) {
	te := newMaster(t, web())
	te.do(&Drain{Instance: "web"})
	te.lines = nil
	te.advance(bound / 2)
	te.advert(peer, 200)
	te.wantOnly("advert", "web: advert prio=30 interval=1s to=224.0.0.18")
	te.wantState("web", StateBackup)
}

// When nobody takes over, the demoted node stays master and says so.
func TestDemotedMasterStaysWhenNobodyComes(t *testing.T) {
	te := newChecked(t, web(nginx))
	te.health("nginx", false, "")
	te.lines = nil
	te.advance(bound - 1)
	te.wantNone()
	te.advance(1)
	te.want(
		"web: notice: nobody was heard to take over: this node stays master at priority 17",
		"web: advert prio=17 interval=1s to=224.0.0.18",
		"web: announce 192.0.2.100/24 eth0",
	)
	te.advance(second)
	te.want("web: advert prio=17 interval=1s to=224.0.0.18")
	te.wantAddresses("eth0", "192.0.2.100/24")
}

// With short adverts a handover lasts longer than any backup waits for one. Who has
// not answered by then has lost the release, or is a master that hands over itself:
// it is offered again, and the end stays where it was.
func TestHandoverOffersAgain(t *testing.T) {
	const interval = 10 * time.Millisecond
	te := newChecked(t, web(nginx, every(interval)))
	te.health("nginx", false, "")
	te.lines = nil
	const again = downIntervals * interval
	for range 3 {
		te.advance(again - 1)
		te.wantNone()
		te.advance(1)
		te.want("web: advert prio=0 interval=10ms to=224.0.0.18")
	}
	te.advance(handoverBound(interval) - 3*again)
	te.want(
		"web: notice: nobody was heard to take over: this node stays master at priority 17",
		"web: advert prio=17 interval=10ms to=224.0.0.18",
		"web: announce 192.0.2.100/24 eth0",
	)

	te = newChecked(t, web(nginx, every(interval))) // another one hands over, too
	te.health("nginx", false, "")
	te.advance(again / 2)
	te.lines = nil
	te.advert(peer, PriorityRelease)
	te.wantOnly("advert", "web: advert prio=17 interval=10ms to=224.0.0.18")
	te.advert(peer, 25)
	te.wantState("web", StateBackup)
}

// A check that heals before anybody took over ends the handover.
func TestHealingEndsTheHandover(t *testing.T) {
	te := newChecked(t, web(nginx))
	te.health("nginx", false, "")
	te.lines = nil
	te.advance(5 * time.Millisecond)
	te.health("nginx", true, "")
	te.want("web: advert prio=150 interval=1s to=224.0.0.18")
	te.wantDue(second)
	te.advance(2 * second)
	te.wantOnly("nobody")
	te.wantState("web", StateMaster)
}

// Nobody weaker takes a demoted node's place: it says at once that it stays.
func TestWeakerAnswerDoesNotTakeOver(t *testing.T) {
	te := newChecked(t, web(nginx))
	te.health("nginx", false, "")
	te.advance(5 * time.Millisecond)
	te.lines = nil
	te.advert(peer, 10)
	te.wantOnly("advert prio", "web: advert prio=17 interval=1s to=224.0.0.18")
	te.wantState("web", StateMaster)
	te.wantDue(second)
}

// A master that is handing over and is told to stop releases once more.
func TestStopDuringHandover(t *testing.T) {
	te := newChecked(t, web(nginx))
	te.health("nginx", false, "")
	te.lines = nil
	te.do(&Stop{})
	te.want(append(quickRelease[:2:2], "web: master -> init (stopped)")...)
	te.advert(peer, 100)
	te.advance(lingered)
	te.want("web: stop announcing eth0", "web: remove 192.0.2.100/24 eth0", "web: hook init")
}

// A link that fails during the handover ends it at once: nothing can be heard.
func TestLinkLostDuringHandover(t *testing.T) {
	te := newChecked(t, web(nginx))
	te.health("nginx", false, "")
	te.lines = nil
	te.do(eth0(func(l *Link) { l.Carrier = false }))
	te.want(
		"web: stop announcing eth0",
		"web: remove 192.0.2.100/24 eth0",
		"web: master -> fault (interface eth0 has no carrier)",
		"web: hook fault",
	)
}

// A healthy backup takes over from a demoted master, whatever its preempt
// setting and however low its base.
func TestHealthyBackupBeatsDemotedMaster(t *testing.T) {
	for name, c := range map[string]Config{
		"preempt":             web(prio(32)),
		"no preempt":          web(prio(32), noPreempt),
		"preempt after delay": web(prio(32), func(c *Config) { c.PreemptDelay = time.Hour }),
	} {
		t.Run(name, func(t *testing.T) {
			te := newBackup(t, c)
			te.adverts(downInterval(Version3, 32, second), second, peer, DemotedMax)
			te.wantState("web", StateMaster)
			te.wantReason("web", "priority 32 beats 31 of 192.0.2.2")
		})
	}
}

// Two demoted nodes elect among themselves, and keep to their preempt setting.
func TestDemotedBackupAndDemotedMaster(t *testing.T) {
	te := newBare(t)
	te.do(eth0())
	te.health("nginx", false, "")
	te.configure(web(nginx, noPreempt))
	te.adverts(20*second, second, peer, 10)
	te.wantState("web", StateBackup)
	te.configure(web(nginx))
	te.adverts(4*second, second, peer, 10)
	te.wantState("web", StateMaster)
}

// A drained master hands over as a demoted one does; undraining lets it
// compete again.
func TestDrain(t *testing.T) {
	te := newMaster(t, web())
	te.do(&Drain{Instance: "web"})
	te.want(quickRelease...)
	te.do(&Drain{Instance: "web"}) // twice is once
	te.do(&Drain{Instance: "nobody"})
	te.wantNone()
	if s := te.status("web"); !s.Drained || s.Demoted || s.Effective != 30 {
		t.Errorf("drained %v, demoted %v, effective %d", s.Drained, s.Demoted, s.Effective)
	}
	te.advert(peer, 100)
	te.wantState("web", StateBackup)
	te.adverts(60*second, second, peer, 100)
	te.wantState("web", StateBackup)
	te.do(&Undrain{Instance: "web"})
	te.adverts(4*second, second, peer, 100)
	te.wantState("web", StateMaster)
}

func TestUndrainBeforeAnybodyTookOver(t *testing.T) {
	te := newMaster(t, web())
	te.do(&Drain{Instance: "web"})
	te.lines = nil
	te.do(&Undrain{Instance: "web"})
	te.want("web: not drained (undrained before anybody took over); now master", "web: advert prio=150 interval=1s to=224.0.0.18")
	te.wantDue(second)
}

// Drained and failing is the weakest of all.
func TestDrainedAndDemoted(t *testing.T) {
	te := newChecked(t, web(nginx))
	te.do(&Drain{Instance: "web"})
	te.health("nginx", false, "")
	if s := te.status("web"); s.Effective != 1 || !s.Drained || !s.Demoted {
		t.Errorf("effective %d, drained %v, demoted %v; want 1, true, true", s.Effective, s.Drained, s.Demoted)
	}
}

// A successor may have announced the addresses unheard: a master that asks for one
// announces them no more, unless nobody comes or it need not hand over after all.
func TestHandingOverAnnouncesNothing(t *testing.T) {
	handing := func(t *testing.T) *engineTest {
		te := newTest(t, web(func(c *Config) { c.Announce = Announce{Repeat: 3, Interval: second / 5} }))
		te.advance(down150) // the first announcement of a few
		te.advance(10 * time.Millisecond)
		te.do(&Drain{Instance: "web"})
		te.lines = nil
		te.advance(bound - 1)
		te.wantOnly("announce")
		return te
	}
	for name, follows := range map[string]func(*engineTest){
		"nobody comes": func(te *engineTest) { te.advance(1) },
		"undrained":    func(te *engineTest) { te.do(&Undrain{Instance: "web"}); te.advance(1) },
	} {
		t.Run(name, func(t *testing.T) {
			te := handing(t)
			follows(te)
			const announced = "web: announce 192.0.2.100/24 eth0"
			te.wantOnly("announce 192", announced, announced) // of the few, and the one in between
		})
	}
	t.Run("a peer takes over", func(t *testing.T) {
		te := handing(t)
		te.adverts(2*second, second, peer, 100)
		te.wantState("web", StateBackup)
		te.wantOnly("announce 192")
	})
}

// An owner can be drained too.
func TestDrainedOwner(t *testing.T) {
	te := newMaster(t, web(prio(255)))
	te.do(&Drain{Instance: "web"})
	te.advert(peer, 100)
	te.adverts(30*second, second, peer, 100)
	te.wantState("web", StateBackup)
}

// lastAdvert is what a master says when it yields, so that the winner knows of
// a rival and announces itself.
const lastAdvert = "web: advert prio=150 interval=1s to=224.0.0.18"

// A preempted master lingers, so that no packet falls between two nodes; the
// hooks wait for it.
func TestPreemptedMasterLingers(t *testing.T) {
	te := newMaster(t, web())
	te.advert(peer, 200)
	te.want(lastAdvert, "web: stop announcing eth0", "web: master -> backup (192.0.2.2 has priority 200, this node 150)")
	te.advance(linger + lingerEach - 1)
	te.wantNone()
	te.wantAddresses("eth0", "192.0.2.100/24")
	te.advance(1)
	te.want("web: remove 192.0.2.100/24 eth0", "web: hook backup")
}

// Whoever becomes master again within its linger keeps the addresses, and the
// hooks see each state in order.
func TestMasterAgainWhileLingering(t *testing.T) {
	te := newMaster(t, web(every(MinInterval)))
	te.advert(peer, 200, interval(MinInterval))
	te.advert(peer, 0)
	te.advance(skew150 / 100)
	te.advance(0)
	te.want(
		"web: advert prio=150 interval=10ms to=224.0.0.18",
		"web: stop announcing eth0",
		"web: master -> backup (192.0.2.2 has priority 200, this node 150)",
		"web: advert prio=150 interval=10ms to=224.0.0.18",
		"web: add 192.0.2.100/24 eth0",
		"web: announce 192.0.2.100/24 eth0",
		"web: backup -> master (192.0.2.2 released)",
		"web: hook backup",
		"web: hook master",
	)
	te.advance(second)
	te.wantOnly("remove")
	te.wantAddresses("eth0", "192.0.2.100/24")
}

// Only after the delay does a backup take over from a weaker master that it
// hears; a stronger one in between starts the delay anew.
func TestPreemptDelay(t *testing.T) {
	te := newBackup(t, web(func(c *Config) { c.PreemptDelay = 30 * second }))
	te.adverts(29*second, second, peer, 100)
	if got := te.router().PreemptAt.Sub(te.now); got != second {
		t.Errorf("the delay ends in %v, want 1s", got)
	}
	te.adverts(second, second, peer, 200)
	te.adverts(30*second, second, peer, 100)
	te.wantState("web", StateBackup)
	te.adverts(down150, second, peer, 100)
	te.wantState("web", StateMaster)
}

// A master's death is no preemption: it needs no delay.
func TestPreemptDelayIsNotForTheDead(t *testing.T) {
	te := newBackup(t, web(func(c *Config) { c.PreemptDelay = time.Hour }))
	te.advert(peer, 100)
	te.advance(down150)
	te.wantState("web", StateMaster)
	te.wantReason("web", "no advert from 192.0.2.2 for 3.41s")
}

func TestStartupDelay(t *testing.T) {
	te := newTest(t, web(prio(255), func(c *Config) { c.StartupDelay = 30 * second }))
	te.wantState("web", StateInit)
	te.wantReason("web", "start-up delay of 30s")
	te.advert(peer, 100)
	te.advance(30*second - 1)
	te.wantNone()
	te.advance(1)
	te.wantState("web", StateMaster)
}

// An instance that a reload removed hears its successor.
func TestRemovedInstanceHearsItsSuccessor(t *testing.T) {
	te := newMaster(t, web(), web(named("inside", 52, "192.0.2.101/24")))
	te.configure(web())
	te.wantOnly("inside",
		"inside: advert prio=150 interval=10ms to=224.0.0.18",
		"inside: advert prio=0 interval=1s to=224.0.0.18",
		"inside: master -> init (removed from the configuration)",
	)
	te.wantAddresses("eth0", "192.0.2.100/24", "192.0.2.101/24")
	te.advance(5 * time.Millisecond)
	te.advert(peer, 100, ofVRID(52), carrying("192.0.2.101"))
	te.advance(lingered)
	te.wantOnly("inside", "inside: stop announcing eth0", "inside: remove 192.0.2.101/24 eth0", "inside: hook init")
	te.advance(second)
	te.advert(peer, 200, ofVRID(52), carrying("192.0.2.101"))
	if n := te.e.Snapshot(te.now).Links[0].Drops.Of(DropVRID); n != 1 {
		t.Errorf("%d packets for a VRID that is gone, want 1", n)
	}
}

// Each address family hands over on its own.
func TestDualStackStop(t *testing.T) {
	te := newMaster(t, dual())
	te.do(&Stop{})
	te.lines = nil
	te.advert(peer, 100)
	te.advance(lingered)
	te.want("web: stop announcing eth0", "web: remove 192.0.2.100/24 eth0")
	if te.e.Stopped() {
		t.Error("stopped, with IPv6 addresses held")
	}
	te.advert(peer6, 100)
	te.advance(lingered)
	te.want("web: stop announcing eth0", "web: remove fe80::100/64 2001:db8::100/64 eth0", "web: hook init")
	if !te.e.Stopped() {
		t.Error("not stopped")
	}
}

// A failed send is counted and told, and changes nothing.
func TestSendFailed(t *testing.T) {
	te := newMaster(t, web())
	for range 3 {
		te.do(&SendFailed{Router: RouterID{Instance: "web", Family: IPv4}, Reason: "network is down"})
	}
	te.do(&SendFailed{Router: RouterID{Instance: "nobody", Family: IPv4}, Reason: "network is down"})
	te.want("web: notice: advert could not be sent: network is down")
	if n := te.router().Counters.SendErrors; n != 3 {
		t.Errorf("%d send errors, want 3", n)
	}
	te.wantDue(second)
}

// A VIP that somebody removes is put back at once and announced.
func TestLostAddressIsRepaired(t *testing.T) {
	te := newMaster(t, web(vips("192.0.2.100/24", "192.0.2.101/24")))
	lost := te.setKernel(RouterID{Instance: "web", Family: IPv4}, "eth0", prefixes("192.0.2.101/24"), false)
	lost.Removal = false
	te.do(lost)
	te.want(
		"web: add 192.0.2.101/24 eth0",
		"web: announce 192.0.2.101/24 eth0",
		"web: notice: address was removed by somebody else and put back: 192.0.2.101/24",
	)
	if n := te.router().Counters.AddressesRepaired; n != 1 {
		t.Errorf("%d repaired, want 1", n)
	}
	te.do(&AddressesChanged{Router: RouterID{Instance: "web", Family: IPv4}, Addresses: []AddressState{{Address: prefixes("203.0.113.1/24")[0]}}})
	te.wantNone() // not one of ours
}

// An address that is gone before it was ever seen is put back a little later.
func TestAddressLostBeforeItWasSeen(t *testing.T) {
	te := newTest(t, web())
	te.deaf = true
	te.advance(down150)
	te.lines = nil
	te.do(&AddressesChanged{Router: RouterID{Instance: "web", Family: IPv4}, Addresses: []AddressState{
		{Address: prefixes("192.0.2.100/24")[0]},
	}})
	te.wantNone()
	te.advance(repairMin)
	te.want("web: add 192.0.2.100/24 eth0", "web: announce 192.0.2.100/24 eth0")
	te.do(&AddressesChanged{Router: RouterID{Instance: "web", Family: IPv4}, Addresses: []AddressState{
		{Address: prefixes("192.0.2.100/24")[0], Present: true},
	}})
	te.advance(repairMax)
	te.wantOnly(" add ")
}

// What the kernel refuses is tried again, less and less often.
func TestRefusedAddressIsTriedAgain(t *testing.T) {
	te := newMaster(t, web(vips("192.0.2.100/24", "192.0.2.101/24")))
	te.deaf = true
	refuse := func() {
		te.Helper()
		te.do(&AddressesChanged{Router: RouterID{Instance: "web", Family: IPv4}, Addresses: []AddressState{
			{Address: prefixes("192.0.2.101/24")[0], Problem: "no buffer space available"},
		}})
	}
	refuse()
	te.want("web: notice: address could not be set: no buffer space available")
	for _, wait := range []time.Duration{100, 200, 400, 800, 1600, 3200, 6400, 10000, 10000} {
		te.advance(wait*time.Millisecond - 1)
		te.wantOnly("add")
		te.advance(1)
		te.wantOnly(".101", "web: add 192.0.2.101/24 eth0", "web: announce 192.0.2.101/24 eth0")
		refuse()
	}
	te.do(&AddressesChanged{Router: RouterID{Instance: "web", Family: IPv4}, Addresses: []AddressState{
		{Address: prefixes("192.0.2.101/24")[0], Present: true},
	}})
	te.advance(20 * second)
	te.wantOnly(" add ")
}

// A release carries what peers have been accepting, and so do both families.
func TestReleaseOfBothFamiliesAndPeers(t *testing.T) {
	te := newMaster(t, dual(unicast(peer, peer3, peer6)))
	te.do(&Stop{})
	var got []string
	for _, l := range te.lines {
		if strings.Contains(l, "advert") {
			got = append(got, strings.TrimPrefix(l, "web: "))
		}
	}
	te.lines = got
	te.want(
		"advert prio=150 interval=10ms to=192.0.2.2", "advert prio=150 interval=10ms to=192.0.2.3",
		"advert prio=0 interval=1s to=192.0.2.2", "advert prio=0 interval=1s to=192.0.2.3",
		"advert prio=150 interval=10ms to=fe80::2", "advert prio=0 interval=1s to=fe80::2",
	)
}

// What the kernel does not let go is tried again.
func TestRemovalThatFailsIsTriedAgain(t *testing.T) {
	te := newMaster(t, web())
	te.advert(peer, 200)
	te.advance(lingered)
	te.do(&AddressesChanged{Router: RouterID{Instance: "web", Family: IPv4}, Addresses: []AddressState{
		{Address: prefixes("192.0.2.100/24")[0], Present: true, Problem: "cannot remove 192.0.2.100/24 from eth0: no buffer space"},
	}})
	te.lines = nil
	te.adverts(repairMin, 50*time.Millisecond, peer, 200)
	te.wantOnly("remove", "web: remove 192.0.2.100/24 eth0")
}

// The last word of the master that this one has just taken over from is no
// answer to a release that crossed it: that one waits its skew and then serves.
func TestLastWordIsNoSuccessor(t *testing.T) {
	for _, version := range []Version{Version2, Version3} {
		for _, ev := range []Event{&Drain{Instance: "web"}, &Stop{}} {
			te := newTest(t, web(func(c *Config) { c.Version = version }))
			say := func(priority uint8) { te.advert(peer, priority, func(p *packet) { p.Version = version }) }
			say(100)
			te.advance(down150)
			te.wantState("web", StateMaster)
			te.do(ev)
			te.advance(skew(version, 100, quickInterval) / 10)
			say(0) // from before it changed its mind
			say(100)
			te.lines = nil
			te.advance(bound - 100*time.Millisecond)
			te.wantOnly("remove")
			say(100)
			te.advance(lingered)
			te.wantOnly("remove", "web: remove 192.0.2.100/24 eth0")
		}
	}
}

// A successor of many IPv6 addresses needs seconds. The one before it keeps them
// for as long, and when it has let go they are announced once more, however
// short the burst was.
func TestLargeIPv6Handover(t *testing.T) {
	list := []string{"fe80::100/64"}
	for n := range 4000 {
		list = append(list, fmt.Sprintf("2001:db8::%x/128", n+1))
	}
	te := newMaster(t, web(vips(list...), every(100*time.Millisecond), func(c *Config) {
		c.Announce = Announce{Repeat: 5, Interval: 200 * time.Millisecond, Refresh: time.Minute}
	}))
	r := te.e.instances[0].routers[0]
	became := r.since
	var announced []time.Duration
	for te.now.Sub(became) < 30*second {
		te.now, _ = te.e.Deadline()
		for _, a := range te.e.Step(te.now, &Tick{}) {
			if _, ok := a.(*AnnounceAddresses); ok {
				announced = append(announced, te.now.Sub(became))
			}
		}
	}
	if n := len(announced); n != 6 || announced[3] != 800*time.Millisecond || announced[4] != r.linger()/2 || announced[5] != r.linger()+announceSoon {
		t.Errorf("announced again after %v, want four times within 800ms, and once each after %v and %v", announced, r.linger()/2, r.linger()+announceSoon)
	}
	if r.linger() < 4*second || r.linger() > 10*second {
		t.Errorf("the former master lingers %v", r.linger())
	}
}

// What the kernel refused to remove is tried again also when the link was lost
// meanwhile: else this node goes on answering beside the master.
func TestRefusedRemovalOutlastsTheLink(t *testing.T) {
	te := newMaster(t, web())
	te.advert(peer, 200)
	te.deaf = true
	te.advance(lingered)
	te.do(&AddressesChanged{Router: RouterID{Instance: "web", Family: IPv4}, Addresses: []AddressState{
		{Address: prefixes("192.0.2.100/24")[0], Present: true, Problem: "no buffer space available"},
	}})
	te.do(eth0(unplugged))
	te.do(eth0())
	te.wantState("web", StateBackup)
	te.lines = nil
	te.advance(repairMax)
	te.wantOnly("remove", "web: remove 192.0.2.100/24 eth0")
}
