package sim

import (
	"errors"
	"net/netip"
	"time"
)

// Frame is a VRRP message with what its IP header says.
type Frame struct {
	Source, Destination netip.Addr
	// TTL is the IPv4 TTL or the IPv6 hop limit.
	TTL int
	// Payload is what follows the IP header.
	Payload []byte
}

// The groups that adverts are sent to.
var (
	plainGroup4 = netip.MustParseAddr("224.0.0.18")
	plainGroup6 = netip.MustParseAddr("ff02::12")
)

// plainAdvert is an advert as a plain router reads and writes it.
type plainAdvert struct {
	version, vrid, priority int
	interval                time.Duration
	addresses               []netip.Addr
	authType                byte     // version 2
	auth                    [8]byte  // version 2
	sum                     plainSum // which checksums are right, in one that was read
}

// plainSum tells over what a checksum is right.
type plainSum struct{ message, pseudo bool }

// write lays the message out with a checksum of zero. Version 2 counts
// seconds, version 3 hundredths of them, in the low 12 bits.
func (a *plainAdvert) write() []byte {
	b := []byte{byte(a.version<<4 | 1), byte(a.vrid), byte(a.priority), byte(len(a.addresses)), 0, 0, 0, 0}
	if a.version == 2 {
		b[4], b[5] = a.authType, byte(a.interval/time.Second)
	} else {
		hundredths := int(a.interval / (time.Second / 100))
		b[4], b[5] = byte(hundredths>>8), byte(hundredths)
	}
	for _, x := range a.addresses {
		b = append(b, x.AsSlice()...)
	}
	if a.version == 2 {
		b = append(b, a.auth[:]...)
	}
	return b
}

// Why a message cannot be read.
var (
	errPlainShort   = errors.New("shorter than a header")
	errPlainVersion = errors.New("unknown version")
	errPlainType    = errors.New("no advertisement")
	errPlainCount   = errors.New("no address")
	errPlainLength  = errors.New("length does not fit the address count")
)

// readPlain reads a message that travelled in a frame. It refuses what cannot
// be read, and leaves to the router what it does not like.
func readPlain(f Frame) (plainAdvert, error) {
	b := f.Payload
	if len(b) < 8 {
		return plainAdvert{}, errPlainShort
	}
	a := plainAdvert{version: int(b[0] >> 4), vrid: int(b[1]), priority: int(b[2])}
	width, tail := 4, 0
	if f.Source.Is6() {
		width = 16
	}
	if a.version == 2 {
		tail = 8
	}
	switch n := int(b[3]); {
	case a.version != 3 && (a.version != 2 || width == 16):
		return a, errPlainVersion
	case b[0]&15 != 1:
		return a, errPlainType
	case n == 0:
		return a, errPlainCount
	case len(b) != 8+n*width+tail:
		return a, errPlainLength
	}
	for at := 8; at < len(b)-tail; at += width {
		x, _ := netip.AddrFromSlice(b[at : at+width])
		a.addresses = append(a.addresses, x)
	}
	if a.version == 2 {
		a.authType, a.interval = b[4], time.Duration(b[5])*time.Second
		a.auth = [8]byte(b[len(b)-8:])
	} else {
		a.interval = time.Duration(int(b[4]&15)<<8|int(b[5])) * (time.Second / 100)
	}
	a.sum.message = onesSum(b) == 0xffff
	a.sum.pseudo = onesSum(withPseudo(b, f.Source, f.Destination)) == 0xffff
	return a, nil
}

// withPseudo puts the pseudo-header of the IP version before a message: RFC 793
// for IPv4, RFC 8200 section 8.1 for IPv6.
func withPseudo(msg []byte, src, dst netip.Addr) []byte {
	b := append(src.AsSlice(), dst.AsSlice()...)
	if src.Is4() {
		b = append(b, 0, 112, byte(len(msg)>>8), byte(len(msg)))
	} else {
		b = append(b, 0, 0, byte(len(msg)>>8), byte(len(msg)), 0, 0, 0, 112)
	}
	return append(b, msg...)
}

// onesSum is the ones' complement sum of RFC 1071 over an even or odd number of
// bytes.
func onesSum(b []byte) uint16 {
	total := 0
	for n, x := range b {
		if n%2 == 0 {
			total += int(x) << 8
		} else {
			total += int(x)
		}
		if total > 0xffff {
			total -= 0xffff
		}
	}
	return uint16(total)
}

// sealPlain writes the checksum over covered, which ends with the message.
func sealPlain(msg, covered []byte) {
	c := ^onesSum(covered)
	msg[6], msg[7] = byte(c>>8), byte(c)
}
