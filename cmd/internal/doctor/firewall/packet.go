// Package firewall tells what the rules of nftables and of iptables do with a
// packet, as far as that can be told from the rules alone.
package firewall

import (
	"net/netip"
	"slices"
	"strings"
)

// Packet is an advert on its way through this host.
type Packet struct {
	// In is the interface it came in by; empty for one that is sent.
	In string
	// Out is the interface it goes out by; empty for one that came in.
	Out string
	// Ports are those of that interface when it is a bridge. By which of them the
	// advert goes is not known.
	Ports []string
	// Source and Destination are addresses, or networks when not all of the
	// address is known.
	Source, Destination netip.Prefix
}

func (p *Packet) is6() bool { return p.Destination.Addr().Is6() }

func (p *Packet) multicast() bool { return p.Destination.Addr().IsMulticast() }

// truth is whether a condition holds: what is not known may or may not.
type truth uint8

const (
	no truth = iota
	unknown
	yes
)

func is(b bool) truth {
	if b {
		return yes
	}
	return no
}

func not(t truth) truth { return yes - t }

// all is whether all of some hold, none is whether none can.
func all(list []truth) truth {
	t := yes
	for _, one := range list {
		t = min(t, one)
	}
	return t
}

func either(list []truth) truth {
	t := no
	for _, one := range list {
		t = max(t, one)
	}
	return t
}

// within tells whether an address, of which a network may be all that is known,
// is in a network.
func within(a, network netip.Prefix) truth {
	switch {
	case a.Addr().Is4() != network.Addr().Is4() || !a.Overlaps(network):
		return no
	case a.Bits() >= network.Bits():
		return yes
	}
	return unknown
}

// protocol tells whether a name or a number is that of VRRP.
func protocol(name string) truth {
	return is(slices.Contains([]string{"112", "vrrp", "carp"}, strings.ToLower(name)))
}

// portIs tells whether the port of a bridge by which the advert goes is of a name;
// comes is set when that is asked of one that comes.
func (p *Packet) portIs(comes bool, name string) truth {
	if comes != (p.In != "") {
		return no
	}
	var list []truth
	for _, port := range p.Ports {
		list = append(list, interfaceIs(port, name, "*"))
	}
	if len(list) > 0 && all(list) == yes {
		return yes
	}
	return min(either(list), unknown)
}

// linkAddressIs tells whether the frame goes to a MAC address, which is known of
// multicast (RFC 1112 section 6.4, RFC 2464 section 7).
func (p *Packet) linkAddressIs(mac string) truth {
	if !p.multicast() {
		return unknown
	}
	return is(strings.EqualFold(mac, map[bool]string{false: "01:00:5e:00:00:12", true: "33:33:00:00:00:12"}[p.is6()]))
}

// interfaceIs tells whether an interface is of a name; more is the character at
// its end that stands for any rest.
func interfaceIs(have, name, more string) truth {
	if have == "" {
		return no // in the other direction
	}
	if begin, ok := strings.CutSuffix(name, more); ok {
		return is(strings.HasPrefix(have, begin))
	}
	return is(have == name)
}

// stateIs tells whether one of some connection states is that of adverts: each
// goes one way, so that none ever belongs to a connection that is established.
func stateIs(states []string) truth {
	for _, s := range states {
		switch strings.ToLower(s) {
		case "new":
			return yes
		case "untracked", "snat", "dnat":
			return unknown
		}
	}
	return no
}

// typeIs tells whether the destination is of a kind: local, multicast, unicast.
func (p *Packet) typeIs(kinds []string) truth {
	own := "local"
	switch {
	case p.multicast():
		own = "multicast"
	case p.In == "":
		own = "unicast"
	}
	return is(slices.ContainsFunc(kinds, func(k string) bool { return strings.EqualFold(k, own) }))
}

// linkTypeIs tells whether the frame is of a kind: host or multicast.
func (p *Packet) linkTypeIs(kind string) truth {
	if p.In == "" {
		return unknown
	}
	switch strings.ToLower(kind) {
	case "multicast":
		return is(p.multicast())
	case "host", "unicast":
		return is(!p.multicast())
	}
	return no
}
