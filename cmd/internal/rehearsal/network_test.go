package rehearsal

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-vrrp/holdfast/vrrp"
)

func prefixes(list ...string) (out []netip.Prefix) {
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func peers(list ...string) func(*vrrp.Config) {
	return func(c *vrrp.Config) {
		c.Peers = nil
		for _, s := range list {
			c.Peers = append(c.Peers, netip.MustParseAddr(s))
		}
	}
}

// web is an instance in good order, changed by the given functions.
func web(change ...func(*vrrp.Config)) vrrp.Config {
	c := vrrp.Config{
		Name: "web", Interface: "eth0", VRID: 51, Version: vrrp.Version3, Priority: 150,
		Addresses: prefixes("192.0.2.100/24"), AdvertInterval: time.Second, Preempt: true,
		Announce: vrrp.Announce{Repeat: 5, Interval: 200 * time.Millisecond, Refresh: time.Minute}, Lease: 2 * time.Second,
	}
	for _, f := range change {
		f(&c)
	}
	return c
}

func prio(p uint8) func(*vrrp.Config)    { return func(c *vrrp.Config) { c.Priority = p } }
func on(iface string) func(*vrrp.Config) { return func(c *vrrp.Config) { c.Interface = iface } }

func vips(list ...string) func(*vrrp.Config) {
	return func(c *vrrp.Config) { c.Addresses = prefixes(list...) }
}

func every(d time.Duration) func(*vrrp.Config) {
	return func(c *vrrp.Config) { c.AdvertInterval = d; c.Lease = vrrp.AutoLease(d, 0) }
}
func vrid(id uint8) func(*vrrp.Config)           { return func(c *vrrp.Config) { c.VRID = id } }
func checked(k ...vrrp.Check) func(*vrrp.Config) { return func(c *vrrp.Config) { c.Checks = k } }
func noPreempt(c *vrrp.Config)                   { c.Preempt = false }
func v2(c *vrrp.Config)                          { c.Version = vrrp.Version2 }

func named(name string, id uint8, list ...string) func(*vrrp.Config) {
	return func(c *vrrp.Config) { c.Name, c.VRID, c.Addresses = name, id, prefixes(list...) }
}

// pair are two nodes with one instance each, which differ as they should.
func pair(a, b []func(*vrrp.Config)) []Node {
	return []Node{
		{Name: "lb1", Instances: []vrrp.Config{web(a...)}},
		{Name: "lb2", Instances: []vrrp.Config{web(append([]func(*vrrp.Config){prio(100)}, b...)...)}},
	}
}

type changes = []func(*vrrp.Config)

func mustNetwork(t *testing.T, nodes []Node) *network {
	t.Helper()
	for _, n := range nodes {
		if err := vrrp.ValidateAll(n.Instances); err != nil {
			t.Fatalf("the test's configuration of %s: %v", n.Name, err)
		}
	}
	n, err := newNetwork(nodes)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// describe writes the ports as text, a link a line.
func (n *network) describe() string {
	var b strings.Builder
	for _, l := range n.lans {
		b.WriteString(l.name + ":")
		for _, p := range l.ports {
			b.WriteString(" " + n.nodes[p.node].Name + "/" + p.iface)
			for _, a := range p.addresses {
				b.WriteString(" " + a.String())
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

func TestNetwork(t *testing.T) {
	tests := []struct {
		name  string
		nodes []Node
		want  string
	}{
		{"a pair", pair(nil, nil), "eth0: lb1/eth0 192.0.2.1/24 lb2/eth0 192.0.2.2/24\n"},
		{"other names of the interface", pair(nil, changes{on("ens3")}), "eth0: lb1/eth0 192.0.2.1/24 lb2/ens3 192.0.2.2/24\n"},
		{"no network around the VIP", pair(changes{vips("192.0.2.100/32")}, changes{vips("192.0.2.100/32")}), "eth0: lb1/eth0 198.18.0.1/24 lb2/eth0 198.18.0.2/24\n"},
		{"the VIP is not taken", pair(changes{vips("192.0.2.1/24")}, changes{vips("192.0.2.1/24")}), "eth0: lb1/eth0 192.0.2.2/24 lb2/eth0 192.0.2.3/24\n"},
		{"unicast", pair(changes{peers("192.0.2.8")}, changes{peers("192.0.2.9")}), "eth0: lb1/eth0 192.0.2.9/24 lb2/eth0 192.0.2.8/24\n"},
		{"source", pair(changes{func(c *vrrp.Config) { c.Source = netip.MustParseAddr("192.0.2.7") }}, nil), "eth0: lb1/eth0 192.0.2.7/24 lb2/eth0 192.0.2.1/24\n"},
		{
			"dual stack", pair(changes{vips("192.0.2.100/24", "fe80::100/64", "2001:db8:1::100/64")}, changes{vips("192.0.2.100/24", "fe80::100/64", "2001:db8:1::100/64")}),
			"eth0: lb1/eth0 192.0.2.1/24 fe80::1/64 lb2/eth0 192.0.2.2/24 fe80::2/64\n",
		},
		{
			"unicast over IPv6",
			pair(changes{vips("fe80::100/64", "2001:db8:1::100/64"), peers("2001:db8:1::b")}, changes{vips("fe80::100/64", "2001:db8:1::100/64"), peers("2001:db8:1::a")}),
			"eth0: lb1/eth0 fe80::1/64 2001:db8:1::a/64 lb2/eth0 fe80::2/64 2001:db8:1::b/64\n",
		},
		{"three by unicast", []Node{
			{Name: "a", Instances: []vrrp.Config{web(peers("192.0.2.2", "192.0.2.3"))}},
			{Name: "b", Instances: []vrrp.Config{web(prio(120), peers("192.0.2.1", "192.0.2.3"))}},
			{Name: "c", Instances: []vrrp.Config{web(prio(100), peers("192.0.2.1", "192.0.2.2"))}},
		}, "eth0: a/eth0 192.0.2.1/24 b/eth0 192.0.2.2/24 c/eth0 192.0.2.3/24\n"},
		{"two links, known by the addresses", []Node{
			{Name: "a", Instances: []vrrp.Config{web(), web(named("in", 52, "198.51.100.100/24"), on("eth1"))}},
			{Name: "b", Instances: []vrrp.Config{web(named("inner", 52, "198.51.100.100/24"), on("eth0"), prio(100)), web(named("outer", 51, "192.0.2.100/24"), on("eth1"), prio(100))}},
		}, "eth0: a/eth0 192.0.2.1/24 b/eth1 192.0.2.2/24\neth1: a/eth1 198.51.100.1/24 b/eth0 198.51.100.2/24\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, mustNetwork(t, tt.nodes).describe()); diff != "" {
				t.Errorf("network (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNetworkRefuses(t *testing.T) {
	one := Node{Name: "lb1", Instances: []vrrp.Config{web()}}
	for want, nodes := range map[string][]Node{
		"at least two nodes":                  {one},
		"at most 7 nodes, not 8":              {one, one, one, one, one, one, one, one},
		"the configurations have no instance": {{Name: "a"}, {Name: "b"}},
	} {
		if _, err := newNetwork(nodes); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// Each thing in which files do not fit together is found, and nothing else.
func TestCompare(t *testing.T) {
	const both = ": they do not hear each other, and both serve"
	tests := []struct {
		name  string
		nodes []Node
		want  []string
	}{
		{"good", pair(nil, nil), nil},
		{"vrid", pair(nil, changes{vrid(52)}), []string{"web: vrid 51 on lb1, 52 on lb2" + both}},
		{"version", pair(nil, changes{v2}), []string{"web: version 3 on lb1, 2 on lb2: they refuse each other's adverts, and both serve"}},
		{
			"addresses", pair(changes{vips("192.0.2.100/24", "192.0.2.101/24")}, changes{vips("192.0.2.102/24", "192.0.2.100/24")}),
			[]string{"web: the addresses differ: only lb1 has 192.0.2.101, only lb2 has 192.0.2.102: these do not move"},
		},
		{"order of addresses", pair(changes{vips("192.0.2.100/24", "192.0.2.101/24")}, changes{vips("192.0.2.101/24", "192.0.2.100/24")}), nil},
		{"interval", pair(nil, changes{every(100 * time.Millisecond)}), []string{"web: adverts each 1s from lb1, each 100ms from lb2: how soon a death is noticed depends on who is master"}},
		{"interval of version 2", pair(changes{v2}, changes{v2, every(2 * time.Second)}), []string{"web: adverts each 1s from lb1, each 2s from lb2: version 2 refuses them, and both serve"}},
		{"equal priorities", pair(nil, changes{prio(150)}), []string{"web: lb1 and lb2 both have priority 150: the one with the higher address wins, here lb2"}},
		{"two owners", pair(changes{prio(255)}, changes{prio(255)}), []string{"web: lb1 and lb2 both have priority 255, the address owner's"}},
		{"preempt", pair(changes{noPreempt}, nil), []string{"web: lb1 has the highest priority, but preempt = false: once another node serves, it stays there until that one fails, is drained or stopped"}},
		{"preempt of the weaker", pair(nil, changes{noPreempt}), nil},
		{"unicast and multicast", pair(changes{peers("192.0.2.2")}, nil), []string{"web: lb1 speaks unicast, lb2 multicast" + both}},
		{
			"peers that are not the others", pair(changes{peers("192.0.2.2"), func(c *vrrp.Config) { c.Source = netip.MustParseAddr("192.0.2.1") }}, changes{peers("192.0.2.3")}),
			[]string{"web: no ipv4 peer of lb2 is lb1: it ignores the adverts of lb1"},
		},
		{"alone", append(pair(nil, nil), Node{Name: "lb3", Instances: []vrrp.Config{web(named("db", 52, "192.0.2.50/24"))}}), []string{"db: only lb3 has it: nobody can take over"}},
		{
			"password", pair(changes{v2, func(c *vrrp.Config) { c.Password = "a" }}, changes{v2}),
			[]string{"web: the passwords of lb1 and lb2 differ: they refuse each other's adverts, and both serve"},
		},
		{"group", pair(changes{func(c *vrrp.Config) { c.Group = "edge" }}, nil), []string{"web: it moves with a group on one of lb1 and lb2 alone"}},
		{"one vrid for two", []Node{
			{Name: "a", Instances: []vrrp.Config{web()}},
			{Name: "b", Instances: []vrrp.Config{web(prio(100)), web(named("db", 52, "192.0.2.50/24"))}},
			{Name: "c", Instances: []vrrp.Config{web(named("db", 51, "192.0.2.50/24"), prio(100))}},
		}, []string{"db: vrid 52 on b, 51 on c" + both}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, f := range mustNetwork(t, tt.nodes).compare() {
				got = append(got, f.Instance+": "+f.Text)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}
