package daemon

import (
	"strings"
	"testing"

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
