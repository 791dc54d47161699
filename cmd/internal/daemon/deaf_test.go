package daemon

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-vrrp/holdfast/vrrp"
	"github.com/holdfast-vrrp/holdfast/vrrp/transport"
)

// deafNetwork is a network whose next so many reads fail, and whose sockets can be
// refused.
type deafNetwork struct {
	brokenNetwork
	fails int
}

type deafConn struct {
	transport.Conn
	network *deafNetwork
}

func (n *deafNetwork) Listen(ifindex int, ifname string, f vrrp.Family) (transport.Conn, error) {
	c, err := n.brokenNetwork.Listen(ifindex, ifname, f)
	if err != nil {
		return nil, err
	}
	return &deafConn{c, n}, nil
}

func (n *deafNetwork) deafen(reads int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fails = reads
}

func (c *deafConn) ReadBatch(dst []transport.Packet) (int, error) {
	c.network.mu.Lock()
	defer c.network.mu.Unlock()
	if c.network.fails > 0 {
		c.network.fails--
		return 0, errors.New("receive ipv4 on eth0: recvmmsg: cannot allocate memory")
	}
	return c.Conn.ReadBatch(dst)
}

// deafPair is a backup that would be the better master but does not preempt, beside
// the master.
func deafPair(t *testing.T, lan *network, interval string) (a, b *node, deaf *deafNetwork, whole func(long time.Duration)) {
	t.Helper()
	b = startNode(t, lan, "b", 2, conf(100, interval))
	await(t, time.Minute, "b", b)
	a = newNode(t, lan, "a", 1, conf(150, interval, "preempt = false"))
	deaf = &deafNetwork{brokenNetwork: brokenNetwork{Network: a.d.opts.Network}}
	a.d.opts.Network = deaf
	a.start()
	whole = func(long time.Duration) {
		t.Helper()
		for began := time.Now(); time.Since(began) < long; {
			time.Sleep(time.Millisecond)
			synctest.Wait()
			if got := holders(a, b); got != "b" {
				t.Fatalf("after %v the VIP is on %q", time.Since(began), got)
			}
		}
	}
	whole(5 * time.Second)
	return a, b, deaf, whole
}

// A socket that fails once is replaced, and told of; nothing else happens.
func TestSocketStopsReceivingOnce(t *testing.T) {
	for _, interval := range []string{"10ms", "100ms", "1s"} {
		t.Run(interval, func(t *testing.T) {
			inBubble(t, func(t *testing.T, lan *network) {
				a, _, deaf, whole := deafPair(t, lan, interval)
				deaf.deafen(1)
				whole(10 * time.Second)
				if n := a.log.count("a VRRP socket stopped receiving; another one is opened: interface=eth0 family=ipv4 error=\"receive ipv4 on eth0: recvmmsg: cannot allocate memory\""); n != 1 {
					t.Errorf("%d lines about it, want 1", n)
				}
				if n := a.log.count("to=fault"); n != 0 || a.instance().State != "backup" {
					t.Errorf("%d transitions to fault, now %s", n, a.instance().State)
				}
				if n := deaf.count(); n != 2 {
					t.Errorf("opened %d sockets, want 2", n)
				}
			})
		})
	}
}

// A backup whose sockets fail one after the other does not take silence for the
// death of the master: it is in fault, says why, and says it once.
func TestSocketsFailAgainAndAgain(t *testing.T) {
	for _, interval := range []string{"100ms", "1s", "10s"} {
		t.Run(interval, func(t *testing.T) {
			inBubble(t, func(t *testing.T, lan *network) {
				a, b, deaf, whole := deafPair(t, lan, interval)
				before := deaf.count()
				deaf.deafen(1 << 30)
				whole(50 * time.Second)
				if i := a.instance(); i.State != "fault" || i.Reason != "VRRP sockets on eth0 fail again and again: receive ipv4 on eth0: recvmmsg: cannot allocate memory" {
					t.Errorf("it is %s: %s", i.State, i.Reason)
				}
				if told, faults := a.log.count("stopped receiving"), a.log.count("to=fault"); told != 1 || faults != 1 {
					t.Errorf("%d lines about it and %d transitions to fault, want 1 each", told, faults)
				}
				if n := deaf.count() - before; n > 52 {
					t.Errorf("opened %d sockets in 50 s, want one a second at most", n)
				}
				whole(70 * time.Second)
				if n := a.log.count("stopped receiving"); n < 2 || n > 3 {
					t.Errorf("%d lines about it after two minutes, want one a minute", n)
				}
				deaf.deafen(0)
				whole(45 * time.Second)
				if n := a.log.count("VRRP sockets do not fail any more"); n != 1 || a.instance().State != "backup" {
					t.Errorf("when sockets work again %d lines say so, and it is %s", n, a.instance().State)
				}
				b.cancel()
				await(t, time.Minute, "a", a, b)
			})
		})
	}
}

// Where no other socket can be opened the instance is in fault at once, and not only
// after it had waited for a master.
func TestSocketStopsReceivingForGood(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		a, _, deaf, whole := deafPair(t, lan, "100ms")
		deaf.set(errors.New("too many open files"))
		deaf.deafen(1)
		whole(10 * time.Second)
		if i := a.instance(); i.State != "fault" || !strings.Contains(i.Reason, "cannot open a VRRP socket on eth0: too many open files") {
			t.Errorf("it is %s: %s", i.State, i.Reason)
		}
		if a.log.count("to=master") != 0 {
			t.Error("it was master before it was in fault")
		}
		deaf.set(nil)
		whole(3 * time.Second)
		if s := a.instance().State; s != "backup" {
			t.Errorf("in the end it is %s", s)
		}
	})
}

// A master that nobody else is beside is one again once its sockets work.
func TestMastersSocketsFail(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		a := newNode(t, lan, "a", 1, conf(150, "100ms"))
		deaf := &deafNetwork{brokenNetwork: brokenNetwork{Network: a.d.opts.Network}}
		a.d.opts.Network = deaf
		a.start()
		b := startNode(t, lan, "b", 2, conf(100, "100ms"))
		await(t, 5*time.Second, "a", a, b)
		time.Sleep(5 * time.Second)
		b.stop()
		stranger := strangers(t, lan)
		for range 2 {
			deaf.deafen(1)
			stranger(51)
			synctest.Wait()
		}
		if i := a.instance(); i.State != "fault" || a.holds(testVIP) {
			t.Errorf("after two sockets failed it is %s: %s", i.State, i.Reason)
		}
		took := await(t, 5*time.Second, "a", a)
		t.Logf("measured: master again after %v", took)
	})
}
