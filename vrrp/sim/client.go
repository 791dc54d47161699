package sim

import (
	"net/netip"
	"slices"
	"time"
)

// vip is a virtual address as the client of its segment sees it. The client
// sends to it all the time, so that who answers is known at every moment.
type vip struct {
	w       *world
	index   int
	prefix  netip.Prefix
	seg     *segment
	routers []*vr

	entry   int           // the node that the neighbour table names, or -1
	pointed time.Duration // when it was last set
	trusty  bool
	asking  bool
	served  int // the node that answers, or -1
	since   time.Duration
	gap     int // counts gaps, so that a timer knows its own
	ever    bool

	// serving are the nodes that serve, since a moment; see overlap.
	serving      []string
	servingSince time.Duration
}

// holds reports whether a node has the address and answers for it.
func (v *vip) holds(n *node) bool {
	p := n.portOn(v.seg)
	return n.kernel[v.index].present && !n.suspended && p != nil && p.works()
}

// answers reports whether the client gets an answer from a node.
func (v *vip) answers(n *node) bool {
	p := n.portOn(v.seg)
	return v.holds(n) && p.toClient() && p.fromClient()
}

// ask resolves the address, again each second until somebody answers.
func (v *vip) ask() {
	v.asking = true
	var who []*node
	for _, n := range v.w.nodes {
		if v.answers(n) {
			who = append(who, n)
		}
	}
	if len(who) == 0 {
		v.w.after(time.Second, func() {
			if v.asking {
				v.ask()
			}
		})
		return
	}
	first := who[v.w.hash(3, uint64(v.index), uint64(v.w.now))%uint64(len(who))]
	v.w.after(2*wireDelay, func() {
		if v.asking {
			v.point(first)
		}
	})
}

// point sets the neighbour table.
func (v *vip) point(n *node) {
	v.asking = false
	v.pointed = v.w.now
	if v.entry != n.index {
		v.entry = n.index
		v.w.tracef("client: %v is at %s", v.prefix.Addr(), n.spec.Name)
	}
	v.refresh()
}

// announced is a gratuitous ARP or an unsolicited neighbour advertisement.
func (v *vip) announced(n *node, p *port) {
	l := &p.seg.links[p.slot][p.seg.client()]
	l.count++
	if !p.works() || !l.open() {
		v.trusty = false
		return
	}
	delay := wireDelay
	if l.quality != (Quality{}) {
		var lost bool
		if delay, lost, _ = v.w.weather(p, &port{slot: p.seg.client(), seg: p.seg}, l); lost || delay > lateAfter {
			v.trusty = false
			v.strain()
		}
		if lost {
			return
		}
	}
	v.w.after(delay, func() {
		v.trusty = delay <= lateAfter
		v.point(n)
	})
}

// strain notes that the network did not do to this address what it should.
func (v *vip) strain() {
	for _, r := range v.routers {
		r.disturb(true)
	}
}

// holderChanged follows what a kernel has.
func (v *vip) holderChanged(n *node, has bool, why string) {
	verb := "has"
	if !has {
		verb = "lets go of"
	}
	if v.w.opt.Trace {
		if why != "" {
			why = ": " + why
		}
		v.w.tracef("%s %s %v%s", n.spec.Name, verb, v.prefix.Addr(), why)
	}
	v.refresh()
	for _, r := range v.routers {
		r.changed()
	}
}

// refresh works out who serves.
func (v *vip) refresh() {
	v.overlap()
	now := -1
	if v.entry >= 0 && v.answers(v.w.nodes[v.entry]) {
		now = v.entry
	}
	if now == v.served {
		return
	}
	before := v.served
	v.span()
	v.served = now
	v.ever = v.ever || now >= 0
	switch {
	case now < 0:
		v.w.tracef("client: nobody serves %v", v.prefix.Addr())
		v.unserved(before)
	case before < 0:
		v.gap++
		v.w.tracef("client: %s serves %v", v.w.nodes[now].spec.Name, v.prefix.Addr())
	}
}

// span closes the present span of service.
func (v *vip) span() {
	if v.w.opt.Spans && v.w.now > v.since {
		s := Span{Address: v.prefix.Addr(), From: v.since, To: v.w.now}
		if v.served >= 0 {
			s.By = v.w.nodes[v.served].spec.Name
		}
		v.w.spans = append(v.w.spans, s)
	}
	v.since = v.w.now
}

func (v *vip) finish() {
	v.span()
	v.endOverlap()
}

// judgeAfter is how long after a change the client is judged.
const judgeAfter = time.Microsecond

// unserved has the client ask again when the entry fails, as Linux would: after
// the time in which it still counts as reachable, and three unanswered probes.
// Whether nobody may serve is judged a moment later, so that two changes of one
// moment are no gap.
func (v *vip) unserved(before int) {
	v.gap++
	gap, entry := v.gap, v.entry
	v.w.after(judgeAfter, func() {
		if v.gap == gap && v.served < 0 {
			v.judgeGap(before)
		}
	})
	fails := 5*time.Second + upTo(v.w.hash(4, uint64(v.index), uint64(v.w.now)), 30*time.Second)
	v.w.after(fails, func() {
		if v.gap == gap && v.served < 0 && v.entry == entry && !v.asking {
			v.ask()
		}
	})
}

func (w *world) refreshAll() {
	for _, v := range w.vips {
		v.refresh()
	}
}

func (v *vip) addRouter(r *vr) {
	if !slices.Contains(v.routers, r) {
		v.routers = append(v.routers, r)
	}
}
