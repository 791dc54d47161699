package lab

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Host is a machine of the lab: a network namespace, and a /run and a /sys of
// its own for the processes on it. All other files are those of the machine.
type Host struct {
	name string
	lab  *Lab
	keep *keeper
	nl   *netlink.Handle

	mu        sync.Mutex
	closed    bool
	ports     []*Port
	processes []*Process
	closers   []io.Closer // services, captures
}

// kernelDefaults are the IPv4 settings that a new namespace would take over
// from the machine it is made on; a lab must not depend on those.
var kernelDefaults = map[string]string{
	"accept_local": "0", "accept_redirects": "1", "accept_source_route": "0",
	"arp_accept": "0", "arp_announce": "0", "arp_evict_nocarrier": "1",
	"arp_filter": "0", "arp_ignore": "0", "arp_notify": "0",
	"drop_gratuitous_arp": "0", "drop_unicast_in_l2_multicast": "0",
	"forwarding": "0", "ignore_routes_with_linkdown": "0", "log_martians": "0",
	"promote_secondaries": "0", "proxy_arp": "0", "route_localnet": "0",
	"rp_filter": "0", "secure_redirects": "1", "send_redirects": "1",
	"shared_media": "1",
}

func newHost(l *Lab, name string) (*Host, error) {
	h := &Host{name: name, lab: l}
	var err error
	if h.keep, err = newKeeper(true, func() error { return furnish(name) }); err != nil {
		return nil, err
	}
	if h.nl, err = handleAt(h.keep); err != nil {
		return nil, errors.Join(err, h.keep.close())
	}
	lo, err := h.nl.LinkByName("lo")
	if err == nil {
		err = h.nl.LinkSetUp(lo)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("bring lo up: %w", err), h.close())
	}
	return h, nil
}

// furnish prepares the namespaces of a new host, on its thread.
func furnish(name string) error {
	// Addresses are to be usable at once, so no duplicate address detection.
	values := map[string]string{
		"ipv6/conf/all/accept_dad":        "0",
		"ipv6/conf/default/accept_dad":    "0",
		"ipv6/conf/default/dad_transmits": "0",
	}
	for key, value := range kernelDefaults {
		for _, conf := range []string{"all", "default"} {
			path := "ipv4/conf/" + conf + "/" + key
			if _, err := os.Stat("/proc/sys/net/" + path); err == nil { // younger than some kernels
				values[path] = value
			}
		}
	}
	if err := setSysctls(values); err != nil {
		return err
	}
	if err := unix.Unshare(unix.CLONE_NEWUTS); err != nil {
		return fmt.Errorf("make namespace for the host name: %w", err)
	}
	if err := unix.Sethostname([]byte(name)); err != nil {
		return fmt.Errorf("set host name: %w", err)
	}
	if err := unix.Mount("tmpfs", "/run", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755"); err != nil {
		return fmt.Errorf("mount /run: %w", err)
	}
	// /sys/class/net shows the interfaces of the namespace it was mounted in.
	if err := unix.Mount("sysfs", "/sys", "sysfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /sys: %w", err)
	}
	return nil
}

// Name is the name of the host, which is also what its programs see.
func (h *Host) Name() string { return h.name }

// Do runs f on a thread in the host's network namespace, so that sockets which
// f opens belong to the host. Files are those of the machine: for the host's
// own /run see WriteFile and ReadFile.
func (h *Host) Do(f func() error) error {
	h.mu.Lock()
	closed := h.closed
	h.mu.Unlock()
	if closed {
		return errClosed
	}
	return within(h.keep.netns, f)
}

// WriteFile writes a file as the processes on the host see it. Below /run it
// belongs to the host alone and goes with it.
func (h *Host) WriteFile(path, text string, mode os.FileMode) error {
	return h.keep.do(func() error { return os.WriteFile(path, []byte(text), mode) })
}

// ReadFile reads a file as the processes on the host see it.
func (h *Host) ReadFile(path string) (string, error) {
	var text []byte
	err := h.keep.do(func() (err error) {
		text, err = os.ReadFile(path)
		return err
	})
	return string(text), err
}

// MkdirAll makes a directory as the processes on the host see it.
func (h *Host) MkdirAll(path string) error {
	return h.keep.do(func() error { return os.MkdirAll(path, 0o755) })
}

// Addresses lists the addresses of an interface in the kernel's order, IPv4
// first. Tentative ones, which nobody can reach yet, are left out.
func (h *Host) Addresses(ifname string) ([]netip.Prefix, error) {
	link, err := h.nl.LinkByName(ifname)
	if err != nil {
		return nil, fmt.Errorf("find %s on %s: %w", ifname, h.name, err)
	}
	return h.addresses(link)
}

// HasAddress tells whether any interface of the host has address a.
func (h *Host) HasAddress(a netip.Addr) bool {
	prefixes, err := h.addresses(nil)
	return err == nil && slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Addr() == a })
}

// addresses lists the addresses of link, or of all links if it is nil.
func (h *Host) addresses(link netlink.Link) ([]netip.Prefix, error) {
	list, err := retryDump(func() ([]netlink.Addr, error) { return h.nl.AddrList(link, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, fmt.Errorf("list addresses of %s: %w", h.name, err)
	}
	prefixes := make([]netip.Prefix, 0, len(list))
	for _, a := range list {
		if addr, ok := netip.AddrFromSlice(a.IP); ok && a.Flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED) == 0 {
			ones, _ := a.Mask.Size()
			prefixes = append(prefixes, netip.PrefixFrom(addr.Unmap(), ones))
		}
	}
	slices.SortStableFunc(prefixes, func(a, b netip.Prefix) int { return a.Addr().BitLen() - b.Addr().BitLen() })
	return prefixes, nil
}

// retryDump repeats a listing which the kernel said was overtaken by a change, for
// as long as somebody may take to set up or remove thousands of addresses.
func retryDump[T any](list func() (T, error)) (T, error) {
	for began := time.Now(); ; time.Sleep(time.Millisecond) {
		t, err := list()
		if !errors.Is(err, netlink.ErrDumpInterrupted) || time.Since(began) > 10*time.Second {
			return t, err
		}
	}
}

// AddAddress gives an interface one more address, such as "192.0.2.9/24", and
// returns when it can be used.
func (h *Host) AddAddress(ifname, prefix string) error {
	if err := h.changeAddress(ifname, prefix, "add", h.nl.AddrAdd); err != nil {
		return err
	}
	return h.awaitLocal(netip.MustParsePrefix(prefix).Addr()) // the kernel took it
}

// awaitLocal waits until the host takes packets to an address of its own. For
// IPv6 the kernel sees to that in the background, also without duplicate
// address detection. While the interface is down it does not.
func (h *Host) awaitLocal(addr netip.Addr) error {
	if addr.Is4() {
		return nil
	}
	want := &netlink.Route{Table: unix.RT_TABLE_LOCAL, Dst: netlink.NewIPNet(addr.AsSlice())}
	return poll(10*time.Second, fmt.Sprintf("%s does not take packets to %s", h.name, addr), func() (bool, error) {
		routes, err := retryDump(func() ([]netlink.Route, error) {
			return h.nl.RouteListFiltered(netlink.FAMILY_V6, want, netlink.RT_FILTER_TABLE|netlink.RT_FILTER_DST)
		})
		return len(routes) > 0, err
	})
}

// RemoveAddress takes an address from an interface.
func (h *Host) RemoveAddress(ifname, prefix string) error {
	return h.changeAddress(ifname, prefix, "remove", h.nl.AddrDel)
}

func (h *Host) changeAddress(ifname, prefix, verb string, change func(netlink.Link, *netlink.Addr) error) error {
	link, err := h.nl.LinkByName(ifname)
	if err != nil {
		return fmt.Errorf("find %s on %s: %w", ifname, h.name, err)
	}
	addr, err := netlink.ParseAddr(prefix)
	if err != nil {
		return fmt.Errorf("%s address %q: %w", verb, prefix, err)
	}
	if addr.IP.To4() == nil {
		addr.Flags = unix.IFA_F_NODAD
	}
	if err := change(link, addr); err != nil {
		return fmt.Errorf("%s address %s on %s of %s: %w", verb, prefix, ifname, h.name, err)
	}
	return nil
}

// SetSysctl sets a value of the host, such as "net.ipv4.ip_nonlocal_bind". An
// interface name in the key must have no dot.
func (h *Host) SetSysctl(key, value string) error {
	rest, ok := strings.CutPrefix(key, "net.")
	if !ok {
		return fmt.Errorf("set sysctl %s: a host has only those below net", key)
	}
	return h.Do(func() error {
		return setSysctls(map[string]string{strings.ReplaceAll(rest, ".", "/"): value})
	})
}

// onClose has c closed together with the host.
func (h *Host) onClose(c io.Closer) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return errors.Join(errClosed, c.Close())
	}
	h.closers = append(h.closers, c)
	return nil
}

func (h *Host) close() error {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return nil
	}
	h.closed = true
	processes, closers := h.processes, h.closers
	h.mu.Unlock()

	var errs []error
	for _, p := range processes {
		errs = append(errs, p.kill())
	}
	for _, p := range processes {
		<-p.Done()
	}
	for _, c := range closers {
		errs = append(errs, c.Close())
	}
	h.nl.Close()
	return errors.Join(append(errs, h.keep.close())...)
}
