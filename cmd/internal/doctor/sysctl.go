package doctor

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"

	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// setting is a setting of the kernel for an interface, -1 when there is none.
func (x *Examination) setting(family, iface, name string) int {
	// A name may have a dot, which in a path is one.
	text, err := x.read("/proc/sys/net/" + family + "/conf/" + iface + "/" + name)
	n, err2 := strconv.Atoi(text)
	if err != nil || err2 != nil {
		return -1
	}
	return n
}

// higher is a setting of IPv4 of which the kernel takes the higher of that for
// all interfaces and that for one.
func (x *Examination) higher(iface, name string) int {
	return max(x.setting("ipv4", "all", name), x.setting("ipv4", iface, name))
}

// confKey is what sysctl calls a setting of an interface; a dot in the name of
// one is a slash there.
func confKey(family, iface, name string) string {
	return "net." + family + ".conf." + strings.ReplaceAll(iface, ".", "/") + "." + name
}

// persist is how to set something now and at each boot.
func persist(key, value string) string {
	return fmt.Sprintf("sysctl -w %[1]s=%[2]s\necho '%[1]s = %[2]s' >> /etc/sysctl.d/90-holdfast.conf", key, value)
}

// testReversePath asks the kernel by which interface it would answer the peers:
// with strict rp_filter, adverts that come by another one are dropped.
func testReversePath(_ context.Context, x *Examination) (found []Finding) {
	seen := map[string]bool{}
	for _, in := range x.Instances {
		l := x.Link(in.Interface)
		if l == nil || !l.Up || seen[l.Name] || x.higher(l.Name, "rp_filter") != 1 {
			continue
		}
		for _, peer := range x.ipv4Peers(in, l) {
			by, err := routeTo(peer)
			if err == nil && by == l.Index {
				continue
			}
			way := "there is no route to it"
			if err == nil {
				way = "its route is by " + x.nameOf(by)
			}
			seen[l.Name] = true
			found = append(found, Finding{
				Error, "rp-filter-drops-vrrp", l.Name,
				fmt.Sprintf("strict reverse path filtering (rp_filter = 1) drops adverts of %v that come by %s: %s", peer, l.Name, way),
				"This node does not hear its peers, and becomes master beside them: two hosts have the addresses.",
				persist(confKey("ipv4", l.Name, "rp_filter"), "2"),
			})
			break
		}
	}
	return found
}

// ipv4Peers lists other routers of an instance: those configured, the master that
// the daemon hears, or somebody in the network of the interface.
func (x *Examination) ipv4Peers(in *vrrp.Config, l *Link) (list []netip.Addr) {
	for _, p := range in.Peers {
		if p.Is4() {
			list = append(list, p)
		}
	}
	if len(list) > 0 || !hasFamily(in, vrrp.IPv4) {
		return list
	}
	for _, a := range l.Own(vrrp.IPv4) {
		if n := neighbour(a.Prefix); n.IsValid() {
			return []netip.Addr{n}
		}
	}
	return nil
}

// neighbour is an address next to another one in its network.
func neighbour(p netip.Prefix) netip.Addr {
	network := p.Masked().Addr()
	for _, n := range []netip.Addr{p.Addr().Prev(), p.Addr().Next()} {
		if p.Contains(n) && n != network {
			return n
		}
	}
	return netip.Addr{}
}

func hasFamily(in *vrrp.Config, f vrrp.Family) bool {
	for _, a := range in.Addresses {
		if vrrp.FamilyOf(a.Addr()) == f {
			return true
		}
	}
	return false
}

// routeTo is the index of the interface by which the kernel reaches an address.
func routeTo(a netip.Addr) (int, error) {
	routes, err := netlink.RouteGet(a.AsSlice())
	if err != nil || len(routes) == 0 {
		return 0, fmt.Errorf("no route to %v: %w", a, err)
	}
	return routes[0].LinkIndex, nil
}

func (x *Examination) nameOf(index int) string {
	for _, l := range x.Links {
		if l.Index == index {
			return l.Name
		}
	}
	return fmt.Sprintf("interface %d", index)
}

// testARP looks for settings with which the kernel does not answer for the
// addresses, or also on other interfaces of the same network.
func testARP(_ context.Context, x *Examination) (found []Finding) {
	seen := map[string]bool{}
	add := func(f Finding) {
		if !seen[f.ID+f.On] {
			seen[f.ID+f.On] = true
			found = append(found, f)
		}
	}
	for _, in := range x.Instances {
		l := x.Link(in.Interface)
		if l == nil || !hasFamily(in, vrrp.IPv4) {
			continue
		}
		if x.higher(l.Name, "arp_ignore") == 8 {
			key := confKey("ipv4", l.Name, "arp_ignore")
			if x.setting("ipv4", "all", "arp_ignore") == 8 {
				key = confKey("ipv4", "all", "arp_ignore")
			}
			add(Finding{
				Error, "arp-unanswered", l.Name, "arp_ignore = 8: the kernel answers no ARP request for its addresses",
				"Nobody finds the virtual addresses but who heard them announced, and those for a minute.", persist(key, "1"),
			})
		}
		for _, other := range x.Links {
			if other.Loopback || other.Name == l.Name || !other.Up || x.higher(other.Name, "arp_ignore") > 0 || x.setting("ipv4", other.Name, "arp_ignore") < 0 {
				continue
			}
			if vip, ok := sharedNetwork(in, l, other); ok {
				add(fluxOf(other, l, vip))
			}
		}
	}
	return found
}

// fluxOf tells of an interface that answers for an address of another one.
func fluxOf(other, l *Link, a netip.Addr) Finding {
	return Finding{
		Warning, "arp-flux", other.Name,
		fmt.Sprintf("%s is in the same network as %s, and answers ARP requests for %v, too", other.Name, l.Name, a),
		"Neighbours may learn the MAC address of the wrong interface, where a cable that is pulled or a switch that was told otherwise loses their packets.",
		persist(confKey("ipv4", other.Name, "arp_ignore"), "1") + "\n" + persist(confKey("ipv4", other.Name, "arp_announce"), "2"),
	}
}

// sharedNetwork is a VIP for which another interface would answer, because it
// has an address in the same network as the interface of the VIP.
func sharedNetwork(in *vrrp.Config, l, other *Link) (netip.Addr, bool) {
	for _, vip := range in.Addresses {
		if !vip.Addr().Is4() {
			continue
		}
		for _, a := range l.Own(vrrp.IPv4) {
			for _, b := range other.Own(vrrp.IPv4) {
				if a.Prefix.Masked() == b.Prefix.Masked() && a.Prefix.Contains(vip.Addr()) {
					return vip.Addr(), true
				}
			}
		}
	}
	return netip.Addr{}, false
}

// testMTU wants that an advert fits into one packet.
func testMTU(_ context.Context, x *Examination) (found []Finding) {
	for _, in := range x.Instances {
		l := x.Link(in.Interface)
		if l == nil {
			continue
		}
		for _, f := range in.Families() {
			n := 0
			for _, a := range in.Addresses {
				if vrrp.FamilyOf(a.Addr()) == f {
					n++
				}
			}
			size := 20 + 8 + 4*min(n, 255)
			if in.Version == vrrp.Version2 {
				size += 8 // authentication data
			}
			if f == vrrp.IPv6 {
				size = 40 + 8 + 16*min(n, 77)
			}
			if size > l.MTU {
				found = append(found, Finding{
					Error, "mtu-too-small", in.Name,
					fmt.Sprintf("an advert with %d addresses has %d bytes, and the MTU of %s is %d", n, size, l.Name, l.MTU),
					"Adverts do not leave whole: the peers do not hear this node, and become master beside it.",
					fmt.Sprintf("ip link set %s mtu 1500"+untilBoot+"\n# or make two instances with an own vrid each, and half of the addresses", l.Name),
				})
			}
		}
	}
	return found
}
