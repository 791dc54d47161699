package doctor

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/config"
	"github.com/holdfast-vrrp/holdfast/cmd/internal/doctor/firewall"
	"github.com/holdfast-vrrp/holdfast/cmd/internal/sniff"
	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// Who pastes what is said of a file must keep the other addresses of the host.
func TestFixOfNetworkFiles(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"etc/netplan/50.yaml", "    - 192.0.2.100/24\n", "sed -i '1s/^/#/' /etc/netplan/50.yaml"},
		{"etc/netplan/50.yaml", "addresses: [192.0.2.1/24, 192.0.2.100/24]\n", "# take the address out, and leave the others"},
		{"etc/NetworkManager/system-connections/x", "address1=192.0.2.100/24,192.0.2.254\n", "# take the address out, and leave the others"},
		{"etc/network/interfaces", "iface eth0:1 inet static\n address 192.0.2.100/24\n", "# remove the whole stanza"},
		{"etc/network/interfaces", "iface eth0 inet static\n up ip address add 192.0.2.100/24 dev eth0\n", "sed -i '2s/^/#/' /etc/network/interfaces"},
		{"etc/systemd/network/x.network", "[Network]\nAddress=192.0.2.100/24\n", "sed -i '2s/^/#/' /etc/systemd/network/x.network"},
	} {
		found := patient(map[string]string{c.name: c.text}).inFiles()
		if len(found) != 1 || !strings.HasPrefix(found[0].Fix, c.want) {
			t.Errorf("%s %q: %+v, want %q", c.name, c.text, found, c.want)
		}
	}
}

// The kernel removes the other addresses of a network with the first one.
func TestFixOfStaticAddress(t *testing.T) {
	for promote, want := range map[string]string{
		"0": "sysctl -w net.ipv4.conf.eth0.promote_secondaries=1\nip address del 192.0.2.100/24 dev eth0",
		"1": "ip address del 192.0.2.100/24 dev eth0",
	} {
		x := patient(map[string]string{"proc/sys/net/ipv4/conf/all/promote_secondaries": promote})
		for _, a := range []string{"192.0.2.100/24", "192.0.2.1/24"} {
			x.Links[0].Addresses = append(x.Links[0].Addresses, Present{Interface: "eth0", Prefix: netip.MustParsePrefix(a)})
		}
		found := testElsewhere(t.Context(), x)
		if len(found) != 1 || !strings.HasSuffix(found[0].Fix, want) || promote == "1" && found[0].Fix != want {
			t.Errorf("with promote_secondaries = %s: %+v", promote, found)
		}
	}
}

// An address that a keepalived serves is not to be taken from it by hand.
func TestAddressOfKeepalived(t *testing.T) {
	x := patient(map[string]string{
		"proc/7/cmdline": "/usr/sbin/keepalived\x00",
		"proc/7/root/etc/keepalived/keepalived.conf": "vrrp_instance a { interface eth0\n virtual_router_id 51\n virtual_ipaddress { 192.0.2.100/24 } }",
	})
	x.Links[0].Addresses = []Present{{Interface: "eth0", Prefix: netip.MustParsePrefix("192.0.2.100/24")}}
	got := append(brief(testElsewhere(t.Context(), x)), brief(testOtherDaemons(t.Context(), x))...)
	if d := cmp.Diff([]string{"error vrid-used-by-keepalived web"}, got, cmpopts.EquateEmpty()); d != "" {
		t.Error(d)
	}
	x.Files.(fstest.MapFS)["proc/7/root/etc/keepalived/keepalived.conf"].Data = []byte("include conf.d/*.conf")
	found := testElsewhere(t.Context(), x)
	if len(found) != 1 || !strings.HasPrefix(found[0].Fix, "# keepalived runs on this host: if the address is its") {
		t.Errorf("of what may be an address of keepalived it says %+v", found)
	}
}

// The same of many instances is told once.
func TestTellsOnce(t *testing.T) {
	f := Finding{Severity: Error, ID: "duplicate-address", On: "eth0", Title: "it is there twice"}
	g := Finding{Severity: Warning, ID: "more", Title: "more"}
	x := &Examination{}
	got := x.run(t.Context(), []Test{{"wire", "the wire", func(context.Context, *Examination) []Finding { return []Finding{f, g, f, g, f} }}})
	if d := cmp.Diff([]Finding{f, g}, got); d != "" {
		t.Error(d)
	}
}

// A daemon that has stopped takes calls and answers none.
func TestStoppedDaemon(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cfg := &config.Config{}
	cfg.Control.Socket = socket
	began := time.Now()
	x, err := New(t.Context(), cfg, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("it waits %v for a daemon that has stopped", took)
	}
	if !errors.Is(x.StatusError, context.DeadlineExceeded) {
		t.Errorf("it says %v", x.StatusError)
	}
}

// A router that speaks unicast and one that does not refuse each other's adverts.
func TestStrangerThatIsRefused(t *testing.T) {
	for _, c := range []struct {
		name string
		set  func(v *virtual, r *wireRouter)
		want Severity
	}{
		{"both multicast", func(*virtual, *wireRouter) {}, Error},
		{"with peers of our own", func(v *virtual, _ *wireRouter) { v.Peers = []netip.Addr{netip.MustParseAddr("192.0.2.3")} }, Info},
		{"one of our peers", func(v *virtual, r *wireRouter) { v.Peers = []netip.Addr{r.source} }, Error},
		{"that one unicast", func(_ *virtual, r *wireRouter) { r.last.Destination = netip.MustParseAddr("192.0.2.1") }, Info},
	} {
		x, list := heardOn(1)
		c.set(&list[0], list[0].hears(51, elseMAC, false, 0, netip.MustParseAddr("192.0.2.200")))
		found := strangers(x, list)
		if len(found) != 1 || found[0].ID != "vrid-in-use" || found[0].Severity != c.want {
			t.Errorf("%s: %+v, want %v", c.name, found, c.want)
		}
	}
}

// Another interface of this host on the same network is no other host.
func TestAnsweredBySibling(t *testing.T) {
	x, list := heardOn(1)
	v := list[0]
	own := Present{Interface: "eth0", Prefix: netip.MustParsePrefix("192.0.2.1/24")}
	v.link.Addresses = []Present{own}
	other := &Link{Name: "eth1", Up: true, MAC: net.HardwareAddr(elseMAC[:])}
	x.Links = []*Link{v.link, other}
	v.hears(51, hostMAC, true, 0, v.vips()...)
	vip := v.vips()[0]
	v.asked = []netip.Addr{own.Prefix.Addr(), vip}
	for _, a := range v.asked {
		v.answers[a] = []answer{{elseMAC, begun.Add(4 * time.Second)}}
	}
	if d := cmp.Diff([]string{"warning arp-flux eth1"}, brief(answers(x, list))); d != "" {
		t.Error(d)
	}
	other.Addresses = []Present{{Interface: "eth1", Prefix: netip.MustParsePrefix("192.0.2.11/24")}} // which the settings tell
	if found := answers(x, list); len(found) > 0 {
		t.Errorf("it is told twice: %+v", found)
	}
}

// What goes to another host alone is not for this one to hear.
func TestUnicastOfOthers(t *testing.T) {
	_, list := heardOn(1)
	v := list[0]
	v.link.Addresses = []Present{{Interface: "eth0", Prefix: netip.MustParsePrefix("192.0.2.1/24")}}
	a := sniff.Advert{Decoded: true, VRID: 51, Priority: 100, Source: netip.MustParseAddr("192.0.2.2"), Destination: netip.MustParseAddr("192.0.2.3")}
	v.advert(&a, nil)
	if got := v.others(51, vrrp.IPv4); len(got) > 0 {
		t.Errorf("it takes an advert to %v for one to this host", a.Destination)
	}
	a.Destination = v.link.Addresses[0].Prefix.Addr()
	v.advert(&a, nil)
	if got := v.others(51, vrrp.IPv4); len(got) != 1 {
		t.Errorf("of an advert to this host it knows %v", got)
	}
}

// What is said of rp_filter holds over a boot, and on the interface of a VLAN.
func TestFixOfReversePath(t *testing.T) {
	x, list := heardOn(1)
	v := list[0]
	v.Interface = "eth0.7"
	v.wire.filtered = true
	r := v.hears(51, peerMAC, false, 0, v.vips()...)
	r.adverts = fewAdverts
	found := v.undelivered(x)
	if len(found) != 1 || !strings.Contains(found[0].Fix, "sysctl -w net.ipv4.conf.eth0/7.rp_filter=2\necho") {
		t.Errorf("it says %+v", found)
	}
}

// On a port adverts arrive and go no further, which no firewall has to do with.
func TestUndeliveredOnPort(t *testing.T) {
	x, list := heardOn(1)
	v := list[0]
	v.hears(51, peerMAC, false, 0, v.vips()...).adverts = fewAdverts
	x.Links = []*Link{{Name: "br0", Index: 3, Kind: "bridge"}}
	for master, want := range map[int]int{0: 1, 3: 0} {
		v.link.Master = master
		if found := v.undelivered(x); len(found) != want {
			t.Errorf("port of %d: it says %+v", master, found)
		}
	}
}

// The owners of chains keep rules in places of their own.
func TestFixOfFirewall(t *testing.T) {
	for _, c := range []struct {
		comes bool
		uses  string
		want  []string
	}{
		{true, "ufw-before-input", []string{"-A ufw-before-input -i eth0 -p 112", "/etc/ufw/before.rules\nufw reload"}},
		{false, "ufw-before-output", []string{"-A ufw-before-output -o eth0 -p 112", "/etc/ufw/before.rules\nufw reload"}},
		{true, "INPUT_ZONES", []string{"firewall-cmd --zone=\"$zone\" --add-protocol=vrrp", "firewall-cmd --permanent --zone=\"$zone\" --add-protocol=vrrp"}},
	} {
		o := &obstacle{way{iface: "eth0", comes: c.comes}, firewall.Verdict{Chain: &firewall.Chain{Tool: "iptables", Family: "ip", Table: "filter"}, Uses: []string{c.uses}}, nil}
		fix := o.fix()
		for _, want := range c.want {
			if !strings.Contains(fix, want) {
				t.Errorf("of %s it says %q, want %q", c.uses, fix, want)
			}
		}
		if strings.Contains(fix, "--reload") {
			t.Errorf("it forgets what was permitted at run time: %s", fix)
		}
	}
}

// The network of a cloud answers for every address.
func TestAnsweredByGateway(t *testing.T) {
	for _, c := range []struct {
		peers []netip.Addr
		want  []string
	}{
		{[]netip.Addr{netip.MustParseAddr("192.0.2.2")}, []string{"info answered-by-gateway eth0"}},
		{nil, []string{"error answered-by-other i0"}}, // a router with proxy ARP, on a link that is none of a cloud
	} {
		x, list := heardOn(1)
		x.Files.(fstest.MapFS)["proc/net/arp"] = &fstest.MapFile{Data: []byte("IP address HW type Flags HW address Mask Device\n" +
			"192.0.2.254      0x1         0x2         " + elseMAC.String() + "     *        eth0\n")}
		x.Files.(fstest.MapFS)["proc/net/route"] = &fstest.MapFile{Data: []byte("Iface\tDestination\tGateway\tFlags\neth0\t00000000\tFE0200C0\t0003\n")}
		v := list[0]
		v.Peers = c.peers
		v.hears(51, hostMAC, true, 0, v.vips()...)
		v.answers[v.vips()[0]] = []answer{{elseMAC, begun.Add(4 * time.Second)}}
		if d := cmp.Diff(c.want, brief(answers(x, list))); d != "" {
			t.Errorf("with the peers %v:\n%s", c.peers, d)
		}
	}
}

// What is said beside the lines to paste fits the terminal; the lines stay whole.
func TestWidthOfFix(t *testing.T) {
	var b strings.Builder
	line := "sysctl -w " + strings.Repeat("x", 60) + "=1 y=2"
	err := (&Text{W: &b, Width: 60}).Write(&Report{Findings: []Finding{{
		Severity: Error, Title: "it is wrong", Fix: "# in the configuration of all nodes, which is a long way to say where that is\n" + line + "\n#peers = [\"192.0.2.2\"]",
	}}})
	if err != nil {
		t.Fatal(err)
	}
	for got := range strings.Lines(b.String()) {
		if got = strings.TrimRight(got, "\n"); len(got) > 60 && got != "        "+line {
			t.Errorf("this is wider than 60 columns: %q", got)
		}
	}
	for _, want := range []string{"\n        # in the configuration of all nodes, which is a long\n        # way to", "\n        " + line + "\n", "\n        #peers = "} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("there is no %q in\n%s", want, b.String())
		}
	}
}

// Who may not open the socket is not told that the daemon does not run.
func TestDaemonNotReached(t *testing.T) {
	for want, f := range map[string]Finding{
		"the daemon was not reached": {Severity: Unseen, ID: "daemon", Title: "may not open the socket"},
		"the daemon does not run":    {Severity: Info, ID: "daemon-not-running", Title: "no daemon"},
	} {
		var b strings.Builder
		if err := (&Text{W: &b}).Write(&Report{Findings: []Finding{f}}); err != nil || !strings.Contains(b.String(), want) {
			t.Errorf("of %+v it says %q, %v", f, b.String(), err)
		}
	}
}

// Two instances that lose their VRIDs are told to take two.
func TestFreeVRIDs(t *testing.T) {
	x, list := heardOn(2)
	for _, v := range list {
		v.hears(v.VRID, elseMAC, false, 0, netip.MustParseAddr("192.0.2.200"))
	}
	found := strangers(x, append(list, list[0]))
	if len(found) != 3 || !strings.HasSuffix(found[0].Fix, "\nvrid = 53") || !strings.HasSuffix(found[1].Fix, "\nvrid = 54") || found[2] != found[0] {
		t.Errorf("they are told %+v", found)
	}
}

// What is not known is not told as if it were.
func TestUnclearFirewall(t *testing.T) {
	for _, comes := range []bool{true, false} {
		o := &obstacle{way{iface: "eth0", comes: comes}, firewall.Verdict{Chain: &firewall.Chain{Tool: "nft"}, Unsure: true, By: "mark 7 drop"}, []vrrp.Family{vrrp.IPv4}}
		if f := o.finding(); f.Severity != Unseen || !strings.HasPrefix(f.Why, "If it does, th") {
			t.Errorf("it says %+v", f)
		}
	}
}

// A single address has no route to the hosts of its network: an address there does
// not cost it.
func TestFixOfForeignNetwork(t *testing.T) {
	x := patient(nil)
	x.Instances[0].Addresses = append(x.Instances[0].Addresses, netip.MustParsePrefix("192.0.2.101/24"))
	found := foreignNetworks(x.Instances[0], x.Links[0])
	if len(found) != 1 || !strings.HasSuffix(found[0].Title, "and of 1 more") {
		t.Fatalf("it finds %+v", found)
	}
	for line := range strings.Lines(found[0].Fix) {
		if !strings.HasPrefix(line, "#") && line != "ip address add ADDRESS/24 dev eth0\n" {
			t.Errorf("it says to paste %q", line)
		}
	}
	for _, want := range []string{"It takes the route to that network on eth0 away", `#addresses = ["192.0.2.100/32", "2001:db8::100/64", "192.0.2.101/32"]`} {
		if !strings.Contains(found[0].Fix, want) {
			t.Errorf("it does not say %q in\n%s", want, found[0].Fix)
		}
	}
}

// Peers are asked from whatever address there is, and are not called silent when
// they were not asked.
func TestAskPeersOfIPv6(t *testing.T) {
	for _, c := range []struct {
		own, peer string
		tentative bool
		from      string
		want      []string
	}{
		{"fe80::1/64", "fe80::2", false, "fe80::1", []string{"warning peer-silent i0"}},
		{"2001:db8::1/64", "2001:db8::2", false, "2001:db8::1", []string{"warning peer-silent i0"}},
		{"2001:db8::1/64", "2001:db8::2", true, "", []string{"unseen  eth0"}},
		{"192.0.2.1/24", "fe80::2", false, "", []string{"unseen  eth0"}},
	} {
		x, list := heardOn(1)
		v := &list[0]
		v.family, v.Peers = vrrp.IPv6, []netip.Addr{netip.MustParseAddr(c.peer)}
		v.Addresses = []netip.Prefix{netip.MustParsePrefix("2001:db8::100/64")}
		v.link.Addresses = []Present{{Interface: "eth0", Prefix: netip.MustParsePrefix(c.own), Tentative: c.tentative}}
		v.asked, _ = x.questions(v.wireLink)
		if d := cmp.Diff(c.want, brief(append(answers(x, list), silentPeers(list)...))); d != "" {
			t.Errorf("from %s:\n%s", c.own, d)
		}
		if c.from == "" {
			continue
		}
		frame, err := v.question(v.Peers[0])
		if from, _ := netip.AddrFromSlice(frame[22:38]); err != nil || from != netip.MustParseAddr(c.from) {
			t.Errorf("it asks from %v, %v, want %s", from, err, c.from)
		}
	}
}

// An address to send from is wanted as the peers are.
func TestSourceOfIPv6(t *testing.T) {
	for _, c := range []struct {
		own   string
		peers []netip.Addr
		want  []string
	}{
		{"fe80::1/64", nil, nil},
		{"2001:db8::1/64", nil, []string{"error no-link-local-address eth0"}},
		{"fe80::1/64", []netip.Addr{netip.MustParseAddr("fe80::2")}, nil},
		{"2001:db8::1/64", []netip.Addr{netip.MustParseAddr("fe80::2")}, []string{"error no-link-local-address eth0"}},
		{"fe80::1/64", []netip.Addr{netip.MustParseAddr("2001:db8::2")}, []string{"error no-ipv6-address eth0"}},
		{"2001:db8::1/64", []netip.Addr{netip.MustParseAddr("2001:db8::2")}, nil},
	} {
		x := patient(nil)
		x.Instances[0].Addresses = x.Instances[0].Addresses[1:]
		x.Instances[0].Peers = c.peers
		x.Links[0].Addresses = []Present{{Interface: "eth0", Prefix: netip.MustParsePrefix(c.own)}}
		if d := cmp.Diff(c.want, brief(testOwnAddress(t.Context(), x)), cmpopts.EquateEmpty()); d != "" {
			t.Errorf("%s with the peers %v:\n%s", c.own, c.peers, d)
		}
	}
}

// On the loopback interface an address is found by ARP unless arp_ignore is set.
func TestLoopback(t *testing.T) {
	for ignore, want := range map[string][]string{"0": {"error vip-on-loopback 192.0.2.100"}, "1": nil} {
		for _, of := range []string{"all", "eth0"} {
			x := patient(map[string]string{"proc/sys/net/ipv4/conf/" + of + "/arp_ignore": ignore})
			x.Links = append(x.Links, &Link{Name: "lo", Loopback: true, Addresses: []Present{
				{Interface: "lo", Prefix: netip.MustParsePrefix("192.0.2.100/32")}, {Interface: "lo", Prefix: netip.MustParsePrefix("2001:db8::100/128")},
			}})
			if d := cmp.Diff(want, brief(testElsewhere(t.Context(), x)), cmpopts.EquateEmpty()); d != "" {
				t.Errorf("with arp_ignore = %s of %s:\n%s", ignore, of, d)
			}
		}
	}
}

// What is said to paste into the configuration leaves it one that can be read.
func TestFixOfConfiguration(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "holdfast.toml")
	const rest = "[[instance]]\nname = \"web\"\ninterface = \"eth0\"\nvrid = 51\naddresses = [\"192.0.2.100\"]\n"
	if err := os.WriteFile(file, []byte("[node]\nrun_dir = \""+dir+"/a\"\nname = \"lb1\"\n"+rest), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, _, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	x := &Examination{Config: cfg, Files: os.DirFS("/")}
	x.Config.Node.RunDir = file // which is no folder
	found := testRunDir(t.Context(), x)
	if len(found) != 1 || found[0].ID != "run-dir-unusable" {
		t.Fatalf("it finds %+v", found)
	}
	if out, err := exec.Command("sh", "-ec", found[0].Fix).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", found[0].Fix, err, out)
	}
	if cfg, _, err = config.Load(file); err != nil || cfg.Node.RunDir != config.DefaultRunDir || cfg.Node.Name != "lb1" {
		t.Errorf("after the fix it has %+v, %v", cfg, err)
	}
}
