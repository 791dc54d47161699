package transport

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/holdfast-vrrp/holdfast/vrrp"
	"golang.org/x/sys/unix"
)

// socket is a raw socket of one family bound to one interface.
type socket struct {
	family  vrrp.Family
	ifindex int
	ifname  string

	file   *os.File // the descriptor, in the runtime's poller
	raw    syscall.RawConn
	closed atomic.Bool

	reading sync.Mutex // guards in
	in      turn
	writing sync.Mutex // guards out and places
	out     turn
	places  []int // the place in the caller's slice, of each header of out
}

// turn is one batch on its way through the poller, which calls call. That is
// made once, because a closure made for each turn would be garbage.
type turn struct {
	batch
	call  func(fd uintptr) (done bool)
	todo  []unix.Mmsghdr
	n     int
	errno unix.Errno
}

func newSocket(fd int, ifindex int, ifname string, f vrrp.Family) (*socket, error) {
	s := &socket{family: f, ifindex: ifindex, ifname: ifname}
	s.file = os.NewFile(uintptr(fd), fmt.Sprintf("vrrp %v on %s", f, ifname))
	raw, err := s.file.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, s.file.Close())
	}
	s.raw = raw
	s.in.call = func(fd uintptr) bool {
		s.in.n, s.in.errno = recvmmsg(fd, s.in.todo)
		return s.in.errno != unix.EAGAIN // false waits until the socket is readable
	}
	s.out.call = func(fd uintptr) bool {
		s.out.n, s.out.errno = sendmmsg(fd, s.out.todo)
		return true // a full queue is an error: one interface must not delay another
	}
	return s, nil
}

// ReadBatch implements [Conn].
func (s *socket) ReadBatch(dst []Packet) (int, error) {
	if len(dst) == 0 {
		return 0, nil
	}
	s.reading.Lock()
	defer s.reading.Unlock()
	for {
		s.in.prepareReceive(dst, s.family)
		s.in.todo = s.in.headers[:len(dst)]
		if err := s.raw.Read(s.in.call); err != nil {
			return 0, s.failed("receive", err)
		}
		if s.in.errno != 0 {
			return 0, s.failed("receive", os.NewSyscallError("recvmmsg", s.in.errno))
		}
		if n := s.collect(dst[:s.in.n]); n > 0 {
			return n, nil
		}
	}
}

// collect fills dst with the packets that were read into it and are for us,
// without gaps, and returns how many they are.
func (s *socket) collect(dst []Packet) int {
	kept := 0
	for i := range dst {
		if !s.in.received(i, &dst[i], s.family, s.ifindex) {
			continue
		}
		// Swapped and not copied: two elements must never share a buffer.
		dst[kept], dst[i] = dst[i], dst[kept]
		kept++
	}
	return kept
}

// WriteBatch implements [Conn].
func (s *socket) WriteBatch(src []Packet) (sent int, err error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	var errs []error
	fail := func(i int, err error) { errs = append(errs, &WriteError{Index: i, Err: err}) }

	todo := s.prepare(src, fail)
	for done := 0; done < todo; {
		s.out.todo = s.out.headers[done:todo]
		if err := s.raw.Write(s.out.call); err != nil {
			for _, i := range s.places[done:todo] {
				fail(i, s.failed("send", err))
			}
			return sent, errors.Join(errs...)
		}
		sent += s.out.n
		done += s.out.n
		if s.out.errno != 0 {
			i := s.places[done]
			fail(i, s.sendError(&src[i], s.out.errno))
			done++
		}
	}
	return sent, errors.Join(errs...)
}

// prepare makes a header of each packet that can be sent and returns how many.
func (s *socket) prepare(src []Packet, fail func(int, error)) int {
	s.out.grow(len(src))
	s.places = s.places[:0]
	for i := range src {
		if err := sendable(&src[i], s.family, s.ifindex); err != nil {
			fail(i, err)
			continue
		}
		s.out.prepareSend(len(s.places), &src[i], s.family, s.ifindex)
		s.places = append(s.places, i)
	}
	return len(s.places)
}

// sendError explains why the kernel refused p.
func (s *socket) sendError(p *Packet, errno unix.Errno) error {
	// What sendable lets pass is refused as invalid for one reason: no such
	// address on this host, or one that is tentative still.
	if errno == unix.EINVAL && p.Source.IsValid() {
		errno = unix.EADDRNOTAVAIL
	}
	from := ""
	if p.Source.IsValid() {
		from = fmt.Sprintf("from %v ", p.Source)
	}
	return fmt.Errorf("send %sto %v on %s: %w", from, p.Destination, s.ifname, errno)
}

// failed makes the error of a call that could not do anything.
func (s *socket) failed(verb string, err error) error {
	if s.closed.Load() {
		return net.ErrClosed
	}
	return fmt.Errorf("%s %v on %s: %w", verb, s.family, s.ifname, err)
}

// Close implements [Conn]. When it returns, the socket is gone.
func (s *socket) Close() error {
	if s.closed.Swap(true) {
		return net.ErrClosed
	}
	return s.file.Close()
}
