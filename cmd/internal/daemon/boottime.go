package daemon

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// slept is how far the wall clock may run away from the monotonic one until it is
// looked whether the machine was suspended.
const slept = time.Millisecond

// askWithin is how long the kernel's answer may take to be believed at once, and
// askMost how often it is asked.
const (
	askWithin = 100 * time.Microsecond
	askMost   = 5
)

// bootClock tells the time since the boot, suspension included, which the kernel
// tells only by a system call. Each turn of the loop asks, and what passes in
// between the monotonic clock has, too, unless the machine was suspended. That
// moves the wall clock as well, which costs nothing to read.
type bootClock struct {
	clocks func() (monotonic, wall time.Duration)
	boot   func() time.Duration

	asked, wall time.Duration // what the clocks said when boot was asked last
	told        time.Duration
}

func newBootClock() *bootClock {
	began := time.Now()
	return &bootClock{boot: boottime, clocks: func() (monotonic, wall time.Duration) {
		now := time.Now()
		return now.Sub(began), time.Duration(now.UnixNano())
	}}
}

// read is not safe for concurrent use.
func (c *bootClock) read() time.Duration {
	now, wall := c.clocks()
	passed := now - c.asked
	if away := wall - c.wall - passed; c.told != 0 && away.Abs() < slept {
		return c.told + passed
	}
	for range askMost {
		c.told = c.boot()
		c.asked, c.wall = c.clocks()
		if c.asked-now < askWithin {
			break
		}
		now = c.asked // this thread had to wait in between
	}
	return c.told
}

// boottime asks the kernel, without telling Go's scheduler: see transport.Kernel
// for what that saves.
func boottime() time.Duration {
	var ts unix.Timespec
	if _, _, errno := unix.RawSyscall(unix.SYS_CLOCK_GETTIME, unix.CLOCK_BOOTTIME, uintptr(unsafe.Pointer(&ts)), 0); errno != 0 {
		return 0
	}
	return time.Duration(ts.Nano())
}
