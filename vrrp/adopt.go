package vrrp

import "time"

// adoptedReason is why a router is master that was so before a restart.
const adoptedReason = "went on as master over a restart"

// MayAdopt reports whether a master whose last advert left so long ago may go on
// as one after a restart: no peer's timer has run out, and none will before the
// next advert, which takes its time to leave, has arrived.
func MayAdopt(age, interval time.Duration) bool {
	return age >= 0 && age < downIntervals*interval-interval/4
}

// adopted reports whether this router was master before a restart and may go
// on. That is decided once: after a fault it starts like any other.
func (r *router) adopted() bool {
	_, ok := r.inst.e.adopt[r.key()]
	return ok
}

// goOn goes on as the master that this node was, in the checksum form that its
// peers are used to.
func (r *router) goOn() {
	if r.inst.e.adopt[r.key()].PseudoHeader {
		r.form = formPseudo
	}
	r.becomeMaster(adoptedReason)
}

func (r *router) key() routerKey {
	return routerKey{r.inst.cfg.Interface, r.inst.cfg.VRID, r.id.Family}
}

// adoptionEnds forgets that the router may go on: it has, or it cannot.
func (r *router) adoptionEnds() {
	delete(r.inst.e.adopt, r.key())
}
