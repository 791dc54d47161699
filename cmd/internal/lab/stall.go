package lab

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A Stall is a time in which a processor ran not even who is ahead of all programs:
// the kernel was in the midst of something, or the machine below did not run the
// processor. A timer that was set there does not ring meanwhile, so no program can be
// in time.
type Stall struct {
	Processor int
	Began     time.Time
	Length    time.Duration
}

const (
	// stallLeast is worth telling, stallPeriod how often each processor is looked at.
	stallLeast  = 4 * time.Millisecond
	stallPeriod = 2 * time.Millisecond
	// stallPriority is ahead of all but the kernel.
	stallPriority = 99
)

// TellStalls writes a line for each stall of one of the processors that it may run on,
// for [ParseStalls], and an empty one when it has begun to watch. It is for a process
// of its own, whose other threads are not in its way, and returns when it fails.
func TellStalls(w io.Writer) error {
	var allowed unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		return os.NewSyscallError("sched_getaffinity", err)
	}
	debug.SetGCPercent(-1)
	count := allowed.Count()
	runtime.GOMAXPROCS(count + 2)
	ready, stalls, failed := make(chan bool), make(chan Stall, 1000), make(chan error)
	for cpu := 0; count > 0; cpu++ {
		if allowed.IsSet(cpu) {
			count--
			go func() { failed <- watchProcessor(cpu, ready, stalls) }()
			select {
			case <-ready:
			case err := <-failed:
				return err
			}
		}
	}
	_, err := fmt.Fprintln(w)
	for err == nil {
		select {
		case s := <-stalls:
			_, err = fmt.Fprintln(w, s.Processor, s.Began.UnixNano(), int64(s.Length))
		case err = <-failed:
		}
	}
	return err
}

// watchProcessor tells the stalls of one processor.
func watchProcessor(cpu int, ready chan<- bool, stalls chan<- Stall) error {
	runtime.LockOSThread()
	var only unix.CPUSet
	only.Set(cpu)
	if err := unix.SchedSetaffinity(0, &only); err != nil {
		return os.NewSyscallError("sched_setaffinity", err)
	}
	attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: stallPriority}
	if err := unix.SchedSetAttr(0, &attr, 0); err != nil {
		return os.NewSyscallError("sched_setattr", err)
	}
	ready <- true
	nap := unix.NsecToTimespec(int64(stallPeriod))
	for last := time.Now(); ; {
		if err := unix.Nanosleep(&nap, nil); err != nil && err != unix.EINTR {
			return os.NewSyscallError("nanosleep", err)
		}
		now := time.Now()
		if length := now.Sub(last) - stallPeriod; length > stallLeast {
			stalls <- Stall{cpu, now.Add(-length), length}
			now = time.Now()
		}
		last = now
	}
}

// ParseStalls reads what TellStalls has written so far, and tells whether it watches.
func ParseStalls(text string) (stalls []Stall, watches bool) {
	for line := range strings.Lines(text) {
		var s Stall
		var began int64
		if line == "\n" {
			watches = true
		} else if n, _ := fmt.Sscan(line, &s.Processor, &began, &s.Length); n == 3 && strings.HasSuffix(line, "\n") {
			s.Began = time.Unix(0, began)
			stalls = append(stalls, s)
		}
	}
	return stalls, watches
}
