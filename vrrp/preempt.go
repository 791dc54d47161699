package vrrp

// Preemption is whether a backup takes over from a weaker master, and why. The
// words are the same wherever programs read them.
type Preemption uint8

// What lets a backup take over, and what does not.
const (
	// PreemptOwner: an address owner always does (RFC 9568 section 6.1).
	PreemptOwner Preemption = iota + 1
	// PreemptHealthy: so does a healthy node from one that is demoted or drained.
	PreemptHealthy
	// PreemptGroup: so does a node that is master of another instance of the group.
	PreemptGroup
	// PreemptConfigured: the configuration says so, and a delay is over.
	PreemptConfigured
	// PreemptStandsBack: not before the operator allows what a [Failover] ended.
	PreemptStandsBack
	// PreemptOff: the configuration says that it does not.
	PreemptOff
	// PreemptDelayed: the delay that the configuration sets is not over.
	PreemptDelayed

	preemptions
)

var preemptionNames = [preemptions]string{
	PreemptOwner:      "owner",
	PreemptHealthy:    "healthy",
	PreemptGroup:      "group",
	PreemptConfigured: "configured",
	PreemptStandsBack: "stands_back",
	PreemptOff:        "off",
	PreemptDelayed:    "delayed",
}

func (p Preemption) String() string {
	if p > 0 && p < preemptions {
		return preemptionNames[p]
	}
	return "invalid"
}

// Allowed reports whether a backup takes over.
func (p Preemption) Allowed() bool { return p >= PreemptOwner && p <= PreemptConfigured }

// preemption returns whether a backup takes over from a weaker master.
func (r *router) preemption(theirs uint8) Preemption {
	cfg := r.inst.cfg
	switch {
	case r.owner():
		return PreemptOwner
	case theirs <= DemotedMax && r.inst.effective > DemotedMax:
		return PreemptHealthy
	case r.inst.mateServes():
		return PreemptGroup // what belongs together comes together
	case r.inst.standsBack():
		return PreemptStandsBack
	case !cfg.Preempt:
		return PreemptOff
	case cfg.PreemptDelay > 0 && !r.due(r.preemptAt):
		return PreemptDelayed
	}
	return PreemptConfigured
}

// preempts is preemption at the time when it matters: a delay begins to run.
func (r *router) preempts(theirs uint8) bool {
	p := r.preemption(theirs)
	if p == PreemptDelayed && r.preemptAt.IsZero() {
		r.preemptAt = r.after(r.inst.cfg.PreemptDelay)
	}
	return p.Allowed()
}
