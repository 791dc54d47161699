package vip

import (
	"net/netip"
	"slices"
	"sync"
	"time"
)

// turnLimit is about how many addresses one turn of the manager touches: so
// many that an exchange with the kernel is well filled, so few that the
// announcement of the first does not wait long for the last.
const turnLimit = 512

// order is what a caller asked for.
type order struct {
	kind  Order
	owner string
	iface string
	addrs []netip.Prefix
	arp   ARPForm
	lease time.Duration
	// before is until when a renewal is wanted.
	before time.Time
	// number tells an announcement from those given after it was taken back.
	number uint64
}

// queue holds the orders that were not carried out yet. It has no bound: each
// owner has a handful of orders under way at most.
type queue struct {
	mu     sync.Mutex
	orders []order
	closed bool
	// ready has a token when there may be something to do.
	ready chan struct{}
	// last is the interface that had the last turn.
	last string
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
	if o.kind != OrderAudit || !q.mergeAudit(o) {
		q.orders = append(q.orders, o)
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

// mergeAudit lets an audit that waits for the same interface do for o as well:
// what was seen last counts, and nothing seen, which is a look at everything,
// stays so. Large changes come with many audits, each of which costs a listing.
func (q *queue) mergeAudit(o order) bool {
	i := slices.IndexFunc(q.orders, func(w order) bool { return w.kind == OrderAudit && w.iface == o.iface })
	if i < 0 {
		return false
	}
	if q.orders[i].addrs != nil {
		q.orders[i].addrs = o.addrs
	}
	return true
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

// take removes the orders of the next turn: orders for one interface, in their
// order. Interfaces take turns, so that none waits for the whole backlog of
// another. The order of one owner's orders, and of those for one interface, is
// kept. closed reports that there is nothing left and never will be.
func (q *queue) take() (turn []order, closed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.orders) == 0 {
		return nil, q.closed
	}
	iface := q.next()
	waiting := map[string]bool{} // owners with an earlier order that stays
	size := 0
	full := false
	rest := q.orders[:0:0]
	for _, o := range q.orders {
		if full || o.iface != iface || waiting[o.owner] {
			// Once one order of this interface stays, all later ones do.
			full = full || o.iface == iface
			waiting[o.owner] = true
			rest = append(rest, o)
			continue
		}
		turn = append(turn, o)
		if o.kind != OrderAnnounce && o.kind != OrderAudit {
			size += len(o.addrs)
		}
		full = size >= turnLimit
	}
	q.orders, q.last = rest, iface
	if len(rest) > 0 || q.closed {
		q.wake()
	}
	return turn, false
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
