package sniff

import (
	"bytes"
	"encoding/binary"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// captures are the files in testdata, built here byte by byte. They are also
// what the tests of the program read.
func captures() map[string][]byte {
	return map[string][]byte{
		"failover.pcap":      asPcap(failover(), binary.LittleEndian, 0xa1b2c3d4, LinkEthernet),
		"faults.pcap":        asPcap(allFaults(), binary.BigEndian, 0xa1b23c4d, LinkEthernet),
		"twomasters.pcapng":  asPcapng(twoMasters()),
		"announcements.pcap": asPcap(cooked(announcements()), binary.LittleEndian, 0xa1b23c4d, LinkCooked2),
		"version2.pcap":      asPcap(versionTwo(), binary.LittleEndian, 0xa1b2c3d4, LinkEthernet),
	}
}

// failover is a pair: lb1 dies, lb2 takes over, lb1 returns, and hands over on
// purpose.
func failover() []Frame {
	a := send(lb1, good(lb1, 51, 150, second, vip), false)
	b := send(lb2, good(lb2, 51, 100, second, vip), false)
	quick := send(lb1, good(lb1, 51, 150, 10*time.Millisecond, vip), false)
	release := send(lb1, good(lb1, 51, vrrp.PriorityRelease, second, vip), false)
	r := newRecorded("")
	r.add(a).repeat(4, second, a)
	r.wait(3609*time.Millisecond).add(b).repeat(3, second, b)
	r.wait(300*time.Millisecond).add(a).repeat(2, second, a).wait(2*second).add(a).repeat(2, second, a)
	r.wait(400 * time.Millisecond).add(quick).wait(100 * time.Microsecond).add(release)
	r.wait(6*time.Millisecond).add(b).repeat(3, second, b)
	return r.frames
}

// twoMasters is a pair that does not agree on the checksum, on a VLAN, and one
// in IPv6 that hears nothing.
func twoMasters() []Frame {
	tagged := func(d *datagram) { d.vlans = []uint16{10} }
	a := send(lb1, good(lb1, 51, 150, second, vip), true, tagged)
	b := send(lb2, good(lb2, 51, 100, second, vip), false, tagged)
	c := send(lb1v6, good(lb1v6, 51, 100, second, local6, vip6), false)
	d := send(lb2v6, good(lb2v6, 51, 100, second, local6, vip6), false)
	r := newRecorded("eth0")
	for range 4 {
		r.wait(500 * time.Millisecond).add(a).add(c).wait(500 * time.Millisecond).add(b).add(d)
	}
	r.wait(500 * time.Millisecond).add(a).add(c)
	return r.repeat(4, second, a).frames
}

// versionTwo has passwords that differ, another interval, and a CARP router.
func versionTwo() []Frame {
	a := send(lb1, v2(good(lb1, 51, 150, second, vip), "secret"), false)
	b := send(lb2, v2(good(lb2, 51, 100, second, vip), "Secret"), false)
	r := newRecorded("").add(a)
	r.wait(300 * time.Millisecond).add(b).wait(700 * time.Millisecond).add(a).wait(300 * time.Millisecond).add(b)
	r.wait(100 * time.Millisecond).add(send(ip("192.0.2.3"), v2(good(lb1, 51, 120, 2*second, vip), ""), false))
	r.wait(100 * time.Millisecond).add(carp(ip("192.0.2.9"), 51))
	return r.frames
}

// carp is an advertisement of CARP.
func carp(src netip.Addr, vhid byte) *datagram {
	b := append([]byte{0x21, vhid, 0, 7, 0, 1, 0, 0}, bytes.Repeat([]byte{0xa5}, 28)...)
	d := &datagram{from: virtualMAC(false, vhid), to: groupMAC(group4), src: src, dst: group4, ttl: 255, protocol: 112, payload: b}
	reseal(d)
	return d
}

// announcements is a failover with all that hosts are told about addresses.
func announcements() []Frame {
	a := send(lb1, good(lb1, 51, 150, second, vip, ip("192.0.2.101")), false)
	b := send(lb2, good(lb2, 51, 100, second, vip, ip("192.0.2.101")), false)
	c := send(lb2v6, good(lb2v6, 51, 100, second, local6, vip6), false)
	r := newRecorded("").add(a)
	r.wait(time.Millisecond).raw(gratuitous(macOf(lb1), vip, 1)).raw(gratuitous(macOf(lb1), ip("192.0.2.7"), 1))
	r.add(c).raw(neighbour(macOf(lb2v6), lb2v6, vip6, allNodes, 0xa0)).raw(neighbour(macOf(lb2v6), lb2v6, vip6, ip("fe80::9"), 0xe0))
	r.repeat(2, second, a)
	r.wait(3609 * time.Millisecond).add(b).raw(gratuitous(macOf(lb2), vip, 2))
	r.wait(second).raw(gratuitous(macOf(lb1), vip, 1)).add(b)
	r.raw(arpFrame(macOf(lb2), vip, ip("192.0.2.9"), 2))
	r.raw(arpFrame(MAC{2, 0, 0, 0, 0, 9}, ip("0.0.0.0"), vip, 1))
	return r.repeat(2, second, b).frames
}

// asPcap writes a file of the classic format.
func asPcap(frames []Frame, order binary.AppendByteOrder, magic uint32, link Link) []byte {
	tick := time.Microsecond
	if magic == 0xa1b23c4d {
		tick = time.Nanosecond
	}
	b := order.AppendUint32(nil, magic)
	b = order.AppendUint16(order.AppendUint16(b, 2), 4)
	b = order.AppendUint32(order.AppendUint32(b, 0), 0)
	b = order.AppendUint32(order.AppendUint32(b, 65535), uint32(link))
	for _, f := range frames {
		b = order.AppendUint32(b, uint32(f.Time.Unix()))
		b = order.AppendUint32(b, uint32(time.Duration(f.Time.Nanosecond())/tick))
		b = order.AppendUint32(order.AppendUint32(b, uint32(len(f.Data))), uint32(f.Length))
		b = append(b, f.Data...)
	}
	return b
}

// asPcapng writes a file of the newer format, with nanoseconds and a block that
// nobody knows.
func asPcapng(frames []Frame) []byte {
	order := binary.LittleEndian
	block := func(b []byte, kind uint32, body []byte) []byte {
		for len(body)%4 != 0 {
			body = append(body, 0)
		}
		size := uint32(12 + len(body))
		b = order.AppendUint32(order.AppendUint32(b, kind), size)
		return order.AppendUint32(append(b, body...), size)
	}
	head := order.AppendUint16(order.AppendUint16(order.AppendUint32(nil, byteOrderMagic), 1), 0)
	b := block(nil, blockSection, order.AppendUint64(head, 1<<64-1))
	iface := order.AppendUint32(order.AppendUint16(order.AppendUint16(nil, uint16(LinkEthernet)), 0), 0)
	iface = append(order.AppendUint16(order.AppendUint16(iface, optName), 4), "eth0"...)
	iface = append(order.AppendUint16(order.AppendUint16(iface, optTick), 1), 9, 0, 0, 0)
	iface = append(iface, 0, 0, 0, 0)
	b = block(b, blockInterface, iface)
	b = block(b, 0x0bad, []byte("nobody knows this"))
	for _, f := range frames {
		stamp := uint64(f.Time.UnixNano())
		p := order.AppendUint32(order.AppendUint32(order.AppendUint32(nil, 0), uint32(stamp>>32)), uint32(stamp))
		p = order.AppendUint32(order.AppendUint32(p, uint32(len(f.Data))), uint32(f.Length))
		b = block(b, blockPacket, append(p, f.Data...))
	}
	return b
}

// cooked makes Linux cooked frames of Ethernet ones.
func cooked(frames []Frame) (list []Frame) {
	for _, f := range frames {
		b := append([]byte{f.Data[12], f.Data[13], 0, 0, 0, 0, 0, 2, 0, 1, cookedMulticast, 6}, f.Data[6:12]...)
		if MAC(f.Data[:6]) == everybody {
			b[10] = cookedBroadcast
		}
		b = append(append(b, 0, 0), f.Data[14:]...)
		list = append(list, Frame{Time: f.Time, Link: LinkCooked2, Data: b, Length: len(b)})
	}
	return list
}

// play reads a capture as the program does.
func play(t *testing.T, file io.Reader, s *Session) error {
	t.Helper()
	f, err := NewFile(file)
	if err != nil {
		return err
	}
	for {
		frame, err := f.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := s.Frame(frame); err != nil {
			t.Fatal(err)
		}
	}
}

// TestGolden holds the captures and what is said of them against testdata;
// UPDATE_GOLDEN=1 writes both anew.
func TestGolden(t *testing.T) {
	for name, capture := range captures() {
		t.Run(name, func(t *testing.T) {
			golden(t, name, capture)
			for _, out := range []struct {
				name    string
				printer func(w io.Writer) Printer
			}{
				{"wide.txt", func(w io.Writer) Printer { return &Text{W: w, Location: time.UTC} }},
				{"80.txt", func(w io.Writer) Printer { return &Text{W: w, Width: 80, Location: time.UTC} }},
				{"json", func(w io.Writer) Printer { return &JSON{W: w} }},
			} {
				var got bytes.Buffer
				s := &Session{Watch: NewWatch(), Printer: out.printer(&got), Announcements: true}
				s.Watch.WantAnnouncements = name == "announcements.pcap"
				if err := play(t, bytes.NewReader(capture), s); err != nil {
					t.Fatal(err)
				}
				if err := s.Printer.Summary(s.Watch.Summary()); err != nil {
					t.Fatal(err)
				}
				golden(t, name+"."+out.name, got.Bytes())
			}
		})
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}
