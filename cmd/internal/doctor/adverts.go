package doctor

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/doctor/firewall"
	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// groups are where adverts go that are not sent to peers.
var groups = map[vrrp.Family]netip.Addr{
	vrrp.IPv4: netip.MustParseAddr("224.0.0.18"),
	vrrp.IPv6: netip.MustParseAddr("ff02::12"),
}

// testFirewall passes the adverts of each instance, those that come and those
// that go, through the rules of this host.
func testFirewall(ctx context.Context, x *Examination) []Finding {
	rules, found := x.ruleset(ctx)
	var told []*obstacle
	for _, in := range x.Instances {
		for _, w := range x.ways(in) {
			for _, v := range rules.Judge(&w.packet, w.hooks...) {
				if v.Unsure && w.heard {
					continue // adverts come through: the daemon hears some
				}
				told = add(told, &obstacle{w, v, []vrrp.Family{w.family}})
			}
		}
	}
	for _, o := range told {
		found = append(found, o.finding())
	}
	return found
}

// obstacle is a chain on a way, for adverts of some families.
type obstacle struct {
	way
	firewall.Verdict
	families []vrrp.Family
}

// add notes an obstacle once, whatever instances and families are behind it.
func add(list []*obstacle, o *obstacle) []*obstacle {
	for _, known := range list {
		if known.iface == o.iface && known.comes == o.comes && known.Chain == o.Chain && known.By == o.By && known.Unsure == o.Unsure {
			if !slices.Contains(known.families, o.family) {
				known.families = append(known.families, o.family)
			}
			return list
		}
	}
	return append(list, o)
}

// way is one that adverts of an instance take.
type way struct {
	iface  string
	family vrrp.Family
	comes  bool
	packet firewall.Packet
	hooks  []string
	// heard is set when the daemon hears another router on this way.
	heard bool
}

// ways lists those of an instance.
func (x *Examination) ways(in *vrrp.Config) (list []way) {
	for _, f := range in.Families() {
		own, net := x.source(in, f)
		ports := x.ports(in.Interface)
		var others []netip.Prefix
		for _, p := range in.Peers {
			if vrrp.FamilyOf(p) == f {
				others = append(others, single(p))
			}
		}
		arrive := way{iface: in.Interface, family: f, comes: true, hooks: []string{"ingress", "prerouting", "input"}, heard: x.hears(in, f)}
		leave := way{iface: in.Interface, family: f, hooks: []string{"output", "postrouting", "egress"}}
		if len(others) == 0 {
			arrive.packet = firewall.Packet{In: in.Interface, Ports: ports, Source: net, Destination: single(groups[f])}
			leave.packet = firewall.Packet{Out: in.Interface, Ports: ports, Source: own, Destination: single(groups[f])}
			list = append(list, arrive, leave)
		}
		for _, p := range others {
			arrive.packet = firewall.Packet{In: in.Interface, Ports: ports, Source: p, Destination: own}
			leave.packet = firewall.Packet{Out: in.Interface, Ports: ports, Source: own, Destination: p}
			list = append(list, arrive, leave)
		}
	}
	return list
}

func single(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

// source is the address from which an instance sends, as far as it is known, and
// the network in which its peers are.
func (x *Examination) source(in *vrrp.Config, f vrrp.Family) (own, network netip.Prefix) {
	everywhere := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	if f == vrrp.IPv6 {
		everywhere = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
		if !routedPeers(in) {
			everywhere = netip.MustParsePrefix("fe80::/64")
		}
	}
	own, network = everywhere, everywhere
	l := x.Link(in.Interface)
	if l == nil {
		return own, network
	}
	for _, a := range l.Own(f) {
		if linkLocal := a.Prefix.Addr().IsLinkLocalUnicast(); f == vrrp.IPv6 && linkLocal == routedPeers(in) {
			continue
		}
		if in.Source.IsValid() && a.Prefix.Addr() != in.Source {
			continue
		}
		return single(a.Prefix.Addr()), a.Prefix.Masked()
	}
	return own, network
}

// hears tells whether the daemon hears another router of the instance now.
func (x *Examination) hears(in *vrrp.Config, f vrrp.Family) bool {
	if x.Status == nil {
		return false
	}
	for _, i := range x.Status.Instances {
		for _, one := range i.Families {
			if i.Name == in.Name && strings.EqualFold(one.Family, f.String()) && one.Master != nil && !one.Master.Self {
				return true
			}
		}
	}
	return false
}

// finding tells what a chain makes of adverts.
func (o *obstacle) finding() Finding {
	f := Finding{Severity: Error, ID: "firewall-drops-vrrp", On: o.iface, Fix: o.fix()}
	what := "that peers send"
	f.Why = "This node does not hear its peers, and becomes master beside them: two hosts have the addresses."
	if !o.comes {
		what = "that this node sends"
		f.Why = "The peers do not hear this node, and become master beside it: two hosts have the addresses."
	}
	var names []string
	for _, family := range o.families {
		names = append(names, strings.Replace(family.String(), "ip", "IP", 1))
	}
	adverts := fmt.Sprintf("the %s adverts (IP protocol 112) %s", strings.Join(names, " and "), what)
	switch {
	case o.Unsure:
		f.Severity, f.ID = Unseen, "firewall-unclear"
		f.Why = "If it does, t" + strings.TrimPrefix(f.Why, "T")
		f.Title = fmt.Sprintf("whether %v drops %s depends on the rule: %s", o.Chain, adverts, o.By)
	case o.By != "":
		f.Title = fmt.Sprintf("%v drops %s: by the rule: %s", o.Chain, adverts, o.By)
	default:
		f.Title = fmt.Sprintf("%v drops %s: its policy is drop, and no rule accepts them", o.Chain, adverts)
	}
	return f
}

// fix lets adverts through in the way of who owns the chain.
func (o *obstacle) fix() string {
	c := o.Chain
	uses := func(begin string) bool {
		return slices.ContainsFunc(o.Uses, func(n string) bool { return strings.HasPrefix(n, begin) })
	}
	number, dir := "", "-i"
	if c.Family == "ip6" {
		number = "6"
	}
	if !o.comes {
		dir = "-o"
	}
	switch {
	case uses("ufw"):
		way := map[bool]string{true: "input", false: "output"}[o.comes]
		return fmt.Sprintf("sed -i '/^# End required lines/a -A ufw%[1]s-before-%[2]s %[3]s %[4]s -p 112 -j ACCEPT' /etc/ufw/before%[1]s.rules\nufw reload", number, way, dir, o.iface)
	case (c.Table == "firewalld" || uses("INPUT_ZONES")) && o.comes:
		return fmt.Sprintf("zone=$(firewall-cmd --get-zone-of-interface=%s || firewall-cmd --get-default-zone)\nfirewall-cmd --zone=\"$zone\" --add-protocol=vrrp\nfirewall-cmd --permanent --zone=\"$zone\" --add-protocol=vrrp", o.iface)
	case c.Tool == "nft":
		match := map[bool]string{true: "iifname ", false: "oifname "}[o.comes] + o.iface + " "
		if c.Family == "bridge" {
			match = "" // there, these are the ports
		}
		return fmt.Sprintf("nft insert rule %s %s %s %smeta l4proto 112 accept\n# and, to keep it: the same rule in the file that is loaded at boot, such as /etc/nftables.conf",
			c.Family, c.Table, c.Name, match)
	}
	table := ""
	if c.Table != "filter" {
		table = " -t " + c.Table
	}
	return fmt.Sprintf("%s%s -I %s %s %s -p 112 -j ACCEPT\n# and, to keep it: netfilter-persistent save, or however this host keeps its rules", c.Tool, table, c.Name, dir, o.iface)
}
