package vrrp

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// instance is what a user configures: one virtual router for each address
// family. The families elect on their own, as RFC 9568 section 1 wants; they
// share the priority, the checks and the hooks. To people the instance is in
// the strongest state of its routers: master before backup before fault.
type instance struct {
	e       *Engine
	cfg     *Config // of the last Configure
	routers []*router

	effective uint8
	demoted   bool   // a check with OnFailure Demote fails
	why       string // why the instance is demoted
	drained   bool
	drain     DrainStatus
	gave      FailoverStatus // not zero while the node stands back
	asked     asked
	// trouble is why the node cannot hold the addresses and is demoted for a
	// while; empty when it can.
	trouble      string
	troubleUntil time.Time
	troubleEnded time.Time
	penalty      time.Duration // the last one
	removed      bool          // by a reload
	// Of the last reload: whether the configuration still has it, and whether that
	// changes it.
	stays, changed bool

	state  State
	since  time.Time
	reason string
	// transitions counts what became of state by cause.
	transitions Transitions
	// notify are transitions whose hooks wait for addresses to be removed.
	notify []Transition
}

func newInstance(e *Engine, cfg *Config) *instance {
	i := &instance{e: e, cfg: cfg, since: e.now, reason: "starting"}
	for _, f := range cfg.Families() {
		i.addRouter(f)
	}
	i.effective = cfg.Priority
	return i
}

func (i *instance) addRouter(f Family) *router {
	i.e.serial++
	r := &router{inst: i, id: RouterID{i.cfg.Name, f, i.e.serial}, queued: never, since: i.e.now, cause: CauseStart}
	i.e.serials[r.id.Serial] = r
	if i.cfg.StartupDelay > 0 {
		r.readyAt = i.e.now.Add(i.cfg.StartupDelay)
	}
	r.setAddresses(i.cfg.Addresses)
	i.routers = append(i.routers, r)
	i.e.routers[routerKey{i.cfg.Interface, i.cfg.VRID, f}] = r
	return r
}

func (i *instance) uses(check string) bool {
	return slices.ContainsFunc(i.checks(), func(c Check) bool { return c.Name == check })
}

func (i *instance) holding() bool { return slices.ContainsFunc(i.routers, (*router).holding) }

// reviewAlone works out the effective priority anew and lets every router act on
// what has changed.
func (i *instance) reviewAlone() {
	if i.removed {
		return
	}
	before := i.effective
	i.weigh()
	if i.e.stopping {
		return
	}
	for _, r := range i.routers {
		r.review(before)
		r.schedule()
	}
	i.settle()
}

// weigh sets the effective priority.
func (i *instance) weigh() {
	why := i.demotions()
	i.demoted, i.why = len(why) > 0, strings.Join(why, "; ")
	i.effective = total(i.sum())
}

func (i *instance) fails(check string) bool {
	c := i.e.checks[check]
	return c.known && !c.healthy
}

// failure tells people which check fails and why.
func (i *instance) failure(check string) string {
	if why := i.e.checks[check].reason; why != "" {
		return fmt.Sprintf("check %s fails: %s", check, why)
	}
	return fmt.Sprintf("check %s fails", check)
}

// waiting returns the check that has not answered yet, if any.
func (i *instance) waiting() (string, bool) {
	for _, c := range i.checks() {
		if !i.e.checks[c.Name].known {
			return c.Name, true
		}
	}
	return "", false
}

// releasing returns why a failing check makes the instance give up, if one does.
func (i *instance) releasing() (string, bool) {
	for _, c := range i.checks() {
		if c.OnFailure == Release && i.fails(c.Name) {
			return i.failure(c.Name), true
		}
	}
	return "", false
}

// leave ends the instance: a master hands over.
func (i *instance) leave(reason string) {
	for _, r := range i.routers {
		r.leave(StateInit, i.endCause(), reason)
		r.schedule()
	}
	i.settle()
}

// settle records a transition when the strongest state of the routers changed.
// Of two in the same state, the one that changed last tells why.
func (i *instance) settle() {
	strongest := i.routers[0]
	for _, r := range i.routers[1:] {
		if by := rank(r.shown()) - rank(strongest.shown()); by > 0 || by == 0 && r.since.After(strongest.since) {
			strongest = r
		}
	}
	_, i.reason = strongest.why()
	if strongest.shown() != i.state {
		i.transition(strongest)
	}
	if !i.holding() {
		i.flush()
	}
}

// rank orders the states from weakest to strongest.
func rank(s State) int {
	switch s {
	case StateMaster:
		return 3
	case StateBackup:
		return 2
	case StateFault:
		return 1
	}
	return 0
}

func (i *instance) transition(r *router) {
	i.e.sequence++
	to := r.shown()
	cause, reason := r.why()
	t := Transition{
		Sequence: i.e.sequence, Instance: i.cfg.Name, Interface: i.cfg.Interface,
		From: i.state, To: to, Stopping: to == StateInit && (i.removed || i.e.stopping),
		Adopted: to == StateMaster && reason == adoptedReason,
		Cause:   cause, Reason: reason, Peer: r.peer, PeerPriority: r.peerPriority, Priority: i.effective,
		Addresses: i.cfg.Addresses, At: i.e.now, Lasted: i.e.now.Sub(i.since),
	}
	if t.To != StateMaster && t.To != StateBackup {
		t.Peer, t.PeerPriority = netip.Addr{}, 0 // no part in it
	}
	i.state, i.since = to, i.e.now
	i.transitions[t.Cause]++
	i.e.do(&t)
	if t.Adopted {
		return
	}
	if t.To == StateMaster {
		i.flush() // hooks see every state in order
		i.e.do(&Notify{t})
		return
	}
	i.notify = append(i.notify, t)
}

func (i *instance) flush() {
	for _, t := range i.notify {
		i.e.do(&Notify{t})
	}
	i.notify = nil
}
