package sniff

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// CaptureOptions say what to capture.
type CaptureOptions struct {
	// Interfaces are by name; none stands for all but loopback ones, also those
	// that are still to come.
	Interfaces []string
	// Announcements captures ARP and neighbour advertisements, too.
	Announcements bool
	// Promiscuous also takes what is sent to other hosts.
	Promiscuous bool
	// Tell is called by Next when an interface can no longer be heard, or can be
	// again. It may be nil.
	Tell func(news string)
}

// Capture captures frames from the interfaces of this host. It sees what other
// hosts send before this host's firewall does.
type Capture struct {
	file    *os.File
	raw     rawConn
	opts    CaptureOptions
	names   map[int]string    // of the interfaces captured, by index
	states  map[string]string // what they are in, by name
	scanned time.Time
	empty   time.Time // when there was last nothing to read
	lost    int
	member  int // a socket that is a member of the group of IPv6, or -1
	buf     []byte
	oob     []byte
}

type rawConn interface {
	Control(f func(fd uintptr)) error
	Read(f func(fd uintptr) bool) error
}

// OpenCapture begins to capture.
func OpenCapture(o CaptureOptions) (*Capture, error) {
	c := &Capture{opts: o, member: -1, empty: time.Now(), buf: make([]byte, cookedHeader+maxPacket), oob: make([]byte, 256)}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if errors.Is(err, unix.EPERM) {
		return nil, errors.New("capturing needs root or the capability CAP_NET_RAW: use sudo")
	}
	if err != nil {
		return nil, fmt.Errorf("open a packet socket: %w", os.NewSyscallError("socket", err))
	}
	if err := c.setUp(fd); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	c.file = os.NewFile(uintptr(fd), "packet")
	if m, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err == nil {
		c.member = m // without IPv6 there is nothing to be a member of
	}
	if c.raw, err = c.file.SyscallConn(); err == nil {
		err = c.scan()
	}
	if err == nil {
		err = c.missing()
	}
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// setUp makes the socket ready before it hears anything: without a protocol it
// is deaf.
func (c *Capture) setUp(fd int) error {
	code, err := bpf.Assemble(filter(c.opts.Announcements))
	if err != nil {
		return fmt.Errorf("assemble the filter: %w", err)
	}
	list := make([]unix.SockFilter, len(code))
	for n, i := range code {
		list[n] = unix.SockFilter{Code: i.Op, Jt: i.Jt, Jf: i.Jf, K: i.K}
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 4<<20) // the usual size does as well
	err = unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(list)), Filter: &list[0]})
	if err == nil {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
	}
	if err == nil {
		err = unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_AUXDATA, 1)
	}
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: networkOrder(unix.ETH_P_ALL)})
	}
	if err != nil {
		return fmt.Errorf("set up a packet socket: %w", err)
	}
	return nil
}

func networkOrder(v uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v))
}

// Next waits for the next frame, whose data are valid until the next call. At
// the deadline, unless that is zero, the error is [os.ErrDeadlineExceeded]; when
// ctx is done it is that of ctx.
func (c *Capture) Next(ctx context.Context, deadline time.Time) (Frame, error) {
	stop := context.AfterFunc(ctx, func() { c.file.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	for {
		if err := ctx.Err(); err != nil {
			return Frame{}, err
		}
		wake := c.scanned.Add(rescan)
		if !deadline.IsZero() && deadline.Before(wake) {
			wake = deadline
		}
		if err := c.file.SetReadDeadline(wake); err != nil {
			return Frame{}, fmt.Errorf("capture: %w", err)
		}
		if ctx.Err() != nil {
			continue // done before the deadline was set
		}
		if time.Since(c.scanned) >= rescan {
			if err := c.scan(); err != nil {
				return Frame{}, err
			}
		}
		f, ok, err := c.receive()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			if !deadline.IsZero() && !time.Now().Before(deadline) {
				return Frame{}, err
			}
		case err != nil:
			return Frame{}, fmt.Errorf("capture: %w", err)
		case ok:
			return f, nil
		}
	}
}

// cookedHeader is the size of a header of [LinkCooked2], which each frame gets.
const cookedHeader = 20

// receive waits for a packet. What is there already comes before any deadline,
// so that a sniffer which was held up does not take packets for late. ok is
// false when the packet is of an interface that is not wanted.
func (c *Capture) receive() (f Frame, ok bool, err error) {
	there := false
	waited := c.raw.Read(func(fd uintptr) bool {
		f, ok, there, err = c.take(fd)
		return there
	})
	if errors.Is(waited, os.ErrDeadlineExceeded) {
		if e := c.raw.Control(func(fd uintptr) { f, ok, there, err = c.take(fd) }); e != nil || there {
			return f, ok, errors.Join(e, err)
		}
	}
	if waited != nil {
		return f, false, waited
	}
	return f, ok, err
}

// take takes the next packet if one is there.
func (c *Capture) take(fd uintptr) (f Frame, ok, there bool, err error) {
	n, oobn, _, from, err := unix.Recvmsg(int(fd), c.buf[cookedHeader:], c.oob, unix.MSG_DONTWAIT)
	switch err {
	case nil:
	case unix.EAGAIN:
		c.empty = time.Now()
		return f, false, false, nil
	case unix.EINTR:
		return f, false, false, nil
	case unix.ENETDOWN: // told once when an interface goes down
		return f, false, true, nil
	default:
		return f, false, true, os.NewSyscallError("recvmsg", err)
	}
	if ll, is := from.(*unix.SockaddrLinklayer); is {
		f, ok = c.frame(ll, n, c.oob[:oobn])
	}
	return f, ok, true, nil
}

// frame makes a frame of a packet and of what the kernel says of it.
func (c *Capture) frame(ll *unix.SockaddrLinklayer, n int, oob []byte) (Frame, bool) {
	name, wanted := c.names[ll.Ifindex]
	if !wanted || ll.Hatype == unix.ARPHRD_LOOPBACK && ll.Pkttype == unix.PACKET_OUTGOING { // which comes in as well
		return Frame{}, false
	}
	be := binary.BigEndian
	h := c.buf[:cookedHeader]
	clear(h)
	be.PutUint16(h, networkOrder(ll.Protocol))
	be.PutUint32(h[4:], uint32(ll.Ifindex))
	be.PutUint16(h[8:], ll.Hatype)
	h[10], h[11] = ll.Pkttype, ll.Halen
	copy(h[12:], ll.Addr[:])
	f := Frame{Time: time.Now(), Interface: name, Link: LinkCooked2, Data: c.buf[:cookedHeader+n], Length: cookedHeader + n}
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return f, true
	}
	for _, m := range messages {
		switch {
		case m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SO_TIMESTAMPNS:
			var ts unix.Timespec
			if n, err := binary.Decode(m.Data, binary.NativeEndian, &ts); err == nil && n > 0 {
				f.Time = stamp(f.Time, c.empty, time.Unix(ts.Unix()))
			}
		case m.Header.Level == unix.SOL_PACKET && m.Header.Type == unix.PACKET_AUXDATA:
			var aux unix.TpacketAuxdata
			if n, err := binary.Decode(m.Data, binary.NativeEndian, &aux); err == nil && n > 0 && aux.Status&unix.TP_STATUS_VLAN_VALID != 0 && aux.Vlan_tci&0x0fff != 0 {
				f.VLANs = []uint16{aux.Vlan_tci & 0x0fff}
			}
		}
	}
	return f, true
}

// stamp makes the time of a frame of what the kernel stamped it with by the wall
// clock: one that keeps its distance to others when that clock is set. The frame
// is not older than the moment at which there was nothing to read.
func stamp(now, empty, wall time.Time) time.Time {
	age := now.Round(0).Sub(wall)
	return now.Add(-max(0, min(age, now.Sub(empty))))
}

// Lost is how many frames the kernel has dropped because they were not read
// soon enough.
func (c *Capture) Lost() int {
	_ = c.raw.Control(func(fd uintptr) {
		if s, err := unix.GetsockoptTpacketStats(int(fd), unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
			c.lost += int(s.Drops) // reading it sets it to zero
		}
	})
	return c.lost
}

// Close ends the capture.
func (c *Capture) Close() error {
	if c.member >= 0 {
		unix.Close(c.member)
		c.member = -1
	}
	return c.file.Close()
}
