package transport

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// read reads n packets, in as many batches as it takes.
func read(t testing.TB, c Conn, n int) []Packet {
	t.Helper()
	ps := make([]Packet, n)
	for got := 0; got < n; {
		k, err := c.ReadBatch(ps[got:])
		if err != nil {
			t.Fatalf("after %d of %d packets: %v", got, n, err)
		}
		if got += k; k == 0 && !readable(t, c, 10*time.Second) {
			t.Fatalf("only %d of %d packets came", got, n)
		}
	}
	return ps
}

// readable waits until something can be read, and reports whether it can.
func readable(t testing.TB, c Conn, most time.Duration) bool {
	t.Helper()
	for end := time.Now().Add(most); ; {
		ready, err := c.(*socket).kernel.Wait(end, nil)
		must(t, err)
		if len(ready) > 0 {
			return true
		}
		if !time.Now().Before(end) {
			return false
		}
	}
}

func TestSocketDelivery(t *testing.T) {
	a, b := newPair(t)
	for _, e := range []struct {
		*end
		n string
	}{{a, "1"}, {b, "2"}} {
		e.addAddress(t, "192.0.2.10"+e.n+"/24")  // secondary
		e.addAddress(t, "198.51.100."+e.n+"/24") // another network
		e.addAddress(t, "fe80::10"+e.n+"/64")
		e.addAddress(t, "2001:db8::"+e.n+"/64")
	}
	type conns struct{ from, to Conn }
	forth := map[vrrp.Family]conns{}
	back := map[vrrp.Family]conns{}
	for _, f := range []vrrp.Family{vrrp.IPv4, vrrp.IPv6} {
		ca, cb := a.listen(t, f), b.listen(t, f)
		forth[f], back[f] = conns{ca, cb}, conns{cb, ca}
	}

	tests := []struct {
		name            string
		conns           map[vrrp.Family]conns
		source, dst     string
		want            string // the source, when none is set
		fromIdx, toIdx  int
		giveInterfaceID bool
	}{
		{"IPv4 multicast, a to b", forth, "192.0.2.1", "224.0.0.18", "", a.index, b.index, true},
		{"IPv4 multicast, b to a", back, "192.0.2.2", "224.0.0.18", "", b.index, a.index, false},
		{"IPv6 multicast, a to b", forth, "fe80::1", "ff02::12", "", a.index, b.index, true},
		{"IPv6 multicast, b to a", back, "fe80::2", "ff02::12", "", b.index, a.index, false},
		{"IPv4 unicast, a to b", forth, "192.0.2.1", "192.0.2.2", "", a.index, b.index, true},
		{"IPv4 unicast, b to a", back, "192.0.2.2", "192.0.2.1", "", b.index, a.index, false},
		{"IPv6 link-local unicast, a to b", forth, "fe80::1", "fe80::2", "", a.index, b.index, true},
		{"IPv6 link-local unicast, b to a", back, "fe80::2", "fe80::1", "", b.index, a.index, false},
		{"IPv6 global unicast", forth, "2001:db8::1", "2001:db8::2", "", a.index, b.index, false},
		{"secondary IPv4 source", forth, "192.0.2.101", "224.0.0.18", "", a.index, b.index, false},
		{"source of another IPv4 network", forth, "198.51.100.1", "224.0.0.18", "", a.index, b.index, false},
		{"source of another network, unicast", forth, "198.51.100.1", "192.0.2.2", "", a.index, b.index, false},
		{"second link-local source", forth, "fe80::101", "ff02::12", "", a.index, b.index, false},
		{"global IPv6 source to the group", forth, "2001:db8::1", "ff02::12", "", a.index, b.index, false},
		{"kernel chooses the IPv4 source", forth, "", "192.0.2.2", "192.0.2.1", a.index, b.index, false},
		{"kernel chooses the IPv6 source", forth, "", "2001:db8::2", "2001:db8::1", a.index, b.index, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dst := netip.MustParseAddr(tt.dst)
			send := Packet{Destination: dst, Payload: []byte(tt.name)}
			want := Packet{Interface: tt.toIdx, Destination: dst, TTL: 255, Payload: []byte(tt.name)}
			if tt.source != "" {
				send.Source = netip.MustParseAddr(tt.source)
				want.Source = send.Source
			} else {
				want.Source = netip.MustParseAddr(tt.want)
			}
			if tt.giveInterfaceID {
				send.Interface = tt.fromIdx
			}
			c := tt.conns[vrrp.FamilyOf(dst)]
			mustWrite(t, c.from, send)
			// That the first packet is the right one shows too that nothing
			// came back to its sender in the test before.
			if diff := cmp.Diff([]Packet{want}, read(t, c.to, 1), addrs); diff != "" {
				t.Errorf("received (-want +got):\n%s", diff)
			}
		})
	}
}

// TestSocketOnTheWire looks at what leaves with an eye of its own.
func TestSocketOnTheWire(t *testing.T) {
	a, b := newPair(t)
	wire := in(t, b.namespace, func() (int, error) { return sniffer(b.index) })
	t.Cleanup(func() { unix.Close(wire) })
	payload := []byte{0x31, 51, 150, 1, 0, 100, 0xde, 0xad, 192, 0, 2, 100}

	tests := []struct {
		name   string
		family vrrp.Family
		source netip.Addr
		dst    netip.Addr
		mac    []byte // of the destination, for multicast
	}{
		{"IPv4 multicast", vrrp.IPv4, a4, vrrp.GroupIPv4, []byte{1, 0, 0x5e, 0, 0, 0x12}},
		{"IPv4 unicast", vrrp.IPv4, a4, b4, nil},
		{"IPv6 multicast", vrrp.IPv6, a6, vrrp.GroupIPv6, []byte{0x33, 0x33, 0, 0, 0, 0x12}},
		{"IPv6 unicast", vrrp.IPv6, a6, b6, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			mustWrite(t, a.listen(t, tt.family), Packet{Source: tt.source, Destination: tt.dst, Payload: payload})
			frame := nextVRRPFrame(t, wire)
			if tt.mac != nil && !bytes.Equal(frame[:6], tt.mac) {
				t.Errorf("sent to %x, want %x", frame[:6], tt.mac)
			}
			ip := frame[14:]
			class, ttl, header := ip[1], ip[8], 20
			if tt.family == vrrp.IPv4 && (ip[0] != 0x45 || ip[6] != 0x40 || ip[7] != 0) {
				t.Errorf("header %x, want no options and no fragments, and routers told to make none", ip[:header])
			}
			if tt.family == vrrp.IPv6 {
				class, ttl, header = ip[0]<<4|ip[1]>>4, ip[7], 40
			}
			if class != 0xc0 || ttl != 255 {
				t.Errorf("traffic class %#x and TTL %d, want 0xc0 and 255", class, ttl)
			}
			// The checksum must be the core's, right or wrong.
			if !bytes.Equal(ip[header:], payload) {
				t.Errorf("payload %x, want %x", ip[header:], payload)
			}
		})
	}
}

// sniffer opens a packet socket on an interface that sees everything.
func sniffer(index int) (int, error) {
	all := uint16(unix.ETH_P_ALL>>8 | unix.ETH_P_ALL&0xff<<8)
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(all))
	if err != nil {
		return 0, os.NewSyscallError("socket", err)
	}
	return fd, errors.Join(
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: index}),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 10}))
}

// nextVRRPFrame reads frames until one carries VRRP.
func nextVRRPFrame(t *testing.T, fd int) []byte {
	t.Helper()
	buffer := make([]byte, 2048)
	for {
		n, _, err := unix.Recvfrom(fd, buffer, 0)
		must(t, err)
		if n < 60-14 {
			continue
		}
		switch frame := buffer[:n]; {
		case frame[12] == 0x08 && frame[13] == 0x00 && frame[14+9] == vrrp.Protocol,
			frame[12] == 0x86 && frame[13] == 0xdd && frame[14+6] == vrrp.Protocol:
			return frame
		}
	}
}

// TestSocketReceivedHeader sends with sockets that do what ours never do.
func TestSocketReceivedHeader(t *testing.T) {
	a, b := newPair(t)
	options := "\x01\x01\x01\x01\x01\x01\x01\x01" // eight no-operations
	tests := []struct {
		name    string
		family  vrrp.Family
		set     func(fd int) error
		wantTTL int
	}{
		{"IPv4 TTL 1", vrrp.IPv4, func(fd int) error {
			return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_TTL, 1)
		}, 1},
		{"IPv4 TTL 254", vrrp.IPv4, func(fd int) error {
			return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_TTL, 254)
		}, 254},
		{"IPv4 options", vrrp.IPv4, func(fd int) error {
			return errors.Join(
				unix.SetsockoptString(fd, unix.IPPROTO_IP, unix.IP_OPTIONS, options),
				unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_TTL, 64))
		}, 64},
		{"IPv6 hop limit 1", vrrp.IPv6, func(fd int) error {
			return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, 1)
		}, 1},
		{"IPv6 hop limit 254", vrrp.IPv6, func(fd int) error {
			return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, 254)
		}, 254},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := b.listen(t, tt.family)
			payload := []byte("payload of " + tt.name)
			in(t, a.namespace, func() (struct{}, error) {
				return struct{}{}, sendRaw(a.index, tt.family, payload, tt.set)
			})
			p := read(t, c, 1)[0]
			if p.TTL != tt.wantTTL {
				t.Errorf("TTL %d, want %d", p.TTL, tt.wantTTL)
			}
			if !bytes.Equal(p.Payload, payload) {
				t.Errorf("payload %q, want %q", p.Payload, payload)
			}
		})
	}
}

// sendRaw sends one packet to the VRRP group from a socket with other options.
func sendRaw(ifindex int, f vrrp.Family, payload []byte, set func(fd int) error) error {
	domain, to := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Addr: vrrp.GroupIPv4.As4()})
	if f == vrrp.IPv6 {
		domain, to = unix.AF_INET6, &unix.SockaddrInet6{Addr: vrrp.GroupIPv6.As16(), ZoneId: uint32(ifindex)}
	}
	fd, err := unix.Socket(domain, unix.SOCK_RAW|unix.SOCK_CLOEXEC, vrrp.Protocol)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	return errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BINDTOIFINDEX, ifindex),
		set(fd),
		unix.Sendto(fd, payload, 0, to))
}

// TestSocketOneInterface checks that a Conn hears its own interface only, of
// two between the same hosts.
func TestSocketOneInterface(t *testing.T) {
	nsA, nsB := newNamespace(t), newNamespace(t)
	a1, b1 := newCable(t, nsA, nsB, "hft1")
	a2, b2 := newCable(t, nsA, nsB, "hft2")
	for i, e := range []*end{a1, b1, a2, b2} {
		e.addAddress(t, fmt.Sprintf("fe80::%d/64", i+1))
		e.addAddress(t, fmt.Sprintf("192.0.2.%d/24", i+1))
	}
	for _, f := range []vrrp.Family{vrrp.IPv4, vrrp.IPv6} {
		t.Run(f.String(), func(t *testing.T) {
			group := vrrp.GroupIPv4
			if f == vrrp.IPv6 {
				group = vrrp.GroupIPv6
			}
			fromA1, fromA2, toB1, toB2 := a1.listen(t, f), a2.listen(t, f), b1.listen(t, f), b2.listen(t, f)
			mustWrite(t, fromA1, Packet{Destination: group, Payload: []byte("first cable")})
			if got := string(read(t, toB1, 1)[0].Payload); got != "first cable" {
				t.Errorf("on the first cable %q", got)
			}
			// Now that it has arrived, it would be the first in the second.
			mustWrite(t, fromA2, Packet{Destination: group, Payload: []byte("second cable")})
			if got := string(read(t, toB2, 1)[0].Payload); got != "second cable" {
				t.Errorf("on the second cable %q", got)
			}
		})
	}
}

// TestSocketDropsBeforeBind reads a packet that arrived by the other interface
// in the moment between socket and bind.
func TestSocketDropsBeforeBind(t *testing.T) {
	a, b := newPair(t)
	other, _ := newCable(t, b.namespace, newNamespace(t), "hft9")
	for _, f := range []vrrp.Family{vrrp.IPv4, vrrp.IPv6} {
		t.Run(f.String(), func(t *testing.T) {
			from, to := a4, b4
			if f == vrrp.IPv6 {
				from, to = a6, b6
			}
			sender, direct := a.listen(t, f), b.listen(t, f).(*socket)
			// What the socket believes to be its interface is made another
			// one, which is how such a packet looks to it.
			direct.ifindex = other.index
			// They have arrived everywhere once a witness has them.
			witness := b.listen(t, f)
			mustWrite(t, sender,
				Packet{Source: from, Destination: to, Payload: []byte("1")},
				Packet{Source: from, Destination: to, Payload: []byte("2")})
			read(t, witness, 2)
			if !readable(t, direct, 10*time.Second) {
				t.Error("the packets have not arrived")
			}
			if n, err := direct.ReadBatch(make([]Packet, 4)); n != 0 || err != nil {
				t.Errorf("read %d packets, %v; want none", n, err)
			}
		})
	}
}

func TestSocketBadPacketInBatch(t *testing.T) {
	a, b := newPair(t)
	tests := []struct {
		family                 vrrp.Family
		source, group, foreign netip.Addr
	}{
		{vrrp.IPv4, a4, vrrp.GroupIPv4, vrrp.GroupIPv6},
		{vrrp.IPv6, a6, vrrp.GroupIPv6, vrrp.GroupIPv4},
	}
	for _, tt := range tests {
		t.Run(tt.family.String(), func(t *testing.T) {
			ca, cb := a.listen(t, tt.family), b.listen(t, tt.family)
			good := func(s string) Packet { return Packet{Source: tt.source, Destination: tt.group, Payload: []byte(s)} }
			absent, tooLong, wrongFamily, elsewhere := good("absent"), good(""), good("family"), good("elsewhere")
			absent.Source = tt.source.Next().Next()
			tooLong.Payload = make([]byte, 1<<16)
			wrongFamily.Destination = tt.foreign
			elsewhere.Interface = a.index + 1
			if tt.family == vrrp.IPv4 { // for which nobody looks
				absent = elsewhere
			}

			n, err := ca.WriteBatch([]Packet{
				absent, good("1"), wrongFamily, tooLong, good("2"), good("3"), elsewhere, absent, good("4"), tooLong,
			})
			if n != 4 {
				t.Errorf("sent %d, want 4", n)
			}
			got := failedIndexes(err)
			slices.Sort(got)
			if want := []int{0, 2, 3, 6, 7, 9}; !slices.Equal(got, want) {
				t.Errorf("failed %v, want %v: %v", got, want, err)
			}
			for i, p := range read(t, cb, 4) {
				if want := fmt.Sprint(i + 1); string(p.Payload) != want {
					t.Errorf("packet %d is %q, want %q", i, p.Payload, want)
				}
			}
			if !errors.Is(err, unix.EMSGSIZE) || Transient(err) {
				t.Errorf("%v lacks the reason of the long packet, which is permanent", err)
			}
			if _, err := ca.WriteBatch([]Packet{absent}); tt.family == vrrp.IPv6 && !Transient(err) {
				t.Errorf("%v is not transient, but the address may come", err)
			}
		})
	}
}

// TestSocketFragments sends an advert of 255 addresses over a link that is too narrow
// for it, and others before and after it.
func TestSocketFragments(t *testing.T) {
	for _, to := range []netip.Addr{vrrp.GroupIPv4, b4} {
		t.Run(to.String(), func(t *testing.T) {
			a, b := newPair(t)
			must(t, a.LinkSetMTU(a.link(t), 576))
			ca, cb := a.listen(t, vrrp.IPv4), b.listen(t, vrrp.IPv4)
			long := bytes.Repeat([]byte("0123"), 2+255)
			for round := range 2 { // the second begins with what the first left behind
				mustWrite(t, ca,
					Packet{Source: a4, Destination: to, Payload: []byte("before")},
					Packet{Source: a4, Destination: to, Payload: long},
					Packet{Source: a4, Destination: to, Payload: []byte("after")})
				got := read(t, cb, 3)
				slices.SortFunc(got, func(x, y Packet) int { return len(x.Payload) - len(y.Payload) })
				for i, want := range []string{"after", "before", string(long)} {
					if p := got[i]; string(p.Payload) != want || p.Source != a4 || p.TTL != vrrp.TTL {
						t.Errorf("round %d: %q from %v with TTL %d, want %q from %v with %d", round, p.Payload, p.Source, p.TTL, want, a4, vrrp.TTL)
					}
				}
			}
		})
	}
}

// TestSocketGoneSource sends from an IPv4 address that has just gone: the advert
// leaves, and that the address is gone is for those who watch them to tell.
func TestSocketGoneSource(t *testing.T) {
	a, b := newPair(t)
	ca, cb := a.listen(t, vrrp.IPv4), b.listen(t, vrrp.IPv4)
	gone := netip.MustParseAddr("192.0.2.77")
	for _, to := range []netip.Addr{vrrp.GroupIPv4, b4} {
		mustWrite(t, ca, Packet{Source: gone, Destination: to, Payload: []byte("x")})
		if got := read(t, cb, 1)[0]; got.Source != gone || got.Destination != to {
			t.Errorf("received one from %v to %v, want from %v to %v", got.Source, got.Destination, gone, to)
		}
	}
}

// TestSocketFullQueue fills the send buffer with packets that wait for a
// neighbour who does not exist. The rest must fail at once: had WriteBatch
// waited for room, they would have left in the end.
func TestSocketFullQueue(t *testing.T) {
	a, _ := newPair(t)
	c := a.listen(t, vrrp.IPv4).(*socket)
	must(t, unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 0)) // the least there is
	p := Packet{Source: a4, Destination: netip.MustParseAddr("192.0.2.99"), Payload: make([]byte, 1000)}
	n, err := c.WriteBatch(slices.Repeat([]Packet{p}, 50))
	if n < 1 || n > 40 {
		t.Errorf("%d of 50 packets fit in the least send buffer", n)
	}
	if got := len(failedIndexes(err)); n+got != 50 {
		t.Errorf("%d sent and %d failed of 50", n, got)
	}
	if !Transient(err) {
		t.Errorf("error %v, want a transient one", err)
	}
}

func TestSocketLargeBatch(t *testing.T) {
	a, b := newPair(t)
	for _, f := range []vrrp.Family{vrrp.IPv4, vrrp.IPv6} {
		t.Run(f.String(), func(t *testing.T) {
			source, group := a4, vrrp.GroupIPv4
			if f == vrrp.IPv6 {
				source, group = a6, vrrp.GroupIPv6
			}
			ca, cb := a.listen(t, f), b.listen(t, f)
			send := make([]Packet, 300)
			for i := range send {
				send[i] = Packet{Source: source, Destination: group, Payload: fmt.Appendf(nil, "packet %d", i)}
			}
			mustWrite(t, ca, send...)
			for i, p := range read(t, cb, len(send)) {
				if !bytes.Equal(p.Payload, send[i].Payload) {
					t.Fatalf("packet %d is %q, want %q", i, p.Payload, send[i].Payload)
				}
			}
		})
	}
}

// TestSocketManyInOneCall sends more than the kernel takes in one system call.
func TestSocketManyInOneCall(t *testing.T) {
	a, _ := newPair(t)
	p := Packet{Source: a4, Destination: vrrp.GroupIPv4, Payload: []byte("x")}
	mustWrite(t, a.listen(t, vrrp.IPv4), slices.Repeat([]Packet{p}, 1500)...)
}

func TestSocketLongPacketIsCut(t *testing.T) {
	a, b := newPair(t)
	ca, cb := a.listen(t, vrrp.IPv6), b.listen(t, vrrp.IPv6)
	longest := bytes.Repeat([]byte("v"), 8+255*16)
	mustWrite(t, ca,
		Packet{Source: a6, Destination: vrrp.GroupIPv6, Payload: longest},
		Packet{Source: a6, Destination: vrrp.GroupIPv6, Payload: make([]byte, 8000)})
	ps := read(t, cb, 2)
	if !bytes.Equal(ps[0].Payload, longest) {
		t.Errorf("the longest VRRP message came with %d bytes, want %d", len(ps[0].Payload), len(longest))
	}
	if got := len(ps[1].Payload); got <= len(longest) {
		t.Errorf("8000 bytes were cut to %d, which could be a VRRP message", got)
	}
}
