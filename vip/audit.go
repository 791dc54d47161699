package vip

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
)

// Audit compares the addresses that an interface was just seen to have with
// those that owners hold there. What is missing is looked up once more, when no
// other order for the interface is left, so that a change of our own is not
// mistaken for somebody else's; what is missing then is reported to each owner
// with [OrderAudit], and with what is known of its lease; so is what a late renewal
// has brought back. That is not put back: the owner decides. What is there but has
// lost our mark was changed by somebody, and is made again what it was.
func (m *Manager) Audit(iface string, seen []LinkAddress) {
	m.queue.put(order{kind: OrderAudit, iface: iface, seen: slices.Clone(seen)})
}

// audit reports what owners hold and the kernel does not have, or had otherwise.
func (t *turn) audit(o *order) []Report {
	seen := o.seen
	for _, e := range t.link.entries { // what could not be removed when its owner let go
		if e.installed && len(e.owners) == 0 {
			t.change(e, Remove)
		}
	}
	t.commit()
	found := map[string][]Result{} // by owner
	t.setRight(seen, found)
	if len(t.missing(seen)) == 0 {
		t.returned(o.ever, found)
		return t.audited(found)
	}
	present, err := t.m.kernel.Addresses(t.iface)
	if err != nil && seen != nil { // there is no better look
		t.believe(seen, found, false)
	}
	if err != nil {
		return append(t.audited(found), Report{Order: OrderAudit, Interface: t.iface, Err: fmt.Errorf("cannot list addresses: %w", err)})
	}
	var now []LinkAddress
	for _, p := range present {
		now = append(now, LinkAddress{Prefix: p.Prefix, Proto: p.Proto})
	}
	t.believe(now, found, true)
	t.returned(o.ever, found)
	if seen == nil { // else that was done, perhaps by what is not so any more
		t.setRight(now, found)
	} else {
		t.returned(seen, found)
		t.show(seen)
	}
	return t.audited(found)
}

// show makes what is there, and was not seen, be heard of. An address that was
// gone may have come back by a renewal, which who watches the interfaces does not
// hear: nor would he of the next time it goes.
func (t *turn) show(seen []LinkAddress) {
	for _, e := range t.missing(seen) {
		if e.renewed && e.installed && e.prefix.Addr().Is4() {
			t.change(e, Replace)
		}
	}
	t.commit()
}

// returned tells of what was not seen, and is there: a late renewal brought it back.
func (t *turn) returned(seen []LinkAddress, found map[string][]Result) {
	if seen == nil {
		return
	}
	for _, e := range t.missing(seen) {
		if lapse := e.returned(t.m.now()); e.installed && lapse != nil {
			e.tell(found, Result{Prefix: e.prefix, Present: true, Lapse: lapse})
		}
	}
}

// tell has the owners of an entry hear what was found.
func (e *entry) tell(found map[string][]Result, r Result) {
	for _, owner := range e.owners {
		found[owner] = append(found[owner], r)
	}
}

// believe takes what was seen, just now or nobody knows when, for what there is: who
// adds again what is there after all does no harm.
func (t *turn) believe(seen []LinkAddress, found map[string][]Result, justNow bool) {
	at := t.m.now()
	for _, e := range t.missing(seen) {
		r := Result{Prefix: e.prefix}
		if e.installed {
			r.Lapse = cmp.Or(e.returned(at), e.taken.lapsed(at))
		}
		if r.Lapse != nil && !justNow {
			r.Lapse.Least = 0
		}
		// It may have gone with its interface to another name.
		e.lost = e.lost || e.installed
		e.installed, e.foreign = false, false
		e.tell(found, r)
	}
}

// setRight makes what somebody has changed what it was.
func (t *turn) setRight(seen []LinkAddress, found map[string][]Result) {
	changed := t.changed(seen)
	for _, e := range changed {
		t.change(e, Replace)
	}
	t.commit()
	for _, e := range changed {
		e.tell(found, Result{Prefix: e.prefix, Present: e.present(), Changed: true, Err: t.failed[e]})
	}
}

// audited makes the reports of what was found.
func (t *turn) audited(found map[string][]Result) (reports []Report) {
	for _, owner := range slices.Sorted(maps.Keys(found)) {
		slices.SortFunc(found[owner], func(a, b Result) int { return a.Prefix.Compare(b.Prefix) })
		reports = append(reports, Report{Order: OrderAudit, Owner: owner, Interface: t.iface, Addresses: found[owner]})
	}
	return reports
}

// changed lists the entries that we put there and that were seen without our
// mark. Kernels that keep no mark never show one.
func (t *turn) changed(seen []LinkAddress) (list []*entry) {
	for _, a := range seen {
		switch e := t.link.entries[a.Prefix]; {
		case e == nil || !e.installed || len(e.owners) == 0:
		case a.Proto == Proto:
			e.marked = true
		case e.marked:
			list = append(list, e)
		}
	}
	return list
}

// missing lists the held entries that are not among the addresses.
func (t *turn) missing(seen []LinkAddress) []*entry {
	has := make(map[netip.Prefix]bool, len(seen))
	for _, a := range seen {
		has[identity(a.Prefix)] = true
	}
	var list []*entry
	for _, e := range t.link.entries {
		if e.present() && len(e.owners) > 0 && !has[identity(e.prefix)] {
			list = append(list, e)
		}
	}
	return list
}
