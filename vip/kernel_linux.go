package vip

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// settlePatience is how long announcing waits for addresses that the kernel
	// has not finished adding. It takes less than a millisecond, or more on a
	// busy machine.
	settlePatience = 500 * time.Millisecond
	settlePause    = 500 * time.Microsecond
	settlePauseMax = 8 * time.Millisecond
)

// Linux is the [Kernel] that this program runs on. Its sockets belong to the
// network namespace in which NewKernel was called; settings are those of the
// calling thread's.
type Linux struct {
	mu    sync.Mutex // guards route and renewal
	route *rtnl
	// renewal is for renewals alone, so that Watch can tell their echo by its port.
	renewal *rtnl
	// stops is held while all threads are stopped, or during a renewal that must not be.
	stops  sync.Mutex
	packet *packetSocket
	// asking guards inquiry, which is for what an announcement must know, so that
	// it need not wait for changes; and senders, which are link-local addresses found
	// before, by the index of the interface.
	asking  sync.Mutex
	inquiry *rtnl
	senders map[int]netip.Addr
	// patience is settlePatience but in tests.
	patience time.Duration
	// watched has the interfaces as Watch sees them.
	watched indexes
}

var _ Kernel = (*Linux)(nil)

// NewKernel opens the sockets. Changing addresses needs CAP_NET_ADMIN, and
// opening the sockets CAP_NET_RAW.
func NewKernel() (k *Linux, err error) {
	k = &Linux{senders: map[int]netip.Addr{}, patience: settlePatience}
	for _, s := range []**rtnl{&k.route, &k.renewal, &k.inquiry} {
		if *s, err = dialRTNL(); err != nil {
			return nil, errors.Join(err, k.Close())
		}
	}
	k.renewal.stops = &k.stops
	if k.packet, err = dialPacket(); err != nil {
		return nil, errors.Join(err, k.Close())
	}
	return k, nil
}

// Close closes the sockets.
func (k *Linux) Close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.asking.Lock()
	defer k.asking.Unlock()
	var errs []error
	for _, s := range []*rtnl{k.route, k.renewal, k.inquiry} {
		if s != nil {
			errs = append(errs, s.close())
		}
	}
	if k.packet != nil {
		errs = append(errs, k.packet.close())
	}
	return errors.Join(errs...)
}

// Stops is to be held by whoever stops all threads of the process, as a garbage
// collection does. Renewals may be system calls that Go's scheduler does not know
// of: what began meanwhile would have to wait for one, and everything else for it.
// To take it may last as long as the kernel keeps a renewal waiting; renewals never
// wait for it.
func (k *Linux) Stops() sync.Locker { return &k.stops }

// Apply implements [Kernel]. Renewals, which go on and on, look the interface up
// only where Watch has not seen it.
func (k *Linux) Apply(iface string, changes []Change) []error {
	k.mu.Lock()
	defer k.mu.Unlock()
	socket := k.renewal
	if slices.ContainsFunc(changes, func(c Change) bool { return c.Verb != Renew }) {
		socket = k.route
	} else if index := k.watched.of(iface); index != 0 {
		errs := socket.batch(index, changes)
		if !slices.Contains(errs, ErrNoInterface) { // else it is a new one, perhaps
			return errs
		}
	}
	d, err := k.device(iface, k.route)
	if err != nil {
		errs := make([]error, len(changes))
		for i := range errs {
			errs[i] = err
		}
		return errs
	}
	return socket.batch(d.index, changes)
}

// Addresses implements [Kernel].
func (k *Linux) Addresses(iface string) ([]Present, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if iface == "" {
		return k.route.present()
	}
	d, err := k.device(iface, k.route)
	if errors.Is(err, ErrNoInterface) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	addrs, err := k.route.addrs(unix.AF_UNSPEC, d.index)
	if errors.Is(err, unix.ENODEV) { // it has just gone
		return nil, nil
	}
	return presence(addrs, map[int]string{d.index: iface}), err
}

// Addresses lists the addresses of all interfaces of this network namespace. It
// needs no rights.
func Addresses() ([]Present, error) {
	route, err := dialRTNL()
	if err != nil {
		return nil, err
	}
	present, err := route.present()
	return present, errors.Join(err, route.close())
}

// present lists the addresses of all interfaces.
func (s *rtnl) present() ([]Present, error) {
	links, err := s.links()
	if err != nil {
		return nil, err
	}
	names := make(map[int]string, len(links))
	for _, l := range links {
		names[l.Index] = l.Name
	}
	addrs, err := s.addrs(unix.AF_UNSPEC, 0)
	if err != nil {
		return nil, err
	}
	return presence(addrs, names), nil
}

// presence names the interfaces of addresses. What is on others came later.
func presence(addrs []addrInfo, names map[int]string) []Present {
	present := make([]Present, 0, len(addrs))
	for _, a := range addrs {
		if names[a.index] == "" {
			continue
		}
		present = append(present, Present{
			Interface: names[a.index], Index: a.index, Prefix: a.Prefix, Proto: a.Proto,
			Tentative: a.Tentative, Secondary: a.secondary, Deprecated: a.deprecated, ValidLifetime: a.valid,
		})
	}
	return present
}

// Announce implements [Kernel]. On an interface without ARP, such as a tunnel,
// there is nobody to tell, and it succeeds. IPv4 goes first: it never waits.
func (k *Linux) Announce(iface string, form ARPForm, addrs []netip.Addr, still func(netip.Addr) bool) error {
	var v4, v6 []netip.Addr
	for _, a := range addrs {
		if a.Is4() {
			v4 = append(v4, a)
		} else {
			v6 = append(v6, a)
		}
	}
	return errors.Join(k.announce(iface, form, v4, still), k.announce(iface, form, v6, still))
}

// announce announces addresses of one family.
func (k *Linux) announce(iface string, form ARPForm, addrs []netip.Addr, still func(netip.Addr) bool) error {
	if len(addrs) == 0 {
		return nil
	}
	index, a, err := k.announcer(iface, form, addrs)
	if err != nil || a == nil {
		return err
	}
	if still != nil {
		addrs = slices.DeleteFunc(addrs, func(a netip.Addr) bool { return !still(a) })
	}
	frames, err := a.frames(addrs)
	if err != nil || len(frames) == 0 {
		return err
	}
	return k.packet.send(index, frames)
}

// announcer finds out what announcements are sent from; nil without neighbours.
func (k *Linux) announcer(iface string, form ARPForm, addrs []netip.Addr) (int, *announcer, error) {
	k.asking.Lock()
	defer k.asking.Unlock()
	d, err := k.device(iface, k.inquiry)
	if err != nil || !d.neighbours {
		return 0, nil, err
	}
	a := &announcer{mac: d.mac, form: form}
	if !slices.ContainsFunc(addrs, netip.Addr.Is6) {
		return d.index, a, nil
	}
	if err := k.settle(d.index, addrs); err != nil {
		return 0, nil, err
	}
	a.linkLocal, err = k.linkLocal(d.index)
	return d.index, a, err
}

// linkLocal returns the link-local address of an interface, if it has one. It
// looks for it again only when that of the last time is not there any more: a
// large set is announced in slices, and listing it for each takes long.
func (k *Linux) linkLocal(index int) (netip.Addr, error) {
	if a, ok := k.senders[index]; ok && k.inquiry.delivers(index, a) {
		return a, nil
	}
	delete(k.senders, index)
	own, err := k.inquiry.addrs(unix.AF_INET6, index)
	if err != nil {
		return netip.Addr{}, err
	}
	for _, p := range own {
		// A link-local VIP is a poor sender: it may move away next.
		if p.Prefix.Addr().IsLinkLocalUnicast() && !p.Tentative && p.Proto != Proto {
			k.senders[index] = p.Prefix.Addr()
			return p.Prefix.Addr(), nil
		}
	}
	return netip.Addr{}, nil
}

// settle waits until the kernel answers for IPv6 addresses of an interface. It
// finishes adding one, also a nodad one, on a thread of its own some time after
// it has acknowledged it: who heard of the address by then would send into the
// void. Addresses that are gone again are not waited for, nor any for ever: one that
// is not finished then is announced all the same.
func (k *Linux) settle(index int, addrs []netip.Addr) error {
	return settle(addrs, k.patience,
		func(a netip.Addr) bool { return k.inquiry.delivers(index, a) },
		func() ([]addrInfo, error) { return k.inquiry.addrs(unix.AF_INET6, index) })
}

// settle is that of a kernel that delivers packets to an address or not yet, and
// lists the addresses that it has.
func settle(addrs []netip.Addr, patience time.Duration, delivers func(netip.Addr) bool, list func() ([]addrInfo, error)) error {
	missing := slices.Clone(addrs)
	for began, pause := time.Now(), settlePause; ; pause = min(2*pause, settlePauseMax) {
		missing = slices.DeleteFunc(missing, delivers)
		if len(missing) == 0 || time.Since(began) > patience {
			return nil
		}
		own, err := list()
		if err != nil {
			return err
		}
		present := make(map[netip.Addr]bool, len(own))
		for _, a := range own {
			present[a.Prefix.Addr()] = true
		}
		if !slices.ContainsFunc(missing, func(a netip.Addr) bool { return present[a] }) {
			return nil
		}
		time.Sleep(pause)
	}
}

// Sysctl implements [Kernel].
func (k *Linux) Sysctl(path string) (string, error) {
	b, err := os.ReadFile(filepath.Join("/proc/sys", path))
	if err != nil {
		return "", fmt.Errorf("read setting: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

// SetSysctl implements [Kernel].
func (k *Linux) SetSysctl(path, value string) error {
	// Without O_CREATE: a setting that is missing is one that does not exist.
	f, err := os.OpenFile(filepath.Join("/proc/sys", path), os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("write setting: %w", err)
	}
	_, err = f.WriteString(value)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write setting: %w", err)
	}
	return nil
}
