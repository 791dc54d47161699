package daemon

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// realtimePriority is the lowest of SCHED_RR: ahead of every ordinary process,
// behind whatever else the host runs in real time.
const realtimePriority = 1

// makeUrgent keeps a busy host from delaying adverts: the process runs in real
// time and its memory stays in RAM. Threads made later inherit both; hooks and
// checks take neither along. The error tells what the host does not permit.
func makeUrgent() error {
	var errs []error
	if err := scheduleThreads(); err != nil {
		errs = append(errs, fmt.Errorf("real-time scheduling: %w", err))
	}
	// On fault: what Go has only reserved does not count.
	if err := unix.Mlockall(unix.MCL_CURRENT | unix.MCL_FUTURE | unix.MCL_ONFAULT); err != nil {
		errs = append(errs, fmt.Errorf("locked memory: %w", err))
	}
	return errors.Join(errs...)
}

// scheduleThreads changes all threads, until none is left that was made
// meanwhile by one not changed yet.
func scheduleThreads() error {
	done := map[int]bool{}
	for {
		entries, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		fresh := false
		for _, e := range entries {
			tid, err := strconv.Atoi(e.Name())
			if err != nil || done[tid] {
				continue
			}
			fresh, done[tid] = true, true
			attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: realtimePriority}
			if err := unix.SchedSetAttr(tid, &attr, 0); err != nil && !errors.Is(err, unix.ESRCH) {
				return err
			}
		}
		if !fresh {
			return nil
		}
	}
}
