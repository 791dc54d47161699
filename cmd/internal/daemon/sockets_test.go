package daemon

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-vrrp/holdfast/vrrp"
	"github.com/holdfast-vrrp/holdfast/vrrp/transport"
)

// brokenNetwork refuses to open sockets while err is set.
type brokenNetwork struct {
	transport.Network
	mu    sync.Mutex
	err   error
	tries int
}

func (b *brokenNetwork) Listen(ifindex int, ifname string, f vrrp.Family) (transport.Conn, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tries++
	if b.err != nil {
		return nil, b.err
	}
	return b.Network.Listen(ifindex, ifname, f)
}

func (b *brokenNetwork) set(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err = err
}

func (b *brokenNetwork) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.tries
}

func TestSocketRefused(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		a := newNode(t, lan, "a", 1, conf(150, "1s"))
		broken := &brokenNetwork{Network: a.d.opts.Network, err: errors.New("too many open files")}
		a.d.opts.Network = broken
		a.start()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		i := a.instance()
		if i.State != "fault" || !strings.Contains(i.Reason, "cannot open a VRRP socket on eth0: too many open files") {
			t.Errorf("state %s, reason %q", i.State, i.Reason)
		}
		if n := broken.count(); n < 10 || n > 12 {
			t.Errorf("tried %d times in 10 s, want once a second", n)
		}

		// A link that flaps meanwhile does not multiply the attempts.
		for range 50 {
			a.kernel.SetCarrier("eth0", false)
			synctest.Wait()
			a.kernel.SetCarrier("eth0", true)
			synctest.Wait()
		}
		before := broken.count()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if n := broken.count() - before; n < 9 || n > 11 {
			t.Errorf("after the flapping it tried %d times in 10 s, want once a second", n)
		}

		broken.set(nil)
		took := await(t, socketRetry+down(time.Second, 150)+time.Millisecond, "a", a)
		t.Logf("measured: master %v after sockets could be opened again", took)
		if n := a.log.count("to=fault"); n != 1 {
			t.Errorf("%d transitions to fault in the log, want 1:\n%s", n, a.log)
		}
		a.stop()
	})
}

// TestInterfaceComesAndGoes starts without the interface and replaces it later
// by one of the same name and another index.
func TestInterfaceComesAndGoes(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		a := newNode(t, lan, "a", 1, conf(150, "1s"))
		a.kernel.DeleteInterface("eth0")
		lan.Host("a").RemoveInterface(1)
		a.start()
		time.Sleep(10 * time.Second)
		if i := a.instance(); i.State != "fault" || i.Reason == "" {
			t.Errorf("without an interface: state %s, reason %q", i.State, i.Reason)
		}
		for index := 2; index < 4; index++ {
			lan.Host("a").AddInterface(index, "eth0", "lan", testBase.Addr())
			a.kernel.AddInterface("eth0")
			a.kernel.Install("eth0", testBase, 0)
			await(t, 5*time.Second, "a", a)
			a.kernel.DeleteInterface("eth0")
			lan.Host("a").RemoveInterface(index)
			synctest.Wait()
			if i := a.instance(); i.State != "fault" {
				t.Errorf("when the interface was deleted: state %s, reason %q", i.State, i.Reason)
			}
		}
		a.stop()
	})
}

// TestSendFails takes the socket's interface down behind the watcher's back.
func TestSendFails(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		a := startNode(t, lan, "a", 1, conf(150, "1s"))
		await(t, 5*time.Second, "a", a)
		lan.Host("a").SetUp(1, false)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if i := a.instance(); i.Counters.SendErrors != 3 || i.State != "master" {
			t.Errorf("after 3 s: %d send errors counted, want 3; state %s", i.Counters.SendErrors, i.State)
		}
		time.Sleep(2 * time.Second) // its peers must have taken over by now
		synctest.Wait()
		if i := a.instance(); i.State != "fault" || holders(a) != "" {
			t.Errorf("after 5 s: state %s, address on %q", i.State, holders(a))
		}
		if n := a.log.count("advert could not be sent"); n != 1 {
			t.Errorf("%d log lines about it, want 1", n)
		}
		lan.Host("a").SetUp(1, true)
		await(t, 15*time.Second, "a", a)
		a.stop()
	})
}
