package lab

import (
	"fmt"
	"time"

	"github.com/vishvananda/netlink"
)

// Join connects two hosts by a cable of their own, without a switch. Both know
// their end by the same name, and each gets an address there, such as
// "192.0.2.1/24". It returns when both ends have carrier.
func (l *Lab) Join(ifname string, a *Host, addrA string, b *Host, addrB string) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = ifname
	pair := &netlink.Veth{LinkAttrs: attrs, PeerName: ifname, PeerNamespace: netlink.NsFd(int(b.keep.netns.Fd()))}
	if err := a.nl.LinkAdd(pair); err != nil {
		return fmt.Errorf("join %s of %s and %s: %w", ifname, a.name, b.name, err)
	}
	ends := map[*Host]string{a: addrA, b: addrB}
	for h, addr := range ends {
		link, err := h.nl.LinkByName(ifname)
		if err == nil {
			err = h.nl.LinkSetUp(link)
		}
		if err != nil {
			return fmt.Errorf("bring %s of %s up: %w", ifname, h.name, err)
		}
		if err := h.AddAddress(ifname, addr); err != nil {
			return err
		}
	}
	return poll(10*time.Second, "no carrier on "+ifname, func() (bool, error) {
		for h := range ends {
			link, err := h.nl.LinkByName(ifname)
			if err != nil || link.Attrs().OperState != netlink.OperUp {
				return false, err
			}
		}
		return true, nil
	})
}
