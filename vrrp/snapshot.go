package vrrp

import (
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Snapshot is the state of the whole Engine at one moment. It shares nothing
// with the Engine.
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
	ConflictSince time.Time
	Addresses     []AddressState
	Counters      Counters
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
	s := &Snapshot{At: now}
	for _, i := range e.instances {
		s.Instances = append(s.Instances, i.status(now))
	}
	for name, c := range e.checks {
		s.Checks = append(s.Checks, CheckStatus{name, c.known, c.healthy, c.since, c.reason})
	}
	slices.SortFunc(s.Checks, func(a, b CheckStatus) int { return strings.Compare(a.Name, b.Name) })
	for _, l := range e.links {
		c := LinkStatus{l.Link, l.drops}
		c.Addresses = slices.Clone(l.Addresses)
		s.Links = append(s.Links, c)
	}
	slices.SortFunc(s.Links, func(a, b LinkStatus) int { return strings.Compare(a.Name, b.Name) })
	return s
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

func (i *instance) status(now time.Time) InstanceStatus {
	s := InstanceStatus{
		Config: i.cfg.clone(), State: i.state, Since: i.since, Reason: i.reason, Effective: i.effective,
		Demoted: i.demoted, DemotedWhy: i.why, Drained: i.groupDrained(), Failover: i.gave,
		Transitions: i.transitions,
	}
	for _, m := range i.unit() {
		if m.drained && (m == i || !i.drained) {
			s.Drain = m.drain
			s.Drain.Trying = m.asked.open() && m.asked.try && !m.asked.failover
		}
	}
	for _, r := range i.routers {
		s.Routers = append(s.Routers, r.status(now))
	}
	return s
}

func (r *router) status(now time.Time) RouterStatus {
	s := RouterStatus{
		Family: r.id.Family, Serial: r.id.Serial, State: r.state, Since: r.since, Reason: r.reason,
		Source: r.source, MasterHeard: r.peerHeard, Interval: r.interval, Deadline: r.timer,
		PreemptAt: r.preemptAt, HandingOver: r.handing || r.holding(), Mute: !r.speaks(),
		Addresses: slices.Clone(r.addresses), Counters: r.counters,
	}
	switch {
	case r.state == StateMaster:
		s.Master, s.MasterPriority = r.source, r.inst.effective
	case r.state == StateBackup && r.peer.IsValid() && r.peerPriority != PriorityRelease:
		s.Master, s.MasterPriority = r.peer, r.peerPriority
	}
	if !r.rivalSince.IsZero() && now.Sub(r.rivalSeen) < downIntervals*r.interval {
		s.ConflictSince = r.rivalSince
	}
	return s
}
