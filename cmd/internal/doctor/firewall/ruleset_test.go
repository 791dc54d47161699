package firewall

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// arrives is an advert that comes in by eth0, leaves one that goes out by it.
func arrives(source, destination string) *Packet {
	return &Packet{In: "eth0", Source: netip.MustParsePrefix(source), Destination: netip.MustParsePrefix(destination)}
}

func leaves(source, destination string) *Packet {
	return &Packet{Out: "eth0", Source: netip.MustParsePrefix(source), Destination: netip.MustParsePrefix(destination)}
}

// judge says in a line each what the chains do that may drop a packet.
func judge(r *Ruleset, p *Packet) (said []string) {
	hooks := []string{"ingress", "prerouting", "input"}
	if p.In == "" {
		hooks = []string{"output", "postrouting", "egress"}
	}
	for _, v := range r.Judge(p, hooks...) {
		word := "drops"
		if v.Unsure {
			word = "may drop"
		}
		said = append(said, fmt.Sprintf("%s %s: %s", v.Chain.Name, word, v.By))
	}
	return said
}

func read(t *testing.T, name string) *Ruleset {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasSuffix(name, ".rules") {
		return ParseIPTables(string(text), "ip", "iptables")
	}
	r, err := ParseNFT(text)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestJudge holds what is said of rules as firewalld and ufw make them, and of
// sets and maps, against what the kernel does with them.
func TestJudge(t *testing.T) {
	const four, six = "224.0.0.18/32", "ff02::12/128"
	for _, c := range []struct {
		rules  string
		packet *Packet
		want   []string
	}{
		{"ufw.rules", arrives("192.0.2.0/24", four), []string{"INPUT drops: "}},
		{"ufw.rules", arrives("192.0.2.1/32", "192.0.2.2/32"), []string{"INPUT drops: "}},
		{"ufw.rules", leaves("192.0.2.2/32", four), nil},
		{"ufw.rules", arrives("fe80::/64", six), nil}, // these are of iptables, not ip6tables
		{"firewalld.json", arrives("192.0.2.0/24", four), []string{"filter_INPUT drops: reject"}},
		{"firewalld.json", arrives("10.0.0.0/24", four), nil}, // a trusted network
		{"firewalld.json", arrives("10.0.0.0/7", four), []string{"filter_INPUT may drop: ip saddr 10.0.0.0/8 goto filter_IN_trusted"}},
		{"firewalld.json", arrives("fe80::/64", six), []string{"filter_INPUT drops: reject"}},
		{"sets.json", arrives("192.0.2.0/24", four), nil},
		{"sets.json", arrives("192.0.2.7/32", "192.0.2.2/32"), []string{"input may drop: mark 7 accept"}},
		{"sets.json", arrives("198.51.100.1/32", four), []string{"input drops: ip saddr != @peers drop"}},
		{"sets.json", arrives("fe80::/64", six), nil},
		{"sets.json", leaves("192.0.2.2/32", four), []string{"output may drop: skuid 33 drop"}},
	} {
		if d := cmp.Diff(c.want, judge(read(t, c.rules), c.packet)); d != "" {
			t.Errorf("%s, %+v:\n%s", c.rules, *c.packet, d)
		}
	}
}

// TestDevices passes adverts by chains of devices and of bridges. Of the former nft
// 1.0 does not say in JSON of which devices they are.
func TestDevices(t *testing.T) {
	r := read(t, "devices.json")
	onBridge := func(p *Packet, ports ...string) *Packet { p.Ports = ports; return p }
	const four, six = "224.0.0.18/32", "ff02::12/128"
	if !r.Placeless() {
		t.Error("it takes a chain of which no device is known for one of none")
	}
	if got := judge(r, arrives("192.0.2.0/24", four)); got != nil {
		t.Errorf("of chains without a device it says %q", got)
	}
	text, err := os.ReadFile("testdata/devices.chains")
	if err != nil {
		t.Fatal(err)
	}
	if r.Place(string(text)); r.Placeless() {
		t.Error("the list of chains does not help")
	}
	for n, c := range []struct {
		packet *Packet
		want   []string
	}{
		{arrives("192.0.2.0/24", four), []string{"in drops: ip protocol vrrp drop"}},
		{&Packet{In: "eth1", Source: netip.MustParsePrefix("192.0.2.0/24"), Destination: netip.MustParsePrefix(four)}, nil},
		{arrives("fe80::/64", six), nil},
		{leaves("192.0.2.2/32", four), nil},
		{leaves("fe80::1/128", six), []string{"out drops: "}}, // the policy
		{onBridge(arrives("192.0.2.0/24", four), "eth1"), []string{"in drops: ip protocol vrrp drop", "in drops: iifname eth1 pkttype multicast drop"}},
		{onBridge(arrives("192.0.2.0/24", four), "eth1", "eth2"), []string{"in drops: ip protocol vrrp drop", "in may drop: iifname eth1 pkttype multicast drop"}},
		{onBridge(arrives("fe80::/64", six), "eth2"), []string{"in drops: ether type ip6 l4proto vrrp drop"}},
		{onBridge(arrives("192.0.2.1/32", "192.0.2.2/32"), "eth2"), []string{"in drops: ip protocol vrrp drop"}},
		{onBridge(leaves("192.0.2.2/32", four), "eth2"), []string{"out drops: ether daddr 01:00:5e:00:00:12 drop"}},
	} {
		if d := cmp.Diff(c.want, judge(r, c.packet)); d != "" {
			t.Errorf("case %d, %+v:\n%s", n, *c.packet, d)
		}
	}
}

// TestLoop has chains that jump to each other, which the kernel refuses.
func TestLoop(t *testing.T) {
	r := ParseIPTables("*filter\n:INPUT DROP [0:0]\n:a - [0:0]\n:b - [0:0]\n-A INPUT -j a\n-A a -j b\n-A b -j a\n", "ip", "iptables")
	if got := judge(r, arrives("192.0.2.1/32", "224.0.0.18/32")); len(got) != 1 {
		t.Errorf("of a loop it says %q", got)
	}
}

// TestOptions passes an advert by single rules of iptables.
func TestOptions(t *testing.T) {
	for rule, want := range map[string]string{
		`-p 112 -j ACCEPT`:                                              "",
		`-p vrrp -j ACCEPT`:                                             "",
		`-p tcp -j ACCEPT`:                                              "drops",
		`! -p tcp -j ACCEPT`:                                            "",
		`-i eth0 -j ACCEPT`:                                             "",
		`-i eth+ -j ACCEPT`:                                             "",
		`-i eth1 -j ACCEPT`:                                             "drops",
		`! -i eth1 -j ACCEPT`:                                           "",
		`-o eth0 -j ACCEPT`:                                             "drops",
		`-s 192.0.2.0/24 -d 224.0.0.0/4 -j ACCEPT`:                      "",
		`-s 192.0.2.1/32 -j ACCEPT`:                                     "may drop",
		`! -s 192.0.2.0/24 -j ACCEPT`:                                   "drops",
		`-m pkttype --pkt-type multicast -j ACCEPT`:                     "",
		`-m pkttype ! --pkt-type multicast -j ACCEPT`:                   "drops",
		`-m ttl --ttl-eq 255 -j ACCEPT`:                                 "",
		`-m conntrack --ctstate NEW,RELATED -j ACCEPT`:                  "",
		`-m conntrack --ctstate ESTABLISHED -j ACCEPT`:                  "drops",
		`-m rpfilter --validmark --invert -j DROP`:                      "drops: ", // by the policy
		`-m set --match-set peers src -j ACCEPT`:                        "may drop",
		`-m rt --rt-type 0 -j ACCEPT`:                                   "drops",
		`-m limit --limit 5/sec -j ACCEPT`:                              "may drop",
		`-p vrrp -m comment --comment "let \"VRRP\" -j DROP" -j ACCEPT`: "",
		`-j NFQUEUE --queue-num 1`:                                      "may drop",
		`-j LOG --log-prefix "-j ACCEPT "`:                              "drops",
	} {
		r := ParseIPTables("*filter\n:INPUT DROP [0:0]\n-A INPUT "+rule+"\nCOMMIT\n", "ip", "iptables")
		got := strings.Join(judge(r, arrives("192.0.2.0/24", "224.0.0.18/32")), "\n")
		if !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%s: it says %q, want %q", rule, got, want)
		}
	}
}

// FuzzParse must not panic, whatever a program prints.
func FuzzParse(f *testing.F) {
	for _, name := range []string{"firewalld.json", "sets.json", "ufw.rules"} {
		text, err := os.ReadFile("testdata/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(_ *testing.T, text []byte) {
		p := arrives("192.0.2.0/24", "224.0.0.18/32")
		if r, err := ParseNFT(text); err == nil {
			r.Judge(p, "prerouting", "input")
		}
		ParseIPTables(string(text), "ip", "iptables").Judge(p, "prerouting", "input")
	})
}
