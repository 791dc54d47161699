package transport

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// fill plays the kernel for packet i of a receiving IPv6 socket.
func (b *batch) fill(i, ifindex int, dst []Packet, payload string) {
	info := unix.PktInfo6(&unix.Inet6Pktinfo{Ifindex: uint32(ifindex), Addr: vrrp.GroupIPv6.As16()})
	b.slots[i].name.Addr = a6.As16()
	b.headers[i].Hdr.SetControllen(copy(b.slots[i].control.bytes(), info))
	b.headers[i].Len = uint32(copy(dst[i].Payload[:cap(dst[i].Payload)], payload))
}

func TestCollect(t *testing.T) {
	const ours, other = 7, 8
	tests := []struct {
		name      string
		arrivedOn []int
		want      []string
	}{
		{"all ours", []int{ours, ours, ours}, []string{"0", "1", "2"}},
		{"first foreign", []int{other, ours, ours}, []string{"1", "2"}},
		{"middle foreign", []int{ours, other, ours}, []string{"0", "2"}},
		{"last foreign", []int{ours, ours, other}, []string{"0", "1"}},
		{"none ours", []int{other, other, other}, nil},
		{"unknown interface", []int{0, ours, 0}, []string{"1"}},
		{"nothing", nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &socket{family: vrrp.IPv6, ifindex: ours}
			dst := make([]Packet, len(tt.arrivedOn))
			in := &batch{}
			in.prepareReceive(dst, s.family)
			for i, index := range tt.arrivedOn {
				in.fill(i, index, dst, fmt.Sprint(i))
			}
			var got []string
			for _, p := range dst[:s.collect(in, dst)] {
				got = append(got, string(p.Payload))
				if p.Interface != ours || p.Source != a6 || p.Destination != vrrp.GroupIPv6 {
					t.Errorf("packet %+v is not as it arrived", p)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("kept (-want +got):\n%s", diff)
			}
			buffers := map[*byte]bool{}
			for _, p := range dst {
				buffers[&p.Payload[:1][0]] = true
				if cap(p.Payload) < payloadLen {
					t.Errorf("a buffer shrank to %d bytes", cap(p.Payload))
				}
			}
			if len(buffers) != len(dst) {
				t.Errorf("%d packets share %d buffers", len(dst), len(buffers))
			}
		})
	}
}

// A socket is small: what it reads and writes with, 15 KB for 64 packets, is its
// network's.
func TestSocketIsSmall(t *testing.T) {
	if size := unsafe.Sizeof(socket{}); size > 256 {
		t.Errorf("a socket takes %d bytes, want at most 256", size)
	}
}

func TestPrepareReceiveKeepsLargeBuffers(t *testing.T) {
	large := make([]byte, 3, 2*payloadLen)
	dst := []Packet{{Payload: large}, {Payload: make([]byte, 10)}, {}}
	new(batch).prepareReceive(dst, vrrp.IPv4)
	if &dst[0].Payload[0] != &large[0] {
		t.Error("a buffer that is large enough was replaced")
	}
	for i, p := range dst {
		if cap(p.Payload) < payloadLen {
			t.Errorf("packet %d has a buffer of %d bytes, want at least %d", i, cap(p.Payload), payloadLen)
		}
	}
}

func TestSendable(t *testing.T) {
	mapped := netip.MustParseAddr("::ffff:192.0.2.1")
	tests := []struct {
		name   string
		p      Packet
		family vrrp.Family
		want   string
	}{
		{"IPv4", Packet{Source: a4, Destination: b4}, vrrp.IPv4, ""},
		{"IPv6", Packet{Source: a6, Destination: b6, Interface: 7}, vrrp.IPv6, ""},
		{"no source", Packet{Destination: b6}, vrrp.IPv6, ""},
		{"other interface", Packet{Destination: b4, Interface: 8}, vrrp.IPv4, "packet for interface 8 given to the socket of interface 7"},
		{"no destination", Packet{}, vrrp.IPv4, "destination invalid IP is not an ipv4 address"},
		{"IPv6 destination", Packet{Destination: b6}, vrrp.IPv4, "destination fe80::2 is not an ipv4 address"},
		{"IPv4 destination", Packet{Destination: b4}, vrrp.IPv6, "destination 192.0.2.2 is not an ipv6 address"},
		{"mapped destination", Packet{Destination: mapped}, vrrp.IPv6, "destination ::ffff:192.0.2.1 is not an ipv6 address"},
		{"IPv6 source", Packet{Source: a6, Destination: b4}, vrrp.IPv4, "source fe80::1 is not an ipv4 address"},
		{"mapped source", Packet{Source: mapped, Destination: b6}, vrrp.IPv6, "source ::ffff:192.0.2.1 is not an ipv6 address"},
		{"multicast source", Packet{Source: vrrp.GroupIPv6, Destination: b6}, vrrp.IPv6, "source ff02::12 is a multicast address"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			if err := sendable(&tt.p, tt.family, 7); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// batchLen is the batch of the measurements: as many routers as a large node has.
const batchLen = 100

// traffic is a sender, a receiver, and a batch to send again and again.
func traffic(t testing.TB, f vrrp.Family) (from, to Conn, ps []Packet) {
	t.Helper()
	a, b := newPair(t)
	p := Packet{Source: a4, Destination: vrrp.GroupIPv4, Payload: make([]byte, 12)}
	if f == vrrp.IPv6 {
		p = Packet{Source: a6, Destination: vrrp.GroupIPv6, Payload: make([]byte, 24)}
	}
	return a.listen(t, f), b.listen(t, f), slices.Repeat([]Packet{p}, batchLen)
}

// exchange sends ps and reads them into dst.
func exchange(t testing.TB, from, to Conn, ps, dst []Packet) {
	if n, err := from.WriteBatch(ps); n != len(ps) || err != nil {
		t.Fatalf("WriteBatch = %d, %v", n, err)
	}
	for got := 0; got < len(ps); {
		ready, err := to.(*socket).kernel.Wait(time.Time{}, nil)
		if err != nil || len(ready) != 1 {
			t.Fatal(ready, err)
		}
		n, err := to.ReadBatch(dst)
		if err != nil {
			t.Fatal(err)
		}
		got += n
	}
}

// TestSocketMakesNoGarbage holds the promise of ReadBatch and WriteBatch.
func TestSocketMakesNoGarbage(t *testing.T) {
	for _, f := range []vrrp.Family{vrrp.IPv4, vrrp.IPv6} {
		t.Run(f.String(), func(t *testing.T) {
			from, to, ps := traffic(t, f)
			dst := make([]Packet, batchLen)
			if n := testing.AllocsPerRun(20, func() { exchange(t, from, to, ps, dst) }); n >= 1 {
				t.Errorf("%v allocations to send and receive %d packets, want 0", n, len(ps))
			}
		})
	}
}

func BenchmarkSocketWriteBatch(b *testing.B) {
	for _, f := range []vrrp.Family{vrrp.IPv4, vrrp.IPv6} {
		b.Run(f.String(), func(b *testing.B) {
			from, to, ps := traffic(b, f)
			must(b, to.Close()) // nobody has to read
			b.ReportAllocs()
			for b.Loop() {
				if n, err := from.WriteBatch(ps); n != len(ps) || err != nil {
					b.Fatalf("WriteBatch = %d, %v", n, err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(ps)), "ns/packet")
		})
	}
}

func BenchmarkSocketExchange(b *testing.B) {
	for _, f := range []vrrp.Family{vrrp.IPv4, vrrp.IPv6} {
		b.Run(f.String(), func(b *testing.B) {
			from, to, ps := traffic(b, f)
			dst := make([]Packet, batchLen)
			b.ReportAllocs()
			for b.Loop() {
				exchange(b, from, to, ps, dst)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(ps)), "ns/packet")
		})
	}
}
