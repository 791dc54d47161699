package healthcheck

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// ordinary calls start on a thread of ordinary priority. What it starts
// inherits that, however urgent the rest of this process is.
func ordinary(start func() error) error {
	runtime.LockOSThread()
	before, err := unix.SchedGetAttr(0, 0)
	if err != nil || before.Policy == unix.SCHED_NORMAL && before.Nice >= 0 {
		defer runtime.UnlockOSThread()
		return start()
	}
	plain := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL}
	if err := unix.SchedSetAttr(0, &plain, 0); err != nil {
		defer runtime.UnlockOSThread()
		return start()
	}
	err = start()
	if unix.SchedSetAttr(0, before, 0) == nil {
		runtime.UnlockOSThread()
	} // else the thread ends with its goroutine, rather than stay as it is
	return err
}
