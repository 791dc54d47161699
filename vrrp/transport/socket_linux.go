package transport

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"

	"github.com/holdfast-vrrp/holdfast/vrrp"
	"golang.org/x/sys/unix"
)

// socket is a raw socket of one family bound to one interface.
type socket struct {
	kernel  *Kernel
	family  vrrp.Family
	ifindex int
	ifname  string

	mu     sync.Mutex // guards all below
	fd     int
	closed bool
	vrids  VRIDs
	others *strangers // nil before the first Admit
}

// ReadBatch implements [Conn].
func (s *socket) ReadBatch(dst []Packet) (int, error) {
	if len(dst) == 0 {
		return 0, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m := &s.kernel.batches
	m.Lock()
	defer m.Unlock()
	for {
		if s.closed {
			return 0, net.ErrClosed
		}
		m.in.prepareReceive(dst, s.family)
		n, errno := recvmmsg(s.fd, m.in.headers[:len(dst)])
		switch {
		case errno == unix.EAGAIN:
			return 0, nil
		case errno != 0:
			return 0, fmt.Errorf("receive %v on %s: %w", s.family, s.ifname, os.NewSyscallError("recvmmsg", errno))
		}
		if n := s.collect(&m.in, dst[:n]); n > 0 {
			s.kernel.read.Add(int64(n))
			return n, nil
		}
	}
}

// collect fills dst with the packets that were read into it and are for us,
// without gaps, and returns how many they are.
func (s *socket) collect(in *batch, dst []Packet) int {
	kept := 0
	for i := range dst {
		if !in.received(i, &dst[i], s.family, s.ifindex) {
			continue
		}
		// Swapped and not copied: two elements must never share a buffer.
		dst[kept], dst[i] = dst[i], dst[kept]
		kept++
	}
	return kept
}

// Admit implements [Conn].
func (s *socket) Admit(vrids VRIDs) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	if s.others != nil && vrids == s.vrids {
		return nil
	}
	if err := s.admit(vrids); err != nil {
		return fmt.Errorf("choose the %v adverts to hear on %s: %w", s.family, s.ifname, err)
	}
	s.vrids = vrids
	return nil
}

// admit lets the new ones in before they cease to be strangers.
func (s *socket) admit(vrids VRIDs) (err error) {
	if s.others == nil {
		if s.others, err = newStrangers(s.ifindex, s.ifname, s.family); err != nil {
			return err
		}
	}
	if err := attach(s.fd, program(vrids, s.family, take, refuse)); err != nil {
		return err
	}
	return attach(s.others.fd, program(vrids, s.family, refuse, take))
}

// Strangers implements [Conn].
func (s *socket) Strangers() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.others == nil {
		return 0
	}
	return s.others.count()
}

// WriteBatch implements [Conn].
func (s *socket) WriteBatch(src []Packet) (sent int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, net.ErrClosed
	}
	m := &s.kernel.batches
	m.Lock()
	defer m.Unlock()
	var errs []error
	fail := func(i int, err error) { errs = append(errs, &WriteError{Index: i, Err: err}) }

	todo := s.prepare(m, src, fail)
	for done := 0; done < todo; {
		n, errno := sendmmsg(s.fd, m.out.headers[done:todo])
		sent += n
		done += n
		if errno != 0 {
			i := m.places[done]
			if errno = s.sendFragments(&m.out, done, &src[i], errno); errno == 0 {
				sent++
			} else {
				fail(i, s.sendError(&src[i], errno))
			}
			done++
		}
	}
	return sent, errors.Join(errs...)
}

// prepare makes a header of each packet that can be sent and returns how many.
func (s *socket) prepare(m *batches, src []Packet, fail func(int, error)) int {
	m.out.grow(len(src))
	m.places = m.places[:0]
	for i := range src {
		if err := sendable(&src[i], s.family, s.ifindex); err != nil {
			fail(i, err)
			continue
		}
		m.out.prepareSend(len(m.places), &src[i], s.family, s.ifindex)
		m.places = append(m.places, i)
	}
	return len(m.places)
}

// sendFragments tries once more with a packet that is refused because it is longer than
// what the interface takes, as a long list of addresses may be: the kernel fragments
// what has a header of its own making.
func (s *socket) sendFragments(out *batch, i int, p *Packet, refused unix.Errno) unix.Errno {
	if refused != unix.EMSGSIZE || s.family != vrrp.IPv4 {
		return refused
	}
	if unix.SetsockoptInt(s.fd, unix.IPPROTO_IP, unix.IP_HDRINCL, 0) != nil {
		return refused
	}
	out.headerless(i, p, s.ifindex)
	_, errno := sendmmsg(s.fd, out.headers[i:i+1])
	if unix.SetsockoptInt(s.fd, unix.IPPROTO_IP, unix.IP_HDRINCL, 1) != nil {
		return refused
	}
	return errno
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

// Close implements [Conn]. When it returns, the socket is gone.
func (s *socket) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	s.closed = true
	// A program that is just being started may keep the socket open a while.
	err := s.kernel.unwatch(s.fd)
	return errors.Join(err, s.others.close(), os.NewSyscallError("close", unix.Close(s.fd)))
}
