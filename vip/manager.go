// Package vip puts virtual addresses on interfaces, takes them off again and
// tells the network about them.
//
// A [Manager] carries out orders one after the other on a goroutine of its own,
// through a [Kernel]; Watch reports what becomes of links and addresses. Every
// address that the package installs carries the mark [Proto]. Addresses that
// somebody else configured are never changed and never removed.
package vip

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Manager holds the addresses of all owners. An address may have several
// owners, as when a reload moves it from one to the other: it is taken off when
// the last one lets go.
//
// Add, Remove and Announce only queue an order; they never block, and may be
// called from any goroutine. The orders of one owner and those for one
// interface are carried out in the order in which they were given; orders for
// other interfaces are not held up by a backlog. Renewals pass all others. Large
// orders are carried out in slices, each with a report of its own, and slices of
// an addition are mixed with those of the announcement that follows it, so that
// each address is announced as soon as it is there.
type Manager struct {
	kernel Kernel
	report func(Report)
	queue  *queue
	sender *sender
	began  time.Time     // what is noted of times is since then
	done   chan struct{} // closed when Run returns
	result error         // what Run returned

	mu      sync.Mutex // held for a turn
	links   map[string]*link
	last    turn // the one under way or before
	renewal renewal
}

// link is what the manager did to one interface.
type link struct {
	entries map[netip.Prefix]*entry
	// promote is the value of promote_secondaries to restore, empty when it
	// was not changed.
	promote string
}

// entry is an address that somebody wants, or that could not be removed.
type entry struct {
	prefix netip.Prefix
	owners []string  // one but for a while, so no map
	first  [1]string // the place of that one
	// lease is how long the kernel keeps the address; 0 is for ever. renewal is the
	// number of the last renewal: orders given before it have passed.
	lease   time.Duration
	renewal uint64
	// taken is the lease that the kernel took last. back is set by a renewal that was
	// so late that the address may have been gone before.
	taken taken
	back  *cameBack
	// installed is set when the address is on the interface because of us,
	// foreign when it is there because of somebody else.
	installed, foreign bool
	// lost is set when it was installed and then not found on the interface,
	// marked once our mark was seen on it.
	lost, marked bool
	// pending is set while a change of it has not been carried out.
	pending bool
	// refused is set while the kernel refuses to add or renew it.
	refused bool
	// renewed is set once it was renewed, which may have brought it back unheard
	// by who watches the interfaces.
	renewed bool
}

func (e *entry) present() bool { return e.installed || e.foreign }

func (e *entry) owned(by string) bool { return slices.Contains(e.owners, by) }

// own notes one more owner.
func (e *entry) own(by string) {
	if len(e.owners) == 0 {
		e.owners = e.first[:0]
	}
	e.owners = append(e.owners, by)
}

// NewManager returns a Manager that works once Run is called. report, when not
// nil, gets a Report for each order or slice of one, except renewals and audits
// that found all in order, on Run's goroutine. Orders wait while it blocks; it must not wait for
// the Manager, nor call Close or CleanLeftovers.
func NewManager(k Kernel, report func(Report)) *Manager {
	if report == nil {
		report = func(Report) {}
	}
	return &Manager{kernel: k, report: report, queue: newQueue(), sender: newSender(), began: time.Now(), done: make(chan struct{}), links: map[string]*link{}}
}

// Add puts addresses on an interface, in the name of owner. Those that are
// there already stay without a gap. With a lease, in whole seconds, the kernel
// removes them unless they are renewed; 0 is for none.
func (m *Manager) Add(owner, iface string, addrs []netip.Prefix, lease time.Duration) {
	m.queue.put(order{kind: OrderAdd, owner: owner, iface: iface, addrs: slices.Clone(addrs), lease: lease})
}

// Renew starts the lease of addresses that owner holds anew, unless that could
// only happen after the time given: a process that was stopped in between must
// not bring addresses back that another host has taken over. There is a report
// only of what went wrong, and once when it goes well again. The list is kept, and
// must not change from now on.
func (m *Manager) Renew(owner, iface string, addrs []netip.Prefix, lease time.Duration, before time.Time) {
	m.queue.put(order{kind: OrderRenew, owner: owner, iface: iface, addrs: addrs, lease: lease, before: before})
}

// Remove lets go of addresses in the name of owner, and takes those off that
// nobody else holds. Addresses that are gone already are no error.
func (m *Manager) Remove(owner, iface string, addrs []netip.Prefix) {
	m.queue.put(order{kind: OrderRemove, owner: owner, iface: iface, addrs: slices.Clone(addrs)})
}

// Announce sends one gratuitous ARP or unsolicited neighbour advertisement an
// address, after earlier orders were carried out. Addresses that owner does not
// hold by then, or that are not on the interface, are left out.
func (m *Manager) Announce(owner, iface string, addrs []netip.Prefix, arp ARPForm) {
	m.queue.put(order{kind: OrderAnnounce, owner: owner, iface: iface, addrs: slices.Clone(addrs), arp: arp})
}

// StopAnnouncing takes back the announcements of owner that were ordered and are
// not sent yet. They may wait for a kernel that is busy, and must not come after
// those of the host that has the addresses now.
func (m *Manager) StopAnnouncing(owner string) { m.queue.hush(owner) }

// Run carries out orders until ctx is done, and then returns its error at once
// and leaves everything as it is; or until Close, and then removes all that it
// installed and returns what could not be restored. It may be called once.
func (m *Manager) Run(ctx context.Context) error {
	defer close(m.done)
	defer m.sender.wait()
	for {
		select {
		case <-ctx.Done():
		case <-m.sender.ready:
		case <-m.queue.ready:
		}
		if m.result = ctx.Err(); m.result != nil { // others may have been ready
			return m.result
		}
		orders, closed := m.queue.take()
		if closed {
			m.sender.wait()
			m.tell(nil)
			m.result = m.restore()
			return m.result
		}
		m.tell(m.turn(orders))
	}
}

// tell reports what the sender did, and then what a turn did.
func (m *Manager) tell(turn []Report) {
	for _, r := range m.sender.reports() {
		m.report(r)
	}
	for _, r := range turn {
		m.report(r)
	}
}

// Close carries out what is queued, then takes off every address that the
// Manager installed, restores the settings that it changed, and returns what
// could not be done. Orders given after Close are ignored. When Run was
// stopped before, Close returns its error; when ctx ends first, that of ctx.
func (m *Manager) Close(ctx context.Context) error {
	m.queue.close()
	select {
	case <-m.done:
		return m.result
	case <-ctx.Done():
		return fmt.Errorf("addresses were not all removed: %w", ctx.Err())
	}
}

// CleanLeftovers removes the addresses of an earlier run: those that carry our
// mark, that no owner holds, and that keep (unless nil) does not want to keep. It
// returns those it removed. Call it at the start, before or while Run runs.
func (m *Manager) CleanLeftovers(keep func(Present) bool) ([]Present, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	present, err := m.kernel.Addresses("")
	if err != nil {
		return nil, fmt.Errorf("cannot list addresses: %w", err)
	}
	return m.clean(present, func(p Present) bool { return keep != nil && keep(p) })
}

// clean removes from the interfaces what of present is ours and wanted neither
// by an owner nor by keep.
func (m *Manager) clean(present []Present, keep func(Present) bool) (removed []Present, err error) {
	left := map[string][]Present{}
	for _, p := range present {
		if p.Ours() && !m.wanted(p) && !keep(p) {
			left[p.Interface] = append(left[p.Interface], p)
		}
	}
	var errs []error
	for _, iface := range slices.Sorted(maps.Keys(left)) {
		changes := make([]Change, len(left[iface]))
		for i, p := range left[iface] {
			changes[i] = Change{Verb: Remove, Address: Address{Prefix: p.Prefix}}
		}
		for i, err := range m.kernel.Apply(iface, changes) {
			if err = removeError(iface, changes[i].Address.Prefix, err); err != nil {
				errs = append(errs, err)
				continue
			}
			removed = append(removed, left[iface][i])
		}
	}
	return removed, errors.Join(errs...)
}

// wanted reports whether an owner holds p.
func (m *Manager) wanted(p Present) bool {
	l := m.links[p.Interface]
	if l == nil {
		return false
	}
	e := l.entries[p.Prefix]
	return e != nil && len(e.owners) > 0
}

// restore undoes everything, at the end.
func (m *Manager) restore() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var errs []error
	for _, iface := range slices.Sorted(maps.Keys(m.links)) {
		t := m.newTurn(iface)
		for _, e := range t.link.sorted() {
			e.owners = nil
			switch {
			case e.installed:
				t.change(e, Remove)
			case e.lost:
				t.doubt(e)
			}
		}
		t.commit()
		for _, e := range t.link.sorted() { // what is left could not be removed
			errs = append(errs, t.failed[e])
		}
		errs = append(errs, t.settings...)
	}
	return errors.Join(errs...)
}

// sorted lists the entries in a fixed order.
func (l *link) sorted() []*entry {
	return slices.SortedFunc(maps.Values(l.entries), func(a, b *entry) int { return a.prefix.Compare(b.prefix) })
}
