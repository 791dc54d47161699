package vrrp

import (
	"fmt"
	"net/netip"
)

// presume keeps which master a backup takes for dead as it takes over.
func (r *router) presume() {
	r.presumedDead = netip.Addr{}
	if r.peerPriority >= r.inst.effective { // neither released nor beaten
		r.presumedDead = r.peer
	}
}

// flapped counts masters that were taken for dead and are not. Where that goes on,
// adverts are queued or lost for longer than the interval allows, and people are
// told (RFC 9568 section 2.5).
func (r *router) flapped(by netip.Addr) {
	if by != r.presumedDead {
		return
	}
	if r.now().Sub(r.flapsSince) > flapWindow {
		r.flapsSince, r.flaps = r.now(), 0
	}
	if r.flaps++; r.flaps >= flapTimes {
		r.notice(NoticeFlapping, by, fmt.Sprintf(
			"it fell silent %d times within %v and was heard again: adverts are late or lost; a longer advert interval would bear it",
			r.flaps, round(r.now().Sub(r.flapsSince))))
	}
}
