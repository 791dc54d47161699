package transport

import (
	"errors"
	"os"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// The two ends of a filter: the packet is taken whole, or not at all.
const (
	take   = ^uint32(0)
	refuse = 0
)

// program is a filter for a raw socket of that family: it has wanted for the
// packets of the virtual routers in the set and for short ones, and others for
// the rest.
func program(set VRIDs, f vrrp.Family, wanted, others uint32) []bpf.Instruction {
	// X becomes where the message begins: a raw IPv4 socket has the IP header, too.
	begin := bpf.Instruction(bpf.LoadConstant{Dst: bpf.RegX, Val: 0})
	if f == vrrp.IPv4 {
		begin = bpf.LoadMemShift{Off: 0}
	}
	p := []bpf.Instruction{
		begin,
		bpf.LoadExtension{Num: bpf.ExtLen},
		bpf.ALUOpX{Op: bpf.ALUOpSub},
		bpf.JumpIf{Cond: bpf.JumpGreaterOrEqual, Val: headerLen, SkipTrue: 1},
		bpf.RetConstant{Val: wanted},
		bpf.LoadIndirect{Off: 1, Size: 1}, // the VRID
		bpf.StoreScratch{Src: bpf.RegA, N: 0},
		bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 5},
	}
	// The word of the set that the VRID is in.
	for n, word := range set {
		p = append(p,
			bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(n), SkipTrue: 2},
			bpf.LoadConstant{Dst: bpf.RegA, Val: word},
			bpf.Jump{Skip: uint32(3*(len(set)-1-n) + 1)})
	}
	return append(p,
		bpf.RetConstant{Val: others}, // never reached
		// Its bit.
		bpf.StoreScratch{Src: bpf.RegA, N: 1},
		bpf.LoadScratch{Dst: bpf.RegA, N: 0},
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 31},
		bpf.TAX{},
		bpf.LoadScratch{Dst: bpf.RegA, N: 1},
		bpf.ALUOpX{Op: bpf.ALUOpShiftRight},
		bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: 1, SkipTrue: 1},
		bpf.RetConstant{Val: others},
		bpf.RetConstant{Val: wanted},
	)
}

// attach puts a filter on a socket, in place of the one it has.
func attach(fd int, program []bpf.Instruction) error {
	raw, err := bpf.Assemble(program)
	if err != nil {
		return err
	}
	// The two have the same layout.
	fprog := unix.SockFprog{Len: uint16(len(raw)), Filter: (*unix.SockFilter)(unsafe.Pointer(unsafe.SliceData(raw)))}
	return os.NewSyscallError("setsockopt SO_ATTACH_FILTER", unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &fprog))
}

// strangers is a socket for what the filter of another one refuses. It is in no
// epoll: it is read, to count, when its owner is awake anyway.
type strangers struct {
	fd      int
	headers [64]unix.Mmsghdr // without memory: nobody wants to know what was in them
	lost    uint32           // what found no room, by the kernel's count, which overflows
	total   uint64
}

// newStrangers opens the socket, which takes no packet yet.
func newStrangers(ifindex int, ifname string, f vrrp.Family) (*strangers, error) {
	fd, err := rawSocket(f)
	if err != nil {
		return nil, err
	}
	err = errors.Join(
		attach(fd, []bpf.Instruction{bpf.RetConstant{Val: refuse}}),
		setup(fd, ifindex, ifname, f))
	if err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return &strangers{fd: fd}, nil
}

func (s *strangers) close() error {
	if s == nil {
		return nil
	}
	return os.NewSyscallError("close", unix.Close(s.fd))
}

// count returns how many packets came so far. While a flood fills the buffer,
// newer kernels count the packets of everybody as lost here.
func (s *strangers) count() uint64 {
	for range 64 {
		n, errno := recvmmsg(s.fd, s.headers[:])
		s.total += uint64(n)
		if errno != 0 || n < len(s.headers) {
			break
		}
	}
	if lost, err := socketDrops(s.fd); err == nil {
		s.total += uint64(lost - s.lost) // right also after an overflow
		s.lost = lost
	}
	return s.total
}

// socketDrops returns how many packets found no room in the socket's buffer.
func socketDrops(fd int) (uint32, error) {
	const drops = 8 // SK_MEMINFO_DROPS
	var info [drops + 1]uint32
	size := uint32(unsafe.Sizeof(info))
	_, _, errno := unix.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return 0, os.NewSyscallError("getsockopt SO_MEMINFO", errno)
	}
	return info[drops], nil
}
