package vip

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// sendLimit is how many frames are sent without a pause of sendPause: hosts
	// queue about a thousand received frames, and of too many at once they drop
	// some, among them what clients ask.
	sendLimit = 128
	// sendPatience is how long a full queue may hold up one batch in all.
	sendPatience = 250 * time.Millisecond
	sendPause    = 1 * time.Millisecond
)

// packetSocket sends Ethernet frames on any interface. It never receives:
// its protocol is 0.
type packetSocket struct {
	fd   int
	mu   sync.Mutex // guards what follows, and keeps batches apart
	pace pacer
	// What a batch is sent with, kept for the next.
	to   unix.RawSockaddrLinklayer
	iovs []unix.Iovec
	msgs []mmsghdr
}

// pacer tells how many frames may leave. What is done between two batches is as
// good as a pause, so that a large set which is added and announced slice by
// slice hardly ever waits.
type pacer struct {
	sent int       // since the last pause
	last time.Time // when the last one left
}

// allow returns how many frames may leave now; when none may, how long not.
func (p *pacer) allow(now time.Time) (int, time.Duration) {
	quiet := now.Sub(p.last)
	if quiet >= sendPause {
		p.sent = 0
	}
	if p.sent >= sendLimit {
		return 0, sendPause - max(0, quiet)
	}
	return sendLimit - p.sent, 0
}

// left notes that n frames have left.
func (p *pacer) left(n int, now time.Time) { p.sent, p.last = p.sent+n, now }

func dialPacket() (*packetSocket, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("packet socket: %w", os.NewSyscallError("socket", err))
	}
	return &packetSocket{fd: fd}, nil
}

func (s *packetSocket) close() error { return unix.Close(s.fd) }

// mmsghdr is struct mmsghdr of sys/socket.h.
type mmsghdr struct {
	unix.Msghdr
	sent uint32
}

// send sends frames on the interface of an index. When the queue is full it
// waits a little; a frame that cannot be sent is left out and does not keep
// those after it.
func (s *packetSocket) send(index int, frames [][]byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	msgs := s.messages(index, frames)
	defer clear(s.iovs) // of the frames
	failed, err := sendAll(len(msgs), func(from int) (int, error) {
		most, wait := s.pace.allow(time.Now())
		if most == 0 {
			time.Sleep(wait)
			most, s.pace.sent = sendLimit, 0
		}
		n, err := s.sendmmsg(msgs[from:min(from+most, len(msgs))])
		s.pace.left(n, time.Now())
		return n, err
	}, func() { time.Sleep(sendPause) })
	if err != nil {
		return fmt.Errorf("%d of %d frames could not be sent: %w", failed, len(frames), err)
	}
	return nil
}

// messages is what sendmmsg(2) takes for frames on the interface of an index.
func (s *packetSocket) messages(index int, frames [][]byte) []mmsghdr {
	s.to = unix.RawSockaddrLinklayer{Family: unix.AF_PACKET, Ifindex: int32(index), Halen: 6}
	s.iovs, s.msgs = sized(&s.iovs, len(frames)), sized(&s.msgs, len(frames))
	for i, f := range frames {
		s.iovs[i] = unix.Iovec{Base: &f[0]}
		s.iovs[i].SetLen(len(f))
		m := &s.msgs[i]
		m.Name = (*byte)(unsafe.Pointer(&s.to))
		m.Namelen = unix.SizeofSockaddrLinklayer
		m.Iov = &s.iovs[i]
		m.SetIovlen(1)
	}
	return s.msgs
}

func (s *packetSocket) sendmmsg(msgs []mmsghdr) (int, error) {
	n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&msgs[0])), uintptr(len(msgs)), 0, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// sendAll calls send with the number of the first message that was not sent,
// until all are sent or given up. send returns how many it sent, or why the
// first could not be. It returns how many failed, and why the first did.
func sendAll(n int, send func(from int) (int, error), pause func()) (failed int, first error) {
	patience := int(sendPatience / sendPause)
	for at := 0; at < n; {
		sent, err := send(at)
		switch {
		case err == nil && sent > 0:
			at += sent
		case errors.Is(err, unix.EINTR):
		case (errors.Is(err, unix.ENOBUFS) || errors.Is(err, unix.EAGAIN)) && patience > 0:
			patience--
			pause()
		case errors.Is(err, unix.ENETDOWN) || errors.Is(err, unix.ENXIO) || errors.Is(err, unix.ENODEV):
			// The interface is down or gone: so it is for the rest.
			return failed + n - at, cmp.Or(first, err)
		default:
			if err == nil {
				err = errors.New("nothing was sent")
			}
			first = cmp.Or(first, err)
			failed++
			at++
		}
	}
	return failed, first
}
