package daemon

import (
	"errors"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-vrrp/holdfast/vrrp"
	"github.com/holdfast-vrrp/holdfast/vrrp/transport"
)

// countingNetwork counts how often the loop wakes.
type countingNetwork struct {
	transport.Network
	wakes atomic.Int64
}

func (c *countingNetwork) Wait(until time.Time, prepare func()) ([]transport.Place, error) {
	defer c.wakes.Add(1)
	return c.Network.Wait(until, prepare)
}

// TestCrowd puts a backup among strangers. A few are heard and counted; of many
// the kernel keeps the adverts away, and each is counted still.
func TestCrowd(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		a := startNode(t, lan, "a", 1, conf(150, "1s"))
		b := newNode(t, lan, "b", 2, conf(100, "1s"))
		counting := &countingNetwork{Network: b.d.opts.Network}
		b.d.opts.Network = counting
		b.start()
		await(t, 5*time.Second, "a", a, b)

		said := 0
		crowd := strangers(t, lan)
		speak := func(vrid byte, each time.Duration, long time.Duration) (woken int64) {
			before := counting.wakes.Load()
			for end := time.Now().Add(long); time.Now().Before(end); time.Sleep(each) {
				crowd(vrid)
				said++
			}
			synctest.Wait()
			return counting.wakes.Load() - before
		}
		counted := func() {
			t.Helper()
			if got := b.status().Daemon.Dropped["vrid"]; got != uint64(said) {
				t.Errorf("counted %d packets of strangers, %d came", got, said)
			}
		}

		if woken := speak(99, 500*time.Millisecond, 20*time.Second); woken < 40 {
			t.Errorf("woke %d times for 40 adverts of one stranger", woken)
		}
		counted()
		speak(99, 10*time.Millisecond, 2*time.Second)
		if woken := speak(99, 10*time.Millisecond, 20*time.Second); woken > 60 {
			t.Errorf("woke %d times in 20 s, for 20 adverts of its master and the crowd's 2000", woken)
		}
		counted()
		served(t, 5*time.Second, a, b)

		// Whom a reload lets in is heard from then on.
		b.edit(conf(100, "1s") + strings.NewReplacer("[node]\nname = \"test\"\n", "", `"web"`, `"new"`, "vrid = 51", "vrid = 52", "192.0.2.100", "192.0.2.200").Replace(conf(100, "1s")))
		if _, err := (backend{b.d}).Reload(t.Context(), "tester"); err != nil {
			t.Fatal(err)
		}
		for range 50 {
			crowd(52)
			time.Sleep(100 * time.Millisecond)
		}
		for _, i := range b.status().Instances {
			if i.State != "backup" {
				t.Errorf("%s is %s, want backup: its master speaks", i.Name, i.State)
			}
		}
		speak(98, 10*time.Millisecond, 3*time.Second)
		counted()
		a.stop()
		b.stop()
	})
}

// unfiltered is a network whose kernel keeps nobody away.
type unfiltered struct {
	transport.Network
	opened atomic.Int64
}

type unfilteredConn struct{ transport.Conn }

func (u *unfiltered) Listen(ifindex int, ifname string, f vrrp.Family) (transport.Conn, error) {
	u.opened.Add(1)
	c, err := u.Network.Listen(ifindex, ifname, f)
	return unfilteredConn{c}, err
}

func (unfilteredConn) Admit(transport.VRIDs) error { return errors.New("out of memory") }

// Where the kernel cannot keep a crowd away, that is told once, and all are heard.
func TestCrowdThatStays(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		a := startNode(t, lan, "a", 1, conf(150, "1s"))
		b := newNode(t, lan, "b", 2, conf(100, "1s"))
		network := &unfiltered{Network: b.d.opts.Network}
		b.d.opts.Network = network
		b.start()
		await(t, 5*time.Second, "a", a, b)
		crowd := strangers(t, lan)
		const said = 1000
		for range said {
			crowd(99)
			time.Sleep(10 * time.Millisecond)
		}
		if got := b.status().Daemon.Dropped["vrid"]; got != said {
			t.Errorf("counted %d packets of strangers, %d came", got, said)
		}
		if n := b.log.count("will wake this daemon, at a cost: error=\"out of memory\""); n != 1 {
			t.Errorf("told %d times, want once; log:\n%s", n, b.log)
		}
		if n := network.opened.Load(); n != 2 {
			t.Errorf("the socket was opened %d times, want once more than at the start", n)
		}
		served(t, 5*time.Second, a, b)
		a.stop()
		b.stop()
	})
}

// strangers returns how a host that has no part in anything speaks for a virtual
// router of its own.
func strangers(t *testing.T, lan *network) func(vrid byte) {
	t.Helper()
	host, addr := lan.Host("crowd"), netip.MustParseAddr("192.0.2.99")
	host.AddInterface(1, "eth0", "lan", addr)
	conn, err := host.Listen(1, "eth0", vrrp.IPv4)
	if err != nil {
		t.Fatal(err)
	}
	return func(vrid byte) {
		p := vrrp.Packet{Version: vrrp.Version3, VRID: vrid, Priority: 200, Interval: time.Second, Addresses: []netip.Addr{addr}}
		payload, err := p.AppendTo(nil, addr, vrrp.GroupIPv4, false)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.WriteBatch([]transport.Packet{{Source: addr, Destination: vrrp.GroupIPv4, Payload: payload}}); err != nil {
			t.Error(err)
		}
	}
}
