package daemon

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-vrrp/holdfast/vrrp"
)

func TestRehearse(t *testing.T) {
	adverts, masters := 0, 0
	for _, a := range rehearse() {
		switch a := a.(type) {
		case *vrrp.SendAdvert:
			adverts++
		case *vrrp.Transition:
			if a.To == vrrp.StateMaster && strings.HasPrefix(a.Reason, "no advert from ") {
				masters++
			}
		}
	}
	if adverts != 2 || masters != 2 {
		t.Errorf("%d adverts are sent and %d masters fell silent, want one each of both families", adverts, masters)
	}
}

// TestNearTakeOver has many backups take over one after the other: a rehearsal before
// each would hold the next one up.
func TestNearTakeOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, rehearsals := &Daemon{}, 0
		for range 30 {
			last := d.rehearsed
			if d.nearTakeOver(); d.rehearsed != last {
				rehearsals++
			}
			time.Sleep(rehearseGap / 10)
		}
		if rehearsals != 3 {
			t.Errorf("rehearsed %d times in three gaps", rehearsals)
		}
	})
}
