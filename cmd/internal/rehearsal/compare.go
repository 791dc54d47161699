package rehearsal

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// compare finds where the files do not fit together.
func (n *network) compare() (list []Finding) {
	for _, s := range n.services {
		list = append(list, n.alone(s)...)
		for i, m := range s.members {
			if i > 0 {
				list = append(list, n.differ(s, s.members[0], m)...)
			}
			for _, o := range s.members[:i] {
				list = append(list, n.rank(s, o, m)...)
				list = append(list, n.speak(s, o, m)...)
			}
		}
		list = append(list, n.stays(s)...)
	}
	return append(list, n.clashes()...)
}

// found makes a finding about a service.
func (n *network) found(s *service, hint, format string, args ...any) Finding {
	return Finding{Instance: s.name, Text: fmt.Sprintf(format, args...), Hint: hint}
}

func (n *network) name(m member) string { return n.nodes[m.node].Name }

// alone tells of a service that one node alone has.
func (n *network) alone(s *service) []Finding {
	if len(s.members) > 1 {
		return nil
	}
	return []Finding{n.found(s, "give it to another node, with the same name, vrid and addresses",
		"only %s has it: nobody can take over", n.name(s.members[0]))}
}

// differ tells what two nodes of a service have that must be the same.
func (n *network) differ(s *service, a, b member) (list []Finding) {
	add := func(hint, format string, args ...any) { list = append(list, n.found(s, hint, format, args...)) }
	if a.cfg.VRID != b.cfg.VRID {
		add("write the same vrid", "vrid %d on %s, %d on %s: they do not hear each other, and both serve", a.cfg.VRID, n.name(a), b.cfg.VRID, n.name(b))
	}
	if a.cfg.Version != b.cfg.Version {
		add("write the same version", "version %d on %s, %d on %s: they refuse each other's adverts, and both serve", a.cfg.Version, n.name(a), b.cfg.Version, n.name(b))
	}
	if only, extra := missing(a.cfg, b.cfg), missing(b.cfg, a.cfg); len(only)+len(extra) > 0 {
		add("list the same addresses", "the addresses differ: only %s has %s, only %s has %s: these do not move", n.name(a), addrs(only), n.name(b), addrs(extra))
	}
	switch {
	case a.cfg.AdvertInterval == b.cfg.AdvertInterval:
	case a.cfg.Version == vrrp.Version2:
		add("write the same advert_interval", "adverts each %v from %s, each %v from %s: version 2 refuses them, and both serve",
			a.cfg.AdvertInterval, n.name(a), b.cfg.AdvertInterval, n.name(b))
	default:
		add("write the same advert_interval", "adverts each %v from %s, each %v from %s: how soon a death is noticed depends on who is master",
			a.cfg.AdvertInterval, n.name(a), b.cfg.AdvertInterval, n.name(b))
	}
	if a.cfg.Password != b.cfg.Password {
		add("write the same auth", "the passwords of %s and %s differ: they refuse each other's adverts, and both serve", n.name(a), n.name(b))
	}
	if (a.cfg.Group == "") != (b.cfg.Group == "") {
		add("give the group to all nodes", "it moves with a group on one of %s and %s alone", n.name(a), n.name(b))
	}
	return list
}

// missing lists the addresses that a has and b has not.
func missing(a, b *vrrp.Config) (list []netip.Addr) {
	for _, p := range a.Addresses {
		if !holds(b, p.Addr()) && !p.Addr().IsLinkLocalUnicast() {
			list = append(list, p.Addr())
		}
	}
	return list
}

func addrs(list []netip.Addr) string {
	if len(list) == 0 {
		return "none"
	}
	var words []string
	for _, a := range list[:min(len(list), 4)] {
		words = append(words, a.String())
	}
	if len(list) > 4 {
		words = append(words, fmt.Sprintf("%d more", len(list)-4))
	}
	return strings.Join(words, " ")
}

// rank tells of two nodes that nothing but their addresses puts in order.
func (n *network) rank(s *service, a, b member) []Finding {
	if a.cfg.Priority != b.cfg.Priority {
		return nil
	}
	if a.cfg.Priority == vrrp.PriorityOwner {
		return []Finding{n.found(s, "one node alone can own the addresses", "%s and %s both have priority 255, the address owner's", n.name(a), n.name(b))}
	}
	return []Finding{n.found(s, "give them different priorities",
		"%s and %s both have priority %d: the one with the higher address wins, here %s", n.name(a), n.name(b), a.cfg.Priority, n.name(b))}
}

// speak tells of two nodes that do not reach each other by unicast.
func (n *network) speak(s *service, a, b member) (list []Finding) {
	if (len(a.cfg.Peers) == 0) != (len(b.cfg.Peers) == 0) {
		if len(a.cfg.Peers) == 0 {
			a, b = b, a
		}
		return []Finding{n.found(s, "list peers on both or on none", "%s speaks unicast, %s multicast: they do not hear each other, and both serve", n.name(a), n.name(b))}
	}
	if len(a.cfg.Peers) == 0 {
		return nil
	}
	for _, pair := range [][2]member{{a, b}, {b, a}} {
		from, to := pair[0], pair[1]
		for _, f := range from.cfg.Families() {
			if !slices.ContainsFunc(n.own(from, f), func(x netip.Addr) bool { return slices.Contains(to.cfg.Peers, x) }) {
				list = append(list, n.found(s, fmt.Sprintf("put the address of %s into the peers of %s", n.name(from), n.name(to)),
					"no %v peer of %s is %s: it ignores the adverts of %s", f, n.name(to), n.name(from), n.name(from)))
			}
		}
	}
	return list
}

// own are the addresses of a member's port.
func (n *network) own(m member, f vrrp.Family) (list []netip.Addr) {
	if l := n.lanOf(m.node, m.cfg.Interface); l != nil {
		for _, p := range l.port(m.node, m.cfg.Interface).addresses {
			if vrrp.FamilyOf(p.Addr()) == f {
				list = append(list, p.Addr())
			}
		}
	}
	return list
}

// stays tells that the preferred node never comes back by itself.
func (n *network) stays(s *service) []Finding {
	best := s.members[0]
	for _, m := range s.members {
		if m.cfg.Priority > best.cfg.Priority {
			best = m
		}
	}
	if best.cfg.Preempt || best.cfg.Priority == vrrp.PriorityOwner || len(s.members) == 1 {
		return nil
	}
	f := n.found(s, "preempt = true, or a delay such as \"30s\", if it should come back",
		"%s has the highest priority, but preempt = false: once another node serves, it stays there until that one fails, is drained or stopped", n.name(best))
	f.Note = true
	return []Finding{f}
}

// clashes tells of services that share a VRID on one link.
func (n *network) clashes() (list []Finding) {
	for i, s := range n.services {
		for _, o := range n.services[:i] {
			a, b := s.members[0], o.members[0]
			if a.cfg.VRID == b.cfg.VRID && a.cfg.Version == b.cfg.Version && n.lanOf(a.node, a.cfg.Interface) == n.lanOf(b.node, b.cfg.Interface) {
				list = append(list, n.found(s, "give one of them another vrid", "vrid %d is that of %s on the same link, too: they take each other for one", a.cfg.VRID, o.name))
			}
		}
	}
	return list
}
