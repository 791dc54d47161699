// Package transport carries VRRP packets between the network and the protocol
// core: raw IPv4 and IPv6 sockets of Linux for the daemon, and [Memory], a
// local network made of channels, for tests.
//
// A packet is passed on as it came: nothing of the VRRP message is looked at,
// and its checksum is neither filled in nor verified. That is the core's work,
// which counts every packet it drops.
package transport

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// Packet is one VRRP packet and what its IP header says.
type Packet struct {
	// Interface is the index of the interface the packet arrived on or leaves
	// by. Zero in a packet to send means the interface of the [Conn].
	Interface int
	// Source and Destination are addresses without a zone: Interface says
	// where they belong. In a packet to send, the zero Source lets the kernel
	// choose; any other is to be an address of this host, which for IPv4 nobody
	// checks.
	Source, Destination netip.Addr
	// TTL is the IPv4 TTL or IPv6 hop limit that was received. It is ignored
	// in a packet to send: that leaves with 255 (RFC 9568 sections 5.1.1.3 and
	// 5.1.2.3).
	TTL int
	// Payload is what follows the IP header.
	Payload []byte
}

// A Conn sends and receives the packets of one address family on one
// interface. All methods may be called at the same time, and none waits.
type Conn interface {
	// ReadBatch fills the first n elements of dst with packets that have
	// arrived, and returns n, which is 0 when none has. It reuses the capacity
	// of each Payload and replaces one that is too small, so a caller that
	// passes the same dst again makes no garbage. A packet longer than any VRRP
	// message is cut, and is still longer than any VRRP message.
	ReadBatch(dst []Packet) (int, error)

	// WriteBatch sends every packet it can and returns how many left. The
	// error joins one [*WriteError] for each of the others. A full transmit
	// queue is such an error.
	WriteBatch(src []Packet) (int, error)

	// Admit has ReadBatch and Wait see the packets of these virtual routers
	// alone, and those that are too short to say whose they are; before the
	// first call, those of all. What waits to be read already stays. Each Admit
	// is given in the network namespace that Listen was. A Conn whose
	// Admit failed is of no use any more.
	Admit(vrids VRIDs) error

	// Strangers returns how many packets came so far that Admit kept away. It
	// is to be asked every second or so, for a flood that fills the memory
	// between makes it imprecise: then, and for the moment of another Admit, it
	// may count packets that were seen, too.
	Strangers() uint64

	// Close leaves the multicast group. Every later call returns
	// [net.ErrClosed].
	Close() error
}

// A Place is where packets arrive: an address family on an interface.
type Place struct {
	Interface int // index
	Family    vrrp.Family
}

// A Network opens Conns, and waits for packets at all of them at once. [New] is
// the kernel's, [MemoryHost] the one for tests.
type Network interface {
	// Listen opens a Conn on the interface with that index and joins the VRRP
	// multicast group of the family there. The name is used in errors only.
	// When the interface is deleted the Conn falls silent for good: close it
	// and listen on the new one, in any order.
	Listen(ifindex int, ifname string, f vrrp.Family) (Conn, error)

	// Wait returns when packets have arrived, when Wake was called since the
	// Wait before, or at a time, which is never if it is zero. It tells where
	// packets are, also those that were there before and were not read. What it
	// returns is valid until the next Wait. It may return early, and may be
	// called by one goroutine at a time.
	//
	// An idle processor wakes some 100 µs late, and slowly. Unless prepare is nil, Wait
	// is woken a little before the time, calls prepare, which is to do what will be
	// done then, and polls until then: that is for a time that is seldom reached.
	Wait(until time.Time, prepare func()) ([]Place, error)

	// Wake ends Wait, or the next one. It may be called by any goroutine.
	Wake()
}

// sendable says why p cannot be sent on a socket of that family and interface.
func sendable(p *Packet, f vrrp.Family, ifindex int) error {
	is := netip.Addr.Is4
	if f == vrrp.IPv6 {
		is = netip.Addr.Is6
	}
	switch {
	case p.Interface != 0 && p.Interface != ifindex:
		return fmt.Errorf("packet for interface %d given to the socket of interface %d", p.Interface, ifindex)
	case !is(p.Destination) || p.Destination.Is4In6():
		return fmt.Errorf("destination %v is not an %v address", p.Destination, f)
	case p.Source.IsValid() && (!is(p.Source) || p.Source.Is4In6()):
		return fmt.Errorf("source %v is not an %v address", p.Source, f)
	case p.Source.IsMulticast():
		return fmt.Errorf("source %v is a multicast address", p.Source)
	}
	return nil
}
