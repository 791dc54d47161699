package doctor

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
)

// testBind looks for services that listen on a VIP itself. Such a one can start
// on a node that has not the address only with ip_nonlocal_bind.
func testBind(_ context.Context, x *Examination) (found []Finding) {
	for _, f := range []struct{ family, key string }{{"ipv4", "net.ipv4.ip_nonlocal_bind"}, {"ipv6", "net.ipv6.ip_nonlocal_bind"}} {
		if v, err := x.read("/proc/sys/" + strings.ReplaceAll(f.key, ".", "/")); err != nil || v != "0" {
			continue
		}
		var on []string
		for _, l := range x.listeners(f.family) {
			if x.isVIP(l.Addr()) && !slices.Contains(on, l.String()) {
				on = append(on, l.String())
			}
		}
		const most = 4
		if n := len(on) - most; n > 1 {
			on = append(on[:most], fmt.Sprintf("and %d more", n))
		}
		if len(on) > 0 {
			found = append(found, Finding{
				Warning, "service-binds-vip", strings.Join(on, " "), "a service listens on a virtual address itself",
				"It cannot start while another node has the address, so that this one has no service when it takes over after a boot.",
				persist(f.key, "1"),
			})
		} else if f.family == "ipv4" && x.checkFails() {
			found = append(found, Finding{
				Info, "nonlocal-bind-off", "", "a check fails; a service that binds a virtual address itself cannot start while another node has it",
				"If that is why it fails, let it bind an address that is not here.", persist(f.key, "1"),
			})
		}
	}
	return found
}

func (x *Examination) isVIP(a netip.Addr) bool {
	for _, in := range x.Instances {
		if slices.ContainsFunc(in.Addresses, func(p netip.Prefix) bool { return p.Addr() == a }) {
			return true
		}
	}
	return false
}

// checkFails tells whether the daemon says so of one, of an instance that is not
// master.
func (x *Examination) checkFails() bool {
	if x.Status == nil || slices.ContainsFunc(x.Status.Instances, func(i control.Instance) bool { return i.State == "master" }) {
		return false
	}
	return slices.ContainsFunc(x.Status.Checks, func(c control.Check) bool { return c.State == "failing" })
}

// listeners are the addresses and ports on which something listens over TCP.
func (x *Examination) listeners(family string) (list []netip.AddrPort) {
	file := "/proc/net/tcp"
	if family == "ipv6" {
		file = "/proc/net/tcp6"
	}
	text, err := x.read(file)
	if err != nil {
		return nil
	}
	for line := range strings.Lines(text) {
		w := strings.Fields(line)
		const listening = "0A"
		if len(w) < 4 || w[3] != listening {
			continue
		}
		if a, err := parseListener(w[1]); err == nil {
			list = append(list, a)
		}
	}
	return list
}

// parseListener reads 0100007F:0050: words of 4 bytes in the order of this
// machine, which is taken to be the little end first.
func parseListener(text string) (netip.AddrPort, error) {
	host, port, ok := strings.Cut(text, ":")
	raw, err := hex.DecodeString(host)
	if err != nil || !ok || len(raw)%4 != 0 {
		return netip.AddrPort{}, fmt.Errorf("no address: %s", text)
	}
	for i := 0; i < len(raw); i += 4 {
		slices.Reverse(raw[i : i+4])
	}
	n, err := strconv.ParseUint(port, 16, 16)
	if err != nil {
		return netip.AddrPort{}, err
	}
	a, ok := netip.AddrFromSlice(raw)
	if !ok {
		return netip.AddrPort{}, fmt.Errorf("no address: %s", text)
	}
	return netip.AddrPortFrom(a, uint16(n)), nil
}
