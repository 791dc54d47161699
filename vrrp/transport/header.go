package transport

import (
	"encoding/binary"
	"net/netip"

	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// An IPv4 header is 20 bytes and up to 40 of options (RFC 791 section 3.1):
//
//	0  version and header length in 4-byte words
//	1  type of service
//	2  total length
//	6  flags and fragment offset
//	8  TTL
//	9  protocol
//	12 source
//	16 destination
const (
	headerLen4    = 20
	maxHeaderLen4 = 60

	// dontFragment is the flag in the first byte of its two.
	dontFragment = 0x40

	// trafficClass is CS6, network control, in the IPv4 TOS and the IPv6
	// traffic class. RFC 9568 names none; other routers send this one.
	trafficClass = 0xc0
)

// putIPv4 fills h with the header of p. The kernel fills in the length, the checksum,
// and a source that is missing.
func putIPv4(h *[headerLen4]byte, p *Packet) {
	*h = [headerLen4]byte{0: 4<<4 | headerLen4/4, 1: trafficClass, 6: dontFragment, 8: vrrp.TTL, 9: vrrp.Protocol}
	if p.Source.IsValid() {
		source := p.Source.As4()
		copy(h[12:], source[:])
	}
	destination := p.Destination.As4()
	copy(h[16:], destination[:])
}

// parseIPv4 takes a packet apart that an IPv4 raw socket delivered: fixed is
// the first 20 bytes, rest what came after them. It returns the packet without
// its interface; ok is false when there is no whole header. Options are
// removed by moving the payload to the front of rest, so that a buffer that is
// used again keeps its size.
func parseIPv4(fixed *[headerLen4]byte, rest []byte) (p Packet, ok bool) {
	header := int(fixed[0]&0x0f) * 4
	options := header - headerLen4
	if fixed[0]>>4 != 4 || options < 0 || options > len(rest) {
		return Packet{}, false
	}
	total := int(binary.BigEndian.Uint16(fixed[2:]))
	if total < header {
		return Packet{}, false
	}
	// A total beyond what was read means that the buffer cut the packet.
	rest = rest[:min(len(rest), total-headerLen4)]
	if options > 0 {
		rest = rest[:copy(rest, rest[options:])]
	}
	return Packet{
		Source:      netip.AddrFrom4([4]byte(fixed[12:16])),
		Destination: netip.AddrFrom4([4]byte(fixed[16:20])),
		TTL:         int(fixed[8]),
		Payload:     rest,
	}, true
}
