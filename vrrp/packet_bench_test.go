package vrrp

import (
	"net/netip"
	"testing"
)

// codecCases are adverts of few addresses and of as many as they can carry.
func codecCases() map[string]*Packet {
	many := func(count int, of func(n byte) netip.Addr) (list []netip.Addr) {
		for n := range count {
			list = append(list, of(byte(n)))
		}
		return list
	}
	four := func(n byte) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, n}) }
	six := func(n byte) netip.Addr { return netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 15: n}) }
	return map[string]*Packet{
		"ipv4 with 1 address":     {Version: Version3, VRID: 7, Priority: 150, Interval: second, Addresses: many(1, four)},
		"ipv4 with 255 addresses": {Version: Version3, VRID: 7, Priority: 150, Interval: second, Addresses: many(255, four)},
		"ipv6 with 2 addresses":   {Version: Version3, VRID: 7, Priority: 150, Interval: second, Addresses: many(2, six)},
		"version 2":               {Version: Version2, VRID: 7, Priority: 150, Interval: second, Addresses: many(1, four)},
	}
}

// codec is an advert, its text, and where it goes.
type codec struct {
	packet   *Packet
	src, dst netip.Addr
	text     []byte
}

func newCodec(tb testing.TB, p *Packet) *codec {
	tb.Helper()
	c := &codec{packet: p, src: netip.MustParseAddr("192.0.2.1"), dst: GroupIPv4}
	if p.Addresses[0].Is6() {
		c.src, c.dst = netip.MustParseAddr("fe80::1"), GroupIPv6
	}
	var err error
	if c.text, err = p.AppendTo(nil, c.src, c.dst, false); err != nil {
		tb.Fatal(err)
	}
	return c
}

func (c *codec) encode(tb testing.TB) {
	var err error
	if c.text, err = c.packet.AppendTo(c.text[:0], c.src, c.dst, false); err != nil {
		tb.Fatal(err)
	}
}

// decode parses into memory that is there already.
func (c *codec) decode(tb testing.TB, into *Packet) {
	if reason, ok := into.Parse(c.text, c.src, c.dst); !ok {
		tb.Fatalf("dropped: %v", reason)
	}
}

// To write and to read an advert allocates nothing.
func TestCodecDoesNotAllocate(t *testing.T) {
	for name, p := range codecCases() {
		c, into := newCodec(t, p), &Packet{}
		c.decode(t, into)
		if n := testing.AllocsPerRun(100, func() { c.encode(t) }); n != 0 {
			t.Errorf("%s: writing it allocates %v times", name, n)
		}
		if n := testing.AllocsPerRun(100, func() { c.decode(t, into) }); n != 0 {
			t.Errorf("%s: reading it allocates %v times", name, n)
		}
	}
}

func BenchmarkPacketAppend(b *testing.B) {
	for name, p := range codecCases() {
		b.Run(name, func(b *testing.B) {
			c := newCodec(b, p)
			b.ReportAllocs()
			for b.Loop() {
				c.encode(b)
			}
		})
	}
}

func BenchmarkPacketParse(b *testing.B) {
	for name, p := range codecCases() {
		b.Run(name, func(b *testing.B) {
			c, into := newCodec(b, p), &Packet{}
			b.ReportAllocs()
			for b.Loop() {
				c.decode(b, into)
			}
		})
	}
}
