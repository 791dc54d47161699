package vip

import (
	"errors"
	"net/netip"
)

// Kernel is what this package wants from the operating system. The real one is
// made by NewKernel, the one for tests by [NewFake]. Announce may be called while
// Apply is at work.
type Kernel interface {
	// Apply carries out the changes on one interface, in their order, in as few
	// exchanges with the kernel as they fit in. It returns one error a change,
	// nil for those that succeeded, and valid until the next call. A change that
	// fails does not stop the following ones.
	Apply(iface string, changes []Change) []error
	// Addresses lists the addresses of an interface, none when there is no such
	// interface, or with an empty name those of all.
	Addresses(iface string) ([]Present, error)
	// Announce sends one gratuitous ARP or unsolicited neighbour advertisement
	// an address, in as few system calls as they fit in.
	// It may have to wait for the kernel first, and leaves out what still, which
	// is asked then, does not want any more; nil wants all.
	Announce(iface string, form ARPForm, addrs []netip.Addr, still func(netip.Addr) bool) error
	// Sysctl reads a setting, named by its path below /proc/sys.
	Sysctl(path string) (string, error)
	// SetSysctl writes a setting.
	SetSysctl(path, value string) error
}

// What a caller of a [Kernel] tells apart, by errors.Is. Other errors carry
// their errno.
var (
	// ErrExists is why a Create fails when the interface has the address.
	ErrExists = errors.New("the address is there already")
	// ErrNotFound is why a Remove fails when the interface has no such address.
	ErrNotFound = errors.New("the address is not there")
	// ErrNoInterface is why anything fails on an interface that does not exist.
	ErrNoInterface = errors.New("no such interface")
)

// Verb is what a [Change] does.
type Verb uint8

const (
	// Create adds an address that is not there: [ErrExists] when it is.
	Create Verb = iota + 1
	// Replace adds an address or makes it what is wanted, without a gap.
	Replace
	// Renew is Replace for an address that was there when its lease was given
	// last. Who watches the interfaces need not hear of it.
	Renew
	// Remove takes an address off: [ErrNotFound] when it is not there.
	Remove
)

func (v Verb) String() string {
	switch v {
	case Create:
		return "add"
	case Replace, Renew:
		return "replace"
	case Remove:
		return "del"
	}
	return "invalid"
}

// Change is one change to the addresses of an interface.
type Change struct {
	Verb    Verb
	Address Address
}
