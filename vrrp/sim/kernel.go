package sim

import (
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// kernelAddress is a virtual address in a node's kernel.
type kernelAddress struct {
	present bool
	lease   time.Duration
	renewed time.Duration // local time
	doomed  time.Duration // renewed, when its removal is planned
	pending time.Duration // the evExpire in the queue; 0 for none
	removed time.Duration // by somebody, last
	missed  bool          // whoever watches saw it go
	lost    string        // why it went the last time, empty when its daemon removed it
	// began is when the exchange began that renewed it last, local time; over is when
	// the lease that it had as it went would have been over, and doubtful from when on
	// as far as its daemon knows.
	began, over, doubtful time.Duration
}

// entry is what the daemon's address worker knows of an address.
type entry struct {
	owners             []uint64
	installed, refused bool
	lease              time.Duration // that the kernel took last
	from, to           time.Duration // the exchange in which it did, local time
	lapse              *vrrp.Lapse   // set by a late renewal
	back               time.Duration // when that was
}

// lapsed is what is known of the lease of an address that is gone.
func (e *entry) lapsed(now time.Duration) *vrrp.Lapse {
	if e.lease == 0 {
		return nil
	}
	return &vrrp.Lapse{Lease: e.lease, Least: now - e.to, Most: now - e.from}
}

// leased notes that the kernel took a lease.
func (e *entry) leased(o *order, now time.Duration) {
	switch lapse := e.lapsed(now); {
	case o.kind != orderRenew:
		e.lapse = nil
	case lapse != nil && lapse.Least >= e.lease-leaseEarly:
		e.lapse, e.back = lapse, now
	}
	e.lease, e.from, e.to = o.lease, o.begun, now
}

func (e *entry) owns(serial uint64) bool { return slices.Contains(e.owners, serial) }

type orderKind uint8

const (
	orderAdd orderKind = iota
	orderRenew
	orderRemove
	orderAnnounce
	orderAudit
	orderEnd // remove all that is left, and end
)

// order is work for the address worker.
type order struct {
	kind      orderKind
	serial    uint64
	port      string
	addresses []netip.Prefix
	lease     time.Duration
	before    time.Duration // local time until which a renewal is wanted
	begun     time.Duration // local time at which the exchange with the kernel began
}

const (
	// The kernel removes an address up to early before its lease ends, and up
	// to late after it.
	leaseEarly = 20 * time.Millisecond
	leaseLate  = time.Second

	// leaseDoubt is what a daemon takes for early: a little more.
	leaseDoubt = 30 * time.Millisecond

	leaseEnded = "lease ended"
	never      = time.Duration(math.MaxInt64)
)

func (n *node) order(o order) {
	n.orders = append(n.orders, o)
	n.planOrder()
}

// planOrder has the first order carried out: an exchange with the kernel takes
// its time.
func (n *node) planOrder() {
	if n.ordering || len(n.orders) == 0 {
		return
	}
	n.ordering = true
	n.orders[0].begun = n.local()
	took := 60*time.Microsecond + time.Duration(len(n.orders[0].addresses))*10*time.Microsecond
	n.w.push(n.w.now+took+upTo(n.draw(), 60*time.Microsecond), evOrder, n.index, nil)
}

// carryOut is the address worker.
func (n *node) carryOut() {
	if n.waits = n.busy && n.running(); n.waits {
		return
	}
	n.ordering = false
	if !n.running() || len(n.orders) == 0 {
		return
	}
	o := n.orders[0]
	n.orders = append(n.orders[:0], n.orders[1:]...)
	n.workedOff()
	n.planOrder()
	p := n.port(o.port)
	switch o.kind {
	case orderEnd:
		n.ended()
		return
	case orderAnnounce:
		n.announce(p, &o)
		return
	case orderAudit:
		n.audit(p)
		return
	}
	n.report = n.report[:0]
	for _, a := range o.addresses {
		if at, ok := n.find(p, a); ok {
			n.change(p, &o, at, a)
		}
	}
	if len(n.report) > 0 {
		n.begin()
		n.step(&vrrp.AddressesChanged{Router: vrrp.RouterID{Serial: o.serial}, Addresses: n.report, Removal: o.kind == orderRemove})
		n.finish()
	}
}

func (n *node) find(p *port, a netip.Prefix) (int, bool) {
	if p == nil {
		return 0, false
	}
	return p.lookup(a.Addr())
}

// change carries out an order for one address.
func (n *node) change(p *port, o *order, at int, a netip.Prefix) {
	e := &n.entries[at]
	state := vrrp.AddressState{Address: a}
	switch o.kind {
	case orderRenew:
		if !e.owns(o.serial) || !e.installed || o.begun >= o.before {
			return
		}
	case orderAdd:
		if !e.owns(o.serial) {
			e.owners = append(e.owners, o.serial)
		}
	case orderRemove:
		e.owners = slices.DeleteFunc(e.owners, func(s uint64) bool { return s == o.serial })
		if len(e.owners) == 0 {
			n.unset(at, "")
			e.installed, n.kernel[at].lost = false, ""
		}
		n.report = append(n.report, state)
		return
	}
	switch {
	case !p.exists:
		e.installed, e.refused = false, true
		state.Problem = "no such interface"
	case n.refusing:
		e.refused = true
		state.Present, state.Problem = e.installed, "operation not permitted"
	default:
		quiet := o.kind == orderRenew && !e.refused
		e.installed, e.refused = true, false
		e.leased(o, n.local())
		n.set(at, o.lease)
		n.kernel[at].began = o.begun
		if quiet {
			return
		}
		state.Present = true
	}
	n.report = append(n.report, state)
}

// set puts an address into the kernel, or starts its lease anew.
func (n *node) set(at int, lease time.Duration) {
	k := &n.kernel[at]
	k.lease, k.renewed = lease, n.local()
	if lease > 0 {
		n.planExpiry(at)
	}
	if !k.present {
		k.present = true
		n.w.vips[at].holderChanged(n, true, "")
	}
}

// unset takes an address out of the kernel.
func (n *node) unset(at int, why string) {
	k := &n.kernel[at]
	if k.present {
		k.present = false
		n.w.vips[at].holderChanged(n, false, why)
	}
}

// lose takes it out without the daemon's doing, which hears of it.
func (n *node) lose(at int, why string) {
	if k := &n.kernel[at]; k.present {
		n.unset(at, why)
		k.missed, k.lost, k.over, k.doubtful = true, why, never, never
		if k.lease > 0 {
			k.over, k.doubtful = k.renewed+k.lease, k.began+k.lease-leaseDoubt
		}
		if p := n.portOn(n.w.vips[at].seg); p != nil {
			n.notify(p, 500*time.Microsecond)
		}
	}
}

func (n *node) planExpiry(at int) {
	k := &n.kernel[at]
	if k.lease > 0 && !n.suspended {
		n.pushExpiry(at, k.renewed+k.lease-leaseEarly)
	}
}

// pushExpiry plans to look at a lease, unless that is planned earlier anyway.
func (n *node) pushExpiry(at int, local time.Duration) {
	w, k := n.w, &n.kernel[at]
	then := n.clock.world(local, w.now) + 1
	if k.pending > 0 && k.pending <= then {
		return
	}
	k.pending = then
	w.totals.pushed++
	w.queue.push(event{at: then, seq: w.totals.pushed, kind: evExpire, who: int32(n.index), packetless: int32(at)})
}

// expire looks whether a lease has run out. Nearly always it was renewed.
func (n *node) expire(when time.Duration, address int32) {
	at := int(address)
	k := &n.kernel[at]
	if k.pending != when {
		return // another one came in its place
	}
	k.pending = 0
	if !k.present || k.lease == 0 || n.suspended || !n.powered {
		return
	}
	now := n.local()
	switch {
	case k.doomed == k.renewed && now >= k.renewed+k.lease-leaseEarly:
		k.doomed = 0
		n.lose(at, leaseEnded)
	case now < k.renewed+k.lease-leaseEarly:
		n.planExpiry(at)
	default:
		k.doomed = k.renewed
		n.pushExpiry(at, k.renewed+k.lease-leaseEarly+n.lateness())
	}
}

// lateness draws how much later than possible a lease ends: mostly a little, at
// times up to the worst that was ever seen.
func (n *node) lateness() time.Duration {
	x := n.draw()
	switch x % 8 {
	case 0:
		return 0
	case 1:
		return leaseEarly + upTo(scramble(x), leaseLate)
	case 2:
		return leaseEarly + leaseLate - time.Millisecond
	}
	return leaseEarly + upTo(scramble(x), 150*time.Millisecond)
}

// audit reports what owners hold and the kernel does not have, or did not until a
// late renewal.
func (n *node) audit(p *port) {
	lost := map[uint64][]vrrp.AddressState{}
	var owners []uint64
	for at := range n.entries {
		e, k := &n.entries[at], &n.kernel[at]
		if !e.installed || p == nil || n.w.vips[at].seg != p.seg {
			continue
		}
		s := vrrp.AddressState{Address: n.w.vips[at].prefix, Present: k.present, Lapse: e.lapsed(n.local())}
		if k.present {
			s.Lapse = e.lapse
		}
		if k.present && (!k.missed || s.Lapse == nil || n.local()-e.back > e.lease) {
			continue
		}
		e.installed, e.lapse, k.missed = k.present, nil, false
		for _, o := range e.owners {
			if lost[o] == nil {
				owners = append(owners, o)
			}
			lost[o] = append(lost[o], s)
		}
	}
	for _, o := range owners {
		n.begin()
		n.step(&vrrp.AddressesChanged{Router: vrrp.RouterID{Serial: o}, Addresses: lost[o]})
		n.finish()
		if n.engine == nil {
			return
		}
	}
}

// announce tells the client where the addresses are.
func (n *node) announce(p *port, o *order) {
	for _, a := range o.addresses {
		if at, ok := n.find(p, a); ok && n.entries[at].owns(o.serial) && n.kernel[at].present {
			n.judgeAnnouncement(o.serial, a)
			n.w.vips[at].announced(n, p)
		}
	}
}

// hush takes back the announcements that wait.
func (n *node) hush(serial uint64) {
	for i := range n.orders {
		if o := &n.orders[i]; o.kind == orderAnnounce && o.serial == serial {
			o.addresses = nil
		}
	}
}

// ended is the end of a daemon that was asked to stop.
func (n *node) ended() {
	for at := range n.entries {
		if n.entries[at].installed {
			n.unset(at, "")
		}
	}
	n.w.tracef("%s has stopped", n.spec.Name)
	n.stopped()
	n.end()
}
