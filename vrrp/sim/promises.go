package sim

import (
	"slices"
	"strings"
	"time"

	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// silence is the expectation that a restart moves nothing.
type silence struct {
	node  *node
	until time.Duration
	mark  int
	step  int // the next one; it ends the expectation
	// At the crash: who was master, and what had disturbed until then.
	master    *node
	priority  uint8
	crashMark int
	crashedAt time.Duration
}

// crashed notes who was master for a while when its daemon died.
func (n *node) crashed() {
	if n.stranger() {
		return
	}
	for _, r := range n.routers {
		v := r.v
		if r.standing.State == vrrp.StateMaster && !r.standing.HandingOver && !r.standing.Listening && !r.standing.Mute && n.running() &&
			n.w.now-r.since > time.Second && n.w.now-max(v.strainedBefore(), n.w.h.lastStep(n.w.next-1)) > v.bound {
			v.silence = silence{master: n, priority: r.standing.Priority, crashMark: v.quietMark, crashedAt: r.spoke}
		}
	}
}

// strainedBefore is when the virtual router was disturbed before this step.
func (v *vr) strainedBefore() time.Duration {
	if v.strained == v.w.now {
		return 0
	}
	return v.strained
}

// lastStep is when the step before number next happened.
func (h *History) lastStep(next int) time.Duration {
	if next <= 0 {
		return 0
	}
	return h.Steps[next-1].At
}

// expectSilence: promise 6. A daemon that is started again in time, with its
// addresses still in place, goes on as master, and nobody notices.
func (n *node) expectSilence(config int) {
	for _, v := range n.w.vrs {
		s := &v.silence
		if s.master != n || config != n.config || v.masters() > 0 || v.quietMark != s.crashMark+1 || !n.orderlyFor(v) {
			continue
		}
		interval := n.interval(v, config)
		age := n.w.now - s.crashedAt
		if interval == 0 || age >= 3*interval-interval/4-10*time.Millisecond || !n.journal.whole || !n.hasAll(v) {
			continue
		}
		s.node, s.mark, s.step, s.until = n, v.quietMark, n.w.next, n.w.now+v.bound
		n.w.after(30*time.Millisecond, func() {
			if s.node == n && n.w.next == s.step && v.quietMark <= s.mark+2 && v.masters() == 0 && !slices.ContainsFunc(v.members, func(r *router) bool {
				return r.n == n && r.standing.State == vrrp.StateMaster
			}) {
				n.w.fail("restart-is-silent", "%s does not go on as master of vrid %d after a restart in time", n.spec.Name, v.vrid)
			}
		})
	}
}

func (n *node) orderlyFor(v *vr) bool { return n.w.orderly() && v.compatible() }

// interval is that of a virtual router in a configuration that changes nothing
// about it; 0 when there is none.
func (n *node) interval(v *vr, config int) time.Duration {
	for _, j := range n.journal.routers {
		for i := range n.spec.Configs[config] {
			c := &n.spec.Configs[config][i]
			if c.Interface == j.iface && c.VRID == v.vrid && j.vrid == v.vrid && j.family == v.family &&
				c.AdvertInterval == j.interval && c.StartupDelay == 0 && slices.Contains(c.Families(), v.family) {
				for o := range n.spec.Configs[config] {
					if d := &n.spec.Configs[config][o]; d == c || d.Group != "" && d.Group == c.Group {
						for _, k := range d.Checks {
							if !n.healthy(k.Name) {
								return 0
							}
						}
					}
				}
				return c.AdvertInterval
			}
		}
	}
	return 0
}

// hasAll reports whether the kernel has all addresses of a virtual router that
// the journal lists.
func (n *node) hasAll(v *vr) bool {
	for _, j := range n.journal.routers {
		if j.vrid != v.vrid || j.family != v.family {
			continue
		}
		for _, a := range j.addresses {
			if at, ok := n.find(n.port(j.iface), a); !ok || !n.kernel[at].present {
				return false
			}
		}
	}
	return true
}

// judgeSilence sees who becomes master while nobody else should.
func (v *vr) judgeSilence(r *router) {
	s := &v.silence
	if s.node == nil || s.node == r.n || v.w.next != s.step || v.w.now >= s.until {
		return
	}
	heard := r.heardPriority
	if r.n.stranger() {
		heard = s.priority
	}
	if r.cfg.Preempt && heard < r.standing.Priority && heard > 0 {
		return // it was about to, or its delay has ended
	}
	if v.quietMark <= s.mark+2 { // the restarted router's own entry
		v.w.fail("restart-is-silent", "%s became master because %s was restarted", r, s.node.spec.Name)
	}
}

// dies: promise 5. The kernel lets go of what a dead or frozen daemon held, at
// most a lease and the kernel's lateness after the last renewal; that one
// followed the last advert within a tenth of the interval. life is that of the node
// while its daemon does not run.
func (n *node) dies(life int) {
	if n.suspended || n.w.opt.Lenient || n.stranger() {
		return
	}
	stopped, asleep := n.w.now, n.clock.asleep
	for at := range n.kernel {
		lease := n.leaseOf(at)
		if !n.kernel[at].present || lease == 0 {
			continue
		}
		until := lease + leaseLate + 2*time.Millisecond
		n.w.after(until+until/100, func() {
			if n.life == life && !n.running() && !n.suspended && n.clock.asleep == asleep && n.powered && n.kernel[at].present && n.deadSince(stopped) {
				n.w.fail("dead-let-go", "%s died %v ago and still has %v", n.spec.Name, n.w.now-stopped, n.w.vips[at].prefix)
			}
		})
	}
	gone := func() bool {
		return n.life == life && !n.running() && n.powered && !n.suspended && n.clock.asleep == asleep && n.deadSince(stopped)
	}
	for _, r := range n.routers {
		r.expectRelease(gone)
	}
}

// leaseOf is how long the kernel may keep an address that the node has, by its
// configuration or by the one before; 0 for ever, and for what a daemon that has
// just been started, or waits for the kernel, has not set right yet.
func (n *node) leaseOf(at int) (longest time.Duration) {
	for _, r := range n.routers {
		if !slices.ContainsFunc(r.v.vips, func(v *vip) bool { return v.index == at }) {
			continue
		}
		if r.cfg.Lease == 0 || n.w.now-r.born < 100*time.Millisecond || n.stalled() && n.kernel[at].lease == 0 {
			return 0
		}
		longest = max(longest, r.cfg.Lease)
	}
	return max(longest, n.kernel[at].lease)
}

// silenced: the same holds for a node whose adverts do not leave any more.
func (n *node) silenced() {
	if n.w.opt.Lenient || n.stranger() || !n.running() {
		return
	}
	life, silences, asleep, pausedAt := n.life, n.silences, n.clock.asleep, n.pausedAt
	gone := func() bool {
		return n.life == life && n.running() && n.silences == silences && n.clock.asleep == asleep && n.pausedAt == pausedAt
	}
	for _, r := range n.routers {
		r.expectRelease(gone)
	}
}

// expectRelease is the tighter bound of a master whose lease is meant to end
// before a peer takes over, as long as it is gone for its peers.
func (r *router) expectRelease(gone func() bool) {
	n, i := r.n, r.cfg.AdvertInterval
	if r.standing.State != vrrp.StateMaster || r.standing.HandingOver || r.cfg.Lease == 0 || r.cfg.Lease+leaseLate > 3*i || n.unpaused >= r.spoke || r.spokePriority <= 0 {
		return
	}
	mastered, lease, spoke := r.mastered, r.cfg.Lease, r.spoke // a reload may set a longer one
	for _, a := range r.cfg.Addresses {
		at, ok := n.portOn(r.v.seg).lookup(a.Addr())
		if !ok || vrrp.FamilyOf(a.Addr()) != r.v.family {
			continue
		}
		if k := &n.kernel[at]; n.stalled() && (k.lease == 0 || k.lease > lease) {
			continue // what it is to be now waits
		}
		due := r.spokeLocal + i/10 + r.cfg.Lease + leaseLate
		if r.cfg.Lease < 2*i || n.kernel[at].renewed > r.spokeLocal+i/10+5*time.Millisecond {
			// Renewed late in the interval, or put back since. Of what it took without
			// being heard as a master, nobody's timer runs; the lease does since then.
			due = max(r.spokeLocal, r.masteredLocal) + 3*i
		}
		left := due + 5*time.Millisecond - n.local()
		if left <= 0 {
			continue // it was not heard for long before
		}
		n.w.after(left+left/100, func() {
			// What is put back once no advert leaves has a second, for no lease is shorter.
			shortest := r.cfg.Lease <= time.Second && n.kernel[at].renewed+r.cfg.Lease+leaseLate > n.local()
			// A busy kernel may have renewed it as late as it pleased.
			if n.kernel[at].present && r.mastered == mastered && r.cfg.Lease == lease && gone() && !shortest && !n.caughtUp(spoke) {
				n.w.fail("dead-let-go", "%s spoke last %v ago and still has %v", r, n.w.now-r.spoke, a)
			}
		})
	}
}

// deadSince reports whether the daemon has not run since a moment.
func (n *node) deadSince(at time.Duration) bool {
	return n.engine == nil || n.frozen && n.pausedAt <= at
}

// expectRepair: promise 9. An address that somebody removed is back at once,
// unless the node is not master any more.
func (n *node) expectRepair(at int) {
	if n.stranger() || !n.running() || n.w.opt.Lenient {
		return
	}
	removed := n.w.now
	n.kernel[at].removed = removed
	for _, r := range n.routers {
		if n.refused() || r.standing.State != vrrp.StateMaster || r.standing.Listening || r.standing.Mute || !slices.ContainsFunc(r.v.vips, func(v *vip) bool { return v.index == at }) {
			continue
		}
		life := n.life
		n.w.after(10*time.Millisecond, func() {
			p := n.portOn(r.v.seg)
			if n.life == life && n.running() && !n.stopping && n.accepted <= removed && !n.stalled() && !n.sendFails && p.exists && p.up && p.carrier &&
				r.standing.State == vrrp.StateMaster && !r.standing.Mute && !r.standing.Listening && !n.kernel[at].present && n.kernel[at].removed == removed &&
				slices.Contains(r.cfg.Addresses, n.w.vips[at].prefix) {
				n.w.fail("removed-is-back", "%s has not put %v back", r, n.w.vips[at].prefix)
			}
		})
	}
}

// judgeNotice: who is told that somebody removed an address must not look in vain,
// nor may a lease be named that was not over.
func (n *node) judgeNotice(a *vrrp.Notice) {
	switch a.Kind {
	case vrrp.NoticeAddressRepaired, vrrp.NoticeAddressLapsed, vrrp.NoticeAddressGone:
	default:
		return
	}
	for at, v := range n.w.vips {
		if p := n.portOn(v.seg); p == nil || p.name != a.Interface { // a link-local one may be on several
			continue
		}
		if !slices.Contains(strings.Split(a.Detail, ", "), v.prefix.String()) {
			continue
		}
		switch k := &n.kernel[at]; {
		case a.Kind == vrrp.NoticeAddressRepaired && k.lost == "":
			n.w.fail("blames-nobody", "%s says of %v that somebody removed it, and did so itself", n.spec.Name, v.prefix)
		case a.Kind == vrrp.NoticeAddressRepaired && k.lost == leaseEnded:
			n.w.fail("blames-nobody", "%s says of %v that somebody removed it, and its lease had ended", n.spec.Name, v.prefix)
		case a.Kind == vrrp.NoticeAddressLapsed && k.lost != leaseEnded && n.local() < k.over:
			n.w.fail("blames-nobody", "%s says of %v that its lease ran out, which would have lasted for %v more, and it was %s", n.spec.Name, v.prefix, k.over-n.local(), k.lost)
		case a.Kind == vrrp.NoticeAddressGone && k.lost != leaseEnded && n.local() < k.doubtful:
			n.w.fail("blames-nobody", "%s says of %v that its lease may have run out, which was not possible for %v more, and it was %s", n.spec.Name, v.prefix, k.doubtful-n.local(), k.lost)
		}
	}
	n.w.tracef("%s %s: %v: %s", n.spec.Name, a.Instance, a.Kind, a.Detail)
}

// hookState follows the hooks of one instance.
type hookState struct {
	waiting []uint64 // transitions whose hooks have not run
	state   vrrp.State
	known   bool
	// mute is set once no advert could be sent, as at that time.
	mute     bool
	silences int
}

// transition records a change of state of an instance.
func (n *node) transition(t *vrrp.Transition) {
	n.w.totals.Transitions++
	if n.w.opt.Trace {
		n.w.tracef("%s %s: %v -> %v: %s", n.spec.Name, t.Instance, t.From, t.To, t.Reason)
	}
	h := n.hooksOf(t.Instance)
	n.judgeSpeech(h, t)
	if t.Adopted {
		h.state, h.known = t.To, true
		n.judgeAdoption(t.Instance)
		return
	}
	h.waiting = append(h.waiting, t.Sequence)
	life, sequence := n.life, t.Sequence
	n.w.after(20*time.Second, func() {
		if n.life == life && n.running() && slices.Contains(h.waiting, sequence) {
			n.w.fail("hooks-see-all", "%s: no hook ran for transition %d of %s", n.spec.Name, sequence, t.Instance)
		}
	})
}

// judgeSpeech: who could not send is told to be master only once it can. Of two
// families one may not have tried yet.
func (n *node) judgeSpeech(h *hookState, t *vrrp.Transition) {
	switch {
	case t.From == vrrp.StateInit: // it may be another one of the name
		h.mute = false
	case t.To == vrrp.StateFault && t.Cause == vrrp.CauseSend:
		h.mute, h.silences = true, n.silences
	case t.To == vrrp.StateMaster && h.mute && n.sendFails && n.silences == h.silences && n.familiesOf(t.Instance) == 1:
		n.w.fail("master-speaks", "%s tells of %s as master, and no advert has left", n.spec.Name, t.Instance)
	}
}

// familiesOf counts the address families of an instance.
func (n *node) familiesOf(instance string) (count int) {
	for _, cfg := range n.engine.Routers() {
		if cfg.Name == instance {
			count++
		}
	}
	return count
}

// judgeAdoption: promise 6, its other side. Who goes on as master spoke less than
// three intervals ago, so that nobody has taken over; clocks may differ by a
// hundredth. An address owner may be master without that.
func (n *node) judgeAdoption(instance string) {
	for _, r := range n.routers {
		if r.cfg.Name != instance || r.cfg.Priority == vrrp.PriorityOwner {
			continue
		}
		s, _ := n.engine.Standing(r.id)
		last := r.v.spokeBefore[n.index]
		if ago := n.w.now - last.at; s.State == vrrp.StateMaster && ago > 3*last.interval*101/100 {
			n.w.fail("adopts-in-time", "%s goes on as master, %v after its last advert", r, ago)
		}
	}
}

func (n *node) hooksOf(instance string) *hookState {
	h := n.hooks[instance]
	if h == nil {
		h = &hookState{}
		n.hooks[instance] = h
	}
	return h
}

// hook: promise 10. The hooks of an instance see every transition, in order.
func (n *node) hook(t *vrrp.Transition) {
	h := n.hooksOf(t.Instance)
	switch {
	case len(h.waiting) == 0 || h.waiting[0] != t.Sequence:
		n.w.fail("hooks-see-all", "%s: the hook of %s ran for transition %d, due are %d", n.spec.Name, t.Instance, t.Sequence, h.waiting)
		return
	case h.known && h.state != t.From && !t.Stopping:
		n.w.fail("hooks-see-all", "%s: the hooks of %s saw %v last, and now a change from %v", n.spec.Name, t.Instance, h.state, t.From)
	}
	h.waiting = h.waiting[1:]
	h.state, h.known = t.To, true
}

// stopped: promise 12. After a stop nothing is left in the kernel, and every
// hook has run.
func (n *node) stopped() {
	for at := range n.kernel {
		if n.kernel[at].present && !n.refusing {
			n.w.fail("stop-cleans-up", "%s has stopped and left %v behind", n.spec.Name, n.w.vips[at].prefix)
		}
	}
	for name, h := range n.hooks {
		if len(h.waiting) > 0 {
			n.w.fail("hooks-see-all", "%s has stopped before the hooks of %s ran for %d", n.spec.Name, name, h.waiting)
		}
	}
}
