package sim

import (
	"slices"

	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// mates are the routers of the other instances of r's group on its node.
func (r *router) mates() (list []*router) {
	if r.cfg.Group == "" {
		return nil
	}
	for _, o := range r.n.routers {
		if o.cfg.Group == r.cfg.Group && o.cfg != r.cfg {
			list = append(list, o)
		}
	}
	return list
}

// groupChecks are the checks that act on r: its own and those of its group.
func (r *router) groupChecks() []vrrp.Check {
	list := r.cfg.Checks
	for _, m := range r.mates() {
		list = append(slices.Clip(list), m.cfg.Checks...)
	}
	return list
}

// mateServes reports whether the node is master of another instance of the group
// and means to stay so.
func (r *router) mateServes() bool {
	return slices.ContainsFunc(r.mates(), func(m *router) bool {
		return m.standing.State == vrrp.StateMaster && !m.standing.HandingOver && !m.standing.Listening
	})
}

// instanceFault reports whether all routers of r's instance are in fault.
func (r *router) instanceFault() bool {
	return !slices.ContainsFunc(r.n.routers, func(o *router) bool { return o.cfg == r.cfg && o.standing.State != vrrp.StateFault })
}

// judgeGroups: after every turn, the instances of a group on one node have the
// same priority, whatever demotes or drains one of them, and are in fault
// together. While one does not get its adverts out, it is not trusted before it
// has, and the others wait for it.
func (n *node) judgeGroups() {
	if n.stopping || n.w.opt.Lenient {
		return
	}
	for _, r := range n.routers {
		for _, m := range r.mates() {
			switch {
			case r.standing.Mute || m.standing.Mute:
			case r.standing.Priority != m.standing.Priority:
				n.w.fail("group-in-step", "%s has priority %d, %s of the same group %d", r, r.standing.Priority, m, m.standing.Priority)
			case r.instanceFault() && !m.instanceFault():
				n.w.fail("group-in-step", "%s is in fault, %s of the same group in %v", r, m, m.standing.State)
			}
		}
	}
}

// judgeSides: who has no link on one side of a group is master on none.
func (r *router) judgeSides() {
	if !r.n.running() || r.n.stopping || r.standing.State != vrrp.StateMaster {
		return
	}
	for _, m := range r.mates() {
		if p := m.n.port(m.cfg.Interface); !p.exists || !p.up || !p.carrier {
			r.n.w.fail("group-sides", "%s is master although %s has no link", r, m.cfg.Interface)
		}
	}
}

// judgeTogether: a node that is master of one instance of a group takes the
// others from every weaker one, so that the masters of both sides are one node an
// election after the last of them became master. Two of one priority may share.
func (v *vr) judgeTogether(group []*router, m *router) {
	for _, mate := range m.mates() {
		o := mate.v
		for _, r := range o.members {
			if r.standing.State != vrrp.StateMaster || r.n == m.n || r.cfg.Group != m.cfg.Group || r.standing.Priority == m.standing.Priority {
				continue
			}
			settled := max(v.quiet+v.bound, o.quiet+o.bound, m.since, r.since) + max(v.bound, o.bound)
			switch {
			case v.w.now < settled:
				v.plan(settled)
			case o.settled && o.compatible() && slices.ContainsFunc(o.groups(), func(g []*router) bool { return slices.Contains(g, r) && sameNodes(g, group) }):
				v.w.fail("group-together", "%s is master with priority %d, and %s of the same group with %d", m, m.standing.Priority, r, r.standing.Priority)
			}
		}
	}
}

// sameNodes reports whether two groups of routers are on the same nodes.
func sameNodes(a, b []*router) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(r *router) bool {
		return !slices.ContainsFunc(b, func(o *router) bool { return o.n == r.n })
	})
}
