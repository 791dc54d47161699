package vrrp

import "testing"

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
