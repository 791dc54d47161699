package vip

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// A quiet exchange does not tell Go's scheduler of its system calls. To tell would
// wake the runtime's monitor, which then looks around every 20 µs for a while: that
// costs more than all else that a renewal takes. The kernel has answered when the
// request is sent, so that nothing waits as a rule.
//
// Sending does, however, wait for whoever else changes the network, a driver that
// resets its hardware for instance. That thread alone stands still then: orders come
// from a goroutine, and one that goes on by the word of another has the scheduler
// look for further work on a further thread. But if all threads were to be stopped,
// they would have to wait for that one. Who stops them holds [Linux.Stops] therefore.

// beginQuiet makes what follows quiet, unless all threads are about to be stopped.
func (s *rtnl) beginQuiet() { s.quiet = s.stops != nil && s.stops.TryLock() }

// endQuiet ends it, if it was.
func (s *rtnl) endQuiet() {
	if s.quiet {
		s.quiet = false
		s.stops.Unlock()
	}
}

// sendRaw is send(2).
func sendRaw(fd int, b []byte) error {
	_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// recvfromRaw is [recvfrom]. It is for what is there: MSG_DONTWAIT is one of flags.
func recvfromRaw(fd int, b []byte, flags int) (int, error) {
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), uintptr(flags), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
