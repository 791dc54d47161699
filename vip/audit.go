package vip

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
)

// Audit compares the addresses that an interface was just seen to have with
// those that owners hold there. What is missing is looked up once more, when no
// other order for the interface is left, so that a change of our own is not
// mistaken for somebody else's; what is missing then is reported to each owner
// with [OrderAudit]. Nothing is put back: that is for the owner to decide.
func (m *Manager) Audit(iface string, seen []netip.Prefix) {
	m.queue.put(order{kind: OrderAudit, iface: iface, addrs: slices.Clone(seen)})
}

// audit reports what owners hold and the kernel does not have.
func (t *turn) audit(seen []netip.Prefix) []Report {
	for _, e := range t.link.entries { // what could not be removed when its owner let go
		if e.installed && len(e.owners) == 0 {
			t.change(e, Remove)
		}
	}
	t.commit()
	missing := t.missing(seen)
	if len(missing) == 0 {
		return nil
	}
	present, err := t.m.kernel.Addresses()
	if err != nil {
		return []Report{{Order: OrderAudit, Interface: t.iface, Err: fmt.Errorf("cannot list addresses: %w", err)}}
	}
	var now []netip.Prefix
	for _, p := range present {
		if p.Interface == t.iface {
			now = append(now, p.Prefix)
		}
	}
	lost := map[string][]Result{}
	for _, e := range t.missing(now) {
		// It may have gone with its interface to another name.
		e.lost = e.lost || e.installed
		e.installed, e.foreign = false, false
		for owner := range e.owners {
			lost[owner] = append(lost[owner], Result{Prefix: e.prefix})
		}
	}
	var reports []Report
	for _, owner := range slices.Sorted(maps.Keys(lost)) {
		slices.SortFunc(lost[owner], func(a, b Result) int { return a.Prefix.Compare(b.Prefix) })
		reports = append(reports, Report{Order: OrderAudit, Owner: owner, Interface: t.iface, Addresses: lost[owner]})
	}
	return reports
}

// missing lists the held entries that are not among the prefixes.
func (t *turn) missing(seen []netip.Prefix) []*entry {
	has := make(map[netip.Prefix]bool, len(seen))
	for _, p := range seen {
		has[identity(p)] = true
	}
	var list []*entry
	for _, e := range t.link.entries {
		if e.present() && len(e.owners) > 0 && !has[identity(e.prefix)] {
			list = append(list, e)
		}
	}
	return list
}
