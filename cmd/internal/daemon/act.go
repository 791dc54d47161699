package daemon

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/history"
	"github.com/holdfast-vrrp/holdfast/notify"
	"github.com/holdfast-vrrp/holdfast/vip"
	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// act carries out one action that is no advert. Nothing in here may block.
func (d *Daemon) act(a vrrp.Action) {
	switch a := a.(type) {
	case *vrrp.AddAddresses:
		d.telemetry.leased(a.Router.Serial, a.Lease, d.now)
		d.addresses.Add(d.ownerName(a.Router), a.Interface, a.Addresses, a.Lease)
	case *vrrp.RenewAddresses:
		d.telemetry.leased(a.Router.Serial, a.Lease, d.now)
		// Half a lease later somebody else may have them.
		d.addresses.Renew(d.ownerName(a.Router), a.Interface, a.Addresses, a.Lease, d.now.Add(a.Lease/2))
	case *vrrp.RemoveAddresses:
		d.addresses.Remove(d.ownerName(a.Router), a.Interface, a.Addresses)
		if !d.engine.IsMaster(a.Router) { // else a reload takes some of them
			d.journal.stamp(a.Router.Serial, 0)
			d.telemetry.released(a.Router.Serial)
			delete(d.owners, a.Router.Serial)
		}
	case *vrrp.AnnounceAddresses:
		d.addresses.Announce(d.ownerName(a.Router), a.Interface, a.Addresses, d.cfg.VIP[a.Router.Instance].ARP)
	case *vrrp.StopAnnouncing:
		d.addresses.StopAnnouncing(d.ownerName(a.Router))
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

// ownerName is what the manager of addresses knows a virtual router by. It is kept,
// for each renewal of a lease asks.
func (d *Daemon) ownerName(id vrrp.RouterID) string {
	name, ok := d.owners[id.Serial]
	if !ok {
		name = strconv.FormatUint(id.Serial, 10)
		d.owners[id.Serial] = name
	}
	return name
}

// transition tells of a change of state: one line each.
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
	}
	d.record(transitionEvent(t), "state changed", args...)
	d.told[t.Instance] = known
	d.tellStatus = true
	d.garbage.soon(d.now)
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
		d.hookNotRun(&e, err)
	}
}

func prefixStrings(list []netip.Prefix) []string {
	out := make([]string, len(list))
	for n, p := range list {
		out[n] = p.String()
	}
	return out
}

// notice tells what people may have to mend.
func (d *Daemon) notice(n *vrrp.Notice) {
	d.noticeHook(n)
	args := []any{"instance", n.Instance, "family", n.Family.String(), "interface", n.Interface}
	if n.Peer.IsValid() {
		args = append(args, "peer", n.Peer.String())
	}
	d.record(noticeEvent(n), n.Kind.String(), append(args, "detail", n.Detail)...)
}

// addressReport hears from the manager what became of an order. It runs on the
// manager's goroutine.
func (d *Daemon) addressReport(rep vip.Report) {
	d.post(func() {
		d.debugReport(&rep)
		switch {
		case rep.Err == nil:
		case rep.Order == vip.OrderAudit:
			d.telemetry.addressErrors++
			d.auditFailed(rep.Interface, rep.Err)
		default:
			d.telemetry.addressErrors++
			d.record(history.Event{
				Kind: history.KindAddress, Severity: history.Warning, Interface: rep.Interface, Reason: oneLine(rep.Err),
				Text: fmt.Sprintf("%s: to %v addresses went wrong: %s", rep.Interface, rep.Order, oneLine(rep.Err)),
			}, "address order went wrong", "interface", rep.Interface, "order", rep.Order.String(), "error", rep.Err)
		}
		for _, a := range rep.Addresses {
			if rep.Order == vip.OrderRemove && a.Err != nil {
				d.record(addressEvent(history.Error, rep.Interface, a.Prefix, fmt.Sprintf("%v could not be removed from %s: %s", a.Prefix, rep.Interface, oneLine(a.Err))),
					"address could not be removed", "interface", rep.Interface, "address", a.Prefix.String(), "error", a.Err)
			}
		}
		serial, err := strconv.ParseUint(rep.Owner, 10, 64)
		if err != nil || rep.Order == vip.OrderAnnounce {
			return
		}
		d.step(&vrrp.AddressesChanged{
			Router: vrrp.RouterID{Serial: serial}, Addresses: addressStates(rep.Addresses), Removal: rep.Order == vip.OrderRemove,
		})
	})
}

func addressStates(list []vip.Result) []vrrp.AddressState {
	out := make([]vrrp.AddressState, len(list))
	for n, a := range list {
		out[n] = vrrp.AddressState{Address: a.Prefix, Present: a.Present, Changed: a.Changed, Lapse: (*vrrp.Lapse)(a.Lapse)}
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
		e := hookEvent(&o.Event, history.Info, "%s: the hook for %s ran")
		e.Hook, e.Output, e.DurationMS = o.Hook, o.Output, float64(o.Duration.Microseconds())/1000
		switch {
		case o.Dropped > 0:
			d.hooksDropped += uint64(o.Dropped)
			e.Severity = history.Error
			e.Text = fmt.Sprintf("%s: hooks are too slow, those for %d changes were dropped", o.Event.Instance, o.Dropped)
			d.record(e, "hooks are too slow, events were dropped", append(args, "dropped", o.Dropped)...)
		case errors.Is(o.Err, notify.ErrLeft):
			d.telemetry.hooksCutOff++
			e.Text = fmt.Sprintf("%s: the hook for %s was cut off by the restart", o.Event.Instance, o.Event.State)
			d.record(e, "hook was cut off by the restart", append(args, "output", o.Output)...)
		case o.Err != nil:
			d.hooksFailed++
			e.Severity, e.Reason = history.Warning, oneLine(o.Err)
			e.Text = because(fmt.Sprintf("%s: the hook for %s failed: %s", o.Event.Instance, o.Event.State, oneLine(o.Err)), o.Output)
			d.record(e, "hook failed", append(args, "error", o.Err, "output", o.Output)...)
		default:
			d.telemetry.hooksSucceeded++
			e.Text += " in " + people(o.Duration)
			d.log.Debug("hook ran", append(args, "took", round(o.Duration).String())...)
			d.events.Record(e)
		}
	})
}
