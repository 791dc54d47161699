package vrrp

import (
	"encoding/binary"
	"net/netip"
)

// checksumForm tells which bytes a checksum covers.
type checksumForm uint8

const (
	// formMessage covers the VRRP message alone.
	formMessage checksumForm = iota
	// formPseudo also covers the pseudo-header of the IP version.
	formPseudo
)

// sum adds b to a running ones' complement sum (RFC 1071).
func sum(acc uint64, b []byte) uint64 {
	for len(b) >= 2 {
		acc += uint64(binary.BigEndian.Uint16(b))
		b = b[2:]
	}
	if len(b) == 1 {
		acc += uint64(b[0]) << 8
	}
	return acc
}

func fold(acc uint64) uint16 {
	for acc > 0xffff {
		acc = acc>>16 + acc&0xffff
	}
	return uint16(acc)
}

// sumPseudo adds the pseudo-header: the IPv4 form of RFC 793, or the IPv6 form
// of RFC 8200 section 8.1.
func sumPseudo(acc uint64, src, dst netip.Addr, length int) uint64 {
	if src.Is4() && dst.Is4() {
		s, d := src.As4(), dst.As4()
		acc = sum(sum(acc, s[:]), d[:])
	} else {
		s, d := src.As16(), dst.As16()
		acc = sum(sum(acc, s[:]), d[:])
	}
	return acc + uint64(length) + Protocol
}

// setChecksum writes the checksum of a message whose checksum bytes are zero.
func setChecksum(msg []byte, form checksumForm, src, dst netip.Addr) {
	acc := sum(0, msg)
	if form == formPseudo {
		acc = sumPseudo(acc, src, dst, len(msg))
	}
	binary.BigEndian.PutUint16(msg[6:], ^fold(acc))
}

// validChecksum reports whether the checksum of a received message is right in
// the given form.
func validChecksum(msg []byte, form checksumForm, src, dst netip.Addr) bool {
	acc := sum(0, msg)
	if form == formPseudo {
		acc = sumPseudo(acc, src, dst, len(msg))
	}
	return fold(acc) == 0xffff
}
