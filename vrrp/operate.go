package vrrp

import (
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// DrainStatus is a drain as it was ordered.
type DrainStatus struct {
	Since time.Time
	// Until is when it ends by itself; the zero Time is never.
	Until time.Time
	// By, Why and Persist are those of the [Drain].
	By, Why string
	Persist bool
	// Trying is set while it is void if nobody takes over.
	Trying bool
}

// FailoverStatus is a mastership that the operator gave away. The node does not
// take it back by preemption.
type FailoverStatus struct {
	Since time.Time
	By    string
}

// asked is an order of the operator to hand over whose outcome is open; the zero
// value is none.
type asked struct {
	at       time.Time
	name     string // of the instance then
	failover bool
	try      bool // it is void when nobody takes over
	by       string
}

func (a *asked) open() bool { return !a.at.IsZero() }

// unit is what moves together with i: its group, or i alone.
func (i *instance) unit() []*instance {
	if mates := i.mates(); mates != nil {
		return mates
	}
	return []*instance{i}
}

// standsBack reports whether the operator gave the mastership away and this node
// has not been master since.
func (i *instance) standsBack() bool { return !i.gave.Since.IsZero() }

// failsOver reports whether the operator wants another node to take over from i
// or its group, and none has yet.
func (i *instance) failsOver() bool {
	return slices.ContainsFunc(i.unit(), func(m *instance) bool { return m.asked.open() && m.asked.failover })
}

// drain keeps an instance and its group behind every healthy node from now on.
func (e *Engine) drain(ev *Drain) {
	i := e.instance(ev.Instance)
	if i == nil || e.stopping {
		return
	}
	for _, m := range i.unit() {
		trying := m.asked.open() && m.asked.try && !m.asked.failover
		try := ev.Try && (!m.drained || trying) // else it is drained anyway
		since := ev.Since
		switch {
		case m.drained:
			since = m.drain.Since
		case since.IsZero():
			since = e.now
		}
		m.drained = true
		m.drain = DrainStatus{Since: since, Until: ev.Until, By: ev.By, Why: ev.Why, Persist: ev.Persist}
		m.gave = FailoverStatus{}
		m.ask(asked{try: try, by: ev.By})
	}
	i.handOver()
}

// undrain lets an instance and its group compete again.
func (e *Engine) undrain(i *instance) {
	for _, m := range i.unit() {
		if m.asked.open() {
			m.conclude(false, "undrained before anybody took over")
		}
		m.endDrain()
		m.gave = FailoverStatus{}
	}
	i.review()
}

func (i *instance) endDrain() { i.drained, i.drain = false, DrainStatus{} }

// failover hands an instance and its group over, once.
func (e *Engine) failover(ev *Failover) {
	i := e.instance(ev.Instance)
	if i == nil || e.stopping {
		return
	}
	serves := false
	for _, m := range i.unit() {
		serves = serves || m.state == StateMaster
	}
	if !serves {
		i.asked = asked{at: e.now, name: i.cfg.Name, failover: true}
		i.conclude(false, "this node is not master")
		return
	}
	for _, m := range i.unit() {
		if !m.asked.open() { // a drain that waits does the same, and more
			m.ask(asked{failover: true, try: true, by: ev.By})
		}
	}
	i.handOver()
}

// ask begins an order, or changes the one whose outcome is open.
func (i *instance) ask(a asked) {
	a.at, a.name = i.e.now, i.cfg.Name
	if i.asked.open() && i.asked.name != a.name {
		i.conclude(false, "another order came, once a reload had renamed it")
	}
	if i.asked.open() {
		a.at, a.try = i.asked.at, a.try && i.asked.try
	}
	for _, r := range i.routers {
		r.toMove = r.toMove || r.state == StateMaster
	}
	i.asked, i.e.asked = a, true
}

// handOver has every master of i and its group look for a successor.
func (i *instance) handOver() {
	i.review() // most of them do for their new priority
	for _, m := range i.unit() {
		for _, r := range m.routers {
			if r.state == StateMaster && !r.handing && !r.listening {
				r.handOver(r.sent.priority)
				r.schedule()
			}
		}
	}
}

// unanswered ends a handover that the operator asked for on the understanding
// that somebody takes over. The node goes on as it was, and says so at once.
func (r *router) unanswered(why string) {
	i := r.inst
	if !i.asked.open() || !i.asked.try {
		return
	}
	if len(i.routers) > 1 {
		why = fmt.Sprintf("%v: %s", r.id.Family, why)
	}
	i.refuse(why)
}

// refuse makes an order void, for the whole group.
func (i *instance) refuse(why string) {
	for _, m := range i.unit() {
		if !m.asked.open() {
			continue
		}
		text := why
		if m != i {
			text = fmt.Sprintf("%s of the same group: %s", i.cfg.Name, why)
		}
		if m.asked.try && !m.asked.failover {
			m.endDrain()
		}
		m.conclude(false, text)
	}
	i.review()
}

// judgeOrders ends the orders to hand over whose outcome is known: nobody waits
// for a successor any more.
func (e *Engine) judgeOrders() {
	e.asked = false
	for _, i := range e.instances {
		if !i.asked.open() {
			continue
		}
		switch waits, stays := i.awaitsSuccessor(); {
		case waits:
			e.asked = true
		case stays && i.asked.try:
			i.refuse("nobody was heard to take over")
		default:
			i.complete(stays)
		}
	}
}

// awaitsSuccessor reports whether a router of i or its group still waits for its
// successor, or to be able to act; stays whether one goes on as master.
func (i *instance) awaitsSuccessor() (waits, stays bool) {
	for _, m := range i.unit() {
		for _, r := range m.routers {
			waits = waits || r.state == StateMaster && (r.handing || r.listening)
			stays = stays || r.state == StateMaster
		}
	}
	return waits, stays
}

// complete ends an order that is carried out as far as it can be.
func (i *instance) complete(stays bool) {
	for _, m := range i.unit() {
		if !m.asked.open() {
			continue
		}
		switch a := m.asked; {
		case stays:
			m.conclude(true, fmt.Sprintf("nobody was heard to take over within %v", handoverBound(m.cfg.AdvertInterval)))
		case a.failover && m.state != StateBackup:
			m.conclude(false, m.reason)
		case a.failover:
			m.gave = FailoverStatus{Since: i.e.now, By: a.by}
			m.conclude(true, "")
		default:
			m.conclude(true, "")
		}
	}
	i.review()
}

// conclude tells what became of an order, and forgets it.
func (i *instance) conclude(done bool, why string) {
	a := i.asked
	i.asked = asked{}
	o := &Outcome{Instance: a.name, Failover: a.failover, Done: done, State: i.state, Reason: why, Removed: i.removed}
	for _, r := range i.routers {
		moved := r.toMove
		if r.toMove = false; r.state != StateBackup || !r.peer.IsValid() || r.peerPriority == PriorityRelease {
			continue
		}
		if moved && !o.Moved || !o.Peer.IsValid() { // of two families the first one's
			o.Peer, o.PeerPriority = r.peer, r.peerPriority
		}
		if moved {
			o.Moved, o.Took = true, max(o.Took, r.since.Sub(a.at))
		}
	}
	i.e.do(o)
}

// takesBack ends what the operator gave away: this node is master again.
func (i *instance) takesBack() {
	for _, m := range i.unit() {
		if m.standsBack() {
			m.gave = FailoverStatus{}
			m.weigh() // of an owner
		}
	}
}

// drainEnds ends a drain at the time that was set for it.
func (i *instance) drainEnds() {
	longest := i.drain
	for _, m := range i.unit() { // a reload may have put together what was drained apart
		if m.drained && !longest.Until.IsZero() && (m.drain.Until.IsZero() || m.drain.Until.After(longest.Until)) {
			longest = m.drain
		}
	}
	if longest.Until.IsZero() || longest.Until.After(i.e.now) {
		i.drain = longest
		return
	}
	for _, m := range i.unit() {
		if m.drained {
			i.e.do(&DrainEnded{m.cfg.Name, m.drain})
		}
	}
	i.e.undrain(i)
}

// weakerAnswer tells why a node that answered a release is no successor.
func weakerAnswer(from netip.Addr, priority uint8) string {
	if priority == PriorityRelease {
		return fmt.Sprintf("%v released as well", from)
	}
	return fmt.Sprintf("%v answered with priority %d: it is drained or demoted itself", from, priority)
}
