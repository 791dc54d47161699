package vip

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// Fake is a [Kernel] for tests: it holds interfaces and addresses in memory,
// behaves like Linux, and logs what it is told as commands of iproute2. Addresses
// whose lifetime ends vanish. It can be used by many goroutines.
type Fake struct {
	mu        sync.Mutex
	ifaces    []*fakeInterface
	lastIndex int
	log       []string
	exchanges int
	refuse    func(iface string, c Change) error
	unheard   func(iface string) error
	watchers  map[chan struct{}]bool
}

type fakeInterface struct {
	name    string
	index   int
	down    bool // no carrier
	bridge  int  // of which it is a port, an index; 0 for none
	addrs   []Present
	expires map[netip.Prefix]time.Time
	promote string
}

// NewFake returns a Fake with interfaces that are up and without addresses.
func NewFake(ifaces ...string) *Fake {
	f := &Fake{watchers: map[chan struct{}]bool{}}
	for _, name := range ifaces {
		f.AddInterface(name)
	}
	return f
}

// AddInterface adds an interface that is up.
func (f *Fake) AddInterface(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lastIndex++
	f.ifaces = append(f.ifaces, &fakeInterface{name: name, index: f.lastIndex, expires: map[netip.Prefix]time.Time{}, promote: "0"})
	f.changed()
}

// DeleteInterface removes an interface with its addresses.
func (f *Fake) DeleteInterface(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ifaces = slices.DeleteFunc(f.ifaces, func(i *fakeInterface) bool { return i.name == name })
	f.changed()
}

// RenameInterface gives an interface another name; its addresses stay.
func (f *Fake) RenameInterface(from, to string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if i := f.find(from); i != nil {
		i.name = to
	}
	f.changed()
}

// SetCarrier takes the carrier of an interface away, or gives it back.
func (f *Fake) SetCarrier(name string, carrier bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if i := f.find(name); i != nil {
		i.down = !carrier
	}
	f.changed()
}

// SetBridge makes an interface a port of a bridge, or of none when that is empty.
func (f *Fake) SetBridge(name, bridge string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if i := f.find(name); i != nil {
		i.bridge = 0
		if b := f.find(bridge); b != nil {
			i.bridge = b.index
		}
	}
	f.changed()
}

// Install puts an address on an interface as somebody else does it, with the
// mark proto.
func (f *Fake) Install(iface string, p netip.Prefix, proto uint8) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if i := f.find(iface); i != nil {
		i.add(Present{Prefix: p, Proto: proto})
	}
	f.changed()
}

// Delete takes an address off an interface as somebody else does it.
func (f *Fake) Delete(iface string, p netip.Prefix) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if i := f.find(iface); i != nil {
		i.remove(p)
	}
	f.changed()
}

// Change makes an address one of somebody else, with the mark proto, as another
// program does that adds an address which is there. It then stays for ever.
func (f *Fake) Change(iface string, p netip.Prefix, proto uint8) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if i := f.find(iface); i != nil {
		for n := range i.addrs {
			if i.addrs[n].Prefix == p {
				i.addrs[n].Proto, i.addrs[n].ValidLifetime = proto, 0
				delete(i.expires, p)
			}
		}
	}
	f.changed()
}

// Refuse makes Apply fail with what fn returns for a change, unless nil. It is
// called without any lock held, and may block.
func (f *Fake) Refuse(fn func(iface string, c Change) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refuse = fn
}

// RefuseAnnounce makes Announce fail with what fn returns, unless nil. It is
// called without any lock held, and may block.
func (f *Fake) RefuseAnnounce(fn func(iface string) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.unheard = fn
}

// Log returns what was done since the last call, one line each, such as
//
//	ip addr add 192.0.2.100/24 dev eth0 proto 72
//	ip addr del 192.0.2.100/24 dev eth0
//	announce 192.0.2.100 dev eth0 request
//	sysctl net/ipv4/conf/eth0/promote_secondaries=1
func (f *Fake) Log() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	defer func() { f.log = nil }()
	return f.log
}

// Exchanges counts the calls of Apply.
func (f *Fake) Exchanges() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.exchanges
}

// On lists the addresses of an interface.
func (f *Fake) On(iface string) []netip.Prefix {
	f.mu.Lock()
	defer f.mu.Unlock()
	var ps []netip.Prefix
	if i := f.find(iface); i != nil {
		for _, a := range i.addrs {
			ps = append(ps, a.Prefix)
		}
	}
	return ps
}

// Apply implements [Kernel].
func (f *Fake) Apply(iface string, changes []Change) []error {
	f.mu.Lock()
	f.exchanges++
	refuse := f.refuse
	f.mu.Unlock()
	errs := make([]error, len(changes))
	for n, c := range changes {
		if refuse != nil {
			if errs[n] = refuse(iface, c); errs[n] != nil {
				continue
			}
		}
		errs[n] = f.apply(iface, c)
	}
	return errs
}

func (f *Fake) apply(iface string, c Change) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := f.find(iface)
	if i == nil {
		return ErrNoInterface
	}
	p := c.Address.Prefix
	n := slices.IndexFunc(i.addrs, func(a Present) bool { return sameAddress(a.Prefix, p) })
	switch {
	case c.Verb == Create && n >= 0:
		return ErrExists
	case (c.Verb == Replace || c.Verb == Renew) && n >= 0:
		i.addrs[n].Proto, i.addrs[n].ValidLifetime = Proto, c.Address.ValidLifetime
	case c.Verb != Remove:
		i.add(Present{Prefix: p, Proto: Proto, Deprecated: c.Address.hidden(), ValidLifetime: c.Address.ValidLifetime})
	case n < 0 || i.addrs[n].Prefix != p:
		return ErrNotFound
	default:
		i.remove(p)
	}
	if c.Verb != Remove {
		f.lease(i, p, c.Address.ValidLifetime)
	}
	line := fmt.Sprintf("ip addr %v %v dev %s", c.Verb, p, iface)
	if c.Verb != Remove {
		line += strings.TrimPrefix(c.Address.String(), p.String())
	}
	f.log = append(f.log, line)
	f.changed()
	return nil
}

// lease removes an address when its lifetime ends, unless that was given anew.
// f.mu is held.
func (f *Fake) lease(i *fakeInterface, p netip.Prefix, lifetime time.Duration) {
	if delete(i.expires, p); lifetime == 0 {
		return
	}
	at := time.Now().Add(lifetime)
	i.expires[p] = at
	time.AfterFunc(lifetime, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if i.expires[p].Equal(at) {
			i.remove(p)
			f.changed()
		}
	})
}

// Addresses implements [Kernel].
func (f *Fake) Addresses(iface string) ([]Present, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []Present
	for _, i := range f.ifaces {
		if iface != "" && i.name != iface {
			continue
		}
		for _, a := range i.addrs {
			a.Interface, a.Index = i.name, i.index
			if at, ok := i.expires[a.Prefix]; ok {
				a.ValidLifetime = time.Until(at)
			}
			all = append(all, a)
		}
	}
	return all, nil
}

// Announce implements [Kernel].
func (f *Fake) Announce(iface string, form ARPForm, addrs []netip.Addr, still func(netip.Addr) bool) error {
	f.mu.Lock()
	unheard := f.unheard
	f.mu.Unlock()
	if unheard != nil {
		if err := unheard(iface); err != nil {
			return err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	i := f.find(iface)
	if i == nil {
		return ErrNoInterface
	}
	if i.down {
		return errors.New("network is down")
	}
	for _, a := range addrs {
		if still != nil && !still(a) {
			continue
		}
		line := fmt.Sprintf("announce %v dev %s", a, iface)
		if a.Is4() {
			line += " " + form.String()
		}
		f.log = append(f.log, line)
	}
	return nil
}

// Sysctl implements [Kernel]. The only setting there is is
// net/ipv4/conf/INTERFACE/promote_secondaries.
func (f *Fake) Sysctl(path string) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := f.setting(path)
	if i == nil {
		return "", fmt.Errorf("%s: %w", path, fs.ErrNotExist)
	}
	return i.promote, nil
}

// SetSysctl implements [Kernel].
func (f *Fake) SetSysctl(path, value string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := f.setting(path)
	if i == nil {
		return fmt.Errorf("%s: %w", path, fs.ErrNotExist)
	}
	i.promote = value
	f.log = append(f.log, fmt.Sprintf("sysctl %s=%s", path, value))
	return nil
}

func (f *Fake) setting(path string) *fakeInterface {
	for _, i := range f.ifaces {
		if promotePath(i.name) == path {
			return i
		}
	}
	return nil
}

func (f *Fake) find(name string) *fakeInterface {
	for _, i := range f.ifaces {
		if i.name == name {
			return i
		}
	}
	return nil
}

// Watch delivers the state of the interfaces as the package's Watch does,
// until ctx is done. It has no trouble.
func (f *Fake) Watch(ctx context.Context, deliver func([]LinkState), _ func(error)) error {
	wake := make(chan struct{}, 1)
	f.mu.Lock()
	f.watchers[wake] = true
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		delete(f.watchers, wake)
		f.mu.Unlock()
	}()
	t := newTable(deliver)
	for {
		t.replace(f.state())
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-wake:
		}
	}
}

func (f *Fake) state() (links []LinkState, addrs map[int][]addrState) {
	f.mu.Lock()
	defer f.mu.Unlock()
	addrs = map[int][]addrState{}
	for _, i := range f.ifaces {
		mac := net.HardwareAddr{2, 0, 0, 0, byte(i.index >> 8), byte(i.index)}
		l := LinkState{Name: i.name, Index: i.index, MAC: mac, MTU: 1500, Up: true, Carrier: !i.down}
		if l.Master = i.bridge; l.Master != 0 {
			l.PortOf = "bridge"
		}
		links = append(links, l)
		for _, a := range i.addrs {
			addrs[i.index] = append(addrs[i.index], addrState{LinkAddress: LinkAddress{Prefix: a.Prefix, Proto: a.Proto}})
		}
	}
	return links, addrs
}

// changed wakes the watchers.
func (f *Fake) changed() {
	for wake := range f.watchers {
		select {
		case wake <- struct{}{}:
		default:
		}
	}
}

// sameNetwork reports whether a and b are IPv4 addresses of one network.
func sameNetwork(a, b netip.Prefix) bool {
	return a.Addr().Is4() && a.Masked() == b.Masked()
}

func (i *fakeInterface) add(p Present) {
	p.Secondary = slices.ContainsFunc(i.addrs, func(a Present) bool { return sameNetwork(a.Prefix, p.Prefix) })
	i.addrs = append(i.addrs, p)
}

// remove takes an address off. Without promote_secondaries the secondary
// addresses of a primary one go with it.
func (i *fakeInterface) remove(p netip.Prefix) {
	n := slices.IndexFunc(i.addrs, func(a Present) bool { return a.Prefix == p })
	if n < 0 {
		return
	}
	delete(i.expires, p)
	primary := !i.addrs[n].Secondary
	i.addrs = slices.Delete(i.addrs, n, n+1)
	if !primary {
		return
	}
	if i.promote == "0" {
		maps.DeleteFunc(i.expires, func(a netip.Prefix, _ time.Time) bool { return sameNetwork(a, p) })
		i.addrs = slices.DeleteFunc(i.addrs, func(a Present) bool { return sameNetwork(a.Prefix, p) })
		return
	}
	if n := slices.IndexFunc(i.addrs, func(a Present) bool { return sameNetwork(a.Prefix, p) }); n >= 0 {
		i.addrs[n].Secondary = false
	}
}
