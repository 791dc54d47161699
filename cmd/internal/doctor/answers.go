package doctor

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/sniff"
	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// testAnswers looks who else says to have the addresses.
func testAnswers(ctx context.Context, x *Examination) []Finding {
	list, found := x.virtuals(ctx)
	asked := map[*wireLink]bool{}
	for _, v := range list {
		if !asked[v.wireLink] {
			asked[v.wireLink] = true
			found = append(found, v.unanswerable(x)...)
			found = append(found, v.duplicates()...)
		}
		by := map[sniff.MAC][]netip.Addr{}
		for _, p := range v.Addresses {
			if a := p.Addr(); vrrp.FamilyOf(a) == v.family {
				for _, n := range v.answers[a] {
					if !v.may(n) {
						by[n.mac] = append(by[n.mac], a)
					}
				}
			}
		}
		for _, mac := range slices.SortedFunc(maps.Keys(by), func(a, b sniff.MAC) int { return slices.Compare(a[:], b[:]) }) {
			if f, ok := v.answered(x, mac, by[mac]); ok {
				found = append(found, f)
			}
		}
	}
	return found
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

// answered tells of a host that answers for addresses, and is no master that was
// heard. ok is false when that cannot be told.
func (v *virtual) answered(x *Examination, mac sniff.MAC, addrs []netip.Addr) (f Finding, ok bool) {
	who := v.who(mac)
	said := fmt.Sprintf("%s answered by %s", isOrAre(words(addrs)), who)
	clear := fmt.Sprintf("%s\n# on that host: where does it have %v, and who put it there?\nip addr show to %v", locate(v.Interface, mac), addrs[0], addrs[0])
	if here := v.ours(v.VRID, v.family); here || len(v.peers()) > 0 {
		also := "this node is master"
		if !here {
			also = fmt.Sprintf("%v is master", v.peers()[0].source)
		}
		return Finding{
			Severity: Error, ID: "answered-by-other", On: v.Name,
			Title: fmt.Sprintf("%s, while %s", said, also),
			Why: "Clients reach one host or the other. It is a second master whose adverts do not get here, or a host that has the address without VRRP: left behind by a daemon that died, " +
				"given by hand, on a loopback interface of a load-balanced server without arp_ignore, or by proxy ARP.",
			Fix: clear + v.withheld(x),
		}, true
	}
	if v.tooShort(2) {
		return f, false // its adverts may come so seldom
	}
	return Finding{
		Severity: Error, ID: "adverts-absent", On: v.Name,
		Title: fmt.Sprintf("%s, and no advert for %s arrived within %s", said, v.name(), seconds(v.wire.took)),
		Why: fmt.Sprintf("ARP and neighbour discovery get through, adverts to %s do not, so that this node would become master beside that host: a switch withholds multicast (IGMP or MLD snooping without a querier), "+
			"something on the way drops IP protocol 112, or that host has the address without VRRP.", v.to()),
		Fix: clear + fmt.Sprintf("\n# does it send adverts?\ntcpdump -ni %s 'ip proto 112 or ip6 proto 112'", v.Interface) + v.withheld(x),
	}, true
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
	return fmt.Sprintf("\n# the bridge %s of this host looks for members of groups and does not ask for them\nip link set dev %s type bridge mcast_querier 1", bridge, bridge)
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
func (v *virtual) who(mac sniff.MAC) string {
	text := fmt.Sprintf("MAC %v", mac)
	if mac == v.virtualMAC() {
		return text + " (the virtual router's: some router is its master)"
	}
	for _, r := range v.routers {
		if r.mac == mac && !r.own {
			return fmt.Sprintf("%s (%v)", text, r.source)
		}
	}
	for _, p := range v.Peers {
		if slices.ContainsFunc(v.answers[p], func(n answer) bool { return n.mac == mac }) {
			return fmt.Sprintf("%s (peer %v)", text, p)
		}
	}
	return text
}

// locate is how to find the host with a MAC.
func locate(iface string, mac sniff.MAC) string {
	return fmt.Sprintf("# which host that is: here, and in the address table of the switch\nip neigh show dev %s | grep -i %v", iface, mac)
}

// duplicates finds other hosts that have addresses of this one.
func (v *virtual) duplicates() (found []Finding) {
	for _, f := range []vrrp.Family{vrrp.IPv4, vrrp.IPv6} {
		for _, p := range v.link.Own(f) {
			a := p.Prefix.Addr()
			for _, n := range v.answers[a] {
				if !slices.Equal(n.mac[:], v.link.MAC) && !v.isVIP(a) {
					found = append(found, v.duplicate(a, n.mac))
				}
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
func (v *virtual) unanswerable(x *Examination) []Finding {
	switch {
	case v.askError != nil:
		return []Finding{unseen(v.Interface, v.askError.Error())}
	case v.unasked > 0:
		return []Finding{unseen(v.Interface, fmt.Sprintf("of %d addresses %d were asked for within %v: a longer --wait asks for all", v.unasked+len(v.asked), len(v.asked), x.Wait))}
	}
	return nil
}

// testPeers looks for unicast peers that do not answer.
func testPeers(ctx context.Context, x *Examination) []Finding {
	list, found := x.virtuals(ctx)
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
				Fix:   fmt.Sprintf("ping -c3 -I %s %v\n# and, if that is not the peer's address:\npeers = [\"…\"]", v.Interface, p),
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
