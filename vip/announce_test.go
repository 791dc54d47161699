package vip

import (
	"bytes"
	"encoding/hex"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mdlayher/ndp"
)

var testMAC = net.HardwareAddr{0x02, 0x42, 0xc0, 0x00, 0x02, 0x01}

// unhex reads hex digits in groups, as people write frames.
func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAppendGratuitousARP(t *testing.T) {
	const padding = "000000000000000000000000000000000000"
	tests := []struct {
		name string
		form ARPForm
		want string
	}{
		{
			name: "request", form: ARPRequest,
			want: `ffffffffffff 0242c0000201 0806
				0001 0800 06 04 0001 0242c0000201 c0000264 0242c0000201 c0000264` + padding,
		},
		{
			name: "reply", form: ARPReply,
			want: `ffffffffffff 0242c0000201 0806
				0001 0800 06 04 0002 0242c0000201 c0000264 0242c0000201 c0000264` + padding,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := AppendGratuitousARP([]byte("before"), tt.form, testMAC, netip.MustParseAddr("192.0.2.100"))
			if err != nil {
				t.Fatal(err)
			}
			want := append([]byte("before"), unhex(t, tt.want)...)
			if diff := cmp.Diff(hex.Dump(want), hex.Dump(got)); diff != "" {
				t.Errorf("frame (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAppendGratuitousARPErrors(t *testing.T) {
	tests := []struct {
		name string
		form ARPForm
		mac  net.HardwareAddr
		ip   string
		want string
	}{
		{"both is two frames", ARPBoth, testMAC, "192.0.2.100", "arp form both is not one frame"},
		{"ipv6", ARPRequest, testMAC, "2001:db8::1", "gratuitous arp for 2001:db8::1"},
		{"no mac", ARPRequest, nil, "192.0.2.100", "gratuitous arp for 192.0.2.100"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := AppendGratuitousARP([]byte("before"), tt.form, tt.mac, netip.MustParseAddr(tt.ip))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
			if string(got) != "before" {
				t.Errorf("result %q, want what was there before", got)
			}
		})
	}
}

func TestAppendUnsolicitedNA(t *testing.T) {
	tests := []struct {
		name           string
		target, source string
		router         bool
		want           string
	}{
		{
			name: "router", target: "2001:db8::100", source: "fe80::1", router: true,
			want: `333300000001 0242c0000201 86dd
				60000000 0020 3a ff fe800000000000000000000000000001 ff020000000000000000000000000001
				88 00 CCCC a0000000 20010db8000000000000000000000100
				02 01 0242c0000201`,
		},
		{
			name: "host", target: "fe80::100", source: "fe80::100", router: false,
			want: `333300000001 0242c0000201 86dd
				60000000 0020 3a ff fe800000000000000000000000000100 ff020000000000000000000000000001
				88 00 CCCC 20000000 fe800000000000000000000000000100
				02 01 0242c0000201`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := AppendUnsolicitedNA([]byte("before"), testMAC, netip.MustParseAddr(tt.target), netip.MustParseAddr(tt.source), tt.router)
			if err != nil {
				t.Fatal(err)
			}
			frame, ok := bytes.CutPrefix(got, []byte("before"))
			if !ok {
				t.Fatalf("what was there before is gone: %x", got)
			}
			if sum := icmpSum(frame); sum != 0xffff {
				t.Errorf("the words and the checksum add up to %#04x, want 0xffff", sum)
			}
			want := unhex(t, strings.Replace(tt.want, "CCCC", hex.EncodeToString(frame[56:58]), 1))
			if diff := cmp.Diff(hex.Dump(want), hex.Dump(frame)); diff != "" {
				t.Errorf("frame (-want +got):\n%s", diff)
			}
		})
	}
}

// icmpSum adds up the pseudo-header and the message of a frame (RFC 4443
// section 2.3, RFC 8200 section 8.1).
func icmpSum(frame []byte) uint16 {
	packet := frame[14:]
	message := packet[ipv6HeaderLen:]
	sum := uint32(len(message)) + nextHeaderICMPv6
	for _, part := range [][]byte{packet[8:40], message} {
		for i := 0; i < len(part); i += 2 {
			sum += uint32(part[i])<<8 | uint32(part[i+1])
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}

func TestAppendUnsolicitedNAErrors(t *testing.T) {
	v4, v6 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	if b, err := AppendUnsolicitedNA(nil, testMAC, v4, v6, true); err == nil {
		t.Errorf("an advertisement for an IPv4 address: %x", b)
	}
	if b, err := AppendUnsolicitedNA(nil, testMAC, v6, v4, true); err == nil {
		t.Errorf("an advertisement from an IPv4 address: %x", b)
	}
}

func TestAnnouncerFrames(t *testing.T) {
	linkLocal := netip.MustParseAddr("fe80::1")
	tests := []struct {
		name  string
		a     announcer
		addrs []string
		want  []string // one a frame
	}{
		{
			name: "both forms", a: announcer{mac: testMAC, form: ARPBoth}, addrs: []string{"192.0.2.1", "192.0.2.2"},
			want: []string{"arp 1 192.0.2.1", "arp 2 192.0.2.1", "arp 1 192.0.2.2", "arp 2 192.0.2.2"},
		},
		{
			name: "families mixed", a: announcer{mac: testMAC, linkLocal: linkLocal}, addrs: []string{"192.0.2.1", "2001:db8::1"},
			want: []string{"arp 1 192.0.2.1", "na 2001:db8::1 from fe80::1"},
		},
		{
			name: "link-local address speaks for itself", a: announcer{mac: testMAC, linkLocal: linkLocal}, addrs: []string{"fe80::100"},
			want: []string{"na fe80::100 from fe80::100"},
		},
		{
			name: "no link-local address", a: announcer{mac: testMAC}, addrs: []string{"2001:db8::1"},
			want: []string{"na 2001:db8::1 from 2001:db8::1"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var addrs []netip.Addr
			for _, a := range tt.addrs {
				addrs = append(addrs, netip.MustParseAddr(a))
			}
			frames, err := tt.a.frames(addrs)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range frames {
				got = append(got, describe(t, f))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("frames (-want +got):\n%s", diff)
			}
		})
	}
}

// Each frame is what it would be by itself.
func TestAnnouncerFramesAlike(t *testing.T) {
	a := announcer{mac: testMAC, form: ARPBoth}
	addrs := []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("10.254.3.4")}
	frames, err := a.frames(addrs)
	if err != nil || len(frames) != 4 {
		t.Fatalf("%d frames: %v", len(frames), err)
	}
	for i, f := range frames {
		want, err := AppendGratuitousARP(nil, a.form.each()[i%2], testMAC, addrs[i/2])
		if err != nil || !bytes.Equal(f, want) {
			t.Errorf("frame %d is %x, want %x (%v)", i, f, want, err)
		}
	}
}

// describe says in words what a frame announces.
func describe(t *testing.T, frame []byte) string {
	t.Helper()
	switch {
	case len(frame) >= 42 && frame[12] == 0x08 && frame[13] == 0x06:
		ip, _ := netip.AddrFromSlice(frame[28:32])
		return "arp " + string('0'+rune(frame[21])) + " " + ip.String()
	case len(frame) >= 54 && frame[12] == 0x86 && frame[13] == 0xdd && frame[20] == nextHeaderICMPv6:
		source, _ := netip.AddrFromSlice(frame[22:38])
		m, err := ndp.ParseMessage(frame[54:])
		if err != nil {
			return "icmp6 " + err.Error()
		}
		na, ok := m.(*ndp.NeighborAdvertisement)
		if !ok {
			return "icmp6 " + m.Type().String()
		}
		return "na " + na.TargetAddress.String() + " from " + source.String()
	}
	return "other"
}

func TestConfigValidate(t *testing.T) {
	tests := []struct {
		name string
		c    Config
		want string
	}{
		{"request", Config{Name: "web"}, ""},
		{"both", Config{Name: "web", ARP: ARPBoth}, ""},
		{"no name", Config{}, "name is missing"},
		{"no such form", Config{Name: "web", ARP: 3}, "arp form 3 must be request, reply or both"},
		{"everything at once", Config{ARP: 9}, "name is missing\narp form 9 must be request, reply or both"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			if err := tt.c.Validate(); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("error %q, want %q", got, tt.want)
			}
		})
	}
}

func TestAddressString(t *testing.T) {
	tests := []struct {
		a    Address
		want string
	}{
		{Address{Prefix: netip.MustParsePrefix("192.0.2.100/24")}, "192.0.2.100/24 proto 72"},
		{Address{Prefix: netip.MustParsePrefix("192.0.2.100/32"), ValidLifetime: 2e9}, "192.0.2.100/32 valid_lft 2 preferred_lft 2 proto 72"},
		{Address{Prefix: netip.MustParsePrefix("2001:db8::1/64")}, "2001:db8::1/64 nodad proto 72"},
		{Address{Prefix: netip.MustParsePrefix("2001:db8::1/128")}, "2001:db8::1/128 nodad noprefixroute preferred_lft 0 proto 72"},
		{Address{Prefix: netip.MustParsePrefix("2001:db8::1/128"), ValidLifetime: 3e9}, "2001:db8::1/128 nodad valid_lft 3 noprefixroute preferred_lft 0 proto 72"},
	}
	for _, tt := range tests {
		if got := tt.a.String(); got != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
	}
}
