package vrrp

import "time"

// removedAgain counts removals by somebody else. Putting an address back for
// ever is no service: after a few in a short time a healthier node takes over.
func (r *router) removedAgain(what string) {
	if r.now().Sub(r.removedSince) > troubleWindow {
		r.removedSince, r.removals = r.now(), 0
	}
	if r.removals++; r.removals >= troubleRepairs {
		r.removals = 0
		r.inst.troubled("somebody keeps removing " + what)
	}
}

// refusedAgain notes that the kernel still refuses an address.
func (r *router) refusedAgain(problem string) {
	if r.refusedSince.IsZero() {
		r.refusedSince = r.now()
	}
	if r.now().Sub(r.refusedSince) >= time.Second {
		r.inst.troubled(problem)
	}
}

// troubled demotes the instance for a while: it cannot hold its addresses. When
// nobody takes over it goes on with those that it can. It tries again after a
// while, ever more seldom, for each attempt costs a moment without service.
func (i *instance) troubled(why string) {
	if i.trouble == "" { // it is new, or has come back
		if i.e.now.Sub(i.troubleEnded) > troubleForget {
			i.penalty = 0
		}
		i.penalty = min(max(2*i.penalty, troublePenalty), troublePenaltyMax)
	}
	i.trouble, i.troubleUntil = why, i.e.now.Add(i.penalty)
	i.review()
}

// recovered ends the time for which trouble demotes.
func (i *instance) recovered() {
	i.trouble, i.troubleUntil, i.troubleEnded = "", time.Time{}, i.e.now
	i.review()
}
