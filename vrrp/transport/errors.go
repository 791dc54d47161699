package transport

import (
	"fmt"
	"slices"
	"syscall"
)

// A WriteError says which packet of a batch was not sent, and why.
type WriteError struct {
	// Index is the packet's place in the slice given to WriteBatch.
	Index int
	Err   error
}

func (e *WriteError) Error() string { return fmt.Sprintf("packet %d: %v", e.Index, e.Err) }

// Unwrap returns the cause.
func (e *WriteError) Unwrap() error { return e.Err }

// transient are the errors that pass when the interface comes up, an address
// or a route returns, or the system has memory and descriptors again.
var transient = []syscall.Errno{
	syscall.EADDRNOTAVAIL,
	syscall.EAGAIN,
	syscall.EHOSTDOWN,
	syscall.EHOSTUNREACH,
	syscall.EINTR,
	syscall.EMFILE,
	syscall.ENETDOWN,
	syscall.ENETUNREACH,
	syscall.ENFILE,
	syscall.ENOBUFS,
	syscall.ENODEV,
	syscall.ENOMEM,
	syscall.ENXIO,
}

// Transient reports whether it is worth trying again later without changing
// anything. Of several errors joined into one, all must be so. An error that
// no system call caused, [net.ErrClosed] among them, is not; nor is EPERM,
// which means that CAP_NET_RAW is missing or that a packet filter refuses
// what we send.
func Transient(err error) bool {
	switch e := err.(type) {
	case syscall.Errno:
		return slices.Contains(transient, e)
	case interface{ Unwrap() error }:
		return Transient(e.Unwrap())
	case interface{ Unwrap() []error }:
		causes := e.Unwrap()
		return len(causes) > 0 && !slices.ContainsFunc(causes, func(c error) bool { return !Transient(c) })
	}
	return false
}
