package main

// 4000 addresses on one instance.

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/lab"
)

const (
	largeCount    = 4000
	largeInterval = 100 * time.Millisecond
	// askTogether is how many addresses a client asks at once: the kernel knows
	// about a thousand neighbours at most.
	askTogether = 200
	// largeNetwork is the length of the addresses' prefixes, and largeClient a
	// client among them.
	largeNetwork = "/16"
	largeClient  = "10.51.255.1" + largeNetwork
)

func largeAddresses() []netip.Addr {
	list := make([]netip.Addr, largeCount)
	for n := range list {
		list[n] = netip.AddrFrom4([4]byte{10, 51, byte(1 + n/250), byte(1 + n%250)})
	}
	return list
}

// large is two nodes with 4000 addresses, of which a serves all.
type large struct {
	a, b   *node
	client *lab.Host
	addrs  []netip.Addr
	all    map[netip.Addr]bool
	// lingers is how long a master that yields keeps so many.
	lingers time.Duration
}

func newLarge(t *testing.T) *large {
	t.Helper()
	addrs := largeAddresses()
	lg := &large{addrs: addrs, all: set(addrs), lingers: lingerMost + largeCount*100*time.Microsecond}
	var prefixes []string
	for _, a := range lg.addrs {
		prefixes = append(prefixes, a.String()+largeNetwork)
	}
	l := newLab(t)
	n := nodes(t, l, 2)
	lg.a, lg.b = n[0], n[1]
	var err error
	if lg.client, err = l.Host("client", largeClient); err != nil {
		t.Fatal(err)
	}
	lg.a.run(instanceTOML(highest, largeInterval.String(), prefixes))
	lg.b.run(instanceTOML(lower, largeInterval.String(), prefixes))
	allOn(t, settled, lg.all, lg.a)
	eventually(t, settled, "b has none", func() bool { return lg.b.holding(lg.all) == 0 })
	lg.allServed(t, lg.a)
	return lg
}

// allServed asks every address once, some at a time.
func (lg *large) allServed(t *testing.T, by *node) {
	t.Helper()
	for from := 0; from < len(lg.addrs); from += askTogether {
		some := lg.addrs[from:min(from+askTogether, len(lg.addrs))]
		allServed(t, lg.client, some, by)
		forget(t, lg.client, set(some))
	}
}

// forget makes the client forget neighbours.
func forget(t *testing.T, client *lab.Host, addrs map[netip.Addr]bool) {
	t.Helper()
	err := client.Do(func() error {
		link, err := netlink.LinkByName("eth0")
		if err != nil {
			return err
		}
		list, err := netlink.NeighList(link.Attrs().Index, unix.AF_INET)
		if err != nil {
			return err
		}
		for _, n := range list {
			if a, _ := netip.AddrFromSlice(n.IP); addrs[a.Unmap()] {
				if err := netlink.NeighDel(&n); err != nil && !errors.Is(err, unix.ENOENT) {
					return fmt.Errorf("forget %v: %w", n.IP, err)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// sample asks 20 of the addresses, spread over all of them with the first and
// the last, 200 times a second each.
func (lg *large) sample(t *testing.T) (probes []*lab.Probe) {
	t.Helper()
	const count = 20
	for n := range count {
		p, err := lg.client.Probe(lg.addrs[n*(largeCount-1)/(count-1)], 200)
		if err != nil {
			t.Fatal(err)
		}
		served(t, p, lg.a)
		probes = append(probes, p)
	}
	return probes
}

func TestLargeStopLosesNothing(t *testing.T) {
	lg := newLarge(t)
	probes := lg.sample(t)
	began := time.Now()
	lg.a.stop()
	stopped := time.Since(began)
	if a, b := lg.a.holding(lg.all), lg.b.holding(lg.all); a != 0 || b != largeCount {
		t.Errorf("after the stop a has %d addresses and b %d", a, b)
	}
	for _, p := range probes {
		served(t, p, lg.b)
	}
	end := time.Now()
	for _, p := range probes {
		served(t, p, lg.b) // again: answers that a busy machine holds up are here by now
	}
	lost, sent := 0, 0
	for n, p := range probes {
		r := p.Between(began, end)
		sent += r.Sent
		if gone := r.Lost - r.Late; gone > 0 {
			lost += gone
			t.Errorf("sample %d: %d of %d datagrams were lost, %s", n, gone, r.Sent, whenLost(p, began))
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Logf("measured: the stop took %s; %d of %d datagrams to %d addresses lost", ms(stopped), lost, sent, len(probes))
	if most := 2*largeInterval + lg.lingers + room; stopped > most {
		t.Errorf("the stop took %v, want at most %v", stopped, most)
	}
	lg.allServed(t, lg.b)
}

func TestLargeCablePulled(t *testing.T) {
	lg := newLarge(t)
	port, err := lg.b.Port("eth0")
	if err != nil {
		t.Fatal(err)
	}
	seen := captureAnnounced(t, lg.client)
	began := time.Now()
	if err := lg.a.Unplug(); err != nil {
		t.Fatal(err)
	}
	eventually(t, settled, "each address is announced", func() bool { return len(firstAnnounced(seen.Frames(), lg.all, port.MAC())) == largeCount })
	first, last := settled, time.Duration(0)
	for _, at := range firstAnnounced(seen.Frames(), lg.all, port.MAC()) {
		first, last = min(first, at.Sub(began)), max(last, at.Sub(began))
	}
	least := detection(largeInterval, lower)
	t.Logf("measured: the last address was announced %s after the cut, the first after %s (3 adverts + skew: %s)", ms(last), ms(first), ms(least))
	if most := least + 100*time.Millisecond + room; last > most {
		t.Errorf("the last address was announced after %v, want at most %v", last, most)
	}
	if n := lg.b.holding(lg.all); n != largeCount {
		t.Errorf("b has %d addresses", n)
	}
	lg.allServed(t, lg.b)
}

// firstAnnounced is when each address was first announced with a MAC address.
// An address is announced once it is there.
func firstAnnounced(frames []lab.Frame, all map[netip.Addr]bool, mac net.HardwareAddr) map[netip.Addr]time.Time {
	first := map[netip.Addr]time.Time{}
	for _, f := range frames {
		addr, _ := announced(f)
		if all[addr] && bytes.Equal(f.Data[6:12], mac) && first[addr].IsZero() {
			first[addr] = f.Time
		}
	}
	return first
}
