package transport

import (
	"net"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// overdue rings when whoever waits has not come back for a while after its
// deadline. Another thread listens to that, so it may be one of another priority: once
// it listens it takes no lock that an ordinary thread may hold.
type overdue struct {
	alarm    alarm        // is of whoever waits, but for its descriptor
	by       atomic.Int64 // nanoseconds; 0 while nobody listens
	deadline atomic.Int64 // of the last Wait, in nanoseconds after began; 0 for none
	began    time.Time
	closed   atomic.Bool
}

// Overdue returns nil when a Wait has had a deadline that has passed by that much and
// the next one has not begun; a Wait under way has to return at once, for the call
// wakes it. Otherwise it returns [net.ErrClosed], after Close, or what failed. It
// holds the thread of the caller, one of whom there may be at a time.
func (k *Kernel) Overdue(by time.Duration) error {
	fd, err := k.listenOverdue()
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	defer k.late.by.Store(0)
	now := time.Now()
	k.late.deadline.Store(k.late.since(now))
	k.late.by.Store(int64(by))
	k.Wake()
	var rings [8]byte
	for ring := now.Add(by); ; {
		if err := k.late.ring(fd, ring, by); err != nil {
			return err
		}
		if _, err := unix.Read(fd, rings[:]); err != nil && err != unix.EINTR {
			return os.NewSyscallError("read", err)
		}
		over := false
		if ring, over = k.late.look(time.Now(), by); over {
			return nil
		}
	}
}

// listenOverdue returns a descriptor that stays when the network is closed.
func (k *Kernel) listenOverdue() (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return -1, net.ErrClosed
	}
	fd, err := unix.FcntlInt(uintptr(k.late.alarm.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("fcntl", err)
	}
	return fd, nil
}

// since turns a time into one that is kept; none is zero.
func (o *overdue) since(t time.Time) int64 { return max(1, int64(t.Sub(o.began))) }

// look tells at a ring whether somebody is overdue; if not, when to ring again, and
// zero is when whoever waits asks for it.
func (o *overdue) look(now time.Time, by time.Duration) (again time.Time, over bool) {
	deadline := o.deadline.Load()
	if deadline == 0 {
		return time.Time{}, false
	}
	due := o.began.Add(time.Duration(deadline) + by)
	if now.Before(due) { // the alarm was left at an earlier time, or he came back
		return due, false
	}
	return time.Time{}, true
}

// ring has the alarm ring at a time, beside what whoever waits sets, and not later
// than for him.
func (o *overdue) ring(fd int, at time.Time, by time.Duration) error {
	for !at.IsZero() {
		if errno := setTimer(fd, time.Now(), at); errno != 0 {
			return os.NewSyscallError("timerfd_settime", errno)
		}
		// What was set meanwhile is void now.
		deadline := o.deadline.Load()
		due := o.began.Add(time.Duration(deadline) + by)
		if deadline == 0 || !due.Before(at) {
			break
		}
		at = due
	}
	if o.closed.Load() {
		return net.ErrClosed
	}
	return nil
}

// expect is told by whoever waits.
func (o *overdue) expect(now, until time.Time) unix.Errno {
	by := time.Duration(o.by.Load())
	if by == 0 {
		return 0
	}
	if until.IsZero() {
		o.deadline.Store(0)
		return 0
	}
	o.deadline.Store(o.since(until))
	return o.alarm.arm(now, until.Add(by))
}

// close has whoever listens notice.
func (o *overdue) close() {
	o.closed.Store(true)
	if o.alarm.fd >= 0 {
		now := time.Now()
		setTimer(o.alarm.fd, now, now)
	}
}
