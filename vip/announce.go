package vip

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/ndp"
)

// allNodes is where unsolicited neighbour advertisements go (RFC 4861
// section 7.2.6), and allNodesMAC its Ethernet address (RFC 2464 section 7).
var (
	allNodes    = netip.AddrFrom16([16]byte{0: 0xff, 1: 0x02, 15: 0x01})
	allNodesMAC = net.HardwareAddr{0x33, 0x33, 0, 0, 0, 1}
)

const (
	ipv6HeaderLen    = 40
	nextHeaderICMPv6 = 58
	ndpHopLimit      = 255 // RFC 4861 section 7.1.2: anything else is dropped
)

// AppendGratuitousARP appends an Ethernet frame that tells everybody on the
// link that ip is at mac (RFC 9568 sections 6.4.1 and 8.1.2). The target
// hardware address is mac as well (errata 7947 and 7949). form is
// [ARPRequest] or [ARPReply]; the frame of [ARPBoth] is not one frame.
func AppendGratuitousARP(dst []byte, form ARPForm, mac net.HardwareAddr, ip netip.Addr) ([]byte, error) {
	op := arp.OperationRequest
	switch {
	case form == ARPReply:
		op = arp.OperationReply
	case form != ARPRequest:
		return dst, fmt.Errorf("arp form %v is not one frame", form)
	}
	p, err := arp.NewPacket(op, mac, ip, mac, ip)
	if err != nil {
		return dst, fmt.Errorf("gratuitous arp for %v: %w", ip, err)
	}
	payload, err := p.MarshalBinary()
	if err != nil {
		return dst, fmt.Errorf("gratuitous arp for %v: %w", ip, err)
	}
	return appendFrame(dst, ethernet.Broadcast, mac, ethernet.EtherTypeARP, payload)
}

// AppendUnsolicitedNA appends an Ethernet frame with a neighbour advertisement
// to all nodes, from source, that says that target is at mac: flags R as
// router says, S clear, O set (RFC 9568 section 6.4.1, RFC 4861 section 7.2.6).
func AppendUnsolicitedNA(dst []byte, mac net.HardwareAddr, target, source netip.Addr, router bool) ([]byte, error) {
	if !source.Is6() {
		return dst, fmt.Errorf("neighbour advertisement for %v from %v: not an IPv6 address", target, source)
	}
	na := &ndp.NeighborAdvertisement{
		Router:        router,
		Override:      true,
		TargetAddress: target,
		Options:       []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Target, Addr: mac}},
	}
	message, err := ndp.MarshalMessageChecksum(na, source, allNodes)
	if err != nil {
		return dst, fmt.Errorf("neighbour advertisement for %v: %w", target, err)
	}
	packet := make([]byte, 0, ipv6HeaderLen+len(message))
	packet = append(packet, 0x60, 0, 0, 0, byte(len(message)>>8), byte(len(message)), nextHeaderICMPv6, ndpHopLimit)
	packet = append(packet, source.AsSlice()...)
	packet = append(packet, allNodes.AsSlice()...)
	packet = append(packet, message...)
	return appendFrame(dst, allNodesMAC, mac, ethernet.EtherTypeIPv6, packet)
}

func appendFrame(dst []byte, to, from net.HardwareAddr, kind ethernet.EtherType, payload []byte) ([]byte, error) {
	f := ethernet.Frame{Destination: to, Source: from, EtherType: kind, Payload: payload}
	b, err := f.MarshalBinary()
	if err != nil {
		return dst, fmt.Errorf("ethernet frame: %w", err)
	}
	return append(dst, b...), nil
}

// Where a frame with a gratuitous ARP has the address, twice: behind the header
// of Ethernet, what RFC 826 has before it, and hardware addresses.
const (
	arpSenderAt = 14 + 8 + 6
	arpTargetAt = arpSenderAt + 4 + 6
)

// announcer builds the frames of one announcement on one interface.
type announcer struct {
	mac net.HardwareAddr
	// linkLocal is the link-local address of the interface, if it has one.
	linkLocal netip.Addr
	form      ARPForm
	// model is a gratuitous ARP of each form, from which others differ by the
	// address alone.
	model [ARPBoth][]byte
}

// frames returns the frames for the addresses, in their order.
func (a *announcer) frames(addrs []netip.Addr) ([][]byte, error) {
	frames := make([][]byte, 0, len(addrs))
	for _, addr := range addrs {
		if addr.Is6() {
			f, err := AppendUnsolicitedNA(nil, a.mac, addr, a.source(addr), true)
			if err != nil {
				return nil, err
			}
			frames = append(frames, f)
			continue
		}
		for _, form := range a.form.each() {
			f, err := a.gratuitousARP(form, addr)
			if err != nil {
				return nil, err
			}
			frames = append(frames, f)
		}
	}
	return frames, nil
}

// gratuitousARP returns a frame of a form that is one.
func (a *announcer) gratuitousARP(form ARPForm, addr netip.Addr) (frame []byte, err error) {
	if a.model[form] == nil {
		a.model[form], err = AppendGratuitousARP(nil, form, a.mac, addr)
		if err != nil {
			return nil, err
		}
	}
	frame = bytes.Clone(a.model[form])
	ip := addr.As4()
	copy(frame[arpSenderAt:], ip[:])
	copy(frame[arpTargetAt:], ip[:])
	return frame, nil
}

// source is what a neighbour advertisement for target is sent from.
func (a *announcer) source(target netip.Addr) netip.Addr {
	if target.IsLinkLocalUnicast() || !a.linkLocal.IsValid() {
		return target
	}
	return a.linkLocal
}

// each lists the frames that the form asks for.
func (f ARPForm) each() []ARPForm {
	if f == ARPBoth {
		return []ARPForm{ARPRequest, ARPReply}
	}
	return []ARPForm{f}
}
