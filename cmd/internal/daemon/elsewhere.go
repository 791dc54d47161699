package daemon

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
	"github.com/holdfast-vrrp/holdfast/cmd/internal/history"
	"github.com/holdfast-vrrp/holdfast/notify"
	"github.com/holdfast-vrrp/holdfast/vip"
	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// elsewhere follows VIPs that somebody has configured on another interface of
// this host as well. The host may answer for such an address there, and on any
// interface, also while another node is master. It belongs to somebody else and
// is not touched: people are told. So are those on the instance's own interface,
// such as keepalived leaves behind when it is killed, while this node is not master.
type elsewhere struct {
	// owners are the instances of the VIPs, each of which has one. Link-local
	// addresses, which may be on several interfaces, are none of these.
	owners map[netip.Addr]*vrrp.Config
	// found has since when a VIP is on which interface, by somebody else.
	found   map[string]map[netip.Addr]time.Time
	counted map[string]uint64 // by instance
}

// setOwners takes the VIPs from the configuration, and looks everywhere anew.
func (d *Daemon) setOwners() {
	e := &d.elsewhere
	if clear(e.owners); e.owners == nil {
		e.owners = make(map[netip.Addr]*vrrp.Config, len(d.cfg.Instances))
	}
	for n := range d.cfg.Instances {
		c := &d.cfg.Instances[n]
		for _, p := range c.Addresses {
			if !p.Addr().IsLinkLocalUnicast() {
				e.owners[p.Addr()] = c
			}
		}
	}
	if len(e.counted) > 0 {
		configured := d.configuredNames()
		maps.DeleteFunc(e.counted, func(name string, _ uint64) bool { return !configured[name] })
	}
	for iface := range d.links {
		d.lookElsewhere(iface)
	}
}

// lookElsewhere compares the addresses of an interface with the VIPs of others.
func (d *Daemon) lookElsewhere(iface string) {
	e := &d.elsewhere
	before, marked := e.found[iface], d.marksAddresses()
	now, fresh := map[netip.Addr]time.Time{}, map[*vrrp.Config][]string{}
	for _, a := range d.links[iface].Addresses {
		if a.Proto == vip.Proto {
			continue
		}
		addr := a.Prefix.Addr()
		owner := e.owners[addr]
		onOwn := owner != nil && owner.Interface == iface
		if owner == nil || onOwn && (!marked || owner.Priority == vrrp.PriorityOwner) {
			continue
		}
		since, known := before[addr]
		if !known {
			since = d.now
		}
		if !known && !(onOwn && d.holds(owner, addr)) {
			fresh[owner] = append(fresh[owner], addr.String())
		}
		now[addr] = since
	}
	for owner, list := range fresh {
		d.foundElsewhere(iface, owner, list)
	}
	gone := 0
	for addr := range before {
		if _, still := now[addr]; !still {
			gone++
		}
	}
	if gone > 0 {
		d.record(history.Event{
			Kind: history.KindAddress, Interface: iface,
			Text: fmt.Sprintf("%s: virtual addresses that were there as well are gone (%d)", iface, gone),
		}, "virtual addresses that somebody else put there are gone", "other", iface, "count", gone)
	}
	if e.found == nil {
		e.found = map[string]map[netip.Addr]time.Time{}
	}
	if e.found[iface] = now; len(now) == 0 {
		delete(e.found, iface)
	}
}

// marksAddresses reports whether the kernel notes who configured an address, as
// Linux 5.18 and later do: it marks its own 127.0.0.1, for one.
func (d *Daemon) marksAddresses() bool {
	for _, l := range d.links {
		if slices.ContainsFunc(l.Addresses, func(a vip.LinkAddress) bool { return a.Proto != 0 }) {
			return true
		}
	}
	return false
}

// holds reports whether this node has an address as the master, or still has it
// for its successor: nobody minds then who put it there.
func (d *Daemon) holds(owner *vrrp.Config, addr netip.Addr) bool {
	s, _ := d.engine.Standing(vrrp.RouterID{Instance: owner.Name, Family: vrrp.FamilyOf(addr)})
	return s.State == vrrp.StateMaster || s.HandingOver
}

// foundElsewhere tells that VIPs of an instance are on another interface as well.
func (d *Daemon) foundElsewhere(iface string, owner *vrrp.Config, list []string) {
	if d.elsewhere.counted == nil {
		d.elsewhere.counted = map[string]uint64{}
	}
	d.elsewhere.counted[owner.Name] += uint64(len(list))
	if iface == owner.Interface {
		d.foundOnOwn(owner, list)
		return
	}
	d.record(history.Event{
		Kind: history.KindAddress, Severity: history.Warning, Instance: owner.Name, Interface: owner.Interface, Addresses: list,
		Text: fmt.Sprintf("%s: %s also on %s, where this host may answer for it", owner.Name, few(list), iface),
	}, "a virtual address is on another interface as well, where this host may answer for it",
		"instance", owner.Name, "interface", owner.Interface, "other", iface, "addresses", few(list))
	d.occasion(notify.StateAddress, named(owner.Name), func(e *notify.Event) {
		e.Change, e.Reason = notify.ChangeElsewhere, few(list)+" also on "+iface+", where this host may answer for it"
	})
}

// foundOnOwn tells that somebody has put VIPs of an instance on its own interface
// while this node is not master.
func (d *Daemon) foundOnOwn(owner *vrrp.Config, list []string) {
	what := few(list) + " on " + owner.Interface + " by somebody else, and this host answers for it although it is not master"
	d.record(history.Event{
		Kind: history.KindAddress, Severity: history.Warning, Instance: owner.Name, Interface: owner.Interface, Addresses: list,
		Text: owner.Name + ": " + what,
	}, "somebody else has put a virtual address on the interface, and this host answers for it although it is not master",
		"instance", owner.Name, "interface", owner.Interface, "addresses", few(list))
	d.occasion(notify.StateAddress, named(owner.Name), func(e *notify.Event) {
		e.Change, e.Reason = notify.ChangeElsewhere, what
	})
}

// few renders a list of any length short.
func few(list []string) string {
	if len(list) > 5 {
		return fmt.Sprintf("%s and %d more", strings.Join(list[:5], " "), len(list)-5)
	}
	return strings.Join(list, " ")
}

// elsewhereStatus tells for each instance what is elsewhere, and how often that was.
func (d *Daemon) elsewhereStatus() (list map[string][]control.Elsewhere, counted map[string]uint64) {
	e := &d.elsewhere
	list, counted = map[string][]control.Elsewhere{}, map[string]uint64{}
	for iface, found := range e.found {
		for addr, since := range found {
			if o := e.owners[addr]; o != nil && (o.Interface != iface || !d.holds(o, addr)) {
				list[o.Name] = append(list[o.Name], control.Elsewhere{Address: addr.String(), Interface: iface, Since: since})
			}
		}
	}
	for name := range list {
		slices.SortFunc(list[name], func(a, b control.Elsewhere) int {
			return strings.Compare(a.Interface+" "+a.Address, b.Interface+" "+b.Address)
		})
	}
	for name, n := range e.counted {
		counted[name] = n
	}
	return list, counted
}
