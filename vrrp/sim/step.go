package sim

import (
	"slices"
	"strings"
	"time"

	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// step carries out the next step of the history.
func (w *world) step() {
	s := &w.h.Steps[w.next]
	if w.next++; w.next < len(w.h.Steps) {
		w.push(max(w.h.Steps[w.next].At, w.now), evStep, 0, nil)
	}
	w.tracef("-- %s", strings.TrimPrefix(s.String(), "at "+s.At.String()+" "))
	w.totals.Events++
	w.disturb(!s.planned())
	n := w.node(s.Node)
	switch {
	case s.Op == OpPartition:
		w.partition(strings.Split(s.Node, ","))
	case s.Op == OpHeal:
		w.eachLink("*", "*", func(l *link) { l.parted, l.muted = false, false })
		w.healed()
	case takesOther[s.Op]:
		w.stepLink(s)
	case n != nil:
		n.stepNode(s)
	}
	w.refreshAll()
}

// partition lets the nodes of a list hear only each other, and the rest too.
func (w *world) partition(inside []string) {
	w.eachPair(func(l *link, from, to string) {
		l.parted = slices.Contains(inside, from) != slices.Contains(inside, to)
	})
}

// eachPair visits every directed link.
func (w *world) eachPair(f func(l *link, from, to string)) {
	for _, s := range w.segs {
		name := func(slot int) string {
			if slot == s.client() {
				return client
			}
			return s.ports[slot].node.spec.Name
		}
		for a := range s.links {
			for b := range s.links[a] {
				if a != b {
					f(&s.links[a][b], name(a), name(b))
				}
			}
		}
	}
}

func (w *world) eachLink(from, to string, f func(*link)) {
	w.eachPair(func(l *link, a, b string) {
		if (from == "*" || from == a) && (to == "*" || to == b) {
			f(l)
		}
	})
}

func (w *world) stepLink(s *Step) {
	w.eachLink(s.Node, s.Other, func(l *link) {
		switch s.Op {
		case OpMute:
			l.muted = true
		case OpUnmute:
			l.muted = false
		case OpLink:
			l.quality = s.Quality
		}
	})
	if s.Op == OpUnmute {
		w.healed()
	}
}

func (n *node) stepNode(s *Step) {
	if n.suspended && (s.Op == OpCrash || s.Op == OpStart) {
		return // nothing happens on a host that stands still
	}
	if s.Op == OpCrash || s.Op == OpStop || s.Op == OpPowerOff {
		n.held = nil
	}
	switch s.Op {
	case OpCrash:
		if n.alive() {
			n.crashed()
			n.frozen = false
			n.dies(n.life + 1)
			n.end()
		}
	case OpPowerOff:
		if n.powered {
			n.powerOff()
		}
	case OpBoot:
		if !n.powered {
			n.boot(s.Config)
		}
	case OpFreeze, OpSuspend:
		n.pause(s.Op == OpSuspend)
		n.dies(n.life)
	case OpResume, OpWake:
		n.unpause()
	case OpRefuse, OpAccept:
		n.refusing, n.accepted = s.Op == OpRefuse, n.w.now
	case OpBusy:
		n.busy = n.powered
	case OpAnswer:
		n.answer()
	case OpSendFail, OpSendOK:
		before := n.sendFails
		if n.sendFails = s.Op == OpSendFail; n.sendFails != before {
			n.silences++
		}
		if n.sendFails && !before {
			n.silenced()
		}
	case OpClock:
		n.clock.setRate(n.w.now, s.PPM)
		n.planned = 0
		if n.wake > 0 {
			n.plan()
		}
	case OpRemove:
		n.removeAddress(s)
	case OpInject:
		n.inject(s.Name)
	case OpFail, OpPass:
		n.health[s.Name] = s.Op == OpPass
		if n.engine != nil && slices.ContainsFunc(n.configs, func(c vrrp.Config) bool {
			return slices.ContainsFunc(c.Checks, func(k vrrp.Check) bool { return k.Name == s.Name })
		}) {
			n.call(func() { n.checked(s.Name) })
		}
	case OpStart:
		if n.suspended {
			return // nothing runs there
		}
		if n.engine == nil && !s.NoJournal {
			n.expectSilence(s.Config)
		}
		n.startAnswered(s)
	case OpStop:
		if n.stranger() {
			n.stopPlain()
			return
		}
		n.call(func() {
			if !n.stopping {
				n.stopping = true
				n.step(&vrrp.Stop{})
			}
		})
	case OpDrain:
		n.ordered(s.Name, &vrrp.Drain{Instance: s.Name})
	case OpTryDrain:
		n.ordered(s.Name, &vrrp.Drain{Instance: s.Name, Try: true})
	case OpFailover:
		n.ordered(s.Name, &vrrp.Failover{Instance: s.Name})
	case OpUndrain:
		n.call(func() { n.step(&vrrp.Undrain{Instance: s.Name}) })
	case OpAnnounce:
		n.call(func() { n.step(&vrrp.AnnounceNow{}) })
	case OpReload:
		n.later(time.Millisecond, func() {
			if !n.stopping {
				n.config = s.Config
				n.apply(n.spec.Configs[s.Config])
			}
		})
	default:
		n.stepPorts(s)
	}
}

// stepPorts does something to the interfaces of a node.
func (n *node) stepPorts(s *Step) {
	for _, p := range n.ports {
		if s.Name != "" && s.Name != p.name {
			continue
		}
		switch s.Op {
		case OpPull, OpPlug:
			p.carrier = s.Op == OpPlug
		case OpCut, OpMend:
			p.cut = s.Op == OpCut
			if !p.cut {
				n.w.healed()
			}
			continue // nobody sees it
		case OpDown, OpUp:
			p.setUp(s.Op == OpUp)
		case OpGone, OpBack:
			p.setExists(s.Op == OpBack)
		}
		n.notify(p, 4*time.Millisecond)
	}
}

// setUp switches the interface. IPv6 addresses go with it, and come back when
// duplicate address detection has run.
func (p *port) setUp(up bool) {
	if p.up == up {
		return
	}
	n := p.node
	if p.up = up; !up {
		p.noIPv6 = true
		for at, v := range n.w.vips {
			if v.seg == p.seg && v.prefix.Addr().Is6() {
				n.lose(at, "interface down")
			}
		}
		return
	}
	n.w.after(1500*time.Millisecond, func() {
		if p.up && p.exists {
			p.noIPv6 = false
			n.notify(p, time.Millisecond)
		}
	})
}

func (p *port) setExists(exists bool) {
	if p.exists == exists {
		return
	}
	n := p.node
	if p.exists = exists; !exists {
		for at, v := range n.w.vips {
			if v.seg == p.seg {
				n.lose(at, "interface gone")
			}
		}
		return
	}
	p.number += 10
	p.setUp(false)
	p.setUp(true)
}

// badPackets are what may be wrong with a packet; see inject.
var badPackets = []string{"ttl", "checksum", "short", "vrid", "version", "interval", "type", "count", "own"}

// inject lets a bad packet arrive, in a turn of its own, and looks whether it
// changes anything.
func (n *node) inject(kind string) {
	if n.stranger() || !n.running() || len(n.routers) == 0 {
		return
	}
	r := n.routers[int(n.draw()%uint64(len(n.routers)))]
	p := n.port(r.cfg.Interface)
	if p == nil || !p.exists {
		return
	}
	n.begin()
	n.finish() // what is due anyway
	if n.engine == nil {
		return
	}
	ev, bad := r.badAdvert(p, kind)
	if !bad {
		return
	}
	before, due := r.standing, n.wake
	n.begin()
	acts := n.engine.Step(n.now, ev)
	for _, a := range acts {
		if _, ok := a.(*vrrp.Notice); !ok {
			n.w.fail("bad-packet", "%s answered a packet with bad %s by %T", n.spec.Name, kind, a)
		}
	}
	n.finish()
	if r.standing != before || n.wake != due {
		n.w.fail("bad-packet", "a packet with bad %s changed %v of %s", kind, r, n.spec.Name)
	}
}

// badAdvert makes a packet that must be refused, from a neighbour of priority
// 254 that would win.
func (r *router) badAdvert(p *port, kind string) (ev *vrrp.AdvertReceived, ok bool) {
	src, dst := neighbour(p, r.v.family), vrrp.GroupIPv4
	if r.v.family == vrrp.IPv6 {
		dst = vrrp.GroupIPv6
	}
	if len(r.cfg.Peers) > 0 || !src.IsValid() {
		return nil, false
	}
	pk := vrrp.Packet{Version: r.cfg.Version, VRID: r.cfg.VRID, Priority: 254, Interval: r.cfg.AdvertInterval}
	for _, a := range r.cfg.Addresses {
		if vrrp.FamilyOf(a.Addr()) == r.v.family {
			pk.Addresses = append(pk.Addresses, a.Addr())
		}
	}
	b, err := pk.AppendTo(nil, src, dst, false)
	if err != nil {
		return nil, false
	}
	ev = &vrrp.AdvertReceived{Interface: p.number, Source: src, Destination: dst, TTL: vrrp.TTL, Payload: b}
	switch kind {
	case "ttl":
		ev.TTL = 64
	case "checksum":
		b[7] ^= 0x55
	case "short":
		ev.Payload = b[:7]
	case "vrid":
		b[1] ^= 0xff // and so the checksum is wrong for whoever has that one
	case "version":
		b[0] = 0x41
	case "type":
		b[0] = byte(r.cfg.Version)<<4 | 2
	case "count":
		b[3] = 0
	case "interval":
		b[4], b[5] = 0, 0
	case "own":
		for _, a := range p.own {
			ev.Source = a.Addr()
			if vrrp.FamilyOf(a.Addr()) == r.v.family {
				break
			}
		}
		return ev, len(p.own) > 0 && r.v.family == vrrp.FamilyOf(ev.Source) && r.v.family == vrrp.IPv4
	}
	return ev, true
}

// removeAddress is somebody who removes an address by hand.
func (n *node) removeAddress(s *Step) {
	for at, v := range n.w.vips {
		if v.prefix.Addr() == s.Address && n.kernel[at].present {
			n.lose(at, "removed by somebody")
			n.expectRepair(at)
		}
	}
}
