package lab

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
)

func TestSnapshot(t *testing.T) {
	l := newLab(t)
	h := addHost(t, l, "a", "192.0.2.1/24", "2001:db8::1/64")
	addHost(t, l, "b", "192.0.2.2/24")
	start := snapshot(t, h)
	for _, want := range []string{
		"link eth0 type veth mac 02:48:46:00:00:01 ",
		"address 192.0.2.1/24 on eth0 ",
		"address 2001:db8::1/64 on eth0 ",
		"route family 2 table 255 type 2 192.0.2.1/32 ",
		"route family 2 table 254 type 1 192.0.2.0/24 ",
		"route family 10 table 254 type 1 2001:db8::/64 ",
		"rule family 2 ip rule 32766: ",
		"sysctl /proc/sys/net/ipv4/conf/eth0/arp_ignore = 0",
		"sysctl /proc/sys/net/ipv6/conf/all/forwarding = 0",
	} {
		if !slices.ContainsFunc(strings.Split(start, "\n"), func(line string) bool { return strings.HasPrefix(line, want) }) {
			t.Errorf("no line begins with %q", want)
		}
	}

	// Each change shows, and undoing it restores the very text.
	eth0, err := h.nl.LinkByName("eth0")
	if err != nil {
		t.Fatal(err)
	}
	prefix, err := netlink.ParseIPNet("198.51.100.0/24")
	if err != nil {
		t.Fatal(err)
	}
	route := &netlink.Route{LinkIndex: eth0.Attrs().Index, Dst: prefix, Table: 77}
	rule := netlink.NewRule()
	rule.Table, rule.Priority, rule.Family = 77, 777, netlink.FAMILY_V4
	link := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br7", TxQLen: -1}}
	tests := []struct {
		name     string
		do, undo func() error
	}{
		{
			"IPv4 address",
			func() error { return h.AddAddress("eth0", "192.0.2.100/32") },
			func() error { return h.RemoveAddress("eth0", "192.0.2.100/32") },
		},
		{
			"IPv6 address",
			func() error { return h.AddAddress("eth0", "2001:db8::100/128") },
			func() error { return h.RemoveAddress("eth0", "2001:db8::100/128") },
		},
		{"route", func() error { return h.nl.RouteAdd(route) }, func() error { return h.nl.RouteDel(route) }},
		{"rule", func() error { return h.nl.RuleAdd(rule) }, func() error { return h.nl.RuleDel(rule) }},
		{"link", func() error { return h.nl.LinkAdd(link) }, func() error { return h.nl.LinkDel(link) }},
		{
			"sysctl",
			func() error { return h.SetSysctl("net.ipv4.conf.eth0.arp_ignore", "1") },
			func() error { return h.SetSysctl("net.ipv4.conf.eth0.arp_ignore", "0") },
		},
		{
			"MTU",
			func() error { return h.nl.LinkSetMTU(eth0, 1400) },
			func() error { return h.nl.LinkSetMTU(eth0, 1500) },
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.do(); err != nil {
				t.Fatal(err)
			}
			if snapshot(t, h) == start {
				t.Error("the change does not show")
			}
			if err := tt.undo(); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(start, snapshot(t, h)); diff != "" {
				t.Errorf("after undoing it (-start +now):\n%s", diff)
			}
		})
	}
}

// snapshot takes two and insists that they are equal.
func snapshot(t *testing.T, h *Host) string {
	t.Helper()
	var texts [2]string
	for i := range texts {
		var err error
		if texts[i], err = h.Snapshot(); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(texts[0], texts[1]); diff != "" {
		t.Fatalf("two snapshots differ (-first +second):\n%s", diff)
	}
	return texts[0]
}
