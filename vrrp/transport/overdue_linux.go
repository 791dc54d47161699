package transport

import (
	"net"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// overdue rings when whoever waits has not come back for a while after its
// deadline. Another thread listens to that, so it may be one of another priority.
type overdue struct {
	alarm    alarm
	by       atomic.Int64 // nanoseconds; 0 while nobody listens
	deadline atomic.Int64 // of the last Wait, in nanoseconds after began; 0 for none
	began    time.Time
}

// interruptLate is how late the kernel itself must be for a ring to say nothing
// about whoever waits: the machine stood still.
const interruptLate = time.Millisecond

// Overdue returns nil when a Wait has had a deadline that has passed by that much and
// the next one has not begun. Otherwise it returns [net.ErrClosed], after Close, or
// what failed. It holds the thread of the caller, one of whom there may be at a time.
func (k *Kernel) Overdue(by time.Duration) error {
	fd, err := k.listenOverdue(by)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	defer k.late.by.Store(0)
	k.Wake() // whoever waits already, for a deadline that is not known here
	var rings [8]byte
	for asked := (time.Time{}); ; {
		if _, err := unix.Read(fd, rings[:]); err != nil && err != unix.EINTR {
			return os.NewSyscallError("read", err)
		}
		over := false
		if asked, over = k.late.look(time.Now(), asked, by); over {
			return nil
		}
		if err := k.ringOverdue(asked); err != nil {
			return err
		}
	}
}

// look tells at a ring, which was asked for at a time or by whoever waits, whether he
// is overdue. If not it tells when to ring again; zero is when he asks for it.
func (o *overdue) look(now, asked time.Time, by time.Duration) (again time.Time, over bool) {
	deadline := o.deadline.Load()
	if deadline == 0 {
		return time.Time{}, false
	}
	due := o.began.Add(time.Duration(deadline) + by)
	if now.Before(due) { // the alarm was left at an earlier time, or he came back
		return due, false
	}
	if asked.Before(due) {
		asked = due
	}
	if now.Sub(asked) > interruptLate {
		return now.Add(by), false
	}
	return time.Time{}, true
}

// listenOverdue returns a descriptor that stays when the network is closed.
func (k *Kernel) listenOverdue(by time.Duration) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return -1, net.ErrClosed
	}
	fd, err := unix.FcntlInt(uintptr(k.late.alarm.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("fcntl", err)
	}
	k.late.deadline.Store(0)
	k.late.by.Store(int64(by))
	return fd, nil
}

// ringOverdue has the alarm ring at a time, beside what whoever waits sets.
func (k *Kernel) ringOverdue(at time.Time) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return net.ErrClosed
	}
	if at.IsZero() {
		return nil
	}
	if errno := setTimer(k.late.alarm.fd, time.Now(), at); errno != 0 {
		return os.NewSyscallError("timerfd_settime", errno)
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
	o.deadline.Store(max(1, int64(until.Sub(o.began))))
	return o.alarm.arm(now, until.Add(by))
}
