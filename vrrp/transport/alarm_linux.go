package transport

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// alarm is a timer that may ring too early. To set one costs a system call, and
// often has the kernel program the hardware; but most of the time packets come
// long before the deadline, and then it only ever moves on. So it is set again not
// before it is about to ring.
type alarm struct {
	fd int       // of timerfd
	at time.Time // zero when it is off

	// asked is when arm was called last, and cycle the longest time between two
	// calls since the alarm was set, earlier that before.
	asked          time.Time
	cycle, earlier time.Duration
}

// arm has the alarm ring at a time, or before that; zero is never.
func (a *alarm) arm(now, until time.Time) unix.Errno {
	if !a.asked.IsZero() {
		a.cycle = max(a.cycle, now.Sub(a.asked))
	}
	a.asked = now
	if until.IsZero() && a.at.IsZero() {
		return 0
	}
	if !a.at.IsZero() && !until.Before(a.at) && a.at.Sub(now) > max(a.cycle, a.earlier)*3/2 {
		return 0 // somebody else wakes first
	}
	a.cycle, a.earlier = 0, a.cycle
	return a.set(now, until)
}

// set has it ring at a time, and not before. What it had to tell is void.
func (a *alarm) set(now, until time.Time) unix.Errno {
	a.at = until
	return setTimer(a.fd, now, until)
}

// setTimer sets a timerfd; zero is never.
func setTimer(fd int, now, until time.Time) unix.Errno {
	t := unix.ItimerSpec{}
	if !until.IsZero() {
		t.Value = unix.NsecToTimespec(max(1, int64(until.Sub(now))))
	}
	_, _, errno := unix.RawSyscall6(unix.SYS_TIMERFD_SETTIME, uintptr(fd), 0, uintptr(unsafe.Pointer(&t)), 0, 0, 0)
	return errno
}
