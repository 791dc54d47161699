package vrrp

import "time"

// adoptedReason is why a router is master that was so before a restart.
const adoptedReason = "went on as master over a restart"

// MayAdopt reports whether a master whose last advert left so long ago may go on
// as one after a restart: no peer's timer has run out, and none will before the
// next advert, which takes its time to leave, has arrived.
func MayAdopt(age, interval time.Duration) bool {
	return age >= 0 && age < AdoptWithin(interval)
}

// AdoptWithin is how long after its last advert a master may go on as one.
func AdoptWithin(interval time.Duration) time.Duration {
	return downIntervals*interval - interval/4
}

// adopted reports whether this router was master before a restart and may go
// on. That is decided once: after a fault it starts like any other.
func (r *router) adopted() bool {
	a, ok := r.inst.e.adopt[r.key()]
	return ok && (a.Until.IsZero() || r.now().Before(a.Until))
}

// left reports whether addresses were left in place for going on.
func (r *router) left() bool {
	_, ok := r.inst.e.adopt[r.key()]
	return ok
}

// leftUntil is when they are left in place no more; the zero Time when none are.
func (r *router) leftUntil() time.Time {
	if len(r.inst.e.adopt) == 0 {
		return time.Time{}
	}
	return r.inst.e.adopt[r.key()].Until
}

// tooLate lets go of what was left in place, once a peer may have taken over.
func (r *router) tooLate() {
	if r.left() && !r.adopted() {
		r.adoptionEnds()
		r.release()
	}
}

// adoptionsAge counts the time for which the clock stood still against what may go
// on: that of the peers did not.
func (e *Engine) adoptionsAge(asleep time.Duration) {
	for k, a := range e.adopt {
		if !a.Until.IsZero() {
			a.Until = a.Until.Add(-asleep)
			e.adopt[k] = a
		}
	}
}

// goOn goes on as the master that this node was, in the checksum form that its
// peers are used to.
func (r *router) goOn() {
	if r.inst.e.adopt[r.key()].PseudoHeader {
		r.form = formPseudo
	}
	r.becomeMaster(CauseRestart, adoptedReason)
}

func (r *router) key() routerKey {
	return routerKey{r.inst.cfg.Interface, r.inst.cfg.VRID, r.id.Family}
}

// adoptionEnds forgets that the router may go on: it has, or it cannot.
func (r *router) adoptionEnds() {
	delete(r.inst.e.adopt, r.key())
}
