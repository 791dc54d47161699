package vip

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// turn is the work of carrying out some orders for one interface. Changes are
// collected, and committed in one exchange with the kernel as late as possible.
type turn struct {
	m     *Manager
	iface string
	link  *link

	changes []Change
	of      []*entry // the entry of each change
	// doubtful are entries to remove that we do not know to be there: they may
	// be of an earlier run, or somebody else's.
	doubtful []*entry
	// results waits for the commit, and during is when that asked the kernel last.
	results []result
	during  span

	joins    bool             // an address joins a network, and its setting was not looked at
	failed   map[*entry]error // why the last change of an entry failed
	settings []error          // what went wrong beside the addresses
}

// result says what to fill in once the entry's changes are carried out.
type result struct {
	kind  Order
	entry *entry
	to    *Result
}

// newTurn begins a turn in the place of the one before: while a large set is taken over,
// each has a handful of others behind it.
func (m *Manager) newTurn(iface string) *turn {
	l := m.links[iface]
	if l == nil {
		l = &link{entries: map[netip.Prefix]*entry{}}
		m.links[iface] = l
	}
	t := &m.last
	*t = turn{m: m, iface: iface, link: l, changes: t.changes, of: t.of, doubtful: t.doubtful, results: t.results}
	return t
}

// newReports returns those of orders, to be filled in.
func newReports(orders []order) []Report {
	reports := make([]Report, len(orders))
	for i, o := range orders {
		reports[i] = Report{Order: o.kind, Owner: o.owner, Interface: o.iface}
	}
	return reports
}

// turn carries out orders, which are for one interface, and reports on them. What
// the sender is left with it reports.
func (m *Manager) turn(orders []order) []Report {
	if len(orders) == 0 {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if orders[0].kind == OrderRenew { // then all are
		return m.renew(orders)
	}
	t := m.newTurn(orders[0].iface)
	if whole := orders[0].whole; len(t.link.entries) == 0 && whole > 0 {
		t.link.entries = make(map[netip.Prefix]*entry, whole) // or it grows while others wait
	}
	beside := announcedBeside(orders)
	t.startAnnouncing(orders[:beside])
	orders = orders[beside:]
	reports := newReports(orders)
	for i, o := range orders {
		if o.kind == OrderAnnounce || o.kind == OrderAudit {
			continue
		}
		reports[i].Addresses = make([]Result, len(o.addrs))
		for j := range o.addrs {
			if o.kind == OrderRemove {
				// Last in, first out: whenever the first address of a network goes,
				// the kernel sets up all others anew.
				j = len(o.addrs) - 1 - j
			}
			reports[i].Addresses[j].Prefix = o.addrs[j]
			t.plan(&o, o.addrs[j], &reports[i].Addresses[j])
		}
	}
	t.commit()
	t.announceNow(orders, reports)
	if t.link.serves() {
		t.promoteSecondaries()
	}
	for i := range reports {
		if reports[i].Order == OrderAdd || reports[i].Order == OrderRemove {
			reports[i].Err = errors.Join(t.settings...)
		}
	}
	for _, o := range orders {
		if o.kind == OrderRemove {
			m.queue.forget(o.owner)
		}
		if o.kind == OrderAudit {
			reports = append(reports, t.audit(&o)...)
		}
	}
	reports = slices.DeleteFunc(reports, Report.idle)
	if len(t.link.entries) == 0 && t.link.promote == "" {
		delete(m.links, t.iface)
	}
	return reports
}

// plan notes what an order means for one address.
func (t *turn) plan(o *order, p netip.Prefix, to *Result) {
	e := t.link.entries[p]
	if e != nil && e.pending {
		t.commit() // what to do depends on what comes of the earlier change
		e = t.link.entries[p]
	}
	if e == nil {
		e = &entry{prefix: p}
		t.link.entries[p] = e
	}
	t.results = append(t.results, result{o.kind, e, to})
	if o.kind == OrderAdd {
		if !e.owned(o.owner) {
			e.own(o.owner)
		}
		was := e.lease
		if o.number >= e.renewal { // else a later renewal has passed it
			e.lease = o.lease
		}
		if e.installed && (e.lease != was || e.refused) {
			t.change(e, Replace)
			return
		}
		// Also when we think that it is there: somebody may have removed it.
		t.change(e, Create)
		return
	}
	e.owners = slices.DeleteFunc(e.owners, func(owner string) bool { return owner == o.owner })
	switch {
	case len(e.owners) > 0 || e.foreign:
	case e.installed:
		t.change(e, Remove)
	default:
		t.doubt(e)
	}
}

func (t *turn) doubt(e *entry) {
	t.doubtful = append(t.doubtful, e)
	e.pending = true
}

func (e *entry) address() Address { return Address{Prefix: e.prefix, ValidLifetime: e.lease} }

func (t *turn) change(e *entry, v Verb) {
	t.changes = append(t.changes, Change{Verb: v, Address: e.address()})
	t.of = append(t.of, e)
	e.pending = true
}

// commit carries out what was planned, and fills in the results.
func (t *turn) commit() {
	t.joins = t.joins || slices.ContainsFunc(t.changes, joinsNetwork)
	if len(t.doubtful) > 0 || slices.ContainsFunc(t.changes, removes) {
		t.promoteSecondaries()
	}
	doubtful := t.doubtful
	var lost []netip.Prefix // not where we put them
	for _, e := range doubtful {
		if e.lost {
			lost = append(lost, e.prefix)
		}
	}
	for i, err := range t.apply(t.changes) {
		e := t.of[i]
		delete(t.failed, e)
		switch verb := t.changes[i].Verb; {
		case verb == Remove:
			if errors.Is(err, ErrNoInterface) {
				lost = append(lost, e.prefix)
			}
			t.removed(e, err)
		case errors.Is(err, ErrExists) && e.installed:
		case errors.Is(err, ErrExists):
			doubtful = append(doubtful, e)
		default:
			t.added(e, err)
			e.renewed = false
		}
	}
	if len(doubtful) > 0 {
		t.resolve(doubtful)
	}
	if len(lost) > 0 {
		t.follow(lost)
	}
	t.finish()
}

// apply passes changes to the kernel, if there are any.
func (t *turn) apply(changes []Change) []error {
	if len(changes) == 0 {
		return nil
	}
	t.during.from = t.m.now()
	defer func() { t.during.to = t.m.now() }()
	return t.m.kernel.Apply(t.iface, changes)
}

// added notes what came of adding e.
func (t *turn) added(e *entry, err error) {
	if err = e.added(t.iface, err); err != nil {
		t.fail(e, err)
		return
	}
	e.taken, e.back = taken{e.lease, t.during}, nil
}

// added notes what came of adding or renewing the entry, and makes an error for
// people of it.
func (e *entry) added(iface string, err error) error {
	if err == nil {
		e.installed, e.foreign, e.lost, e.refused = true, false, false, false
		return nil
	}
	e.refused = true
	if errors.Is(err, ErrNoInterface) {
		e.installed, e.foreign = false, false
	}
	return fmt.Errorf("cannot add %v to %s: %w", e.prefix, iface, err)
}

// removed notes what came of removing e.
func (t *turn) removed(e *entry, err error) {
	if err = removeError(t.iface, e.prefix, err); err != nil {
		t.fail(e, err)
		return
	}
	e.installed = false
}

func (t *turn) fail(e *entry, err error) {
	if t.failed == nil {
		t.failed = map[*entry]error{}
	}
	t.failed[e] = err
}

// removeError makes an error for people of err, and nil of one that says that
// there is nothing to remove.
func removeError(iface string, p netip.Prefix, err error) error {
	if err == nil || errors.Is(err, ErrNotFound) || errors.Is(err, ErrNoInterface) {
		return nil
	}
	return fmt.Errorf("cannot remove %v from %s: %w", p, iface, err)
}

// resolve looks up who configured the doubtful addresses, and does with each
// what its owners want: an address that carries our mark is taken over or
// removed, one that does not is left alone.
func (t *turn) resolve(doubtful []*entry) {
	present, err := t.m.kernel.Addresses(t.iface)
	if err != nil {
		for _, e := range doubtful {
			t.fail(e, fmt.Errorf("cannot list addresses to find %v on %s: %w", e.prefix, t.iface, err))
		}
		return
	}
	found := map[netip.Addr][]Present{}
	for _, p := range present {
		found[p.Prefix.Addr()] = append(found[p.Prefix.Addr()], p)
	}
	var changes []Change
	var of []*entry
	for _, e := range doubtful {
		for _, c := range e.settle(found[e.prefix.Addr()]) {
			changes, of = append(changes, c), append(of, e)
		}
	}
	for i, err := range t.apply(changes) {
		switch e := of[i]; {
		case changes[i].Verb != Remove:
			t.added(e, err)
		case len(e.owners) == 0:
			t.removed(e, err)
		}
		// Removing another length to make room shows in the addition.
	}
}

// settle decides about an entry, given the addresses of the interface that
// look like it.
func (e *entry) settle(present []Present) []Change {
	wanted := len(e.owners) > 0
	add := func(v Verb) Change { return Change{Verb: v, Address: e.address()} }
	i := slices.IndexFunc(present, func(p Present) bool { return sameAddress(p.Prefix, e.prefix) })
	switch {
	case i < 0 && wanted:
		return []Change{add(Create)} // it lapsed between the two exchanges
	case i < 0:
		return nil
	case !present[i].Ours() && wanted && e.lost: // ours, and made anew by somebody
		return []Change{add(Replace)}
	case !present[i].Ours():
		e.foreign = true
		return nil
	case present[i].Prefix == e.prefix && wanted:
		e.installed, e.foreign, e.lost = true, false, false // also when it cannot be renewed now
		return []Change{add(Replace)}
	case present[i].Prefix == e.prefix:
		return []Change{add(Remove)}
	case wanted: // IPv6: ours with another length
		old := Change{Verb: Remove, Address: Address{Prefix: present[i].Prefix}}
		return []Change{old, add(Create)}
	}
	return nil
}

// follow removes addresses from wherever they are when they are not where we
// put them: after an interface was renamed they are on it still.
func (t *turn) follow(lost []netip.Prefix) {
	present, err := t.m.kernel.Addresses("")
	if err != nil {
		t.settings = append(t.settings, fmt.Errorf("cannot list addresses: %w", err))
		return
	}
	_, err = t.m.clean(present, func(p Present) bool { return !slices.Contains(lost, p.Prefix) })
	if err != nil {
		t.settings = append(t.settings, err)
	}
}

// finish fills in the results, and forgets what nobody wants and is not there.
func (t *turn) finish() {
	for _, r := range t.results {
		if r.entry.pending {
			r.to.Err = t.failed[r.entry]
		}
		if r.kind != OrderRemove {
			r.to.Present, r.to.Kept = r.entry.present(), r.entry.foreign
			continue
		}
		r.to.Present = r.to.Err != nil && r.entry.installed
		r.to.Kept = r.entry.foreign || len(r.entry.owners) > 0 && r.entry.present()
	}
	for _, list := range [...][]*entry{t.of, t.doubtful} {
		for _, e := range list {
			e.pending = false
			t.forget(e)
		}
	}
	for _, r := range t.results {
		t.forget(r.entry)
	}
	t.changes, t.of, t.doubtful, t.results = again(t.changes), again(t.of), again(t.doubtful), again(t.results)
	t.restoreSecondaries()
}

// again empties a list for the next, unless it had more than is needed as a rule.
func again[E any](list []E) []E {
	if cap(list) > keepRoom {
		return nil
	}
	clear(list[:cap(list)]) // of what it would keep alive, also what was appended for a while
	return list[:0]
}

func (t *turn) forget(e *entry) {
	if len(e.owners) == 0 && !e.installed {
		delete(t.link.entries, e.prefix)
	}
}
