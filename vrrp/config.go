package vrrp

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Version is a version of the protocol.
type Version uint8

// The protocol versions: RFC 3768 (IPv4 only) and RFC 9568.
const (
	Version2 Version = 2
	Version3 Version = 3
)

// Family is an address family. An instance with addresses of both is two
// virtual routers.
type Family uint8

// The address families.
const (
	IPv4 Family = 4
	IPv6 Family = 6
)

// FamilyOf returns the family of an address.
func FamilyOf(a netip.Addr) Family {
	if a.Is4() {
		return IPv4
	}
	return IPv6
}

func (f Family) String() string {
	if f == IPv4 {
		return "ipv4"
	}
	return "ipv6"
}

// ChecksumMode is how the checksum of a version 3 advert over IPv4 is formed.
// Either form is accepted on receipt.
type ChecksumMode uint8

const (
	// ChecksumAuto sends the form that the peer was last heard to use, and
	// the form of RFC 9568 until a peer was heard.
	ChecksumAuto ChecksumMode = iota
	// ChecksumRFC9568 covers the VRRP message alone (RFC 9568 section 5.2.8).
	ChecksumRFC9568
	// ChecksumPseudoHeader also covers the IPv4 pseudo-header, as keepalived
	// and FRR read RFC 5798.
	ChecksumPseudoHeader
)

// OnFailure is what a failing check does to an instance.
type OnFailure uint8

const (
	// Demote moves the effective priority into the band of demoted nodes.
	Demote OnFailure = iota
	// Release gives the addresses up and stays in fault.
	Release
	// Weigh adds or subtracts a weight, as keepalived does.
	Weigh
)

// Check says how one health check acts on an instance.
type Check struct {
	Name      string
	OnFailure OnFailure
	// Weight, with Weigh: when positive it is added while the check passes,
	// when negative it is added while the check fails. -253 to 253, not 0.
	Weight int
}

// Announce is how a master makes its addresses known by gratuitous ARP and
// unsolicited neighbour advertisements.
type Announce struct {
	// Repeat is how often each address is announced after taking over, at
	// least 1.
	Repeat int
	// Interval is the time between two of these.
	Interval time.Duration
	// Refresh is the time between announcements while master; 0 for none.
	Refresh time.Duration
}

// Config describes one instance: one VRID on one interface.
type Config struct {
	// Name tells instances apart to people. Unique, not empty.
	Name string
	// Group names the group that the instance moves together with; empty for
	// none. Instances of a group have the same priority and preempt setting.
	Group string
	// Interface sends and receives the adverts and carries the addresses.
	Interface string
	// VRID is 1 to 255. It has no default (RFC 9568 section 5.2.3).
	VRID    uint8
	Version Version
	// Priority is the base priority, from above [DemotedMax] to 255; 255 is the
	// address owner.
	Priority uint8
	// Addresses are the VIPs, in the order in which adverts carry them.
	Addresses []netip.Prefix
	// AdvertInterval is the time between two adverts of a master.
	AdvertInterval time.Duration
	// Preempt lets this node take over from a master of lower priority
	// (RFC 9568 section 6.1, Preempt_Mode), after PreemptDelay.
	Preempt      bool
	PreemptDelay time.Duration
	// StartupDelay is how long the instance waits in init after it was
	// configured.
	StartupDelay time.Duration
	// Peers are the unicast peers; none means multicast.
	Peers []netip.Addr
	// Source is the address adverts of its family are sent from. The zero Addr
	// means the first address of the interface; for IPv6 the first link-local one,
	// or with a peer that is not link-local the first other one.
	Source   netip.Addr
	Checksum ChecksumMode
	// Password is the version 2 clear-text password, at most 8 bytes; empty
	// for no authentication.
	Password string
	Announce Announce
	// Lease is how long the kernel keeps the addresses unless this node renews
	// them, in whole seconds; 0 means until they are removed.
	Lease  time.Duration
	Checks []Check
}

// AutoLease returns the lease that lets the kernel remove the addresses of a
// node that died or froze before a peer takes over, if whole seconds allow it:
// removal comes up to a second late, a take-over 3 intervals after the last
// advert. Below intervals of about 0.67 s it is a backstop, and so it is for many
// IPv6 addresses, each of whose renewals makes the kernel look at all of them:
// 4000 take it seconds.
func AutoLease(interval time.Duration, ipv6 int) time.Duration {
	most := (downIntervals*interval - time.Second).Truncate(time.Second)
	least := time.Duration((ipv6+leaseIPv6-1)/leaseIPv6) * time.Second
	return max(time.Second, most, least)
}

// Same reports whether there is no difference. It is asked of thousands at each
// reload, which reflection would take milliseconds for.
func (c *Config) Same(d *Config) bool {
	return c.Name == d.Name && c.Group == d.Group && c.Interface == d.Interface && c.VRID == d.VRID &&
		c.Version == d.Version && c.Priority == d.Priority && slices.Equal(c.Addresses, d.Addresses) &&
		c.AdvertInterval == d.AdvertInterval && c.Preempt == d.Preempt && c.PreemptDelay == d.PreemptDelay &&
		c.StartupDelay == d.StartupDelay && slices.Equal(c.Peers, d.Peers) && c.Source == d.Source &&
		c.Checksum == d.Checksum && c.Password == d.Password && c.Announce == d.Announce && c.Lease == d.Lease &&
		slices.Equal(c.Checks, d.Checks)
}

// Families lists the address families the instance has addresses of.
func (c *Config) Families() []Family {
	var fs []Family
	for _, f := range []Family{IPv4, IPv6} {
		if c.has(f) {
			fs = append(fs, f)
		}
	}
	return fs
}

// has reports whether the instance has addresses of a family.
func (c *Config) has(f Family) bool {
	return slices.ContainsFunc(c.Addresses, func(p netip.Prefix) bool { return FamilyOf(p.Addr()) == f })
}

// Validate reports everything that is wrong with c on its own. What two
// instances may not share is checked by [ValidateAll].
func (c *Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Name == "" {
		bad("name is missing")
	}
	if c.Interface == "" {
		bad("interface is missing")
	}
	if c.VRID == 0 {
		bad("vrid must be between 1 and 255")
	}
	if c.Priority <= DemotedMax {
		bad("priority %d must be between %d and 255: 1 to %d are for demoted nodes", c.Priority, DemotedMax+1, DemotedMax)
	}
	if len(c.Addresses) == 0 {
		bad("addresses must name at least one address")
	}
	errs = append(errs, c.validateAddresses()...)
	errs = append(errs, c.validateVersion()...)
	errs = append(errs, c.validatePeers()...)
	if len(c.Password) > authLen {
		bad("password is %d bytes long: version 2 carries at most %d", len(c.Password), authLen)
	}
	if c.Announce.Repeat < 1 {
		bad("announce repeat must be at least 1")
	}
	if c.Announce.Interval < 0 || c.Announce.Refresh < 0 {
		bad("announce interval and refresh must not be negative")
	}
	if c.Lease < 0 || c.Lease%time.Second != 0 {
		bad("lease %v must be whole seconds", c.Lease)
	}
	if c.PreemptDelay < 0 || c.StartupDelay < 0 {
		bad("preempt delay and startup delay must not be negative")
	}
	used := map[string]bool{}
	for _, k := range c.Checks {
		if used[k.Name] {
			bad("check %q is listed twice", k.Name)
		}
		used[k.Name] = true
		if k.OnFailure == Weigh && (k.Weight == 0 || k.Weight < -253 || k.Weight > 253) {
			bad("check %q: weight %d must be between -253 and 253, and not 0", k.Name, k.Weight)
		}
	}
	return errors.Join(errs...)
}

func (c *Config) validateAddresses() (errs []error) {
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	seen := map[netip.Addr]bool{}
	first := true
	for _, p := range c.Addresses {
		a := p.Addr()
		switch {
		case !p.IsValid():
			bad("an address is not valid")
			continue
		case a.Is4In6() || a.Zone() != "":
			bad("address %v must be plain IPv4 or IPv6", a)
			continue
		case a.IsMulticast() || a.IsUnspecified() || a.IsLoopback():
			bad("address %v cannot be a host's", a)
		case seen[a]:
			bad("address %v is listed twice", a)
		}
		seen[a] = true
		if FamilyOf(a) == IPv6 {
			if first && !a.IsLinkLocalUnicast() {
				bad("the first IPv6 address must be link-local (RFC 9568 section 5.2.9), not %v", a)
			}
			first = false
		}
	}
	return errs
}

func (c *Config) validateVersion() (errs []error) {
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	lo, hi, step := MinInterval, time.Duration(MaxInterval), IntervalStep
	switch c.Version {
	case Version2:
		lo, hi, step = MinIntervalV2, MaxIntervalV2, time.Second
		if slices.Contains(c.Families(), IPv6) {
			bad("version 2 carries IPv4 addresses only: use version 3 for IPv6")
		}
	case Version3:
		if c.Password != "" {
			bad("version 3 has no authentication: remove the password or use version 2")
		}
	default:
		bad("version %d must be 2 or 3", c.Version)
		return errs
	}
	if c.AdvertInterval < lo || c.AdvertInterval > hi || c.AdvertInterval%step != 0 {
		bad("advert interval %v must be between %v and %v in steps of %v with version %d", c.AdvertInterval, lo, hi, step, c.Version)
	}
	return errs
}

func (c *Config) validatePeers() (errs []error) {
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if len(c.Peers) > 0 {
		for _, f := range c.Families() {
			if !slices.ContainsFunc(c.Peers, func(a netip.Addr) bool { return FamilyOf(a) == f }) {
				bad("peers has no %v address, but the instance has %v addresses", f, f)
			}
		}
	}
	for n, p := range c.Peers {
		if slices.Contains(c.Peers[:n], p) {
			bad("peer %v is listed twice", p)
		}
		switch why := notAHost(p); {
		case why != "":
			bad("peer %v %s", p, why)
		case p == c.Source:
			bad("peer %v is this node's own source", p)
		}
	}
	if s := c.Source; s.IsValid() {
		switch why := notAHost(s); {
		case why != "":
			bad("source %v %s", s, why)
		case !c.has(FamilyOf(s)):
			bad("source %v is an %v address, but the instance has none of that family", s, FamilyOf(s))
		case s.Is6() && !s.IsLinkLocalUnicast() && len(c.Peers) == 0:
			bad("source %v must be link-local: multicast adverts over IPv6 are (RFC 9568 section 5.1.2.1)", s)
		}
	}
	return errs
}

// notAHost says why packets can neither come from an address nor be sent to it
// alone; empty when they can.
func notAHost(a netip.Addr) string {
	switch {
	case !a.IsValid(), a.IsMulticast(), a.IsUnspecified():
		return "is not the address of a host"
	case a.Is4In6(), a.Zone() != "": // of neither would any packet be known again
		return "must be plain IPv4 or IPv6"
	}
	return ""
}

// ValidateAll reports what is wrong with each instance, and what two of them
// may not share: a name, a VRID on one interface and family, an address.
func ValidateAll(configs []Config) error {
	var errs []error
	names := make(map[string]bool, len(configs))
	type id struct {
		vrid   uint8
		iface  string
		family Family
	}
	ids := make(map[id]int, len(configs))
	type place struct {
		addr  netip.Addr
		iface string // for link-local addresses
	}
	addrs := make(map[place]int, len(configs))
	for i := range configs {
		c := &configs[i]
		if err := c.Validate(); err != nil {
			errs = append(errs, fmt.Errorf("instance %q: %w", c.Name, err))
		}
		if names[c.Name] {
			errs = append(errs, fmt.Errorf("instance %q: the name is used twice", c.Name))
		}
		names[c.Name] = true
		for _, f := range c.Families() {
			at := id{c.VRID, c.Interface, f}
			if other, ok := ids[at]; ok {
				errs = append(errs, fmt.Errorf("instance %q: vrid %d on %s (%v) is used by instance %q already", c.Name, c.VRID, c.Interface, f, configs[other].Name))
			}
			ids[at] = i
		}
		for _, p := range c.Addresses {
			at := place{addr: p.Addr()}
			if at.addr.IsLinkLocalUnicast() {
				at.iface = c.Interface
			}
			if other, ok := addrs[at]; ok && other != i {
				errs = append(errs, fmt.Errorf("instance %q: address %v belongs to instance %q already", c.Name, p.Addr(), configs[other].Name))
			}
			addrs[at] = i
		}
	}
	errs = append(errs, validateGroups(configs)...)
	return errors.Join(errs...)
}
