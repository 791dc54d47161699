package daemon

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
	"github.com/holdfast-vrrp/holdfast/vip"
	"github.com/holdfast-vrrp/holdfast/vrrp"
	"github.com/holdfast-vrrp/holdfast/vrrp/transport"
)

// everyNth fails every n-th time it is asked, unless n is 0.
type everyNth struct {
	mu       sync.Mutex
	n, asked int
	failed   int
}

func (e *everyNth) fail() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.asked++; e.n > 0 && e.asked%e.n == 0 {
		e.failed++
		return syscall.ENOMEM
	}
	return nil
}

// stop ends the failures and returns how many there were.
func (e *everyNth) stop() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.n = 0
	return e.failed
}

// honest fails when a node is master without its VIP, after the manager has
// had its turn, and status does not say so.
func honest(t *testing.T, n *node) {
	t.Helper()
	i := n.instance()
	a := i.Addresses[0]
	if i.State == "master" && !n.holds(testVIP) && a.Present && a.Problem == "" && !i.Demoted {
		t.Fatalf("%s is master without its VIP, and status does not say so: %+v", n.name, i)
	}
}

// TestKernelFailsNowAndThen moves the VIP to and fro while a kernel fails every
// n-th time.
func TestKernelFailsNowAndThen(t *testing.T) {
	for _, n := range []int{2, 3, 5} {
		for _, verb := range []string{"add", "remove", "announce", "any"} {
			t.Run(fmt.Sprintf("%s every %d", verb, n), func(t *testing.T) {
				inBubble(t, func(t *testing.T, lan *network) {
					a, b := newNode(t, lan, "a", 1, conf(150, "1s")), newNode(t, lan, "b", 2, conf(100, "1s"))
					faults := &everyNth{n: n}
					a.kernel.Refuse(func(_ string, c vip.Change) error {
						if verb == "announce" || verb == "add" && c.Verb == vip.Remove || verb == "remove" && c.Verb != vip.Remove {
							return nil
						}
						return faults.fail()
					})
					a.kernel.RefuseAnnounce(func(string) error {
						if verb == "announce" || verb == "any" {
							return faults.fail()
						}
						return nil
					})
					a.start()
					b.start()
					await(t, 5*time.Second, "a", a, b)
					for began := time.Now(); time.Since(began) < 2*time.Minute; time.Sleep(50 * time.Millisecond) {
						synctest.Wait()
						honest(t, a)
						switch long := time.Since(began); {
						case long%(20*time.Second) == 10*time.Second:
							a.kernel.SetCarrier("eth0", false)
						case long%(20*time.Second) == 0:
							a.kernel.SetCarrier("eth0", true)
						}
					}
					a.kernel.SetCarrier("eth0", true)
					if failed := faults.stop(); failed == 0 {
						t.Error("nothing failed")
					}
					time.Sleep(2 * time.Minute) // also what demotes for a while is over
					synctest.Wait()
					i := a.instance()
					if got := holders(a, b); got != "a" || i.State != "master" || i.Demoted || !i.Addresses[0].Present || i.Addresses[0].Problem != "" {
						t.Errorf("in the end the VIP is on %q, a is %s, demoted %t, address %+v", got, i.State, i.Demoted, i.Addresses[0])
					}
					b.stop()
					a.stop()
					if got := holders(a, b); got != "" {
						t.Errorf("after the stop the VIP is on %q", got)
					}
				})
			})
		}
	}
}

// A kernel that fails now and then while the lease runs is no reason to move.
func TestRenewalFailsNowAndThen(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		a := startNode(t, lan, "a", 1, conf(150, "1s"))
		b := startNode(t, lan, "b", 2, conf(100, "1s"))
		await(t, 5*time.Second, "a", a, b)
		faults := &everyNth{n: 2}
		a.kernel.Refuse(func(string, vip.Change) error { return faults.fail() })
		wentNowhere := func(long time.Duration) {
			t.Helper()
			for began := time.Now(); time.Since(began) < long; {
				time.Sleep(10 * time.Millisecond)
				synctest.Wait()
				if got := holders(a, b); got != "a" {
					t.Fatalf("the VIP is on %q", got)
				}
			}
		}
		wentNowhere(30 * time.Second)
		if i := a.instance(); i.Demoted {
			t.Errorf("demoted: %s", i.DemotedWhy)
		}
		if faults.stop() < 5 {
			t.Errorf("only %d renewals failed", faults.failed)
		}
		wentNowhere(2 * time.Second)
		if p := a.instance().Addresses[0].Problem; p != "" {
			t.Errorf("the problem is still in status: %s", p)
		}
		wentNowhere(time.Minute)
	})
}

// A node whose kernel refuses the VIP for good lets the next one serve, says
// why, and does not take the VIP from it every minute.
func TestAddressRefusedForGood(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		a := newNode(t, lan, "a", 1, conf(150, "1s"))
		a.kernel.Refuse(func(_ string, c vip.Change) error {
			if c.Verb == vip.Remove {
				return nil
			}
			return syscall.EACCES
		})
		b := startNode(t, lan, "b", 2, conf(100, "1s"))
		a.start()
		await(t, 7*time.Second, "b", a, b)
		i := a.instance()
		if !i.Demoted || !strings.Contains(i.DemotedWhy, "cannot add 192.0.2.100/24 to eth0: permission denied") {
			t.Errorf("demoted %t: %s", i.Demoted, i.DemotedWhy)
		}
		away := time.Duration(0)
		for began := time.Now(); time.Since(began) < time.Hour; {
			const step = 250 * time.Millisecond
			time.Sleep(step)
			synctest.Wait()
			honest(t, a)
			if holders(a, b) == "" {
				away += step
			}
		}
		t.Logf("measured: nobody served for %v of an hour", away)
		if away > 30*time.Second {
			t.Errorf("nobody served for %v of an hour", away)
		}
		a.kernel.Refuse(nil)
		time.Sleep(time.Hour)
		synctest.Wait()
		if got, i := holders(a, b), a.instance(); got != "a" || i.Demoted || i.Addresses[0].Problem != "" {
			t.Errorf("when it works again the VIP is on %q, a is demoted %t", got, i.Demoted)
		}
	})
}

// faultyNetwork is a network whose sends fail with err, or one of so many.
type faultyNetwork struct {
	transport.Network
	mu           sync.Mutex
	err          error
	every, count int
}

type faultyConn struct {
	transport.Conn
	network *faultyNetwork
}

func (f *faultyNetwork) set(err error) { f.setEvery(err, 1) }

// setEvery has each n-th send fail.
func (f *faultyNetwork) setEvery(err error, n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err, f.every, f.count = err, n, 0
}

// fails tells what the next send fails with.
func (f *faultyNetwork) fails() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.count++; f.every == 0 || f.count%f.every != 0 {
		return nil
	}
	return f.err
}

func (f *faultyNetwork) Listen(ifindex int, ifname string, family vrrp.Family) (transport.Conn, error) {
	c, err := f.Network.Listen(ifindex, ifname, family)
	return &faultyConn{c, f}, err
}

func (c *faultyConn) WriteBatch(src []transport.Packet) (int, error) {
	err := c.network.fails()
	if err == nil {
		return c.Conn.WriteBatch(src)
	}
	var errs []error
	for n := range src {
		errs = append(errs, &transport.WriteError{Index: n, Err: fmt.Errorf("send to %v on eth0: %w", src[n].Destination, err)})
	}
	return 0, joined(errs)
}

// joined is what errors.Join makes of more than nothing.
func joined(errs []error) error { return multiple(errs) }

type multiple []error

func (m multiple) Error() string   { return fmt.Sprint([]error(m)) }
func (m multiple) Unwrap() []error { return m }

// TestSendsFail has the adverts of a master fail: for a moment nothing happens,
// for good the peer takes over and the VIP is not on both, however often the
// mute node tries again.
func TestSendsFail(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		long time.Duration
		mute bool // long enough to give up
	}{
		{"queue full for a moment", syscall.ENOBUFS, 500 * time.Millisecond, false},
		{"queue full for one advert", syscall.ENOBUFS, 1100 * time.Millisecond, false},
		{"queue full for long", syscall.ENOBUFS, 30 * time.Second, true},
		{"network down", syscall.ENETDOWN, time.Minute, true},
		{"filtered", syscall.EPERM, 2 * time.Minute, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, lan *network) {
				a := newNode(t, lan, "a", 1, conf(150, "1s"))
				faults := &faultyNetwork{Network: a.d.opts.Network}
				a.d.opts.Network = faults
				a.start()
				b := startNode(t, lan, "b", 2, conf(100, "1s"))
				await(t, 5*time.Second, "a", a, b)
				time.Sleep(500 * time.Millisecond)
				synctest.Wait()
				faults.set(c.err)
				both, nobody, muted := time.Duration(0), time.Duration(0), 0
				for began := time.Now(); time.Since(began) < c.long; {
					const step = 2 * time.Millisecond
					time.Sleep(step)
					synctest.Wait()
					switch holders(a, b) {
					case "a+b":
						both += step
					case "":
						nobody += step
					}
					if time.Since(began)%(100*time.Millisecond) == 0 {
						if i := a.instance(); i.State == "fault" && strings.Contains(i.Reason, "adverts cannot be sent: ") && strings.Contains(i.Reason, c.err.Error()) {
							muted++
						}
					}
				}
				t.Logf("measured: nobody had the VIP for %v, both for %v", nobody, both)
				if both > 0 {
					t.Errorf("both had the VIP for %v", both)
				}
				if nobody > 3*time.Second {
					t.Errorf("nobody had the VIP for %v", nobody)
				}
				if (muted > 0) != c.mute {
					t.Errorf("in fault for it %d times", muted)
				}
				if c.mute && holders(a, b) != "b" {
					t.Errorf("in the end the VIP is on %q", holders(a, b))
				}
				faults.set(nil)
				await(t, 2*time.Minute, "a", a, b)
				time.Sleep(5 * time.Second)
				synctest.Wait()
				if got := holders(a, b); got != "a" {
					t.Errorf("after it works again the VIP is on %q", got)
				}
			})
		})
	}
}

// deafNode is a node whose watcher can be made to miss what happens.
func deafNode(t *testing.T, lan *network, conf string) (n *node, deafen func(bool)) {
	t.Helper()
	var mu sync.Mutex
	deaf := false
	n = newNode(t, lan, "a", 1, conf)
	n.d.opts.Watch = func(ctx context.Context, deliver func([]vip.LinkState), trouble func(error)) error {
		return n.kernel.Watch(ctx, func(s []vip.LinkState) {
			mu.Lock()
			skip := deaf
			mu.Unlock()
			if !skip {
				deliver(s)
			}
		}, trouble)
	}
	return n, func(on bool) {
		mu.Lock()
		defer mu.Unlock()
		deaf = on
	}
}

// What was removed without anybody hearing of it comes back with the next
// audit, whatever keeps the address.
func TestAuditRepairsWhatNobodyTold(t *testing.T) {
	for _, lease := range []string{"auto", "off"} {
		t.Run(lease, func(t *testing.T) {
			inBubble(t, func(t *testing.T, lan *network) {
				a, deafen := deafNode(t, lan, conf(150, "1s", fmt.Sprintf("lease = %q", lease)))
				a.start()
				await(t, 5*time.Second, "a", a)
				time.Sleep(auditEvery)
				deafen(true)
				for range 3 {
					a.kernel.Delete("eth0", testVIP)
					synctest.Wait()
					if a.holds(testVIP) {
						t.Fatal("it was told after all")
					}
					took := await(t, auditEvery, "a", a)
					t.Logf("measured: repaired after %v", took)
					time.Sleep(7 * time.Second)
					synctest.Wait()
				}
				if i := a.instance(); lease == "off" && i.Counters.AddressesRepaired != 3 {
					t.Errorf("%d repairs counted, want 3", i.Counters.AddressesRepaired)
				}
				deafen(false)
				a.stop()
			})
		})
	}
}

// A hook that cannot start is counted and told, and holds nothing up.
func TestHookCannotStart(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		hook := "[[notify]]\nexec = [\"/no/such/hook\"]"
		a := startNode(t, lan, "a", 1, conf(150, "1s", hook))
		took := await(t, 5*time.Second, "a", a)
		if want := down(time.Second, 150); took > want+time.Millisecond {
			t.Errorf("master after %v, want %v", took, want)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		var st *control.Status = a.status()
		if st.Daemon.HooksFailed != 2 || a.log.count("hook failed") != 2 || a.log.count("/no/such/hook: no such file or directory") != 2 {
			t.Errorf("%d failures counted; log:\n%s", st.Daemon.HooksFailed, a.log)
		}
		a.stop()
	})
}

// A node whose one address is a VIP that somebody put there cannot send from it: the
// fault says so, also when the address came later.
func TestVirtualAddressAlone(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		kernel := vip.NewFake("eth0")
		a := newNodeOn(t, lan, kernel, "a", 1, conf(150, "1s"))
		a.start()
		defer a.stop()
		says := func(want string) {
			t.Helper()
			synctest.Wait()
			if i := a.instance(); i.State != "fault" || i.Reason != want {
				t.Errorf("%s: %s; want fault: %s", i.State, i.Reason, want)
			}
		}
		says("interface eth0 has no ipv4 address to send from")
		kernel.Install("eth0", testVIP, 0)
		says("interface eth0 has no ipv4 address of its own to send from, only the virtual 192.0.2.100: give it another one, or set priority = 255 if this host owns 192.0.2.100")
		kernel.Delete("eth0", testVIP)
		says("interface eth0 has no ipv4 address to send from")
	})
}
