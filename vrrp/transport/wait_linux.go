package transport

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// Kernel is the real network. All its sockets, a timer and a bell are in one
// epoll, which alone is in the runtime's poller: whatever happens wakes one
// thread, which goes on with the goroutine that waits. A channel or a timer of
// Go's would wake others, for each packet.
type Kernel struct {
	file  *os.File // of epoll, in the runtime's poller
	raw   syscall.RawConn
	epoll int
	alarm alarm
	late  overdue
	rung  atomic.Bool // the bell
	look  func(uintptr) bool

	until  time.Time    // of the Wait under way
	looks  int          // of it
	burst  int          // how many in a row returned soon
	read   atomic.Int64 // packets since the Wait before
	events [32]unix.EpollEvent
	n      int
	errno  unix.Errno
	places []Place

	batches batches

	mu     sync.Mutex // guards closed, and descriptors that are used from being closed
	bell   int
	closed bool
}

// What an event is of, beside a socket; those have the index of an interface.
const (
	eventTimer = -1
	eventBell  = -2
)

// New returns the network of the kernel.
func New() (*Kernel, error) {
	k := &Kernel{epoll: -1, alarm: alarm{fd: -1}, bell: -1}
	k.late.alarm.fd, k.late.began = -1, time.Now()
	if err := k.open(); err != nil {
		return nil, errors.Join(err, k.Close())
	}
	return k, nil
}

func (k *Kernel) open() (err error) {
	if k.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	if k.alarm.fd, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK); err != nil {
		return os.NewSyscallError("timerfd_create", err)
	}
	if k.late.alarm.fd, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC); err != nil { // to be waited for
		return os.NewSyscallError("timerfd_create", err)
	}
	if k.bell, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return os.NewSyscallError("eventfd", err)
	}
	if err := errors.Join(k.watch(k.alarm.fd, Place{Interface: eventTimer}), k.watch(k.bell, Place{Interface: eventBell})); err != nil {
		return err
	}
	if err := unix.SetNonblock(k.epoll, true); err != nil { // which the poller asks for
		return os.NewSyscallError("fcntl", err)
	}
	k.file = os.NewFile(uintptr(k.epoll), "epoll")
	k.raw, err = k.file.SyscallConn()
	k.look = func(uintptr) bool {
		k.looks++
		k.n, k.errno = k.ready()
		if k.n == 1 && k.events[0].Fd == eventTimer {
			if now := time.Now(); now.Before(k.until) { // left at an earlier time
				k.n, k.errno = 0, k.alarm.set(now, k.until)
			}
		}
		return k.n > 0 || k.errno != 0 // false waits until something happens
	}
	return err
}

// watch has Wait return when fd is readable.
func (k *Kernel) watch(fd int, p Place) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return net.ErrClosed
	}
	e := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(p.Interface), Pad: int32(p.Family)}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(k.epoll, unix.EPOLL_CTL_ADD, fd, &e))
}

func (k *Kernel) unwatch(fd int) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed { // before its sockets
		return nil
	}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(k.epoll, unix.EPOLL_CTL_DEL, fd, nil))
}

// Wait implements [Network].
func (k *Kernel) Wait(until time.Time, prepare func()) ([]Place, error) {
	if k.late.closed.Load() {
		return nil, net.ErrClosed // the numbers of its descriptors may be others'
	}
	now, read := time.Now(), k.read.Swap(0)
	k.until, k.looks = until, 0
	if until.IsZero() {
		prepare = nil
	}
	if prepare != nil {
		k.until = until.Add(-sharpEarly)
	}
	if errno := k.late.expect(now, until); errno != 0 {
		return nil, os.NewSyscallError("timerfd_settime", errno)
	}
	if !until.IsZero() && !k.until.After(now) {
		k.n, k.errno = k.ready()
	} else if k.errno = k.alarm.arm(now, k.until); k.errno != 0 {
		return nil, os.NewSyscallError("timerfd_settime", k.errno)
	} else if err := k.raw.Read(k.look); err != nil {
		return nil, net.ErrClosed
	} else if !k.soon(now, read) {
		k.burst = 0
	} else if k.burst++; k.burst >= gatherBurst && read < gatherEnough {
		k.gather(now)
	}
	if prepare != nil && k.quiet() && time.Now().Before(until) { // else there is no time to lose
		prepare()
		k.poll(until)
	}
	if k.errno != 0 {
		return nil, os.NewSyscallError("epoll_wait", k.errno)
	}
	k.places = k.places[:0]
	for _, e := range k.events[:k.n] {
		switch e.Fd {
		case eventTimer: // is set anew before the next wait
		case eventBell:
			k.silence()
			// Last: who rings before it is answered by this return, and one who could
			// ring before the bell is emptied would leave it rung and silent for good.
			k.rung.Store(false)
		default:
			k.places = append(k.places, Place{int(e.Fd), vrrp.Family(e.Pad)})
		}
	}
	return k.places, nil
}

// sharpEarly is how long before the time a Wait with a preparation is woken. An idle
// virtual machine wakes up to 150 µs late.
const sharpEarly = 400 * time.Microsecond

// poll asks again and again until something happens, and last after the time has come:
// what arrived while this thread had to wait counts.
func (k *Kernel) poll(until time.Time) {
	for over := false; k.quiet() && !over; {
		over = !time.Now().Before(until)
		k.n, k.errno = k.ready()
	}
}

// quiet reports whether nothing has happened, but perhaps the alarm.
func (k *Kernel) quiet() bool {
	return k.errno == 0 && (k.n == 0 || k.n == 1 && k.events[0].Fd == eventTimer)
}

const (
	// gatherBurst turns in a row that follow the one before within gatherSoon, and had
	// less than gatherEnough packets, make it worth while.
	gatherBurst  = 3
	gatherSoon   = 100 * time.Microsecond
	gatherEnough = 32
	// gatherShare is which part of the time until the deadline packets may gather,
	// gatherMost how long at most, and gatherLeast for how long it is worth it.
	gatherShare = 128
	gatherMost  = time.Millisecond
	gatherLeast = 50 * time.Microsecond
)

// soon reports whether a Wait that began then, after so many packets, was short or none.
func (k *Kernel) soon(began time.Time, read int64) bool {
	return read > 0 && (k.looks == 1 || time.Since(began) < gatherSoon)
}

// gather lets more packets come before those that are there are told of: when
// some came while those before were worked on, a master with many virtual routers
// speaks, and who keeps pace with it has a turn for each handful of packets.
func (k *Kernel) gather(now time.Time) {
	if d := gatherFor(now, k.until); d > 0 {
		nap := unix.NsecToTimespec(int64(d))
		unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&nap)), 0, 0)
		k.n, k.errno = k.ready()
	}
}

// gatherFor is for how long packets may gather.
func gatherFor(now, until time.Time) time.Duration {
	d := gatherMost
	if !until.IsZero() {
		d = min(d, until.Sub(now)/gatherShare)
	}
	if d < gatherLeast {
		return 0
	}
	return d
}

// ready takes what there is, without waiting.
func (k *Kernel) ready() (int, unix.Errno) {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(k.epoll),
			uintptr(unsafe.Pointer(&k.events)), uintptr(len(k.events)), 0, 0, 0)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			return 0, errno
		}
		return int(n), 0
	}
}

// silence empties the bell.
func (k *Kernel) silence() {
	var count [8]byte
	unix.RawSyscall(unix.SYS_READ, uintptr(k.bell), uintptr(unsafe.Pointer(&count)), uintptr(len(count)))
}

// Wake implements [Network].
func (k *Kernel) Wake() {
	if k.rung.Swap(true) {
		return // it has not been heard yet
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return
	}
	one := [8]byte{1} // of whatever order
	unix.RawSyscall(unix.SYS_WRITE, uintptr(k.bell), uintptr(unsafe.Pointer(&one)), uintptr(len(one)))
}

// Close ends Wait. Conns stay open, but nobody can wait for their packets.
func (k *Kernel) Close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return net.ErrClosed
	}
	k.closed = true
	k.late.close() // first: who waits is told so from here on
	var errs []error
	epoll := k.epoll
	if k.file != nil {
		errs = append(errs, k.file.Close())
		epoll = -1
	}
	for _, fd := range []int{epoll, k.alarm.fd, k.late.alarm.fd, k.bell} {
		if fd >= 0 {
			errs = append(errs, unix.Close(fd))
		}
	}
	return errors.Join(errs...)
}
