package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-vrrp/holdfast/vip"
	"github.com/holdfast-vrrp/holdfast/vrrp/transport"
)

// down is Active_Down_Interval of RFC 9568 section 6.1.
func down(interval time.Duration, priority int) time.Duration {
	return 3*interval + time.Duration(256-priority)*interval/256
}

func TestFailover(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		a := startNode(t, lan, "a", 1, conf(150, "1s"))
		b := startNode(t, lan, "b", 2, conf(100, "1s"))
		took := await(t, 5*time.Second, "a", a, b)
		// The watcher delivers at once, so the down time is all there is.
		if want := down(time.Second, 150); took > want+time.Millisecond || took < want {
			t.Errorf("the first master took %v, want %v", took, want)
		}
		served(t, 5*time.Second, a, b)
		if got := holders(a, b); got != "a" {
			t.Fatalf("the VIP is on %q after a quiet time", got)
		}

		lan.isolate("a", true)
		last := lan.adverts("a", 51)
		took = await(t, 5*time.Second, "a+b", a, b)
		since := time.Since(last[len(last)-1].at)
		if want := down(time.Second, 100); since < want || since > want+time.Millisecond {
			t.Errorf("b took over %v after the last advert, want %v", since, want)
		}
		t.Logf("measured: takeover %v after the cut, %v after the last advert", took, since)

		lan.isolate("a", false)
		took = await(t, 1100*time.Millisecond, "a", a, b)
		t.Logf("measured: one master again %v after the healing", took)
		if i := b.instance(); i.State != "backup" || i.Master == nil || i.Master.Address != "192.0.2.1" || i.Master.Priority != 150 {
			t.Errorf("b is %s with master %+v, want backup of 192.0.2.1", i.State, i.Master)
		}
		b.stop()
		a.stop()
		if got := holders(a, b); got != "" {
			t.Errorf("after the stop the VIP is on %q", got)
		}
	})
}

func TestPlannedStopServesOn(t *testing.T) {
	for _, interval := range []string{"1s", "100ms", "10ms"} {
		t.Run(interval, func(t *testing.T) {
			inBubble(t, func(t *testing.T, lan *network) {
				a := startNode(t, lan, "a", 1, conf(150, interval))
				b := startNode(t, lan, "b", 2, conf(100, interval))
				await(t, 5*time.Second, "a", a, b)
				began := time.Now()
				a.cancel()
				served(t, time.Second, a, b)
				if err := <-a.result; err != nil {
					t.Error(err)
				}
				if got := holders(a, b); got != "b" {
					t.Errorf("after the stop the VIP is on %q", got)
				}
				sent := lan.adverts("a", 51)
				release := sent[len(sent)-1]
				if release.priority != 0 || release.at != began {
					t.Errorf("the last advert was of priority %d, %v after the stop, want a release at once", release.priority, release.at.Sub(began))
				}
				// Quick release: the successor waits for a skew of 10 ms at most.
				first := lan.adverts("b", 51)[0]
				if d := first.at.Sub(release.at); d > 10*time.Millisecond {
					t.Errorf("b answered the release after %v, want at most 10 ms", d)
				}
				b.stop()
			})
		})
	}
}

func TestOrderOnTakingOver(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		a := newNode(t, lan, "a", 1, conf(150, "1s", `announce = { repeat = 2, refresh = "0s" }`, `lease = "off"`))
		a.kernel.Log()
		var before int // adverts that had left when the address came
		a.kernel.Refuse(func(string, vip.Change) error {
			if before == 0 {
				before = len(lan.adverts("a", 51))
			}
			return nil
		})
		a.start()
		await(t, 5*time.Second, "a", a)
		time.Sleep(time.Second)
		synctest.Wait()
		if before != 1 {
			t.Errorf("%d adverts had left before the address was added, want 1", before)
		}
		want := []string{
			"ip addr add 192.0.2.100/24 dev eth0 proto 72",
			"announce 192.0.2.100 dev eth0 request",
			"announce 192.0.2.100 dev eth0 request",
			"announce 192.0.2.100 dev eth0 request",
		}
		log := a.kernel.Log()
		// The setting ends the turn of the addition: the announcement is in it too if
		// it was there when that began.
		set := slices.Index(log, "sysctl net/ipv4/conf/eth0/promote_secondaries=1")
		if set < 1 {
			t.Fatalf("want the setting behind the addition: %q", log)
		}
		if diff := cmp.Diff(want, slices.Delete(log, set, set+1)); diff != "" {
			t.Errorf("what the kernel was told (-want +got):\n%s", diff)
		}
		a.stop()
		want = []string{"ip addr del 192.0.2.100/24 dev eth0", "sysctl net/ipv4/conf/eth0/promote_secondaries=0"}
		if diff := cmp.Diff(want, a.kernel.Log()); diff != "" {
			t.Errorf("what the kernel was told at the stop (-want +got):\n%s", diff)
		}
	})
}

func TestCarrier(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		a := startNode(t, lan, "a", 1, conf(150, "1s"))
		await(t, 5*time.Second, "a", a)
		a.kernel.SetCarrier("eth0", false)
		await(t, time.Second, "", a)
		if i := a.instance(); i.State != "fault" || i.Reason == "" {
			t.Errorf("without carrier: state %s, reason %q", i.State, i.Reason)
		}
		a.kernel.SetCarrier("eth0", true)
		await(t, 5*time.Second, "a", a)
		if n := a.log.count("to=fault"); n != 1 {
			t.Errorf("%d transitions to fault in the log, want 1", n)
		}
		a.stop()
	})
}

// TestRepair has somebody else take the VIP away.
func TestRepair(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		a := startNode(t, lan, "a", 1, conf(150, "1s"))
		await(t, 5*time.Second, "a", a)
		a.kernel.Delete("eth0", testVIP)
		synctest.Wait()
		if !a.holds(testVIP) {
			t.Error("the VIP was not put back at once")
		}
		if n := a.instance().Counters.AddressesRepaired; n != 1 {
			t.Errorf("repairs counted: %d, want 1", n)
		}
		if !strings.Contains(a.log.String(), "address was removed by somebody else and put back") {
			t.Errorf("the repair is not in the log:\n%s", a.log)
		}
		a.stop()
	})
}

// TestLeftovers starts on a host where an earlier run died.
func TestLeftovers(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		a := newNode(t, lan, "a", 1, conf(150, "1s"))
		foreign := netip.MustParsePrefix("192.0.2.7/24")
		a.kernel.Install("eth0", foreign, 0)
		a.kernel.Install("eth0", testVIP, vip.Proto)
		a.start()
		synctest.Wait()
		if a.holds(testVIP) || !a.holds(foreign) {
			t.Errorf("at the start eth0 has %v", a.kernel.On("eth0"))
		}
		if a.log.count("removed an address of an earlier run") != 1 {
			t.Errorf("log:\n%s", a.log)
		}
		a.stop()
		if want := []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24"), foreign}; !cmp.Equal(want, a.kernel.On("eth0"), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })) {
			t.Errorf("at the end eth0 has %v, want %v", a.kernel.On("eth0"), want)
		}
	})
}

// TestBlind ends the daemon when it can no longer watch the interfaces: it
// hands over first.
func TestBlind(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		a := newNode(t, lan, "a", 1, conf(150, "1s"))
		broken := make(chan error)
		a.d.opts.Watch = func(ctx context.Context, deliver func([]vip.LinkState), trouble func(error)) error {
			go a.kernel.Watch(ctx, deliver, trouble)
			return <-broken
		}
		b := startNode(t, lan, "b", 2, conf(100, "1s"))
		a.start()
		await(t, 5*time.Second, "a", a, b)
		cause := errors.New("netlink is gone")
		broken <- cause
		served(t, time.Second, a, b)
		if err := <-a.result; !errors.Is(err, cause) {
			t.Errorf("the daemon ended with %v, want %v", err, cause)
		}
		if got := holders(a, b); got != "b" {
			t.Errorf("the VIP is on %q, want b", got)
		}
		b.stop()
	})
}

// TestFlappingCheck has the service of the better node come and go: each time
// the VIP moves, and at no time is it nowhere.
func TestFlappingCheck(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		service := listener(t, "127.0.0.1:0")
		address := service.Addr().String()
		check := `
[[check]]
name = "service"
tcp = "` + address + `"
interval = "100ms"
fall = 2
rise = 2
retry = "10ms"`
		a := startNode(t, lan, "a", 1, conf(150, "1s", check))
		b := startNode(t, lan, "b", 2, conf(100, "1s"))
		await(t, 5*time.Second, "a", a, b)
		for round := range 5 {
			service.Close()
			served(t, 3*time.Second, a, b)
			if got := holders(a, b); got != "b" {
				t.Fatalf("round %d, service down: the VIP is on %q", round, got)
			}
			st := a.status()
			if i := st.Instances[0]; !i.Demoted || i.Priority.Effective > 31 || i.Priority.Base != 150 || i.DemotedWhy == "" {
				t.Errorf("round %d: demoted %t (%s), priority %+v", round, i.Demoted, i.DemotedWhy, i.Priority)
			}
			if c := st.Checks[0]; c.State != "failing" || c.LastOutput == "" {
				t.Errorf("round %d: the check is %q, output %q", round, c.State, c.LastOutput)
			}
			service = listener(t, address)
			served(t, 5*time.Second, a, b) // a takes over when it has not listened to b for the down time
			if got := holders(a, b); got != "a" {
				t.Fatalf("round %d, service up: the VIP is on %q", round, got)
			}
		}
		if fails, passes := a.log.count("check fails"), a.log.count("check passes"); fails != 5 || passes != 6 {
			t.Errorf("the log has %d failures and %d recoveries, want 5 and 6 (the first result counts)", fails, passes)
		}
		service.Close()
		a.stop()
		b.stop()
	})
}

// listener listens on an address and accepts nothing: the kernel answers.
func listener(t *testing.T, address string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestStopWithBacklog stops at a moment at which much more waits for the loop
// than it takes in at once, and the result of a check behind that.
func TestStopWithBacklog(t *testing.T) {
	check := "[[check]]\nname = \"c\"\ntcp = \"127.0.0.1:1\"\ninterval = \"100ms\""
	inBubble(t, func(t *testing.T, lan *network) {
		a := startNode(t, lan, "a", 1, conf(150, "1s", check))
		time.Sleep(10 * time.Millisecond)
		a.d.post(func() { time.Sleep(time.Second) }) // busy
		synctest.Wait()
		for range 8 * callBacklog {
			go a.d.post(func() {})
		}
		time.Sleep(500 * time.Millisecond) // the check is due and has to wait
		a.stop()
		if a.log.count("check fails") != 1 {
			t.Errorf("log:\n%s", a.log)
		}
	})
}

// The time that the loop gives to the Engine carries the reading of the monotonic
// clock, which nobody can set.
func TestTimeIsMonotonic(t *testing.T) {
	d := &Daemon{opts: Options{Boottime: boottime}}
	d.awake()
	if text := d.now.String(); !strings.Contains(text, " m=") {
		t.Errorf("the loop's time is %s", text)
	}
}

// waitingNetwork keeps how the loop waited last.
type waitingNetwork struct {
	transport.Network
	sharp atomic.Bool
}

func (w *waitingNetwork) Wait(until time.Time, prepare func()) ([]transport.Place, error) {
	w.sharp.Store(prepare != nil)
	return w.Network.Wait(until, prepare)
}

// TestSharp has a backup alone wait to the microsecond: a master would poll before
// each advert.
func TestSharp(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		waits := map[string]*waitingNetwork{}
		sharp := func() string {
			synctest.Wait()
			return fmt.Sprintf("a %v, b %v", waits["a"].sharp.Load(), waits["b"].sharp.Load())
		}
		a, b := newNode(t, lan, "a", 1, conf(150, "1s")), newNode(t, lan, "b", 2, conf(100, "1s"))
		for _, n := range []*node{a, b} {
			waits[n.name] = &waitingNetwork{Network: n.d.opts.Network}
			n.d.opts.Network = waits[n.name]
			n.start()
		}
		await(t, 5*time.Second, "a", a, b)
		time.Sleep(10 * time.Second)
		if got, want := sharp(), "a false, b true"; got != want {
			t.Errorf("with a as master they wait sharply: %s, want %s", got, want)
		}
		a.stop()
		time.Sleep(10 * time.Second)
		if got := waits["b"].sharp.Load(); got {
			t.Error("b is master and waits sharply")
		}
	})
}
