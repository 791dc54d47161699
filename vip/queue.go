package vip

import (
	"net/netip"
	"slices"
	"sync"
	"time"
)

// sliceLimit is how many addresses a slice has, and about how many one turn of
// the manager touches: so many that an exchange with the kernel is well filled,
// so few that the announcement of the first does not wait long for the last, nor
// a renewal for either.
const sliceLimit = 128

// keepRoom is for how many orders an empty queue keeps room, and keepMost for how
// many renewals, which come again and again.
const (
	keepRoom = 2 * sliceLimit
	keepMost = 64 * sliceLimit
)

// order is what a caller asked for.
type order struct {
	kind  Order
	owner string
	iface string
	addrs []netip.Prefix
	whole int           // how many addresses there are in all, for a slice
	seen  []LinkAddress // by an audit
	ever  []LinkAddress // by each of several that are one now; nil for one alone
	arp   ARPForm
	lease time.Duration
	// before is until when a renewal is wanted.
	before time.Time
	// number tells an announcement from those given after it was taken back.
	number uint64
}

// queue holds the orders that were not carried out yet, large ones in slices. It
// has no bound: each owner has a handful of orders under way at most.
type queue struct {
	mu sync.Mutex
	// orders are those that must keep their order. renewals pass them, for a
	// lease does not wait: they only ever touch what its owner holds. audits
	// come when nothing is left to do on their interface, so that they do not
	// find it half done.
	orders, renewals, audits []order
	// taken are the renewals of the last turn, for the next to write over.
	taken  []order
	closed bool
	// ready has a token when there may be something to do.
	ready chan struct{}
	// last is the interface that had the last turn, lane what had it beside
	// renewals, and renewed how many turns these had since.
	last    string
	lane    int
	renewed int
	// given counts the orders, and quiet is for each owner how many there were
	// when it took its announcements back.
	given uint64
	quiet map[string]uint64
}

func newQueue() *queue { return &queue{ready: make(chan struct{}, 1), quiet: map[string]uint64{}} }

// put appends an order, unless the queue is closed. It never blocks.
func (q *queue) put(o order) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return
	}
	q.given++
	o.number = q.given
	switch o.kind {
	case OrderRenew:
		q.putRenewal(o)
	case OrderAudit:
		q.putAudit(o)
	case OrderAnnounce:
		q.putAnnounce(o)
	default:
		q.orders = o.appendTo(q.orders)
	}
	q.wake()
}

// hush takes back the announcements of an owner, also those that a turn has
// taken already.
func (q *queue) hush(owner string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.quiet[owner] = q.given
}

// hushed reports whether an order to announce was taken back.
func (q *queue) hushed(o *order) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return o.number <= q.quiet[o.owner]
}

// forget drops what is kept for an owner without addresses.
func (q *queue) forget(owner string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	waits := slices.ContainsFunc(q.orders, func(o order) bool { return o.owner == owner })
	if !waits {
		delete(q.quiet, owner)
	}
}

// appendTo appends an order, or the slices of a large one.
func (o order) appendTo(list []order) []order {
	if len(o.addrs) <= sliceLimit {
		return append(list, o)
	}
	return append(list, o.slices()...)
}

// putRenewal appends a renewal. The kernel may be busy for many seconds, with a
// network namespace that goes or a large table of routes: what waits for too long
// meanwhile nobody wants any more, and it is not kept.
func (q *queue) putRenewal(o order) {
	if len(q.renewals) >= keepRoom && len(q.renewals) == cap(q.renewals) {
		now := time.Now()
		q.renewals = slices.DeleteFunc(q.renewals, func(w order) bool { return !now.Before(w.before) })
		q.renewals = slices.Grow(q.renewals, cap(q.renewals)/4) // or each of the next would look again
	}
	q.renewals = o.appendTo(q.renewals)
}

// slices splits a large order. A removal begins with the last addresses:
// whenever the first address of a network goes, the kernel sets up all others
// anew.
func (o order) slices() []order {
	if len(o.addrs) <= sliceLimit {
		return []order{o}
	}
	var list []order
	for part := range slices.Chunk(o.addrs, sliceLimit) {
		s := o
		s.addrs, s.whole = part, len(o.addrs)
		list = append(list, s)
	}
	if o.kind == OrderRemove {
		slices.Reverse(list)
	}
	return list
}

// putAnnounce appends an announcement. When it follows the addition of the same
// addresses it is mixed with it: each slice is announced as soon as it is there,
// and does not wait for those after it.
func (q *queue) putAnnounce(o order) {
	run := q.additions(&o)
	size := 0
	for _, i := range run {
		size += len(q.orders[i].addrs)
	}
	if len(run) == 0 || len(run) == 1 && size == len(o.addrs) { // nothing to mix
		q.orders = append(q.orders, o.slices()...)
		return
	}
	before, rest := q.orders[:run[0]], slices.Clone(q.orders[run[0]:])
	done := o // added by earlier turns
	done.addrs, o.addrs = o.addrs[:len(o.addrs)-size], o.addrs[len(o.addrs)-size:]
	mixed := before
	if len(done.addrs) > 0 {
		mixed = append(mixed, done.slices()...)
	}
	for i, r := range rest {
		mixed = append(mixed, r)
		if slices.Contains(run, i+len(before)) {
			a := o
			a.addrs, o.addrs = o.addrs[:len(r.addrs)], o.addrs[len(r.addrs):]
			mixed = append(mixed, a)
		}
	}
	q.orders = mixed
}

// additions finds the slices of the addition that an announcement follows, with
// no other order for its interface in between. It is none when they are not the
// last of the addresses to announce, in their order.
func (q *queue) additions(o *order) (run []int) {
	left := o.addrs
	for i := len(q.orders) - 1; i >= 0; i-- {
		w := &q.orders[i]
		if w.iface != o.iface {
			continue
		}
		if w.kind != OrderAdd || w.owner != o.owner {
			break
		}
		rest := len(left) - len(w.addrs)
		if rest < 0 || !slices.Equal(left[rest:], w.addrs) {
			return nil
		}
		left = left[:rest]
		run = append(run, i)
	}
	slices.Reverse(run)
	return run
}

// putAudit appends an audit. One that waits for the same interface does for both:
// what was seen last counts, and nothing seen, which is a look at everything,
// stays so. What one of them did not see may have come back since. Large changes come
// with many audits, each of which costs a listing.
func (q *queue) putAudit(o order) {
	i := slices.IndexFunc(q.audits, func(w order) bool { return w.iface == o.iface })
	if i < 0 {
		q.audits = append(q.audits, o)
		return
	}
	w := &q.audits[i]
	if w.ever == nil {
		w.ever = w.seen
	}
	switch {
	case o.seen == nil:
	case w.ever == nil:
		w.ever = o.seen
	default:
		w.ever = inBoth(w.ever, o.seen)
	}
	if w.seen != nil {
		w.seen = o.seen
	}
}

// inBoth removes from a what b lacks. Mostly that is nothing, and the order the same.
func inBoth(a, b []LinkAddress) []LinkAddress {
	same := 0
	for n := range b {
		if same < len(a) && a[same].Prefix == b[n].Prefix {
			same++
		}
	}
	if same == len(a) {
		return a
	}
	has := make(map[netip.Prefix]bool, len(b))
	for n := range b {
		has[identity(b[n].Prefix)] = true
	}
	return slices.DeleteFunc(a, func(x LinkAddress) bool { return !has[identity(x.Prefix)] })
}

// close ends the intake.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.wake()
}

func (q *queue) wake() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// renewalTurns is how many turns renewals have at most before something else has
// one: enough to renew thousands of addresses. They must not fall behind, or
// addresses are lost, whose repair costs more than their renewal.
const renewalTurns = 64

// take removes the orders of the next turn, all for one interface: renewals as
// long as there are any, else other orders or an audit, in rotation. They are valid
// until the next call. closed reports that there is nothing left and never will be.
func (q *queue) take() (turn []order, closed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.renewed < renewalTurns {
		turn = q.takeRenewals()
		q.renewed++
	}
	if len(turn) == 0 {
		turn = q.takeOther()
		q.renewed = 0
	}
	if len(turn) == 0 {
		turn = q.takeRenewals()
	}
	if len(turn) == 0 {
		return nil, q.closed
	}
	if len(q.orders)+len(q.renewals)+len(q.audits) > 0 || q.closed {
		q.wake()
	}
	return turn, false
}

// takeOther takes orders that are no renewals, or an audit, in rotation.
func (q *queue) takeOther() (turn []order) {
	lanes := [...]func() []order{q.takeOrders, q.takeAudit}
	for range lanes {
		turn = lanes[q.lane]()
		q.lane = (q.lane + 1) % len(lanes)
		if len(turn) > 0 {
			break
		}
	}
	return turn
}

// takeRenewals takes those for the interface of the first, as many as fit.
func (q *queue) takeRenewals() (turn []order) {
	if len(q.renewals) == 0 {
		return nil
	}
	iface, size := q.renewals[0].iface, 0
	turn = q.taken[:0]
	rest := q.renewals[:0] // in place: there may be thousands
	for i, o := range q.renewals {
		if size >= sliceLimit {
			rest = append(rest, q.renewals[i:]...)
			break
		}
		if o.iface != iface {
			rest = append(rest, o)
			continue
		}
		turn = append(turn, o)
		size += len(o.addrs)
	}
	clear(q.renewals[len(rest):])
	q.renewals, q.taken = rest, turn
	if len(rest) == 0 && cap(rest) > keepMost {
		q.renewals = nil
	}
	return turn
}

// takeOrders takes orders for one interface, in their order. Interfaces take
// turns, so that none waits for the whole backlog of another. The order of one
// owner's orders, and of those for one interface, is kept.
func (q *queue) takeOrders() (turn []order) {
	if len(q.orders) == 0 {
		return nil
	}
	iface := q.next()
	waiting := map[string]bool{} // owners with an earlier order that stays
	changed, announced := 0, 0
	rest := q.orders[:0] // in place: there may be thousands
	for i, o := range q.orders {
		size, most := &changed, sliceLimit
		if o.kind == OrderAnnounce {
			size, most = &announced, 2*sliceLimit // with what the turn before has added
		}
		if o.iface == iface && (waiting[o.owner] || *size >= most) {
			// Once one order of this interface stays, all later ones do.
			rest = append(rest, q.orders[i:]...)
			break
		}
		if o.iface != iface {
			waiting[o.owner] = true
			rest = append(rest, o)
			continue
		}
		if changed >= sliceLimit && o.besideAdditions() && q.goesOn(i) {
			rest = append(rest, q.orders[i:]...) // it goes with the next slice
			break
		}
		turn = append(turn, o)
		*size += len(o.addrs)
	}
	clear(q.orders[len(rest):])
	q.orders, q.last = rest, iface
	if len(rest) == 0 && cap(rest) > keepRoom { // after a start, or a large change
		q.orders = nil
	}
	return turn
}

// besideAdditions reports whether the order is to announce what can be announced
// while other addresses are added. Not so IPv6: its addresses are finished by the
// kernel a while after they were added, and that waits for additions.
func (o *order) besideAdditions() bool {
	return o.kind == OrderAnnounce && !slices.ContainsFunc(o.addrs, func(p netip.Prefix) bool { return p.Addr().Is6() })
}

// goesOn reports whether the order of a position is followed by an addition to the
// same interface, beside which it can be carried out.
func (q *queue) goesOn(i int) bool {
	for _, o := range q.orders[i+1:] {
		if o.iface == q.orders[i].iface {
			return o.kind == OrderAdd
		}
	}
	return false
}

// takeAudit takes an audit of an interface that nothing else waits for.
func (q *queue) takeAudit() (turn []order) {
	if len(q.audits) == 0 {
		return nil
	}
	busy := map[string]bool{}
	for _, o := range q.orders {
		busy[o.iface] = true
	}
	i := slices.IndexFunc(q.audits, func(o order) bool { return !busy[o.iface] })
	if i < 0 {
		return nil
	}
	turn = []order{q.audits[i]}
	q.audits = slices.Delete(q.audits, i, i+1)
	return turn
}

// next chooses the interface of the next turn: that of the first order which
// waits for no other order of its owner, if possible not the last one's.
func (q *queue) next() string {
	blocked := map[string]bool{q.last: true}
	owners := map[string]bool{}
	for _, o := range q.orders {
		if !blocked[o.iface] && !owners[o.owner] {
			return o.iface
		}
		// What follows for this interface or this owner must wait for o.
		blocked[o.iface] = true
		owners[o.owner] = true
	}
	return q.orders[0].iface
}
