package vip

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// receiveSize holds the largest datagram that rtnetlink sends.
	receiveSize = 64 << 10
	// batchSize is how much is sent to the kernel at once, in bytes.
	batchSize = 32 << 10
	// ackCost is what one answer takes of the receive buffer, in bytes, with
	// what the kernel accounts beside the message.
	ackCost = 2 << 10
	// receiveBuffer is asked for: a batch of answers, or a burst of
	// notifications.
	receiveBuffer = 4 << 20
	// answerTimeout is how long an answer may take. The kernel answers while
	// the request is being sent, so that this is for the impossible only.
	answerTimeout = 2 * time.Second
)

// errUnanswered is what becomes of a request whose answer was lost.
var errUnanswered = errors.New("the kernel did not answer")

// rtnl is a socket to rtnetlink for requests. It is not safe for concurrent use.
type rtnl struct {
	fd      int
	seq     uint32
	receive []byte
	send    []byte
	// recv is recvfrom(2), and recvRaw is it for the quiet; tests make answers of
	// their own.
	recv, recvRaw func(fd int, b []byte, flags int) (int, error)
	// stops, when not nil, is there to be quiet with, and quiet set while it is held.
	stops *sync.Mutex
	quiet bool
	// acks is how many answers the receive buffer holds.
	acks int
	// What a batch works with, kept for the next.
	errs, answers []error
	todo          []int
}

func dialRTNL() (*rtnl, error) {
	fd, err := routeSocket(0, unix.SOCK_RAW)
	if err != nil {
		return nil, err
	}
	timeout := unix.NsecToTimeval(int64(answerTimeout))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		_ = unix.Close(fd)
		return nil, os.NewSyscallError("setsockopt", err)
	}
	// Each of these only makes answers better; old kernels lack some.
	for _, option := range []int{unix.NETLINK_EXT_ACK, unix.NETLINK_CAP_ACK, unix.NETLINK_GET_STRICT_CHK} {
		_ = unix.SetsockoptInt(fd, unix.SOL_NETLINK, option, 1)
	}
	size, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	if err != nil {
		_ = unix.Close(fd)
		return nil, os.NewSyscallError("getsockopt", err)
	}
	return &rtnl{fd: fd, receive: make([]byte, receiveSize), acks: max(1, size/ackCost), recv: recvfrom, recvRaw: recvfromRaw}, nil
}

// routeSocket opens a socket to rtnetlink that listens to groups.
func routeSocket(groups uint32, kind int) (int, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, kind|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return -1, fmt.Errorf("netlink: %w", os.NewSyscallError("socket", err))
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("netlink: %w", os.NewSyscallError("bind", err))
	}
	// FORCE goes beyond net.core.rmem_max, but not in every container.
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
	}
	return fd, nil
}

func (s *rtnl) close() error { return unix.Close(s.fd) }

// message is one netlink message.
type message struct {
	kind, flags uint16
	seq         uint32
	data        []byte
}

// messages splits a datagram. What does not look like a message ends it.
func messages(b []byte) func(yield func(message) bool) {
	return func(yield func(message) bool) {
		for len(b) >= unix.NLMSG_HDRLEN {
			size := int(binary.NativeEndian.Uint32(b))
			if size < unix.NLMSG_HDRLEN || size > len(b) {
				return
			}
			m := message{
				kind:  binary.NativeEndian.Uint16(b[4:]),
				flags: binary.NativeEndian.Uint16(b[6:]),
				seq:   binary.NativeEndian.Uint32(b[8:]),
				data:  b[unix.NLMSG_HDRLEN:size],
			}
			if !yield(m) {
				return
			}
			b = b[min(align4(size), len(b)):]
		}
	}
}

// appendRequest appends a request whose body is appended by body.
func appendRequest(dst []byte, kind, flags uint16, seq uint32, body func([]byte) []byte) []byte {
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0) // the length, below
	dst = binary.NativeEndian.AppendUint16(dst, kind)
	dst = binary.NativeEndian.AppendUint16(dst, flags|unix.NLM_F_REQUEST)
	dst = binary.NativeEndian.AppendUint32(dst, seq)
	dst = binary.NativeEndian.AppendUint32(dst, 0)
	dst = body(dst)
	binary.NativeEndian.PutUint32(dst[start:], uint32(len(dst)-start))
	return dst
}

// appendAttr appends a route attribute, padded.
func appendAttr(dst []byte, kind uint16, value []byte) []byte {
	size := unix.SizeofRtAttr + len(value)
	dst = binary.NativeEndian.AppendUint16(dst, uint16(size))
	dst = binary.NativeEndian.AppendUint16(dst, kind)
	dst = append(dst, value...)
	var padding [3]byte
	return append(dst, padding[:align4(size)-size]...)
}

func appendAttr32(dst []byte, kind uint16, value uint32) []byte {
	var b [4]byte
	binary.NativeEndian.PutUint32(b[:], value)
	return appendAttr(dst, kind, b[:])
}

func align4(n int) int { return (n + 3) &^ 3 }

// write sends one datagram of requests.
func (s *rtnl) write(b []byte) error {
	for {
		var err error
		if s.quiet {
			err = sendRaw(s.fd, b)
		} else {
			// To the kernel, which is where a socket without a peer sends.
			_, err = unix.Write(s.fd, b)
		}
		if err != unix.EINTR {
			return os.NewSyscallError("write", err)
		}
	}
}

// recvfrom is recvfrom(2) without the sender, which would be garbage: it is the
// kernel.
func recvfrom(fd int, b []byte, flags int) (int, error) {
	n, _, errno := unix.Syscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), uintptr(flags), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// read receives one datagram, which is valid until the next read.
func (s *rtnl) read(flags int) ([]byte, error) {
	for {
		n, err := s.receiveInto(s.receive, flags|unix.MSG_TRUNC)
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			return nil, errUnanswered
		case err != nil:
			return nil, os.NewSyscallError("recvfrom", err)
		case n > len(s.receive):
			return nil, fmt.Errorf("netlink: answer of %d bytes is too long", n)
		default:
			return s.receive[:n], nil
		}
	}
}

// receiveInto receives quietly what is there, and waits aloud for what is not.
func (s *rtnl) receiveInto(b []byte, flags int) (int, error) {
	if s.quiet {
		n, err := s.recvRaw(s.fd, b, flags|unix.MSG_DONTWAIT)
		if err != unix.EAGAIN || flags&unix.MSG_DONTWAIT != 0 {
			return n, err
		}
		s.endQuiet()
	}
	return s.recv(s.fd, b, flags)
}

// answer is the errno of an acknowledgement, nil for success. An explanation
// by the kernel comes with it.
func (m message) answer() error {
	if len(m.data) < 4 {
		return errUnanswered
	}
	code := int32(binary.NativeEndian.Uint32(m.data))
	if code == 0 {
		return nil
	}
	errno := unix.Errno(-code)
	const header = 4 + unix.NLMSG_HDRLEN // errno and the header of the request
	if m.flags&unix.NLM_F_ACK_TLVS == 0 || m.flags&unix.NLM_F_CAPPED == 0 || len(m.data) < header {
		return errno
	}
	for kind, value := range attributes(m.data[header:]) {
		if kind == unix.NLMSGERR_ATTR_MSG && len(value) > 1 {
			return fmt.Errorf("%w (%s)", errno, value[:len(value)-1])
		}
	}
	return errno
}

// attributes splits route attributes.
func attributes(b []byte) func(yield func(uint16, []byte) bool) {
	return func(yield func(uint16, []byte) bool) {
		for len(b) >= unix.SizeofRtAttr {
			size := int(binary.NativeEndian.Uint16(b))
			if size < unix.SizeofRtAttr || size > len(b) {
				return
			}
			if !yield(binary.NativeEndian.Uint16(b[2:])&^nlaFlags, b[unix.SizeofRtAttr:size]) {
				return
			}
			b = b[min(align4(size), len(b)):]
		}
	}
}

// nlaFlags are the bits of an attribute's type that are not its type.
const nlaFlags = unix.NLA_F_NESTED | unix.NLA_F_NET_BYTEORDER
