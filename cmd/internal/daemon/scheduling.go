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
type scheduling struct {
	before  unix.SchedAttr // as the process was started
	threads map[string]int // the number of each, by its name in /proc/self/task
}

func newScheduling() (*scheduling, error) {
	before, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		return nil, err
	}
	return &scheduling{before: *before, threads: map[string]int{}}, nil
}

// chosen tells whether whoever started the process has it in real time anyway.
func (s *scheduling) chosen() bool {
	return s.before.Policy == unix.SCHED_RR || s.before.Policy == unix.SCHED_FIFO
}

// realtime puts all threads ahead of every ordinary process.
func (s *scheduling) realtime() error {
	return s.all(unix.SchedAttr{Policy: unix.SCHED_RR, Priority: realtimePriority}, 0)
}

// ordinary gives all threads but one back what the process was started with.
func (s *scheduling) ordinary(but int) error { return s.all(s.before, but) }

// cloneTime is longer than the kernel takes to make a thread.
const cloneTime = 2 * time.Millisecond

// all changes all threads, until none is left that was made meanwhile by one not
// changed yet. The kernel copies how that one is scheduled some time before the new
// thread can be seen: so it looks once more after a while.
func (s *scheduling) all(attr unix.SchedAttr, but int) error {
	attr.Size = unix.SizeofSchedAttr
	done := map[string]int{}
	for calm := false; ; {
		entries, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		fresh := false
		for _, e := range entries {
			if _, ok := done[e.Name()]; ok {
				continue
			}
			fresh = true
			tid, err := s.thread(e.Name())
			if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) {
				continue // the thread has ended
			}
			if err != nil {
				return err
			}
			if done[e.Name()] = tid; tid == but {
				continue
			}
			if err := unix.SchedSetAttr(tid, &attr, 0); err != nil && !errors.Is(err, unix.ESRCH) {
				return err
			}
		}
		if !fresh && calm {
			s.threads = done
			return nil
		}
		if calm = !fresh; calm {
			time.Sleep(cloneTime)
		}
	}
}

// thread returns the number of a thread, from the time before if it was there.
func (s *scheduling) thread(name string) (int, error) {
	if tid, ok := s.threads[name]; ok {
		return tid, nil
	}
	return threadID("/proc/self/task/" + name + "/status")
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
