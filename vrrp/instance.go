package vrrp

import (
	"fmt"
	"maps"
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
		if by := rank(r.state) - rank(strongest.state); by > 0 || by == 0 && r.since.After(strongest.since) {
			strongest = r
		}
	}
	i.reason = strongest.reason
	if strongest.state != i.state {
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
	t := Transition{
		Sequence: i.e.sequence, Instance: i.cfg.Name, Interface: i.cfg.Interface,
		From: i.state, To: r.state, Stopping: r.state == StateInit && (i.removed || i.e.stopping),
		Adopted: r.state == StateMaster && r.reason == adoptedReason,
		Cause:   r.cause, Reason: r.reason, Peer: r.peer, PeerPriority: r.peerPriority, Priority: i.effective,
		Addresses: i.cfg.Addresses, At: i.e.now, Lasted: i.e.now.Sub(i.since),
	}
	if t.To != StateMaster && t.To != StateBackup {
		t.Peer, t.PeerPriority = netip.Addr{}, 0 // no part in it
	}
	i.state, i.since = r.state, i.e.now
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

// configure changes the set of instances. A virtual router is known by its
// interface, VRID, version and family; whoever keeps these keeps its state. What
// does not change is not touched, and costs no more than the look at it: it may be
// one of thousands.
func (e *Engine) configure(configs []Config) {
	if e.stopping {
		return
	}
	old := e.instances
	e.match(configs)
	e.group(configs)
	groups := map[string]bool{} // that are not as they were
	for _, i := range old {
		if !i.stays {
			groups[i.cfg.Group] = true
			e.remove(i)
		}
	}
	e.flushNamesakes(configs)
	for n, i := range e.instances {
		cfg := &configs[n]
		if !i.cfg.Same(cfg) {
			groups[i.cfg.Group] = true
			i.reconfigure(cfg)
			i.changed = true
		}
		i.cfg = cfg // for the old ones are one piece of memory
		if i.changed {
			groups[cfg.Group] = true
		}
	}
	delete(groups, "")              // who is in none moves alone
	for _, i := range e.instances { // once all of a group are as they will be
		if i.changed || groups[i.cfg.Group] {
			i.review()
		}
	}
	for _, i := range e.instances { // last, so that an address may move to another instance
		if i.changed {
			i.removeUnwanted()
		}
	}
	maps.DeleteFunc(e.adopt, func(k routerKey, _ Adopted) bool { return e.routers[k] == nil })
	e.forgetChecks()
}

// match makes the instances of a new configuration: those that stay, and new ones.
func (e *Engine) match(configs []Config) {
	for _, i := range e.instances {
		i.stays, i.changed = false, false
	}
	next := make([]*instance, len(configs))
	for n := range configs {
		i := e.predecessor(&configs[n])
		if i == nil {
			i = newInstance(e, &configs[n])
			i.changed = true
		}
		i.stays = true
		next[n] = i
	}
	e.instances = next
}

// predecessor returns the instance that goes on as cfg says; nil when there is none
// that does not go on otherwise.
func (e *Engine) predecessor(cfg *Config) *instance {
	for _, f := range [...]Family{IPv4, IPv6} {
		if !cfg.has(f) {
			continue
		}
		r := e.routers[routerKey{cfg.Interface, cfg.VRID, f}]
		if r != nil && !r.inst.removed && !r.inst.stays && r.inst.cfg.Version == cfg.Version {
			return r.inst
		}
	}
	return nil
}

// flushNamesakes runs the hooks of instances that hand over before those of the
// instances that are to have their names.
func (e *Engine) flushNamesakes(configs []Config) {
	if len(e.departing) == 0 {
		return
	}
	names := make(map[string]bool, len(configs))
	for n := range configs {
		names[configs[n].Name] = true
	}
	for _, i := range e.departing {
		if names[i.cfg.Name] {
			i.flush()
		}
	}
}

// forgetChecks forgets the checks that nobody uses any more.
func (e *Engine) forgetChecks() {
	if len(e.checks) == 0 {
		return
	}
	used := make(map[string]bool, len(e.checks))
	for _, i := range e.instances {
		for _, c := range i.cfg.Checks {
			used[c.Name] = true
		}
	}
	maps.DeleteFunc(e.checks, func(name string, _ checkState) bool { return !used[name] })
}

func (e *Engine) remove(i *instance) {
	i.removed = true
	if i.asked.open() {
		i.conclude(false, "removed from the configuration")
	}
	i.leave("removed from the configuration")
	if i.holding() {
		e.departing = append(e.departing, i) // it must hear its successor
		return
	}
	e.forget(i)
}

// forget stops packets from reaching i, unless another took over its place.
func (e *Engine) forget(i *instance) {
	for _, r := range i.routers {
		delete(e.serials, r.id.Serial)
		e.timers.drop(r)
		if k := (routerKey{i.cfg.Interface, i.cfg.VRID, r.id.Family}); e.routers[k] == r {
			delete(e.routers, k)
		}
	}
}

func (i *instance) reconfigure(cfg *Config) {
	if i.cfg.Name != cfg.Name {
		i.flush() // before the hooks of the instance that has the name now
	}
	families := cfg.Families()
	for _, r := range slices.Clone(i.routers) {
		if !slices.Contains(families, r.id.Family) {
			i.part(r)
		}
	}
	i.cfg = cfg
	for _, r := range i.routers {
		r.id.Instance = cfg.Name
		r.reconfigured()
	}
	for _, f := range families {
		if !slices.ContainsFunc(i.routers, func(r *router) bool { return r.id.Family == f }) {
			i.addRouter(f)
		}
	}
	slices.SortFunc(i.routers, func(a, b *router) int { return int(a.id.Family) - int(b.id.Family) })
}

// part lets the router of one family go. It hands over on its own, without
// hooks: the instance goes on.
func (i *instance) part(r *router) {
	i.routers = slices.DeleteFunc(i.routers, func(o *router) bool { return o == r })
	gone := &instance{e: i.e, cfg: i.cfg, effective: i.effective, since: i.e.now, routers: []*router{r}}
	r.inst = gone
	i.e.remove(gone)
}
