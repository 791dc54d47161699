package doctor

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// untilBoot is said behind lines that the next boot forgets.
const untilBoot = "\n# this lasts until the next boot: set it also where this host keeps its network"

// testLink wants of each interface that it can carry adverts at all.
func testLink(_ context.Context, x *Examination) (found []Finding) {
	for _, name := range x.Interfaces() {
		l := x.Link(name)
		bad := func(id, title, why, fix string) {
			found = append(found, Finding{Error, id, name, title, why, fix})
		}
		switch {
		case l == nil:
			bad("interface-missing", "there is no such interface on this host",
				"The instances on it stay in fault until it appears.", x.otherNames())
		case !l.Up:
			bad("interface-down", "the interface is down",
				"The instances on it stay in fault, and a peer serves.", "ip link set "+name+" up"+untilBoot)
		case !l.Carrier:
			bad("interface-no-carrier", "the interface has no carrier: its cable is pulled, or what it leads to is off",
				"The instances on it stay in fault, and a peer serves.", "ip -d -s link show dev "+name+"\n# then look at the cable, and at the port of the switch or of the hypervisor")
		case x.above(l) != nil:
			m := x.above(l)
			bad("interface-is-port", fmt.Sprintf("the interface is a port of the %s %s, which takes all that arrives", m.Kind, m.Name),
				"The daemon hears no adverts on it: this node becomes or stays master beside its peers. Whether clients reach the addresses is chance.",
				fmt.Sprintf("# in each [[instance]] on %s\ninterface = %q\n# or, if it should be no port\nip link set %s nomaster%s", name, m.Name, name, untilBoot))
		case !l.Multicast && slices.ContainsFunc(x.On(name), func(in *vrrp.Config) bool { return len(in.Peers) == 0 }):
			found = append(found, Finding{
				Warning, "interface-no-multicast", name, "the interface says that it does no multicast, and adverts go to a multicast group",
				"Where its driver means it, no advert comes in: this node becomes master beside its peers.",
				"ip link set " + name + " multicast on" + untilBoot + "\n# or, if the link has none, name the other hosts in each [[instance]]:\n#peers = [\"192.0.2.2\"]",
			})
		}
	}
	return found
}

// above is the interface that takes what arrives on a port; nil for what is none. A
// VRF leaves its ports their traffic; "device" is what is no virtual interface.
func (x *Examination) above(l *Link) *Link {
	for _, m := range x.Links {
		if l.Master != 0 && m.Index == l.Master && !slices.Contains([]string{"vrf", "device", ""}, m.Kind) {
			return m
		}
	}
	return nil
}

// otherNames says which interfaces a configuration could mean.
func (x *Examination) otherNames() string {
	fix := "# those there are, for the key interface:"
	none := true
	for _, l := range x.Links {
		if !l.Loopback {
			fix += fmt.Sprintf("\ninterface = %q", l.Name)
			none = false
		}
	}
	if none {
		return "ip link"
	}
	return fix
}

// testOwnAddress wants an address in each family to send from, and one in the
// network of each IPv4 VIP.
func testOwnAddress(_ context.Context, x *Examination) (found []Finding) {
	for _, in := range x.Instances {
		l := x.Link(in.Interface)
		if l == nil || !l.Up {
			continue
		}
		for _, f := range in.Families() {
			if g := x.sourceMissing(in, l, f); g != nil {
				found = append(found, *g)
			} else if f == vrrp.IPv4 {
				found = append(found, foreignNetworks(in, l)...)
			}
		}
	}
	return slices.CompactFunc(found, func(a, b Finding) bool { return a == b })
}

// sourceMissing tells that there is no address to send from.
func (x *Examination) sourceMissing(in *vrrp.Config, l *Link, f vrrp.Family) *Finding {
	var have []netip.Addr
	for _, a := range l.Own(f) {
		if a.Tentative {
			continue
		}
		have = append(have, a.Prefix.Addr())
	}
	const why = "The instance stays in fault: it has no address to send adverts from."
	ipv6Off := f == vrrp.IPv6 && x.setting("ipv6", l.Name, "disable_ipv6") == 1
	switch {
	case ipv6Off:
		return &Finding{
			Error, "ipv6-disabled", l.Name, "IPv6 is turned off on the interface, and there are IPv6 addresses to serve", why,
			persist(confKey("ipv6", l.Name, "disable_ipv6"), "0"),
		}
	case in.Source.IsValid() && vrrp.FamilyOf(in.Source) == f:
		if slices.Contains(have, in.Source) {
			return nil
		}
		fix := fmt.Sprintf("# an address for %s, or no source in [[instance]] %q\nip address show dev %s", l.Name, in.Name, l.Name)
		if i := slices.IndexFunc(have, func(a netip.Addr) bool { return a.IsLinkLocalUnicast() == in.Source.IsLinkLocalUnicast() }); i >= 0 {
			fix = set(in, "source = %q", have[i])
		}
		return &Finding{Error, "source-missing", in.Name, fmt.Sprintf("%s does not have %v, which source names", l.Name, in.Source), why, fix}
	case f == vrrp.IPv4 && len(have) == 0:
		return &Finding{
			Error, "no-ipv4-address", l.Name, "the interface has no IPv4 address of its own", why,
			"# an address that no other host has:\nip address add ADDRESS/24 dev " + l.Name + untilBoot,
		}
	case f == vrrp.IPv6 && routedPeers(in) && !slices.ContainsFunc(have, func(a netip.Addr) bool { return !a.IsLinkLocalUnicast() }):
		return &Finding{
			Error, "no-ipv6-address", l.Name, "the interface has no IPv6 address of its own but link-local ones, and the peers have others", why,
			"# an address that no other host has:\nip -6 address add ADDRESS/64 dev " + l.Name + untilBoot,
		}
	case f == vrrp.IPv6 && !routedPeers(in) && !slices.ContainsFunc(have, netip.Addr.IsLinkLocalUnicast):
		return &Finding{
			Error, "no-link-local-address", l.Name, "the interface has no IPv6 link-local address that can be used", why,
			fmt.Sprintf("ip -6 address replace %v/64 dev %s nodad%s", linkLocal(l.MAC), l.Name, untilBoot),
		}
	}
	return nil
}

// routedPeers tells whether there are IPv6 peers that are not link-local: adverts to
// such come from an address that is not either.
func routedPeers(in *vrrp.Config) bool {
	return slices.ContainsFunc(in.Peers, func(a netip.Addr) bool { return a.Is6() && !a.IsLinkLocalUnicast() })
}

// linkLocal is the link-local address that belongs to a MAC address (RFC 4291
// appendix A).
func linkLocal(mac net.HardwareAddr) netip.Addr {
	if len(mac) != 6 {
		return netip.MustParseAddr("fe80::1")
	}
	return netip.AddrFrom16([16]byte{0xfe, 0x80, 8: mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]})
}

// foreignNetworks tells of VIPs in whose network the interface has no address, once
// for each network.
func foreignNetworks(in *vrrp.Config, l *Link) (found []Finding) {
	var networks []netip.Prefix
	of := map[netip.Prefix][]netip.Prefix{}
	for _, vip := range in.Addresses {
		a := vip.Addr()
		if !a.Is4() || vip.IsSingleIP() {
			continue
		}
		covered := slices.ContainsFunc(l.Own(vrrp.IPv4), func(o Present) bool { return o.Prefix.Contains(a) && o.Prefix.Addr() != a })
		if covered {
			continue
		}
		if of[vip.Masked()] == nil {
			networks = append(networks, vip.Masked())
		}
		of[vip.Masked()] = append(of[vip.Masked()], vip)
	}
	for _, n := range networks {
		vips := of[n]
		found = append(found, Finding{
			Warning, "no-address-in-network", vips[0].Addr().String(),
			fmt.Sprintf("%s has no address of its own in %v, the network of this virtual address%s", l.Name, n, andMore(len(vips)-1)),
			"The kernel asks for its neighbours in the name of a virtual address, and in a handover draws its packets to itself for a moment.",
			fmt.Sprintf("# an address there that no other host has:\nip address add ADDRESS/%d dev %s%s\n%s", n.Bits(), l.Name, untilBoot, withSingle(in, vips)),
		})
	}
	return found
}

func andMore(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" and of %d more", n)
}

// withSingle is the other way: single addresses do not bring the route to its
// network along, so that the hosts there must be reached without it.
func withSingle(in *vrrp.Config, vips []netip.Prefix) string {
	list := slices.Clone(in.Addresses)
	for _, vip := range vips {
		list[slices.Index(list, vip)] = single(vip.Addr())
	}
	text := quoted(list)
	if len(list) > 8 {
		text = fmt.Sprintf("..., %q, ...", single(vips[0].Addr()))
	}
	return fmt.Sprintf("# or, where the hosts of %v are reached through a router: a single address, in [[instance]] %q.\n"+
		"# It takes the route to that network on %s away\n#addresses = [%s]", vips[0].Masked(), in.Name, in.Interface, text)
}
