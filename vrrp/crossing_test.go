package vrrp

import (
	"strings"
	"testing"
)

// Two that take over at one moment: the loser may announce its addresses after
// the winner did. The winner announces them again before the loser lets go.
func TestWinnerOutlastsTheLosersAnnouncement(t *testing.T) {
	te := newTest(t, web())
	te.advance(down150)
	te.wantState("web", StateMaster)
	te.advert(low, 150)
	te.lines = nil
	te.advance(linger - 1)
	te.wantOnly("announce", "web: announce 192.0.2.100/24 eth0")
}

// The same for a master that hears a rival long after it took over.
func TestMasterOutlastsTheRivalsAnnouncement(t *testing.T) {
	te := newMaster(t, web())
	te.advance(10 * second)
	te.advert(peer, 100)
	te.lines = nil
	te.advance(linger - 1)
	te.wantOnly("announce", "web: announce 192.0.2.100/24 eth0")
}

// In version 2 the rival yields only to the next regular advert, with a last word,
// and has announced the addresses until then.
func TestMasterOutlastsTheRivalInVersion2(t *testing.T) {
	te := newMaster(t, web(v2))
	te.advance(10*second + second/2)
	te.advert(peer, 100, version2)
	te.lines = nil
	next := te.router().Deadline.Sub(te.now)
	te.advance(next)
	te.advert(peer, 100, version2)
	te.lines = nil
	te.advance(linger - 1)
	te.wantOnly("announce", "web: announce 192.0.2.100/24 eth0")
}

// A rival that follows another one at once may let go long before a second has
// passed: the winner announces its addresses again before.
func TestNextRivalIsOutlasted(t *testing.T) {
	te := newMaster(t, web())
	te.advance(10 * second)
	te.advert(peer, 100)
	te.advance(rivalGap / 2)
	te.advert(peer, 100)
	te.advance(rivalGap/2 + linger/5) // just after the announcement for that one
	te.advert(peer3, 100)
	te.lines = nil
	te.advance(linger - 1)
	te.wantOnly("announce", "web: announce 192.0.2.100/24 eth0")
}

// The same when a reload takes the permission to preempt away.
func TestReloadedBackupRespectsTheMaster(t *testing.T) {
	te := newTest(t, web())
	te.advance(2 * second)
	te.advert(peer, 100)
	te.advance(second)
	te.advert(peer, 100)
	te.configure(web(noPreempt))
	te.advance(3 * second)
	if s := te.router(); s.State != StateBackup {
		t.Errorf("%v: %s", s.State, s.Reason)
	}
	te.advance(second)
	if s := te.router(); s.State != StateMaster {
		t.Errorf("%v although nobody is heard any more", s.State)
	}
}

// An advert out of turn is the last word of a rival that has heard this master:
// that one lets go soon, however short ago it was answered.
func TestLastWordOfARivalIsAnswered(t *testing.T) {
	te := newMaster(t, web())
	te.advance(10 * second)
	te.advert(low, 100)
	te.advance(rivalGap)
	te.advert(low, 100)
	te.advance(rivalGap / 2)
	te.advert(low, 100)
	te.lines = nil
	te.advance(linger - 1)
	te.wantOnly("announce", "web: announce 192.0.2.100/24 eth0")
}

// A backup that must respect a master after all does so for that one's interval,
// not for that of a quick release before.
func TestRespectedMasterHasItsInterval(t *testing.T) {
	te := newTest(t, web(nginx))
	te.health("nginx", true, "")
	te.advert(peer, 200)
	te.advert(peer, 200, func(p *packet) { p.Interval = quickInterval })
	te.advert(peer, 100) // it goes on as master; this node is about to take over
	te.health("nginx", false, "")
	te.advance(second)
	if s := te.router(); s.State != StateBackup {
		t.Errorf("%v: %s", s.State, s.Reason)
	}
}

// A backup that waits for its timer to take over from a weaker master, and is
// weaker itself meanwhile, must not: the master was heard just now.
func TestWeakenedBackupRespectsTheMaster(t *testing.T) {
	te := newTest(t, web(nginx))
	te.health("nginx", true, "")
	te.advance(2 * second)
	te.advert(peer, 100)
	te.advance(second)
	te.advert(peer, 100)
	te.health("nginx", false, "")
	te.advance(second)
	if s := te.router(); s.State != StateBackup {
		t.Errorf("%v: %s", s.State, s.Reason)
	}
	te.advance(3 * second)
	if s := te.router(); s.State != StateMaster {
		t.Errorf("%v although nobody is heard any more", s.State)
	}
}

// The end of a conflict may come soon after an announcement: what was heard
// since is answered by another one, at once when it is somebody else.
func TestLastRivalIsAnswered(t *testing.T) {
	te := newMaster(t, web())
	te.advance(10 * second)
	te.advert(peer, 100)
	te.advance(rivalGap / 2)
	te.advert(peer, 100)
	te.lines = nil
	te.advance(rivalGap / 2)
	te.wantOnly("announce", "web: announce 192.0.2.100/24 eth0")
	te.advance(rivalGap / 2)
	te.advert(peer, 100)
	te.advance(rivalGap / 4)
	te.lines = nil
	te.advert(peer3, 100)
	te.wantOnly("announce", "web: announce 192.0.2.100/24 eth0")
}

// A backup that is about to preempt a weaker master does not learn its interval,
// yet a quick release is as quick.
func TestQuickReleaseOfAWeakerMaster(t *testing.T) {
	te := newTest(t, web(every(3*second)))
	te.advance(5 * second)
	te.advert(peer, 100, interval(3*second))
	te.advance(second)
	te.advert(peer, 100, interval(quickInterval))
	te.advert(peer, PriorityRelease, interval(3*second))
	te.advance(quickInterval)
	te.wantState("web", StateMaster)
}

// After a pause in the middle of a hand-over a backup listens for as long as
// masters really take between two adverts.
func TestPauseAfterAQuickRelease(t *testing.T) {
	te := newTest(t, web())
	te.advert(peer, 200)
	te.advance(second)
	te.advert(peer, 200, interval(quickInterval))
	te.advert(peer, PriorityRelease)
	te.now = te.now.Add(10 * second)
	te.do(&Late{By: 10 * second})
	te.advance(second)
	te.wantState("web", StateBackup)
	te.advance(listen150 - second)
	te.wantState("web", StateMaster)
}

// A rival that is heard just when the addresses were to be announced because of
// it is outlasted all the same: that announcement comes too early for it.
func TestRivalHeardAsItIsAnsweredIsOutlasted(t *testing.T) {
	te := newMaster(t, web())
	te.advance(10 * second)
	te.advert(peer, 100)
	te.advance(rivalGap / 2)
	te.advert(peer, 100)
	te.now = te.now.Add(rivalGap / 2) // packets come before the Tick
	te.advert(peer, 100)
	te.do(&Tick{})
	te.lines = nil
	te.advance(linger - 1)
	te.wantOnly("announce", "web: announce 192.0.2.100/24 eth0")
}

// Who releases was master, and may have announced the addresses although nobody here
// has heard it. So this node does, also before that one lets go, and not ever more
// often.
func TestMasterThatReleasesIsOutlived(t *testing.T) {
	const announced = "web: announce 192.0.2.100/24 eth0"
	for name, drain := range map[string]bool{"by a master": false, "by one that hands over": true} {
		t.Run(name, func(t *testing.T) {
			te := newMaster(t, web())
			te.advance(10 * second)
			if drain {
				te.do(&Drain{Instance: "web"})
				te.advance(second / 100)
			}
			te.lines = nil
			te.advert(peer, PriorityRelease)
			te.wantOnly("announce", announced)
			te.advance(linger - 1)
			te.wantOnly("announce", announced)
			for range 1000 {
				te.advance(second / 1000)
				te.advert(peer, PriorityRelease)
			}
			if n := strings.Count(strings.Join(te.lines, "\n"), announced); n > 25 {
				t.Errorf("announced %d times within a second", n)
			}
		})
	}
}
