package daemon

import (
	"slices"

	"github.com/holdfast-vrrp/holdfast/healthcheck"
	"github.com/holdfast-vrrp/holdfast/notify"
	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// occasion queues the hooks that want to hear of something that is no change of
// state. fill is given what is known of the instance.
func (d *Daemon) occasion(what string, concerns func(*vrrp.Config) bool, fill func(*notify.Event)) {
	if !slices.ContainsFunc(d.cfg.Hooks, func(h notify.Config) bool { return slices.Contains(h.On, what) }) {
		return
	}
	list := d.engine.Select(d.now, concerns)
	for n := range list {
		i := &list[n]
		e := notify.Event{
			Instance: i.Config.Name, State: what, Previous: i.State.String(), Priority: int(i.Effective),
			Addresses: prefixStrings(i.Config.Addresses), Interface: i.Config.Interface, At: d.now, Node: d.cfg.Node.Name,
		}
		fill(&e)
		if err := d.hooks.Post(e); err != nil {
			d.hookNotRun(&e, err)
		}
	}
}

// named concerns one instance.
func named(name string) func(*vrrp.Config) bool {
	return func(c *vrrp.Config) bool { return c.Name == name }
}

// noticeHook queues the hooks that want to hear of another master, or of what
// became of an address.
func (d *Daemon) noticeHook(n *vrrp.Notice) {
	what, change := notify.StateAddress, ""
	switch n.Kind {
	case vrrp.NoticeRival:
		what = notify.StateRival
	case vrrp.NoticeAddressRepaired, vrrp.NoticeAddressChanged, vrrp.NoticeAddressLapsed, vrrp.NoticeAddressGone:
		change = notify.ChangeRepaired
	case vrrp.NoticeAddressFailed:
		change = notify.ChangeRefused
	default:
		return
	}
	d.occasion(what, named(n.Instance), func(e *notify.Event) {
		e.Change, e.Reason = change, n.Kind.String()+": "+n.Detail
		if n.Peer.IsValid() {
			e.Peer = n.Peer.String()
		}
	})
}

// checkHook queues the hooks that want to hear of a check that has another state,
// for each instance that uses it. It comes before what follows from that.
func (d *Daemon) checkHook(r healthcheck.Result, first bool) {
	change := notify.ChangeFailing
	if r.Healthy {
		if first {
			return // as was hoped
		}
		change = notify.ChangeHealthy
	}
	uses := func(c *vrrp.Config) bool {
		return slices.ContainsFunc(c.Checks, func(k vrrp.Check) bool { return k.Name == r.Check })
	}
	d.occasion(notify.StateCheck, uses, func(e *notify.Event) {
		e.Check, e.Change, e.Reason = r.Check, change, checkEvent(r).Text
	})
}
