package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/lab"
)

// askAll asks each address once and returns who answered, by address. An
// address that does not answer within the patience is missing.
func askAll(t *testing.T, client *lab.Host, addrs []netip.Addr, patience time.Duration) map[netip.Addr]string {
	t.Helper()
	network := "udp6"
	if addrs[0].Is4() {
		network = "udp4"
	}
	var c net.PacketConn
	err := client.Do(func() (err error) {
		c, err = net.ListenPacket(network, ":0")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	question := []byte("who are you? ")
	for _, a := range addrs {
		if _, err := c.WriteTo(question, net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, lab.EchoPort))); err != nil {
			t.Fatalf("ask %v: %v", a, err)
		}
	}
	got := map[netip.Addr]string{}
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 512)
	for len(got) < len(addrs) {
		n, from, err := c.ReadFrom(buf)
		if err != nil {
			break // the patience is over
		}
		if name, ok := bytes.CutPrefix(buf[:n], question); ok {
			got[from.(*net.UDPAddr).AddrPort().Addr().Unmap()] = string(name)
		}
	}
	return got
}

// allServed checks that every address is answered by the node, with nothing but
// the neighbours the client knows already: one question each, no second try.
func allServed(t *testing.T, client *lab.Host, addrs []netip.Addr, by *node) {
	t.Helper()
	wire, err := client.Capture("eth0", func(lab.Frame) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	defer wire.Close()
	began := time.Now()
	got := askAll(t, client, addrs, 2*time.Second)
	var missing, wrong []netip.Addr
	for _, a := range addrs {
		switch got[a] {
		case by.Name():
		case "":
			missing = append(missing, a)
		default:
			wrong = append(wrong, a)
		}
	}
	if len(missing)+len(wrong) > 0 {
		t.Errorf("of %d addresses %d are not answered and %d not by %s: %v, %v", len(addrs), len(missing), len(wrong), by.Name(), missing, wrong)
		tellFrames(t, wire, began, append(missing, wrong...))
	}
}

// tellFrames logs what was heard and said of addresses.
func tellFrames(t *testing.T, wire *lab.Capture, began time.Time, addrs []netip.Addr) {
	t.Helper()
	for _, f := range wire.Frames() {
		for _, a := range addrs[:min(len(addrs), 3)] {
			if bytes.Contains(f.Data[14:], a.AsSlice()) {
				t.Logf("%s: %s, outgoing %v: % x", a, ms(f.Time.Sub(began)), f.Outgoing, f.Data[:min(len(f.Data), 60)])
			}
		}
	}
}

// holding counts which of the addresses the node has.
func (n *node) holding(addrs map[netip.Addr]bool) (count int) {
	n.t.Helper()
	present, err := n.Addresses("eth0")
	if err != nil {
		n.t.Fatal(err)
	}
	for _, p := range present {
		if addrs[p.Addr()] {
			count++
		}
	}
	return count
}

// allOn waits until the node has all addresses.
func allOn(t testing.TB, most time.Duration, addrs map[netip.Addr]bool, holder *node) time.Duration {
	t.Helper()
	return eventually(t, most, fmt.Sprintf("%s has all %d addresses", holder.Name(), len(addrs)), func() bool {
		return holder.holding(addrs) == len(addrs)
	})
}

func set(addrs []netip.Addr) map[netip.Addr]bool {
	m := map[netip.Addr]bool{}
	for _, a := range addrs {
		m[a] = true
	}
	return m
}

// announced returns the address that a frame announces: a gratuitous ARP or an
// unsolicited neighbour advertisement.
func announced(f lab.Frame) (netip.Addr, bool) {
	d := f.Data
	switch {
	case len(d) >= 42 && d[12] == 0x08 && d[13] == 0x06 && bytes.Equal(d[28:32], d[38:42]):
		return netip.AddrFromSlice(d[28:32])
	case len(d) >= 78 && d[12] == 0x86 && d[13] == 0xdd && d[20] == 58 && d[54] == 136 && d[58]&0x40 == 0:
		return netip.AddrFromSlice(d[62:78])
	}
	return netip.Addr{}, false
}

// Two hundred addresses of one instance all move, are all announced with the
// right MAC address, and are all answered at once.
func TestManyAddresses(t *testing.T) {
	const count, interval = 200, 100 * time.Millisecond
	for _, family := range []string{"ipv4", "ipv6"} {
		t.Run(family, func(t *testing.T) {
			var addrs []netip.Addr
			var quoted []string
			for n := range count {
				a, length := netip.AddrFrom4([4]byte{192, 0, 2, byte(10 + n)}), 24
				if family == "ipv6" {
					a, length = netip.MustParseAddr(fmt.Sprintf("2001:db8::1:%x", n+1)), 64
				}
				addrs = append(addrs, a)
				quoted = append(quoted, netip.PrefixFrom(a, length).String())
			}
			l := newLab(t)
			n := nodes(t, l, 2)
			a, b := n[0], n[1]
			client, err := l.Host("client", "192.0.2.250/24", "2001:db8::250/64")
			if err != nil {
				t.Fatal(err)
			}
			a.run(instanceTOML(150, interval.String(), quoted))
			b.run(instanceTOML(100, interval.String(), quoted))
			all := set(addrs)
			allOn(t, settled, all, a)
			eventually(t, settled, "b has none", func() bool { return b.holding(all) == 0 })
			allServed(t, client, addrs, a) // now the client knows them all by a's MAC address
			seen := captureAnnounced(t, client)

			began := time.Now()
			if err := a.Isolate(true); err != nil {
				t.Fatal(err)
			}
			most := detection(interval, 100) + room
			took := allOn(t, most, all, b)
			allOut := func() bool { return countAnnounced(t, seen, all, b) == count }
			eventually(t, most-time.Since(began), "each address is announced", allOut)
			t.Logf("measured: all addresses on the backup after %s, announced after %s (3 adverts + skew: %s)",
				ms(took), ms(time.Since(began)), ms(detection(interval, 100)))
			allServed(t, client, addrs, b)

			began = time.Now()
			b.stop() // nobody takes over: the bound of waiting passes
			t.Logf("measured: the stop took %s", ms(time.Since(began)))
			if left := b.holding(all); left != 0 {
				t.Errorf("after the stop %d addresses are left", left)
			}
		})
	}
}

// captureAnnounced keeps the announcements that the client hears.
func captureAnnounced(t *testing.T, client *lab.Host) *lab.Capture {
	t.Helper()
	c, err := client.Capture("eth0", func(f lab.Frame) bool {
		_, ok := announced(f)
		return ok
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// countAnnounced counts the addresses that the node has announced, all with its
// own MAC address.
func countAnnounced(t *testing.T, seen *lab.Capture, all map[netip.Addr]bool, by *node) int {
	t.Helper()
	port, err := by.Port("eth0")
	if err != nil {
		t.Fatal(err)
	}
	out := map[netip.Addr]bool{}
	for _, f := range seen.Frames() {
		addr, _ := announced(f)
		if !all[addr] || f.Outgoing {
			continue
		}
		out[addr] = true
		lladdr := f.Data[22:28] // sender hardware address of ARP
		if addr.Is6() {
			lladdr = f.Data[80:86] // the target link-layer address option
		}
		if !bytes.Equal(lladdr, port.MAC()) || !bytes.Equal(f.Data[6:12], port.MAC()) {
			t.Fatalf("%v is announced at %x by %x, want %v", addr, lladdr, f.Data[6:12], port.MAC())
		}
	}
	return len(out)
}

// 255 instances on one interface all move and all come back; their adverts keep
// their pace, and the stop is clean.
func TestManyInstances(t *testing.T) {
	const interval = time.Second
	var addrs []netip.Addr
	config := func(priority int) string {
		var b strings.Builder
		for _, a := range addrs {
			vrid := int(a.As4()[3])
			b.WriteString(namedTOML(fmt.Sprintf("i%d", vrid), vrid, priority, interval.String(), []string{a.String() + "/16"}))
		}
		return b.String()
	}
	for vrid := 1; vrid <= 255; vrid++ {
		addrs = append(addrs, netip.AddrFrom4([4]byte{10, 51, 0, byte(vrid)}))
	}
	all := set(addrs)
	l := newLab(t)
	// With addresses of their own there, as hosts have: else a kernel asks for its
	// neighbours in the name of a VIP, and draws them to a host that lets go of it.
	a, b := newNode(t, l, "a", "192.0.2.1/24", "10.51.254.1/16"), newNode(t, l, "b", "192.0.2.2/24", "10.51.254.2/16")
	for _, n := range []*node{a, b} {
		if _, err := n.Echo(); err != nil {
			t.Fatal(err)
		}
	}
	client, err := l.Host("client", "10.51.255.1/16")
	if err != nil {
		t.Fatal(err)
	}
	a.run(config(150))
	b.run(config(100))
	t.Logf("measured: all on a after %s", ms(allOn(t, settled, all, a)))
	eventually(t, settled, "b has none", func() bool { return b.holding(all) == 0 })
	allServed(t, client, addrs, a)
	steadyAdverts(t, client, a, interval)
	seen := captureAnnounced(t, client)

	began := time.Now()
	if err := a.Isolate(true); err != nil {
		t.Fatal(err)
	}
	most := detection(interval, 100) + room
	took := allOn(t, most, all, b)
	allOut := func() bool { return countAnnounced(t, seen, all, b) == len(addrs) }
	eventually(t, most-time.Since(began), "each address is announced", allOut)
	t.Logf("measured: all on b after %s, announced after %s (3 adverts + skew: %s)", ms(took), ms(time.Since(began)), ms(detection(interval, 100)))
	allServed(t, client, addrs, b)

	began = time.Now()
	if err := a.Isolate(false); err != nil {
		t.Fatal(err)
	}
	eventually(t, interval+room, "b has none", func() bool { return b.holding(all) == 0 })
	t.Logf("measured: all on a alone after %s", ms(time.Since(began)))

	began = time.Now()
	a.stop()
	t.Logf("measured: the stop of 255 masters took %s", ms(time.Since(began)))
	if left, there := a.holding(all), b.holding(all); left != 0 || there != len(addrs) {
		t.Errorf("after the stop a has %d addresses and b %d: want 0 and %d", left, there, len(addrs))
	}
	allServed(t, client, addrs, b)
	if out := a.daemon.Output() + b.daemon.Output(); strings.Contains(out, "[ERROR]") || strings.Contains(out, "lines were lost") {
		t.Error("there are errors in the logs, or lines are missing")
	}
}

// steadyAdverts checks that a master advertises each of its 255 instances once
// an interval.
func steadyAdverts(t *testing.T, client *lab.Host, from *node, interval time.Duration) {
	t.Helper()
	source := netip.MustParseAddr("192.0.2.1").As4()
	seen, err := client.Capture("eth0", func(f lab.Frame) bool {
		d := f.Data
		return len(d) >= 42 && d[12] == 0x08 && d[13] == 0 && d[23] == 112 && bytes.Equal(d[26:30], source[:])
	})
	if err != nil {
		t.Fatal(err)
	}
	const intervals = 3
	time.Sleep(intervals * interval)
	if err := seen.Close(); err != nil {
		t.Fatal(err)
	}
	count, last, widest := map[byte]int{}, map[byte]time.Time{}, time.Duration(0)
	for _, f := range seen.Frames() {
		vrid := f.Data[35]
		if got := binary.BigEndian.Uint16(f.Data[38:40]) & 0x0fff; time.Duration(got)*10*time.Millisecond != interval {
			t.Fatalf("vrid %d advertises an interval of %d cs, want %v", vrid, got, interval)
		}
		if count[vrid]++; count[vrid] > 1 {
			widest = max(widest, f.Time.Sub(last[vrid]))
		}
		last[vrid] = f.Time
	}
	t.Logf("measured: %d adverts of %d instances in %v, the longest gap %s", len(seen.Frames()), len(count), intervals*interval, ms(widest))
	for vrid := 1; vrid <= 255; vrid++ {
		if c := count[byte(vrid)]; c < intervals-1 || c > intervals+1 {
			t.Errorf("vrid %d sent %d adverts in %v", vrid, c, intervals*interval)
		}
	}
	if widest > interval+room {
		t.Errorf("the longest gap between two adverts was %v, want about %v", widest, interval)
	}
}
