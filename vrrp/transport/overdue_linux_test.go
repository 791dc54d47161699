package transport

import (
	"errors"
	"net"
	"testing"
	"time"
)

// A ring says that whoever waits is overdue only if it came when it should.
func TestOverdueLook(t *testing.T) {
	const by = 2 * time.Millisecond
	at := func(us time.Duration) time.Time { return time.Unix(1_000_000, 0).Add(us * time.Microsecond) }
	for _, tt := range []struct {
		name                 string
		deadline, asked, now time.Duration
		again                time.Duration // 0 for none
		over                 bool
	}{
		{"no deadline", 0, 0, 50_000, 0, false},
		{"in time", 10_000, 0, 12_000, 0, true},
		{"a little late", 10_000, 0, 12_900, 0, true},
		{"the kernel was late", 10_000, 0, 13_100, 15_100, false},
		{"asked for after that, and in time", 10_000, 15_100, 15_200, 0, true},
		{"asked for after that, and late again", 10_000, 15_100, 16_200, 18_200, false},
		{"early", 10_000, 0, 11_900, 12_000, false},
		{"he came back meanwhile", 20_000, 12_000, 12_100, 22_000, false},
		{"he came back meanwhile and is late again", 20_000, 15_000, 22_100, 0, true},
	} {
		o := &overdue{began: at(0)}
		o.deadline.Store(int64(tt.deadline * time.Microsecond))
		asked := time.Time{}
		if tt.asked != 0 {
			asked = at(tt.asked)
		}
		again, over := o.look(at(tt.now), asked, by)
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
			_, err := k.Wait(first.Add(time.Duration(n) * 5 * time.Millisecond))
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

// Whoever has time is not overdue, however long he takes.
func TestOverdueHasTime(t *testing.T) {
	k := newKernel(t)
	result := listenOverdue(t, k, time.Millisecond)
	for n, until := range []time.Time{time.Now().Add(time.Hour), {}, time.Now().Add(2 * time.Hour)} {
		k.Wake()
		_, err := k.Wait(until)
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

// A deadline that moves on has the alarm ring too early, which tells nothing.
func TestOverdueTooEarly(t *testing.T) {
	k := newKernel(t)
	result := listenOverdue(t, k, time.Millisecond)
	first := time.Now().Add(10 * time.Millisecond)
	for _, until := range []time.Time{first, first.Add(time.Hour), first.Add(2 * time.Hour)} {
		k.Wake()
		_, err := k.Wait(until)
		must(t, err)
	}
	must(t, k.late.alarmRings(first))
	select {
	case err := <-result:
		t.Fatalf("overdue, %v", err)
	case <-time.After(30 * time.Millisecond):
	}
}

// alarmRings has the alarm ring at a time, as if it had been left there.
func (o *overdue) alarmRings(at time.Time) error {
	if errno := setTimer(o.alarm.fd, time.Now(), at); errno != 0 {
		return errno
	}
	return nil
}
