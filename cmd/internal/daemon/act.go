package daemon

import (
	"errors"
	"net/netip"
	"strconv"

	"github.com/holdfast-vrrp/holdfast/notify"
	"github.com/holdfast-vrrp/holdfast/vip"
	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// act carries out one action that is no advert. Nothing in here may block.
func (d *Daemon) act(a vrrp.Action) {
	switch a := a.(type) {
	case *vrrp.AddAddresses:
		d.addresses.Add(ownerName(a.Router), a.Interface, a.Addresses, a.Lease)
	case *vrrp.RenewAddresses:
		// Half a lease later somebody else may have them.
		d.addresses.Renew(ownerName(a.Router), a.Interface, a.Addresses, a.Lease, d.now.Add(a.Lease/2))
	case *vrrp.RemoveAddresses:
		d.journal.stamp(a.Router.Serial, 0)
		d.addresses.Remove(ownerName(a.Router), a.Interface, a.Addresses)
	case *vrrp.AnnounceAddresses:
		d.addresses.Announce(ownerName(a.Router), a.Interface, a.Addresses, d.cfg.VIP[a.Router.Instance].ARP)
	case *vrrp.StopAnnouncing:
		d.addresses.StopAnnouncing(ownerName(a.Router))
	case *vrrp.Transition:
		d.transition(a)
	case *vrrp.Notify:
		d.hook(&a.Transition)
	case *vrrp.Outcome:
		d.outcome(a)
	case *vrrp.DrainEnded:
		d.drainEnded(a)
	case *vrrp.Notice:
		d.notice(a)
	}
}

// ownerName is what the manager of addresses knows a virtual router by.
func ownerName(id vrrp.RouterID) string { return strconv.FormatUint(id.Serial, 10) }

// transition logs a change of state: one line each.
func (d *Daemon) transition(t *vrrp.Transition) {
	args := []any{
		"instance", t.Instance, "from", t.From.String(), "to", t.To.String(),
		"reason", t.Reason, "priority", int(t.Priority),
	}
	if t.Peer.IsValid() {
		args = append(args, "peer", t.Peer.String(), "peer-priority", int(t.PeerPriority))
	}
	args = append(args, "lasted", round(t.Lasted).String())
	known := told{priority: d.told[t.Instance].priority, drained: d.told[t.Instance].drained}
	if t.To == vrrp.StateFault {
		known.fault = t.Reason
		d.log.Warn("state changed", args...)
	} else {
		d.log.Info("state changed", args...)
	}
	d.told[t.Instance] = known
	d.tellStatus = true
}

// hook queues the notify hooks of a transition.
func (d *Daemon) hook(t *vrrp.Transition) {
	state := t.To.String()
	if t.Stopping {
		state = "stop"
	}
	e := notify.Event{
		Sequence: t.Sequence, Instance: t.Instance, State: state, Previous: t.From.String(),
		Reason: t.Reason, Priority: int(t.Priority), Addresses: prefixStrings(t.Addresses),
		Interface: t.Interface, At: t.At, Node: d.cfg.Node.Name,
	}
	if t.Peer.IsValid() {
		e.Peer = t.Peer.String()
	}
	if err := d.hooks.Post(e); err != nil {
		d.log.Error("hook was not run", "instance", t.Instance, "state", state, "error", err)
	}
}

// rival queues the hooks that want to hear of another master.
func (d *Daemon) rival(n *vrrp.Notice) {
	e := notify.Event{
		Instance: n.Instance, State: notify.StateRival, Previous: vrrp.StateMaster.String(),
		Reason: "another master is heard: " + n.Detail, Interface: n.Interface, Peer: n.Peer.String(),
		At: d.now, Node: d.cfg.Node.Name,
	}
	for i := range d.cfg.Instances {
		if c := &d.cfg.Instances[i]; c.Name == n.Instance {
			e.Priority, e.Addresses = int(c.Priority), prefixStrings(c.Addresses)
		}
	}
	if err := d.hooks.Post(e); err != nil {
		d.log.Error("hook was not run", "instance", n.Instance, "state", e.State, "error", err)
	}
}

func prefixStrings(list []netip.Prefix) []string {
	out := make([]string, len(list))
	for n, p := range list {
		out[n] = p.String()
	}
	return out
}

// notice logs what people may have to mend.
func (d *Daemon) notice(n *vrrp.Notice) {
	if n.Kind == vrrp.NoticeRival {
		d.rival(n)
	}
	args := []any{"instance", n.Instance, "family", n.Family.String(), "interface", n.Interface}
	if n.Peer.IsValid() {
		args = append(args, "peer", n.Peer.String())
	}
	d.log.Warn(n.Kind.String(), append(args, "detail", n.Detail)...)
}

// addressReport hears from the manager what became of an order. It runs on the
// manager's goroutine.
func (d *Daemon) addressReport(rep vip.Report) {
	d.post(func() {
		switch {
		case rep.Err == nil:
		case rep.Order == vip.OrderAudit:
			d.auditFailed(rep.Interface, rep.Err)
		default:
			d.log.Warn("address order went wrong", "interface", rep.Interface, "order", rep.Order.String(), "error", rep.Err)
		}
		for _, a := range rep.Addresses {
			if rep.Order == vip.OrderRemove && a.Err != nil {
				d.log.Error("address could not be removed", "interface", rep.Interface, "address", a.Prefix.String(), "error", a.Err)
			}
		}
		serial, err := strconv.ParseUint(rep.Owner, 10, 64)
		if err != nil || rep.Order == vip.OrderAnnounce {
			return
		}
		d.step(&vrrp.AddressesChanged{Router: vrrp.RouterID{Serial: serial}, Addresses: addressStates(rep.Addresses)})
	})
}

func addressStates(list []vip.Result) []vrrp.AddressState {
	out := make([]vrrp.AddressState, len(list))
	for n, a := range list {
		out[n] = vrrp.AddressState{Address: a.Prefix, Present: a.Present, Changed: a.Changed}
		if a.Err != nil {
			out[n].Problem = a.Err.Error()
		}
	}
	return out
}

// hookDone hears how a hook ended. It runs on the goroutine of its instance.
func (d *Daemon) hookDone(o notify.Outcome) {
	d.post(func() {
		args := []any{"instance", o.Event.Instance, "state", o.Event.State, "hook", o.Hook}
		switch {
		case o.Dropped > 0:
			d.hooksDropped += uint64(o.Dropped)
			d.log.Error("hooks are too slow, events were dropped", append(args, "dropped", o.Dropped)...)
		case errors.Is(o.Err, notify.ErrLeft):
			d.log.Info("hook was cut off by the restart", append(args, "output", o.Output)...)
		case o.Err != nil:
			d.hooksFailed++
			d.log.Warn("hook failed", append(args, "error", o.Err, "output", o.Output)...)
		default:
			d.log.Debug("hook ran", append(args, "took", round(o.Duration).String())...)
		}
	})
}
