package vip

import "time"

// renewal is what turns of renewals work with, kept from one to the next: they go
// on for as long as this node serves, and make no garbage.
type renewal struct {
	changes []Change
	of      []renewed
}

// renewed says whose change one is.
type renewed struct {
	entry *entry
	order int
}

// renew carries out renewals, which are for one interface, and reports what went
// wrong, or goes well again. The caller holds m.mu.
func (m *Manager) renew(orders []order) []Report {
	iface := orders[0].iface
	l := m.links[iface]
	if l == nil {
		return nil
	}
	r := &m.renewal
	r.changes, r.of = r.changes[:0], r.of[:0]
	now := time.Now()
	during := span{from: now.Sub(m.began)}
	for i := range orders {
		o := &orders[i]
		if !now.Before(o.before) {
			continue
		}
		for _, p := range o.addrs {
			if e := l.entries[p]; e != nil && e.owned(o.owner) && e.installed {
				e.lease, e.renewal = o.lease, o.number
				r.changes = append(r.changes, Change{Verb: Renew, Address: e.address()})
				r.of = append(r.of, renewed{e, i})
			}
		}
	}
	if len(r.changes) == 0 {
		return nil
	}
	var reports []Report
	last := -1 // the order of the last report
	errs := m.kernel.Apply(iface, r.changes)
	during.to = m.now()
	for i, err := range errs {
		e, of := r.of[i].entry, r.of[i].order
		refused := e.refused
		failure := e.added(iface, err)
		if e.renewed = err == nil; e.renewed {
			e.renewedIn(during)
		}
		if failure == nil && !refused {
			continue // as it was
		}
		if of != last {
			reports = append(reports, Report{Order: OrderRenew, Owner: orders[of].owner, Interface: iface})
			last = of
		}
		to := &reports[len(reports)-1].Addresses
		*to = append(*to, Result{Prefix: e.prefix, Present: e.present(), Kept: e.foreign, Err: failure})
	}
	return reports
}
