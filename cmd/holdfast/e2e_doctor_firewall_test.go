package main

import (
	"strings"
	"testing"
	"time"
)

// TestDoctorFirewall closes the firewall of a backup to adverts in the ways that
// people do, finds it, and pastes what the finding says.
func TestDoctorFirewall(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	n1, n2, n3 := newNode(t, l, "lb1", "192.0.2.1/24"), newPatient(newNode(t, l, "lb2", "192.0.2.2/24")), newPatient(newNode(t, l, "lb3", "192.0.2.3/24"))
	n1.run(instanceTOML(150, "100ms", []string{"192.0.2.100"}))
	n2.run(instanceTOML(100, "100ms", []string{"192.0.2.100"}))
	n3.sh("ip link add br0 type bridge; ip address flush dev eth0; ip link set eth0 master br0; ip address add 192.0.2.3/24 dev br0; ip link set br0 up")
	n3.run(strings.ReplaceAll(instanceTOML(90, "100ms", []string{"192.0.2.100"}), "eth0", "br0"))
	state := func(p *patient, want string) func() bool {
		return func() bool { return p.instance("web").State == want }
	}
	eventually(t, patience, "lb2 is backup", state(n2, "backup"))
	eventually(t, patience, "lb3 is backup", state(n3, "backup"))
	n2.sh(`for v in '' 6; do for kind in nft legacy; do
		for c in '' -save; do ln -s "$(command -v ip${v}tables-$kind$c)" /run/bin/x; mv /run/bin/x /run/bin/ip${v}tables-$kind$c; done; done
		for c in '' -save; do ln -s ip${v}tables-nft$c /run/bin/ip${v}tables$c; done; done`)
	for _, c := range []struct{ name, close, told, open string }{
		{"nftables, policy", `nft -f - <<-'X'
			table inet filter {
				chain input { type filter hook input priority 0; policy drop; iif lo accept; ct state established,related accept; tcp dport 22 accept; }
			}
			X`, "nftables chain inet filter input drops the IPv4 adverts (IP protocol 112) that peers send: its policy is drop, and no rule accepts them", "nft flush ruleset"},
		{"nftables, a rule", `nft -f - <<-'X'
			table ip mine {
				chain more { ip daddr 224.0.0.0/4 drop; }
				chain in { type filter hook prerouting priority -300; iifname "eth*" jump more; }
			}
			X`, "nftables chain ip mine in drops the IPv4 adverts (IP protocol 112) that peers send: by the rule: ip daddr 224.0.0.0/4 drop", "nft flush ruleset"},
		{
			"iptables of nftables", `iptables -P INPUT DROP; iptables -A INPUT -i lo -j ACCEPT
			iptables -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT; iptables -A INPUT -p tcp -m multiport --dports 22,80 -j ACCEPT`,
			"chain INPUT of table filter (iptables) drops the IPv4 adverts (IP protocol 112) that peers send: its policy is drop", "nft flush ruleset",
		},
		{
			"iptables of old", `iptables-legacy -N closed; iptables-legacy -A closed -m pkttype --pkt-type multicast -m comment --comment "no multicast" -j DROP; iptables-legacy -A INPUT -j closed`,
			`chain INPUT of table filter (iptables-legacy) drops the IPv4 adverts (IP protocol 112) that peers send: by the rule: -A closed -m pkttype`, "iptables-legacy -F",
		},
		{
			"nftables, of a device", `nft -f - <<-'X'
			table netdev mine {
				chain in { type filter hook ingress device eth0 priority 0; ip daddr 224.0.0.18 drop; }
			}
			X`, "nftables chain netdev mine in drops the IPv4 adverts (IP protocol 112) that peers send: by the rule: ip daddr 224.0.0.18 drop", "nft flush ruleset",
		},
		{
			"nftables, of a bridge", `nft -f - <<-'X'
			table bridge mine {
				chain in { type filter hook input priority 0; iifname "eth0" meta pkttype multicast ip protocol != icmp drop; }
			}
			X`, "nftables chain bridge mine in drops the IPv4 adverts (IP protocol 112) that peers send: by the rule: iifname eth0 pkttype multicast", "nft flush ruleset",
		},
	} {
		p, on := n2, "eth0"
		if strings.HasSuffix(c.name, "bridge") {
			p, on = n3, "br0"
		}
		p.sh(c.close)
		eventually(t, patience, c.name+": both are master", state(p, "master"))
		f := p.finds(p.examine("--wait", "0s"), "error", "firewall-drops-vrrp", on)
		if !strings.Contains(f.Title, c.told) {
			t.Errorf("%s: it says %q, want %q", c.name, f.Title, c.told)
		}
		p.sh(f.Fix)
		took := eventually(t, patience, c.name+": it is backup again", state(p, "backup"))
		t.Logf("measured: %s: %s hears lb1 %v after the fix", c.name, p.Name(), took.Round(time.Millisecond))
		p.lacks(p.examine("--wait", "0s"), "firewall-drops-vrrp")
		p.sh(c.open)
	}

	// What only the packet itself can tell is not known, unless the daemon hears it.
	n2.sh("nft -f - <<-'X'\ntable ip mine {\n chain out { type filter hook output priority 0; meta skuid 33 drop; }\n}\nX")
	f := n2.finds(n2.examine("--wait", "0s"), "unseen", "firewall-unclear", "eth0")
	n2.sh(f.Fix)
	n2.lacks(n2.examine("--wait", "0s"), "firewall-unclear")
}
