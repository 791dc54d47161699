package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// Lab is one network of hosts, switches and cables.
type Lab struct {
	room *keeper         // where the switches stand
	nl   *netlink.Handle // in the room
	lan  *Switch
	cnt  atomic.Uint32 // hands out MAC addresses and port names

	mu       sync.Mutex
	closed   bool
	hosts    []*Host
	switches []*Switch
}

// New makes a lab with one switch and no host. Close it at the end; if the
// process dies first, the kernel clears everything away.
func New() (*Lab, error) {
	if err := startStamps(); err != nil {
		return nil, fmt.Errorf("set up lab: %w", err)
	}
	room, err := newKeeper(false, func() error {
		// A switch does not speak: no router solicitations, no MLD.
		return setSysctls(map[string]string{
			"ipv6/conf/all/disable_ipv6":     "1",
			"ipv6/conf/default/disable_ipv6": "1",
		})
	})
	if err != nil {
		return nil, fmt.Errorf("set up lab: %w", err)
	}
	l := &Lab{room: room}
	if l.nl, err = handleAt(room); err != nil {
		return nil, errors.Join(fmt.Errorf("set up lab: %w", err), room.close())
	}
	if l.lan, err = l.Switch("lan"); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// Close kills the processes on all hosts, ends all services and probes' ports
// and gives the namespaces back. It may be called again.
func (l *Lab) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	hosts := l.hosts
	l.mu.Unlock()

	var wg sync.WaitGroup
	errs := make([]error, len(hosts))
	for i, h := range hosts {
		wg.Go(func() { errs[i] = h.close() })
	}
	wg.Wait()
	l.nl.Close()
	return errors.Join(append(errs, l.room.close())...)
}

// Hosts lists the hosts in the order in which they were made.
func (l *Lab) Hosts() []*Host {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]*Host(nil), l.hosts...)
}

// Switch is an Ethernet switch: a bridge without spanning tree and without
// multicast snooping.
type Switch struct {
	name   string
	bridge *netlink.Bridge
}

// Switch adds a switch, that is one more network, for Host.Plug. A lab comes
// with one, named "lan", into which Lab.Host plugs eth0.
func (l *Lab) Switch(name string) (*Switch, error) {
	snooping, ageing := false, uint32(300*100)
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	br := &netlink.Bridge{LinkAttrs: attrs, MulticastSnooping: &snooping, AgeingTime: &ageing}
	if err := l.nl.LinkAdd(br); err != nil {
		return nil, fmt.Errorf("add switch %s: %w", name, err)
	}
	if err := l.nl.LinkSetUp(br); err != nil {
		return nil, fmt.Errorf("switch %s on: %w", name, err)
	}
	s := &Switch{name: name, bridge: br}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.switches = append(l.switches, s)
	return s, nil
}

// Host adds a host. Its eth0 is plugged into the first switch and has the
// addresses given, such as "192.0.2.1/24" or "2001:db8::1/64", beside an IPv6
// link-local one; all can be used at once.
func (l *Lab) Host(name string, addrs ...string) (*Host, error) {
	h, err := newHost(l, name)
	if err != nil {
		return nil, fmt.Errorf("add host %s: %w", name, err)
	}
	l.mu.Lock()
	closed := l.closed
	if !closed {
		l.hosts = append(l.hosts, h)
	}
	l.mu.Unlock()
	if closed {
		return nil, errors.Join(fmt.Errorf("add host %s: %w", name, errClosed), h.close())
	}
	if _, err := h.Plug("eth0", l.lan, addrs...); err != nil {
		return nil, err
	}
	return h, nil
}

// handleAt opens a netlink handle in the namespace of k.
func handleAt(k *keeper) (*netlink.Handle, error) {
	nl, err := netlink.NewHandleAt(netns.NsHandle(k.netns.Fd()))
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	return nl, nil
}

// setSysctls writes values below /proc/sys/net of the calling thread's
// namespace.
func setSysctls(values map[string]string) error {
	for key, value := range values {
		if err := os.WriteFile(filepath.Join("/proc/sys/net", key), []byte(value), 0); err != nil {
			return fmt.Errorf("set sysctl: %w", err)
		}
	}
	return nil
}
