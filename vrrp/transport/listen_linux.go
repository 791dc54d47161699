package transport

import (
	"errors"
	"fmt"
	"os"

	"github.com/holdfast-vrrp/holdfast/vrrp"
	"golang.org/x/sys/unix"
)

// Listen implements [Network]. It opens a raw socket in the network namespace of
// the calling thread and needs CAP_NET_RAW.
func (k *Kernel) Listen(ifindex int, ifname string, f vrrp.Family) (Conn, error) {
	s, err := k.listen(ifindex, ifname, f)
	if err != nil {
		return nil, fmt.Errorf("listen for %v adverts on %s: %w", f, ifname, err)
	}
	return s, nil
}

func (k *Kernel) listen(ifindex int, ifname string, f vrrp.Family) (*socket, error) {
	if ifindex <= 0 {
		return nil, fmt.Errorf("interface index %d: %w", ifindex, unix.ENODEV)
	}
	fd, err := rawSocket(f)
	if err != nil {
		return nil, err
	}
	if err := setup(fd, ifindex, ifname, f); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	if err := k.watch(fd, Place{ifindex, f}); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return &socket{kernel: k, fd: fd, family: f, ifindex: ifindex, ifname: ifname}, nil
}

func rawSocket(f vrrp.Family) (int, error) {
	var domain int
	switch f {
	case vrrp.IPv4:
		domain = unix.AF_INET
	case vrrp.IPv6:
		domain = unix.AF_INET6
	default:
		return -1, fmt.Errorf("address family %d is neither IPv4 nor IPv6", f)
	}
	fd, err := unix.Socket(domain, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, vrrp.Protocol)
	return fd, os.NewSyscallError("socket", err)
}
