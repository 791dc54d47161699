package healthcheck

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
	before, err := unix.SchedGetAttr(0, 0)
	if err != nil || before.Policy == unix.SCHED_NORMAL && before.Nice >= 0 {
		defer runtime.UnlockOSThread()
		return start()
	}
	during := *before
	during.Flags |= unix.SCHED_FLAG_RESET_ON_FORK
	if err := unix.SchedSetAttr(0, &during, 0); err != nil {
		defer runtime.UnlockOSThread()
		return start()
	}
	err = start()
	if unix.SchedSetAttr(0, before, 0) == nil {
		runtime.UnlockOSThread()
	} // else the thread ends with its goroutine, rather than stay as it is
	return err
}

// calm makes a child ordinary whose thread became urgent in the moment that it was
// made.
func calm(child int) {
	attr, err := unix.SchedGetAttr(child, 0)
	if err == nil && (attr.Policy == unix.SCHED_RR || attr.Policy == unix.SCHED_FIFO) {
		// Where it fails, the child has ended, or is as the user has it.
		_ = unix.SchedSetAttr(child, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL}, 0)
	}
}
