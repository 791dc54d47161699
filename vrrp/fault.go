package vrrp

import (
	"fmt"
	"net/netip"
	"slices"
)

// fault returns what keeps this virtual router from taking part: something of
// its own, or of its group.
func (r *router) fault() (string, bool) {
	if why, bad := r.ownFault(); bad {
		return why, true
	}
	return r.inst.mateFault()
}

// ownFault is fault without regard to the group.
func (r *router) ownFault() (string, bool) {
	cfg := r.inst.cfg
	if why, bad := r.inst.releasing(); bad {
		return why, true
	}
	l := r.inst.e.links[cfg.Interface]
	switch {
	case l == nil:
		return "", false // not known yet: wait says so
	case l.Index == 0:
		return fmt.Sprintf("interface %s does not exist", cfg.Interface), true
	case !l.Up:
		return fmt.Sprintf("interface %s is down", cfg.Interface), true
	case !l.Carrier:
		return fmt.Sprintf("interface %s has no carrier", cfg.Interface), true
	case l.Problem != "":
		return l.Problem, true
	case r.mute != "":
		return r.mute, true
	case !r.source.IsValid() && cfg.Source.IsValid() && FamilyOf(cfg.Source) == r.id.Family:
		return fmt.Sprintf("source %v is not on interface %s", cfg.Source, cfg.Interface), true
	case !r.source.IsValid():
		return r.sourceless(l), true
	}
	return "", false
}

// sourceless tells that there is no address to send from.
func (r *router) sourceless(l *link) string {
	iface, kind := r.inst.cfg.Interface, r.id.Family.String()
	if r.id.Family == IPv6 && len(r.inst.cfg.Peers) == 0 {
		kind = "IPv6 link-local"
	}
	if a := r.pickSource(l.Virtual); a.IsValid() {
		return fmt.Sprintf("interface %s has no %s address of its own to send from, only the virtual %v: give it another one, or set priority = %d if this host owns %v", iface, kind, a, PriorityOwner, a)
	}
	return fmt.Sprintf("interface %s has no %s address to send from", iface, kind)
}

// wait returns what a router in init waits for.
func (r *router) wait() (string, bool) {
	if r.inst.e.links[r.inst.cfg.Interface] == nil {
		return fmt.Sprintf("waiting for the state of interface %s", r.inst.cfg.Interface), true
	}
	if r.adopted() || r.unnoticed() {
		return "", false // whatever a check will say, it is master now
	}
	if !r.readyAt.IsZero() {
		return fmt.Sprintf("start-up delay of %v", r.inst.cfg.StartupDelay), true
	}
	if name, is := r.inst.waiting(); is {
		return fmt.Sprintf("waiting for the first result of check %s", name), true
	}
	return "", false
}

// reachable reports whether adverts can leave at all.
func (r *router) reachable() bool {
	return r.linkWorks() && r.mute == "" && r.source.IsValid()
}

// linkWorks reports whether the interface can be used.
func (r *router) linkWorks() bool {
	l := r.inst.e.links[r.inst.cfg.Interface]
	return l != nil && l.Index != 0 && l.Up && l.Carrier && l.Problem == ""
}

// followLink takes over what the interface says.
func (r *router) followLink() {
	l := r.inst.e.links[r.inst.cfg.Interface]
	r.index, r.onLink, r.source = 0, nil, netip.Addr{}
	if l == nil || l.Index == 0 {
		return
	}
	r.index, r.onLink = l.Index, l.Addresses
	r.source = r.pickSource(l.Addresses)
}

// pickSource returns the address to send from: the configured one, else the
// first of the interface, for IPv6 the first link-local (RFC 9568 section
// 5.1.2.1). Unicast over IPv6 to a peer with a global address takes the first
// global one.
func (r *router) pickSource(list []netip.Prefix) netip.Addr {
	cfg := r.inst.cfg
	want := cfg.Source
	if want.IsValid() && FamilyOf(want) != r.id.Family {
		want = netip.Addr{}
	}
	routedPeer := r.id.Family == IPv6 && slices.ContainsFunc(cfg.Peers, func(a netip.Addr) bool {
		return FamilyOf(a) == IPv6 && !a.IsLinkLocalUnicast()
	})
	var first netip.Addr
	for _, p := range list {
		a := p.Addr()
		switch {
		case FamilyOf(a) != r.id.Family:
		case want.IsValid():
			if a == want {
				return a
			}
		case r.id.Family == IPv6 && a.IsLinkLocalUnicast() == routedPeer:
		case !first.IsValid():
			first = a
		}
	}
	return first
}
