package daemon

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
	"github.com/holdfast-vrrp/holdfast/cmd/internal/history"
	"github.com/holdfast-vrrp/holdfast/cmd/internal/logbook"
	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// errStopping is why the daemon does not answer any more.
var errStopping = errors.New("the daemon is stopping")

// backend answers the control socket. The loop only takes the snapshot; what
// costs time happens on the goroutine of the request.
type backend struct{ d *Daemon }

// ask has the loop do something, and waits for what comes of it: answer may be
// called at once or long after, on any goroutine.
func ask[T any](ctx context.Context, d *Daemon, do func(answer func(T, error))) (T, error) {
	type result struct {
		done T
		err  error
	}
	var none T
	got := make(chan result, 1)
	call := func() { do(func(done T, err error) { got <- result{done, err} }) }
	select {
	case d.calls <- call:
		d.opts.Network.Wake()
	case <-d.ended:
		return none, errStopping
	case <-ctx.Done():
		return none, ctx.Err()
	}
	select {
	case r := <-got:
		return r.done, r.err
	case <-d.ended:
		return none, errStopping
	case <-ctx.Done():
		return none, ctx.Err()
	}
}

// Status implements [control.Backend].
func (b backend) Status(ctx context.Context) (*control.Status, error) {
	return ask(ctx, b.d, b.d.tellState)
}

// Events implements [control.Backend].
func (b backend) Events() *history.History { return b.d.events }

// Logs implements [control.Backend].
func (b backend) Logs() *logbook.Book { return b.d.log.Book() }

// Reload implements [control.Backend].
func (b backend) Reload(ctx context.Context, who string) (*control.Reloaded, error) {
	return ask(ctx, b.d, func(answer func(*control.Reloaded, error)) { b.d.startReload(who, answer) })
}

// checkStatus joins what the Engine and the probes know of the checks.
func (d *Daemon) checkStatus(s *vrrp.Snapshot) []control.Check {
	since := map[string]time.Time{}
	for _, c := range s.Checks {
		since[c.Name] = c.Since
	}
	list := make([]control.Check, 0, len(d.cfg.Checks))
	for n := range d.cfg.Checks {
		name := d.cfg.Checks[n].Name
		c := control.Check{Name: name, State: "unknown"}
		if r, ok := d.results[name]; ok {
			c.State = "failing"
			if r.Healthy {
				c.State = "healthy"
			}
			c.LastDurationMS = milliseconds(r.Duration)
			c.LastOutput = r.Output
		}
		if p := d.telemetry.probes[name]; p != nil {
			c.Passed, c.Failed, c.Changes = p.passed, p.failed, p.changes
			c.Recent = p.recently()
			if last := p.last; !last.IsZero() {
				c.LastAt = &last
			}
		}
		if t, ok := since[name]; ok {
			c.Since = &t
		}
		list = append(list, c)
	}
	return list
}

// render fills in the instances.
func render(st *control.Status, s *vrrp.Snapshot) {
	st.Daemon.Dropped = map[string]uint64{}
	for _, l := range s.Links {
		addDrops(st.Daemon.Dropped, &l.Drops)
	}
	st.Instances = make([]control.Instance, 0, len(s.Instances))
	for n := range s.Instances {
		st.Instances = append(st.Instances, renderInstance(&s.Instances[n]))
	}
}

func addDrops(into map[string]uint64, d *vrrp.Drops) {
	for _, r := range vrrp.DropReasons() {
		into[r.String()] += d.Of(r)
	}
}

func renderInstance(i *vrrp.InstanceStatus) control.Instance {
	c := control.Instance{
		Name: i.Config.Name, State: i.State.String(), Since: i.Since, Reason: i.Reason,
		Interface: i.Config.Interface, VRID: int(i.Config.VRID), Group: i.Config.Group, Protocol: int(i.Config.Version),
		Priority: control.Priority{Base: int(i.Config.Priority), Effective: int(i.Effective)},
		Demoted:  i.Demoted, DemotedWhy: i.DemotedWhy, Drained: i.Drained,
		LeaseMS: i.Config.Lease.Milliseconds(), Addresses: []control.Address{}, Checks: []string{},
		Counters: control.Counters{Transitions: map[string]uint64{}, Dropped: map[string]uint64{}},
	}
	for _, r := range vrrp.Causes() {
		c.Counters.Transitions[r.String()] = i.Transitions.Of(r)
	}
	if i.Drained {
		c.Drain = &control.Drain{Since: i.Drain.Since, Persist: i.Drain.Persist, By: i.Drain.By, Why: i.Drain.Why}
		if !i.Drain.Until.IsZero() {
			c.Drain.Until = &i.Drain.Until
		}
	}
	if !i.Failover.Since.IsZero() {
		c.Failover = &control.Failover{Since: i.Failover.Since, By: i.Failover.By}
	}
	for _, k := range i.Config.Checks {
		c.Checks = append(c.Checks, k.Name)
	}
	for n := range i.Routers {
		r := &i.Routers[n]
		f := renderFamily(r)
		c.Families = append(c.Families, f)
		// The instance shows the master of the family that gives it its state.
		if c.Master == nil || r.State == i.State && c.Families[0].State != c.State {
			c.Master = f.Master
		}
		c.AdvertIntervalMS = max(c.AdvertIntervalMS, float64(r.Interval.Microseconds())/1000)
		c.HandingOver = c.HandingOver || r.HandingOver
		if !r.ConflictSince.IsZero() {
			c.ConflictWith = r.Rival.String()
			if c.ConflictSince == nil || r.ConflictSince.Before(*c.ConflictSince) {
				c.ConflictSince = &r.ConflictSince
			}
		}
		if n := renderRefused(r.Refused); n != nil && (c.Refused == nil || c.Refused.IsOwn() || !n.IsOwn() && c.Refused.At.Before(n.At)) {
			c.Refused = n
		}
		if d := r.Differs; d != nil && (c.AddressesDiffer == nil || d.Strange && !c.AddressesDiffer.Strange) {
			c.AddressesDiffer = &control.Difference{From: d.From.String(), Why: d.Why, Strange: d.Strange, At: d.At}
		}
		addCounters(&c.Counters, &r.Counters)
	}
	c.Addresses = renderAddresses(i)
	return c
}

func renderRefused(r *vrrp.Refused) *control.RefusedPacket {
	if r == nil {
		return nil
	}
	return &control.RefusedPacket{From: r.From.String(), Reason: r.Reason.String(), Why: r.Why, At: r.At}
}

// renderAddresses keeps the order of the configuration.
func renderAddresses(i *vrrp.InstanceStatus) []control.Address {
	states := map[netip.Prefix]vrrp.AddressState{}
	for n := range i.Routers {
		for _, a := range i.Routers[n].Addresses {
			states[a.Address] = a
		}
	}
	list := make([]control.Address, 0, len(states))
	for _, p := range i.Config.Addresses {
		a := states[p]
		list = append(list, control.Address{Address: p.String(), Present: a.Present, Problem: a.Problem})
	}
	return list
}

func renderFamily(r *vrrp.RouterStatus) control.Family {
	f := control.Family{Family: r.Family.String(), State: r.State.String(), Since: r.Since, Reason: r.Reason}
	if r.Source.IsValid() {
		f.Source = r.Source.String()
	}
	if r.Master.IsValid() {
		f.Master = &control.Master{
			Address: r.Master.String(), Priority: int(r.MasterPriority), Self: r.State == vrrp.StateMaster,
		}
		if !f.Master.Self {
			f.Master.LastHeard = &r.MasterHeard
		}
	}
	if !r.ConflictSince.IsZero() {
		f.ConflictWith = r.Rival.String()
	}
	return f
}

func addCounters(c *control.Counters, r *vrrp.Counters) {
	c.AdvertsSent += r.AdvertsSent
	c.AdvertsReceived += r.AdvertsReceived
	c.ReleasesSent += r.ReleasesSent
	c.ReleasesReceived += r.ReleasesReceived
	c.SendErrors += r.SendErrors
	c.BecameMaster += r.BecameMaster
	c.LeftMaster += r.LeftMaster
	c.Announcements += r.Announcements
	c.AddressesRepaired += r.AddressesRepaired
	c.AddressesLapsed += r.AddressesLapsed
	c.Rivals += r.Rivals
	addDrops(c.Dropped, &r.Dropped)
}
