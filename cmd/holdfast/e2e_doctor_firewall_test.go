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
	n1, n2 := newNode(t, l, "lb1", "192.0.2.1/24"), newPatient(newNode(t, l, "lb2", "192.0.2.2/24"))
	n1.run(instanceTOML(150, "100ms", []string{"192.0.2.100"}))
	n2.run(instanceTOML(100, "100ms", []string{"192.0.2.100"}))
	backup := func() bool { return n2.instance("web").State == "backup" }
	eventually(t, patience, "lb2 is backup", backup)
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
	} {
		n2.sh(c.close)
		eventually(t, patience, c.name+": both are master", func() bool { return n2.instance("web").State == "master" })
		f := n2.finds(n2.examine("--wait", "0s"), "error", "firewall-drops-vrrp", "eth0")
		if !strings.Contains(f.Title, c.told) {
			t.Errorf("%s: it says %q, want %q", c.name, f.Title, c.told)
		}
		n2.sh(f.Fix)
		took := eventually(t, patience, c.name+": lb2 is backup again", backup)
		t.Logf("measured: %s: lb2 hears lb1 %v after the fix", c.name, took.Round(time.Millisecond))
		n2.sh(c.open)
	}
}
