package main

// The floor: what it costs a program in Go to send and to receive adverts with
// nothing around it. It waits by Go's poller: waiting in system calls hidden from
// the scheduler costs more, for the runtime's monitor then looks around all the time.
// In real time it does that nevertheless, since it is more precise.

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// otherPrograms are what the test binary can be beside holdfast, by the first
// argument. They do not return.
var otherPrograms = map[string]func(args []string){
	"bare-sender":   func(args []string) { endBare(bareSender(args)) },
	"bare-receiver": func(args []string) { endBare(bareReceiver(args)) },
	"tell-stalls":   tellStalls,
}

// bareLoop sends the adverts of a scene from the first node and receives them
// on the second. bareRealTime is scheduled as Holdfast is while the host is busy.
var (
	bareLoop     = &program{name: "bare loop", start: startBare, render: bareScene}
	bareRealTime = &program{name: "bare loop in real time", start: startBare, render: func(s *scene, priority int) string {
		return strings.TrimSpace(bareScene(s, priority) + " real-time")
	}}
)

// bare is whether the program elects nobody.
func (p *program) bare() bool { return p == bareLoop || p == bareRealTime }

// bareScene has the words for the command line.
func bareScene(s *scene, priority int) string {
	if priority != firstPriority {
		return "bare-receiver"
	}
	return fmt.Sprintf("bare-sender %d/%v", s.instances, s.interval)
}

func startBare(n *node, config string) {
	n.t.Helper()
	c := n.Command(context.Background(), selfPath(), strings.Fields(config)...)
	c.Env = append(os.Environ(), "GODEBUG=asyncpreemptoff=1") // nobody else wants to run
	p, err := n.StartCommand(c)
	if err != nil {
		n.t.Fatal(err)
	}
	n.daemon = p
}

func endBare(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(exitRefused)
}

// bareSocket is a socket for VRRP on eth0, and its thread in real time if that is
// said.
func bareSocket(args []string) (fd int, err error) {
	if slices.Contains(args, "real-time") {
		runtime.LockOSThread()
		attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: 10}
		if err := unix.SchedSetAttr(0, &attr, 0); err != nil {
			return 0, err
		}
	}
	ifi, err := net.InterfaceByName("eth0")
	if err != nil {
		return 0, err
	}
	if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 112); err != nil {
		return 0, err
	}
	m := &unix.IPMreqn{Multiaddr: vrrpGroup.As4(), Ifindex: int32(ifi.Index)}
	for _, err := range []error{
		unix.BindToDevice(fd, ifi.Name),
		unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_IF, m),
		unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP, m),
		unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_TTL, 255),
		unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_LOOP, 0),
	} {
		if err != nil {
			return 0, err
		}
	}
	return fd, nil
}

// bareSender sends all adverts once an interval, from one buffer.
func bareSender(args []string) error {
	var count int
	var every string
	if _, err := fmt.Sscanf(args[0], "%d/%s", &count, &every); err != nil {
		return err
	}
	interval, err := time.ParseDuration(every)
	if err != nil {
		return err
	}
	fd, err := bareSocket(args[1:])
	if err != nil {
		return err
	}
	to := unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: vrrpGroup.As4()}
	headers, vectors := make([]unix.Mmsghdr, count), make([]unix.Iovec, count)
	for n := range headers {
		p := vrrp.Packet{
			Version: vrrp.Version3, VRID: uint8(n + 1), Priority: firstPriority, Interval: interval,
			Addresses: []netip.Addr{netip.AddrFrom4([4]byte{10, 51, 0, byte(n + 1)})},
		}
		text, err := p.AppendTo(nil, netip.MustParseAddr("192.0.2.1"), vrrpGroup, false)
		if err != nil {
			return err
		}
		vectors[n] = unix.Iovec{Base: unsafe.SliceData(text), Len: uint64(len(text))}
		headers[n].Hdr = unix.Msghdr{Name: (*byte)(unsafe.Pointer(&to)), Namelen: unix.SizeofSockaddrInet4, Iov: &vectors[n], Iovlen: 1}
	}
	var next unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &next); err != nil {
		return err
	}
	wait, err := bareTimer(args[1:])
	if err != nil {
		return err
	}
	for {
		for rest := headers; len(rest) > 0; {
			n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&rest[0])), uintptr(len(rest)), 0, 0, 0)
			if errno != 0 {
				return errno
			}
			rest = rest[n:]
		}
		next = unix.NsecToTimespec(next.Nano() + int64(interval))
		if err := wait(&next); err != nil {
			return err
		}
	}
}

// bareTimer returns what waits until a time.
func bareTimer(args []string) (wait func(*unix.Timespec) error, err error) {
	if slices.Contains(args, "real-time") {
		return func(t *unix.Timespec) error {
			unix.RawSyscall6(unix.SYS_CLOCK_NANOSLEEP, unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, uintptr(unsafe.Pointer(t)), 0, 0, 0)
			return nil
		}, nil
	}
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	var rang [8]byte
	ready, err := bareReady(fd, func(fd uintptr) unix.Errno {
		_, _, errno := unix.RawSyscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(&rang)), uintptr(len(rang)))
		return errno
	})
	if err != nil {
		return nil, err
	}
	return func(t *unix.Timespec) error {
		at := unix.ItimerSpec{Value: *t}
		_, _, errno := unix.RawSyscall6(unix.SYS_TIMERFD_SETTIME, uintptr(fd), unix.TFD_TIMER_ABSTIME, uintptr(unsafe.Pointer(&at)), 0, 0, 0)
		if errno != 0 {
			return errno
		}
		return ready()
	}, nil
}

// bareReady returns what calls read once there is something to read, by Go's poller.
func bareReady(fd int, read func(fd uintptr) unix.Errno) (func() error, error) {
	c, err := os.NewFile(uintptr(fd), "bare").SyscallConn()
	if err != nil {
		return nil, err
	}
	var errno unix.Errno
	once := func(fd uintptr) bool {
		errno = read(fd)
		return errno != unix.EAGAIN
	}
	return func() error {
		if err := c.Read(once); err != nil {
			return err
		}
		if errno != 0 && errno != unix.EINTR {
			return errno
		}
		return nil
	}, nil
}

// bareReceiver receives whatever comes, and forgets it.
func bareReceiver(args []string) error {
	fd, err := bareSocket(args)
	if err != nil {
		return err
	}
	const batch, size = 64, 128
	headers, vectors, buf := make([]unix.Mmsghdr, batch), make([]unix.Iovec, batch), make([]byte, batch*size)
	for n := range headers {
		vectors[n] = unix.Iovec{Base: &buf[n*size], Len: size}
		headers[n].Hdr = unix.Msghdr{Iov: &vectors[n], Iovlen: 1}
	}
	receive := func(fd uintptr) unix.Errno {
		_, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&headers[0])), batch, unix.MSG_WAITFORONE, 0, 0)
		return errno
	}
	ready := func() error {
		if errno := receive(uintptr(fd)); errno != 0 && errno != unix.EINTR {
			return errno
		}
		return nil
	}
	if !slices.Contains(args, "real-time") {
		if err := unix.SetNonblock(fd, true); err != nil {
			return err
		}
		if ready, err = bareReady(fd, receive); err != nil {
			return err
		}
	}
	for {
		if err := ready(); err != nil {
			return err
		}
	}
}
