package lab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
)

// AddVirtualMAC gives the host a macvlan interface on top of parent with the
// VRRP MAC address of a virtual router, up and with one address, as FRR wants
// it. family is 4 or 6.
func (h *Host) AddVirtualMAC(name, parent string, family int, vrid uint8, addr netip.Prefix) error {
	if err := h.addVirtualMAC(name, parent, family, vrid, addr); err != nil {
		return fmt.Errorf("add %s on %s of %s: %w", name, parent, h.name, err)
	}
	return nil
}

func (h *Host) addVirtualMAC(name, parent string, family int, vrid uint8, addr netip.Prefix) error {
	under, err := h.nl.LinkByName(parent)
	if err != nil {
		return err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.ParentIndex = name, under.Attrs().Index
	switch family {
	case 4:
		attrs.HardwareAddr = net.HardwareAddr{0x00, 0x00, 0x5e, 0x00, 0x01, vrid}
	case 6:
		attrs.HardwareAddr = net.HardwareAddr{0x00, 0x00, 0x5e, 0x00, 0x02, vrid}
	default:
		return errors.New("the family is neither 4 nor 6")
	}
	link := &netlink.Macvlan{LinkAttrs: attrs, Mode: netlink.MACVLAN_MODE_BRIDGE}
	if err := h.nl.LinkAdd(link); err != nil {
		return err
	}
	// A link-local address made from the virtual MAC would be the same on all
	// routers.
	if err := h.nl.LinkSetIP6AddrGenMode(link, 1); err != nil {
		return fmt.Errorf("set no address generation: %w", err)
	}
	if err := h.nl.LinkSetUp(link); err != nil {
		return err
	}
	return h.AddAddress(name, addr.String())
}
