package vrrp

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// model says what is explored: a link with these nodes, and what may happen.
type model struct {
	name    string
	configs []Config
	// delay is within which the link delivers, at most.
	delay time.Duration
	// bind is how long it takes until the network finds a new holder.
	bind time.Duration
	// disturbances are the kinds that may happen, depth how many of them
	// together. What mends them may always happen and is not counted.
	disturbances []stepKind
	depth        int
	// running begins with all nodes up and one of them master, instead of with
	// none, when they may start at any time.
	running bool
	// mutation breaks the world, to see that the exploration finds it.
	mutation mutation
}

// mutation is a fault of the Engine, put on from outside.
type mutation int

const (
	intact mutation = iota
	deafToRelease
	deafToStronger
	withoutLinger
	withoutRenewal
	blindToDemotion
	withoutLate
)

// life is what the daemon of a node is doing.
type life byte

const (
	down life = iota
	up
	frozen
)

// world is a state of the exploration. It is never changed once others can see
// it: apply makes a new one, and copies an Engine only to step it.
type world struct {
	m     *model
	now   time.Time
	nodes []node
	// wires are the adverts on their way, for each pair of nodes, in the order
	// in which they were sent: a wire keeps it.
	wires [][]frame
	// kept is set once the addresses are served, as long as nothing but
	// planned moves happen: not a moment may be lost then.
	kept bool
}

type node struct {
	life life
	e    *Engine
	// The host's kernel: whether it has the address, when the network finds it
	// there, and when the lease ends.
	present           bool
	servesAt, leaseAt time.Time
	failing           bool // what the check says
	// stamp is the journal: the last advert of a master; zero when it is none.
	stamp time.Time
	// spoke is the last advert of a master that has died or is frozen.
	spoke time.Time
	// socket has what arrived while the daemon could not run, and lapsed tells
	// that the address expired meanwhile.
	socket []frame
	lapsed bool
	spoken int // adverts in this instant
	// slept counts down the adverts after a frozen daemon has resumed: behind
	// the first ones it may renew the lease later than it is meant to.
	slept byte
}

type frame struct {
	from    int
	payload []byte
	due     time.Time
}

var beginning = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func newWorld(m *model) *world {
	w := &world{m: m, now: beginning, nodes: make([]node, len(m.configs)), wires: make([][]frame, len(m.configs)*len(m.configs))}
	if !m.running {
		return w
	}
	log := &trail{}
	for n := range w.nodes {
		w = w.apply(step{start, byte(n), 0}, log)
	}
	for !w.kept || !w.settled() {
		calm := slices.DeleteFunc(w.steps(nil), func(s step) bool { return !s.calm() })
		w = w.apply(calm[0], log)
	}
	return w
}

func (w *world) copy() *world {
	c := *w
	c.nodes, c.wires = slices.Clone(w.nodes), slices.Clone(w.wires)
	return &c
}

func (w *world) wire(from, to int) *[]frame { return &w.wires[from*len(w.nodes)+to] }

func source(n int) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, byte(10 + n)}) }

// router is the one virtual router of a node.
func (n *node) router() *router { return n.e.instances[0].routers[0] }

func (n *node) alive() bool { return n.life == up }

// master reports whether the node takes itself for the master.
func (n *node) master() bool {
	return n.alive() && n.router().state == StateMaster && !n.router().listening
}

// ready reports whether a node could take over or go on.
func (n *node) ready() bool {
	if !n.alive() || n.e.stopping {
		return false
	}
	s := n.router().state
	return s == StateMaster || s == StateBackup
}

func (w *world) serves(n int) bool {
	d := &w.nodes[n]
	return d.present && !d.servesAt.After(w.now)
}

func (w *world) served() bool {
	for n := range w.nodes {
		if w.serves(n) {
			return true
		}
	}
	return false
}

// print writes what the future depends on.
func (w *world) print() fingerprint {
	p := printer{now: w.now, buf: make([]byte, 0, 512)}
	long := 4 * w.m.configs[0].AdvertInterval
	p.bools(w.kept)
	for n := range w.nodes {
		d := &w.nodes[n]
		p.byte(byte(d.life), byte(d.spoken), d.slept)
		p.bools(d.present, d.failing, d.lapsed)
		if d.present {
			p.at(d.leaseAt, removalLate)
			p.at(d.servesAt, 0)
		}
		p.at(d.stamp, long)
		p.at(d.spoke, long)
		p.frames(d.socket)
		if d.e != nil {
			p.engine(d.e)
		}
	}
	for n := range w.wires {
		p.frames(w.wires[n])
	}
	return p.sum()
}

func (p *printer) frames(list []frame) {
	p.byte(byte(len(list)))
	for _, f := range list {
		p.byte(byte(f.from), f.payload[2], f.payload[4], f.payload[5])
		p.at(f.due, 0)
	}
}

// happens lets something happen on a node, carries its actions out, and tells
// it the results. The node's Engine must be the world's own.
func (w *world) happens(n int, ev Event, log *trail) {
	d := &w.nodes[n]
	sequence := d.e.sequence
	actions := d.e.Step(w.now, ev)
	log.step(n, ev, actions)
	w.inspect(n, ev, actions, sequence, log)
	var results []*AddressesChanged
	for _, a := range actions {
		if done := w.carryOut(n, a); done != nil {
			results = append(results, done)
		}
	}
	for _, done := range results {
		w.happens(n, done, log)
	}
}

func (w *world) carryOut(n int, a Action) *AddressesChanged {
	d := &w.nodes[n]
	switch a := a.(type) {
	case *SendAdvert:
		w.send(n, a)
	case *AddAddresses:
		if !d.present {
			d.servesAt = w.now.Add(w.m.bind)
		}
		d.present = true
		d.lease(w.now, a.Lease)
		return &AddressesChanged{Router: a.Router, Addresses: []AddressState{{Address: a.Addresses[0], Present: true}}}
	case *RenewAddresses:
		if d.present && w.m.mutation != withoutRenewal {
			d.lease(w.now, a.Lease)
		}
	case *RemoveAddresses:
		d.present, d.stamp = false, time.Time{}
		return &AddressesChanged{Router: a.Router, Addresses: []AddressState{{Address: a.Addresses[0]}}, Removal: true}
	}
	return nil
}

func (n *node) lease(now time.Time, d time.Duration) {
	if n.leaseAt = (time.Time{}); d > 0 {
		n.leaseAt = now.Add(d)
	}
}

func (w *world) send(n int, a *SendAdvert) {
	d := &w.nodes[n]
	if d.spoken++; d.spoken == 1 {
		d.slept -= min(d.slept, 1)
	}
	if d.stamp = w.now; a.Payload[2] == PriorityRelease || !d.e.IsMaster(a.Router) {
		d.stamp = time.Time{}
	}
	payload := bytes.Clone(a.Payload)
	for to := range w.nodes {
		if to != n && w.nodes[to].life != down {
			q := w.wire(n, to)
			*q = append(slices.Clip(*q), frame{n, payload, w.now.Add(w.m.delay)})
		}
	}
}

// hear lets a node receive a frame.
func (w *world) hear(n int, f frame, log *trail) {
	priority := f.payload[2]
	switch m := w.m.mutation; {
	case m == deafToRelease && priority == PriorityRelease:
		return
	case m == deafToStronger && w.nodes[n].master() && priority > w.m.configs[n].Priority:
		return
	case m == blindToDemotion && priority > 0 && priority <= DemotedMax:
		f.payload = bytes.Clone(f.payload)
		f.payload[2], f.payload[6], f.payload[7] = PriorityOwner-1, 0, 0
		setChecksum(f.payload, formMessage, source(f.from), GroupIPv4)
	}
	w.happens(n, &AdvertReceived{Interface: 2, Source: source(f.from), Destination: GroupIPv4, TTL: TTL, Payload: f.payload}, log)
}

// start runs the daemon of a node: with what the journal says, or from nothing,
// when what was left behind is removed first.
func (w *world) start(n int, journal bool, log *trail) {
	d := &w.nodes[n]
	d.life, d.e, d.spoke, d.stamp = up, NewEngine(), time.Time{}, time.Time{}
	d.e.now = w.now
	if journal {
		w.happens(n, &Adopt{Routers: []Adopted{{"eth0", 51, IPv4, false, time.Time{}}}}, log)
	} else {
		d.present = false
	}
	cfg := w.m.configs[n]
	w.happens(n, &Configure{Instances: []Config{cfg}}, log)
	for _, c := range cfg.Checks {
		w.happens(n, &CheckChanged{Check: c.Name, Healthy: !d.failing, Reason: "refused"}, log)
	}
	w.happens(n, eth0(func(l *Link) { l.Addresses = []netip.Prefix{netip.PrefixFrom(source(n), 24)} }), log)
}

// adoptable reports whether the journal of a dead node still counts: as the
// daemon judges it.
func (w *world) adoptable(n int) bool {
	d := &w.nodes[n]
	return d.present && !d.stamp.IsZero() && MayAdopt(w.now.Sub(d.stamp), w.m.configs[n].AdvertInterval)
}

// dies ends the daemon of a node. Without a lease it takes the host with it.
func (w *world) dies(n int) {
	d := &w.nodes[n]
	d.spoke = w.lastWord(n)
	d.life, d.e, d.socket, d.lapsed, d.slept = down, nil, nil, false, 0
	if d.leaseAt.IsZero() {
		d.present = false
	}
	if !d.present {
		d.stamp, d.spoke, d.leaseAt = time.Time{}, time.Time{}, time.Time{}
	}
	for from := range w.nodes {
		*w.wire(from, n) = nil
	}
}

// lastWord is when a node that can act no more spoke last as master, zero when
// it was not master or was handing over.
func (w *world) lastWord(n int) time.Time {
	d := &w.nodes[n]
	switch {
	case d.life == frozen:
		return d.spoke
	case d.master() && !d.router().handing && d.slept == 0:
		return d.router().spokeAt
	}
	return time.Time{}
}

// resume lets a frozen daemon go on, in the order in which it does: how late it
// is, what has been waiting, then its timers.
func (w *world) resume(n int, log *trail) {
	d := &w.nodes[n]
	d.life, d.spoke, d.slept = up, time.Time{}, 3
	at, ok := d.e.Deadline()
	late := w.now.Sub(at)
	if ok && late >= 5*time.Millisecond && w.m.mutation != withoutLate {
		w.happens(n, &Late{By: late}, log)
	}
	socket := d.socket
	d.socket = nil
	for _, f := range socket {
		w.hear(n, f, log)
	}
	if d.lapsed {
		d.lapsed = false
		w.tellLapsed(n, log)
	}
	spoken := d.spoken
	w.happens(n, &Tick{}, log)
	if ok && late >= downIntervals*w.m.configs[n].AdvertInterval && len(socket) == 0 && d.spoken > spoken && !d.e.stopping {
		log.wrong("node %d was away for %v and spoke before it listened", n, late)
	}
}

func (w *world) tellLapsed(n int, log *trail) {
	d := &w.nodes[n]
	vip := d.router().addresses[0].Address
	s := AddressState{Address: vip, Present: d.present}
	if lease := w.m.configs[n].Lease; !d.present {
		s.Lapse = &Lapse{Lease: lease, Least: lease, Most: lease}
	}
	w.happens(n, &AddressesChanged{Router: d.router().id, Addresses: []AddressState{s}}, log)
}

// arrive puts a frame into the socket of a frozen node. Hearing the same more
// than twice in a row at one moment is hearing it twice.
func (n *node) arrive(f frame) {
	f.due = time.Time{}
	same := func(g frame) bool { return g.from == f.from && bytes.Equal(g.payload, f.payload) }
	if k := len(n.socket); k >= 2 && same(n.socket[k-1]) && same(n.socket[k-2]) {
		return
	}
	n.socket = append(slices.Clip(n.socket), f)
}

func (w *world) String() string {
	var b bytes.Buffer
	for n := range w.nodes {
		d := &w.nodes[n]
		fmt.Fprintf(&b, "  node %d %s", n, [...]string{"down", "up", "frozen"}[d.life])
		if d.e != nil {
			r := d.router()
			fmt.Fprintf(&b, ", %v with priority %d", r.state, r.inst.effective)
			for _, f := range []struct {
				set  bool
				name string
			}{{r.handing, "handing over"}, {r.listening, "listening"}, {r.holding(), "lingering"}, {d.e.stopping, "stopping"}} {
				if f.set {
					fmt.Fprintf(&b, ", %s", f.name)
				}
			}
		}
		if d.present {
			fmt.Fprintf(&b, ", has the address")
		}
		b.WriteString("\n")
	}
	return b.String()
}
