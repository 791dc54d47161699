package doctor

import (
	"context"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/config"
	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
	"github.com/holdfast-vrrp/holdfast/healthcheck"
	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// patient is an examination of a host that has these files and one instance.
func patient(files map[string]string) *Examination {
	x := &Examination{Config: &config.Config{File: "/etc/holdfast/holdfast.toml"}, Files: fstest.MapFS{}}
	for name, text := range files {
		x.Files.(fstest.MapFS)[name] = &fstest.MapFile{Data: []byte(text), Mode: 0o755}
	}
	x.Command = func(context.Context, string, ...string) ([]byte, error) { return nil, exec.ErrNotFound }
	x.Instances = []*vrrp.Config{{
		Name: "web", Interface: "eth0", VRID: 51, Version: vrrp.Version3, Priority: 100, AdvertInterval: time.Second,
		Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.100/24"), netip.MustParsePrefix("2001:db8::100/64")},
	}}
	x.Links = []*Link{{Name: "eth0", Index: 2, Up: true, Carrier: true, Multicast: true, MTU: 1500}}
	return x
}

// brief says of findings what they are and on what.
func brief(found []Finding) (list []string) {
	for _, f := range found {
		list = append(list, fmt.Sprintf("%v %s %s", f.Severity, f.ID, f.On))
	}
	return list
}

// A port of a bridge carries nothing for this host, one of a VRF does.
func TestLinkIsPort(t *testing.T) {
	for kind, want := range map[string][]string{
		"bridge": {"error interface-is-port eth0"}, "bond": {"error interface-is-port eth0"}, "team": {"error interface-is-port eth0"},
		"openvswitch": {"error interface-is-port eth0"}, "vrf": nil, "device": nil, "": nil,
	} {
		x := patient(nil)
		x.Links[0].Master = 3
		x.Links = append(x.Links, &Link{Name: "br0", Index: 3, Up: true, Carrier: true, Kind: kind})
		if d := cmp.Diff(want, brief(testLink(t.Context(), x)), cmpopts.EquateEmpty()); d != "" {
			t.Errorf("port of %q:\n%s", kind, d)
		}
	}
}

func TestManagers(t *testing.T) {
	link := "run/systemd/netif/links/2"
	const file = "/run/systemd/network/10-netplan-eth0.network"
	for _, c := range []struct {
		name  string
		files map[string]string
		nmcli string
		want  []string
	}{
		{"nobody", nil, "", nil},
		{"networkd", map[string]string{link: "ADMIN_STATE=configured\nNETWORK_FILE=" + file, file[1:]: "[Match]\nName=eth0\n[Network]\nDHCP=yes\n"}, "", []string{"warning networkd-removes-addresses eth0"}},
		{"networkd leaves it alone", map[string]string{link: "ADMIN_STATE=unmanaged\nNETWORK_FILE=" + file}, "", nil},
		{"networkd keeps", map[string]string{link: "NETWORK_FILE=" + file, file[1:]: "[Network]\nKeepConfiguration=static\n"}, "", nil},
		{"networkd keeps what DHCP gave", map[string]string{link: "NETWORK_FILE=" + file, file[1:]: "[Network]\nKeepConfiguration=dhcp\n"}, "", []string{"warning networkd-removes-addresses eth0"}},
		{"in another section", map[string]string{link: "NETWORK_FILE=" + file, file[1:]: "[DHCPv4]\nKeepConfiguration=yes\n"}, "", []string{"warning networkd-removes-addresses eth0"}},
		{"a drop-in", map[string]string{link: "NETWORK_FILE=" + file, file[1:]: "[Network]\nKeepConfiguration=no\n", "etc/systemd/network/10-netplan-eth0.network.d/x.conf": "[Network]\nKeepConfiguration=yes\n"}, "", nil},
		{"NetworkManager", map[string]string{"run/NetworkManager/x": ""}, "GENERAL.STATE:100 (connected)\nGENERAL.CONNECTION:Wired\n", []string{"info networkmanager-manages-interface eth0"}},
		{"NetworkManager leaves it alone", map[string]string{"run/NetworkManager/x": ""}, "GENERAL.STATE:10 (unmanaged)\nGENERAL.CONNECTION:\n", nil},
		{"NetworkManager does not say", map[string]string{"run/NetworkManager/x": ""}, "", []string{"unseen  eth0"}},
	} {
		x := patient(c.files)
		if c.nmcli != "" {
			x.Command = func(context.Context, string, ...string) ([]byte, error) { return []byte(c.nmcli), nil }
		}
		if d := cmp.Diff(c.want, brief(testManagers(t.Context(), x)), cmpopts.EquateEmpty()); d != "" {
			t.Errorf("%s:\n%s", c.name, d)
		}
	}
}

// TestNetworkFiles has the address in the ways in which it is configured, and as
// what is no address of this host.
func TestNetworkFiles(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       int
	}{
		{"etc/network/interfaces", "iface eth0 inet static\n  address 192.0.2.100\n", 1},
		{"etc/network/interfaces", "iface eth0 inet static\n  address 192.0.2.1/24\n  gateway 192.0.2.100\n", 0},
		{"etc/network/interfaces", "# address 192.0.2.100\n", 0},
		{"etc/network/interfaces.d/x", "iface eth0 inet6 static\n address 2001:db8::100/64\n", 1},
		{"etc/netplan/50.yaml", "network:\n ethernets:\n  eth0:\n   addresses:\n    - 192.0.2.1/24\n    - \"192.0.2.100/24\"\n", 1},
		{"etc/netplan/50.yaml", "   addresses: [192.0.2.100/24, 192.0.2.1/24]\n", 1},
		{"etc/netplan/50.yaml", "   routes:\n    - to: default\n      via: 192.0.2.100\n   nameservers:\n    addresses: [192.0.2.100]\n", 0},
		{"etc/systemd/network/x.network", "[Network]\nAddress=192.0.2.100/24\nGateway=192.0.2.100\nDNS=192.0.2.100\n", 1},
		{"etc/NetworkManager/system-connections/x", "[ipv4]\naddress1=192.0.2.100/24,192.0.2.254\n", 1},
		{"etc/sysconfig/network-scripts/ifcfg-eth0", "IPADDR=192.0.2.100\nGATEWAY=192.0.2.100\n", 1},
	} {
		found := patient(map[string]string{c.name: c.text}).inFiles()
		if len(found) != c.want {
			t.Errorf("%s %q: %+v, want %d", c.name, c.text, found, c.want)
		}
	}
	x := patient(map[string]string{"etc/network/interfaces": " address 192.0.2.100\n"})
	x.Instances[0].Priority = 255
	if found := x.inFiles(); len(found) > 0 {
		t.Errorf("of the owner of the address: %+v", found)
	}
}

func TestParseKeepalived(t *testing.T) {
	got := parseKeepalived(`
! a comment { with a brace
global_defs { router_id x }
vrrp_script check { script "/bin/true" }
vrrp_instance one{
	interface eth0   # not eth1
	virtual_router_id 51
	authentication { auth_type PASS
		auth_pass 1111 }
	virtual_ipaddress {
		192.0.2.100/24 dev eth0 label eth0:1
		192.0.2.101
	}
	virtual_ipaddress_excluded { 2001:db8::100/64 }
	track_interface { eth0 }
}
vrrp_instance two { interface eth1
virtual_router_id 7 }
`)
	addr := netip.MustParseAddr
	want := []keepalivedInstance{
		{"one", "eth0", 51, []netip.Addr{addr("192.0.2.100"), addr("192.0.2.101"), addr("2001:db8::100")}},
		{"two", "eth1", 7, nil},
	}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(keepalivedInstance{}), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
		t.Error(d)
	}
}

func TestOtherDaemons(t *testing.T) {
	x := patient(map[string]string{
		"proc/7/cmdline": "/usr/sbin/keepalived\x00--use-file\x00/etc/k.conf\x00", "proc/7/root/etc/k.conf": "vrrp_instance a { interface eth0\n virtual_router_id 51 }",
		"proc/8/cmdline": "/usr/sbin/keepalived\x00--use-file\x00/etc/k.conf\x00", "proc/8/root/etc/k.conf": "vrrp_instance a { interface eth0\n virtual_router_id 51 }",
		"proc/9/cmdline": "/usr/sbin/keepalived\x00-f\x00/etc/l.conf\x00", "proc/9/root/etc/l.conf": "vrrp_instance b { interface eth0\n virtual_router_id 9\n virtual_ipaddress { 192.0.2.100 } }",
		"proc/10/cmdline": "keepalived\x00", "proc/11/cmdline": "",
	})
	want := []string{"error vip-used-by-keepalived 192.0.2.100", "error vrid-used-by-keepalived web", "unseen  keepalived"}
	got := brief(testOtherDaemons(t.Context(), x))
	if d := cmp.Diff(want, got, cmpopts.SortSlices(strings.Compare)); d != "" {
		t.Error(d)
	}
}

func TestListeners(t *testing.T) {
	x := patient(map[string]string{
		"proc/net/tcp": "  sl  local_address rem_address   st\n" +
			"   0: 640200C0:0050 00000000:0000 0A 00000000:00000000\n   1: 0100007F:0035 00000000:0000 0A 0:0\n   2: 640200C0:0051 010200C0:1234 01 0:0\n",
		"proc/net/tcp6":                      "   0: B80D0120000000000000000000010000:01BB 00000000000000000000000000000000:0000 0A 0:0\n",
		"proc/sys/net/ipv4/ip_nonlocal_bind": "0\n", "proc/sys/net/ipv6/ip_nonlocal_bind": "0\n",
	})
	want := []string{"warning service-binds-vip 192.0.2.100:80", "warning service-binds-vip [2001:db8::100]:443"}
	if d := cmp.Diff(want, brief(testBind(t.Context(), x))); d != "" {
		t.Error(d)
	}
}

// TestPrograms has programs that cannot be run; what a user may do is tried on
// real files end to end.
func TestPrograms(t *testing.T) {
	for text, want := range map[string]string{
		"#!/bin/sh\nexit 0\n":     "",
		"#!/usr/bin/python4\n":    `its first line names "/usr/bin/python4", which does not exist`,
		"#!/bin/sh\r\nexit 0\r\n": `its first line names "/bin/sh\r", which does not exist`,
		"exit 0\n":                "it is a script whose first line names no program",
		"\x7fELF\x02\x01\x01\x00": "",
		"#! /bin/sh -e\nexit 0\n": "",
	} {
		x := patient(map[string]string{"opt/check": text, "bin/sh": "\x7fELF"})
		found := x.program(`check "c"`, "why", "/opt/check", "")
		switch {
		case want == "" && len(found) > 0:
			t.Errorf("%q: %+v", text, found)
		case want != "" && (len(found) != 1 || !strings.Contains(found[0].Title, want)):
			t.Errorf("%q: %+v, want %s", text, found, want)
		}
	}
	found := patient(nil).program("hook 1", "why", "/opt/gone", "")
	if len(found) != 1 || found[0].Title != "hook 1: there is no such program" {
		t.Errorf("of no program: %+v", found)
	}
}

// TestPauses tells of wake-ups that came later than a peer waits, and warns of them
// for a day.
func TestPauses(t *testing.T) {
	x := patient(nil)
	x.Instances[0].AdvertInterval = 200 * time.Millisecond
	late := func(over uint64, ago time.Duration) *Finding {
		x.Status = &control.Status{}
		x.Status.Daemon.Telemetry.Lateness = control.Lateness{Count: 100, Buckets: []control.LatenessBucket{
			{UpToMS: 1, Count: 90}, {UpToMS: 500, Count: 100 - over, LastBeyond: time.Now().Add(-ago)}, {UpToMS: 1000, Count: 100},
		}}
		return x.pauses()
	}
	if f := late(0, 0); f != nil {
		t.Errorf("of none it says %+v", f)
	}
	if f := late(1, time.Hour); f == nil || f.Severity != Warning || !strings.HasPrefix(f.Title, "the daemon woke more than 500ms late 1 time since ") {
		t.Errorf("of one an hour ago it says %+v", f)
	}
	if f := late(3, 25*time.Hour); f == nil || f.Severity != Info || !strings.Contains(f.Title, " late 3 times since ") ||
		!strings.Contains(f.Title, ", last at "+time.Now().Add(-25*time.Hour).Local().Format(time.DateOnly)) {
		t.Errorf("of three, the last of them yesterday, it says %+v", f)
	}
}

// TestDaemonUser has the program run as the user of the daemon, or of its unit.
func TestDaemonUser(t *testing.T) {
	unit := map[string]string{"lib/systemd/system/holdfast.service": "[Service]\nUser=nobody\n"}
	if got := patient(unit).daemonUser(); got != "65534" {
		t.Errorf("by the unit the daemon runs as %q", got)
	}
	const dropin = "etc/systemd/system/holdfast.service.d/scripts-as-root.conf"
	unit[dropin] = "# For checks\n[Service]\nUser=root\n"
	if got := patient(unit).daemonUser(); got != "" {
		t.Errorf("by the unit and a drop-in the daemon runs as %q", got)
	}
	delete(unit, dropin)
	unit["proc/7/cmdline"] = "/usr/bin/holdfast\x00run\x00"
	unit["proc/7/status"] = "Name:\tholdfast\nUid:\t0\t0\t0\t0\n"
	x := patient(unit)
	x.Status = &control.Status{}
	x.Status.Daemon.PID = 7
	if got := x.daemonUser(); got != "" {
		t.Errorf("a daemon of root runs as %q", got)
	}
	unit["proc/7/status"] = "Uid:\t1000\t998\t1000\t1000\n"
	x = patient(unit)
	x.Status = &control.Status{}
	x.Status.Daemon.PID = 7
	if got := x.daemonUser(); got != "998" {
		t.Errorf("a daemon of 998 runs as %q", got)
	}
}

// TestOtherUser has a check that wants another user than that of the unit, where make
// install puts it.
func TestOtherUser(t *testing.T) {
	files := map[string]string{
		"usr/local/lib/systemd/system/holdfast.service":              "[Service]\nUser=nobody\n",
		"usr/local/share/doc/holdfast/examples/scripts-as-root.conf": "",
		"usr/bin/true": "#!/bin/sh\n", "bin/sh": "",
	}
	x := patient(files)
	x.Config.Checks = []healthcheck.Config{{Name: "app", Exec: &healthcheck.Exec{Command: []string{"/usr/bin/true"}, User: "root"}}}
	found := testPrograms(t.Context(), x)
	if len(found) != 1 || found[0].ID != "check-as-other-user" || !strings.Contains(found[0].Title, "as user nobody, who") ||
		!strings.HasPrefix(found[0].Fix, "install -Dm644 -t /etc/systemd/system/holdfast.service.d /usr/local/share/doc/") {
		t.Errorf("it says %+v", found)
	}
	files["etc/systemd/system/holdfast.service.d/a.conf"] = "[Service]\nUser=root\n"
	x.Files = patient(files).Files
	if found := testPrograms(t.Context(), x); len(found) != 0 {
		t.Errorf("of a daemon of root it says %+v", found)
	}
}

// TestOldKernel has a kernel that does not note who configured an address.
func TestOldKernel(t *testing.T) {
	for _, c := range []struct {
		name   string
		lease  time.Duration
		state  string
		marked bool // by the kernel
		want   []string
	}{
		{"a lease", 2 * time.Second, "", false, nil},
		{"of the master, without a lease", 0, "master", false, nil},
		{"of somebody else", 0, "backup", false, []string{"error vip-configured-statically 192.0.2.100"}},
		{"a kernel that would note ours", 2 * time.Second, "master", true, []string{"error vip-configured-statically 192.0.2.100"}},
	} {
		x := patient(nil)
		x.Links = append(x.Links, &Link{Name: "lo", Loopback: true, Addresses: []Present{{Prefix: netip.MustParsePrefix("127.0.0.1/8")}}})
		if c.marked {
			x.Links[1].Addresses[0].Proto = 1
		}
		x.Links[0].Addresses = []Present{{Interface: "eth0", Prefix: netip.MustParsePrefix("192.0.2.100/24"), ValidLifetime: c.lease}}
		if c.state != "" {
			x.Status = &control.Status{Instances: []control.Instance{{Name: "web", State: c.state}}}
		}
		x.markOurs()
		if d := cmp.Diff(c.want, brief(testElsewhere(t.Context(), x)), cmpopts.EquateEmpty()); d != "" {
			t.Errorf("%s:\n%s", c.name, d)
		}
	}
}
