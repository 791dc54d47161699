package vrrp

// Cause is the kind of reason for a change of state: what is counted where the
// reason itself, a sentence for people, has too many forms.
type Cause uint8

// The causes.
const (
	// CauseStart: the router began to take part.
	CauseStart Cause = iota + 1
	// CauseRestart: a master went on as one over a restart.
	CauseRestart
	// CauseOwner: an address owner is master without asking.
	CauseOwner
	// CauseNoMaster: no master was heard at all.
	CauseNoMaster
	// CauseMasterSilent: the master was not heard for too long.
	CauseMasterSilent
	// CauseMasterReleased: the master let go on purpose.
	CauseMasterReleased
	// CausePreempted: this node took over from a weaker master.
	CausePreempted
	// CauseOutranked: a stronger master is heard.
	CauseOutranked
	// CauseDemoted: a demoted master handed over.
	CauseDemoted
	// CauseDrained: a drained master handed over.
	CauseDrained
	// CauseFailover: a master handed over once, because the operator wanted it to.
	CauseFailover
	// CauseCheck: a failing check makes the instance give up.
	CauseCheck
	// CauseInterface: the interface cannot be used, or has no address to send from.
	CauseInterface
	// CauseSend: adverts cannot be sent.
	CauseSend
	// CauseGroup: another instance of the group is in fault.
	CauseGroup
	// CauseRecovered: what kept the router from taking part is over.
	CauseRecovered
	// CauseStopped: the daemon stops.
	CauseStopped
	// CauseRemoved: a reload removed the instance.
	CauseRemoved

	causes
)

var causeNames = [causes]string{
	CauseStart:          "start",
	CauseRestart:        "restart",
	CauseOwner:          "owner",
	CauseNoMaster:       "no_master",
	CauseMasterSilent:   "master_silent",
	CauseMasterReleased: "master_released",
	CausePreempted:      "preempted",
	CauseOutranked:      "outranked",
	CauseDemoted:        "demoted",
	CauseDrained:        "drained",
	CauseFailover:       "failover",
	CauseCheck:          "check",
	CauseInterface:      "interface",
	CauseSend:           "send",
	CauseGroup:          "group",
	CauseRecovered:      "recovered",
	CauseStopped:        "stopped",
	CauseRemoved:        "removed",
}

func (c Cause) String() string {
	if c > 0 && c < causes {
		return causeNames[c]
	}
	return "invalid"
}

// Causes lists every cause that a change of state can have.
func Causes() []Cause {
	all := make([]Cause, 0, causes-1)
	for c := CauseStart; c < causes; c++ {
		all = append(all, c)
	}
	return all
}

// Transitions counts changes of state by their cause.
type Transitions [causes]uint64

// Of returns the count of one cause.
func (t *Transitions) Of(c Cause) uint64 { return t[c] }

// faultCause is the cause of what [router.fault] tells.
func (r *router) faultCause() Cause {
	if _, bad := r.inst.releasing(); bad {
		return CauseCheck
	}
	switch _, bad := r.ownFault(); {
	case !bad:
		return CauseGroup
	case r.mute != "" && r.linkWorks():
		return CauseSend
	}
	return CauseInterface
}

// yieldCause is the cause of yielding to another master.
func (r *router) yieldCause() Cause {
	switch {
	case !r.handing:
		return CauseOutranked
	case r.inst.groupDrained():
		return CauseDrained
	case r.inst.failsOver():
		return CauseFailover
	}
	return CauseDemoted
}

// endCause is the cause of an end that comes from outside.
func (i *instance) endCause() Cause {
	if i.removed {
		return CauseRemoved
	}
	return CauseStopped
}
