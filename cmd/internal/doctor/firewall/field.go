package firewall

import (
	"net/netip"
	"slices"
	"strings"
)

// field is what a rule of nftables compares: of a header, or about the packet.
type field struct{ of, name string }

func fieldOf(left any) field {
	o, _ := left.(object)
	for kind, body := range o {
		b, _ := body.(object)
		name, _ := b["key"].(string)
		switch kind {
		case "payload":
			of, _ := b["protocol"].(string)
			name, _ = b["field"].(string)
			return field{of, name}
		case "meta", "ct":
			return field{kind, name}
		case "fib":
			result, _ := b["result"].(string)
			flags, _ := b["flags"].([]any)
			switch {
			case len(flags) == 1 && flags[0] == "daddr" && result == "type":
				return field{"fib", "daddr type"}
			case slices.Contains(flags, any("saddr")) && result == "oif":
				return field{"fib", "saddr oif"}
			}
		}
	}
	return field{}
}

// foreign tells whether the packet has no such header.
func (f field) foreign(p *Packet) bool {
	switch f.of {
	case "ip":
		return p.is6()
	case "ip6":
		return !p.is6()
	case "tcp", "udp", "udplite", "icmp", "icmpv6", "igmp", "sctp", "dccp", "ah", "esp", "comp", "gre", "arp", "vlan":
		return true
	}
	return false
}

// onBridge tells whether a field that a chain of a bridge sees in another way is
// of a value: there, interfaces are the ports.
func (f field) onBridge(p *Packet, value any) truth {
	v := word(value)
	switch f {
	case field{"meta", "iif"}, field{"meta", "iifname"}:
		return p.portIs(true, v)
	case field{"meta", "oif"}, field{"meta", "oifname"}:
		return p.portIs(false, v)
	case field{"meta", "ibrname"}:
		return is(v == p.In)
	case field{"meta", "obrname"}:
		return is(v == p.Out)
	}
	return f.is(p, value)
}

// is tells whether the field is of a value.
func (f field) is(p *Packet, value any) truth {
	v := word(value)
	switch f {
	case field{"ip", "saddr"}, field{"ip6", "saddr"}:
		return address(p.Source, value)
	case field{"ip", "daddr"}, field{"ip6", "daddr"}:
		return address(p.Destination, value)
	case field{"ip", "protocol"}, field{"ip6", "nexthdr"}, field{"meta", "l4proto"}:
		return protocol(v)
	case field{"ip", "ttl"}, field{"ip6", "hoplimit"}:
		return is(v == "255")
	case field{"ip", "version"}, field{"ip6", "version"}:
		return yes
	case field{"meta", "nfproto"}:
		return is(v == map[bool]string{false: "ipv4", true: "ipv6"}[p.is6()])
	case field{"ether", "daddr"}:
		return p.linkAddressIs(v)
	case field{"meta", "protocol"}, field{"ether", "type"}:
		return is(v == map[bool]string{false: "ip", true: "ip6"}[p.is6()])
	case field{"meta", "iif"}, field{"meta", "iifname"}:
		return interfaceIs(p.In, v, "*")
	case field{"meta", "oif"}, field{"meta", "oifname"}:
		return interfaceIs(p.Out, v, "*")
	case field{"meta", "pkttype"}:
		return p.linkTypeIs(v)
	case field{"ct", "state"}:
		return stateIs([]string{v})
	case field{"ct", "status"}:
		return no // an advert is never translated, nor expected
	case field{"fib", "daddr type"}:
		return p.typeIs([]string{v})
	case field{"fib", "saddr oif"}:
		return is(v == "exists") // a way back to a peer on the same link
	}
	return unknown
}

// address tells whether an address is a value, in a network or in a range.
func address(a netip.Prefix, value any) truth {
	if network, ok := prefix(value); ok {
		return within(a, network)
	}
	o, _ := value.(object)
	if ends, ok := o["range"].([]any); ok && len(ends) == 2 {
		return between(a, word(ends[0]), word(ends[1]))
	}
	return unknown
}

func between(a netip.Prefix, first, last string) truth {
	from, err1 := netip.ParseAddr(first)
	to, err2 := netip.ParseAddr(last)
	switch {
	case err1 != nil || err2 != nil:
		return unknown
	case from.Is4() != a.Addr().Is4():
		return no
	case a.IsSingleIP():
		return is(a.Addr().Compare(from) >= 0 && a.Addr().Compare(to) <= 0)
	}
	return unknown
}

// render writes a rule about as nft does, for people.
func render(list []object) string {
	var words []string
	for _, e := range list {
		for kind, body := range e {
			switch o, _ := body.(object); kind {
			case "match":
				op, _ := o["op"].(string)
				text := side(o["left"])
				if op != "==" && op != "in" {
					text += " " + op
				}
				words = append(words, text+" "+side(o["right"]))
			case "vmap":
				words = append(words, side(o["key"])+" vmap ...")
			case "jump", "goto":
				words = append(words, kind+" "+word(o["target"]))
			case "counter":
			case "xt":
				words = append(words, xtMark+" "+word(o["name"]))
			case "limit":
				words = append(words, "limit ...")
			default:
				words = append(words, kind)
			}
		}
	}
	return strings.Join(words, " ")
}

// side writes one side of a comparison.
func side(v any) string {
	switch v := v.(type) {
	case []any:
		var parts []string
		for _, e := range v {
			parts = append(parts, side(e))
		}
		return strings.Join(parts, ", ")
	case object:
		for kind, body := range v {
			o, _ := body.(object)
			switch kind {
			case "payload":
				return word(o["protocol"]) + " " + word(o["field"])
			case "meta":
				return strings.TrimPrefix(word(o["key"]), "meta ")
			case "ct":
				return "ct " + word(o["key"])
			case "fib":
				return "fib " + side(o["flags"]) + " " + word(o["result"])
			case "prefix":
				return word(o["addr"]) + "/" + word(o["len"])
			case "set":
				return "{ " + side(body) + " }"
			case "range":
				return strings.ReplaceAll(side(body), ", ", "-")
			case "elem":
				return side(o["val"])
			}
		}
		return "..."
	}
	return word(v)
}
