package sim

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// epoch is what the clocks of all nodes begin at.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// world is one run.
type world struct {
	h     *History
	opt   Options
	now   time.Duration
	queue eventQueue
	nodes []*node
	segs  []*segment
	vips  []*vip
	index map[vipKey]int
	vrs   []*vr
	next  int // step

	packets   []*packet // free ones
	violation *Violation
	totals    Totals
	trace     []string
	spans     []Span
	overlaps  []Overlap
	// lossless is since when nothing but planned operations have happened and
	// everybody hears everybody; see quietNow.
	troubled time.Duration
}

// vipKey tells addresses apart: link-local ones exist on each segment.
type vipKey struct {
	addr    netip.Addr
	segment int
}

func newWorld(h *History, opt Options) *world {
	w := &world{h: h, opt: opt, index: map[vipKey]int{}, troubled: -time.Hour}
	for i := range h.Nodes {
		w.addNode(&h.Nodes[i])
	}
	for _, n := range w.nodes {
		for _, list := range n.spec.Configs {
			for k := range list {
				w.addInstance(n, &list[k])
			}
		}
	}
	for _, s := range w.segs {
		s.connect()
	}
	for _, n := range w.nodes {
		n.kernel = make([]kernelAddress, len(w.vips))
		n.entries = make([]entry, len(w.vips))
	}
	for _, v := range w.vrs {
		v.bound = v.worstElection()
		v.spoke, v.spokeBefore = make([]word, len(w.nodes)), make([]word, len(w.nodes))
	}
	return w
}

func (w *world) addNode(spec *Node) {
	n := &node{w: w, index: len(w.nodes), spec: spec, powered: true, health: map[string]bool{}}
	n.random = w.hash(1, uint64(n.index), 0)
	for _, p := range spec.Ports {
		s := w.segment(p.Segment)
		q := &port{node: n, name: p.Interface, seg: s, slot: len(s.ports), exists: true, up: true, carrier: true, number: len(n.ports) + 2, own: p.Addresses}
		s.ports = append(s.ports, q)
		n.ports = append(n.ports, q)
	}
	w.nodes = append(w.nodes, n)
}

func (w *world) segment(name string) *segment {
	for _, s := range w.segs {
		if s.name == name {
			return s
		}
	}
	s := &segment{w: w, name: name, index: len(w.segs), routers: map[bool]*routerTable{false: {}, true: {}}}
	w.segs = append(w.segs, s)
	return s
}

// addInstance notes the addresses and virtual routers of a configuration.
func (w *world) addInstance(n *node, c *vrrp.Config) {
	p := n.port(c.Interface)
	if p == nil {
		return
	}
	for _, f := range c.Families() {
		v := p.seg.routers[f == vrrp.IPv6][c.VRID]
		if v == nil {
			v = &vr{w: w, seg: p.seg, vrid: c.VRID, family: f, index: len(w.vrs)}
			p.seg.routers[f == vrrp.IPv6][c.VRID] = v
			w.vrs = append(w.vrs, v)
		}
		v.learn(n, c)
		for _, a := range c.Addresses {
			if vrrp.FamilyOf(a.Addr()) == f {
				v.addVIP(w.vip(a, p.seg))
			}
		}
	}
}

func (w *world) vip(a netip.Prefix, s *segment) *vip {
	key := vipKey{a.Addr(), 0}
	if a.Addr().IsLinkLocalUnicast() {
		key.segment = s.index
	}
	at, ok := w.index[key]
	if !ok {
		at = len(w.vips)
		w.index[key] = at
		w.vips = append(w.vips, &vip{w: w, index: at, prefix: a, seg: s, entry: -1, served: -1, trusty: true})
	}
	return w.vips[at]
}

// lookup returns the number of an address on a port.
func (p *port) lookup(a netip.Addr) (int, bool) {
	key := vipKey{a, 0}
	if a.IsLinkLocalUnicast() {
		key.segment = p.seg.index
	}
	at, ok := p.seg.w.index[key]
	return at, ok
}

// run lets everything happen.
func (w *world) run() {
	for _, n := range w.nodes {
		if !n.spec.Off {
			n.boot(0)
		}
	}
	for _, v := range w.vips {
		v.ask()
	}
	w.disturb(false)
	if len(w.h.Steps) > 0 {
		w.push(w.h.Steps[0].At, evStep, 0, nil)
	}
	for w.violation == nil && len(w.queue) > 0 && w.queue[0].at <= w.h.End {
		e := w.queue.pop()
		if e.at > w.now {
			w.now = e.at
		}
		w.handle(&e)
	}
	if w.violation == nil {
		w.now = w.h.End
	}
	for _, v := range w.vips {
		v.finish()
	}
	w.totals.Virtual = w.now
}

func (w *world) handle(e *event) {
	w.totals.Events++
	switch e.kind {
	case evStep:
		w.step()
	case evWake:
		w.nodes[e.who].wakeUp(e.at)
	case evPacket:
		w.arrive(e.who, e.packet)
	case evOrder:
		w.nodes[e.who].carryOut()
	case evExpire:
		w.nodes[e.who].expire(e.at, e.packetless)
	case evCheck:
		w.vrs[e.who].check()
	case evCall:
		e.call()
	}
}

// push plans an event.
func (w *world) push(at time.Duration, k eventKind, who int, p *packet) {
	w.totals.pushed++
	w.queue.push(event{at: at, seq: w.totals.pushed, kind: k, who: int32(who), packet: p})
}

// after plans a call.
func (w *world) after(d time.Duration, f func()) {
	w.totals.pushed++
	w.queue.push(event{at: w.now + d, seq: w.totals.pushed, kind: evCall, call: f})
}

// hash draws a number that depends on nothing but the seed and what it is for.
func (w *world) hash(what, a, b uint64) uint64 {
	return scramble(scramble(scramble(w.h.Seed+what*0x9e3779b97f4a7c15)+a) + b)
}

func scramble(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// upTo turns a random number into a duration below most.
func upTo(x uint64, most time.Duration) time.Duration {
	if most <= 0 {
		return 0
	}
	return time.Duration(x % uint64(most))
}

func (w *world) tracef(format string, args ...any) {
	if w.opt.Trace {
		w.trace = append(w.trace, fmt.Sprintf("%10.6fs ", w.now.Seconds())+fmt.Sprintf(format, args...))
	}
}

// fail records the first violation.
func (w *world) fail(name, format string, args ...any) {
	if w.violation == nil {
		w.violation = &Violation{Invariant: name, At: w.now, Text: fmt.Sprintf(format, args...)}
		w.tracef("VIOLATION %s: %s", name, w.violation.Text)
	}
}

// node returns the node of a name.
func (w *world) node(name string) *node {
	for _, n := range w.nodes {
		if n.spec.Name == name {
			return n
		}
	}
	return nil
}

func (w *world) names(list []*node) string {
	var words []string
	for _, n := range list {
		words = append(words, n.spec.Name)
	}
	return strings.Join(words, ", ")
}
