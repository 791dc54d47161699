package main

// What the node puts on the wire, byte by byte (RFC 9568 sections 5.1, 5.2,
// 6.4.1 and 6.4.2; RFC 3768 section 5).

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/lab"
)

// TestWire looks at a node that becomes master: at every field of its adverts,
// and at the order of advert, gratuitous ARP and neighbour advertisement.
func TestWire(t *testing.T) {
	tests := []struct {
		name, config string
		src, dst     string // src "" for the link-local address
		payload      []byte // with a checksum of 0
	}{
		{
			"version 3, IPv4",
			instanceTOML(150, "200ms", []string{"192.0.2.100/24", "192.0.2.99/24"}),
			"192.0.2.1", "224.0.0.18",
			[]byte{0x31, 51, 150, 2, 0, 20, 0, 0, 192, 0, 2, 100, 192, 0, 2, 99},
		}, {
			"version 3, longest interval",
			instanceTOML(255, "40.95s", []string{"192.0.2.100/24"}),
			"192.0.2.1", "224.0.0.18",
			[]byte{0x31, 51, 255, 1, 0x0f, 0xff, 0, 0, 192, 0, 2, 100},
		}, {
			"version 3, IPv6",
			instanceTOML(150, "200ms", []string{"2001:db8::100/64", "fe80::51"}),
			"", "ff02::12",
			concat([]byte{0x31, 51, 150, 2, 0, 20, 0, 0}, netip.MustParseAddr("fe80::51").AsSlice(), netip.MustParseAddr("2001:db8::100").AsSlice()),
		}, {
			"version 2",
			instanceTOML(255, "1s", []string{"192.0.2.100/24"}, "version = 2"),
			"192.0.2.1", "224.0.0.18",
			[]byte{0x21, 51, 255, 1, 0, 1, 0, 0, 192, 0, 2, 100, 0, 0, 0, 0, 0, 0, 0, 0},
		}, {
			"version 2 with a password",
			instanceTOML(255, "1s", []string{"192.0.2.100/24"}, "version = 2", `auth = { type = "pass", password = "secret" }`),
			"192.0.2.1", "224.0.0.18",
			concat([]byte{0x21, 51, 255, 1, 1, 1, 0, 0, 192, 0, 2, 100}, []byte("secret\x00\x00")),
		}, {
			"unicast",
			instanceTOML(150, "200ms", []string{"192.0.2.100/24"}, `peers = ["192.0.2.66"]`),
			"192.0.2.1", "192.0.2.66",
			[]byte{0x31, 51, 150, 1, 0, 20, 0, 0, 192, 0, 2, 100},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			// A second address: the first one is the source (T1).
			n := newNode(t, l, "lb1", "192.0.2.1/24", "192.0.2.200/24", "2001:db8::1/64")
			s := newStranger(t, l, n)
			dst, src := netip.MustParseAddr(tt.dst), s.targetLocal
			began := time.Now()
			n.run(tt.config)
			if tt.src != "" {
				src = netip.MustParseAddr(tt.src)
			}
			first := s.next(dst.Is6(), 51, began)
			want := packet{
				srcMAC: s.port.MAC(), dstMAC: multicastMAC(dst), src: src, dst: dst,
				tos: 0xc0, ttl: 255, protocol: 112, payload: bytes.Clone(tt.payload),
			}
			if !dst.IsMulticast() {
				want.dstMAC = s.mac
			}
			sum := advertSum(first.payload, src, dst)
			if sum != 0xffff {
				t.Errorf("the checksum does not fit: the sum is %#04x", sum)
			}
			copy(want.payload[6:8], first.payload[6:8])
			if diff := cmp.Diff(want, first.packet, cmp.AllowUnexported(packet{}), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
				t.Errorf("the first advert (-want +got):\n%s", diff)
			}
			s.checkAnnouncements(first, tt.payload)
			n.stop()
		})
	}
}

func concat(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// checkAnnouncements wants an announcement of each address in the advert, after
// the advert and in its form.
func (s *stranger) checkAnnouncements(first seen, payload []byte) {
	s.t.Helper()
	for _, vip := range addressesIn(payload, first.src.Is6()) {
		find, form := s.findARP, checkARP
		if vip.Is6() {
			find, form = s.findNA, checkNA
		}
		var f lab.Frame
		eventually(s.t, patience, fmt.Sprintf("%v is announced", vip), func() bool {
			var ok bool
			f, ok = find(vip)
			return ok
		})
		if f.Time.Before(first.at) {
			s.t.Errorf("%v was announced %v before the first advert", vip, first.at.Sub(f.Time))
		}
		s.t.Logf("measured: %v announced %v after the first advert", vip, f.Time.Sub(first.at))
		form(s.t, f.Data, s.port.MAC(), vip, first.src)
	}
}

func addressesIn(payload []byte, six bool) (list []netip.Addr) {
	size := 4
	if six {
		size = 16
	}
	for n := range int(payload[3]) {
		a, _ := netip.AddrFromSlice(payload[8+n*size : 8+(n+1)*size])
		list = append(list, a)
	}
	return list
}

// findARP finds the first ARP packet of the target about its own address.
func (s *stranger) findARP(vip netip.Addr) (lab.Frame, bool) {
	for _, f := range s.wire.Frames() {
		d := f.Data
		if !f.Outgoing && len(d) >= 42 && binary.BigEndian.Uint16(d[12:]) == etherARP && bytes.Equal(d[28:32], vip.AsSlice()) {
			return f, true
		}
	}
	return lab.Frame{}, false
}

// findNA finds the first neighbour advertisement of the target about an address.
func (s *stranger) findNA(vip netip.Addr) (lab.Frame, bool) {
	for _, f := range s.wire.Frames() {
		p, ok := readPacket(f.Data)
		if ok && !f.Outgoing && p.protocol == 58 && len(p.payload) >= 24 && p.payload[0] == 136 && bytes.Equal(p.payload[8:24], vip.AsSlice()) {
			return f, true
		}
	}
	return lab.Frame{}, false
}

// checkARP holds a gratuitous ARP against RFC 9568 section 6.4.1 with errata
// 7947 and 7949.
func checkARP(t *testing.T, frame []byte, mac net.HardwareAddr, vip, _ netip.Addr) {
	t.Helper()
	want := concat(
		[]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, mac, []byte{8, 6},
		[]byte{0, 1, 8, 0, 6, 4, 0, 1}, // Ethernet, IPv4, request
		mac, vip.AsSlice(), mac, vip.AsSlice(),
	)
	if got := frame[:min(len(frame), len(want))]; !bytes.Equal(got, want) {
		t.Errorf("gratuitous ARP for %v:\n got % x\nwant % x", vip, got, want)
	}
}

// checkNA holds an unsolicited neighbour advertisement against RFC 9568 section
// 6.4.1 and RFC 4861 section 7.2.6.
func checkNA(t *testing.T, frame []byte, mac net.HardwareAddr, vip, source netip.Addr) {
	t.Helper()
	p, _ := readPacket(frame)
	if vip.IsLinkLocalUnicast() {
		source = vip // the address speaks for itself
	}
	all := netip.MustParseAddr("ff02::1")
	if p.dst != all || p.ttl != 255 || p.src != source || !bytes.Equal(p.dstMAC, multicastMAC(all)) {
		t.Errorf("neighbour advertisement for %v from %v to %v (%v), hop limit %d", vip, p.src, p.dst, p.dstMAC, p.ttl)
	}
	m := p.payload
	want := concat([]byte{136, 0, m[2], m[3], 0xa0, 0, 0, 0}, vip.AsSlice(), []byte{2, 1}, mac) // flags R and O
	if !bytes.Equal(m, want) {
		t.Errorf("neighbour advertisement for %v:\n got % x\nwant % x", vip, m, want)
	}
	pseudo := binary.BigEndian.AppendUint32(nil, uint32(len(m)))
	if sum := onesSum(p.src.AsSlice(), p.dst.AsSlice(), pseudo, []byte{0, 0, 0, 58}, m); sum != 0xffff {
		t.Errorf("neighbour advertisement for %v: the checksum does not fit", vip)
	}
}

// TestBackupIsSilent asks for the VIPs by ARP and neighbour solicitation: a
// backup does not answer (RFC 9568 section 6.4.2), a master does.
func TestBackupIsSilent(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	n := newNode(t, l, "lb1", "192.0.2.1/24", "2001:db8::1/64")
	s := newStranger(t, l, n)
	n.run(instanceTOML(150, "1s", []string{"192.0.2.100/24", "fe80::51", "2001:db8::100/64"}))
	silent := func() bool {
		_, arp := s.findARP(vip51)
		_, na := s.findNA(vipV6)
		return !arp && !na && len(s.adverts(false, 51, time.Time{})) == 0 && len(s.adverts(true, 51, time.Time{})) == 0
	}
	// It listens for more than 3 s before it takes anything.
	during(t, 2*time.Second, "a backup says nothing", func() bool {
		s.ask()
		time.Sleep(50 * time.Millisecond)
		return silent()
	})
	eventually(t, patience, "it is master", func() bool { return n.has("192.0.2.100") && n.has("2001:db8::100") })
	began := time.Now()
	s.ask()
	eventually(t, patience, "a master answers both", func() bool {
		s.ask()
		return s.answers(began) == 2
	})
	n.stop()
	quiet := time.Now()
	during(t, 500*time.Millisecond, "a stopped node says nothing", func() bool {
		s.ask()
		time.Sleep(50 * time.Millisecond)
		return s.answers(quiet) == 0
	})
}

// ask asks who has the IPv4 VIP and the global IPv6 VIP.
func (s *stranger) ask() {
	s.t.Helper()
	arp := concat(
		[]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, s.mac, []byte{8, 6}, []byte{0, 1, 8, 0, 6, 4, 0, 1},
		s.mac, s.ip.AsSlice(), make([]byte, 6), vip51.AsSlice(),
	)
	s.inject(arp)
	v := vipV6.As16()
	group := netip.AddrFrom16([16]byte{0: 0xff, 1: 2, 11: 1, 12: 0xff, 13: v[13], 14: v[14], 15: v[15]})
	m := concat([]byte{135, 0, 0, 0, 0, 0, 0, 0}, v[:], []byte{1, 1}, s.mac)
	pseudo := binary.BigEndian.AppendUint32(nil, uint32(len(m)))
	binary.BigEndian.PutUint16(m[2:], ^onesSum(s.local.AsSlice(), group.AsSlice(), pseudo, []byte{0, 0, 0, 58}, m))
	s.send(packet{src: s.local, dst: group, ttl: 255, protocol: 58, payload: m})
}

// answers counts by how many of the two protocols a question was answered.
func (s *stranger) answers(since time.Time) (protocols int) {
	arp, na := false, false
	for _, f := range s.wire.Frames() {
		d := f.Data
		if f.Outgoing || !f.Time.After(since) {
			continue
		}
		if len(d) >= 42 && binary.BigEndian.Uint16(d[12:]) == etherARP && d[21] == 2 && bytes.Equal(d[28:32], vip51.AsSlice()) && bytes.Equal(d[:6], s.mac) {
			arp = true
		}
		p, ok := readPacket(d)
		if ok && p.protocol == 58 && p.payload[0] == 136 && p.payload[4]&0x40 != 0 && bytes.Equal(p.payload[8:24], vipV6.AsSlice()) {
			na = true // the solicited flag is set
		}
	}
	for _, answered := range []bool{arp, na} {
		if answered {
			protocols++
		}
	}
	return protocols
}
