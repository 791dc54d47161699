package sim

import (
	"net/netip"
	"slices"
	"time"

	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// strangers are the routers of other people that a node may run, by the name
// that a scenario file gives them.
var strangers = map[string]func() Quirks{
	"keepalived": Keepalived, "oldkeepalived": OldKeepalived, "keepalived-as-v2": KeepalivedAsV2, "frr": FRR,
	"holo": Holo, "rfc9568": Router9568, "rfc5798": Router5798, "rfc3768": Router3768,
}

// A node with strangers has one for each virtual router in place of a daemon:
// no leases, no journal, no checks, and addresses that a killed one leaves for
// ever.

// stranger reports whether the node is of somebody else.
func (n *node) stranger() bool { return n.spec.Plain != "" }

// startPlain starts them.
func (n *node) startPlain() {
	n.life++
	n.foreign = true
	n.frozen, n.stopping, n.now = false, false, epoch.Add(n.local())
	n.w.tracef("%s starts (%s)", n.spec.Name, n.spec.Plain)
	n.reroute()
	for _, r := range n.routers {
		p := NewPlain(n.plainConfig(r))
		r.plain = p
		n.speakPlain(r, p.Start(n.now))
	}
	n.afterPlain()
}

// plainConfig is what such a router is told of a configuration.
func (n *node) plainConfig(r *router) PlainConfig {
	c := PlainConfig{
		VRID: r.cfg.VRID, Version: int(r.cfg.Version), Priority: r.cfg.Priority, Interval: r.cfg.AdvertInterval,
		NoPreempt: !r.cfg.Preempt, PreemptDelay: r.cfg.PreemptDelay, Password: r.cfg.Password, Quirks: strangers[n.spec.Plain](),
	}
	for _, a := range r.cfg.Addresses {
		if vrrp.FamilyOf(a.Addr()) == r.v.family {
			c.Addresses = append(c.Addresses, a.Addr())
		}
	}
	for _, a := range r.cfg.Peers {
		if vrrp.FamilyOf(a) == r.v.family {
			c.Peers = append(c.Peers, a)
		}
	}
	for _, a := range n.portOn(r.v.seg).own {
		if vrrp.FamilyOf(a.Addr()) == r.v.family && !c.Source.IsValid() {
			c.Source = a.Addr()
		}
	}
	return c
}

// speakPlain sends what one says.
func (n *node) speakPlain(r *router, frames []Frame) {
	p := n.portOn(r.v.seg)
	for _, f := range frames {
		if n.sendFails {
			return
		}
		n.w.totals.Adverts++
		if priority := int(f.Payload[2]); n.w.opt.Trace && priority != r.spokePriority {
			n.w.tracef("%s: advert of priority %d", r, priority)
			r.spokePriority = priority
		}
		n.w.transmit(p, f)
	}
}

// receivePlain lets them hear a packet.
func (n *node) receivePlain(p *port, pk *packet) {
	defer n.w.release(pk)
	if !n.running() || len(pk.payload) < 8 {
		return
	}
	n.now = epoch.Add(n.local())
	for _, r := range n.routers {
		if r.plain != nil && r.v.seg == p.seg && r.v.vrid == pk.payload[1] && (r.v.family == vrrp.IPv6) == pk.src.Is6() {
			f := Frame{Source: pk.src, Destination: pk.dst, TTL: pk.ttl, Payload: slices.Clone(pk.payload)}
			n.speakPlain(r, r.plain.Receive(n.now, f))
			n.followPlain(r)
		}
	}
	n.afterPlain()
}

// tickPlain lets their timers expire.
func (n *node) tickPlain() {
	n.now = epoch.Add(n.local())
	for _, r := range n.routers {
		if r.plain != nil {
			n.speakPlain(r, r.plain.Tick(n.now))
			n.followPlain(r)
		}
	}
	n.afterPlain()
}

// stopPlain asks them to leave.
func (n *node) stopPlain() {
	if !n.running() || n.stopping {
		return
	}
	n.stopping = true
	n.now = epoch.Add(n.local())
	for _, r := range n.routers {
		if r.plain != nil {
			n.speakPlain(r, r.plain.Stop(n.now))
			n.followPlain(r)
		}
	}
	n.afterPlain()
}

// followPlain makes kernel and client follow what one did.
func (n *node) followPlain(r *router) {
	holds := r.plain.Holds()
	p := n.portOn(r.v.seg)
	for _, a := range r.cfg.Addresses {
		at, ok := p.lookup(a.Addr())
		if !ok || vrrp.FamilyOf(a.Addr()) != r.v.family {
			continue
		}
		if slices.Contains(holds, a.Addr()) {
			n.set(at, 0)
		} else {
			n.unset(at, "")
		}
	}
	for _, a := range r.plain.Announces() {
		if at, ok := p.lookup(a); ok {
			n.w.vips[at].announced(n, p)
		}
	}
	s := vrrp.Standing{State: vrrp.StateBackup, Priority: r.cfg.Priority}
	if r.plain.Master() {
		s.State = vrrp.StateMaster
	}
	if n.stopping {
		s.State = vrrp.StateInit
	}
	if s != r.standing {
		before := r.standing
		r.standing = s
		if n.w.opt.Trace {
			n.w.tracef("%s: %v -> %v", r, before.State, s.State)
		}
		r.moved(before)
	}
}

// afterPlain plans the next timer.
func (n *node) afterPlain() {
	var next time.Time
	for _, r := range n.routers {
		if r.plain == nil {
			continue
		}
		n.followPlain(r)
		if at, ok := r.plain.Deadline(); ok && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	if n.wake = 0; next.IsZero() {
		if n.stopping {
			n.w.tracef("%s has stopped", n.spec.Name)
			n.end()
		}
		return
	}
	n.wake = max(next.Sub(epoch), n.local(), 1)
	n.plan()
}

// alive reports whether anything runs on the node that speaks VRRP.
func (n *node) alive() bool { return n.engine != nil || n.foreign }

// awkward reports whether strangers and Engines among the members cannot be
// held to the promises: two kinds of stranger may refuse each other.
func (v *vr) awkward() bool {
	kind, owner := "", false
	for _, r := range v.members {
		if r.cfg.Priority == vrrp.PriorityOwner {
			owner = true // strangers disagree about what follows
		}
		switch k := r.n.spec.Plain; {
		case k == "":
		case kind != "" && kind != k, k == "rfc3768" && r.cfg.Version != vrrp.Version2, k == "holo" && v.intervals() > 1,
			strangers[k]().List != ListAny && v.lists() > 1:
			return true
		default:
			kind = k
		}
	}
	return kind != "" && owner
}

// lists counts different address lists.
func (v *vr) lists() int {
	seen := map[string]bool{}
	for _, r := range v.members {
		seen[join(r.cfg.Addresses)] = true
	}
	return len(seen)
}

// intervals counts different advert intervals.
func (v *vr) intervals() int {
	seen := map[time.Duration]bool{}
	for _, r := range v.members {
		seen[r.cfg.AdvertInterval] = true
	}
	return len(seen)
}

// frame is an advert of an Engine on the wire.
func frame(src, dst netip.Addr, payload []byte) Frame {
	return Frame{Source: src, Destination: dst, TTL: vrrp.TTL, Payload: payload}
}
