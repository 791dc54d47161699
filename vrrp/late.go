package vrrp

import (
	"net/netip"
	"time"
)

// late makes every router that may have been declared dead, or that may declare
// somebody dead for its own deafness, listen first.
func (e *Engine) late(by, asleep time.Duration) {
	e.adoptionsAge(asleep)
	if asleep > 0 {
		e.stoodAt = e.now
	}
	if by >= e.slept || e.now.Sub(e.woke) > time.Second { // else it is more of the same
		e.woke, e.slept = e.now, by
	}
	if e.stopping {
		return
	}
	for _, i := range e.instances {
		for _, r := range i.routers {
			r.late(by, asleep)
			r.schedule()
		}
		i.settle()
	}
}

// listenFor is how long somebody listens who slept. A live master is heard within
// one interval of its own clock, which may run slower than the one here, and its
// advert takes its time; the skew keeps several that wake together apart.
func (r *router) listenFor(interval time.Duration) time.Duration {
	return interval + interval/listenMargin + skew(r.inst.cfg.Version, r.inst.effective, interval)
}

// late handles a wake-up that came so much too late, behind a sleep in which the
// clock stood still.
func (r *router) late(by, asleep time.Duration) {
	// Not the one of a quick release, which nobody keeps up.
	interval := max(r.interval, r.inst.cfg.AdvertInterval)
	if !r.goOnUntil.IsZero() {
		r.goOnUntil = r.goOnUntil.Add(-asleep)
	}
	listen := r.after(r.listenFor(interval))
	switch {
	case r.state == StateBackup && by <= interval:
		if r.due(r.timer) { // adverts may still lie in the socket
			r.timer = r.after(by)
		}
	case r.state == StateBackup:
		if r.timer.Before(listen) {
			r.timer = listen
		}
	case r.state == StateMaster && max(by, asleep+r.now().Sub(r.spokeAt)) >= downIntervals*r.interval:
		r.listening = true
		r.handing = false
		r.timer = listen
		r.dropPlans()
		r.stopAnnouncing()
	}
}

// resume ends the listening of a master that nobody replaced: the network and
// the kernel may have forgotten it.
func (r *router) resume() {
	before := r.sent.priority
	r.listening = false
	r.advertise()
	if r.unproven { // it slept before it was known whether its first advert left
		r.repairAt = r.after(proveTime)
	} else {
		r.addAddresses(r.prefixes())
		r.announceBurst()
	}
	if r.inst.effective <= DemotedMax && before > DemotedMax {
		r.handOver(before) // demoted or drained meanwhile
	}
}

// hearAfterSleep decides between a master that slept and the one that is heard
// now. Who sleeps may lose: it comes back as a backup would, and so takes over
// again only if it may preempt.
func (r *router) hearAfterSleep(from netip.Addr, p *Packet) {
	own := r.inst.effective
	switch {
	case p.Priority == PriorityRelease:
		// It may have lain in the socket for as long as this node slept, before the
		// adverts of who is master now.
		if t := r.after(skew(r.inst.cfg.Version, own, r.interval)); t.Before(r.timer) {
			r.timer = t
		}
	case p.Priority < own && r.preempts(p.Priority):
		r.resume()
		r.rivalTold = r.now() // that was an announcement
		r.rival(from, p)
	default:
		r.yield(from, p)
		if p.Priority < own {
			r.say("%v took over while this node could not act", from)
		}
	}
}
