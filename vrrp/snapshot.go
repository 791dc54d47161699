package vrrp

import (
	"iter"
	"maps"
	"net/netip"
	"slices"
	"time"
)

// Snapshot is the state of the whole Engine at one moment. What it shares with the
// Engine, the lists in each Config, neither changes.
type Snapshot struct {
	At        time.Time
	Instances []InstanceStatus
	Checks    []CheckStatus
	Links     []LinkStatus
}

// InstanceStatus is the state of one instance.
type InstanceStatus struct {
	Config    Config
	State     State
	Since     time.Time
	Reason    string
	Effective uint8
	// Demoted is set while a check, or trouble with the addresses, demotes the
	// instance; DemotedWhy tells.
	Demoted    bool
	DemotedWhy string
	// Drained is set while the operator keeps the instance, or one of its group,
	// behind; Drain tells of that.
	Drained bool
	// Transitions counts the changes of State by cause.
	Transitions Transitions
	Drain       DrainStatus
	// Failover is not zero after a [Failover], until this node is master again:
	// it does not take over by preemption.
	Failover FailoverStatus
	Routers  []RouterStatus
}

// RouterStatus is the state of one virtual router.
type RouterStatus struct {
	Family Family
	// Serial is that of the router's [RouterID].
	Serial uint64
	State  State
	Since  time.Time
	Reason string
	// Source is the address adverts are sent from.
	Source netip.Addr
	// Master is the router that serves as far as this node knows: itself, or
	// the one last heard. The zero Addr means unknown.
	Master         netip.Addr
	MasterPriority uint8
	// MasterHeard is when another master was last heard.
	MasterHeard time.Time
	// Interval is the advert interval in force: the master's, once heard.
	Interval time.Duration
	// Deadline is when the next advert is due (master), or when this node
	// takes over unless an advert comes (backup).
	Deadline time.Time
	// PreemptAt is when the preempt delay ends; zero when it is not running.
	PreemptAt time.Time
	// HandingOver is set while a master has released and waits for a
	// successor, or keeps its addresses until that one has announced them.
	HandingOver bool
	// Mute is set when the last advert did not leave.
	Mute bool
	// ConflictSince is since when other masters are heard; zero when none is.
	// Rival is the one that was heard last.
	ConflictSince time.Time
	Rival         netip.Addr
	// Refused is the last packet that was refused, of others if there are such; nil
	// when there was none lately.
	Refused *Refused
	// Differs is set while another router advertises other addresses.
	Differs   *Difference
	Addresses []AddressState
	Counters  Counters
}

// Refused is a packet for a virtual router that was refused. Other routers of its
// VRID that go on with such do not hear this one either.
type Refused struct {
	At     time.Time
	From   netip.Addr
	Reason DropReason
	Why    string
}

// CheckStatus is a health check as the Engine knows it.
type CheckStatus struct {
	Name           string
	Known, Healthy bool
	Since          time.Time
	Reason         string
}

// LinkStatus is an interface and what arrived there for no virtual router.
type LinkStatus struct {
	Link
	Drops Drops
}

// Snapshot returns the state of the Engine.
func (e *Engine) Snapshot(now time.Time) *Snapshot {
	s := &Snapshot{}
	for !e.Extend(s, now, len(e.instances)) {
	}
	return s
}

// addressesAsOne are as many addresses as cost about what an instance does.
const addressesAsOne = 32

// Extend adds to s the instances that follow those it has, about most of them, at
// least one: those with many addresses count for more. It reports whether s is
// whole; then At is now, and Checks and Links are there, too. It is for a caller
// with no time for a whole [Snapshot], and begins with an empty one. Each
// instance is as it was at one moment, which is not the same for all. After a
// [Configure] s fits no more.
func (e *Engine) Extend(s *Snapshot, now time.Time, most int) (whole bool) {
	if s.Instances == nil {
		s.Instances = make([]InstanceStatus, 0, len(e.instances))
	}
	from := len(s.Instances)
	to, routers, addresses := from, 0, 0
	for cost := 0; to < len(e.instances) && (to == from || cost < most); to++ {
		i := e.instances[to]
		routers += len(i.routers)
		for _, r := range i.routers {
			addresses += len(r.addresses)
		}
		cost += 1 + len(i.cfg.Addresses)/addressesAsOne
	}
	// One piece of memory of each kind, of which each instance has its part.
	space := statusSpace{make([]RouterStatus, 0, routers), make([]AddressState, 0, addresses)}
	for _, i := range e.instances[from:to] {
		s.Instances = append(s.Instances, i.status(now, &space))
	}
	if to < len(e.instances) {
		return false
	}
	s.At = now
	s.Checks, s.Links = e.checkStatus(), e.linkStatus()
	return true
}

// Select returns the state of the instances that concerns picks. It costs much less
// than a Snapshot when those are few.
func (e *Engine) Select(now time.Time, concerns func(*Config) bool) (list []InstanceStatus) {
	for _, i := range e.instances {
		if concerns(i.cfg) {
			list = append(list, i.status(now, &statusSpace{}))
		}
	}
	return list
}

// Brief is what of an instance may change without a [Transition].
type Brief struct {
	Config    *Config // not to be written to
	State     State
	Reason    string
	Effective uint8
	// Demoted, DemotedWhy and Drained are those of the [InstanceStatus].
	Demoted    bool
	DemotedWhy string
	Drained    bool
}

// Briefs goes through all instances, in the order of the configuration. It costs
// much less than a Snapshot.
func (e *Engine) Briefs() iter.Seq[Brief] {
	return func(yield func(Brief) bool) {
		for _, i := range e.instances {
			if !yield(Brief{i.cfg, i.state, i.reason, i.effective, i.demoted, i.why, i.groupDrained()}) {
				return
			}
		}
	}
}

// Routers goes through the virtual routers of all instances, in the order of the
// configuration, each with that of its instance, which is not to be written to.
func (e *Engine) Routers() iter.Seq2[RouterID, *Config] {
	return func(yield func(RouterID, *Config) bool) {
		for _, i := range e.instances {
			for _, r := range i.routers {
				if !yield(r.id, i.cfg) {
					return
				}
			}
		}
	}
}

func (e *Engine) checkStatus() (list []CheckStatus) {
	for _, name := range slices.Sorted(maps.Keys(e.checks)) {
		c := e.checks[name]
		list = append(list, CheckStatus{name, c.known, c.healthy, c.since, c.reason})
	}
	return list
}

func (e *Engine) linkStatus() (list []LinkStatus) {
	for _, name := range slices.Sorted(maps.Keys(e.links)) {
		l := e.links[name]
		c := LinkStatus{l.Link, l.drops}
		c.Addresses = slices.Clone(l.Addresses)
		list = append(list, c)
	}
	return list
}

// Census counts the instances by state, and those that are drained. It costs
// much less than a Snapshot.
func (e *Engine) Census() (states map[State]int, drained int) {
	states = map[State]int{}
	for _, i := range e.instances {
		states[i.state]++
		if i.groupDrained() {
			drained++
		}
	}
	return states, drained
}

// statusSpace is where lists of an instance's status are put.
type statusSpace struct {
	routers   []RouterStatus
	addresses []AddressState
}

func (i *instance) status(now time.Time, space *statusSpace) InstanceStatus {
	s := InstanceStatus{
		Config: *i.cfg, State: i.state, Since: i.since, Reason: i.reason, Effective: i.effective,
		Demoted: i.demoted, DemotedWhy: i.why, Drained: i.groupDrained(), Failover: i.gave,
		Transitions: i.transitions,
	}
	for _, m := range i.unit() {
		if m.drained && (m == i || !i.drained) {
			s.Drain = m.drain
			s.Drain.Trying = m.asked.open() && m.asked.try && !m.asked.failover
		}
	}
	first := len(space.routers)
	for _, r := range i.routers {
		space.routers = append(space.routers, r.status(now, space))
	}
	s.Routers = space.routers[first:len(space.routers):len(space.routers)]
	return s
}

func (r *router) status(now time.Time, space *statusSpace) RouterStatus {
	first := len(space.addresses)
	state := r.shown()
	_, reason := r.why()
	space.addresses = append(space.addresses, r.addresses...)
	s := RouterStatus{
		Family: r.id.Family, Serial: r.id.Serial, State: state, Since: r.since, Reason: reason,
		Source: r.source, MasterHeard: r.peerHeard, Interval: r.interval, Deadline: r.timer,
		PreemptAt: r.preemptAt, HandingOver: r.handing || r.holding(), Mute: !r.speaks(),
		Addresses: space.addresses[first:len(space.addresses):len(space.addresses)], Counters: Counters{Activity: r.counters},
	}
	s.Differs = r.differsLately(now)
	if d := r.drops; d != nil {
		s.Counters.Dropped = d.count
		if r.refusedLately(now) {
			last := d.last
			s.Refused = &last
		}
	}
	switch {
	case state == StateMaster:
		s.Master, s.MasterPriority = r.source, r.inst.effective
	case state == StateBackup && r.peer.IsValid() && r.peerPriority != PriorityRelease:
		s.Master, s.MasterPriority = r.peer, r.peerPriority
	}
	if !r.rivalSince.IsZero() && now.Sub(r.rivalSeen) < downIntervals*r.interval {
		s.ConflictSince, s.Rival = r.rivalSince, r.rivalFrom
	}
	return s
}
