package sniff

import (
	"encoding/binary"
	"net/netip"
	"time"
)

// Form is how an address is announced.
type Form uint8

// The forms of an announcement.
const (
	ARPRequest Form = iota // gratuitous: for the sender's own address
	ARPReply               // gratuitous
	ARPAnswer              // to somebody who asked
	ARPProbe               // by somebody who is about to use the address
	NAUnsolicited
	NAAnswer
)

var formNames = []string{
	ARPRequest: "gratuitous ARP request", ARPReply: "gratuitous ARP reply", ARPAnswer: "ARP reply", ARPProbe: "ARP probe",
	NAUnsolicited: "unsolicited NA", NAAnswer: "NA",
}

func (f Form) String() string { return formNames[f] }

// Announcement tells a network at which MAC an address is: in ARP or in a
// neighbour advertisement (NA).
type Announcement struct {
	Time      time.Time
	Interface string
	VLANs     []uint16
	Outgoing  bool
	// SourceMAC is that of the frame, MAC the one that is told.
	SourceMAC, MAC MAC
	Form           Form
	Address        netip.Addr
	// To is who is told; zero for everybody.
	To       netip.Addr
	Findings []Finding
}

// DecodeAnnouncement decodes a frame that tells where an address is. ok is false
// for any other frame.
func DecodeAnnouncement(f Frame) (n Announcement, ok bool) {
	l, ok := f.open()
	if !ok {
		return n, false
	}
	n = Announcement{Time: f.Time, Interface: f.Interface, VLANs: l.vlans, Outgoing: l.outgoing, SourceMAC: l.src}
	if l.ether == etherARP {
		return n, n.decodeARP(l.payload)
	}
	p, ok := l.openIP()
	if !ok || p.protocol != protoICMPv6 || p.fragment || p.missing > 0 {
		return n, false
	}
	return n, n.decodeNA(&p)
}

// decodeARP takes ARP for IPv4 over Ethernet (RFC 826).
func (n *Announcement) decodeARP(b []byte) bool {
	if len(b) < 28 || [6]byte(b) != [6]byte{0, 1, 8, 0, 6, 4} {
		return false
	}
	op := binary.BigEndian.Uint16(b[6:])
	sender, target := netip.AddrFrom4([4]byte(b[14:])), netip.AddrFrom4([4]byte(b[24:]))
	copy(n.MAC[:], b[8:])
	n.Address = sender
	switch {
	case op == 1 && sender.IsUnspecified():
		n.Form, n.Address = ARPProbe, target
	case op == 1 && sender == target:
		n.Form = ARPRequest
	case op == 2 && (sender == target || target.IsUnspecified()):
		n.Form = ARPReply
	case op == 2:
		n.Form, n.To = ARPAnswer, target
	default:
		return false // a question for somebody else's address
	}
	return true
}

const (
	typeNA           = 136
	optTargetMAC     = 2
	flagNASolicited  = 0x40
	hopLimitNDP      = 255
	headerNA         = 24
	unitOfNDPOptions = 8
)

// decodeNA takes a neighbour advertisement (RFC 4861 section 4.4). Without the
// option that has the MAC, the one of the frame counts.
func (n *Announcement) decodeNA(p *ipPacket) bool {
	b := p.payload
	if len(b) < headerNA || b[0] != typeNA || b[1] != 0 || p.ttl != hopLimitNDP {
		return false
	}
	if onesSum(pseudoHeader(p.src, p.dst, protoICMPv6, len(b)), b) != 0xffff {
		return false // nobody takes it
	}
	n.Address, n.MAC, n.Form = netip.AddrFrom16([16]byte(b[8:])), n.SourceMAC, NAUnsolicited
	if b[4]&flagNASolicited != 0 {
		n.Form, n.To = NAAnswer, p.dst
	}
	for o := b[headerNA:]; len(o) >= unitOfNDPOptions; {
		size := int(o[1]) * unitOfNDPOptions
		if size == 0 || size > len(o) {
			return false
		}
		if o[0] == optTargetMAC && size == unitOfNDPOptions {
			copy(n.MAC[:], o[2:])
		}
		o = o[size:]
	}
	return true
}
