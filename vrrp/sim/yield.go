package sim

import (
	"net/netip"
	"time"

	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// hears notes that a master heard one that wins against it (RFC 9568 section
// 6.4.3).
func (r *router) hears(from netip.Addr, priority int) {
	own := int(r.standing.Priority)
	if priority > own || priority == own && from.Compare(r.source()) > 0 {
		r.outrankedAt, r.outranked = r.n.local(), true
	}
}

// source is the address from which the router speaks.
func (r *router) source() netip.Addr {
	if r.cfg.Source.IsValid() && vrrp.FamilyOf(r.cfg.Source) == r.v.family {
		return r.cfg.Source
	}
	for _, a := range r.n.portOn(r.v.seg).own {
		if vrrp.FamilyOf(a.Addr()) == r.v.family && (a.Addr().Is4() || a.Addr().IsLinkLocalUnicast()) {
			return a.Addr()
		}
	}
	return netip.Addr{}
}

// judgeYield: who ceases to be master and stays backup has just heard a stronger
// one, or woke up beside any.
func (r *router) judgeYield(before vrrp.Standing) {
	if r.n.stranger() || r.n.w.opt.Lenient || before.Listening || len(r.cfg.Peers) > 0 {
		return
	}
	// More than one thing happened in this turn: a change of the priority, or all
	// that waited for the end of a pause.
	if before.Priority != r.standing.Priority || r.n.local()-r.spokeLocal >= 3*r.cfg.AdvertInterval || r.n.w.now-r.n.unpaused < 5*time.Millisecond {
		return
	}
	if !r.outranked || r.outrankedAt != r.n.local() {
		r.n.w.fail("yield-has-cause", "%s with priority %d yielded to a weaker master, of priority %d", r, r.standing.Priority, r.heardPriority)
	}
}
