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
		ready, err := k.Wait(until, nil)
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
		ready, err := k.Wait(time.Now().Add(5*time.Millisecond), nil)
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
	if ready, err := k.Wait(time.Now(), nil); len(ready) != 0 || err != nil {
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
	_, err := k.Wait(time.Now().Add(time.Millisecond), nil)
	must(t, err)
	woken := time.Now().Add(20 * time.Millisecond)
	time.AfterFunc(time.Until(woken), k.Wake)
	_, err = k.Wait(time.Time{}, nil)
	must(t, err)
	if time.Now().Before(woken) {
		t.Error("Wait without a time ended before it was woken")
	}
}

// TestWaitSharp compares, on this machine now, how late the two kinds of Wait are.
func TestWaitSharp(t *testing.T) {
	k := newKernel(t)
	const count = 101
	late := map[bool][]time.Duration{}
	prepared := 0
	for range count {
		for _, sharp := range []bool{false, true} {
			var prepare func()
			before := prepared
			if sharp {
				prepare = func() { prepared++ }
			}
			until := time.Now().Add(2 * time.Millisecond)
			ready, err := k.Wait(until, prepare)
			must(t, err)
			by := time.Since(until)
			if prepared > before+1 {
				t.Fatalf("prepared %d times", prepared-before)
			}
			if by < 0 || len(ready) != 0 {
				t.Fatalf("sharp %v: returned %v %v early, although nothing happened", sharp, ready, -by)
			}
			late[sharp] = append(late[sharp], by)
		}
	}
	for _, list := range late {
		slices.Sort(list)
	}
	ordinary, sharp := late[false][count/2], late[true][count/2]
	t.Logf("late by %v, and %v when sharp (medians); prepared %d times of %d", ordinary, sharp, prepared, count)
	if prepared == 0 { // one that wakes too late does not
		t.Error("never prepared")
	}
	if sharp >= ordinary {
		t.Errorf("a sharp Wait is late by %v, another by %v", sharp, ordinary)
	}

	if _, err := k.Wait(time.Now(), func() { t.Error("prepared too late") }); err != nil {
		t.Error(err)
	}
	if _, err := k.Wait(time.Now().Add(time.Millisecond), func() { k.Wake(); time.Sleep(2 * time.Millisecond) }); err != nil || k.rung.Load() {
		t.Errorf("what happened during a long preparation was left: %v", err)
	}
	k.Wake()
	if _, err := k.Wait(time.Time{}, func() { t.Error("prepared for no time") }); err != nil {
		t.Error(err)
	}
	// What happens meanwhile is told at once, also while it polls.
	k.Wake()
	if _, err := k.Wait(time.Now().Add(time.Hour), func() { t.Error("prepared an hour before") }); err != nil {
		t.Error(err)
	}
	k.Wake()
	k.n = 0
	k.poll(time.Now().Add(time.Hour))
	if k.n != 1 || k.events[0].Fd != eventBell {
		t.Errorf("polling ended with %v", k.events[:k.n])
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
		if ready, err := k.Wait(time.Time{}, nil); len(ready) != 0 || err != nil { // or hangs
			t.Errorf("woken %s: %v, %v", when, ready, err)
		}
	}
	began := time.Now()
	_, err := k.Wait(began.Add(10*time.Millisecond), nil)
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
		_, err := k.Wait(until, nil)
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
	if _, err := k.Wait(time.Time{}, nil); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Wait: %v, want %v", err, net.ErrClosed)
	}
	if _, err := k.Wait(time.Now(), nil); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a later Wait: %v, want %v", err, net.ErrClosed)
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
		_, err := k.Wait(time.Time{}, nil)
		must(t, err)
		_, err = k.Wait(time.Now().Add(time.Microsecond), nil)
		must(t, err)
	})
	if n >= 1 {
		t.Errorf("%v allocations, want 0", n)
	}
}

// A deadline that only ever moves on costs no call until it is near, and is kept
// all the same.
func TestAlarmIsLeft(t *testing.T) {
	k := newKernel(t)
	a, began := &k.alarm, time.Now()
	at := func(d time.Duration) time.Time { return began.Add(d) }
	for _, tt := range []struct {
		name            string
		now, until, set time.Duration
	}{
		{"the first", 0, 300, 300},
		{"soon after", 100, 400, 300},
		{"about to ring", 200, 500, 500},
		{"once more", 300, 600, 500},
		{"an earlier deadline", 301, 302, 302},
		{"which rang", 302, 600, 600},
		{"about to ring again", 552, 850, 850},
		{"in no time, but the last took long", 553, 853, 853},
		{"in a burst", 554, 854, 853},
		{"long after it", 753, 1053, 1053},
	} {
		errno := a.arm(at(tt.now*time.Hour), at(tt.until*time.Hour))
		if want := at(tt.set * time.Hour); errno != 0 || !a.at.Equal(want) {
			t.Errorf("%s: %v, set to %v hours; want %v", tt.name, errno, a.at.Sub(began).Hours(), tt.set)
		}
	}
	if errno := a.arm(time.Now(), time.Time{}); errno != 0 || !a.at.IsZero() {
		t.Errorf("off: %v, set to %v", errno, a.at)
	}
}

// An alarm that was left at an earlier time does not end a Wait.
func TestAlarmTooEarly(t *testing.T) {
	k := newKernel(t)
	for range 50 { // where this thread had to wait for its turn, the alarm is set anew
		for range 3 {
			k.Wake()
			_, err := k.Wait(time.Now().Add(30*time.Millisecond), nil)
			must(t, err)
		}
		until := k.alarm.at.Add(30 * time.Millisecond)
		if _, err := k.Wait(until, nil); err != nil || time.Now().Before(until) {
			t.Fatalf("Wait ended %v too early: %v", time.Until(until), err)
		}
		if k.looks >= 3 { // at once, when it rang too early, and in time
			return
		}
	}
	t.Error("the alarm was not left, so that this tests nothing")
}

// Packets gather when others came while those before were worked on, but never for
// more than a small part of the time until the deadline.
func TestGather(t *testing.T) {
	now := time.Now()
	for _, tt := range []struct{ left, want time.Duration }{
		{-time.Second, 0},
		{time.Millisecond, 0},
		{10 * time.Millisecond, 10 * time.Millisecond / gatherShare},
		{30 * time.Millisecond, 30 * time.Millisecond / gatherShare},
		{time.Hour, gatherMost},
	} {
		if got := gatherFor(now, now.Add(tt.left)); got != tt.want {
			t.Errorf("%v before the deadline: %v, want %v", tt.left, got, tt.want)
		}
	}
	if got := gatherFor(now, time.Time{}); got != gatherMost {
		t.Errorf("without a deadline: %v, want %v", got, gatherMost)
	}

	a, b := newPair(t)
	k := newKernel(t)
	from, to := a.listen(t, vrrp.IPv4), b.listenOn(t, k, vrrp.IPv4)
	witness := b.listen(t, vrrp.IPv4)
	advert := Packet{Source: a4, Destination: vrrp.GroupIPv4, Payload: []byte("x")}
	longest := time.Duration(0) // a signal, such as the runtime's, ends a nap
	for range 20 {
		mustWrite(t, from, advert)
		read(t, witness, 1) // it is there
		began := time.Now()
		ready, err := k.Wait(time.Time{}, nil)
		longest = max(longest, time.Since(began))
		if err != nil || !slices.Contains(ready, Place{b.index, vrrp.IPv4}) {
			t.Fatalf("Wait = %v, %v", ready, err)
		}
		if n, err := to.ReadBatch(make([]Packet, 1)); n != 1 || err != nil {
			t.Fatalf("ReadBatch = %d, %v", n, err)
		}
	}
	if longest < gatherMost {
		t.Errorf("nothing gathered for %v, at most for %v", gatherMost, longest)
	}
}

// TestBurst has a master with many virtual routers speak while who hears it runs on
// another processor and keeps pace.
func TestBurst(t *testing.T) {
	a, b := newPair(t)
	k := newKernel(t)
	from, to := a.listen(t, vrrp.IPv4), b.listenOn(t, k, vrrp.IPv4)
	const count, rounds = 255, 10
	adverts := make([]Packet, count)
	for n := range adverts {
		adverts[n] = Packet{Source: a4, Destination: vrrp.GroupIPv4, Payload: []byte("x")}
	}
	turns, packets := 0, make([]Packet, 64)
	hear := func(count int) {
		for heard := 0; heard < count; turns++ {
			ready, err := k.Wait(time.Now().Add(10*time.Second), nil)
			if err != nil || len(ready) == 0 {
				t.Fatalf("heard %d packets of %d, then %v, %v", heard, count, ready, err)
			}
			for {
				n, err := to.ReadBatch(packets)
				must(t, err)
				if heard += n; n < len(packets) {
					break
				}
			}
		}
	}
	// speak sends so many, each by itself so that some are heard alone, and well after
	// whoever hears them has begun to wait.
	speak := func(count int) {
		sent := make(chan error, 1)
		go func() {
			time.Sleep(50 * time.Millisecond)
			for n := range count {
				if _, err := from.WriteBatch(adverts[n : n+1]); err != nil {
					sent <- err
					return
				}
			}
			sent <- nil
		}()
		hear(count)
		must(t, <-sent)
	}
	for range rounds {
		speak(count)
	}
	t.Logf("%d turns for %d bursts of %d packets", turns, rounds, count)
	if turns > rounds*count/12 {
		t.Errorf("%d turns for %d bursts of %d packets", turns, rounds, count)
	}

	// The two adverts of an instance with both families are no burst.
	speak(2)
	speak(2)
	if k.burst >= gatherBurst {
		t.Errorf("%d turns in a row count as a burst after two packets", k.burst)
	}
}
