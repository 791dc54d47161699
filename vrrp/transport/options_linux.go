package transport

import (
	"os"

	"github.com/holdfast-vrrp/holdfast/vrrp"
	"golang.org/x/sys/unix"
)

const (
	// bufferLen is the size of the socket's buffers in bytes, as the kernel
	// counts: room for about a thousand adverts.
	bufferLen = 1 << 20

	// priorityControl is the highest queueing priority (TC_PRIO_CONTROL).
	priorityControl = 7
)

// option is one setsockopt with an int.
type option struct {
	name              string // for errors
	level, opt, value int
	mayBeUnknown      bool // to an older kernel, which then does without
}

// For IPv4 we make the header of IP, which saves the kernel a twelfth of its work: to
// make it, and to look for the source. The options for a header of the kernel's are for
// packets that it must fragment.
//
// IPV6_CHECKSUM is not among the options: the kernel would drop packets with a
// wrong checksum, and nobody could count them.
var options = map[vrrp.Family][]option{
	vrrp.IPv4: {
		{name: "IP_TTL", level: unix.IPPROTO_IP, opt: unix.IP_TTL, value: vrrp.TTL},
		{name: "IP_MULTICAST_TTL", level: unix.IPPROTO_IP, opt: unix.IP_MULTICAST_TTL, value: vrrp.TTL},
		{name: "IP_MULTICAST_LOOP", level: unix.IPPROTO_IP, opt: unix.IP_MULTICAST_LOOP, value: 0},
		{name: "IP_MULTICAST_ALL", level: unix.IPPROTO_IP, opt: unix.IP_MULTICAST_ALL, value: 0},
		{name: "IP_TOS", level: unix.IPPROTO_IP, opt: unix.IP_TOS, value: trafficClass},
		{name: "IP_HDRINCL", level: unix.IPPROTO_IP, opt: unix.IP_HDRINCL, value: 1},
		{name: "IP_PKTINFO", level: unix.IPPROTO_IP, opt: unix.IP_PKTINFO, value: 1},
	},
	vrrp.IPv6: {
		{name: "IPV6_UNICAST_HOPS", level: unix.IPPROTO_IPV6, opt: unix.IPV6_UNICAST_HOPS, value: vrrp.TTL},
		{name: "IPV6_MULTICAST_HOPS", level: unix.IPPROTO_IPV6, opt: unix.IPV6_MULTICAST_HOPS, value: vrrp.TTL},
		{name: "IPV6_MULTICAST_LOOP", level: unix.IPPROTO_IPV6, opt: unix.IPV6_MULTICAST_LOOP, value: 0},
		{name: "IPV6_MULTICAST_ALL", level: unix.IPPROTO_IPV6, opt: unix.IPV6_MULTICAST_ALL, value: 0, mayBeUnknown: true},
		{name: "IPV6_TCLASS", level: unix.IPPROTO_IPV6, opt: unix.IPV6_TCLASS, value: trafficClass},
		{name: "IPV6_RECVPKTINFO", level: unix.IPPROTO_IPV6, opt: unix.IPV6_RECVPKTINFO, value: 1},
		{name: "IPV6_RECVHOPLIMIT", level: unix.IPPROTO_IPV6, opt: unix.IPV6_RECVHOPLIMIT, value: 1},
	},
}

// setup makes fd a socket for the adverts of one family on one interface.
func setup(fd, ifindex int, ifname string, f vrrp.Family) error {
	if err := bind(fd, ifindex, ifname); err != nil {
		return err
	}
	for _, o := range options[f] {
		err := unix.SetsockoptInt(fd, o.level, o.opt, o.value)
		if err != nil && !(o.mayBeUnknown && err == unix.ENOPROTOOPT) {
			return os.NewSyscallError("setsockopt "+o.name, err)
		}
	}
	if err := setBuffers(fd); err != nil {
		return err
	}
	// After IP_TOS, which sets a priority of its own.
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PRIORITY, priorityControl); err != nil {
		return os.NewSyscallError("setsockopt SO_PRIORITY", err)
	}
	return join(fd, ifindex, f)
}

// bind ties fd to the interface by its index, which says the same interface
// after a rename; kernels before 5.0 know the name only.
func bind(fd, ifindex int, ifname string) error {
	err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BINDTOIFINDEX, ifindex)
	if err != unix.ENOPROTOOPT {
		return os.NewSyscallError("setsockopt SO_BINDTOIFINDEX", err)
	}
	return os.NewSyscallError("setsockopt SO_BINDTODEVICE", unix.BindToDevice(fd, ifname))
}

// setBuffers asks for large buffers beyond the system's limit, which takes
// CAP_NET_ADMIN, or else for what the limit allows.
func setBuffers(fd int) error {
	for _, o := range []struct {
		name         string
		force, plain int
	}{
		{"SO_RCVBUF", unix.SO_RCVBUFFORCE, unix.SO_RCVBUF},
		{"SO_SNDBUF", unix.SO_SNDBUFFORCE, unix.SO_SNDBUF},
	} {
		err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, o.force, bufferLen)
		if err == unix.EPERM {
			err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, o.plain, bufferLen)
		}
		if err != nil {
			return os.NewSyscallError("setsockopt "+o.name, err)
		}
	}
	return nil
}

// join enters the VRRP group of the family (RFC 9568 sections 5.1.1.2 and
// 5.1.2.2) on the interface. The interface may be down.
func join(fd, ifindex int, f vrrp.Family) error {
	if f == vrrp.IPv4 {
		m := &unix.IPMreqn{Multiaddr: vrrp.GroupIPv4.As4(), Ifindex: int32(ifindex)}
		return os.NewSyscallError("setsockopt IP_ADD_MEMBERSHIP",
			unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP, m))
	}
	m := &unix.IPv6Mreq{Multiaddr: vrrp.GroupIPv6.As16(), Interface: uint32(ifindex)}
	err := unix.SetsockoptIPv6Mreq(fd, unix.IPPROTO_IPV6, unix.IPV6_JOIN_GROUP, m)
	if err == unix.EINVAL {
		// The interface has no IPv6, for instance because its MTU is below
		// 1280. That may change as other states of an interface do.
		err = unix.EADDRNOTAVAIL
	}
	return os.NewSyscallError("setsockopt IPV6_JOIN_GROUP", err)
}
