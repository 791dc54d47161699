package sim

import (
	"net/netip"
	"slices"
	"time"
)

// segment is a switch with the ports of nodes and one client. An interface has
// one hardware address and stays in its port, so that the switch always knows
// where to send; what matters is where the client's neighbour table points.
type segment struct {
	w     *world
	name  string
	index int
	ports []*port
	// links are the directed links from port to port; the last index is the
	// client.
	links   [][]link
	routers map[bool]*routerTable
}

type routerTable [256]*vr

// port is an interface of a node.
type port struct {
	node *node
	name string
	seg  *segment
	slot int
	own  []netip.Prefix

	number              int // the interface index
	exists, up, carrier bool
	cut                 bool // passes nothing, and the host does not see it
	noIPv6              bool // its IPv6 addresses are not back yet
	planned             bool // the daemon will hear of a change
	told                told
}

// link is the way from one port to another.
type link struct {
	muted, parted bool
	quality       Quality
	count         uint64 // of packets
}

func (l *link) open() bool { return !l.muted && !l.parted }

// wireDelay is what a clean link takes.
const wireDelay = 60 * time.Microsecond

// packet is an advert on its way.
type packet struct {
	payload []byte
	src     netip.Addr
	dst     netip.Addr
	ttl     int
	from    *port
	refs    int
	late    bool
}

func (s *segment) connect() {
	n := len(s.ports) + 1
	s.links = make([][]link, n)
	for i := range s.links {
		s.links[i] = make([]link, n)
	}
}

// works reports whether the port can pass frames.
func (p *port) works() bool {
	return p.exists && p.up && p.carrier && !p.cut && p.node.powered
}

// reaches reports whether frames pass from one port to another now.
func (p *port) reaches(q *port) bool {
	return p.works() && q.works() && p.seg.links[p.slot][q.slot].open()
}

// client slots.
func (s *segment) client() int { return len(s.ports) }

func (p *port) toClient() bool   { return p.works() && p.seg.links[p.slot][p.seg.client()].open() }
func (p *port) fromClient() bool { return p.works() && p.seg.links[p.seg.client()][p.slot].open() }

// addresses are the usable own addresses of the port.
func (p *port) addresses() []netip.Prefix {
	if !p.exists {
		return nil
	}
	list := make([]netip.Prefix, 0, len(p.own))
	for _, a := range p.own {
		if a.Addr().Is4() || p.up && !p.noIPv6 {
			list = append(list, a)
		}
	}
	return list
}

func (p *port) has(a netip.Addr) bool {
	return slices.ContainsFunc(p.own, func(o netip.Prefix) bool { return o.Addr() == a })
}

// newPacket takes a packet from the free ones.
func (w *world) newPacket() *packet {
	if n := len(w.packets); n > 0 {
		p := w.packets[n-1]
		w.packets = w.packets[:n-1]
		p.late = false
		return p
	}
	return &packet{}
}

func (w *world) release(p *packet) {
	if p.refs--; p.refs == 0 {
		w.packets = append(w.packets, p)
	}
}

// transmit puts an advert on the wire.
func (w *world) transmit(p *port, f Frame) {
	if !p.works() {
		return
	}
	if w.opt.Capture != nil {
		if err := w.opt.Capture.Write(epoch.Add(w.now), f); err != nil {
			w.opt.Capture = nil
			w.tracef("no capture any more: %v", err)
		}
	}
	pk := w.newPacket()
	pk.payload = append(pk.payload[:0], f.Payload...)
	pk.src, pk.dst, pk.ttl, pk.from, pk.refs = f.Source, f.Destination, f.TTL, p, 1
	multicast := f.Destination.IsMulticast()
	for _, q := range p.seg.ports {
		if q != p && (multicast || q.has(f.Destination)) {
			w.forward(p, q, pk)
		}
	}
	w.release(pk)
}

// forward decides what a link does to a packet.
func (w *world) forward(p, q *port, pk *packet) {
	l := &p.seg.links[p.slot][q.slot]
	l.count++
	if !l.open() || !q.works() {
		return
	}
	delay := wireDelay
	if l.quality != (Quality{}) {
		var lost, twice bool
		delay, lost, twice = w.weather(p, q, l)
		if lost {
			w.lost(p.seg, pk)
			return
		}
		if twice {
			w.deliver(q, pk, delay+delay/2)
		}
	}
	w.deliver(q, pk, delay)
}

// weather draws what happens to the next packet of a link.
func (w *world) weather(p, q *port, l *link) (delay time.Duration, lost, twice bool) {
	x := w.hash(2, uint64(p.seg.index)<<16|uint64(p.slot)<<8|uint64(q.slot), l.count)
	percent := func(n int) bool {
		x = scramble(x)
		return int(x%100) < n
	}
	lost, twice = percent(l.quality.Loss), percent(l.quality.Duplicate)
	delay = wireDelay + l.quality.Delay + upTo(scramble(x), l.quality.Jitter)
	if percent(l.quality.Reorder) {
		delay += l.quality.Delay + l.quality.Jitter + time.Millisecond
	}
	return delay, lost, twice
}

func (w *world) deliver(q *port, pk *packet, delay time.Duration) {
	pk.refs++
	if delay > lateAfter { // as good as lost, until it arrives
		pk.late = true
		w.missed(q.seg, pk)
	}
	w.push(w.now+delay, evPacket, q.seg.index<<8|q.slot, pk)
}

// arrive passes a packet to the node of a port.
func (w *world) arrive(who int32, pk *packet) {
	q := w.segs[who>>8].ports[who&0xff]
	if pk.late {
		w.lost(q.seg, pk)
	}
	if q.works() && pk.from.seg.links[pk.from.slot][q.slot].open() {
		q.node.receive(q, pk)
		return
	}
	w.release(pk)
}

// lost notes that an advert did not arrive as it should.
func (w *world) lost(s *segment, pk *packet) {
	w.totals.Lost++
	w.missed(s, pk)
}

// missed has the virtual router judged only an election after what an advert
// that somebody has not heard may change.
func (w *world) missed(s *segment, pk *packet) {
	if len(pk.payload) < 8 {
		return
	}
	if v := s.routers[pk.src.Is6()][pk.payload[1]]; v != nil {
		v.disturb(true)
	}
}
