package vip

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// Proto is the mark (IFA_PROTO) of every address that this program puts on an
// interface, by which it knows its own again. The kernel keeps it since Linux
// 5.18; before that, addresses carry no mark.
const Proto = 72

// Address is an address as it is wanted on an interface.
type Address struct {
	Prefix netip.Prefix
	// ValidLifetime is after how long the kernel removes the address by
	// itself, in whole seconds, at least 1 s; 0 means never.
	ValidLifetime time.Duration
}

// hidden reports whether the address is kept out of source address selection:
// a host address of IPv6, which serves a VIP and nothing else. It is then
// deprecated, and makes no route to a network.
func (a Address) hidden() bool {
	return a.Prefix.Addr().Is6() && a.Prefix.IsSingleIP()
}

// String renders the address as iproute2 takes it.
func (a Address) String() string {
	var b strings.Builder
	b.WriteString(a.Prefix.String())
	if a.Prefix.Addr().Is6() {
		b.WriteString(" nodad")
	}
	if a.ValidLifetime > 0 {
		fmt.Fprintf(&b, " valid_lft %d", int(a.ValidLifetime/time.Second))
		if !a.hidden() {
			fmt.Fprintf(&b, " preferred_lft %d", int(a.ValidLifetime/time.Second))
		}
	}
	if a.hidden() {
		b.WriteString(" noprefixroute preferred_lft 0")
	}
	fmt.Fprintf(&b, " proto %d", Proto)
	return b.String()
}

// Present is an address as the kernel has it.
type Present struct {
	// Interface is the name of the interface and Index its index.
	Interface string
	Index     int
	Prefix    netip.Prefix
	// Proto says who configured the address; [Proto] is us, 0 nobody in
	// particular.
	Proto uint8
	// Tentative is set while duplicate address detection runs and after it
	// failed: the address cannot be used.
	Tentative bool
	// Secondary is set for an IPv4 address that lives only as long as another
	// one of its network, unless secondaries are promoted.
	Secondary bool
	// Deprecated is set when the address is not to be used as a source.
	Deprecated bool
	// ValidLifetime is how much longer the kernel keeps the address; 0 means
	// for ever.
	ValidLifetime time.Duration
}

// Ours reports whether this program installed the address.
func (p Present) Ours() bool { return p.Proto == Proto }

// identity is what the kernel tells the addresses of an interface apart by:
// IPv4 addresses by address and length, IPv6 addresses by address alone.
func identity(p netip.Prefix) netip.Prefix {
	if p.Addr().Is6() {
		return netip.PrefixFrom(p.Addr(), 128)
	}
	return p
}

// sameAddress reports whether the kernel takes a and b for one address of an
// interface.
func sameAddress(a, b netip.Prefix) bool { return identity(a) == identity(b) }
