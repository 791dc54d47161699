package transport

import (
	"net/netip"
	"sync"
	"unsafe"

	"github.com/holdfast-vrrp/holdfast/vrrp"
	"golang.org/x/sys/unix"
)

// payloadLen is the least buffer a packet is read into. The longest VRRP
// message has 255 IPv6 addresses, 4088 bytes: a packet that this buffer cuts
// is longer than that even when IPv4 options took their part of it.
const payloadLen = 4096 + maxHeaderLen4

// batch is the memory that recvmmsg and sendmmsg work on. It is our own, and
// not that of x/net, because x/net makes a net.Addr for every packet it
// receives and wants one for every packet it sends.
type batch struct {
	headers []unix.Mmsghdr
	slots   []slot
}

// batches are what the sockets of a network read and write with, one after the
// other: each of them would need as much for its largest batch.
type batches struct {
	sync.Mutex
	in, out batch
	places  []int // the place in the caller's slice, of each header of out
}

// slot is what one header points to.
type slot struct {
	name    unix.RawSockaddrInet6 // or, shorter, unix.RawSockaddrInet4
	control control
	vectors [2]unix.Iovec
	header4 [headerLen4]byte
}

// grow makes room for n packets.
func (b *batch) grow(n int) {
	if n <= len(b.headers) {
		return
	}
	b.headers, b.slots = make([]unix.Mmsghdr, n), make([]slot, n)
	for i := range b.headers {
		h, s := &b.headers[i].Hdr, &b.slots[i]
		h.Name = (*byte)(unsafe.Pointer(&s.name))
		h.Control = (*byte)(unsafe.Pointer(&s.control))
		h.Iov = &s.vectors[0]
	}
}

// prepareReceive points the headers at the buffers of dst.
func (b *batch) prepareReceive(dst []Packet, f vrrp.Family) {
	b.grow(len(dst))
	for i := range dst {
		if cap(dst[i].Payload) < payloadLen {
			dst[i].Payload = make([]byte, payloadLen)
		}
		s := &b.slots[i]
		vectors := s.vectors[:0]
		if f == vrrp.IPv4 {
			// The header is read apart, so that the payload begins where its
			// buffer does.
			vectors = append(vectors, vector(s.header4[:]))
		}
		vectors = append(vectors, vector(dst[i].Payload[:cap(dst[i].Payload)]))

		h := &b.headers[i].Hdr
		h.SetIovlen(len(vectors))
		h.SetControllen(controlLen)
		h.Namelen = unix.SizeofSockaddrInet6
		h.Flags = 0
	}
}

// received turns what the kernel wrote for packet i into p, whose buffer was
// passed to prepareReceive. It is false for a packet that is malformed or came
// by another interface: a socket receives from every interface in the moment
// before it is bound.
func (b *batch) received(i int, p *Packet, f vrrp.Family, ifindex int) bool {
	m, s := &b.headers[i], &b.slots[i]
	from := parseControl(s.control.bytes()[:m.Hdr.Controllen])
	if from.ifindex != ifindex {
		return false
	}
	n := int(m.Len)
	if f == vrrp.IPv6 {
		p.Source, p.Destination = netip.AddrFrom16(s.name.Addr), from.dst
		p.Interface, p.TTL = ifindex, from.hopLimit
		p.Payload = p.Payload[:n]
		return true
	}
	if n < headerLen4 {
		return false
	}
	q, ok := parseIPv4(&s.header4, p.Payload[:n-headerLen4])
	if !ok {
		return false
	}
	q.Interface = ifindex
	*p = q
	return true
}

// prepareSend makes header i send p.
func (b *batch) prepareSend(i int, p *Packet, f vrrp.Family, ifindex int) {
	h, s := &b.headers[i].Hdr, &b.slots[i]
	if f == vrrp.IPv4 {
		to := (*unix.RawSockaddrInet4)(unsafe.Pointer(&s.name))
		*to = unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: p.Destination.As4()}
		h.Namelen = unix.SizeofSockaddrInet4
		putIPv4(&s.header4, p)
		s.vectors = [2]unix.Iovec{vector(s.header4[:]), vector(p.Payload)}
		h.SetIovlen(2)
		if p.Destination.IsMulticast() { // then there is no route to choose
			h.SetControllen(0)
			return
		}
		h.SetControllen(s.control.putSource4(p.Source, ifindex))
		return
	}
	s.vectors[0] = vector(p.Payload)
	h.SetIovlen(1)
	s.name = unix.RawSockaddrInet6{
		Family: unix.AF_INET6, Addr: p.Destination.As16(), Scope_id: uint32(ifindex),
	}
	h.Namelen = unix.SizeofSockaddrInet6
	h.SetControllen(s.control.putSource6(p.Source, ifindex))
}

// headerless makes header i, which is of an IPv4 packet, leave its IP header to the
// kernel.
func (b *batch) headerless(i int, p *Packet, ifindex int) {
	h, s := &b.headers[i].Hdr, &b.slots[i]
	s.vectors[0] = vector(p.Payload)
	h.SetIovlen(1)
	h.SetControllen(s.control.putSource4(p.Source, ifindex))
}

func vector(b []byte) unix.Iovec {
	v := unix.Iovec{Base: unsafe.SliceData(b)}
	v.SetLen(len(b))
	return v
}

// recvmmsg receives into hs without waiting and returns how many it filled.
func recvmmsg(fd int, hs []unix.Mmsghdr) (int, unix.Errno) {
	return mmsg(unix.SYS_RECVMMSG, fd, hs)
}

// sendmmsg sends hs up to the first that fails, without waiting, and returns
// how many it sent; the error when the first one failed.
func sendmmsg(fd int, hs []unix.Mmsghdr) (int, unix.Errno) {
	return mmsg(unix.SYS_SENDMMSG, fd, hs)
}

// mmsg does not tell Go's scheduler of the system call. It never waits, and to
// tell would wake the runtime's monitor, which then looks around every 20 µs for
// a while: that cost more than all else that an advert takes.
func mmsg(trap uintptr, fd int, hs []unix.Mmsghdr) (int, unix.Errno) {
	for {
		n, _, errno := unix.RawSyscall6(trap, uintptr(fd),
			uintptr(unsafe.Pointer(unsafe.SliceData(hs))), uintptr(len(hs)), unix.MSG_DONTWAIT, 0, 0)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			return 0, errno
		}
		return int(n), 0
	}
}
