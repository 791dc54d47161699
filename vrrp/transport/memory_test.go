package transport

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/holdfast-vrrp/holdfast/vrrp"
)

var (
	a4, b4 = netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	a6, b6 = netip.MustParseAddr("fe80::1"), netip.MustParseAddr("fe80::2")
)

// lan is a Memory of the hosts a, b and c on one LAN, with one Conn an
// address family each.
type lan struct {
	*Memory
	v4, v6 map[string]Conn
}

func newLAN(t *testing.T) *lan {
	t.Helper()
	l := &lan{NewMemory(), map[string]Conn{}, map[string]Conn{}}
	for i, name := range []string{"a", "b", "c"} {
		v4 := netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)})
		v6 := netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 15: byte(i + 1)})
		l.Host(name).AddInterface(i+10, "eth0", "office", v4, v6)
		l.v4[name] = l.listen(t, name, i+10, vrrp.IPv4)
		l.v6[name] = l.listen(t, name, i+10, vrrp.IPv6)
	}
	return l
}

func (l *lan) listen(t *testing.T, host string, index int, f vrrp.Family) Conn {
	t.Helper()
	c, err := l.Host(host).Listen(index, "eth0", f)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// pending reads what is queued on c, and waits for nothing.
func pending(t *testing.T, c Conn) (ps []Packet) {
	t.Helper()
	n := len(c.(*memoryConn).queue)
	if n == 0 {
		return nil
	}
	ps = make([]Packet, n)
	if got, err := c.ReadBatch(ps); got != n || err != nil {
		t.Fatalf("ReadBatch = %d, %v; want %d packets", got, err, n)
	}
	return ps
}

func mustWrite(t *testing.T, c Conn, ps ...Packet) {
	t.Helper()
	if n, err := c.WriteBatch(ps); n != len(ps) || err != nil {
		t.Fatalf("WriteBatch = %d, %v; want %d sent", n, err, len(ps))
	}
}

func TestMemoryDelivery(t *testing.T) {
	unicast := Packet{Source: a4, Destination: b4, Payload: []byte("u")}
	group4 := Packet{Source: a4, Destination: vrrp.GroupIPv4, Payload: []byte("m4")}
	group6 := Packet{Source: a6, Destination: vrrp.GroupIPv6, Payload: []byte("m6")}
	arrived := func(p Packet, index int) []Packet {
		p.Interface, p.TTL = index, 255
		return []Packet{p}
	}
	noSource := group4
	noSource.Source = netip.Addr{}
	indexed := group4
	indexed.Interface = 10

	tests := []struct {
		name string
		send Packet
		want map[string][]Packet // host and family
	}{
		{"IPv4 multicast", group4, map[string][]Packet{"b/ipv4": arrived(group4, 11), "c/ipv4": arrived(group4, 12)}},
		{"IPv6 multicast", group6, map[string][]Packet{"b/ipv6": arrived(group6, 11), "c/ipv6": arrived(group6, 12)}},
		{"IPv4 unicast", unicast, map[string][]Packet{"b/ipv4": arrived(unicast, 11)}},
		{"IPv6 unicast", Packet{Source: a6, Destination: b6, Payload: []byte("u")}, map[string][]Packet{
			"b/ipv6": arrived(Packet{Source: a6, Destination: b6, Payload: []byte("u")}, 11),
		}},
		{"the source is chosen", noSource, map[string][]Packet{"b/ipv4": arrived(group4, 11), "c/ipv4": arrived(group4, 12)}},
		{"own interface index", indexed, map[string][]Packet{"b/ipv4": arrived(group4, 11), "c/ipv4": arrived(group4, 12)}},
		{"to nobody", Packet{Source: a4, Destination: netip.MustParseAddr("192.0.2.99")}, map[string][]Packet{}},
		{"to itself", Packet{Source: a4, Destination: a4}, map[string][]Packet{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := newLAN(t)
			// Somebody on another LAN with the same addresses must not hear it.
			l.Host("d").AddInterface(10, "eth0", "lab", b4, b6)
			l.v4["d"], l.v6["d"] = l.listen(t, "d", 10, vrrp.IPv4), l.listen(t, "d", 10, vrrp.IPv6)

			from := l.v4["a"]
			if tt.send.Destination.Is6() {
				from = l.v6["a"]
			}
			mustWrite(t, from, tt.send)
			got := map[string][]Packet{}
			for name, c := range l.v4 {
				if ps := pending(t, c); ps != nil {
					got[name+"/ipv4"] = ps
				}
			}
			for name, c := range l.v6 {
				if ps := pending(t, c); ps != nil {
					got[name+"/ipv6"] = ps
				}
			}
			if diff := cmp.Diff(tt.want, got, addrs); diff != "" {
				t.Errorf("received (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMemoryWriteErrors(t *testing.T) {
	l := newLAN(t)
	good := Packet{Source: a4, Destination: vrrp.GroupIPv4, Payload: []byte("good")}
	bad := func(change func(*Packet)) Packet {
		p := good
		change(&p)
		return p
	}
	n, err := l.v4["a"].WriteBatch([]Packet{
		good,
		bad(func(p *Packet) { p.Destination = netip.Addr{} }),
		bad(func(p *Packet) { p.Destination = vrrp.GroupIPv6 }),
		good,
		bad(func(p *Packet) { p.Interface = 99 }),
		bad(func(p *Packet) { p.Source = a6 }),
		bad(func(p *Packet) { p.Source = vrrp.GroupIPv4 }),
		bad(func(p *Packet) { p.Destination = netip.Addr{} }),
		good,
	})
	if n != 3 {
		t.Errorf("sent %d, want 3", n)
	}
	if got, want := failedIndexes(err), []int{1, 2, 4, 5, 6, 7}; !slices.Equal(got, want) {
		t.Errorf("failed %v, want %v: %v", got, want, err)
	}
	if got := len(pending(t, l.v4["b"])); got != 3 {
		t.Errorf("b received %d packets, want the 3 good ones", got)
	}
	_, err = l.v6["a"].WriteBatch([]Packet{{Source: b6, Destination: vrrp.GroupIPv6}})
	if !errors.Is(err, syscall.EADDRNOTAVAIL) {
		t.Errorf("%v does not say that the source is not there", err)
	}
}

// failedIndexes lists the packets that a WriteBatch error names.
func failedIndexes(err error) (is []int) {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return nil
	}
	for _, e := range joined.Unwrap() {
		if w, ok := errors.AsType[*WriteError](e); ok {
			is = append(is, w.Index)
		}
	}
	return is
}

func TestMemoryDrop(t *testing.T) {
	l := newLAN(t)
	var asked []string
	l.Drop = func(from, to string, p Packet) bool {
		asked = append(asked, fmt.Sprintf("%s>%s %s", from, to, p.Payload))
		return to == "b"
	}
	mustWrite(t, l.v4["a"],
		Packet{Destination: vrrp.GroupIPv4, Payload: []byte("1")},
		Packet{Destination: vrrp.GroupIPv4, Payload: []byte("2")})
	if diff := cmp.Diff([]string{"a>b 1", "a>c 1", "a>b 2", "a>c 2"}, asked); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	if got := len(pending(t, l.v4["b"])); got != 0 {
		t.Errorf("b received %d packets that were dropped", got)
	}
	if got := len(pending(t, l.v4["c"])); got != 2 {
		t.Errorf("c received %d packets, want 2", got)
	}
}

func TestMemoryPayloadIsCopied(t *testing.T) {
	l := newLAN(t)
	buffer := []byte("first")
	mustWrite(t, l.v4["a"], Packet{Destination: vrrp.GroupIPv4, Payload: buffer})
	copy(buffer, "XXXXX")
	b, c := pending(t, l.v4["b"]), pending(t, l.v4["c"])
	copy(b[0].Payload, "YYYYY")
	if got := string(c[0].Payload); got != "first" {
		t.Errorf("c read %q, want %q", got, "first")
	}
}

func TestMemoryReadReusesBuffers(t *testing.T) {
	l := newLAN(t)
	dst := []Packet{{Payload: make([]byte, 0, 64)}, {}}
	first := &dst[0].Payload[:1][0]
	mustWrite(t, l.v4["a"], Packet{Destination: b4, Payload: []byte("1")})
	if n, err := l.v4["b"].ReadBatch(dst); n != 1 || err != nil {
		t.Fatalf("ReadBatch = %d, %v", n, err)
	}
	if &dst[0].Payload[0] != first || string(dst[0].Payload) != "1" {
		t.Errorf("payload %q is not in the buffer that was given", dst[0].Payload)
	}
	if n, err := l.v4["b"].ReadBatch(nil); n != 0 || err != nil {
		t.Errorf("ReadBatch(nil) = %d, %v; want 0 at once", n, err)
	}
}

func TestMemoryQueueOverflows(t *testing.T) {
	l := newLAN(t)
	for range memoryQueueLen + 10 {
		mustWrite(t, l.v4["a"], Packet{Destination: b4, Payload: []byte("x")})
	}
	if got := len(pending(t, l.v4["b"])); got != memoryQueueLen {
		t.Errorf("%d packets queued, want %d", got, memoryQueueLen)
	}
}

func TestMemoryWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLAN(t)
		b := l.Host("b")
		results := make(chan []Place, 10)
		wait := func(until time.Time) {
			go func() {
				ready, err := b.Wait(until, nil)
				if err != nil {
					t.Error(err)
				}
				results <- ready
			}()
			synctest.Wait()
		}
		want := func(what string, places ...Place) {
			t.Helper()
			synctest.Wait()
			if len(results) != 1 {
				t.Fatalf("%s: Wait returned %d times", what, len(results))
			}
			if diff := cmp.Diff(places, <-results); diff != "" {
				t.Errorf("%s (-want +got):\n%s", what, diff)
			}
		}
		wait(time.Time{})
		if len(results) != 0 {
			t.Fatalf("Wait returned %v without a packet", <-results)
		}
		p := Packet{Destination: vrrp.GroupIPv4, Payload: []byte("x")}
		mustWrite(t, l.v4["a"], p)
		want("a packet", Place{11, vrrp.IPv4})
		wait(time.Time{})
		want("a packet that was not read", Place{11, vrrp.IPv4})
		pending(t, l.v4["b"])
		wait(time.Now().Add(time.Second))
		b.Wake()
		want("woken")
		wait(time.Now().Add(time.Second))
		if len(results) != 0 {
			t.Fatalf("Wait returned %v before its time", <-results)
		}
		time.Sleep(time.Second)
		want("in time")
		b.Wake()
		wait(time.Time{})
		want("woken before")
	})
}

func TestMemoryClose(t *testing.T) {
	l := newLAN(t)
	p := Packet{Destination: vrrp.GroupIPv4, Payload: []byte("x")}
	mustWrite(t, l.v4["a"], p) // queued at b, and not to be read after Close
	if err := l.v4["b"].Close(); err != nil {
		t.Fatal(err)
	}
	if err := l.v4["b"].Close(); err != net.ErrClosed {
		t.Errorf("second Close = %v, want %v", err, net.ErrClosed)
	}
	if n, err := l.v4["b"].ReadBatch(make([]Packet, 1)); n != 0 || err != net.ErrClosed {
		t.Errorf("ReadBatch = %d, %v; want %v", n, err, net.ErrClosed)
	}
	if n, err := l.v4["b"].WriteBatch([]Packet{p}); n != 0 || !errors.Is(err, net.ErrClosed) {
		t.Errorf("WriteBatch = %d, %v; want %v", n, err, net.ErrClosed)
	}
	again := l.listen(t, "b", 11, vrrp.IPv4)
	mustWrite(t, l.v4["a"], p)
	if got := len(pending(t, again)); got != 1 {
		t.Errorf("the new Conn received %d packets, want 1", got)
	}
}

func TestMemoryInterfaceStates(t *testing.T) {
	l := newLAN(t)
	p := Packet{Destination: vrrp.GroupIPv4, Payload: []byte("x")}
	wantWrite := func(name string, want error) {
		t.Helper()
		_, err := l.v4[name].WriteBatch([]Packet{p})
		if !errors.Is(err, want) || (want != nil && !Transient(err)) {
			t.Errorf("%s: WriteBatch error %v (transient %v), want %v", name, err, Transient(err), want)
		}
	}
	wantPending := func(name string, want int) {
		t.Helper()
		if got := len(pending(t, l.v4[name])); got != want {
			t.Errorf("%s received %d packets, want %d", name, got, want)
		}
	}
	b := l.Host("b")

	b.SetUp(11, false)
	wantWrite("a", nil)
	wantPending("b", 0)
	wantWrite("b", syscall.ENETDOWN)

	b.SetUp(11, true)
	wantWrite("a", nil)
	wantPending("b", 1)
	wantWrite("b", nil)
	wantPending("a", 1)

	b.AddInterface(11, "eth0", "office") // without any address
	wantWrite("b", syscall.EADDRNOTAVAIL)
	b.AddInterface(11, "eth0", "elsewhere", b4)
	wantWrite("a", nil)
	wantPending("b", 0)

	b.RemoveInterface(11)
	wantWrite("b", syscall.ENODEV)
	if _, err := b.Listen(11, "eth0", vrrp.IPv4); !errors.Is(err, syscall.ENODEV) || !Transient(err) {
		t.Errorf("Listen on a removed interface: %v, want ENODEV", err)
	}
	b.AddInterface(11, "eth0", "office", b4)
	wantWrite("b", syscall.ENODEV) // the old Conn stays dead
	l.v4["b"] = l.listen(t, "b", 11, vrrp.IPv4)
	wantWrite("a", nil)
	wantPending("b", 1)
}

func TestMemoryListenFamily(t *testing.T) {
	if _, err := newLAN(t).Host("a").Listen(10, "eth0", 5); err == nil || Transient(err) {
		t.Errorf("Listen with family 5: %v, want a permanent error", err)
	}
}
