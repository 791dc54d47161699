package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/lab"
)

// TestDoctorHealthy examines both nodes of a healthy pair, with the firewall and
// the settings of a careful operator: nothing may be found.
func TestDoctorHealthy(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	var pair []*patient
	for n, name := range []string{"lb1", "lb2"} {
		p := newPatient(newNode(t, l, name, fmt.Sprintf("192.0.2.%d/24", n+1), fmt.Sprintf("2001:db8::%d/64", n+1)))
		p.sh(`sysctl -q -w net.ipv4.conf.eth0.rp_filter=1 net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2
			nft -f - <<-'X'
			table inet filter {
				set peers { type ipv4_addr; flags interval; elements = { 192.0.2.0/24 } }
				chain input { type filter hook input priority 0; policy drop
					ct state vmap { established : accept, related : accept, invalid : drop }
					iif lo accept
					meta l4proto { icmp, ipv6-icmp, igmp } accept
					ip saddr @peers ip protocol vrrp accept
					ip6 saddr fe80::/10 ip6 daddr ff02::12 meta l4proto vrrp accept
					tcp dport { 22, 80, 443 } accept
					log prefix "dropped " limit rate 1/second
					reject
				}
				chain output { type filter hook output priority 0; policy drop; oif lo accept; oifname "eth*" jump out; }
				chain out { meta l4proto { tcp, udp, icmp, ipv6-icmp, igmp } accept; ip daddr 224.0.0.18 accept; ip6 nexthdr 112 accept; }
			}
			X`)
		p.run(instanceTOML(150-50*n, "300ms", []string{"192.0.2.100/24", "2001:db8::100/64"}))
		pair = append(pair, p)
	}
	eventually(t, patience, "one is master, one is backup", func() bool {
		return pair[0].instance("web").State == "master" && pair[1].instance("web").State == "backup"
	})
	for _, p := range pair {
		if d := p.examine("--wait", "0s"); len(d.bad()) > 0 || !d.Daemon {
			t.Errorf("doctor on %s finds\n%s", p.Name(), d.text())
		}
	}
	// A person is told what takes so long, and then only what was found.
	screen := pair[0].onTerminal(t, 100, 12, "doctor", "--config", "/run/holdfast.toml", "--wait", "1500ms")
	screen.sees("listening on eth0 for adverts, and asking who has the addresses: 2s left ...")
	screen.sees("nothing wrong was found")
	screen.ends(0)
	if text := screen.text(); strings.Contains(text, "listening") {
		t.Errorf("in the end there is still, on the terminal,\n%s", text)
	}
}

// TestDoctorLinks breaks links, addresses and settings of the kernel.
func TestDoctorLinks(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	n1, p := newNode(t, l, "lb1", "192.0.2.1/24", "2001:db8::1/64"), newPatient(newNode(t, l, "lb2", "192.0.2.2/24", "2001:db8::2/64"))
	addresses := []string{"192.0.2.100/24", "2001:db8::100/64"}
	n1.run(instanceTOML(150, "100ms", addresses))
	p.run(instanceTOML(100, "100ms", addresses))
	other, err := l.Switch("other")
	if err == nil {
		_, err = p.Plug("eth1", other, "198.51.100.2/24")
	}
	if err == nil {
		_, err = p.Plug("eth2", other, "198.51.100.3/24")
	}
	if err != nil {
		t.Fatal(err)
	}
	family := func(n int, state string) func() bool {
		return func() bool { f := p.instance("web").Families; return len(f) == 2 && f[n].State == state }
	}
	eventually(t, patience, "lb2 is backup", family(0, "backup"))
	p.heal([]ill{
		{
			"rp_filter", "ip route add 192.0.2.0/25 dev eth1; sysctl -q -w net.ipv4.conf.eth0.rp_filter=1", "error", "rp-filter-drops-vrrp", "eth0",
			family(0, "master"), family(0, "backup"), "ip route del 192.0.2.0/25 dev eth1",
		},
		{"down", "ip link set eth0 down", "error", "interface-down", "eth0", family(0, "fault"), family(0, "backup"), "ip -6 address replace 2001:db8::2/64 dev eth0 nodad"},
		{"no multicast", "ip link set eth0 multicast off", "warning", "interface-no-multicast", "eth0", nil, nil, ":"},
		{"IPv6 off", "sysctl -q -w net.ipv6.conf.eth0.disable_ipv6=1", "error", "ipv6-disabled", "eth0", family(1, "fault"), family(1, "backup"), ":"},
		{"no link-local", "ip -6 address flush dev eth0 scope link", "error", "no-link-local-address", "eth0", family(1, "fault"), family(1, "backup"), ":"},
	})
	p.sh("ip -4 address flush dev eth0")
	eventually(t, patience, "no address: it shows", family(0, "fault"))
	f := p.finds(p.examine("--wait", "0s"), "error", "no-ipv4-address", "eth0")
	p.sh(strings.ReplaceAll(f.Fix, "ADDRESS", "192.0.2.2"))
	eventually(t, patience, "an address helps", family(0, "backup"))
	p.lacks(p.examine("--wait", "0s"), "no-ipv4-address")

	p.sh("ip link add br0 up type bridge; ip link set eth0 master br0")
	eventually(t, patience, "a port: it hears nobody", family(0, "master"))
	p.finds(p.examine("--wait", "0s"), "error", "interface-is-port", "eth0")
	p.sh("ip link set eth0 nomaster")
	eventually(t, patience, "no port: it hears its peer", family(0, "backup"))
	p.lacks(p.examine("--wait", "0s"), "interface-is-port")
}

// TestDoctorARP asks for the VIP of a host that answers on two interfaces of one
// network, and of one that does not answer at all.
func TestDoctorARP(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	p := newPatient(newNode(t, l, "lb1", "192.0.2.1/24"))
	client, err := l.Host("client", "192.0.2.9/24")
	if err != nil {
		t.Fatal(err)
	}
	lan, err := l.Switch("spare")
	if err == nil {
		_, err = p.Plug("eth1", lan)
	}
	if err == nil {
		_, err = client.Plug("eth1", lan, "192.0.2.19/24")
	}
	if err != nil {
		t.Fatal(err)
	}
	p.run(instanceTOML(150, "100ms", []string{"192.0.2.100/24"}))
	eventually(t, patience, "lb1 is master", func() bool { return p.has("192.0.2.100") })
	answers := func(iface string, want bool) func() bool {
		return func() bool { return answersARP(t, client, iface, "192.0.2.100") == want }
	}
	p.heal([]ill{
		{"flux", "ip address add 192.0.2.11/24 dev eth1", "warning", "arp-flux", "eth1", answers("eth1", true), answers("eth1", false), ":"},
		{"silence", "sysctl -q -w net.ipv4.conf.eth0.arp_ignore=8", "error", "arp-unanswered", "eth0", answers("eth0", false), answers("eth0", true), ":"},
	})
}

// answersARP asks for an address on an interface and tells whether somebody
// answers.
func answersARP(t *testing.T, h *lab.Host, iface, addr string) bool {
	t.Helper()
	port, err := h.Port(iface)
	if err != nil {
		t.Fatal(err)
	}
	target := netip.MustParseAddr(addr).As4()
	c, err := h.Capture(iface, func(f lab.Frame) bool {
		return len(f.Data) >= 42 && f.Data[12] == 8 && f.Data[13] == 6 && f.Data[21] == 2 && [4]byte(f.Data[28:32]) == target
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	frame := slices.Concat([]byte{255, 255, 255, 255, 255, 255}, port.MAC(), []byte{8, 6, 0, 1, 8, 0, 6, 4, 0, 1},
		port.MAC(), []byte{192, 0, 2, 19}, make([]byte, 6), target[:])
	ctx, cancel := context.WithTimeout(t.Context(), room)
	defer cancel()
	if err := h.Inject(iface, frame); err != nil {
		t.Fatal(err)
	}
	_, err = c.Next(ctx)
	return err == nil
}

// TestDoctorFiles examines hosts by their files and processes: managers of the
// network, addresses that somebody else has configured, programs, configurations.
func TestDoctorFiles(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	p := newPatient(newNode(t, l, "lb1", "192.0.2.1/24"))
	spare, err := l.Switch("spare")
	if err == nil {
		_, err = p.Plug("eth1", spare)
	}
	if err != nil {
		t.Fatal(err)
	}
	check := func(command string) string {
		return fmt.Sprintf("[[check]]\nname = \"c\"\nexec = [%q]\nuser = \"nobody\"\n", command)
	}
	p.sh("mkdir -p /run/deep; chmod 755 /run/deep; printf '#!/bin/sh\nexit 0\n' > /run/deep/good; chmod 755 /run/deep/good")
	p.run(instanceTOML(150, "100ms", []string{"192.0.2.100/24"}) + check("/run/deep/good"))
	eventually(t, patience, "lb1 is master", func() bool { return p.has("192.0.2.100") })
	p.sh(`mkdir /run/NetworkManager; printf '#!/bin/sh\necho "GENERAL.STATE:100 (connected)"; echo "GENERAL.CONNECTION:Wired"\n' > /run/bin/nmcli; chmod 755 /run/bin/nmcli`)
	p.finds(p.examine("--wait", "0s"), "info", "networkmanager-manages-interface", "eth0")
	p.sh("rm -r /run/NetworkManager")
	var listener net.Listener
	p.healTogether([]ill{
		{"networkd", `i=$(cat /sys/class/net/eth0/ifindex); mkdir -p /run/systemd/netif/links /run/systemd/network
			printf 'ADMIN_STATE=configured\nNETWORK_FILE=/run/systemd/network/10-netplan-eth0.network\nNETWORK_FILE_DROPINS=""\n' > /run/systemd/netif/links/$i
			printf '[Network]\nDHCP=yes\n' > /run/systemd/network/10-netplan-eth0.network
			printf '#!/bin/sh\n' > /run/bin/networkctl; chmod 755 /run/bin/networkctl`, "warning", "networkd-removes-addresses", "eth0", nil, nil, ":"},
		{
			"on another interface", "ip address add 192.0.2.100/32 dev eth1", "error", "vip-on-other-interface", "192.0.2.100", func() bool { return p.instance("web").Elsewhere != nil },
			func() bool { return p.instance("web").Elsewhere == nil }, ":",
		},
		{
			"in a file", "printf 'iface eth0 inet static\n\taddress 192.0.2.1/24\n\tup ip address add 192.0.2.100/24 dev eth0\n' > /etc/network/interfaces",
			"error", "vip-in-network-files", "192.0.2.100", nil, nil, ":",
		},
		{"not reloaded", "echo '# a thought of the night' >> /run/holdfast.toml", "warning", "not-reloaded", "/run/holdfast.toml", nil, nil, ":"},
		{
			"not to be entered", "chmod 700 /run/deep", "error", "program-not-executable", "/run/deep/good",
			func() bool { return p.status().Checks[0].State == "failing" }, func() bool { return p.status().Checks[0].State == "healthy" }, ":",
		},
	})
	if err := p.Do(func() (err error) {
		listener, err = net.Listen("tcp", "192.0.2.100:80")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	p.sh(p.finds(p.examine("--wait", "0s"), "warning", "service-binds-vip", "192.0.2.100:80").Fix)
	p.lacks(p.examine("--wait", "0s"), "service-binds-vip")
	p.stop()
	if err := p.Do(func() error {
		l, err := net.Listen("tcp", "192.0.2.100:81") // which is not here any more
		if err == nil {
			l.Close()
		}
		return err
	}); err != nil {
		t.Errorf("after the fix a service still cannot start: %v", err)
	}
}

// TestDoctorRunning examines a running daemon, what it was told and what it runs with.
func TestDoctorRunning(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	p := newPatient(newNode(t, l, "lb1", "192.0.2.1/24"))
	config := instanceTOML(150, "100ms", []string{"192.0.2.100/24"}) +
		"[[check]]\nname = \"maintenance\"\nexec = [\"/bin/sh\", \"-c\", \"[ ! -e /run/maintenance ]\"]\non_failure = \"release\"\ninterval = \"100ms\"\n"
	p.run(config)
	eventually(t, patience, "lb1 is master", func() bool { return p.has("192.0.2.100") })
	failing := func(want bool) func() bool {
		return func() bool { return (p.instance("web").State == "master") != want }
	}
	p.heal([]ill{{"a check fails", "touch /run/maintenance", "info", "nonlocal-bind-off", "", failing(true), nil, "rm /run/maintenance"}})
	eventually(t, patience, "lb1 is master again", failing(false))

	// A reload that is refused, and mended.
	p.configure(config + "nonsense = 1\n")
	if out, status := p.command("reload"); status == 0 {
		t.Errorf("a bad configuration is loaded: %s", out)
	}
	p.configure(config)
	p.sh(p.finds(p.examine("--wait", "0s"), "error", "reload-refused", "/run/holdfast.toml").Fix)
	d := p.examine("--wait", "0s")
	p.lacks(d, "reload-refused")
	p.finds(d, "info", "daemon-in-container", "")

	if err := p.WriteFile("/run/other.toml", config, 0o600); err != nil {
		t.Fatal(err)
	}
	p.sh(p.finds(p.examine("--wait", "0s", "--config", "/run/other.toml"), "info", "other-file", "/run/other.toml").Fix + " --wait 0s")
	p.stop()
}

// TestDoctorUrgency runs a daemon that was not permitted to run in real time, and
// one that was stopped for a while.
func TestDoctorUrgency(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	p := newPatient(newNode(t, l, "lb1", "192.0.2.1/24"))
	p.configure(instanceTOML(150, "100ms", []string{"192.0.2.100/24"}))
	begin := func(limits string) {
		c := p.Command(context.Background(), "/bin/sh", "-ec", limits+" "+selfPath()+" run --config /run/holdfast.toml")
		c.SharePIDs = true // as on a host
		var err error
		if p.daemon, err = p.StartCommand(c); err != nil {
			t.Fatal(err)
		}
		eventually(t, patience, "lb1 is master", func() bool { return p.has("192.0.2.100") })
	}
	begin("ulimit -r 0; ulimit -l 64; exec setpriv --bounding-set=-sys_nice,-ipc_lock,-sys_resource")
	d := p.examine("--wait", "0s")
	on := fmt.Sprintf("pid %d", p.daemon.PID())
	for _, f := range []finding{p.finds(d, "warning", "not-realtime", on), p.finds(d, "warning", "memory-not-locked", on)} {
		if !strings.Contains(f.Fix, "LimitRTPRIO=1\\nLimitMEMLOCK=infinity") {
			t.Errorf("the fix is %s", f.Fix)
		}
	}
	for _, sig := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGCONT} {
		if err := p.daemon.Signal(sig); err != nil {
			t.Fatal(err)
		}
		time.Sleep(700 * time.Millisecond) // longer than peers wait
	}
	f := p.finds(p.examine("--wait", "0s"), "warning", "daemon-paused", "")
	if !strings.Contains(f.Title, ", last at "+time.Now().Format(time.DateOnly)) {
		t.Errorf("of a pause just now it says %q", f.Title)
	}
	p.sh(f.Fix)
	p.stop()
	begin("exec setpriv --bounding-set=-setuid")
	if err := p.WriteFile("/run/other.toml", instanceTOML(150, "100ms", []string{"192.0.2.100/24"})+"\n[[check]]\nname = \"app\"\nexec = [\"/bin/true\"]\nuser = \"nobody\"\n", 0o600); err != nil {
		t.Fatal(err)
	}
	p.finds(p.examine("--wait", "0s", "--config", "/run/other.toml"), "error", "daemon-lacks-capability", fmt.Sprintf("pid %d", p.daemon.PID()))
	p.stop()
	begin("exec") // permitted whatever it wants
	d = p.examine("--wait", "0s")
	for _, id := range []string{"not-realtime", "memory-not-locked", "daemon-in-container", "daemon-lacks-capability"} {
		p.lacks(d, id)
	}
	p.stop()
}
