package sniff

import (
	"encoding/binary"
	"slices"
	"testing"

	"golang.org/x/net/bpf"
)

// accepts runs the filter as the kernel would on a frame whose link layer is
// off.
func accepts(t *testing.T, code []bpf.Instruction, l *layer2) bool {
	t.Helper()
	code = slices.Clone(code)
	// The virtual machine of package bpf knows no protocol.
	code[0] = bpf.LoadConstant{Dst: bpf.RegA, Val: uint32(l.ether)}
	vm, err := bpf.NewVM(code)
	if err != nil {
		t.Fatal(err)
	}
	n, err := vm.Run(l.payload)
	if err != nil {
		t.Fatal(err)
	}
	return n > 0
}

// The filter lets all through that the decoders look at.
func TestFilterAccepts(t *testing.T) {
	var frames []Frame
	for _, p := range faultyPackets() {
		frames = append(frames, newRecorded("").add(p.d).frames[0])
	}
	frames = append(frames, announcements()...)
	adverts, told := 0, 0
	for n, f := range frames {
		l, ok := f.open()
		if !ok {
			t.Fatalf("frame %d cannot be opened", n)
		}
		_, advert := DecodeAdvert(f)
		_, announcement := DecodeAnnouncement(f)
		if all := accepts(t, filter(true), &l); (advert || announcement) && !all {
			t.Errorf("frame %d is kept back: % x", n, f.Data)
		}
		few := accepts(t, filter(false), &l)
		if advert && !few && !slices.Contains([]byte{protoHopByHop, protoFragment}, l.payload[6]) {
			t.Errorf("frame %d is kept back where announcements are not wanted: % x", n, f.Data)
		}
		if announcement && few {
			t.Errorf("frame %d is let through although announcements are not wanted: % x", n, f.Data)
		}
		if advert {
			adverts++
		}
		if announcement {
			told++
		}
	}
	if adverts == 0 || told == 0 {
		t.Errorf("%d adverts and %d announcements", adverts, told)
	}
}

// Other traffic stays in the kernel.
func TestFilterRejects(t *testing.T) {
	other := func(changes ...change) *layer2 {
		d := three(changes...)
		l := &layer2{ether: etherIPv4, payload: d.network()}
		if d.src.Is6() {
			l.ether = etherIPv6
		}
		return l
	}
	in6 := func(d *datagram) { d.src, d.dst = lb1v6, lb2v6 }
	for _, tt := range []struct {
		name string
		l    *layer2
	}{
		{"tcp", other(func(d *datagram) { d.protocol, d.dst = 6, lb2 })},
		{"udp to another group", other(func(d *datagram) { d.protocol, d.dst = 17, ip("224.0.0.251") })},
		{"membership report", other(func(d *datagram) { d.protocol = protoIGMP })},
		{"udp in IPv6", other(in6, func(d *datagram) { d.protocol = 17 })},
		{"to another group of IPv6", other(in6, func(d *datagram) { d.protocol, d.dst = 17, ip("ff02::fb") })},
		{"neighbour solicitation", other(in6, func(d *datagram) { d.protocol, d.payload = protoICMPv6, []byte{135, 0, 0, 0} })},
		{"lldp", &layer2{ether: 0x88cc, payload: make([]byte, 60)}},
		{"nothing", &layer2{ether: etherIPv4}},
		{"nothing in IPv6", &layer2{ether: etherIPv6}},
	} {
		for _, announcements := range []bool{false, true} {
			if accepts(t, filter(announcements), tt.l) {
				t.Errorf("%s is let through (announcements %v)", tt.name, announcements)
			}
		}
	}
	arp := gratuitous(macOf(lb1), vip, 1)
	if accepts(t, filter(false), &layer2{ether: binary.BigEndian.Uint16(arp[12:]), payload: arp[14:]}) {
		t.Error("ARP is let through although it is not wanted")
	}
}
