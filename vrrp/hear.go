package vrrp

import (
	"fmt"
	"net/netip"
	"time"
)

// hear acts on a good advert.
func (r *router) hear(from netip.Addr, p *Packet) {
	r.counters.AdvertsReceived++
	r.form = p.form
	r.goOnUntil = time.Time{}
	if p.Priority == PriorityRelease {
		r.counters.ReleasesReceived++
	} else {
		r.compare(from, p)
		if !r.crossed(from, p.Priority) {
			r.successor()
		}
	}
	switch r.state {
	case StateBackup:
		r.hearAsBackup(from, p)
	case StateMaster:
		r.hearAsMaster(from, p)
	}
}

// remember keeps who was heard last, for the operator.
func (r *router) remember(from netip.Addr, p *Packet) {
	r.peer, r.peerPriority, r.peerHeard = from, p.Priority, r.now()
	r.peerInterval = p.Interval
}

// compare makes the soft checks, which are told and never drop
// (RFC 9568 section 7.1).
func (r *router) compare(from netip.Addr, p *Packet) {
	cfg := r.inst.cfg
	if p.Interval == cfg.AdvertInterval {
		r.oddInterval = 0
	} else if r.oddInterval++; r.oddInterval >= 2 && !r.told(NoticeInterval) { // one is a quick release
		r.notice(NoticeInterval, from, fmt.Sprintf("it advertises every %v, this node would every %v", p.Interval, cfg.AdvertInterval))
	}
	r.compareAddresses(from, p.Addresses)
	switch {
	case p.Priority != r.inst.effective:
	case p.Priority == PriorityOwner:
		r.notice(NoticeTwoOwners, from, "only one router on a link can own the addresses: the one with the higher address stays master")
	case p.Priority > DemotedMax && !r.told(NoticeEqualPriority): // demoted ones share few numbers
		r.notice(NoticeEqualPriority, from, fmt.Sprintf("both have %d: the one with the higher address wins; give them different priorities", p.Priority))
	}
}

// hearAsBackup is RFC 9568 section 6.4.2.
func (r *router) hearAsBackup(from netip.Addr, p *Packet) {
	if p.Priority == PriorityRelease {
		interval := r.interval
		if r.inst.cfg.Version == Version3 && r.peer == from {
			interval = min(interval, r.peerInterval) // a quick release, also of a weaker one
		}
		r.remember(from, p)
		r.timer = r.after(skew(r.inst.cfg.Version, r.inst.effective, interval))
		return
	}
	changed := r.peer != from || r.peerPriority != p.Priority
	r.remember(from, p)
	weaker := p.Priority < r.inst.effective
	if !weaker {
		r.preemptAt = time.Time{}
	}
	if weaker && r.preempts(p.Priority) {
		r.say("%v is master with the lower priority %d: taking over", from, p.Priority)
		return
	}
	if r.inst.cfg.Version == Version3 {
		r.interval = p.Interval
	}
	r.timer = r.after(r.downInterval())
	if changed || r.trying {
		r.trying = false
		r.say("%v is master with priority %d", from, p.Priority)
	}
}

// respectMaster gives a backup that was about to take over, and must not any
// more at its present priority or by its configuration, the time since the
// master was heard.
func (r *router) respectMaster() {
	if !r.peer.IsValid() || r.peerPriority == PriorityRelease || r.timer.IsZero() {
		return
	}
	if r.peerPriority < r.inst.effective && r.preempts(r.peerPriority) {
		return
	}
	if r.inst.cfg.Version == Version3 {
		r.interval = r.peerInterval // else that of a quick release may be in force
	}
	if t := r.peerHeard.Add(r.downInterval()); r.timer.Before(t) {
		r.timer = t
	}
}

// hearAsMaster is RFC 9568 section 6.4.3, in version 2 RFC 3768 section 6.4.3.
func (r *router) hearAsMaster(from netip.Addr, p *Packet) {
	switch {
	case r.listening:
		r.hearAfterSleep(from, p)
		return
	case r.handing && r.crossed(from, p.Priority):
		return
	case r.loses(from, p.Priority):
		r.yield(from, p)
		return
	case r.handing:
		// A node that is no healthier than this one answered the release, or one that
		// was master, too, releases as well. It may have announced the addresses.
		r.unanswered(weakerAnswer(from, p.Priority))
		if r.handing {
			r.handing = false
			r.advertise()
		}
		r.announceBurst()
		r.outlast()
		return
	case p.Priority == PriorityRelease:
		r.advertise()
		r.outlive(from)
		return
	}
	r.rival(from, p)
	if r.inst.cfg.Version == Version3 && r.now().Sub(r.answeredAt) >= answerGap {
		r.answeredAt = r.now()
		r.sendNow()
	}
}
