package config

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/holdfast-vrrp/holdfast/vrrp"
)

func (in *instance) readAddresses() {
	const example = `["192.0.2.100/24"]`
	if !in.has("addresses") {
		in.missing("addresses", example)
		return
	}
	items, _ := in.stringsNotEmpty("addresses", example, "an instance holds at least one address")
	count := map[vrrp.Family]int{}
	for _, it := range items {
		p, reason := parseVIP(it.value)
		if reason != "" {
			in.src.problem(it.at, addressHint(it.value), "address %q %s", it.value, reason)
			continue
		}
		if slices.ContainsFunc(in.addresses, func(o placed[netip.Prefix]) bool { return o.value.Addr() == p.Addr() }) {
			in.src.problem(it.at, "", "address %v is listed twice", p.Addr())
			continue
		}
		f := vrrp.FamilyOf(p.Addr())
		if f == vrrp.IPv6 && in.Version == vrrp.Version2 {
			in.src.problem(it.at, "use version = 3", "address %v: version 2 carries IPv4 addresses only", p.Addr())
		}
		in.addresses = append(in.addresses, placed[netip.Prefix]{p, it.at})
		if count[f]++; count[f] > in.room(f) {
			in.src.problem(it.at, "spread them over several instances", "an instance holds at most %d %v addresses", in.room(f), f)
			return
		}
	}
}

// room is how many addresses of a family can be listed: a link-local address is
// added for IPv6 when none is listed.
func (in *instance) room(f vrrp.Family) int {
	if f == vrrp.IPv6 && !slices.ContainsFunc(in.addresses, func(p placed[netip.Prefix]) bool { return isLinkLocal6(p.value.Addr()) }) {
		return maxAddressesEach - 1
	}
	return maxAddressesEach
}

// parseVIP reads a virtual address; without a length it is a host's alone.
func parseVIP(text string) (p netip.Prefix, reason string) {
	addr, bits, hasBits := strings.Cut(text, "/")
	a, err := netip.ParseAddr(addr)
	if err != nil {
		return p, "is not an IP address"
	}
	if reason := addressFault(a); reason != "" {
		return p, reason
	}
	p = netip.PrefixFrom(a, a.BitLen())
	if hasBits {
		if p, err = netip.ParsePrefix(text); err != nil || p.Bits() == 0 {
			return p, fmt.Sprintf("has the length %q: it must be from 1 to %d", bits, a.BitLen())
		}
	}
	switch hostBits := a.BitLen() - p.Bits(); {
	case hostBits < 2: // a host, or a point-to-point link (RFC 3021, RFC 6164)
	case p.Masked().Addr() == a:
		return p, "is the network, not an address in it"
	case a.Is4() && isBroadcast(p):
		return p, "is the broadcast address of its network"
	}
	return p, ""
}

func isBroadcast(p netip.Prefix) bool {
	b := p.Addr().As4()
	host := uint32(1)<<(32-p.Bits()) - 1
	return binary.BigEndian.Uint32(b[:])&host == host
}

// addressFault says why an address cannot be that of a host.
func addressFault(a netip.Addr) string {
	switch {
	case a.Is4In6():
		return "is an IPv4 address in IPv6 form"
	case a.Zone() != "":
		return "has a zone: the interface is a key of its own"
	case a.IsUnspecified():
		return "is the unspecified address"
	case a.IsMulticast():
		return "is a multicast address"
	case a.IsLoopback():
		return "is a loopback address"
	case a.Is4() && (a.As4()[0] == 0 || a.As4()[0] >= 240):
		return "is not an address a host can have"
	}
	return ""
}

// addressHint shows what was probably meant.
func addressHint(text string) string {
	addr, _, _ := strings.Cut(text, "/")
	a, err := netip.ParseAddr(addr)
	switch {
	case err != nil:
		return `an address looks like "192.0.2.100/24" or "2001:db8::100/64"`
	case a.Is4In6():
		return fmt.Sprintf("write %q", a.Unmap())
	case a.Zone() != "":
		return fmt.Sprintf("write %q", a.WithZone(""))
	}
	return ""
}

func isLinkLocal6(a netip.Addr) bool { return a.Is6() && a.IsLinkLocalUnicast() }

// linkLocalFirst makes a link-local address the first of the IPv6 addresses, as
// adverts must carry them (RFC 9568 section 5.2.9 and erratum 8300). When none
// is listed it is the one formed from the virtual router MAC address.
func linkLocalFirst(addrs []netip.Prefix, vrid uint8) []netip.Prefix {
	first := slices.IndexFunc(addrs, func(p netip.Prefix) bool { return p.Addr().Is6() })
	if first < 0 || isLinkLocal6(addrs[first].Addr()) {
		return addrs
	}
	local := netip.PrefixFrom(virtualLinkLocal(vrid), 128)
	if i := slices.IndexFunc(addrs, func(p netip.Prefix) bool { return isLinkLocal6(p.Addr()) }); i >= 0 {
		local = addrs[i]
		addrs = slices.Delete(addrs, i, i+1)
	}
	return slices.Insert(addrs, first, local)
}

// virtualLinkLocal is fe80::200:5eff:fe00:2XX with XX the VRID: the modified
// EUI-64 address of the virtual router MAC 00-00-5E-00-02-XX (RFC 9568 sections
// 7.3 and 7.4).
func virtualLinkLocal(vrid uint8) netip.Addr {
	return netip.AddrFrom16([16]byte{
		0: 0xfe, 1: 0x80, 8: 0x02, 10: 0x5e, 11: 0xff, 12: 0xfe, 14: 0x02, 15: vrid,
	})
}

// readPeers reads peers and source, and compares them with the addresses.
func (in *instance) readPeers() {
	if items, ok := in.stringsNotEmpty("peers", `["192.0.2.2"]`, "leave it out for multicast"); ok {
		if len(items) > maxPeers {
			in.bad("peers", "", "peers has %d addresses: at most %d are allowed", len(items), maxPeers)
			items = items[:maxPeers]
		}
		for _, it := range items {
			in.readPeer(it)
		}
	}
	if in.has("source") {
		in.readSource()
	}
	if len(in.peers) == 0 || len(in.addresses) == 0 {
		return
	}
	for _, f := range []vrrp.Family{vrrp.IPv4, vrrp.IPv6} {
		if in.hasFamily(f) && !slices.ContainsFunc(in.peers, func(p placed[netip.Addr]) bool { return vrrp.FamilyOf(p.value) == f }) {
			in.bad("peers", fmt.Sprintf("add an %v peer", f), "peers has no %v address, but addresses has: each family sends adverts of its own", f)
		}
	}
}

func (in *instance) readPeer(it placed[string]) {
	a, ok := in.hostAddress("peer", it)
	switch {
	case !ok:
		return
	case slices.ContainsFunc(in.peers, func(p placed[netip.Addr]) bool { return p.value == a }):
		in.src.problem(it.at, "", "peer %v is listed twice", a)
		return
	case in.isVIP(a):
		in.src.problem(it.at, "name the peer's own address", "peer %v is an address of this instance", a)
	case len(in.addresses) > 0 && !in.hasFamily(vrrp.FamilyOf(a)):
		in.src.problem(it.at, "", "peer %v is an %v address, but addresses has none of that family", a, vrrp.FamilyOf(a))
	}
	in.peers = append(in.peers, placed[netip.Addr]{a, it.at})
}

func (in *instance) readSource() {
	text, ok := in.str("source")
	if !ok {
		return
	}
	at := in.valueAt("source")
	a, ok := in.hostAddress("source", placed[string]{text, at})
	switch {
	case !ok:
		return
	case slices.ContainsFunc(in.peers, func(p placed[netip.Addr]) bool { return p.value == a }):
		in.src.problem(at, "a peer is another host: remove one of the two", "source %v is also listed as a peer", a)
	case in.isVIP(a) && in.Priority != vrrp.PriorityOwner:
		in.src.problem(at, "name the interface's own address, or leave source out", "source %v is an address of this instance", a)
	case len(in.addresses) > 0 && !in.hasFamily(vrrp.FamilyOf(a)):
		in.src.problem(at, "", "source %v is an %v address, but addresses has none of that family", a, vrrp.FamilyOf(a))
	case a.Is6() && !a.IsLinkLocalUnicast() && !in.has("peers"):
		in.src.problem(at, "leave source out, or name peers", "source %v must be link-local: multicast adverts over IPv6 are (RFC 9568 section 5.1.2.1)", a)
	}
	in.Source = a
}

// hostAddress reads the address of a host, without a length.
func (in *instance) hostAddress(what string, it placed[string]) (netip.Addr, bool) {
	a, err := netip.ParseAddr(it.value)
	if err != nil {
		hint := ""
		if p, perr := netip.ParsePrefix(it.value); perr == nil {
			hint = fmt.Sprintf("write %q without the length", p.Addr())
		}
		in.src.problem(it.at, hint, "%s %q is not an IP address", what, it.value)
		return a, false
	}
	if reason := addressFault(a); reason != "" {
		in.src.problem(it.at, addressHint(it.value), "%s %q %s", what, it.value, reason)
		return a, false
	}
	return a, true
}

func (in *instance) isVIP(a netip.Addr) bool {
	return slices.ContainsFunc(in.addresses, func(p placed[netip.Prefix]) bool { return p.value.Addr() == a })
}
