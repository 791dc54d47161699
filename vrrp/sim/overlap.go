package sim

import (
	"net/netip"
	"slices"
	"time"
)

// Overlap is a time in which several nodes served an address, none of them on
// its way out: each was master, or its daemon did not run and its kernel had not
// let go yet.
type Overlap struct {
	Address  netip.Addr
	From, To time.Duration
	Nodes    []string
}

// overlap follows how many nodes serve the address.
func (v *vip) overlap() {
	if !v.w.opt.Spans {
		return
	}
	var names []string
	for _, n := range v.w.nodes {
		if v.answers(n) && !n.lettingGo(v) {
			names = append(names, n.spec.Name)
		}
	}
	if slices.Equal(names, v.serving) {
		return
	}
	v.endOverlap()
	v.serving, v.servingSince = names, v.w.now
}

// endOverlap closes the present one.
func (v *vip) endOverlap() {
	if len(v.serving) > 1 && v.w.now > v.servingSince {
		v.w.overlaps = append(v.w.overlaps, Overlap{v.prefix.Addr(), v.servingSince, v.w.now, v.serving})
	}
	v.serving = nil
}

// lettingGo reports whether a node that still has an address is handing it over.
func (n *node) lettingGo(v *vip) bool {
	return n.running() && slices.ContainsFunc(n.routers, func(r *router) bool {
		return slices.Contains(v.routers, r.v) && r.standing.HandingOver
	})
}
