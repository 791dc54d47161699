package sim

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// check makes the checks of section 7.1 of RFC 9568 and of RFC 3768 that are
// left when a message could be read, and those of the quirks.
func (p *Plain) check(f Frame, a *plainAdvert) error {
	c := &p.cfg
	switch {
	case f.Source.Is4() != c.Source.Is4() || a.vrid != int(c.VRID):
		return fmt.Errorf("vrid %d is not ours", a.vrid)
	case a.version != c.Version:
		return fmt.Errorf("version %d is not ours", a.version)
	case f.TTL != 255 && !c.AnyTTL && (!c.UnicastAnyTTL || len(c.Peers) == 0):
		return fmt.Errorf("ttl %d is not 255", f.TTL)
	case !p.sumRight(f, a):
		return errors.New("wrong checksum")
	case f.Source == c.Source:
		return errors.New("own packet")
	}
	if err := p.checkAddressed(f); err != nil {
		return err
	}
	if err := p.checkTimeAndAuth(a); err != nil {
		return err
	}
	if err := p.checkList(f, a); err != nil {
		return err
	}
	if c.Priority == 255 && c.Owner == OwnerIgnores {
		return errors.New("this router is the owner")
	}
	return nil
}

func (p *Plain) sumRight(f Frame, a *plainAdvert) bool {
	c := &p.cfg
	switch {
	case a.version == 2:
		return a.sum.message
	case f.Source.Is6():
		return a.sum.pseudo
	}
	pseudo := a.sum.pseudo
	if c.GroupSum {
		pseudo = onesSum(withPseudo(f.Payload, f.Source, plainGroup4)) == 0xffff
	}
	switch c.AcceptSum {
	case SumMessage:
		return a.sum.message
	case SumPseudo:
		return pseudo
	case SumBoth:
		return a.sum.message || pseudo
	}
	return true
}

// checkAddressed tells whether a frame was meant for this router: its socket
// is bound to the group, or to its own address.
func (p *Plain) checkAddressed(f Frame) error {
	c := &p.cfg
	group := f.Destination == plainGroup4 || f.Destination == plainGroup6
	switch {
	case len(c.Peers) == 0 && !group, len(c.Peers) > 0 && f.Destination != c.Source:
		return fmt.Errorf("sent to %v", f.Destination)
	case len(c.Peers) > 0 && !c.AnyPeer && !slices.Contains(c.Peers, f.Source):
		return fmt.Errorf("%v is no peer", f.Source)
	}
	return nil
}

func (p *Plain) checkTimeAndAuth(a *plainAdvert) error {
	c := &p.cfg
	if a.interval == 0 {
		return errors.New("interval 0")
	}
	if (c.Version == 2 || c.SameInterval) && a.interval != c.Interval {
		return fmt.Errorf("interval %v is not ours", a.interval)
	}
	if c.Version == 2 {
		if kind, data := c.auth(); a.authType != kind || kind != 0 && a.auth != data {
			return errors.New("authentication fails")
		}
	}
	return nil
}

func (p *Plain) checkList(f Frame, a *plainAdvert) error {
	c := &p.cfg
	if c.MostAddresses > 0 && len(a.addresses) > c.MostAddresses {
		return fmt.Errorf("%d addresses are too many", len(a.addresses))
	}
	if c.FirstLinkLocal && f.Source.Is6() && !a.addresses[0].IsLinkLocalUnicast() {
		return fmt.Errorf("first address %v is not link-local", a.addresses[0])
	}
	same := true
	switch c.List {
	case ListSame:
		same = slices.Equal(a.addresses, c.Addresses) || a.priority == 255
	case ListSet:
		same = slices.Equal(sortedAddrs(a.addresses), sortedAddrs(c.Addresses))
	}
	if !same {
		return fmt.Errorf("addresses %v are not ours", a.addresses)
	}
	return nil
}

func sortedAddrs(list []netip.Addr) []netip.Addr {
	list = slices.Clone(list)
	slices.SortFunc(list, netip.Addr.Compare)
	return list
}
