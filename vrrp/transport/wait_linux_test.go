package transport

import (
	"context"
	"errors"
	"net"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// waitAgain waits until Wait returns for a reason of interest: it may be early.
func waitAgain(t *testing.T, k *Kernel, until time.Time, enough func([]Place) bool) []Place {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		ready, err := k.Wait(until)
		must(t, err)
		if enough(ready) {
			return ready
		}
	}
	t.Fatal("Wait did not return for 10 s")
	return nil
}

func TestWaitForPackets(t *testing.T) {
	a, b := newPair(t)
	k := newKernel(t)
	to := map[vrrp.Family]Conn{vrrp.IPv4: b.listenOn(t, k, vrrp.IPv4), vrrp.IPv6: b.listenOn(t, k, vrrp.IPv6)}
	for f, p := range map[vrrp.Family]Packet{
		vrrp.IPv4: {Source: a4, Destination: vrrp.GroupIPv4, Payload: []byte("x")},
		vrrp.IPv6: {Source: a6, Destination: vrrp.GroupIPv6, Payload: []byte("x")},
	} {
		from := a.listen(t, f)
		time.AfterFunc(10*time.Millisecond, func() { mustWrite(t, from, p, p) })
		want := Place{b.index, f}
		there := func(ready []Place) bool { return slices.Contains(ready, want) }
		waitAgain(t, k, time.Time{}, there)
		if n, err := to[f].ReadBatch(make([]Packet, 1)); n != 1 || err != nil {
			t.Fatalf("ReadBatch = %d, %v", n, err)
		}
		waitAgain(t, k, time.Now().Add(time.Hour), there) // for the second
		if n, err := to[f].ReadBatch(make([]Packet, 2)); n != 1 || err != nil {
			t.Fatalf("ReadBatch = %d, %v", n, err)
		}
		ready, err := k.Wait(time.Now().Add(5 * time.Millisecond))
		if len(ready) != 0 || err != nil {
			t.Errorf("without a packet: %v, %v", ready, err)
		}
	}
	// What waits at a Conn that is closed does not count any more.
	from := a.listen(t, vrrp.IPv4)
	witness := b.listen(t, vrrp.IPv4)
	mustWrite(t, from, Packet{Source: a4, Destination: vrrp.GroupIPv4, Payload: []byte("x")})
	read(t, witness, 1)
	must(t, to[vrrp.IPv4].Close())
	if ready, err := k.Wait(time.Now()); len(ready) != 0 || err != nil {
		t.Errorf("after Close: %v, %v", ready, err)
	}
}

func TestWaitForTheTime(t *testing.T) {
	k := newKernel(t)
	for _, wait := range []time.Duration{-time.Second, 0, 1, 50 * time.Microsecond, time.Millisecond, 30 * time.Millisecond} {
		until := time.Now().Add(wait)
		waitAgain(t, k, until, func([]Place) bool { return !time.Now().Before(until) })
	}
	// A time that is taken back does not come.
	_, err := k.Wait(time.Now().Add(time.Millisecond))
	must(t, err)
	woken := time.Now().Add(20 * time.Millisecond)
	time.AfterFunc(time.Until(woken), k.Wake)
	_, err = k.Wait(time.Time{})
	must(t, err)
	if time.Now().Before(woken) {
		t.Error("Wait without a time ended before it was woken")
	}
}

func TestWake(t *testing.T) {
	k := newKernel(t)
	k.Wake()
	k.Wake()
	for _, when := range []string{"before", "meanwhile"} {
		if when == "meanwhile" {
			time.AfterFunc(5*time.Millisecond, k.Wake)
		}
		if ready, err := k.Wait(time.Time{}); len(ready) != 0 || err != nil { // or hangs
			t.Errorf("woken %s: %v, %v", when, ready, err)
		}
	}
	began := time.Now()
	_, err := k.Wait(began.Add(10 * time.Millisecond))
	must(t, err)
	if time.Since(began) < 10*time.Millisecond {
		t.Error("one Wake ended two Waits")
	}
}

// Whoever wakes while another waking is being heard is not lost, and no waking
// after that one is.
func TestWakeWhileOneIsHeard(t *testing.T) {
	k := newKernel(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range 2 {
		go func() {
			for ctx.Err() == nil {
				k.Wake()
				runtime.Gosched()
			}
		}()
	}
	for n := range 2_000 {
		until := time.Now().Add(5 * time.Second)
		_, err := k.Wait(until)
		must(t, err)
		if !time.Now().Before(until) {
			t.Fatalf("nothing was heard for 5 s of those who wake all the time, after %d times", n)
		}
	}
}

func TestKernelClose(t *testing.T) {
	_, b := newPair(t)
	k := newKernel(t)
	c := b.listenOn(t, k, vrrp.IPv4)
	time.AfterFunc(5*time.Millisecond, func() { k.Close() })
	if _, err := k.Wait(time.Time{}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Wait: %v, want %v", err, net.ErrClosed)
	}
	k.Wake()
	must(t, c.Close())
	if err := k.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("second Close: %v, want %v", err, net.ErrClosed)
	}
}

// TestWaitMakesNoGarbage holds for each way in which it ends.
func TestWaitMakesNoGarbage(t *testing.T) {
	k := newKernel(t)
	n := testing.AllocsPerRun(20, func() {
		k.Wake()
		_, err := k.Wait(time.Time{})
		must(t, err)
		_, err = k.Wait(time.Now().Add(time.Microsecond))
		must(t, err)
	})
	if n >= 1 {
		t.Errorf("%v allocations, want 0", n)
	}
}
