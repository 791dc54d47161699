package vrrp

import (
	"net/netip"
	"slices"
	"time"
)

// startRenewing plans the renewals of a lease that has just been taken.
func (r *router) startRenewing() {
	r.renewAt, r.renewNext = time.Time{}, 0
	r.lease = r.inst.cfg.Lease
	if r.inst.cfg.Lease > 0 && len(r.addresses) > 0 {
		r.renewAt = r.nextRenewal()
		if len(r.addresses) > renewSmall { // not while they are being added
			r.renewAt = r.after(r.inst.cfg.Lease / 5)
		}
		r.renewDue = r.renewAt
	}
}

// leaseNow is the lease of addresses that are added now. Later than an advert it
// is shorter, where it is to end before a peer takes over: renewals that come for it
// make it whole.
func (r *router) leaseNow() time.Duration {
	lease := r.inst.cfg.Lease
	if lease == 0 || lease+removalLate > downIntervals*r.inst.cfg.AdvertInterval || len(r.addresses) > renewSmall {
		return lease
	}
	// Peers go by the interval that they were told, which a reload may have changed.
	left := r.spokeAt.Add(downIntervals*r.sent.interval - removalLate).Sub(r.now()).Truncate(time.Second)
	return min(lease, max(left, time.Second))
}

// restartRenewing plans the renewals of a lease that runs already, of a set that
// may have changed: nobody knows which address was about to be renewed.
func (r *router) restartRenewing() {
	r.startRenewing()
	if len(r.addresses) > renewSmall && !r.renewAt.IsZero() {
		r.renewAt, r.renewDue = r.after(r.renewGap()), time.Time{} // all are due
	}
}

// nextRenewal returns when a small set, or the next part of a large one, is
// due. A lease that is to end before a peer takes over is renewed just behind an
// advert, once it is known whether that one left: any later, and the addresses
// would outlive the last advert by most of an interval too much. One of less than
// two intervals, or one given short, ends soon without more renewals, the last as
// late as that allows.
func (r *router) nextRenewal() time.Time {
	interval, lease := r.inst.cfg.AdvertInterval, r.inst.cfg.Lease
	if latest, follows := r.renewsBehind(); follows {
		var second, third time.Duration
		switch {
		case lease < 2*interval:
			second, third = min(interval/10, latest), min(latest, interval/2)
		case r.short:
			second = min(interval/10, renewShort)
		}
		// The next advert comes sooner than an interval when the last one was late.
		for _, t := range [...]time.Time{r.spokeAt.Add(renewSoon), r.spokeAt.Add(second), r.spokeAt.Add(third), r.timer.Add(renewSoon)} {
			if t.After(r.now()) {
				return t
			}
		}
	}
	due := r.after(r.renewGap())
	if r.state == StateMaster && !r.handing && len(r.addresses) <= renewSmall && due.After(r.timer) {
		// Behind the last advert before, for which the node is awake anyway.
		if t := r.timer.Add(due.Sub(r.timer).Truncate(interval) + renewSoon); t.After(r.now()) {
			return t
		}
	}
	return due
}

// renewsBehind reports whether renewals follow the adverts, and how long behind one
// the last of them may come.
func (r *router) renewsBehind() (latest time.Duration, follows bool) {
	interval := r.inst.cfg.AdvertInterval
	latest = downIntervals*interval - removalLate - r.inst.cfg.Lease
	follows = r.state == StateMaster && !r.handing && len(r.addresses) <= renewSmall
	return latest, follows && latest >= 0 && latest < interval
}

// renewBehind plans the next renewal behind the advert just sent, when it was to
// come later: behind one that was out of turn, such as an answer to a rival.
func (r *router) renewBehind() {
	if r.renewAt.IsZero() || len(r.addresses) > renewSmall {
		return
	}
	if t := r.nextRenewal(); t.Before(r.renewAt) {
		r.renewAt = t
	}
}

// renewGap is the time between two renewals. A set is renewed a little more than
// twice in a lease, so that one renewal that fails or is late does no harm; a
// large one in parts, one after the other.
func (r *router) renewGap() time.Duration {
	return r.renewRound() / time.Duration(r.renewParts())
}

func (r *router) renewRound() time.Duration { return r.inst.cfg.Lease * 9 / 20 }

// renewPart is how many addresses are renewed at a time: all of a small set. Of a
// large one so many that it takes renewPause to the next part, for each wakes the
// node, and no more, for the kernel does little else meanwhile.
func (r *router) renewPart() int {
	count := (len(r.addresses) + renewSlice - 1) / renewSlice
	times := max(1, int(r.renewRound()/renewPause))
	if len(r.addresses) <= renewSmall {
		times = 1
	}
	return max(1, (count+times-1)/times) * renewSlice
}

// renewParts is how many parts the addresses are renewed in.
func (r *router) renewParts() int { return max(1, (len(r.addresses)+r.renewPart()-1)/r.renewPart()) }

// renew starts the lease of what is due anew, but only while adverts leave: a
// node that cannot speak must lose its addresses before its peers take over.
func (r *router) renew() {
	if r.state != StateMaster && !r.holding() || r.inst.cfg.Lease == 0 || len(r.addresses) == 0 || r.replaced() {
		r.renewAt, r.renewed, r.short = time.Time{}, nil, false
		return
	}
	if _, follows := r.renewsBehind(); follows && !r.spokeAt.Before(r.now()) { // whether that advert leaves is known after this turn
		r.renewAt = r.after(renewSoon)
		return
	}
	if !r.speaks() || r.listening {
		r.renewAt = r.nextRenewal()
		return
	}
	r.short = false // until more is added
	r.speaksAgain()
	r.renewAt = r.nextRenewal()
	for range r.partsDue() {
		r.renewNextPart()
	}
}

// partsDue counts the parts that are due, and plans the one after them. It
// goes by when each ought to have been renewed: were each planned from when the
// one before was, the lateness of all would add up, and on a busy host to more
// than the lease.
func (r *router) partsDue() int {
	all := r.renewParts()
	if len(r.addresses) <= renewSmall {
		return all
	}
	gap := r.renewGap()
	due := 1 + max(0, r.now().Sub(r.renewDue)/gap)
	if due >= time.Duration(all) { // as fresh as after taking the lease
		r.renewAt = r.after(gap)
		r.renewDue = r.renewAt
		return all
	}
	r.renewDue = r.renewDue.Add(due * gap)
	r.renewAt = r.renewDue
	return int(due)
}

// renewNextPart starts the lease of the next part anew, slice by slice.
func (r *router) renewNextPart() {
	if r.renewNext >= len(r.addresses) {
		r.renewNext = 0
	}
	end := min(r.renewNext+r.renewPart(), len(r.addresses))
	for part := range slices.Chunk(r.addresses[r.renewNext:end], renewSlice) {
		if a := r.renewal(part); a != nil {
			r.do(a)
		}
	}
	r.renewNext = end
}

// renewal renews what is present of a part; nil when nothing is. A set of one slice
// is renewed again and again by the same action.
func (r *router) renewal(part []AddressState) *RenewAddresses {
	if r.renewsAgain(part) {
		return r.renewed
	}
	list := make([]netip.Prefix, 0, len(part))
	for _, a := range part {
		if a.Present {
			list = append(list, a.Address)
		}
	}
	if len(list) == 0 {
		return nil
	}
	a := &RenewAddresses{r.id, r.inst.cfg.Interface, list, r.inst.cfg.Lease}
	if len(r.addresses) <= renewSlice {
		r.renewed = a
	}
	return a
}

// renewsAgain reports whether the last renewal would do for a part.
func (r *router) renewsAgain(part []AddressState) bool {
	a := r.renewed
	if a == nil || a.Router != r.id || a.Interface != r.inst.cfg.Interface || a.Lease != r.inst.cfg.Lease {
		return false
	}
	left := a.Addresses
	for _, s := range part {
		if !s.Present {
			continue
		}
		if len(left) == 0 || left[0] != s.Address {
			return false
		}
		left = left[1:]
	}
	return len(left) == 0
}

// speaks reports whether the last advert left, which is known once the turn that
// sent it is over.
func (r *router) speaks() bool {
	return r.silentSince.IsZero() || r.failedAt.Before(r.spokeAt) && r.spokeAt.Before(r.now())
}

// silent reports whether the last advert, as far as is known, did not leave. Who
// is neither master nor holds addresses has none to send.
func (r *router) silent() bool {
	return !r.silentSince.IsZero() && (r.state == StateMaster || r.holding())
}

// speaksAgain ends a silence: the lease may have run out.
func (r *router) speaksAgain() {
	if r.silentSince.IsZero() {
		return
	}
	r.silentSince = time.Time{}
	if r.state == StateMaster {
		r.repair()
	}
}

// sendFailed notes an advert that did not leave. A master that stays mute until
// its peers must have taken over gives up.
func (r *router) sendFailed(reason string) {
	r.counters.SendErrors++
	r.failures++
	again := r.unproven && reason == r.sendProblem
	if r.failures >= r.expected { // no peer has heard this one
		r.failedAt, r.goOnUntil = r.now(), time.Time{}
		r.sendProblem = reason
		if r.silentSince.IsZero() {
			r.silentSince = r.now()
		}
		if r.unproven && r.state == StateMaster {
			r.giveUpMute() // still
		}
		r.hurry()
	}
	if again && r.now().Sub(r.noticed[NoticeSendFailed]) < standingGap {
		return // it only tried whether that is over
	}
	r.notice(NoticeSendFailed, netip.Addr{}, reason)
}

// hurry has the advert after one that did not leave come a little sooner, where a
// lease of two intervals would else end just before it.
func (r *router) hurry() {
	if _, follows := r.renewsBehind(); !follows {
		return
	}
	if next := r.spokeAt.Add(r.hurryGap()); next.After(r.now()) && next.Before(r.timer) {
		r.timer = next
	}
}

// hurryGap is how soon behind an advert that did not leave the next one comes.
func (r *router) hurryGap() time.Duration { return r.inst.cfg.AdvertInterval * 9 / 10 }

// settleLastAdvert takes stock before the next advert: whether the one before left.
func (r *router) settleLastAdvert() {
	if r.speaks() {
		r.speaksAgain()
	}
	if r.spokeAt.Before(r.now()) { // else more of the same turn
		r.failures, r.expected = 0, 0
	}
	if r.now().Sub(r.spokeAt) >= r.sent.interval/2 { // else what took that one may have taken more
		r.spokeBefore = r.spokeAt
	}
	r.spokeAt = r.now()
}

// prove ends the doubt about a master whose adverts did not leave before.
func (r *router) prove() {
	r.unproven, r.trying, r.muteFor = false, false, 0
	r.counters.BecameMaster++
	r.serve()
	r.inst.reviewMates()
}

// isMute reports whether the peers of a master must have given it up by now,
// because none of its adverts left. The last that did came about an interval before
// the first that did not.
func (r *router) isMute() bool {
	return r.state == StateMaster && !r.silentSince.IsZero() && !r.failedAt.Before(r.spokeAt) &&
		r.now().Sub(r.silentSince) >= downInterval(r.inst.cfg.Version, 1, r.inst.cfg.AdvertInterval)-r.hurryGap()
}

// giveUpMute goes to fault for a while, longer each time, before it tries again.
func (r *router) giveUpMute() {
	r.mute = r.cannotSend()
	r.muteFor = min(max(2*r.muteFor, sendRetry), sendRetryMax)
	r.muteUntil = r.after(r.muteFor)
	r.leave(StateFault, CauseSend, r.mute)
	r.unproven, r.trying = true, true
	r.inst.reviewMates()
}

// replaced reports whether a reload removed r and another router is master with
// addresses of it: their lease is that one's affair.
func (r *router) replaced() bool {
	return r.inst.removed && slices.ContainsFunc(r.inst.e.instances, func(i *instance) bool {
		return i.cfg.Interface == r.inst.cfg.Interface && slices.ContainsFunc(i.routers, func(o *router) bool {
			return o.state == StateMaster && slices.ContainsFunc(r.addresses, func(a AddressState) bool {
				return o.position(a.Address) >= 0
			})
		})
	})
}
