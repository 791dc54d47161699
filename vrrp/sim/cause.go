package sim

import (
	"slices"

	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// told is what a daemon was last told of an interface.
type told struct {
	known, usable bool
	number        int
	v4, linkLocal bool // it has an address to send from
	v6            bool
}

func (n *node) tell(p *port, ev *vrrp.Link) {
	t := told{known: true, number: ev.Index, usable: ev.Index != 0 && ev.Up && ev.Carrier}
	for _, a := range ev.Addresses {
		switch {
		case a.Addr().Is4():
			t.v4 = true
		case a.Addr().IsLinkLocalUnicast():
			t.linkLocal, t.v6 = true, true
		default:
			t.v6 = true
		}
	}
	p.told = t
}

// barred reports whether what the daemon was told keeps a router alone from
// taking part.
func (r *router) barred() bool {
	t := r.n.port(r.cfg.Interface).told
	source := t.v4
	if r.v.family == vrrp.IPv6 {
		source = t.linkLocal || t.v6 && len(r.cfg.Peers) > 0
	}
	return t.known && (!t.usable || !source) || slices.ContainsFunc(r.groupChecks(), func(k vrrp.Check) bool {
		ok, known := r.n.results[k.Name]
		return k.OnFailure == vrrp.Release && known && !ok
	})
}

// kept reports whether another instance of the group keeps the router from
// taking part: one of which no router can. Of those that do not get their adverts
// out it depends on what happened to them whether they are trusted.
func (r *router) kept(mute bool) bool {
	return slices.ContainsFunc(r.mates(), func(m *router) bool {
		return !slices.ContainsFunc(r.n.routers, func(o *router) bool {
			return o.cfg == m.cfg && !o.barred() && (!mute || !o.standing.Mute)
		})
	})
}

// judgeCause: every transition has a cause in the world. Those of take-overs, of
// yielding and of going on over a restart are judged on their own.
func (r *router) judgeCause(before vrrp.Standing) {
	n, from, to := r.n, before.State, r.standing.State
	if n.stranger() || n.w.opt.Lenient || from == to {
		return
	}
	cause := true
	switch {
	case to == vrrp.StateInit:
		cause = n.stopping || from == vrrp.StateFault && (n.local()-r.bornLocal <= r.cfg.StartupDelay || r.awaits())
	case to == vrrp.StateFault:
		cause = r.barred() || r.standing.Mute || r.kept(true)
	case from == vrrp.StateMaster: // see judgeYield
	case from == vrrp.StateBackup:
		r.judgeTakeover(before)
	case r.barred() || r.kept(false):
		cause = false
	case to == vrrp.StateMaster: // without a master before it owns the addresses, or goes on
		cause = from == vrrp.StateInit || r.standing.Priority == vrrp.PriorityOwner || r.unnoticed()
	}
	if !cause {
		n.w.fail("transition-has-cause", "%s went from %v to %v with nothing to cause it", r, from, to)
	}
}

// unnoticed reports whether no peer can have taken over since the router spoke last,
// before this turn, and it did not let go. Clocks may differ by a hundredth.
func (r *router) unnoticed() bool {
	last := r.said
	if last.at == r.n.w.now {
		last = r.saidBefore
	}
	return r.n.w.now-last.at <= 3*last.interval*101/100
}

// awaits reports whether the first result of a check is still to come.
func (r *router) awaits() bool {
	return slices.ContainsFunc(r.groupChecks(), func(k vrrp.Check) bool {
		_, known := r.n.results[k.Name]
		return !known
	})
}
