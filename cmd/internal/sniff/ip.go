package sniff

import (
	"encoding/binary"
	"net/netip"
)

// IP protocol numbers and IPv6 next headers.
const (
	protoHopByHop    = 0
	protoICMP        = 1
	protoIGMP        = 2
	protoRouting     = 43
	protoFragment    = 44
	protoAH          = 51
	protoICMPv6      = 58
	protoDestination = 60
)

// ipPacket is what the IP layer says of a packet.
type ipPacket struct {
	src, dst netip.Addr
	ttl      int
	protocol uint8
	payload  []byte
	// missing is how many bytes of the payload are not here.
	missing int
	// fragment is set for a part of a packet, rest for one without its beginning.
	fragment, rest bool
	// badHeader is set when the checksum of the IPv4 header is wrong.
	badHeader bool
	// authenticated is set when the payload was in an authentication header.
	authenticated bool
}

// openIP takes the IP header off. Padding behind the packet goes with it.
func (l *layer2) openIP() (p ipPacket, ok bool) {
	switch l.ether {
	case etherIPv4:
		ok = p.openIPv4(l.payload)
	case etherIPv6:
		ok = p.openIPv6(l.payload)
	}
	if ok && p.protocol == protoAH {
		p.openAH()
	}
	return p, ok
}

func (p *ipPacket) openIPv4(b []byte) bool {
	if len(b) < 20 || b[0]>>4 != 4 {
		return false
	}
	header, total := int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))
	if header < 20 || total < header || len(b) < header {
		return false
	}
	p.src, p.dst = netip.AddrFrom4([4]byte(b[12:])), netip.AddrFrom4([4]byte(b[16:]))
	p.ttl, p.protocol = int(b[8]), b[9]
	place := binary.BigEndian.Uint16(b[6:])
	p.fragment, p.rest = place&0x3fff != 0, place&0x1fff != 0
	p.badHeader = onesSum(b[:header]) != 0xffff
	p.cut(b[header:], total-header)
	return true
}

func (p *ipPacket) openIPv6(b []byte) bool {
	if len(b) < 40 || b[0]>>4 != 6 {
		return false
	}
	p.src, p.dst = netip.AddrFrom16([16]byte(b[8:])), netip.AddrFrom16([16]byte(b[24:]))
	p.ttl, p.protocol = int(b[7]), b[6]
	p.cut(b[40:], int(binary.BigEndian.Uint16(b[4:])))
	return p.skipExtensions()
}

// cut takes the payload, which should have a number of bytes.
func (p *ipPacket) cut(b []byte, size int) {
	if p.missing = size - len(b); p.missing < 0 {
		b, p.missing = b[:size], 0
	}
	p.payload = b
}

// skipExtensions goes to the first header that is not one of IPv6 itself. An
// advert has none, but what has some is worth a look.
func (p *ipPacket) skipExtensions() bool {
	for !p.rest {
		switch p.protocol {
		case protoHopByHop, protoRouting, protoDestination, protoFragment:
		default:
			return true
		}
		if len(p.payload) < 8 {
			return false
		}
		size := 8 + int(p.payload[1])*8
		if p.protocol == protoFragment {
			place := binary.BigEndian.Uint16(p.payload[2:])
			p.fragment, p.rest = p.fragment || place&0xfff9 != 0, place&0xfff8 != 0
			size = 8
		}
		if len(p.payload) < size {
			return false
		}
		p.protocol, p.payload = p.payload[0], p.payload[size:]
	}
	return true
}

// openAH takes an authentication header off (RFC 4302 section 2). What is cut
// short stays as it is.
func (p *ipPacket) openAH() {
	if p.rest || len(p.payload) < 12 {
		return
	}
	size := (int(p.payload[1]) + 2) * 4
	if size < 12 || len(p.payload) < size {
		return
	}
	p.authenticated = true
	p.protocol, p.payload = p.payload[0], p.payload[size:]
}

// onesSum is the ones' complement sum of RFC 1071. Only the last part may have
// an odd length.
func onesSum(parts ...[]byte) uint16 {
	var acc uint64
	for _, b := range parts {
		for ; len(b) >= 2; b = b[2:] {
			acc += uint64(binary.BigEndian.Uint16(b))
		}
		if len(b) == 1 {
			acc += uint64(b[0]) << 8
		}
	}
	for acc > 0xffff {
		acc = acc>>16 + acc&0xffff
	}
	return uint16(acc)
}

// pseudoHeader is that of the IP version of src: RFC 793, or RFC 8200 section
// 8.1.
func pseudoHeader(src, dst netip.Addr, protocol uint8, length int) []byte {
	b := append(src.AsSlice(), dst.AsSlice()...)
	if src.Is4() {
		b = append(b, 0, protocol)
		return binary.BigEndian.AppendUint16(b, uint16(length))
	}
	b = binary.BigEndian.AppendUint32(b, uint32(length))
	return append(b, 0, 0, 0, protocol)
}
