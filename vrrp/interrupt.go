package vrrp

import (
	"fmt"
	"slices"
)

// interrupted notes until when a master that a fault of its own cut off may go on
// as one: until a peer may take over. No release could leave. What a link carried
// just before it was known to have failed may not have got through, and counts
// for nothing.
func (r *router) interrupted() {
	last := r.spokeAt
	switch {
	case !r.silentSince.IsZero() && r.silentSince.Before(r.spokeAt):
		return // nor may the one before have left
	case !r.linkWorks(), !r.silentSince.IsZero(), !r.spokeAt.Before(r.now()):
		last = r.spokeBefore
	}
	if !r.inst.e.stoodAt.Before(last) {
		return // for the peers it is longer ago than the clock says
	}
	r.goOnUntil = last.Add(AdoptWithin(r.sent.interval))
}

// mayGoOn reports whether no peer can have noticed the fault, as far as this router
// alone tells.
func (r *router) mayGoOn() bool { return r.now().Before(r.goOnUntil) }

// unnoticed reports whether the router goes on as the master that it was before a
// fault. One of a group does only when none has let go: they belong together.
func (r *router) unnoticed() bool {
	return r.mayGoOn() && !slices.ContainsFunc(r.inst.mates(), func(m *instance) bool {
		return slices.ContainsFunc(m.routers, func(o *router) bool { return o.state != StateMaster && !o.mayGoOn() })
	})
}

// goOnUnnoticed goes on as master after a fault. One that was demoted or drained
// meanwhile hands over.
func (r *router) goOnUnnoticed() {
	before := r.sent.priority
	r.becomeMaster(CauseRecovered, fmt.Sprintf("went on as master: interface %s could not be used for %v, which no peer can have noticed",
		r.inst.cfg.Interface, round(r.now().Sub(r.since))))
	if r.inst.effective <= DemotedMax && before > DemotedMax {
		r.handOver(before)
	}
}
