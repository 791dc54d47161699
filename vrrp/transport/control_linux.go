package transport

import (
	"encoding/binary"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// controlLen holds what one packet has in control messages: in_pktinfo for
// IPv4; in6_pktinfo and a hop limit for IPv6. It is room for 64-bit alignment.
const controlLen = 64

// control is a buffer of control messages. It is an array of words because the
// kernel wants the messages aligned.
type control [controlLen / 8]uint64

func (c *control) bytes() []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(c)), controlLen)
}

// arrival is what control messages say of a received packet.
type arrival struct {
	ifindex  int
	dst      netip.Addr // IPv6 only: IPv4 has it in the header
	hopLimit int        // IPv6 only
}

// parseControl reads the control messages of one packet. Messages it does not
// know are passed over. It allocates nothing.
func parseControl(b []byte) (a arrival) {
	for len(b) >= unix.SizeofCmsghdr {
		h, data, rest, err := unix.ParseOneSocketControlMessage(b)
		if err != nil {
			return a
		}
		switch {
		case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo:
			a.ifindex = int(binary.NativeEndian.Uint32(data))
		case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_PKTINFO && len(data) >= unix.SizeofInet6Pktinfo:
			a.dst = netip.AddrFrom16([16]byte(data[:16]))
			a.ifindex = int(binary.NativeEndian.Uint32(data[16:]))
		case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_HOPLIMIT && len(data) >= 4:
			a.hopLimit = int(binary.NativeEndian.Uint32(data))
		}
		b = rest
	}
	return a
}

// putSource4 fills c with an in_pktinfo that sends from src by the interface,
// and returns how many bytes that are. The zero src is left to the kernel.
func (c *control) putSource4(src netip.Addr, ifindex int) int {
	data := c.putHeader(unix.IPPROTO_IP, unix.IP_PKTINFO, unix.SizeofInet4Pktinfo)
	binary.NativeEndian.PutUint32(data, uint32(ifindex))
	if src.IsValid() {
		a := src.As4()
		copy(data[4:8], a[:]) // ipi_spec_dst: when sending, the source
	}
	return unix.CmsgSpace(unix.SizeofInet4Pktinfo)
}

// putSource6 is putSource4 for IPv6, with an in6_pktinfo.
func (c *control) putSource6(src netip.Addr, ifindex int) int {
	data := c.putHeader(unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, unix.SizeofInet6Pktinfo)
	if src.IsValid() {
		a := src.As16()
		copy(data[:16], a[:])
	}
	binary.NativeEndian.PutUint32(data[16:], uint32(ifindex))
	return unix.CmsgSpace(unix.SizeofInet6Pktinfo)
}

// putHeader begins c with one control message of n bytes, zeroed, and returns
// these bytes.
func (c *control) putHeader(level, kind int32, n int) []byte {
	*c = control{}
	h := (*unix.Cmsghdr)(unsafe.Pointer(c))
	h.Level, h.Type = level, kind
	h.SetLen(unix.CmsgLen(n))
	return c.bytes()[unix.CmsgLen(0):][:n]
}
