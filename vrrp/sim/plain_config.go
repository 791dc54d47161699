package sim

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// PlainConfig describes a router of somebody else's.
type PlainConfig struct {
	VRID     uint8
	Version  int // 2 or 3
	Priority uint8
	// Source is the primary address of its interface; of an IPv6 router the
	// link-local one.
	Source    netip.Addr
	Addresses []netip.Addr
	Interval  time.Duration
	// NoPreempt leaves a weaker master alone; PreemptDelay does for a while.
	NoPreempt    bool
	PreemptDelay time.Duration
	// Peers are who it sends unicast to; none means the group.
	Peers []netip.Addr
	// Password is of authentication type 1 (version 2).
	Password string
	Quirks
}

// Validate reports what no router could be configured with.
func (c *PlainConfig) Validate() error {
	unit, most := time.Second/100, 4095
	if c.Version == 2 {
		unit, most = time.Second, 255
	}
	other := func(a netip.Addr) bool { return !a.IsValid() || a.Is4() != c.Source.Is4() }
	switch {
	case c.Version != 2 && c.Version != 3:
		return fmt.Errorf("version %d must be 2 or 3", c.Version)
	case c.VRID == 0 || c.Priority == 0:
		return errors.New("vrid and priority must be between 1 and 255")
	case !c.Source.IsValid() || c.Version == 2 && c.Source.Is6():
		return fmt.Errorf("source %v does not suit version %d", c.Source, c.Version)
	case len(c.Addresses) == 0 || len(c.Addresses) > 255 || slices.ContainsFunc(c.Addresses, other):
		return errors.New("addresses must be 1 to 255 of the source's family")
	case slices.ContainsFunc(c.Peers, other):
		return errors.New("peers must be of the source's family")
	case c.Interval < unit || c.Interval > time.Duration(most)*unit || c.Interval%unit != 0:
		return fmt.Errorf("version %d has no interval of %v", c.Version, c.Interval)
	}
	return nil
}

// auth is the authentication type and data: a password is cut or filled up with
// zeros to 8 bytes.
func (c *PlainConfig) auth() (kind byte, data [8]byte) {
	if c.Password != "" {
		kind = 1
	}
	copy(data[:], c.Password)
	return kind, data
}
