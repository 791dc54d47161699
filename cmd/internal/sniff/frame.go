package sniff

import (
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"time"
)

// Link says what a frame begins with: a LINKTYPE number of capture files.
type Link uint32

// The kinds of frames that can be taken apart.
const (
	LinkNull     Link = 0   // BSD loopback
	LinkEthernet Link = 1   // with or without VLAN tags
	LinkRaw      Link = 101 // an IP packet
	LinkLoop     Link = 108 // OpenBSD loopback
	LinkCooked   Link = 113 // Linux, of any interface
	LinkIPv4     Link = 228
	LinkIPv6     Link = 229
	LinkCooked2  Link = 276 // the newer form of LinkCooked
)

// known tells whether frames of a kind can be taken apart. 12 and 14 are what
// some systems write for LinkRaw.
func (l Link) known() bool {
	return slices.Contains([]Link{LinkNull, LinkEthernet, LinkRaw, LinkLoop, LinkCooked, LinkIPv4, LinkIPv6, LinkCooked2, 12, 14}, l)
}

// Frame is a frame as it was captured.
type Frame struct {
	Time time.Time
	// Interface is where it was captured, "" when the file does not say.
	Interface string
	Link      Link
	Data      []byte
	// Length is how long the frame was on the wire: longer than Data when the
	// capture cut it.
	Length int
	// VLANs are tags that are no longer in Data, the outer one first.
	VLANs []uint16
}

// MAC is an Ethernet address; the zero MAC stands for an unknown one.
type MAC [6]byte

func (m MAC) String() string { return net.HardwareAddr(m[:]).String() }

// virtualMAC is the MAC of a virtual router (RFC 9568 section 7.3).
func virtualMAC(six bool, vrid uint8) MAC {
	m := MAC{0, 0, 0x5e, 0, 1, vrid}
	if six {
		m[4] = 2
	}
	return m
}

// virtual tells whether a MAC is one of a virtual router.
func (m MAC) virtual() bool {
	return m == virtualMAC(false, m[5]) || m == virtualMAC(true, m[5])
}

// groupMAC is where Ethernet carries a multicast group (RFC 1112 section 6.4,
// RFC 2464 section 7).
func groupMAC(group netip.Addr) MAC {
	b := group.AsSlice()
	if group.Is4() {
		return MAC{1, 0, 0x5e, b[1] & 0x7f, b[2], b[3]}
	}
	return MAC{0x33, 0x33, b[12], b[13], b[14], b[15]}
}

const (
	etherIPv4  = 0x0800
	etherARP   = 0x0806
	etherIPv6  = 0x86dd
	etherVLAN  = 0x8100
	etherQinQ  = 0x88a8
	etherOldQQ = 0x9100
)

// The packet types of cooked frames (packet(7)).
const (
	cookedHost = iota
	cookedBroadcast
	cookedMulticast
	cookedOther
	cookedOutgoing
)

// layer2 is what the link layer says of a frame.
type layer2 struct {
	src, dst MAC
	vlans    []uint16
	ether    uint16
	payload  []byte
	outgoing bool
	// group says whether the frame was sent to a multicast address, where that
	// is known although dst is not.
	group verdict
}

// verdict is a yes or no that may be unknown.
type verdict uint8

const (
	unknown verdict = iota
	yes
	no
)

// open takes the link layer off. ok is false when the frame is too short for it
// or of an unknown kind.
func (f *Frame) open() (l layer2, ok bool) {
	b := f.Data
	be := binary.BigEndian
	l.vlans = f.VLANs
	switch f.Link {
	case LinkEthernet:
		if len(b) < 14 {
			return l, false
		}
		copy(l.dst[:], b)
		copy(l.src[:], b[6:])
		l.ether, l.payload = be.Uint16(b[12:]), b[14:]
	case LinkCooked:
		if len(b) < 16 {
			return l, false
		}
		l.cooked(int(be.Uint16(b)), int(be.Uint16(b[4:])), b[6:14])
		l.ether, l.payload = be.Uint16(b[14:]), b[16:]
	case LinkCooked2:
		if len(b) < 20 {
			return l, false
		}
		l.cooked(int(b[10]), int(b[11]), b[12:20])
		l.ether, l.payload = be.Uint16(b), b[20:]
	case LinkNull, LinkLoop:
		if len(b) < 4 {
			return l, false
		}
		return l, l.bare(b[4:])
	default:
		return l, f.Link.known() && l.bare(b)
	}
	return l, l.untag()
}

// cooked takes over what a cooked header says of the sender and the receiver.
func (l *layer2) cooked(kind, size int, addr []byte) {
	if size == len(l.src) {
		copy(l.src[:], addr)
	}
	switch kind {
	case cookedHost, cookedOther, cookedBroadcast:
		l.group = no
	case cookedMulticast:
		l.group = yes
	case cookedOutgoing:
		l.outgoing = true
	}
}

// bare takes an IP packet that no link layer names.
func (l *layer2) bare(b []byte) bool {
	if len(b) == 0 {
		return false
	}
	l.payload = b
	switch b[0] >> 4 {
	case 4:
		l.ether = etherIPv4
	case 6:
		l.ether = etherIPv6
	default:
		return false
	}
	return true
}

// maxTags is how many VLAN tags a frame may have; more are nobody's.
const maxTags = 4

// untag takes VLAN tags off.
func (l *layer2) untag() bool {
	for range maxTags {
		if l.ether != etherVLAN && l.ether != etherQinQ && l.ether != etherOldQQ {
			return true
		}
		if len(l.payload) < 4 {
			return false
		}
		if tag := binary.BigEndian.Uint16(l.payload) & 0x0fff; tag != 0 { // 0 only has a priority
			l.vlans = append(slices.Clip(l.vlans), tag)
		}
		l.ether, l.payload = binary.BigEndian.Uint16(l.payload[2:]), l.payload[4:]
	}
	return false
}
