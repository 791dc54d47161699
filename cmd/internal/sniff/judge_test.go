package sniff

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// faulty is a packet with one thing wrong, and all that is to be found.
type faulty struct {
	what string
	d    *datagram
	want []Kind
}

func three(changes ...change) *datagram {
	return send(lb1, good(lb1, 51, 150, second, vip), false, changes...)
}

func six(changes ...change) *datagram {
	return send(lb1v6, good(lb1v6, 56, 150, second, local6, vip6), false, changes...)
}

func two(changes ...change) *datagram {
	return send(lb1, v2(good(lb1, 52, 150, second, vip), "secret"), false, changes...)
}

// extended puts a header between that of IPv6 and the message.
func extended(header ...byte) change {
	return func(d *datagram) {
		d.payload = append(append([]byte{d.protocol}, header[1:]...), d.payload...)
		d.protocol = header[0]
	}
}

// inAH puts the message into an authentication header.
func inAH(d *datagram) {
	d.payload = append(append([]byte{d.protocol, 4, 0, 0}, make([]byte, 20)...), d.payload...)
	d.protocol = protoAH
}

func faultyPackets() []faulty {
	ttl := func(n byte) change { return func(d *datagram) { d.ttl = n } }
	to := func(dst netip.Addr, mac MAC) change {
		return func(d *datagram) {
			d.dst, d.to = dst, mac
			reseal(d)
		}
	}
	from := func(src netip.Addr) change {
		return func(d *datagram) {
			d.src = src
			reseal(d)
		}
	}
	list := []faulty{
		{"nothing, version 3", three(), nil},
		{"nothing, IPv6", six(), nil},
		{"nothing, version 2", two(), nil},
		{"nothing, with the pseudo-header", send(lb1, good(lb1, 51, 150, second, vip), true), nil},
		{"nothing, from the virtual MAC", three(func(d *datagram) { d.from = MAC{0, 0, 0x5e, 0, 1, 51} }), nil},
		{"nothing, from the virtual MAC in IPv6", six(func(d *datagram) { d.from = MAC{0, 0, 0x5e, 0, 2, 56} }), nil},
		{"nothing, padded by Ethernet", three(func(d *datagram) { d.padding = 14 }), nil},
		{"nothing, to a unicast peer", three(to(lb2, macOf(lb2))), nil},
		{"nothing, reserved bits", three(set(4, 0xf0)), nil},
		{"nothing, by the owner", send(lb1, good(lb1, 51, 255, second, lb1), false), nil},
		{"nothing, longest list", send(lb1, good(lb1, 51, 150, second, slices.Repeat([]netip.Addr{vip}, 255)...), false), nil},
		{"7 bytes", three(func(d *datagram) { d.payload = d.payload[:7] }), []Kind{KindShort}},
		{"no byte", six(func(d *datagram) { d.payload = nil }), []Kind{KindShort}},
		{"vrid 0", three(set(1, 0)), []Kind{KindVRID}},
		{"version 4", three(set(0, 0x41)), []Kind{KindVersion}},
		{"version 0", six(set(0, 0x01)), []Kind{KindVersion}},
		{"version 2 in IPv6", six(set(0, 0x21)), []Kind{KindLength, KindVersion}},
		{"interval 0", three(set(5, 0)), []Kind{KindIntervalZero}},
		{"interval of reserved bits", three(set(5, 0), set(4, 0xf0)), []Kind{KindIntervalZero}},
		{"interval 0 in version 2", two(set(5, 0)), []Kind{KindIntervalZero}},
		{"global address first", send(lb1v6, good(lb1v6, 56, 150, second, vip6, local6), false), []Kind{KindFirstAddress}},
		{"authentication type 2", two(set(4, 2)), []Kind{KindAuthType}},
		{"ttl of a unicast peer", three(to(lb2, macOf(lb2)), ttl(64)), []Kind{KindTTL}},
		{"another group", three(to(ip("224.0.0.5"), MAC{1, 0, 0x5e, 0, 0, 5})), []Kind{KindDestination}},
		{"another group in IPv6", six(to(ip("ff02::5"), MAC{0x33, 0x33, 0, 0, 0, 5})), []Kind{KindDestination}},
		{"all hosts", three(to(ip("255.255.255.255"), everybody)), []Kind{KindDestination}},
		{"group as unicast frame", three(func(d *datagram) { d.to = macOf(lb2) }), []Kind{KindDestinationMAC}},
		{"from a global address", six(from(ip("2001:db8::1"))), []Kind{KindSource}},
		{"from no address", three(from(ip("0.0.0.0"))), []Kind{KindSource}},
		{"from a virtual address", three(from(vip)), []Kind{KindSource}},
		{"from the MAC of another", three(func(d *datagram) { d.from = MAC{0, 0, 0x5e, 0, 1, 7} }), []Kind{KindSourceMAC}},
		{"from the MAC of the other family", six(func(d *datagram) { d.from = MAC{0, 0, 0x5e, 0, 1, 56} }), []Kind{KindSourceMAC}},
		{"checksum over the pseudo-header of the group", three(func(d *datagram) {
			d.dst, d.to = lb2, macOf(lb2)
			d.payload = send(lb1, good(lb1, 51, 150, second, vip), true).payload
		}), []Kind{KindChecksum}},
		{"checksum of version 2 with the pseudo-header", two(func(d *datagram) {
			b := d.payload
			b[6], b[7] = 0, 0
			sum := ^onesSum(pseudoHeader(d.src, d.dst, 112, len(b)), b)
			b[6], b[7] = byte(sum>>8), byte(sum)
		}), []Kind{KindChecksum}},
		{"checksum without the pseudo-header in IPv6", six(func(d *datagram) {
			b := d.payload
			b[6], b[7] = 0, 0
			sum := ^onesSum(b)
			b[6], b[7] = byte(sum>>8), byte(sum)
		}), []Kind{KindChecksum}},
		{"the data of version 2 in version 3", three(alter(func(b []byte) []byte { return append(b, make([]byte, 8)...) })), []Kind{KindLength}},
		{"an authentication of its own", three(alter(func(b []byte) []byte { return append(b, make([]byte, 40)...) })), []Kind{KindLength}},
		{"version 2 without authentication data", two(alter(func(b []byte) []byte { return b[:len(b)-8] })), []Kind{KindLength}},
		{"a part is missing", three(func(d *datagram) { d.lose = 4 }), []Kind{KindLength}},
		{"the capture cut it", three(func(d *datagram) { d.cut = 14 + 20 + 10 }), []Kind{KindCut}},
		{"the capture cut the header", three(func(d *datagram) { d.cut = 14 + 20 + 4 }), []Kind{KindCut}},
		{"first fragment", three(func(d *datagram) { d.fragment = 0x2000 }), []Kind{KindFragment}},
		{"last fragment", three(func(d *datagram) { d.fragment = 1 }), []Kind{KindFragment}},
		{"protocol 17", three(func(d *datagram) { d.protocol = 17 }), []Kind{KindProtocol}},
		{"in an authentication header", three(inAH), []Kind{KindProtocol}},
		{"in an authentication header, IPv6", six(inAH), []Kind{KindProtocol}},
		{"behind hop-by-hop options", six(extended(0, 0, 1, 4, 0, 0, 0, 0)), nil},
		{"behind a fragment header, whole", six(extended(44, 0, 0, 0, 0, 0, 0, 1)), nil},
		{"behind a fragment header", six(extended(44, 0, 0, 1, 0, 0, 0, 1)), []Kind{KindFragment}},
		{"behind the header of a later fragment", six(extended(44, 0, 0, 8, 0, 0, 0, 1)), []Kind{KindFragment}},
		{"CARP", carp(ip("192.0.2.9"), 51), []Kind{KindCARP}},
		{"everything", three(ttl(1), set(0, 0x52), set(1, 0), set(5, 0), damage(7, 0x40), func(d *datagram) { d.payload[3] = 2 }), []Kind{
			KindChecksum, KindIntervalZero, KindLength, KindTTL, KindType, KindVersion, KindVRID,
		}},
	}
	// What all three formats have in common.
	for _, f := range []struct {
		name string
		good func(...change) *datagram
		size int
	}{{"version 3", three, 4}, {"IPv6", six, 16}, {"version 2", two, 4}} {
		list = append(list, []faulty{
			{"ttl 254, " + f.name, f.good(ttl(254)), []Kind{KindTTL}},
			{"type 0, " + f.name, f.good(alter(func(b []byte) []byte { b[0] &= 0xf0; return b })), []Kind{KindType}},
			{"a bit of the checksum, " + f.name, f.good(damage(7, 1)), []Kind{KindChecksum}},
			{"the priority was changed, " + f.name, f.good(damage(2, 1)), []Kind{KindChecksum}},
			{"no checksum, " + f.name, f.good(func(d *datagram) { d.payload[6], d.payload[7] = 0, 0 }), []Kind{KindChecksum}},
			{"count 255, " + f.name, f.good(set(3, 255)), []Kind{KindLength}},
			{"a byte too many, " + f.name, f.good(alter(func(b []byte) []byte { return append(b, 0) })), []Kind{KindLength}},
			{"no address, " + f.name, f.good(alter(func(b []byte) []byte {
				n := int(b[3])
				b[3] = 0
				return append(b[:8], b[8+n*f.size:]...)
			})), []Kind{KindCount}},
		}...)
	}
	return list
}

func TestFaults(t *testing.T) {
	reached := map[Kind]bool{}
	for _, tt := range faultyPackets() {
		t.Run(tt.what, func(t *testing.T) {
			a, ok := DecodeAdvert(newRecorded("eth0").add(tt.d).frames[0])
			if !ok {
				t.Fatal("it is no advert")
			}
			got := kinds(a.Findings, News)
			for _, k := range got {
				reached[k] = true
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("found (-want +got):\n%s\n%v", diff, a.Findings)
			}
		})
	}
	for _, k := range []Kind{
		KindShort, KindVRID, KindTTL, KindVersion, KindType, KindCount, KindLength, KindChecksum, KindIntervalZero, KindFirstAddress,
		KindDestination, KindAuthType, KindProtocol, KindFragment, KindSource, KindSourceMAC, KindDestinationMAC, KindCARP, KindCut,
	} {
		if !reached[k] {
			t.Errorf("no packet for %s", k)
		}
	}
}

// allFaults puts one packet with each fault into a capture, each of a router of
// its own.
func allFaults() []Frame {
	r := newRecorded("")
	for _, f := range faultyPackets() {
		if len(f.want) > 0 && f.d.src != vip {
			r.wait(10 * time.Millisecond).add(f.d)
		}
	}
	return r.frames
}

// The words are those of the daemon where it has one for the same.
func TestKindsAreTheDaemons(t *testing.T) {
	for kind, reason := range map[Kind]vrrp.DropReason{
		KindShort: vrrp.DropShort, KindVRID: vrrp.DropVRID, KindTTL: vrrp.DropTTL, KindVersion: vrrp.DropVersion, KindType: vrrp.DropType,
		KindCount: vrrp.DropCount, KindLength: vrrp.DropLength, KindChecksum: vrrp.DropChecksum, KindIntervalZero: vrrp.DropIntervalZero,
		KindFirstAddress: vrrp.DropFirstAddress, KindDestination: vrrp.DropDestination, KindAuthType: vrrp.DropAuthType,
	} {
		if string(kind) != reason.String() {
			t.Errorf("%q, the daemon says %q", kind, reason)
		}
	}
}
