package vip

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// doorbell waits for what arrives at a socket. What arrives while nobody waits wakes
// no thread: in the runtime's poller itself, a socket wakes one for each datagram.
type doorbell struct {
	file  *os.File // of an epoll that watches the socket alone, once at a time
	conn  syscall.RawConn
	epoll int
	fd    int
}

func newDoorbell(fd int) (d *doorbell, err error) {
	d = &doorbell{fd: fd}
	if d.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(d.epoll, true); err != nil { // which the poller asks for
		return nil, errors.Join(os.NewSyscallError("fcntl", err), unix.Close(d.epoll))
	}
	d.file = os.NewFile(uintptr(d.epoll), "epoll")
	if d.conn, err = d.file.SyscallConn(); err == nil {
		err = d.control(unix.EPOLL_CTL_ADD, 0)
	}
	if err != nil {
		return nil, errors.Join(err, d.file.Close())
	}
	return d, nil
}

func (d *doorbell) control(op int, events uint32) error {
	e := unix.EpollEvent{Events: events | unix.EPOLLONESHOT, Fd: int32(d.fd)}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(d.epoll, op, d.fd, &e))
}

// wait returns when there is something to read, or the file's deadline has passed.
func (d *doorbell) wait() error {
	if err := d.control(unix.EPOLL_CTL_MOD, unix.EPOLLIN); err != nil {
		return err
	}
	var events [1]unix.EpollEvent
	var failure error
	err := d.conn.Read(func(epoll uintptr) bool {
		n, err := unix.EpollWait(int(epoll), events[:], 0)
		if err != nil && err != unix.EINTR {
			failure = os.NewSyscallError("epoll_wait", err)
		}
		return n > 0 || failure != nil
	})
	return errors.Join(err, failure)
}

func (d *doorbell) close() error { return d.file.Close() }
