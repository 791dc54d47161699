package transport

import (
	"errors"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A ring says that whoever waits is overdue only if he has not come back.
func TestOverdueLook(t *testing.T) {
	const by = 2 * time.Millisecond
	at := func(us time.Duration) time.Time { return time.Unix(1_000_000, 0).Add(us * time.Microsecond) }
	for _, tt := range []struct {
		name          string
		deadline, now time.Duration
		again         time.Duration // 0 for none
		over          bool
	}{
		{"no deadline", 0, 50_000, 0, false},
		{"in time", 10_000, 12_000, 0, true},
		{"late itself", 10_000, 99_000, 0, true},
		{"early", 10_000, 11_900, 12_000, false},
		{"he came back", 20_000, 12_100, 22_000, false},
	} {
		o := &overdue{began: at(0)}
		o.deadline.Store(int64(tt.deadline * time.Microsecond))
		again, over := o.look(at(tt.now), by)
		if over != tt.over || tt.again == 0 && !again.IsZero() || tt.again != 0 && !again.Equal(at(tt.again)) {
			t.Errorf("%s: again %v, over %v", tt.name, again.Sub(at(0)), over)
		}
	}
}

// listenOverdue calls Overdue, and returns when Wait heeds it.
func listenOverdue(t *testing.T, k *Kernel, by time.Duration) <-chan error {
	t.Helper()
	result := make(chan error, 1)
	go func() { result <- k.Overdue(by) }()
	for end := time.Now().Add(10 * time.Second); k.late.by.Load() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("Overdue has not begun after 10 s")
		}
	}
	return result
}

// Whoever does not come back is overdue, and not before his time; after that he is
// not watched any more until somebody asks again.
func TestOverdue(t *testing.T) {
	k := newKernel(t)
	for range 3 {
		const by = 20 * time.Millisecond
		result := listenOverdue(t, k, by)
		first := time.Now().Add(5 * time.Millisecond)
		for n := range 4 { // on a busy machine one of them may be overdue already
			_, err := k.Wait(first.Add(time.Duration(n)*5*time.Millisecond), nil)
			must(t, err)
		}
		must(t, <-result)
		if late := time.Since(first); late < by {
			t.Errorf("overdue %v after the first deadline, want %v", late, by)
		}
		if k.late.by.Load() != 0 {
			t.Error("Wait still tells what it expects")
		}
	}
}

// Whoever never comes, although he was woken, is overdue.
func TestOverdueFromTheStart(t *testing.T) {
	k := newKernel(t)
	must(t, k.Overdue(5*time.Millisecond))
}

// Whoever has time is not overdue, however long he takes.
func TestOverdueHasTime(t *testing.T) {
	k := newKernel(t)
	result := listenOverdue(t, k, time.Minute)
	for n, until := range []time.Time{time.Now().Add(time.Hour), {}, time.Now().Add(2 * time.Hour)} {
		k.Wake()
		_, err := k.Wait(until, nil)
		must(t, err)
		select {
		case err := <-result:
			t.Fatalf("wait %d: overdue, %v", n, err)
		case <-time.After(5 * time.Millisecond):
		}
	}
	must(t, k.Close())
	if err := <-result; !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if err := k.Overdue(time.Millisecond); !errors.Is(err, net.ErrClosed) {
		t.Errorf("begun after Close: %v", err)
	}
}

// An alarm that was left at an earlier time tells nothing.
func TestOverdueTooEarly(t *testing.T) {
	k := newKernel(t)
	result := listenOverdue(t, k, time.Minute)
	k.Wake()
	_, err := k.Wait(time.Now().Add(time.Hour), nil)
	must(t, err)
	now := time.Now()
	if errno := setTimer(k.late.alarm.fd, now, now); errno != 0 {
		t.Fatal(errno)
	}
	select {
	case err := <-result:
		t.Fatalf("overdue, %v", err)
	case <-time.After(20 * time.Millisecond):
	}
}

// A ring that is asked for is not later than one that whoever waits asked for
// meanwhile.
func TestOverdueRing(t *testing.T) {
	k := newKernel(t)
	now := time.Now()
	k.late.deadline.Store(k.late.since(now))
	must(t, k.late.ring(k.late.alarm.fd, now.Add(time.Hour), time.Millisecond))
	var rings [8]byte
	if _, err := unix.Read(k.late.alarm.fd, rings[:]); err != nil {
		t.Error(err)
	}
}
