package daemon

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// realtimePriority is the lowest of SCHED_RR: ahead of every ordinary process,
// behind whatever else the host runs in real time.
const realtimePriority = 1

// leastParallel is how many threads may run Go code at a time, at least. Starting
// a program holds one up until the program gets its turn on a busy host or the kernel
// has loaded it, of checks and of hooks two each at most, and a renewal of leases one
// until the kernel is done with other changes.
const leastParallel = 6

// makeUrgent keeps a busy host from delaying adverts: the process runs in real
// time and its memory stays in RAM. Threads made later inherit both; hooks and
// checks take neither along. The error tells what the host does not permit.
func makeUrgent() error {
	// A number that was set the runtime does not adjust later, for which it would
	// stop all threads.
	runtime.GOMAXPROCS(max(leastParallel, runtime.GOMAXPROCS(0)))
	var errs []error
	if err := scheduleThreads(); err != nil {
		errs = append(errs, fmt.Errorf("real-time scheduling: %w", err))
	}
	err := lockMemory()
	if err == nil {
		err = unlockLimited()
	}
	if memoryLocked.Store(err == nil); err != nil {
		errs = append(errs, fmt.Errorf("locked memory: %w", err))
	}
	if len(errs) == 2 { // one line in the log
		return fmt.Errorf("%w; %w", errs[0], errs[1])
	}
	return errors.Join(errs...)
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

// cloneTime is longer than the kernel takes to make a thread.
const cloneTime = 2 * time.Millisecond

// scheduleThreads changes all threads, until none is left that was made
// meanwhile by one not changed yet. The kernel copies how that one is scheduled some
// time before the new thread can be seen: so it looks once more after a while.
func scheduleThreads() error {
	done := map[string]bool{}
	for calm := false; ; {
		entries, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		fresh := false
		for _, e := range entries {
			if done[e.Name()] {
				continue
			}
			fresh, done[e.Name()] = true, true
			tid, err := threadID("/proc/self/task/" + e.Name() + "/status")
			if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) {
				continue // the thread has ended
			}
			if err != nil {
				return err
			}
			attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: realtimePriority}
			if err := unix.SchedSetAttr(tid, &attr, 0); err != nil && !errors.Is(err, unix.ESRCH) {
				return err
			}
		}
		if !fresh && calm {
			return nil
		}
		if calm = !fresh; calm {
			time.Sleep(cloneTime)
		}
	}
}

// threadID reads the number that system calls of this process know a thread by.
// Where /proc belongs to an outer process namespace the entry's name is another.
func threadID(path string) (int, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if numbers, ok := strings.CutPrefix(line, "NSpid:"); ok {
			fields := strings.Fields(numbers) // the innermost namespace is last
			if len(fields) > 0 {
				return strconv.Atoi(fields[len(fields)-1])
			}
		}
	}
	return 0, fmt.Errorf("no NSpid in %s", path)
}
