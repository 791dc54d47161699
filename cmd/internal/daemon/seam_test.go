package daemon

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-vrrp/holdfast/vip"
)

// brittleKernel fails every n-th call of any kind.
type brittleKernel struct {
	*vip.Fake
	faults *everyNth
}

// Apply fails single changes, and leaves out what fails.
func (k *brittleKernel) Apply(iface string, changes []vip.Change) []error {
	errs := make([]error, len(changes))
	for n := range changes {
		if errs[n] = k.faults.fail(); errs[n] == nil {
			errs[n] = k.Fake.Apply(iface, changes[n:n+1])[0]
		}
	}
	return errs
}

func (k *brittleKernel) Addresses(iface string) ([]vip.Present, error) {
	if err := k.faults.fail(); err != nil {
		return nil, err
	}
	return k.Fake.Addresses(iface)
}

func (k *brittleKernel) Announce(iface string, form vip.ARPForm, addrs []netip.Addr, wanted func(netip.Addr) bool) error {
	if err := k.faults.fail(); err != nil {
		return err
	}
	return k.Fake.Announce(iface, form, addrs, wanted)
}

func (k *brittleKernel) Sysctl(path string) (string, error) {
	if err := k.faults.fail(); err != nil {
		return "", err
	}
	return k.Fake.Sysctl(path)
}

func (k *brittleKernel) SetSysctl(path, value string) error {
	if err := k.faults.fail(); err != nil {
		return err
	}
	return k.Fake.SetSysctl(path, value)
}

// at sets which calls fail from now on.
func (e *everyNth) at(n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.n = n
}

// TestKernelFailsEveryNth has every n-th call of any kind fail while links come and
// go and somebody removes, changes and takes the VIP: status never claims a VIP
// that is not there, and once the kernel works again all is as it should be.
func TestKernelFailsEveryNth(t *testing.T) {
	for _, n := range []int{1, 2, 3, 7} {
		for _, lease := range []string{"auto", "off"} {
			t.Run(fmt.Sprintf("%d, lease %s", n, lease), func(t *testing.T) {
				inBubble(t, func(t *testing.T, lan *network) {
					more := `lease = "` + lease + `"`
					a, b := newNode(t, lan, "a", 1, conf(150, "1s", more)), newNode(t, lan, "b", 2, conf(100, "1s", more))
					faults := &everyNth{}
					a.d.opts.Kernel = &brittleKernel{a.kernel, faults}
					a.start()
					b.start()
					await(t, 5*time.Second, "a", a, b)
					faults.at(n)
					somebody := []func(){
						func() { a.kernel.SetCarrier("eth0", false) },
						func() { a.kernel.SetCarrier("eth0", true) },
						func() { a.kernel.Delete("eth0", testVIP) },
						func() { a.kernel.Change("eth0", testVIP, 3) },
					}
					nobody := time.Duration(0)
					const step = 50 * time.Millisecond
					for began := time.Now(); time.Since(began) < 3*time.Minute; time.Sleep(step) {
						synctest.Wait()
						honest(t, a)
						if holders(a, b) == "" {
							nobody += step
						}
						if long := time.Since(began); long%(7*time.Second) == 0 {
							somebody[int(long/(7*time.Second))%len(somebody)]()
						}
					}
					a.kernel.SetCarrier("eth0", true)
					failed := faults.stop()
					t.Logf("measured: %d calls failed; nobody had the VIP for %v of 3m", failed, nobody)
					// Six times the carrier goes, and b waits its down time.
					if most := 6*down(time.Second, 100) + 5*time.Second; nobody > most {
						t.Errorf("nobody had the VIP for %v, want at most %v", nobody, most)
					}
					if failed < 3 {
						t.Errorf("only %d calls failed", failed)
					}
					time.Sleep(20 * time.Minute) // also what demotes for a while is over
					synctest.Wait()
					i := a.instance()
					if got := holders(a, b); got != "a" || i.State != "master" || i.Demoted || !i.Addresses[0].Present || i.Addresses[0].Problem != "" || foreignVIP(a) {
						t.Errorf("in the end the VIP is on %q, a is %s, demoted %t, address %+v", got, i.State, i.Demoted, i.Addresses[0])
					}
					b.stop()
					a.stop()
					if got := holders(a, b); got != "" {
						t.Errorf("after the stop the VIP is on %q", got)
					}
					if v, _ := a.kernel.Sysctl("net/ipv4/conf/eth0/promote_secondaries"); v != "0" {
						t.Errorf("after the stop promote_secondaries is %s", v)
					}
				})
			})
		}
	}
}

// TestSendsFailNowAndThen has every n-th batch of adverts fail, with the errors
// that sockets know: single losses move nothing, for good the peer serves.
func TestSendsFailNowAndThen(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.ENOBUFS, syscall.ENETDOWN, syscall.EPERM} {
		for _, n := range []int{1, 2, 3, 7} {
			t.Run(fmt.Sprintf("%v, %d", errno, n), func(t *testing.T) {
				inBubble(t, func(t *testing.T, lan *network) {
					a := newNode(t, lan, "a", 1, conf(150, "1s"))
					network := &faultyNetwork{Network: a.d.opts.Network}
					a.d.opts.Network = network
					a.start()
					b := startNode(t, lan, "b", 2, conf(100, "1s"))
					await(t, 5*time.Second, "a", a, b)
					time.Sleep(500 * time.Millisecond)
					network.setEvery(errno, n)
					for k := range 70_000 {
						time.Sleep(time.Millisecond)
						synctest.Wait()
						if got := holders(a, b); n > 1 && got != "a" || got == "a+b" {
							t.Fatalf("after %d ms the VIP is on %q", k, got)
						}
					}
					i := a.instance()
					if want := map[bool]string{true: "b", false: "a"}[n == 1]; holders(a, b) != want || i.Counters.SendErrors == 0 {
						t.Errorf("the VIP is on %q, %d errors counted", holders(a, b), i.Counters.SendErrors)
					}
					network.set(nil)
					await(t, 2*time.Minute, "a", a, b)
				})
			})
		}
	}
}

// blindKernel cannot list addresses while blind, and counts the attempts.
type blindKernel struct {
	*vip.Fake
	mu    sync.Mutex
	blind bool
	asked int
}

func (k *blindKernel) Addresses(iface string) ([]vip.Present, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.asked++; k.blind {
		return nil, syscall.ENOBUFS
	}
	return k.Fake.Addresses(iface)
}

// set sets whether it is blind, and returns how often it was asked until now.
func (k *blindKernel) set(blind bool) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.blind = blind
	return k.asked
}

// However long the kernel does not tell its addresses and whatever happens
// meanwhile, it is asked again every now and then, not ever more often.
func TestBlindAuditsDoNotAddUp(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		a := newNode(t, lan, "a", 1, conf(150, "1s", ""))
		k := &blindKernel{Fake: a.kernel}
		a.d.opts.Kernel = k
		a.start()
		await(t, 5*time.Second, "a", a)
		k.set(true)
		for range 10 {
			a.kernel.Delete("eth0", testVIP)
			time.Sleep(3*time.Second + 7*time.Millisecond)
		}
		before := k.set(true)
		time.Sleep(10 * time.Second)
		after := k.set(false)
		if most := int(10*time.Second/auditRetry) + 2; after-before > most || after == before {
			t.Errorf("asked %d times in 10 s, want 1 to %d", after-before, most)
		}
		time.Sleep(time.Second)
		before = k.set(false)
		time.Sleep(10 * time.Second)
		if n := k.set(false) - before; n > 2 {
			t.Errorf("asked %d times in 10 s although all is well again", n)
		}
		await(t, time.Second, "a", a)
	})
}

// TestInterfacesCannotBeListed has the kernel's lists fail at the start, and later
// again: it is told once each time, also when it is over, in the log, in status and to
// systemd, which does not hear that the daemon is ready before it is.
func TestInterfacesCannotBeListed(t *testing.T) {
	systemd := listenNotify(t)
	inBubble(t, func(t *testing.T, lan *network) {
		a := newNode(t, lan, "a", 1, conf(150, "1s"))
		works, again := make(chan bool), make(chan error)
		a.d.opts.Watch = func(ctx context.Context, deliver func([]vip.LinkState), trouble func(error)) error {
			trouble(errors.New("list links: the kernel did not answer"))
			<-works
			trouble(nil)
			go func() {
				for err := range again {
					trouble(err)
				}
			}()
			return a.kernel.Watch(ctx, deliver, trouble)
		}
		defer close(again)
		a.start()
		time.Sleep(10 * time.Second)
		if _, err := (backend{a.d}).Reload(t.Context(), "tester"); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if n := a.log.count("interfaces cannot be listed, and no instance starts before they can"); n != 1 {
			t.Errorf("%d lines say that nothing starts, want 1", n)
		}
		if st := a.status(); st.Daemon.ListError != "list links: the kernel did not answer" || st.Instances[0].State != "init" {
			t.Errorf("status says %q, the instance is in %s", st.Daemon.ListError, st.Instances[0].State)
		}
		told := systemd.read()
		if count(told, "READY=1")+count(told, "RELOADING=1") != 0 || count(told, "1 init; interfaces cannot be listed: list links: the kernel did not answer") == 0 {
			t.Errorf("systemd heard %q", told)
		}

		works <- true
		await(t, 5*time.Second, "a", a)
		if told := systemd.read(); count(told, "READY=1") != 1 {
			t.Errorf("when it worked systemd heard %q", told)
		}
		again <- errors.New("list addresses: no buffer space available")
		synctest.Wait()
		if st := a.status(); st.Daemon.ListError == "" || st.Instances[0].State != "master" {
			t.Errorf("later status says %q, the instance is %s", st.Daemon.ListError, st.Instances[0].State)
		}
		again <- nil
		synctest.Wait()
		if e := a.status().Daemon.ListError; e != "" {
			t.Errorf("in the end status says %q", e)
		}
		if unseen, back := a.log.count("what becomes of them is not seen"), a.log.count("interfaces can be listed again"); unseen != 1 || back != 2 {
			t.Errorf("%d lines that it fails again and %d that it works, want 1 and 2", unseen, back)
		}
		a.stop()
	})
}
