package daemon

import (
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/history"
	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// tellDelay is how long a new reason for a fault must last to be logged: an
// interface that is made passes through several.
const tellDelay = time.Second

// told is what people know of an instance from the log beside its state.
type told struct {
	fault    string // why it is in fault; empty when it is not
	priority uint8
	drained  bool
}

// tellChanges tells what changed without a transition: the priority that an
// instance elects with, and why it still is in fault.
func (d *Daemon) tellChanges() {
	for i := range d.engine.Briefs() {
		now := told{priority: i.Effective, drained: i.Drained}
		if i.State == vrrp.StateFault {
			now.fault = i.Reason
		}
		old, known := d.told[i.Config.Name]
		if known && old == now {
			continue
		}
		d.told[i.Config.Name] = now
		if !known || old.priority == 0 {
			old.priority = now.priority
			if i.Demoted {
				old.priority = i.Config.Priority
			}
		}
		if old.priority != now.priority {
			d.tellPriority(&i, old)
		}
		if old.fault != "" && now.fault != "" && old.fault != now.fault {
			d.record(history.Event{
				Kind: history.KindTransition, Severity: history.Warning, Instance: i.Config.Name, Interface: i.Config.Interface,
				From: i.State.String(), To: i.State.String(), Reason: now.fault,
				Text: because(i.Config.Name+" is still in fault", now.fault),
			}, "still in fault", "instance", i.Config.Name, "reason", now.fault)
		}
	}
	if len(d.told) > len(d.cfg.Instances) { // a reload has removed or renamed some
		configured := d.configuredNames()
		maps.DeleteFunc(d.told, func(name string, _ told) bool { return !configured[name] })
	}
}

func (d *Daemon) tellPriority(i *vrrp.Brief, before told) {
	from := before.priority
	args := []any{"instance", i.Config.Name, "from", int(from), "to", int(i.Effective)}
	e := history.Event{
		Kind: history.KindPriority, Severity: history.Info, Instance: i.Config.Name, Interface: i.Config.Interface,
		From: strconv.Itoa(int(from)), To: strconv.Itoa(int(i.Effective)), Priority: int(i.Effective),
	}
	change := fmt.Sprintf("priority %d instead of %d", i.Effective, from)
	switch {
	case i.Demoted:
		e.Severity, e.Reason = history.Warning, i.DemotedWhy
		e.Text = because(fmt.Sprintf("%s is demoted to %s", i.Config.Name, change), i.DemotedWhy)
		d.record(e, "demoted", append(args, "reason", i.DemotedWhy)...)
	case before.drained && !i.Drained:
		e.Text = fmt.Sprintf("%s is not drained any more: %s", i.Config.Name, change)
		d.record(e, "not drained any more", args...)
	case i.Drained && !before.drained:
		e.Text = fmt.Sprintf("%s is drained: %s", i.Config.Name, change)
		d.record(e, "drained", args...)
	case from <= vrrp.DemotedMax && i.Effective > vrrp.DemotedMax:
		e.Text = fmt.Sprintf("%s is not demoted any more: %s", i.Config.Name, change)
		d.record(e, "not demoted any more", args...)
	default:
		e.Text = fmt.Sprintf("%s has %s", i.Config.Name, change)
		d.record(e, "priority changed", args...)
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
