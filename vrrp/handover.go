package vrrp

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// handoverBound is how long a leaving master waits for a successor: the longest
// skew that a peer may have at intervals of up to a second, and in version 2 at
// any, and some grace. A peer that heard the quick release needs 10 ms of it; one
// that missed it at longer intervals is not waited for.
func handoverBound(interval time.Duration) time.Duration {
	return min(interval, time.Second) + handoverGrace
}

// handOver offers the mastership to a healthier node and goes on serving.
func (r *router) handOver(before uint8) {
	r.sendRelease(before)
	r.handing = true
	r.awaitSuccessor()
}

// handingUntil is when a successor is expected no more.
func (r *router) handingUntil() time.Time {
	return r.released.Add(handoverBound(r.inst.cfg.AdvertInterval))
}

// awaitSuccessor plans the end of the wait for a successor, or before it another
// release: with short intervals the wait is longer than any backup goes without an
// advert. Two masters that a partition lets go, and whose releases were lost in it,
// would be silent beside each other that long; whoever is master answers a release.
// A backup that has not heard the one before waits its skew from then on, as it
// would after three intervals anyway.
func (r *router) awaitSuccessor() {
	r.timer = r.after(downIntervals * r.inst.cfg.AdvertInterval)
	if end := r.handingUntil(); end.Before(r.timer) {
		r.timer = end
	}
}

// releaseAgain repeats the offer.
func (r *router) releaseAgain() {
	r.sendOnce(PriorityRelease, r.inst.cfg.AdvertInterval)
	r.counters.ReleasesSent++
	r.awaitSuccessor()
}

// sendRelease sends priority 0. In version 3 an advert with the shortest
// interval goes first: a backup learns the interval from its master, so that
// the skew it waits after the release shrinks with it. That advert carries the
// priority which the backups have been accepting.
func (r *router) sendRelease(priority uint8) {
	if r.inst.cfg.Version == Version3 && priority != PriorityRelease {
		r.sendOnce(priority, quickInterval)
	}
	r.sendOnce(PriorityRelease, r.inst.cfg.AdvertInterval)
	r.released = r.now()
	r.counters.ReleasesSent++
}

// crossed reports whether an advert comes too soon after the release to answer
// it, as the last word of a master that this one has just outdone does: who
// answers waits its skew. Some routers round the short skew of version 3 to
// nothing, so that it is asked there only for a moment after outdoing somebody.
func (r *router) crossed(from netip.Addr, priority uint8) bool {
	v, interval := r.inst.cfg.Version, r.inst.cfg.AdvertInterval
	if v == Version3 {
		if interval = quickInterval; from != r.outdone || r.released.Sub(r.outdoneAt) >= lastWord {
			return false
		}
	}
	return r.now().Sub(r.released) < skew(v, priority, interval)/2
}

// hold keeps the addresses after the mastership ended: for as long as given
// when no successor is heard, else until it had time to announce them.
func (r *router) hold(most time.Duration, heard bool) {
	r.heard = heard
	r.holdUntil = r.after(most)
}

// successor shortens a hold: the new master has spoken.
func (r *router) successor() {
	if r.holding() && !r.heard {
		r.stopAnnouncing()
		r.heard = true
		r.holdUntil = r.after(r.linger())
	}
}

// linger is how long a successor needs to bind and announce its addresses.
func (r *router) linger() time.Duration {
	count := time.Duration(len(r.addresses))
	if r.id.Family == IPv6 {
		return linger6 + 3*count*lingerEach + count*count*lingerPair
	}
	return linger + count*lingerEach
}

// release takes the addresses off the interface. What of them waits to be announced
// must not be any more; once a successor has spoken it was taken back already.
func (r *router) release() {
	if !r.heard {
		r.stopAnnouncing()
	}
	r.holdUntil, r.heard = time.Time{}, false
	r.renewAt = time.Time{}
	r.removeAddresses(r.prefixes())
}

// handedOver tells to whom and why a demoted or drained master let go.
func (i *instance) handedOver(to netip.Addr, priority uint8) string {
	why := i.why
	switch {
	case i.groupDrained():
		why = strings.TrimPrefix(why+"; drained", "; ")
	case i.failsOver():
		why = strings.TrimPrefix(why+"; failover", "; ")
	}
	return fmt.Sprintf("handed over to %v, which has priority %d: %s", to, priority, why)
}
