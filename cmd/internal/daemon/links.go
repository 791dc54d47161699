package daemon

import (
	"net/netip"
	"slices"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/history"
	"github.com/holdfast-vrrp/holdfast/vip"
	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// watched takes in what became of links and addresses. The first delivery has
// all of them: what it lacks does not exist, and the daemon is ready once its journal
// has been written. Who is killed before that does not go on silently.
func (d *Daemon) watched(states []vip.LinkState) {
	for _, s := range states {
		d.links[s.Name] = s
		if s.Index == 0 {
			delete(d.links, s.Name)
		}
		d.lookElsewhere(s.Name)
	}
	if !d.synced {
		d.synced = true
		for _, name := range interfaces(d.cfg) {
			d.linkChanged(name)
		}
		d.journalNow()
		d.auditAt = d.now.Add(auditEvery)
		d.flush()
		d.becomeReady()
		return
	}
	used := map[string]bool{}
	for _, name := range interfaces(d.cfg) {
		used[name] = true
	}
	for _, s := range states {
		if used[s.Name] || d.departing(s.Name) {
			d.linkChanged(s.Name)
		}
	}
}

// watchTrouble tells that links cannot be listed, and nothing is heard of them, or
// that they can be again.
func (d *Daemon) watchTrouble(err error) {
	d.tellStatus = true
	switch {
	case err == nil:
		d.listError = ""
		d.record(history.Event{Kind: history.KindDaemon, Text: "the interfaces can be listed again"}, "interfaces can be listed again")
		return
	case d.synced:
		d.failure("interfaces cannot be listed, and what becomes of them is not seen; trying again (if 'ip address' works, restart holdfast)", err)
	default:
		d.failure("interfaces cannot be listed, and no instance starts before they can; trying again (if 'ip address' works, restart holdfast)", err)
	}
	d.listError = oneLine(err)
}

// departing reports whether an instance that a reload removed still hands over on an
// interface, which another reload may use again.
func (d *Daemon) departing(iface string) bool {
	return d.engine.Departing(iface, vrrp.IPv4) || d.engine.Departing(iface, vrrp.IPv6)
}

// linkChanged opens and closes sockets as the interface asks for, tells the
// Engine, and has the addresses compared with what should be there.
func (d *Daemon) linkChanged(iface string) {
	if d.stopping {
		return
	}
	s := d.links[iface]
	d.tellLink(iface, &s)
	d.tellPort(iface, &s)
	problem := d.ensureSockets(iface)
	ev := vrrp.Link{Name: iface, Index: s.Index, Up: s.Up, Carrier: s.Carrier, Problem: problem}
	for _, a := range s.Addresses {
		switch {
		case a.Tentative || a.Proto == vip.Proto:
		case d.isVIP(iface, a.Prefix.Addr()):
			ev.Virtual = append(ev.Virtual, a.Prefix)
		default:
			ev.Addresses = append(ev.Addresses, a.Prefix)
		}
	}
	ev.Virtual = slices.DeleteFunc(ev.Virtual, func(v netip.Prefix) bool { // or each VIP is news where the kernel keeps no mark
		return slices.ContainsFunc(ev.Addresses, func(p netip.Prefix) bool { return p.Addr().Is4() == v.Addr().Is4() })
	})
	d.step(&ev)
	if d.journalIndexes[iface] != s.Index { // else the journal has nothing new of it
		d.journalIndexes[iface] = s.Index
		d.journalChanged()
	}
	if !ev.Up || !ev.Carrier || problem != "" {
		d.tellSoon()
	}
	d.addresses.Audit(iface, s.Addresses)
}

// tellLink tells that an interface came up or went down.
func (d *Daemon) tellLink(iface string, s *vip.LinkState) {
	now, severity := "up", history.Info
	switch {
	case s.Index == 0:
		now = "missing"
	case !s.Up:
		now = "down"
	case !s.Carrier:
		now = "without carrier"
	}
	before, known := d.linkStates[iface]
	d.linkStates[iface] = now
	if before == now || !known { // how it was at the start, the instances tell
		return
	}
	if now != "up" {
		severity = history.Warning
	}
	e := history.Event{
		Kind: history.KindInterface, Severity: severity, Interface: iface, From: before, To: now,
		Text: "interface " + iface + " is " + now + ", was " + before,
	}
	d.record(e, "interface changed", "interface", iface, "from", before, "to", now)
}

// auditEvery is how often the addresses are compared with the kernel's although
// nothing was heard of a change: a notification may have been lost.
const auditEvery = 30 * time.Second

// auditAll has all addresses compared, when it is time to. The loop asks each turn
// and wakes for it: it needs no timer of its own.
func (d *Daemon) auditAll() {
	if d.stopping || d.auditAt.IsZero() || d.now.Before(d.auditAt) {
		return
	}
	d.auditAt = d.now.Add(auditEvery)
	d.tend()
	for iface := range d.links { // also those that a reload left
		d.addresses.Audit(iface, nil)
	}
}

const (
	// auditRetry is how long after an audit that could not be made the next one is.
	auditRetry = 100 * time.Millisecond
	// auditTold is how often at most people hear that audits of one interface fail.
	auditTold = time.Minute
)

// blind is what becomes of an interface whose addresses could not be compared.
type blind struct {
	retrying bool // soon
	told     time.Time
}

// auditFailed has the addresses of an interface compared again soon. However many
// audits fail meanwhile, one follows.
func (d *Daemon) auditFailed(iface string, err error) {
	b := d.blind[iface]
	if b == nil {
		b = &blind{}
		d.blind[iface] = b
	}
	if b.told.IsZero() || d.now.Sub(b.told) >= auditTold {
		b.told = d.now
		d.record(history.Event{
			Kind: history.KindAddress, Severity: history.Warning, Interface: iface, Reason: oneLine(err),
			Text: sentence(iface+": addresses could not be compared with the kernel's, trying again", err),
		}, "addresses could not be compared with the kernel's; trying again", "interface", iface, "error", err)
	}
	if b.retrying {
		return
	}
	b.retrying = true
	d.later(auditRetry, func() {
		b.retrying = false
		if _, known := d.links[iface]; !known {
			delete(d.blind, iface)
		}
		if !d.stopping {
			d.addresses.Audit(iface, nil)
		}
	})
}

// isVIP tells VIPs from the interface's own addresses where the kernel keeps no
// mark. The addresses of an owner are real.
func (d *Daemon) isVIP(iface string, a netip.Addr) bool {
	for n := range d.cfg.Instances {
		c := &d.cfg.Instances[n]
		if c.Interface != iface || c.Priority == vrrp.PriorityOwner {
			continue
		}
		for _, p := range c.Addresses {
			if p.Addr() == a {
				return true
			}
		}
	}
	return false
}
