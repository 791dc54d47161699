package notify

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// ordinary calls start on a thread whose children are of ordinary priority,
// however urgent this process is. The thread itself stays urgent: were it made
// to wait for a busy host, all of the process that needs what it holds would
// wait with it. Nor do they get the capabilities that systemd gave to this
// process when it runs as a user of its own; the thread itself keeps them.
func ordinary(start func() error) error {
	runtime.LockOSThread()
	// Before Linux 4.3 there are none, and to clear what is clear is no error.
	_ = unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
	attr, err := unix.SchedGetAttr(0, 0)
	if err != nil || attr.Policy == unix.SCHED_NORMAL && attr.Nice >= 0 {
		defer runtime.UnlockOSThread()
		return start()
	}
	attr.Flags |= unix.SCHED_FLAG_RESET_ON_FORK
	if err := unix.SchedSetAttr(0, attr, 0); err != nil {
		defer runtime.UnlockOSThread()
		return start()
	}
	err = start()
	if inherited() == nil {
		runtime.UnlockOSThread()
	} // else the thread ends with its goroutine, unless it is the first, and has no other
	return err
}

// inherited has children of this thread scheduled as it is, which may have become
// more or less urgent meanwhile. Only the privileged may ask for that.
func inherited() error {
	attr, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		return err
	}
	attr.Flags &^= unix.SCHED_FLAG_RESET_ON_FORK
	return unix.SchedSetAttr(0, attr, 0)
}

// demote makes a child ordinary whose thread became urgent in the moment that it was
// made.
func demote(child int) {
	attr, err := unix.SchedGetAttr(child, 0)
	if err != nil || attr.Policy != unix.SCHED_RR && attr.Policy != unix.SCHED_FIFO {
		return
	}
	const level = 20 // as the kernel returns it, 20 is nice 0
	nice, err := unix.Getpriority(unix.PRIO_PROCESS, child)
	if err != nil {
		return
	}
	// It may have ended, or be of a user whose processes are not ours to change.
	_ = unix.SchedSetAttr(child, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL, Nice: int32(level - nice)}, 0)
}
