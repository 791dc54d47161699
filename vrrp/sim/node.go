package sim

import (
	"slices"
	"time"

	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// node is a host and, while engine is set, the daemon that runs on it. The
// daemon is an imitation of the real one's loop: it reads the clock once a turn,
// tells of lateness first, takes in what waits, lets timers expire, sends the
// adverts, and then orders the slower work.
type node struct {
	w      *world
	index  int
	spec   *Node
	ports  []*port
	kernel []kernelAddress // by number of the address
	clock  clock
	random uint64

	powered, frozen, suspended bool
	refusing, busy, sendFails  bool
	silences                   int             // how often sendFails changed
	health                     map[string]bool // what checks would find; absent is healthy
	boots                      int
	journal                    journal

	// The daemon.
	engine   *vrrp.Engine
	foreign  bool // routers of somebody else run in its place
	life     int  // counts daemons
	leaving  bool
	stopping bool
	synced   bool
	configs  []vrrp.Config
	now      time.Time
	wake     time.Duration // local time to wake at; 0 for never
	wakeBoot time.Duration
	asleep   time.Duration // of the clock, at the last turn
	planned  time.Duration // the earliest evWake in the queue; 0 for none
	inbox    []letter
	unread   []letter // the readers have not run yet
	calls    []func()
	out      []*vrrp.SendAdvert
	spare    []*vrrp.SendAdvert
	work     []vrrp.Action
	advert   vrrp.AdvertReceived
	tick     vrrp.Tick
	report   []vrrp.AddressState
	orders   []order
	ordering bool
	waits    bool // for a busy kernel, with the first of the orders
	entries  []entry
	routers  []*router
	sockets  map[socketKey]bool
	hooks    map[string]*hookState
	results  map[string]bool // of checks, as the daemon was told
	asked    map[string]operatorOrder

	pausedAt time.Duration
	unpaused time.Duration // when the last pause ended
	config   int           // that it runs with, or ran with last
	accepted time.Duration // when the kernel stopped refusing
	// Of a kernel that was busy: when it did the last of what waited, how much of
	// that is left, and the start of a daemon that waits.
	answered time.Duration
	backlog  int
	held     *Step
}

// letter is a packet in a socket.
type letter struct {
	port   *port
	number int // of the interface as it arrived
	packet *packet
}

type socketKey struct {
	number int
	family vrrp.Family
}

const (
	// lateEnough and turnLimit are the daemon's.
	lateEnough = 5 * time.Millisecond
	turnLimit  = 256
	// socketRoom is how many adverts a socket holds while nobody reads.
	socketRoom = 256
)

func (n *node) running() bool {
	return n.powered && !n.frozen && !n.suspended && n.alive()
}

func (n *node) port(name string) *port {
	for _, p := range n.ports {
		if p.name == name {
			return p
		}
	}
	return nil
}

func (n *node) portOn(s *segment) *port {
	for _, p := range n.ports {
		if p.seg == s {
			return p
		}
	}
	return nil
}

func (n *node) portNumber(number int) *port {
	for _, p := range n.ports {
		if p.number == number && p.exists {
			return p
		}
	}
	return nil
}

// draw is the next random number of the node.
func (n *node) draw() uint64 {
	n.random = scramble(n.random)
	return n.random
}

func (n *node) local() time.Duration { return n.clock.local(n.w.now) }

// begin starts a turn.
func (n *node) begin() {
	n.now = epoch.Add(n.local())
	asleep := n.clock.asleep - n.asleep
	n.asleep = n.clock.asleep
	if asleep < lateEnough {
		asleep = 0
	}
	late := asleep
	if n.wake > 0 {
		late = max(asleep, n.clock.boot(n.w.now)-n.wakeBoot)
	}
	if late >= lateEnough {
		n.step(&vrrp.Late{By: late, Asleep: asleep})
	}
}

// finish takes in what else waits and ends the turn.
func (n *node) finish() {
	for range turnLimit {
		switch {
		case len(n.inbox) > 0 && (len(n.calls) == 0 || n.draw()&1 == 0):
			l := n.inbox[0]
			n.inbox = n.inbox[1:]
			n.take(l.port, l.number, l.packet)
		case len(n.calls) > 0:
			f := n.calls[0]
			n.calls = n.calls[1:]
			f()
		}
		if len(n.inbox) == 0 && len(n.calls) == 0 {
			break
		}
	}
	n.step(&n.tick)
	n.flush()
	n.poll()
	if n.stopping && !n.leaving && n.engine.Stopped() {
		n.leaving = true
		n.order(order{kind: orderEnd})
	}
	n.arm()
}

// call lets f run on the daemon's loop, now or when it can run again.
func (n *node) call(f func()) {
	switch {
	case n.engine == nil:
	case n.stranger():
	case !n.running():
		n.calls = append(n.calls, f)
	default:
		n.begin()
		f()
		n.finish()
	}
}

// later runs f on the loop of this daemon after a while.
func (n *node) later(d time.Duration, f func()) {
	life := n.life
	n.w.after(d, func() {
		if n.life == life && n.engine != nil {
			n.call(f)
		}
	})
}

// arm sets the timer.
func (n *node) arm() {
	at, ok := n.engine.Deadline()
	if n.wake = 0; !ok {
		return
	}
	n.wake = max(at.Sub(epoch), n.local())
	n.wakeBoot = n.wake + n.clock.asleep
	n.plan()
}

// plan has the node woken, unless it is anyway earlier and will look again then.
func (n *node) plan() {
	at := n.clock.world(n.wake, n.w.now) + upTo(n.draw(), 100*time.Microsecond)
	if n.planned == 0 || at < n.planned {
		n.planned = at
		n.w.push(at, evWake, n.index, nil)
	}
}

// wakeUp is the timer.
func (n *node) wakeUp(at time.Duration) {
	if at != n.planned {
		return // another one is on its way
	}
	n.planned = 0
	switch {
	case !n.running() || n.wake == 0:
	case n.local() < n.wake:
		n.plan()
	case n.stranger():
		n.tickPlain()
	default:
		n.begin()
		n.finish()
	}
}

// step tells the Engine and queues what it wants done.
func (n *node) step(ev vrrp.Event) {
	n.w.totals.Steps++
	for _, a := range n.engine.Step(n.now, ev) {
		if s, ok := a.(*vrrp.SendAdvert); ok {
			n.send(s)
			continue
		}
		if o, ok := a.(*vrrp.Outcome); ok {
			n.judgeOutcome(o)
		}
		n.work = append(n.work, a)
	}
}

// receive puts a packet from the network into the socket.
func (n *node) receive(p *port, pk *packet) {
	f := vrrp.IPv4
	if pk.src.Is6() {
		f = vrrp.IPv6
	}
	if n.stranger() {
		n.receivePlain(p, pk)
		return
	}
	if n.engine == nil || n.suspended || !n.sockets[socketKey{p.number, f}] {
		n.w.release(pk)
		return
	}
	if n.frozen {
		if len(n.inbox) >= socketRoom {
			n.w.release(pk)
			return
		}
		n.inbox = append(n.inbox, letter{p, p.number, pk})
		return
	}
	n.begin()
	n.take(p, p.number, pk)
	n.finish()
}

// take feeds a packet to the Engine.
func (n *node) take(p *port, number int, pk *packet) {
	n.advert = vrrp.AdvertReceived{Interface: number, Source: pk.src, Destination: pk.dst, TTL: pk.ttl, Payload: pk.payload}
	if number == p.told.number { // else it came by an interface that is gone
		n.heard(p, pk)
	}
	n.step(&n.advert)
	n.w.release(pk)
}

// send queues an advert for the end of the turn.
func (n *node) send(s *vrrp.SendAdvert) {
	if !n.sockets[socketKey{s.Interface, s.Router.Family}] {
		return
	}
	n.out = append(n.out, s)
}

// stamp notes in the journal who speaks as master: whose adverts left.
func (n *node) stamp(s *vrrp.SendAdvert, left bool) {
	switch {
	case s.Payload[2] == vrrp.PriorityRelease || !n.engine.IsMaster(s.Router):
		n.journal.stamp(s.Router.Serial, stamp{})
	case left:
		n.journal.stamp(s.Router.Serial, stamp{n.clock.boot(n.w.now), s.PseudoHeader})
	}
}

// flush ends the turn: adverts first, then the rest in order.
func (n *node) flush() {
	out := n.out
	n.out = n.spare[:0]
	for _, s := range out {
		p := n.portNumber(s.Interface)
		n.stamp(s, p != nil && p.up && !n.sendFails)
		switch {
		case p == nil || !p.up:
			n.step(&vrrp.SendFailed{Router: s.Router, Reason: "network is down"})
		case n.sendFails:
			n.step(&vrrp.SendFailed{Router: s.Router, Reason: "operation not permitted"})
		default:
			n.sent(p, s)
			n.w.totals.Adverts++
			n.w.transmit(p, frame(s.Source, s.Destination, s.Payload))
		}
	}
	n.spare = out[:0]
	for i := 0; i < len(n.work); i++ {
		n.act(n.work[i])
		n.work[i] = nil
	}
	n.work = n.work[:0]
}

// act carries out one action that is no advert.
func (n *node) act(a vrrp.Action) {
	switch a := a.(type) {
	case *vrrp.AddAddresses:
		n.order(order{kind: orderAdd, serial: a.Router.Serial, port: a.Interface, addresses: slices.Clone(a.Addresses), lease: a.Lease})
	case *vrrp.RenewAddresses:
		n.order(order{kind: orderRenew, serial: a.Router.Serial, port: a.Interface, addresses: a.Addresses, lease: a.Lease, before: n.now.Sub(epoch) + a.Lease/2})
	case *vrrp.RemoveAddresses:
		n.journal.stamp(a.Router.Serial, stamp{})
		n.order(order{kind: orderRemove, serial: a.Router.Serial, port: a.Interface, addresses: slices.Clone(a.Addresses)})
	case *vrrp.AnnounceAddresses:
		n.order(order{kind: orderAnnounce, serial: a.Router.Serial, port: a.Interface, addresses: slices.Clone(a.Addresses)})
	case *vrrp.StopAnnouncing:
		n.hush(a.Router.Serial)
	case *vrrp.Transition:
		n.transition(a)
	case *vrrp.Notify:
		n.hook(&a.Transition)
	case *vrrp.Notice:
		n.w.totals.Notices++
		n.judgeNotice(a)
	}
}

// linkChanged opens and closes sockets, tells the Engine and has the addresses
// compared with what should be there.
func (n *node) linkChanged(iface string) {
	if n.stopping {
		return
	}
	p := n.port(iface)
	ev := vrrp.Link{Name: iface}
	if p != nil {
		p.planned = false
		n.ensureSockets(p)
		if p.exists {
			ev.Index, ev.Up, ev.Carrier, ev.Addresses = p.number, p.up, p.carrier, p.addresses()
		}
	}
	n.step(&ev)
	n.journalChanged()
	if p != nil {
		n.tell(p, &ev)
		n.order(order{kind: orderAudit, port: iface})
	}
}

// ensureSockets opens what the instances on a port need and closes the rest.
func (n *node) ensureSockets(p *port) {
	need := map[vrrp.Family]bool{}
	for i := range n.configs {
		if n.configs[i].Interface == p.name {
			for _, f := range n.configs[i].Families() {
				need[f] = true
			}
		}
	}
	for _, f := range []vrrp.Family{vrrp.IPv4, vrrp.IPv6} {
		key := socketKey{p.number, f}
		switch {
		case need[f] && p.exists:
			n.sockets[key] = true
		case n.sockets[key] && n.engine.Departing(p.name, f):
			n.later(time.Second, func() { n.linkChanged(p.name) })
		default:
			delete(n.sockets, key)
		}
	}
}

// notify has the daemon hear of a changed interface, as netlink tells it.
func (n *node) notify(p *port, within time.Duration) {
	if n.engine == nil || !n.synced || p.planned {
		return
	}
	p.planned = true
	n.later(50*time.Microsecond+upTo(n.draw(), within), func() {
		if p.planned {
			n.linkChanged(p.name)
		}
	})
}
