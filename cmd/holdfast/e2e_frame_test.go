package main

// Frames that tests build and read byte by byte, with nothing of the program's
// own code: what it sends and accepts is held against the RFCs alone.

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/lab"
)

const (
	etherIPv4 = 0x0800
	etherARP  = 0x0806
	etherIPv6 = 0x86dd
)

var (
	vrrpGroup  = netip.MustParseAddr("224.0.0.18")
	vrrpGroup6 = netip.MustParseAddr("ff02::12")
)

// advert is a VRRP message as a test wants it, wrong or right.
type advert struct {
	version, kind, vrid, priority byte
	count                         int // the count byte; -1 for the true one
	word                          uint16
	addresses                     []netip.Addr
	trailer                       []byte // version 2: authentication data
}

// bytes encodes the message with the checksum that RFC 9568 section 5.2.8 wants
// in an IP packet from src to dst.
func (a *advert) bytes(src, dst netip.Addr) []byte {
	count := a.count
	if count < 0 {
		count = len(a.addresses)
	}
	b := []byte{a.version<<4 | a.kind, a.vrid, a.priority, byte(count)}
	b = binary.BigEndian.AppendUint16(b, a.word)
	b = append(b, 0, 0)
	for _, addr := range a.addresses {
		b = append(b, addr.AsSlice()...)
	}
	b = append(b, a.trailer...)
	binary.BigEndian.PutUint16(b[6:], ^advertSum(b, src, dst))
	return b
}

// advertSum is the ones' complement sum over what the checksum covers: the
// message, and in IPv6 the pseudo-header of RFC 8200 section 8.1. It is 0xffff
// when the checksum in the message is right.
func advertSum(message []byte, src, dst netip.Addr) uint16 {
	if src.Is4() {
		return onesSum(message)
	}
	pseudo := binary.BigEndian.AppendUint32(nil, uint32(len(message)))
	return onesSum(src.AsSlice(), dst.AsSlice(), pseudo, []byte{0, 0, 0, 112}, message)
}

// onesSum adds 16-bit words as RFC 1071 does. Only the last part may be odd.
func onesSum(parts ...[]byte) uint16 {
	var acc uint32
	for _, p := range parts {
		for n, b := range p {
			acc += uint32(b) << (8 * (1 - n%2))
		}
	}
	for acc>>16 != 0 {
		acc = acc>>16 + acc&0xffff
	}
	return uint16(acc)
}

// packet is an IP packet in an Ethernet frame.
type packet struct {
	srcMAC, dstMAC net.HardwareAddr
	src, dst       netip.Addr
	tos, ttl       byte
	protocol       byte
	payload        []byte
}

func (p *packet) frame() []byte {
	kind := uint16(etherIPv4)
	if p.src.Is6() {
		kind = etherIPv6
	}
	b := append(bytes.Clone(p.dstMAC), p.srcMAC...)
	b = binary.BigEndian.AppendUint16(b, kind)
	if p.src.Is6() {
		b = append(b, 0x60, 0, 0, 0)
		b = binary.BigEndian.AppendUint16(b, uint16(len(p.payload)))
		b = append(b, p.protocol, p.ttl)
		b = append(append(b, p.src.AsSlice()...), p.dst.AsSlice()...)
		return append(b, p.payload...)
	}
	h := []byte{0x45, p.tos}
	h = binary.BigEndian.AppendUint16(h, uint16(20+len(p.payload)))
	h = append(h, 0, 0, 0, 0, p.ttl, p.protocol, 0, 0)
	h = append(append(h, p.src.AsSlice()...), p.dst.AsSlice()...)
	binary.BigEndian.PutUint16(h[10:], ^onesSum(h))
	return append(append(b, h...), p.payload...)
}

// readPacket reads an IP packet; ok is false for other frames.
func readPacket(frame []byte) (p packet, ok bool) {
	if len(frame) < 14 {
		return p, false
	}
	p.dstMAC, p.srcMAC = net.HardwareAddr(frame[:6]), net.HardwareAddr(frame[6:12])
	b := frame[14:]
	switch binary.BigEndian.Uint16(frame[12:]) {
	case etherIPv4:
		if len(b) < 20 || len(b) < int(binary.BigEndian.Uint16(b[2:])) {
			return p, false
		}
		p.tos, p.ttl, p.protocol = b[1], b[8], b[9]
		p.src, p.dst = netip.AddrFrom4([4]byte(b[12:])), netip.AddrFrom4([4]byte(b[16:]))
		p.payload = b[int(b[0]&15)*4 : binary.BigEndian.Uint16(b[2:])]
	case etherIPv6:
		if len(b) < 40 || len(b) < 40+int(binary.BigEndian.Uint16(b[4:])) {
			return p, false
		}
		p.tos, p.ttl, p.protocol = b[0]<<4|b[1]>>4, b[7], b[6]
		p.src, p.dst = netip.AddrFrom16([16]byte(b[8:])), netip.AddrFrom16([16]byte(b[24:]))
		p.payload = b[40 : 40+int(binary.BigEndian.Uint16(b[4:]))]
	default:
		return p, false
	}
	return p, true
}

// multicastMAC is where Ethernet carries a multicast group (RFC 1112 section
// 6.4, RFC 2464 section 7).
func multicastMAC(a netip.Addr) net.HardwareAddr {
	b := a.AsSlice()
	if a.Is4() {
		return net.HardwareAddr{1, 0, 0x5e, b[1] & 0x7f, b[2], b[3]}
	}
	return append(net.HardwareAddr{0x33, 0x33}, b[12:]...)
}

// stranger is a host that puts any frame on the wire and sees every frame.
type stranger struct {
	*lab.Host
	t     *testing.T
	mac   net.HardwareAddr
	ip    netip.Addr // IPv4
	local netip.Addr // IPv6 link-local
	port  *lab.Port  // eth0 of the target
	// targetLocal is the link-local address of the target.
	targetLocal netip.Addr
	wire        *lab.Capture
	socket      int // sends frames
	sent        int // VRRP packets
}

// newStranger adds the host 192.0.2.66 to look at a node and to lie to it. The
// node does not run yet: what it has is its own.
func newStranger(t *testing.T, l *lab.Lab, target *node) *stranger {
	t.Helper()
	h, err := l.Host("stranger", "192.0.2.66/24", "2001:db8::66/64")
	if err != nil {
		t.Fatal(err)
	}
	s := &stranger{Host: h, t: t, targetLocal: linkLocalOf(t, target.Host), ip: netip.MustParseAddr("192.0.2.66"), local: linkLocalOf(t, h)}
	port, err := h.Port("eth0")
	if err != nil {
		t.Fatal(err)
	}
	s.mac = port.MAC()
	if s.port, err = target.Port("eth0"); err != nil {
		t.Fatal(err)
	}
	if s.wire, err = h.Capture("eth0", nil); err != nil {
		t.Fatal(err)
	}
	if err := h.Do(s.open); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(s.socket) })
	return s
}

// open opens the socket for sending. Closing one takes the kernel milliseconds,
// so that floods need one that stays open.
func (s *stranger) open() (err error) {
	ifi, err := net.InterfaceByName("eth0")
	if err != nil {
		return err
	}
	if s.socket, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
		return err
	}
	return unix.Bind(s.socket, &unix.SockaddrLinklayer{Ifindex: ifi.Index})
}

// inject puts a frame on the wire.
func (s *stranger) inject(frame []byte) {
	s.t.Helper()
	if _, err := unix.Write(s.socket, frame); err != nil {
		s.t.Fatalf("inject a frame: %v", err)
	}
}

// linkLocalOf returns the IPv6 link-local address of a host's eth0.
func linkLocalOf(t *testing.T, h *lab.Host) netip.Addr {
	t.Helper()
	list, err := h.Addresses("eth0")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range list {
		if p.Addr().Is6() && p.Addr().IsLinkLocalUnicast() {
			return p.Addr()
		}
	}
	t.Fatalf("%s has no link-local address", h.Name())
	return netip.Addr{}
}

// send puts a packet on the wire. What it leaves out is as in a good advert.
func (s *stranger) send(p packet) {
	s.t.Helper()
	if p.srcMAC == nil {
		p.srcMAC = s.mac
	}
	if p.dstMAC == nil {
		p.dstMAC = s.port.MAC()
		if p.dst.IsMulticast() {
			p.dstMAC = multicastMAC(p.dst)
		}
	}
	if p.protocol == 0 {
		p.protocol = 112
	}
	if p.protocol == 112 {
		s.sent++
	}
	s.inject(p.frame())
}

// say sends a good packet with an advert to the group of its family.
func (s *stranger) say(a advert) {
	s.t.Helper()
	src, dst := s.ip, vrrpGroup
	if len(a.addresses) > 0 && a.addresses[0].Is6() {
		src, dst = s.local, vrrpGroup6
	}
	s.send(packet{src: src, dst: dst, ttl: 255, payload: a.bytes(src, dst)})
}

// seen is a VRRP packet on the wire.
type seen struct {
	packet
	at time.Time
}

func (s *seen) priority() byte { return s.payload[2] }

// adverts lists the VRRP packets of the target with a VRID after a moment, in
// one family.
func (s *stranger) adverts(six bool, vrid byte, after time.Time) (list []seen) {
	for _, f := range s.wire.Frames() {
		if f.Outgoing || !f.Time.After(after) {
			continue
		}
		p, ok := readPacket(f.Data)
		if ok && p.protocol == 112 && p.src.Is6() == six && len(p.payload) >= 8 && p.payload[1] == vrid {
			list = append(list, seen{p, f.Time})
		}
	}
	return list
}

// patience is for what has to come before a test can begin or go on. How long
// things took is told by the kernel's timestamps of the frames.
const patience = 10 * time.Second

// next waits for the first advert of the target after a moment.
func (s *stranger) next(six bool, vrid byte, after time.Time) seen {
	s.t.Helper()
	var first seen
	eventually(s.t, patience, "the target sends an advert", func() bool {
		list := s.adverts(six, vrid, after)
		if len(list) == 0 {
			return false
		}
		first = list[0]
		return true
	})
	return first
}

// injected is when the last VRRP packet of the stranger went out, by the same
// clock as what it sees.
func (s *stranger) injected() (last time.Time) {
	s.t.Helper()
	eventually(s.t, time.Second, "what was injected is on the wire", func() bool {
		count := 0
		for _, f := range s.wire.Frames() {
			if p, ok := readPacket(f.Data); ok && f.Outgoing && p.protocol == 112 {
				last = f.Time
				count++
			}
		}
		return count == s.sent
	})
	return last
}
