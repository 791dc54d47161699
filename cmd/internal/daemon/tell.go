package daemon

import (
	"time"

	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// tellDelay is how long a new reason for a fault must last to be logged: an
// interface that is made passes through several.
const tellDelay = time.Second

// told is what people know of an instance from the log beside its state.
type told struct {
	priority uint8
	fault    string // why it is in fault; empty when it is not
	drained  bool
}

// tellChanges logs what changed without a transition: the priority that an
// instance elects with, and why it still is in fault.
func (d *Daemon) tellChanges() {
	s := d.engine.Snapshot(d.now)
	next := make(map[string]told, len(s.Instances))
	for n := range s.Instances {
		i := &s.Instances[n]
		now := told{priority: i.Effective, drained: i.Drained}
		if i.State == vrrp.StateFault {
			now.fault = i.Reason
		}
		next[i.Config.Name] = now
		old, known := d.told[i.Config.Name]
		if !known || old.priority == 0 {
			old.priority = now.priority
			if i.Demoted {
				old.priority = i.Config.Priority
			}
		}
		if old.priority != now.priority {
			d.tellPriority(i, old)
		}
		if old.fault != "" && now.fault != "" && old.fault != now.fault {
			d.log.Warn("still in fault", "instance", i.Config.Name, "reason", now.fault)
		}
	}
	d.told = next
}

func (d *Daemon) tellPriority(i *vrrp.InstanceStatus, before told) {
	from := before.priority
	args := []any{"instance", i.Config.Name, "from", int(from), "to", int(i.Effective)}
	switch {
	case i.Demoted:
		d.log.Warn("demoted", append(args, "reason", i.DemotedWhy)...)
	case before.drained && !i.Drained:
		d.log.Info("not drained any more", args...)
	case i.Drained && !before.drained:
		d.log.Info("drained", args...)
	case from <= vrrp.DemotedMax && i.Effective > vrrp.DemotedMax:
		d.log.Info("not demoted any more", args...)
	default:
		d.log.Info("priority changed", args...)
	}
}

// tellSoon has lasting changes of what is wrong with an interface logged.
func (d *Daemon) tellSoon() {
	if d.tellWaits {
		return
	}
	d.tellWaits = true
	d.later(tellDelay, func() {
		d.tellWaits = false
		d.tellChanges()
	})
}
