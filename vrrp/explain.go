package vrrp

import (
	"net/netip"
	"time"
)

// Verdict is why a virtual router is or is not master, in one word. The words are
// the same wherever programs read them.
type Verdict uint8

// The verdicts.
const (
	// VerdictMaster: this node is master.
	VerdictMaster Verdict = iota + 1
	// VerdictHandingOver: it is, and has released: it waits for a successor.
	VerdictHandingOver
	// VerdictListening: it is, but has slept, and listens for whoever may have
	// taken over meanwhile.
	VerdictListening
	// VerdictNoMaster: backup, and no master has been heard yet.
	VerdictNoMaster
	// VerdictReleased: backup, and the master has just let go.
	VerdictReleased
	// VerdictOutranked: backup, and the master has a higher priority.
	VerdictOutranked
	// VerdictEqual: backup, and the master has the same priority.
	VerdictEqual
	// VerdictTakingOver: backup of a weaker master, which it takes over from.
	VerdictTakingOver
	// VerdictHeldBack: backup of a weaker master, which it leaves alone:
	// [Preemption] tells why.
	VerdictHeldBack
	// VerdictInit: it does not take part yet, or not any more.
	VerdictInit
	// VerdictFault: it cannot take part.
	VerdictFault

	verdicts
)

var verdictNames = [verdicts]string{
	VerdictMaster:      "master",
	VerdictHandingOver: "handing_over",
	VerdictListening:   "listening",
	VerdictNoMaster:    "no_master",
	VerdictReleased:    "released",
	VerdictOutranked:   "outranked",
	VerdictEqual:       "equal",
	VerdictTakingOver:  "taking_over",
	VerdictHeldBack:    "held_back",
	VerdictInit:        "init",
	VerdictFault:       "fault",
}

func (v Verdict) String() string {
	if v > 0 && v < verdicts {
		return verdictNames[v]
	}
	return "invalid"
}

// Explanation is why this node is or is not master of an instance.
type Explanation struct {
	At     time.Time
	Status InstanceStatus
	// Terms make the effective priority: it is their sum.
	Terms []Term
	// Checks are those of the terms, as the Engine knows them.
	Checks []CheckStatus
	// Mates are the other instances of its group.
	Mates []string
	// Order is the order of the operator to hand over that is open.
	Order *OpenOrder
	// Troubles are what keeps the node from holding the addresses, and demotes it
	// until TroubleUntil, when it tries again.
	Troubles     []string
	TroubleUntil time.Time
	// Routers explains the virtual routers, in the order of those of Status.
	Routers []RouterExplanation
}

// OpenOrder is an order of the operator whose outcome is open.
type OpenOrder struct {
	Since time.Time
	// Failover tells a [Failover] from a [Drain].
	Failover bool
	By       string
}

// RouterExplanation is why one virtual router is or is not master.
type RouterExplanation struct {
	Verdict Verdict
	// Preemption is set for a backup of a weaker master.
	Preemption Preemption
	// Peer is the other router last heard, PeerPriority what it said:
	// [PriorityRelease] when it let go. The zero Addr when none was.
	Peer         netip.Addr
	PeerPriority uint8
	PeerHeard    time.Time
	// Skew and Down are how long a backup waits: Down after each advert of the
	// master, which is three intervals and the skew. Of one that does not take
	// part they are what it will wait.
	Skew, Down time.Duration
	// ReadyAt is when the start-up delay ends, RetryAt when a node that cannot
	// send tries again; zero when there is no such wait.
	ReadyAt, RetryAt time.Time
	// Spoke is when this node last sent an advert.
	Spoke time.Time
	// Silence is what becomes of the router if nobody is heard from now on, and
	// nothing else happens.
	Silence []Change
}

// TakesOver returns when the router becomes master if nobody is heard from now
// on; false when it does not, or is master already and stays so.
func (x *RouterExplanation) TakesOver() (time.Time, bool) {
	if n := len(x.Silence); n > 0 && x.Silence[n-1].State == StateMaster {
		return x.Silence[n-1].At, true
	}
	return time.Time{}, false
}

// Copy returns an Engine of its own with the instance of a name and those of its
// group; nil when there is none. What is asked of it keeps nobody waiting.
func (e *Engine) Copy(name string) *Engine {
	i := e.instance(name)
	if i == nil {
		return nil
	}
	return e.clone(i.unit(), nil)
}

// Explain tells of each instance why this node is or is not master.
func (e *Engine) Explain(now time.Time) []Explanation {
	var list []Explanation
	foreseen := map[*instance]map[uint64][]Change{}
	for _, i := range e.instances {
		if foreseen[i] == nil {
			changes := e.foresee(now, i.unit())
			for _, m := range i.unit() {
				foreseen[m] = changes
			}
		}
		list = append(list, i.explain(now, foreseen[i]))
	}
	return list
}

func (i *instance) explain(now time.Time, foreseen map[uint64][]Change) Explanation {
	x := Explanation{At: now, Status: i.status(now, &statusSpace{}), Terms: i.sum(), Troubles: i.troubles()}
	for _, c := range i.checks() {
		s := i.e.checks[c.Name]
		x.Checks = append(x.Checks, CheckStatus{c.Name, s.known, s.healthy, s.since, s.reason})
	}
	for _, m := range i.unit() {
		if m != i {
			x.Mates = append(x.Mates, m.cfg.Name)
		}
		if m.asked.open() && (x.Order == nil || m == i) {
			x.Order = &OpenOrder{m.asked.at, m.asked.failover, m.asked.by}
		}
		if m.troubleUntil.After(x.TroubleUntil) {
			x.TroubleUntil = m.troubleUntil
		}
	}
	for _, r := range i.routers {
		x.Routers = append(x.Routers, r.explain(foreseen[r.id.Serial]))
	}
	return x
}

func (r *router) explain(silence []Change) RouterExplanation {
	v, interval := r.inst.cfg.Version, r.interval
	if r.state != StateBackup {
		interval = r.inst.cfg.AdvertInterval // which is what it starts with
	}
	x := RouterExplanation{
		Verdict: r.verdict(), Peer: r.peer, PeerPriority: r.peerPriority, PeerHeard: r.peerHeard,
		Skew: skew(v, r.inst.effective, interval), Down: downInterval(v, r.inst.effective, interval),
		ReadyAt: r.readyAt, RetryAt: r.muteUntil, Spoke: r.spokeAt, Silence: silence,
	}
	if r.hidden() {
		x.RetryAt = r.timer
	}
	if x.Verdict == VerdictTakingOver || x.Verdict == VerdictHeldBack {
		x.Preemption = r.preemption(r.peerPriority)
	}
	return x
}

func (r *router) verdict() Verdict {
	switch {
	case r.shown() == StateFault:
		return VerdictFault
	case r.state == StateInit:
		return VerdictInit
	case r.state == StateMaster && r.listening:
		return VerdictListening
	case r.state == StateMaster && r.handing:
		return VerdictHandingOver
	case r.state == StateMaster:
		return VerdictMaster
	case !r.peer.IsValid():
		return VerdictNoMaster
	case r.peerPriority == PriorityRelease:
		return VerdictReleased
	case r.peerPriority > r.inst.effective:
		return VerdictOutranked
	case r.peerPriority == r.inst.effective:
		return VerdictEqual
	case r.preemption(r.peerPriority).Allowed():
		return VerdictTakingOver
	}
	return VerdictHeldBack
}
