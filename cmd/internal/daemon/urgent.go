package daemon

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// leastParallel is how many threads may run Go code at a time, at least. Starting
// a program holds one up until the program gets its turn on a busy host or the kernel
// has loaded it, of checks and of hooks two each at most, and a renewal of leases one
// until the kernel is done with other changes.
const leastParallel = 6

// makeUrgent keeps a busy host from delaying adverts: the process runs in real
// time, for now, and its memory stays in RAM. Threads made later inherit both; hooks
// and checks take neither along. The error tells what the host does not permit; the
// scheduling is nil if that is to run in real time.
func makeUrgent() (*scheduling, error) {
	// A number that was set the runtime does not adjust later, for which it would
	// stop all threads.
	runtime.GOMAXPROCS(max(leastParallel, runtime.GOMAXPROCS(0)))
	var errs []error
	s, err := newScheduling()
	if err == nil && !s.chosen() {
		err = s.realtime()
	}
	if err != nil {
		s, errs = nil, append(errs, fmt.Errorf("real-time scheduling: %w", err))
	}
	err = lockMemory()
	if err == nil {
		err = unlockLimited()
	}
	if memoryLocked.Store(err == nil); err != nil {
		errs = append(errs, fmt.Errorf("locked memory: %w", err))
	}
	if len(errs) == 2 { // one line in the log
		return s, fmt.Errorf("%w; %w", errs[0], errs[1])
	}
	return s, errors.Join(errs...)
}

// memoryLocked tells whether the memory of this process stays in RAM.
var memoryLocked atomic.Bool

// lockMemory keeps all memory in RAM, once it is used: what Go has only reserved
// stays out.
func lockMemory() error {
	return unix.Mlockall(unix.MCL_CURRENT | unix.MCL_FUTURE | unix.MCL_ONFAULT)
}

// unlockLimited unlocks the memory again where its amount is limited: what Go
// reserves counts too, and past the limit the kernel gives no memory at all.
func unlockLimited() error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit); err != nil || limit.Cur == unix.RLIM_INFINITY {
		return err
	}
	size := min(limit.Cur, 1<<40) + uint64(os.Getpagesize())
	past, err := unix.Mmap(-1, 0, int(size), unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err == nil { // the limit is not for this process
		return unix.Munmap(past)
	}
	return errors.Join(fmt.Errorf("only %d MiB are permitted", limit.Cur>>20), unix.Munlockall())
}
