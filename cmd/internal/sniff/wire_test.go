package sniff

// What the tests put on the wire, byte by byte.

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/holdfast-vrrp/holdfast/vrrp"
)

func ip(s string) netip.Addr { return netip.MustParseAddr(s) }

var (
	lb1, lb2   = ip("192.0.2.1"), ip("192.0.2.2")
	lb1v6      = ip("fe80::1")
	lb2v6      = ip("fe80::2")
	vip        = ip("192.0.2.100")
	vip6       = ip("2001:db8::100")
	local6     = ip("fe80::100")
	start      = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	second     = time.Second
	group4     = vrrp.GroupIPv4
	group6     = vrrp.GroupIPv6
	everybody  = MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	allNodes   = ip("ff02::1")
	macOfHosts = map[netip.Addr]MAC{
		lb1: {0x52, 0x54, 0, 0, 0, 1}, lb1v6: {0x52, 0x54, 0, 0, 0, 1},
		lb2: {0x52, 0x54, 0, 0, 0, 2}, lb2v6: {0x52, 0x54, 0, 0, 0, 2},
	}
)

// macOf is the MAC of a host of the tests; strangers have one of their own.
func macOf(a netip.Addr) MAC {
	if m, ok := macOfHosts[a]; ok {
		return m
	}
	return MAC{0x52, 0x54, 0, 0, 1, a.AsSlice()[a.BitLen()/8-1]}
}

// datagram is an IP packet in an Ethernet frame.
type datagram struct {
	from, to           MAC
	vlans              []uint16
	src, dst           netip.Addr
	ttl, protocol      byte
	fragment           uint16 // of IPv4
	payload            []byte
	padding, cut, lose int // bytes behind, kept of the frame, not there at the end
}

// change changes a datagram on its way.
type change func(*datagram)

// ethernet lays the frame out.
func (d *datagram) ethernet() []byte {
	be := binary.BigEndian
	b := append(d.to[:], d.from[:]...)
	for _, v := range d.vlans {
		b = be.AppendUint16(be.AppendUint16(b, etherVLAN), v|0xe000)
	}
	if d.src.Is4() {
		b = be.AppendUint16(b, etherIPv4)
	} else {
		b = be.AppendUint16(b, etherIPv6)
	}
	return append(b, d.network()...)
}

// network lays the IP packet out.
func (d *datagram) network() (b []byte) {
	be := binary.BigEndian
	if d.src.Is6() {
		b = append(b, 0x6c, 0, 0, 0)
		b = be.AppendUint16(b, uint16(len(d.payload)))
		b = append(b, d.protocol, d.ttl)
		b = append(append(b, d.src.AsSlice()...), d.dst.AsSlice()...)
	} else {
		b = append(b, 0x45, 0xc0)
		b = be.AppendUint16(b, uint16(20+len(d.payload)))
		b = be.AppendUint16(append(b, 0, 0), d.fragment)
		b = append(b, d.ttl, d.protocol, 0, 0)
		b = append(append(b, d.src.AsSlice()...), d.dst.AsSlice()...)
		be.PutUint16(b[10:], ^onesSum(b))
	}
	b = append(b, d.payload[:len(d.payload)-d.lose]...)
	return append(b, make([]byte, d.padding)...)
}

// good is an advert of a router as it should be.
func good(src netip.Addr, vrid, priority byte, interval time.Duration, addrs ...netip.Addr) *vrrp.Packet {
	return &vrrp.Packet{Version: vrrp.Version3, VRID: vrid, Priority: priority, Interval: interval, Addresses: addrs}
}

// v2 makes an advert one of version 2, with a password if there is one.
func v2(p *vrrp.Packet, password string) *vrrp.Packet {
	p.Version = vrrp.Version2
	if password != "" {
		p.AuthType = vrrp.AuthSimple
		copy(p.Auth[:], password)
	}
	return p
}

// send puts an advert into a datagram to its group.
func send(src netip.Addr, p *vrrp.Packet, pseudo bool, changes ...change) *datagram {
	dst := group4
	if src.Is6() {
		dst = group6
	}
	payload, err := p.AppendTo(nil, src, dst, pseudo)
	if err != nil {
		panic(err)
	}
	d := &datagram{from: macOf(src), to: groupMAC(dst), src: src, dst: dst, ttl: 255, protocol: vrrp.Protocol, payload: payload}
	for _, c := range changes {
		c(d)
	}
	return d
}

// reseal makes the checksum of RFC 9568 right again.
func reseal(d *datagram) {
	b := d.payload
	b[6], b[7] = 0, 0
	sum := onesSum(b)
	if d.src.Is6() {
		sum = onesSum(pseudoHeader(d.src, d.dst, vrrp.Protocol, len(b)), b)
	}
	binary.BigEndian.PutUint16(b[6:], ^sum)
}

// alter changes bytes of the message, whose checksum stays right.
func alter(f func(b []byte) []byte) change {
	return func(d *datagram) {
		d.payload = f(d.payload)
		reseal(d)
	}
}

// set sets a byte of the message, whose checksum stays right.
func set(at int, value byte) change {
	return alter(func(b []byte) []byte { b[at] = value; return b })
}

// damage changes a byte of the message and nothing else.
func damage(at int, mask byte) change { return func(d *datagram) { d.payload[at] ^= mask } }

// gratuitous is a gratuitous ARP.
func gratuitous(mac MAC, addr netip.Addr, op byte) []byte {
	return arpFrame(mac, addr, addr, op)
}

func arpFrame(mac MAC, sender, target netip.Addr, op byte) []byte {
	b := append(everybody[:], mac[:]...)
	b = append(b, 8, 6, 0, 1, 8, 0, 6, 4, 0, op)
	b = append(append(b, mac[:]...), sender.AsSlice()...)
	b = append(append(b, mac[:]...), target.AsSlice()...)
	return append(b, make([]byte, 18)...) // padding
}

// neighbour is a neighbour advertisement with its target option.
func neighbour(mac MAC, src, addr, dst netip.Addr, flags byte) []byte {
	b := []byte{typeNA, 0, 0, 0, flags, 0, 0, 0}
	b = append(b, addr.AsSlice()...)
	b = append(append(b, 2, 1), mac[:]...)
	binary.BigEndian.PutUint16(b[2:], ^onesSum(pseudoHeader(src, dst, protoICMPv6, len(b)), b))
	d := &datagram{from: mac, to: groupMAC(allNodes), src: src, dst: dst, ttl: 255, protocol: protoICMPv6, payload: b}
	return d.ethernet()
}

// recorded is a capture in the making.
type recorded struct {
	frames []Frame
	now    time.Time
	iface  string
}

func newRecorded(iface string) *recorded { return &recorded{now: start, iface: iface} }

// wait lets time pass.
func (r *recorded) wait(d time.Duration) *recorded {
	r.now = r.now.Add(d)
	return r
}

// raw adds an Ethernet frame.
func (r *recorded) raw(frame []byte) *recorded {
	r.frames = append(r.frames, Frame{Time: r.now, Interface: r.iface, Link: LinkEthernet, Data: frame, Length: len(frame)})
	return r
}

// add adds a datagram.
func (r *recorded) add(d *datagram) *recorded {
	b := d.ethernet()
	r.raw(b)
	if d.cut > 0 {
		r.frames[len(r.frames)-1].Data = b[:d.cut]
	}
	return r
}

// repeat adds a datagram several times, each after the time given.
func (r *recorded) repeat(times int, every time.Duration, d *datagram) *recorded {
	for range times {
		r.wait(every).add(d)
	}
	return r
}

// heard runs frames through a Watch and returns what was found, packet by
// packet.
func heard(t *testing.T, frames []Frame) (list []Advert, events []Event, w *Watch) {
	t.Helper()
	w = NewWatch()
	for n, f := range frames {
		a, ok := DecodeAdvert(f)
		if !ok {
			t.Fatalf("frame %d is no advert", n)
		}
		events = append(events, w.Advert(&a)...)
		list = append(list, a)
	}
	return list, events, w
}

// kinds lists what was found of at least a severity.
func kinds(list []Finding, least Severity) (all []Kind) {
	for _, f := range list {
		if f.Severity >= least {
			all = append(all, f.Kind)
		}
	}
	slices.Sort(all)
	return all
}
