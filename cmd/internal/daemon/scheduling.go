package daemon

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// realtimePriority is the lowest of SCHED_RR: ahead of every ordinary process,
// behind whatever else the host runs in real time.
const realtimePriority = 1

// scheduling changes how all threads of this process get their turn.
type scheduling struct{ before unix.SchedAttr } // as the process was started

func newScheduling() (*scheduling, error) {
	before, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		return nil, err
	}
	before.Runtime = 0 // to set what the kernel has chosen would fix it
	return &scheduling{*before}, nil
}

// chosen tells whether whoever started the process has it in real time, and so always.
func (s *scheduling) chosen() bool {
	return s.before.Policy == unix.SCHED_RR || s.before.Policy == unix.SCHED_FIFO
}

// realtime puts all threads ahead of every ordinary process.
func (s *scheduling) realtime() error {
	return scheduleThreads(unix.SchedAttr{Policy: unix.SCHED_RR, Priority: realtimePriority}, 0)
}

// ordinary gives all threads but one back what the process was started with.
func (s *scheduling) ordinary(but int) error { return scheduleThreads(s.before, but) }

// cloneTime is longer than the kernel takes to make a thread.
const cloneTime = 2 * time.Millisecond

// scheduleThreads changes all threads but one, until none is left that was made
// meanwhile by one not changed yet. The kernel copies how that one is scheduled some
// time before the new thread can be seen: so it looks once more after a while. Those
// that can be changed are, also when others cannot.
func scheduleThreads(attr unix.SchedAttr, but int) error {
	done := map[string]bool{}
	var failed error
	for settled := false; ; {
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
			if err := scheduleThread(e.Name(), attr, but); err != nil {
				failed = err
			}
		}
		if !fresh && settled {
			return failed
		}
		if settled = !fresh; settled {
			time.Sleep(cloneTime)
		}
	}
}

// scheduleThread changes one thread, unless it has ended.
func scheduleThread(name string, attr unix.SchedAttr, but int) error {
	tid, err := threadID("/proc/self/task/" + name + "/status")
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) || err == nil && tid == but {
		return nil
	}
	if err != nil {
		return err
	}
	// A thread that starts a program has its child ordinary, and only the
	// privileged may undo that.
	if now, err := unix.SchedGetAttr(tid, 0); err == nil {
		attr.Flags |= now.Flags & unix.SCHED_FLAG_RESET_ON_FORK
	}
	attr.Size = unix.SizeofSchedAttr
	if err := unix.SchedSetAttr(tid, &attr, 0); !errors.Is(err, unix.ESRCH) {
		return err
	}
	return nil
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
