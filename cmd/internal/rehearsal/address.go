package rehearsal

import (
	"net/netip"
	"slices"

	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// address gives the ports of a link their own addresses: those that the files
// tell, as source or as a peer of somebody else, and else others of the same
// network. Nodes named earlier get lower ones.
func (n *network) address(l *lan) {
	taken := n.taken()
	for _, f := range []vrrp.Family{vrrp.IPv4, vrrp.IPv6} {
		for _, p := range l.ports {
			if !n.needs(p, f) {
				continue
			}
			if f == vrrp.IPv6 { // an IPv6 interface always has one
				p.addresses = append(p.addresses, free(netip.MustParsePrefix("fe80::/64"), taken))
			}
			known := n.told(p, f)
			if len(known) == 0 && (f == vrrp.IPv4 || n.global(p)) {
				known = []netip.Prefix{free(n.ownNetwork(p, f), taken)}
			}
			for _, a := range known {
				taken[a.Addr()] = true
				if !slices.Contains(p.addresses, a) {
					p.addresses = append(p.addresses, a)
				}
			}
		}
	}
}

// taken are the addresses that no port may be given: the VIPs, and what the
// files say of anybody.
func (n *network) taken() map[netip.Addr]bool {
	taken := map[netip.Addr]bool{}
	for i := range n.nodes {
		for k := range n.nodes[i].Instances {
			c := &n.nodes[i].Instances[k]
			for _, p := range c.Addresses {
				taken[p.Addr()] = true
			}
			for _, a := range c.Peers {
				taken[a] = true
			}
			taken[c.Source] = true
		}
	}
	return taken
}

// needs reports whether an instance on the port speaks in a family.
func (n *network) needs(p *port, f vrrp.Family) bool {
	return slices.ContainsFunc(n.instances(p), func(c *vrrp.Config) bool { return slices.Contains(c.Families(), f) })
}

// global reports whether the port speaks to peers by global IPv6 addresses.
func (n *network) global(p *port) bool {
	return slices.ContainsFunc(n.instances(p), func(c *vrrp.Config) bool {
		return slices.ContainsFunc(c.Peers, func(a netip.Addr) bool { return a.Is6() && !a.IsLinkLocalUnicast() })
	})
}

// told are the addresses of a port that follow from the files.
func (n *network) told(p *port, f vrrp.Family) (list []netip.Prefix) {
	add := func(a netip.Addr) {
		if a.IsValid() && vrrp.FamilyOf(a) == f {
			bits := n.ownNetwork(p, f).Bits()
			if a.IsLinkLocalUnicast() {
				bits = 64
			}
			if q := netip.PrefixFrom(a, bits); !slices.Contains(list, q) {
				list = append(list, q)
			}
		}
	}
	for _, c := range n.instances(p) {
		add(c.Source)
	}
	if len(list) > 0 {
		return list
	}
	for _, c := range n.instances(p) {
		if a, ok := n.asPeer(p.node, c, f); ok {
			add(a)
		}
	}
	return list
}

// asPeer returns the address by which the other nodes of c's service call the
// node: what all of them list as a peer and the node itself does not.
func (n *network) asPeer(node int, c *vrrp.Config, f vrrp.Family) (netip.Addr, bool) {
	s := n.serviceOf(node, c)
	var candidates []netip.Addr
	first := true
	for _, m := range s.members {
		if m.node == node || len(m.cfg.Peers) == 0 {
			continue
		}
		if first {
			candidates, first = slices.Clone(m.cfg.Peers), false
			continue
		}
		candidates = slices.DeleteFunc(candidates, func(a netip.Addr) bool { return !slices.Contains(m.cfg.Peers, a) })
	}
	candidates = slices.DeleteFunc(candidates, func(a netip.Addr) bool {
		return vrrp.FamilyOf(a) != f || slices.Contains(c.Peers, a)
	})
	if len(candidates) == 0 {
		return netip.Addr{}, false
	}
	return candidates[0], true
}

func (n *network) serviceOf(node int, c *vrrp.Config) *service {
	for _, s := range n.services {
		if s.of(node) == c {
			return s
		}
	}
	return &service{}
}

// ownNetwork is where a port has its own address: with the first VIP that has a
// network around it.
func (n *network) ownNetwork(p *port, f vrrp.Family) netip.Prefix {
	for _, c := range n.instances(p) {
		for _, v := range c.Addresses {
			if vrrp.FamilyOf(v.Addr()) == f && !v.Addr().IsLinkLocalUnicast() && v.Addr().BitLen()-v.Bits() >= 3 {
				return v.Masked()
			}
		}
	}
	if f == vrrp.IPv4 {
		return netip.MustParsePrefix("198.18.0.0/24") // for tests alone (RFC 2544)
	}
	return netip.MustParsePrefix("2001:db8::/64")
}

// free takes the first address of a network that nobody has.
func free(network netip.Prefix, taken map[netip.Addr]bool) netip.Prefix {
	a := network.Masked().Addr().Next()
	for taken[a] {
		a = a.Next()
	}
	taken[a] = true
	return netip.PrefixFrom(a, network.Bits())
}
