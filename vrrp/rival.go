package vrrp

import (
	"fmt"
	"net/netip"
	"time"
)

// loses reports whether another master wins against this one (RFC 9568 section
// 6.4.3).
func (r *router) loses(to netip.Addr, priority uint8) bool {
	own := r.inst.effective
	return priority > own || priority == own && to.Compare(r.source) > 0
}

// yield lets a stronger master have it. The addresses linger until that one
// has announced them.
func (r *router) yield(from netip.Addr, p *Packet) {
	if !r.listening || r.loses(from, p.Priority) {
		// The winner may have been master all along, also when this node has
		// released or slept, and the network may hold this node's addresses:
		// hearing a rival, it announces itself again.
		r.sendNow()
	}
	r.stopAnnouncing()
	r.flapped(from)
	r.remember(from, p)
	r.countLeft()
	r.trying = false
	if r.inst.cfg.Version == Version3 {
		r.interval = p.Interval
	}
	why := fmt.Sprintf("%v has priority %d, this node %d", from, p.Priority, r.inst.effective)
	if p.Priority == r.inst.effective {
		why = fmt.Sprintf("%v has the same priority %d and the higher address", from, p.Priority)
	}
	if r.handing {
		why = r.inst.handedOver(from, p.Priority)
	}
	slept := r.listening
	r.becomeBackup(r.yieldCause(), why)
	if slept { // the winner serves
		r.heard = true
		r.release()
		return
	}
	r.hold(r.linger(), true)
}

// rival counts another master and makes the network know this one again.
func (r *router) rival(from netip.Addr, p *Packet) {
	r.outdone, r.outdoneAt = from, r.now()
	if r.now().Sub(r.since) < lastWord {
		r.outlast()
		return // the master before, or one that took over at the same moment
	}
	r.counters.Rivals++
	quiet := r.now().Sub(r.rivalSeen)
	if r.rivalSince.IsZero() || quiet >= downIntervals*r.inst.cfg.AdvertInterval {
		r.rivalSince = r.now()
	}
	r.rivalSeen = r.now()
	if !r.told(NoticeRival) {
		r.notice(NoticeRival, from, fmt.Sprintf("it has priority %d, this node %d", p.Priority, r.inst.effective))
	}
	switch since := r.now().Sub(r.rivalTold); {
	case since >= rivalGap, from != r.rivalFrom && since >= linger:
		r.rivalTold, r.rivalFrom = r.now(), from
		r.againAt, r.rivalWaits = time.Time{}, false // this is what waits
		r.announceBurst()
		r.inst.announceGroup()
		r.outlast()
	case from != r.rivalFrom: // it may yield at once, and lets go soon
		r.rivalFrom = from
		r.tellAgain(r.after(r.linger() / 2))
	case quiet < p.Interval-p.Interval/16: // out of turn, as a last word is
		r.tellAgain(r.after(r.linger() / 2))
	case r.againAt.IsZero(): // it may be the last that is heard of it
		r.tellAgain(r.rivalTold.Add(rivalGap))
	}
}

// tellAgain plans to announce once more, because a rival was heard.
func (r *router) tellAgain(at time.Time) { r.againAt, r.rivalWaits = at, true }

// outlast has the addresses announced while a losing master still serves: it may
// have announced them after this one, when the two took over at one moment.
func (r *router) outlast() {
	r.announceAfterwards()
	if t := r.after(r.linger() / 2); r.againAt.IsZero() || t.Before(r.againAt) {
		r.againAt = t
	}
}

// outlive makes the network know this master again when another one lets go, which
// may have announced the addresses and never have been heard before.
func (r *router) outlive(from netip.Addr) {
	if now := r.now(); now.Sub(r.since) >= lastWord && now.Sub(r.rivalTold) >= rivalGap {
		r.rivalTold, r.rivalFrom = now, from
		r.announceBurst()
		r.inst.announceGroup()
	}
	r.outlast()
}

// announceAfterwards announces once more when a former master has let go.
func (r *router) announceAfterwards() {
	r.announceLate = time.Time{}
	switch t := r.after(r.linger() + announceSoon); {
	case r.announceLeft <= 0: // once is enough
	case t.Before(r.announceAt):
		r.announceAt = t
	default:
		r.announceLate = t
	}
}
