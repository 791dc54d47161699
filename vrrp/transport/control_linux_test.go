package transport

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestPutSource(t *testing.T) {
	src4, src6 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("fe80::1")
	tests := []struct {
		name string
		put  func(*control) int
		want []byte
	}{
		{
			"IPv4 source",
			func(c *control) int { return c.putSource4(src4, 7) },
			unix.PktInfo4(&unix.Inet4Pktinfo{Ifindex: 7, Spec_dst: src4.As4()}),
		}, {
			"IPv4 without source",
			func(c *control) int { return c.putSource4(netip.Addr{}, 7) },
			unix.PktInfo4(&unix.Inet4Pktinfo{Ifindex: 7}),
		}, {
			"IPv6 source",
			func(c *control) int { return c.putSource6(src6, 0x01020304) },
			unix.PktInfo6(&unix.Inet6Pktinfo{Ifindex: 0x01020304, Addr: src6.As16()}),
		}, {
			"IPv6 without source",
			func(c *control) int { return c.putSource6(netip.Addr{}, 7) },
			unix.PktInfo6(&unix.Inet6Pktinfo{Ifindex: 7}),
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var c control
			for i := range c {
				c[i] = ^uint64(0) // what the last packet left must not show
			}
			n := tt.put(&c)
			if got := c.bytes()[:n]; !bytes.Equal(got, tt.want) {
				t.Errorf("got  %x\nwant %x", got, tt.want)
			}
		})
	}
}

func TestParseControl(t *testing.T) {
	group := netip.MustParseAddr("ff02::12")
	info4 := unix.PktInfo4(&unix.Inet4Pktinfo{Ifindex: 7})
	info6 := unix.PktInfo6(&unix.Inet6Pktinfo{Ifindex: 9, Addr: group.As16()})
	hops := message(unix.IPPROTO_IPV6, unix.IPV6_HOPLIMIT, binary.NativeEndian.AppendUint32(nil, 255))
	other := message(unix.SOL_SOCKET, unix.SO_TIMESTAMP, make([]byte, 16))
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

	tests := []struct {
		name string
		data []byte
		want arrival
	}{
		{"nothing", nil, arrival{}},
		{"IPv4", info4, arrival{ifindex: 7}},
		{"IPv6", join(info6, hops), arrival{ifindex: 9, dst: group, hopLimit: 255}},
		{"IPv6, other order", join(hops, info6), arrival{ifindex: 9, dst: group, hopLimit: 255}},
		{"between others", join(other, info4, other), arrival{ifindex: 7}},
		{"cut in the header", info4[:8], arrival{}},
		{"cut in the data", info6[:24], arrival{}},
		{"second cut", join(info6, hops[:8]), arrival{ifindex: 9, dst: group}},
		{"message too short for its kind", message(unix.IPPROTO_IP, unix.IP_PKTINFO, make([]byte, 4)), arrival{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := parseControl(tt.data)
			if diff := cmp.Diff(tt.want, got, addrs, cmp.AllowUnexported(arrival{})); diff != "" {
				t.Errorf("arrival (-want +got):\n%s", diff)
			}
		})
	}
}

// message makes one control message.
func message(level, kind int32, data []byte) []byte {
	b := make([]byte, unix.CmsgSpace(len(data)))
	h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
	h.Level, h.Type = level, kind
	h.SetLen(unix.CmsgLen(len(data)))
	copy(b[unix.CmsgLen(0):], data)
	return b
}
