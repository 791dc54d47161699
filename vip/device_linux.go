package vip

import (
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// device is what changes and announcements must know of an interface.
type device struct {
	index int
	mac   net.HardwareAddr
	// neighbours is set when there is somebody to tell an address to by ARP.
	neighbours bool
}

// device looks an interface up. Of those that Watch has seen it asks by ioctl(2),
// which unlike rtnetlink does not wait for the kernel's network lock: to announce
// addresses must not wait until somebody else's thousand changes are made. Of others
// it does not, for the kernel would look for a module with the name of what is
// missing.
func (k *Linux) device(iface string, ask *rtnl) (device, error) {
	if k.watched.of(iface) != 0 {
		return k.packet.device(iface)
	}
	link, err := ask.link(iface)
	return device{link.Index, link.MAC, err == nil && hasNeighbours(link.flags, len(link.MAC))}, err
}

// hasNeighbours tells by the flags of an interface and the length of its address.
func hasNeighbours(flags uint32, length int) bool {
	return flags&(unix.IFF_NOARP|unix.IFF_LOOPBACK|unix.IFF_POINTOPOINT) == 0 && length == macLen
}

const macLen = 6

// ifreq is struct ifreq of linux/if.h.
type ifreq struct {
	name  [unix.IFNAMSIZ]byte
	value [24]byte
}

func (s *packetSocket) device(iface string) (d device, err error) {
	var index, flags, address ifreq
	for _, q := range []struct {
		request uintptr
		answer  *ifreq
		name    string
	}{{unix.SIOCGIFINDEX, &index, "SIOCGIFINDEX"}, {unix.SIOCGIFFLAGS, &flags, "SIOCGIFFLAGS"}, {unix.SIOCGIFHWADDR, &address, "SIOCGIFHWADDR"}} {
		copy(q.answer.name[:unix.IFNAMSIZ-1], iface)
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(s.fd), q.request, uintptr(unsafe.Pointer(q.answer)))
		switch {
		case errno == unix.ENODEV:
			return device{}, ErrNoInterface
		case errno != 0:
			return device{}, fmt.Errorf("look up interface %s: %w", iface, os.NewSyscallError(q.name, errno))
		}
	}
	d.index = int(int32(binary.NativeEndian.Uint32(index.value[:])))
	length := 0
	if binary.NativeEndian.Uint16(address.value[:]) == unix.ARPHRD_ETHER {
		length = macLen
		d.mac = net.HardwareAddr(address.value[2 : 2+macLen])
	}
	d.neighbours = hasNeighbours(uint32(binary.NativeEndian.Uint16(flags.value[:])), length)
	return d, nil
}
