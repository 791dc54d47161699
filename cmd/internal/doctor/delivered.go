package doctor

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// ear is a socket like that of the daemon: what reaches it has passed the
// firewall and the routing of this host.
type ear struct {
	file   *os.File
	family vrrp.Family
	heard  map[netip.Addr]int
	done   sync.WaitGroup
}

// newEar opens an ear on a link.
func newEar(l *Link, f vrrp.Family) (*ear, error) {
	domain := unix.AF_INET
	if f == vrrp.IPv6 {
		domain = unix.AF_INET6
	}
	fd, err := unix.Socket(domain, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, vrrp.Protocol)
	if err != nil {
		return nil, fmt.Errorf("open a raw socket: %w", err)
	}
	if f == vrrp.IPv4 {
		m := &unix.IPMreqn{Multiaddr: vrrp.GroupIPv4.As4(), Ifindex: int32(l.Index)}
		err = unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP, m)
	} else {
		m := &unix.IPv6Mreq{Multiaddr: vrrp.GroupIPv6.As16(), Interface: uint32(l.Index)}
		err = unix.SetsockoptIPv6Mreq(fd, unix.IPPROTO_IPV6, unix.IPV6_JOIN_GROUP, m)
	}
	if err == nil {
		err = unix.BindToDevice(fd, l.Name)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("join the group of VRRP on %s: %w", l.Name, err), unix.Close(fd))
	}
	e := &ear{file: os.NewFile(uintptr(fd), "raw"), family: f, heard: map[netip.Addr]int{}}
	e.done.Go(e.hear)
	return e, nil
}

func (e *ear) hear() {
	raw, err := e.file.SyscallConn()
	if err != nil {
		return
	}
	b := make([]byte, 1<<16)
	for {
		var from unix.Sockaddr
		var failed error
		err := raw.Read(func(fd uintptr) bool {
			_, from, failed = unix.Recvfrom(int(fd), b, unix.MSG_DONTWAIT)
			return failed != unix.EAGAIN
		})
		if err != nil {
			return // closed
		}
		var source netip.Addr
		switch s := from.(type) {
		case *unix.SockaddrInet4:
			source = netip.AddrFrom4(s.Addr)
		case *unix.SockaddrInet6:
			source = netip.AddrFrom16(s.Addr)
		default:
			continue
		}
		if failed == nil && (len(e.heard) < maxRouters || e.heard[source] > 0) {
			e.heard[source]++
		}
	}
}

// close ends it and returns how many packets came from whom.
func (e *ear) close() map[netip.Addr]int {
	e.file.Close()
	e.done.Wait()
	return e.heard
}

// filteredByPath is how many packets this host has dropped because it would not
// send to their source over the interface on which they came (rp_filter).
func (x *Examination) filteredByPath() (n uint64) {
	text, err := x.read("/proc/net/netstat")
	if err != nil {
		return 0
	}
	var names []string
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] != "TcpExt:" {
			continue
		}
		if names == nil {
			names = words
			continue
		}
		for i, name := range names {
			if name == "IPReversePathFilter" && i < len(words) {
				fmt.Sscan(words[i], &n)
			}
		}
	}
	return n
}
