package doctor

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/sniff"
	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// claim is that a host answers for addresses which are not its own.
type claim struct {
	virtual
	mac sniff.MAC
	// absent is set when no router was heard whose they are; else master says who
	// that is.
	absent bool
	master string
	names  []string
	addrs  []netip.Addr
}

// answers looks who else says to have the addresses: all that one host answers
// for is one finding.
func answers(x *Examination, list []virtual) (found []Finding) {
	var claims []*claim
	asked, clouds := map[*wireLink]bool{}, map[string]bool{}
	for _, v := range list {
		if !asked[v.wireLink] {
			asked[v.wireLink] = true
			found = append(found, v.unanswerable(x)...)
			found = append(found, v.flux(x)...)
			found = append(found, v.duplicates(x)...)
		}
		for _, p := range v.Addresses {
			if vrrp.FamilyOf(p.Addr()) != v.family {
				continue
			}
			for _, n := range v.answers[p.Addr()] {
				switch {
				case v.may(n), v.sibling(x, n.mac) != nil:
				case v.byGateway(x, n.mac):
					if key := v.Interface + n.mac.String(); !clouds[key] {
						clouds[key] = true
						found = append(found, v.answeredByGateway(n.mac, p.Addr()))
					}
				default:
					claims = v.claimed(claims, n.mac, p.Addr())
				}
			}
		}
	}
	for _, c := range claims {
		found = append(found, c.finding(x))
	}
	return found
}

// claimed adds an address to the claim of a host.
func (v *virtual) claimed(claims []*claim, mac sniff.MAC, a netip.Addr) []*claim {
	master := "this node is master"
	absent := false
	if peers := v.peers(); !v.ours(v.VRID, v.family) {
		switch {
		case len(peers) > 0:
			master = fmt.Sprintf("%v is master", peers[0].source)
		case v.wire.took < 2*v.AdvertInterval:
			return claims // its adverts may come so seldom
		default:
			absent = true
		}
	}
	for _, c := range claims {
		if c.wireLink == v.wireLink && c.mac == mac && c.absent == absent && (absent || c.master == master) {
			if !slices.Contains(c.names, v.Name) {
				c.names = append(c.names, v.Name)
			}
			c.addrs = append(c.addrs, a)
			return claims
		}
	}
	return append(claims, &claim{virtual: *v, mac: mac, absent: absent, master: master, names: []string{v.Name}, addrs: []netip.Addr{a}})
}

// lingering is how long after its successor was heard a master that left may go
// on answering.
const lingering = 300 * time.Millisecond

// may tells whether a host may answer so: one that was heard to be master, or was
// it before the one that was heard, or the virtual router.
func (v *virtual) may(n answer) bool {
	if slices.Equal(n.mac[:], v.link.MAC) {
		return true
	}
	for _, r := range v.routers {
		if r.vrid != v.VRID || vrrp.FamilyOf(r.source) != v.family {
			continue
		}
		if !r.own && (r.mac == n.mac || n.mac == v.virtualMAC()) || n.last.Sub(r.first) < lingering {
			return true
		}
	}
	return false
}

// virtualMAC is that of the virtual router (RFC 9568 section 7.3).
func (v *virtual) virtualMAC() sniff.MAC {
	m := sniff.MAC{0, 0, 0x5e, 0, 1, v.VRID}
	if v.family == vrrp.IPv6 {
		m[4] = 2
	}
	return m
}

// finding tells of the claim.
func (c *claim) finding(x *Examination) Finding {
	said := fmt.Sprintf("%s answered by %s", isOrAre(words(c.addrs)), c.who(x, c.mac))
	on := c.Interface
	if len(c.names) == 1 {
		on = c.names[0]
	}
	fix := fmt.Sprintf("%s\n# on that host: where does it have %v, and who put it there?\nip addr show to %v", locate(c.Interface, c.mac), c.addrs[0], c.addrs[0])
	if !c.absent {
		return Finding{
			Severity: Error, ID: "answered-by-other", On: on,
			Title: fmt.Sprintf("%s, while %s", said, c.master),
			Why: "Clients reach one host or the other. It is a second master whose adverts do not get here, or a host that has the address without VRRP: left behind by a daemon that died, " +
				"given by hand, on a loopback interface of a load-balanced server without arp_ignore, or by proxy ARP; or another interface of the master on this network, which needs arp_ignore.",
			Fix: fix + c.withheld(x),
		}
	}
	return Finding{
		Severity: Error, ID: "adverts-absent", On: on,
		Title: fmt.Sprintf("%s, and no master's advert arrived within %s", said, c.wire.took.Round(100*time.Millisecond)),
		Why: fmt.Sprintf("ARP and neighbour discovery get through, adverts to %s do not, so that this node becomes master beside that host: a switch withholds multicast (IGMP or MLD snooping without a querier), "+
			"something on the way drops IP protocol 112, or that host has the address without VRRP.", c.to()),
		Fix: fix + fmt.Sprintf("\n# does it send adverts?\ntcpdump -ni %s 'ip proto 112 or ip6 proto 112'", c.Interface) + c.withheld(x),
	}
}

// withheld is what to do about multicast snooping of a bridge on this host.
func (v *virtual) withheld(x *Examination) string {
	bridge := x.bridge(v.Interface)
	if bridge == "" || len(v.Peers) > 0 {
		return ""
	}
	snoops, _ := x.read("/sys/class/net/" + bridge + "/bridge/multicast_snooping")
	querier, _ := x.read("/sys/class/net/" + bridge + "/bridge/multicast_querier")
	if snoops != "1" || querier != "0" {
		return ""
	}
	return fmt.Sprintf("\n# the bridge %s of this host looks for members of groups and does not ask for them;\n# the line lasts until the next boot: set it also where this host keeps its network\nip link set dev %s type bridge mcast_querier 1", bridge, bridge)
}

// bridge is the one that an interface is, or is a port of.
func (x *Examination) bridge(iface string) string {
	if _, err := x.read("/sys/class/net/" + iface + "/bridge/multicast_snooping"); err == nil {
		return iface
	}
	text, err := x.read("/sys/class/net/" + iface + "/master/uevent")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(text) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "INTERFACE="); ok {
			if _, err := x.read("/sys/class/net/" + name + "/bridge/multicast_snooping"); err == nil {
				return name
			}
		}
	}
	return ""
}

// who names a host by its MAC, and by an address if one is known.
func (v *virtual) who(x *Examination, mac sniff.MAC) string {
	text := fmt.Sprintf("MAC %v", mac)
	if mac == v.virtualMAC() {
		return text + " (the virtual router's: some router is its master)"
	}
	for _, r := range v.routers {
		if r.mac == mac && !r.own {
			return fmt.Sprintf("%s (%v)", text, r.source)
		}
	}
	for _, in := range x.On(v.Interface) {
		for _, p := range in.Peers {
			if slices.ContainsFunc(v.answers[p], func(n answer) bool { return n.mac == mac }) {
				return fmt.Sprintf("%s (peer %v)", text, p)
			}
		}
	}
	return text
}

// locate is how to find the host with a MAC.
func locate(iface string, mac sniff.MAC) string {
	return fmt.Sprintf("# which host that is: here, and in the address table of the switch\nip neigh show dev %s | grep -i %v", iface, mac)
}

// duplicates finds other hosts that have addresses of this one.
func (v *virtual) duplicates(x *Examination) (found []Finding) {
	for _, f := range []vrrp.Family{vrrp.IPv4, vrrp.IPv6} {
		for _, p := range v.link.Own(f) {
			a := p.Prefix.Addr()
			for _, n := range v.answers[a] {
				if !slices.Equal(n.mac[:], v.link.MAC) && !v.isVIP(a) && v.sibling(x, n.mac) == nil {
					found = append(found, v.duplicate(a, n.mac))
				}
			}
		}
	}
	return found
}

// sibling is another interface of this host that has a MAC; nil when none has.
func (v *virtual) sibling(x *Examination, mac sniff.MAC) *Link {
	i := slices.IndexFunc(x.Links, func(l *Link) bool { return l.Name != v.Interface && slices.Equal(mac[:], l.MAC) })
	if i < 0 || slices.Equal(mac[:], v.link.MAC) {
		return nil
	}
	return x.Links[i]
}

// flux finds other interfaces of this host that answer on the link for its
// addresses. Those with an address in the same network the settings tell.
func (v *virtual) flux(x *Examination) (found []Finding) {
	told := map[*Link]bool{}
	for _, in := range x.On(v.Interface) {
		for _, l := range x.Links {
			if _, ok := sharedNetwork(in, v.link, l); ok {
				told[l] = true
			}
		}
	}
	for _, a := range v.asked {
		for _, n := range v.answers[a] {
			if l := v.sibling(x, n.mac); l != nil && !told[l] {
				told[l] = true
				found = append(found, fluxOf(l, v.link, a))
			}
		}
	}
	return found
}

// isVIP tells whether an address is one of the instance; somebody may have put
// it there by hand.
func (v *virtual) isVIP(a netip.Addr) bool {
	return slices.ContainsFunc(v.Addresses, func(p netip.Prefix) bool { return p.Addr() == a })
}

// unanswerable tells what could not be asked on a link.
func (v *virtual) unanswerable(x *Examination) (found []Finding) {
	if v.askError != nil {
		return []Finding{unseen(v.Interface, v.askError.Error())}
	}
	if !v.asker().IsValid() && slices.ContainsFunc(x.On(v.Interface), func(in *vrrp.Config) bool { return hasFamily(in, vrrp.IPv6) }) {
		found = append(found, unseen(v.Interface, "without an IPv6 address of its own there, this host cannot ask who has the IPv6 addresses"))
	}
	if v.unasked > 0 {
		found = append(found, unseen(v.Interface, fmt.Sprintf("of %d addresses %d were asked for within %v: a longer --wait asks for all", v.unasked+len(v.asked), len(v.asked), x.Wait)))
	}
	return found
}

// silentPeers looks for unicast peers that do not answer.
func silentPeers(list []virtual) (found []Finding) {
	told := map[string]bool{}
	for _, v := range list {
		for _, p := range v.Peers {
			key := v.Interface + p.String()
			if vrrp.FamilyOf(p) != v.family || told[key] || !slices.Contains(v.asked, p) {
				continue
			}
			told[key] = true
			if r := v.routers[routerID{v.VRID, p, false}]; len(v.answers[p]) > 0 || r != nil {
				continue
			}
			how := "ARP"
			if p.Is6() {
				how = "neighbour discovery"
			}
			found = append(found, Finding{
				Severity: Warning, ID: "peer-silent", On: v.Name,
				Title: fmt.Sprintf("the peer %v does not answer %s on %s", p, how, v.Interface),
				Why:   "There is nobody to take over, or nobody that this node can reach: the host is down, has another address, or is on another network.",
				Fix:   fmt.Sprintf("ping -c3 -I %s %v\n# and, if that is not the peer's address, the right one in peers of [[instance]] %q", v.Interface, p, v.Name),
			})
		}
	}
	return found
}

func isOrAre(list []string) string {
	if len(list) == 1 {
		return list[0] + " is"
	}
	return andList(list) + " are"
}
