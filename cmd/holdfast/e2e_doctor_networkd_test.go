package main

import (
	"context"
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/lab"
)

// networkdScript runs systemd-networkd, without systemd. Where /sys can be written
// to it awaits udev, as on a real host, of which there is what it wrote down.
const networkdScript = `
umount -l /sys; mount -t sysfs sysfs /sys
mkdir -p /run/udev/data /run/systemd/netif/links /run/systemd/netif/leases /run/systemd/netif/lldp
chown -R systemd-network: /run/systemd/netif
for i in /sys/class/net/*/ifindex; do echo I:1 >/run/udev/data/n$(cat $i); done
exec /lib/systemd/systemd-networkd
`

// TestDoctorNetworkd has the networkd of Debian remove the virtual address when it
// is restarted, which doctor foretells, and which it does no more after the fix.
func TestDoctorNetworkd(t *testing.T) {
	t.Parallel()
	n := newNode(t, newLab(t), "lb1", "192.0.2.1/24")
	s := n.newSystem("", "sleep", "infinity")
	write := func(path, text string) { t.Helper(); must(t, s.WriteFile(path, text, 0o644)) }
	// Without a bus nobody can ask it to reload: it reads its files when it starts.
	must(t, s.WriteFile("/usr/sbin/networkctl", "#!/bin/sh\n[ \"$*\" = reload ]\n", 0o755))
	write("/etc/systemd/network/10-eth0.network", "[Match]\nName=eth0\n[Network]\nAddress=192.0.2.1/24\nIPv6AcceptRA=no\n")
	write("/run/holdfast.toml", instanceTOML(150, "100ms", []string{"192.0.2.100/24"}))
	networkd := func() (restarted *lab.Process) {
		t.Helper()
		c := s.Command(context.Background(), "unshare", "--mount", "--propagation", "slave", "sh", "-ec", networkdScript)
		p, err := s.StartCommand(c)
		must(t, err)
		t.Cleanup(func() {
			if t.Failed() {
				t.Logf("networkd wrote:\n%s", p.Output())
			}
		})
		configured := regexp.MustCompile(`(?m)^ADMIN_STATE=configured$`)
		eventually(t, patience, "networkd has configured eth0", func() bool {
			out, _ := inside(t, s, "sh", "-c", "cat /run/systemd/netif/links/*")
			return configured.MatchString(out)
		})
		return p
	}
	doctor := func() (list []finding) {
		t.Helper()
		out, _ := s.Command(t.Context(), "env", beHoldfast+"=1", "/opt/program", "doctor", "--json", "--wait", "0s", "--config", "/run/holdfast.toml").Output()
		var d diagnosis
		must(t, json.Unmarshal(out, &d))
		return d.of("networkd-removes-addresses")
	}
	restart := func(p *lab.Process) *lab.Process {
		t.Helper()
		must(t, p.Stop())
		mustInside(t, s, "sh", "-c", "rm /run/systemd/netif/links/*")
		return networkd()
	}
	p := networkd()
	// As a daemon puts it there, and here nobody puts it back.
	must(t, n.AddAddress("eth0", "192.0.2.100/24"))
	found := doctor()
	if len(found) != 1 || found[0].Severity != "warning" || !strings.Contains(found[0].Title, "/etc/systemd/network/10-eth0.network") {
		t.Fatalf("doctor finds %+v", found)
	}
	p = restart(p)
	if n.has("192.0.2.100") {
		t.Errorf("networkd does not remove the address:\n%s", p.Output())
	}
	must(t, n.AddAddress("eth0", "192.0.2.100/24"))
	mustInside(t, s, "sh", "-ec", found[0].Fix)
	p = restart(p)
	if !n.has("192.0.2.100") {
		t.Errorf("networkd removes the address after the fix:\n%s", p.Output())
	}
	if found = doctor(); len(found) > 0 {
		t.Errorf("doctor still finds %+v", found)
	}
	must(t, p.Stop())
}
