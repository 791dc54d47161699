package vip

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// sendLimit is how many frames are sent at once, with sendPause before the
	// next: hosts queue about a thousand received frames, and of too many at
	// once they drop some, among them what clients ask.
	sendLimit = 128
	// sendPatience is how long a full queue may hold up one batch in all.
	sendPatience = 250 * time.Millisecond
	sendPause    = 1 * time.Millisecond
)

// packetSocket sends Ethernet frames on any interface. It never receives:
// its protocol is 0.
type packetSocket struct{ fd int }

func dialPacket() (*packetSocket, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("packet socket: %w", os.NewSyscallError("socket", err))
	}
	return &packetSocket{fd}, nil
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
	to := unix.RawSockaddrLinklayer{Family: unix.AF_PACKET, Ifindex: int32(index), Halen: 6}
	iovs := make([]unix.Iovec, len(frames))
	msgs := make([]mmsghdr, len(frames))
	for i, f := range frames {
		iovs[i].Base = &f[0]
		iovs[i].SetLen(len(f))
		msgs[i].Name = (*byte)(unsafe.Pointer(&to))
		msgs[i].Namelen = unix.SizeofSockaddrLinklayer
		msgs[i].Iov = &iovs[i]
		msgs[i].SetIovlen(1)
	}
	failed, err := sendAll(len(msgs), func(from int) (int, error) {
		if from > 0 {
			time.Sleep(sendPause)
		}
		return s.sendmmsg(msgs[from:min(from+sendLimit, len(msgs))])
	}, func() { time.Sleep(sendPause) })
	runtime.KeepAlive(frames)
	if err != nil {
		return fmt.Errorf("%d of %d frames could not be sent: %w", failed, len(frames), err)
	}
	return nil
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
			return n - at, err
		default:
			if err == nil {
				err = errors.New("nothing was sent")
			}
			if first == nil {
				first = err
			}
			failed++
			at++
		}
	}
	return failed, first
}
