package vrrp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// A Packet is a VRRP advert.
//
//	 0                   1                   2                   3
//	+-------+-------+---------------+---------------+---------------+
//	|Version| Type  |     VRID      |   Priority    |  Addr Count   |
//	+-------+-------+---------------+---------------+---------------+
//	| v3: (rsvd) Max Advertise Int  |           Checksum            |
//	| v2: Auth Type |   Adver Int   |                               |
//	+---------------+---------------+-------------------------------+
//	|                 addresses, 4 or 16 bytes each                 |
//	+---------------------------------------------------------------+
//	|           v2: Authentication Data, always 8 bytes             |
//	+---------------------------------------------------------------+
type Packet struct {
	Version  Version
	VRID     uint8
	Priority uint8
	// Interval is the advert interval: whole centiseconds up to 40.95 s in
	// version 3, whole seconds up to 255 s in version 2.
	Interval time.Duration
	// Addresses are of one family, in the order of the wire.
	Addresses []netip.Addr
	// AuthType and Auth are used in version 2 alone.
	AuthType uint8
	Auth     [authLen]byte

	// form is the checksum form a parsed packet was found to have.
	form checksumForm
}

// AppendBinary appends the packet with a zero checksum to dst. The checksum
// needs the addresses of the IP header: see [Packet.AppendTo].
func (p *Packet) AppendBinary(dst []byte) ([]byte, error) {
	if len(p.Addresses) == 0 || len(p.Addresses) > 255 {
		return dst, fmt.Errorf("an advert carries 1 to 255 addresses, not %d", len(p.Addresses))
	}
	var word uint16
	switch p.Version {
	case Version2:
		s := p.Interval / time.Second
		if s < 1 || s > 255 || p.Interval%time.Second != 0 {
			return dst, fmt.Errorf("version 2 cannot carry an interval of %v", p.Interval)
		}
		word = uint16(p.AuthType)<<8 | uint16(s)
	case Version3:
		if p.Interval < MinInterval || p.Interval > MaxInterval || p.Interval%IntervalStep != 0 {
			return dst, fmt.Errorf("version 3 cannot carry an interval of %v", p.Interval)
		}
		word = uint16(p.Interval / IntervalStep)
	default:
		return dst, fmt.Errorf("unknown version %d", p.Version)
	}
	dst = append(dst, byte(p.Version)<<4|typeAdvertisement, p.VRID, p.Priority, byte(len(p.Addresses)))
	dst = binary.BigEndian.AppendUint16(dst, word)
	dst = append(dst, 0, 0)
	family := FamilyOf(p.Addresses[0])
	if p.Version == Version2 && family == IPv6 {
		return dst, errors.New("version 2 carries IPv4 addresses only")
	}
	for _, a := range p.Addresses {
		if FamilyOf(a) != family {
			return dst, errors.New("an advert carries addresses of one family")
		}
		dst = append(dst, a.AsSlice()...)
	}
	if p.Version == Version2 {
		dst = append(dst, p.Auth[:]...)
	}
	return dst, nil
}

// AppendTo appends the packet with its checksum for an IP packet from src to
// to. With pseudo the IPv4 pseudo-header is covered, as it always is for IPv6.
func (p *Packet) AppendTo(dst []byte, src, to netip.Addr, pseudo bool) ([]byte, error) {
	start := len(dst)
	dst, err := p.AppendBinary(dst)
	if err != nil {
		return dst[:start], err
	}
	form := formMessage
	if FamilyOf(src) == IPv6 || pseudo && p.Version == Version3 {
		form = formPseudo
	}
	setChecksum(dst[start:], form, src, to)
	return dst, nil
}

// Parse decodes the payload of an IP packet from src to dst into p, reusing its
// address slice. It makes those checks of RFC 9568 section 7.1 that need
// nothing but the packet, for version 2 those of RFC 3768 section 7.1, and
// returns why the packet must be discarded. ok is false then.
func (p *Packet) Parse(b []byte, src, dst netip.Addr) (reason DropReason, ok bool) {
	reason = p.parse(b, src, dst)
	return reason, reason == dropNone
}

func (p *Packet) parse(b []byte, src, dst netip.Addr) DropReason {
	if len(b) < headerLen {
		return DropShort
	}
	size, trailer := v4Len, 0
	if FamilyOf(src) == IPv6 {
		size = v6Len
	}
	p.Version = Version(b[0] >> 4)
	switch {
	case p.Version == Version2 && size == v4Len:
		trailer = authLen
	case p.Version != Version3:
		return DropVersion
	}
	if b[0]&0x0f != typeAdvertisement {
		return DropType
	}
	count := int(b[3])
	if count == 0 {
		return DropCount
	}
	if len(b) != headerLen+count*size+trailer {
		return DropLength
	}
	if !p.checksum(b, src, dst) {
		return DropChecksum
	}
	p.VRID, p.Priority = b[1], b[2]
	p.addresses(b[headerLen:headerLen+count*size], size)
	p.AuthType, p.Auth = 0, [authLen]byte{}
	if p.Version == Version2 {
		p.AuthType = b[4]
		copy(p.Auth[:], b[len(b)-authLen:])
		p.Interval = time.Duration(b[5]) * time.Second
		return dropNone
	}
	p.Interval = time.Duration(binary.BigEndian.Uint16(b[4:])&0x0fff) * IntervalStep
	if p.Interval == 0 {
		return DropIntervalZero
	}
	if size == v6Len && !p.Addresses[0].IsLinkLocalUnicast() {
		return DropFirstAddress
	}
	return dropNone
}

// checksum accepts both readings of RFC 5798 for version 3 over IPv4: the sums
// differ by a constant, so that little protection is lost.
func (p *Packet) checksum(b []byte, src, dst netip.Addr) bool {
	if src.Is4() {
		if p.form = formMessage; validChecksum(b, p.form, src, dst) {
			return true
		}
		if p.Version == Version2 {
			return false
		}
	}
	p.form = formPseudo
	return validChecksum(b, p.form, src, dst)
}

func (p *Packet) addresses(b []byte, size int) {
	p.Addresses = p.Addresses[:0]
	for ; len(b) > 0; b = b[size:] {
		a, _ := netip.AddrFromSlice(b[:size])
		p.Addresses = append(p.Addresses, a)
	}
}
