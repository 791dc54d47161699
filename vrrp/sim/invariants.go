package sim

import (
	"net/netip"
	"slices"
	"time"

	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// member reports whether a router takes part as far as the world can tell:
// its daemon runs, is not being stopped, and its port passes frames.
func (r *router) member() bool {
	p := r.n.port(r.cfg.Interface)
	return r.n.running() && !r.n.stopping && p.works() && takesPart(r.standing.State) && !r.standing.Mute && !r.n.sendFails
}

// judge looks at a virtual router that nothing has disturbed for as long as an
// election may take. Nodes that hear each other form a group; while some hear
// only one way, nobody promises anything.
func (v *vr) judge() {
	if !v.compatible() {
		return
	}
	for _, r := range v.members {
		r.judgeIdle()
	}
	for _, group := range v.groups() {
		m := v.judgeMasters(group)
		if m == nil {
			continue
		}
		v.judgeHealth(group, m)
		v.judgePreempt(group, m)
		m.judgeAddresses()
		v.judgeClient(group, m)
		v.judgeTogether(group, m)
	}
	for _, r := range v.members {
		r.judgeLeftovers()
		r.judgeSides()
	}
}

// groups are the sets of members that all hear each other and nobody else.
func (v *vr) groups() (list [][]*router) {
	var members []*router
	for _, r := range v.members {
		if r.member() {
			members = append(members, r)
		}
	}
	seen := map[*router]bool{}
	for _, r := range members {
		if seen[r] {
			continue
		}
		var group []*router
		for _, o := range members {
			p, q := r.n.portOn(v.seg), o.n.portOn(v.seg)
			if o == r || p.reaches(q) || q.reaches(p) {
				group = append(group, o)
				seen[o] = true
			}
		}
		if complete(group, members) {
			list = append(list, group)
		}
	}
	return list
}

// complete reports whether within a group everybody hears everybody, and nobody
// outside hears or is heard.
func complete(group, all []*router) bool {
	for _, a := range group {
		for _, b := range all {
			p, q := a.n.portOn(a.v.seg), b.n.portOn(a.v.seg)
			if a == b {
				continue
			}
			inside := slices.Contains(group, b)
			if p.reaches(q) != inside || q.reaches(p) != inside {
				return false
			}
		}
	}
	return true
}

// judgeMasters: promises 1 and 2. Bound: three intervals and the longest skew
// since the last disturbance, for by then the best backup has heard nobody and
// has spoken, and every other one has heard it.
func (v *vr) judgeMasters(group []*router) *router {
	var masters []*node
	var m *router
	for _, r := range group {
		if r.standing.State == vrrp.StateMaster {
			masters = append(masters, r.n)
			m = r
		}
	}
	switch len(masters) {
	case 0:
		v.w.fail("somebody-serves", "nobody is master of vrid %d %v, %v after the last disturbance", v.vrid, v.family, v.w.now-v.quiet)
	case 1:
		return m
	default:
		v.w.fail("one-master", "%s are masters of vrid %d %v, %v after the last disturbance", v.w.names(masters), v.vrid, v.family, v.w.now-v.quiet)
	}
	return nil
}

// judgeHealth: promise 3. The bound is the same: a healthy backup ignores a
// demoted master, so that its timer runs out.
func (v *vr) judgeHealth(group []*router, m *router) {
	if m.standing.Priority > vrrp.DemotedMax {
		return
	}
	for _, r := range group {
		if r.standing.Priority > vrrp.DemotedMax && (!r.n.stranger() || r.cfg.Preempt && r.cfg.PreemptDelay == 0) {
			v.w.fail("healthy-beats-demoted", "%s is master with priority %d, %s could be with %d", m, m.standing.Priority, r, r.standing.Priority)
		}
	}
}

// judgePreempt: who may preempt a weaker master does, by the same bound.
func (v *vr) judgePreempt(group []*router, m *router) {
	for _, r := range group {
		if r.cfg.Preempt && r.cfg.PreemptDelay == 0 && !r.standing.StandsBack && r.standing.Priority > m.standing.Priority {
			v.w.fail("preempt", "%s is master with priority %d, %s with %d does not preempt it", m, m.standing.Priority, r, r.standing.Priority)
		}
	}
}

// judgeAddresses: a master has its addresses.
func (r *router) judgeAddresses() {
	if r.n.stranger() || r.n.refused() || r.n.w.now-r.since < 20*time.Millisecond {
		return
	}
	for _, a := range r.cfg.Addresses {
		if at, ok := r.n.portOn(r.v.seg).lookup(a.Addr()); ok && vrrp.FamilyOf(a.Addr()) == r.v.family && !r.n.kernel[at].present {
			r.n.w.fail("master-has-addresses", "%s is master without %v", r, a)
		}
	}
}

// judgeAnnouncement: the network is told where the addresses are by who serves them,
// and by nobody who is not master any more, or does not know.
func (n *node) judgeAnnouncement(serial uint64, a netip.Prefix) {
	s, _ := n.engine.Standing(vrrp.RouterID{Serial: serial})
	if (s.State != vrrp.StateMaster || s.Listening) && !s.HandingOver && !n.w.opt.Lenient {
		n.w.fail("announces-as-master", "%s announces %v and is %v, listening %t", n.spec.Name, a, s.State, s.Listening)
	}
}

// refused reports whether the kernel refuses addresses, or did so while the
// back-off of the Engine, at most ten seconds, has not ended; or is busy.
func (n *node) refused() bool {
	return n.refusing || n.stalled() || n.accepted > 0 && n.w.now-n.accepted < 10*time.Second+200*time.Millisecond
}

// judgeLeftovers: who is not master has none. Leases end those of the dead.
func (r *router) judgeLeftovers() {
	n := r.n
	if n.stranger() || !n.running() || n.stopping || n.stalled() || r.standing.State == vrrp.StateMaster || r.standing.HandingOver || n.w.now-r.altered < 20*time.Millisecond {
		return
	}
	for _, a := range r.cfg.Addresses {
		at, ok := n.portOn(r.v.seg).lookup(a.Addr())
		if ok && vrrp.FamilyOf(a.Addr()) == r.v.family && n.kernel[at].present && r.v.consistent(a) {
			n.w.fail("no-leftovers", "%s is %v and still has %v", r, r.standing.State, a)
		}
	}
}

// judgeIdle: a router that could take part does.
func (r *router) judgeIdle() {
	n := r.n
	if n.stranger() || !n.running() || n.stopping || n.sendFails || takesPart(r.standing.State) || !r.able() {
		return
	}
	for _, k := range r.groupChecks() {
		if k.OnFailure == vrrp.Release && !n.healthy(k.Name) {
			return
		}
	}
	for _, m := range r.mates() {
		if !m.able() {
			return
		}
	}
	n.w.fail("no-idle-node", "%s stays in %v although nothing is wrong", r, r.standing.State)
}

// able reports whether nothing keeps a router alone from taking part, and its daemon
// was told so: it hears of an address that came back a moment later.
func (r *router) able() bool {
	p := r.n.port(r.cfg.Interface)
	return !r.standing.Mute && p.works() && r.n.local()-r.bornLocal >= r.cfg.StartupDelay+200*time.Millisecond &&
		slices.ContainsFunc(p.addresses(), func(a netip.Prefix) bool { return vrrp.FamilyOf(a.Addr()) == r.v.family }) && !r.barred()
}

// judgeClient: promise 2 as the client sees it, when it hears the whole group
// and has lost no announcement, nor heard that of another node while the master
// could not know.
func (v *vr) judgeClient(group []*router, m *router) {
	for _, r := range v.members {
		p := r.n.portOn(v.seg)
		if slices.Contains(group, r) {
			if r.n.refused() || !p.toClient() || !p.fromClient() {
				return
			}
		} else if r.n.powered && p.toClient() {
			return // somebody else may answer the client
		}
	}
	for _, a := range v.vips {
		if a.trusty && a.served < 0 && a.ever && v.consistent(a.prefix) && (a.entry == m.n.index || a.pointed < m.since) {
			v.w.after(10*time.Millisecond, func() {
				if v.settled && a.served < 0 && a.trusty {
					v.w.fail("client-served", "nobody answers at %v, %v after the last disturbance", a.prefix.Addr(), v.w.now-v.quiet)
				}
			})
		}
	}
}

// judgeTakeover: every take-over has a cause. A backup that was not adopted has
// heard nobody for three intervals, or a release, or a weaker one that it may
// preempt.
func (r *router) judgeTakeover(before vrrp.Standing) {
	if r.n.stranger() || r.heardAt == 0 || r.n.w.opt.Lenient || r.standing.Priority == vrrp.PriorityOwner {
		return
	}
	silent := r.n.local() - r.heardAt
	skew := r.heardInterval
	if r.cfg.Version == vrrp.Version2 {
		skew = time.Second
	}
	skew = time.Duration(256-int(r.standing.Priority)) * skew / 256
	switch p := r.heardPriority; {
	case p == vrrp.PriorityRelease, silent >= 3*r.heardInterval+skew-time.Microsecond:
	case p < r.standing.Priority && (r.cfg.Preempt && !before.StandsBack || p <= vrrp.DemotedMax || r.heardMate):
	default:
		r.n.w.fail("take-over-has-cause", "%s with priority %d took over %v after it heard a master of priority %d, interval %v",
			r, r.standing.Priority, silent, p, r.heardInterval)
	}
}

// judgeStorm: in a second a router sends its regular adverts and no more than
// one answer to each it received, or a hundred. Becoming and ceasing to be
// master adds a few.
func (r *router) judgeStorm(to netip.Addr) {
	w := r.n.w
	if w.now-r.second >= time.Second {
		r.second, r.sentCount, r.received = w.now, 0, 0
	}
	if len(r.cfg.Peers) > 0 && to != r.cfg.Peers[0] {
		return
	}
	r.sentCount++
	most := int(time.Second/r.cfg.AdvertInterval)*11/10 + min(r.received, 100) + 12
	if r.sentCount > most {
		w.fail("no-storm", "%s sent %d adverts within a second, %d at most", r, r.sentCount, most)
	}
}

// judgeListening: promise 7. After a pause longer than any down interval, a
// router that has heard nothing yet is silent for at least an interval.
func (r *router) judgeListening(priority int) {
	if priority != vrrp.PriorityRelease && !r.n.stopping && r.n.w.now < r.deaf {
		r.n.w.fail("listens-after-pause", "%s advertises before it has listened", r)
	}
}

// resumed notes what a pause means for the routers of a node.
func (n *node) resumed(paused time.Duration) {
	for _, r := range n.routers {
		skew := r.v.interval
		if r.cfg.Version == vrrp.Version2 {
			skew = max(skew, time.Second)
		}
		if takesPart(r.standing.State) && paused >= 5*r.v.interval+skew+10*time.Millisecond {
			r.deaf = n.w.now + r.cfg.AdvertInterval
		}
	}
}

// judgeGap: promise 4. An address was served and is not, while nothing but
// planned operations happened on a clean network, and somebody else was ready
// to serve.
func (v *vip) judgeGap(before int) {
	w := v.w
	if w.opt.Lenient || len(v.routers) != 1 || w.nodes[before].stranger() || w.nodes[v.entry].stranger() {
		return
	}
	r := v.routers[0]
	settle := r.bound + 4*time.Second
	if w.now-max(w.troubled, r.strained) < settle || !w.orderly() || r.deafOwner() || !r.consistent(v.prefix) || !r.compatible() {
		return
	}
	for _, m := range r.members {
		switch {
		case m.n.stranger() && m.standing.State == vrrp.StateMaster && w.now-r.tookOver(before) < 300*time.Millisecond:
			return // the two took over at once, and it does not announce again
		case m.n.index == before && w.now-m.born <= judgeAfter:
			return // what a dead daemon without a lease had left
		}
	}
	for _, m := range r.members {
		if m.n.stranger() && m.cfg.AdvertInterval > time.Second {
			continue // its skew may be longer than a leaver waits
		}
		if m.member() && m.n.index != before && w.now-m.ready > r.bound && !m.standing.Mute {
			w.fail("planned-is-lossless", "nobody serves %v after %s, though %s was ready", v.prefix.Addr(), w.nodes[before].spec.Name, m)
			return
		}
	}
}

// tookOver is when a node became master last.
func (v *vr) tookOver(node int) time.Duration {
	for _, r := range v.members {
		if r.n.index == node {
			return r.mastered
		}
	}
	return 0
}

// orderly reports whether nothing is out of order at the moment.
func (w *world) orderly() bool {
	for _, n := range w.nodes {
		if n.frozen || n.suspended || n.refused() || n.sendFails {
			return false
		}
	}
	for _, s := range w.segs {
		for _, p := range s.ports {
			if p.cut || !p.carrier || !p.up || !p.exists {
				return false
			}
		}
		for a := range s.links {
			for b := range s.links[a] {
				if l := &s.links[a][b]; a != b && (!l.open() || l.quality != (Quality{})) {
					return false
				}
			}
		}
	}
	return true
}

// healed plans the judgement of promise 8: once everybody hears everybody again
// and there were several masters, traffic reaches the winner within one interval.
func (w *world) healed() {
	for _, v := range w.vrs {
		if v.masters() < 2 || v.deafOwner() || slices.ContainsFunc(v.members, func(r *router) bool { return r.n.stranger() }) {
			continue // a stranger that loses says nothing, so that nobody knows
		}
		mark := 0
		w.after(0, func() { mark = v.quietMark })
		w.after(v.interval+v.crossing()+2*time.Millisecond, func() {
			if v.quietMark == mark && !w.opt.Lenient && w.orderly() && v.compatible() {
				v.judgeHealed()
			}
		})
	}
}

// deafOwner reports whether an address owner of version 2 takes part, which must
// discard what rivals say and so does not know of any (RFC 3768 section 7.1).
func (v *vr) deafOwner() bool {
	return slices.ContainsFunc(v.members, func(r *router) bool {
		return r.cfg.Version == vrrp.Version2 && r.cfg.Priority == vrrp.PriorityOwner
	})
}

// masters counts them.
func (v *vr) masters() (count int) {
	for _, r := range v.members {
		if r.member() && r.standing.State == vrrp.StateMaster {
			count++
		}
	}
	return count
}

func (v *vr) judgeHealed() {
	if !slices.ContainsFunc(v.members, func(r *router) bool {
		return r.member() && r.standing.State == vrrp.StateMaster && v.w.now-r.since > v.interval+v.crossing()+2*time.Millisecond
	}) {
		return
	}
	for _, a := range v.vips {
		if a.trusty && a.ever && a.served < 0 && v.consistent(a.prefix) {
			v.w.fail("healing-is-quick", "nobody answers at %v one interval after healing", a.prefix.Addr())
		}
	}
}
