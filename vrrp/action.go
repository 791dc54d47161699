package vrrp

import (
	"net/netip"
	"time"
)

// Action is something the caller must do, in the order given. It never changes,
// nor does what it points to: a caller may carry it out later, and must not write
// to it.
type Action interface{ action() }

type (
	// SendAdvert sends a VRRP packet with TTL 255.
	SendAdvert struct {
		Router RouterID
		// Interface is the index of the interface to send on.
		Interface           int
		Source, Destination netip.Addr
		// Payload is the whole VRRP message, checksum included.
		Payload []byte
		// PseudoHeader is whether the checksum of version 3 over IPv4 covers the
		// pseudo-header, to be kept for [Adopt]. Of others it says nothing.
		PseudoHeader bool
	}

	// AddAddresses puts addresses on an interface, all in one exchange with
	// the kernel. Addresses that are there already stay. The result comes back
	// as [AddressesChanged].
	AddAddresses struct {
		Router    RouterID
		Interface string
		Addresses []netip.Prefix
		// Lease is after how long the kernel removes them unless they are
		// renewed; 0 for never.
		Lease time.Duration
	}

	// RenewAddresses starts the lease of addresses anew. It is wanted only
	// while adverts leave.
	RenewAddresses struct {
		Router    RouterID
		Interface string
		Addresses []netip.Prefix
		Lease     time.Duration
	}

	// RemoveAddresses ends a virtual router's claim on addresses, and takes
	// off the interface what no other one has added: when a reload moves an
	// address, its new router adds it before the old one removes it.
	// Addresses that are gone already are no error.
	RemoveAddresses struct {
		Router    RouterID
		Interface string
		Addresses []netip.Prefix
	}

	// AnnounceAddresses sends one gratuitous ARP or unsolicited neighbour
	// advertisement an address, after earlier additions were carried out.
	AnnounceAddresses struct {
		Router    RouterID
		Interface string
		Addresses []netip.Prefix
	}

	// StopAnnouncing takes back what is not announced yet of a virtual router's
	// addresses: another node is master now, or may be, and what comes after its
	// announcement would turn the network back to this one.
	StopAnnouncing struct {
		Router    RouterID
		Interface string
	}

	// Transition records that an instance changed its state.
	Transition struct {
		// Sequence counts the transitions of this Engine from 1.
		Sequence  uint64
		Instance  string
		Interface string
		From, To  State
		// Stopping is set when the instance goes to init because it is stopped
		// or removed.
		Stopping bool
		// Adopted is set when a master went on over a restart: nothing changed
		// for anybody, so that no [Notify] follows.
		Adopted bool
		// Cause is the kind of reason.
		Cause Cause
		// Reason is one plain clause, such as "no advert from 192.0.2.1 for 3.4s".
		Reason string
		// Peer is the other router of the story, when there is one.
		Peer         netip.Addr
		PeerPriority uint8
		// Priority is the effective priority of this node.
		Priority  uint8
		Addresses []netip.Prefix
		At        time.Time
		// Lasted is how long the instance was in the state it left.
		Lasted time.Duration
	}

	// Notify runs the hooks of a transition. It follows the [Transition] of
	// the same sequence: at once when the node takes something over, after the
	// addresses are removed when it lets go.
	Notify struct{ Transition Transition }

	// Outcome tells what became of a [Drain] or [Failover] of one instance, as
	// soon as that is known: when the last router of its group that was master
	// has a successor, or has waited for one long enough.
	Outcome struct {
		// Instance is the name that it had when it was asked for.
		Instance string
		// Failover is set for a Failover, else it was a Drain.
		Failover bool
		// Done is whether it was carried out: a drained instance is drained,
		// also when nobody took over.
		Done bool
		// Moved is set when Peer took over from this node, after Took. Else Peer
		// is who is master anyway, as far as this node knows.
		Moved        bool
		Peer         netip.Addr
		PeerPriority uint8
		Took         time.Duration
		// State is that of the instance now.
		State State
		// Reason is why it was not carried out, or why this node still serves.
		Reason string
		// Removed is set when a reload removed the instance meanwhile.
		Removed bool
	}

	// DrainEnded tells that a drain ended at the time that was set for it.
	DrainEnded struct {
		Instance string
		Drain    DrainStatus
	}

	// Notice tells people something that they may have to mend. It is
	// rate-limited by the Engine.
	Notice struct {
		Kind      NoticeKind
		Instance  string
		Family    Family
		Interface string
		Peer      netip.Addr
		// Detail is what was found, such as "they advertise 2s, we 1s".
		Detail string
	}
)

func (*SendAdvert) action()        {}
func (*AddAddresses) action()      {}
func (*RenewAddresses) action()    {}
func (*RemoveAddresses) action()   {}
func (*AnnounceAddresses) action() {}
func (*StopAnnouncing) action()    {}
func (*Transition) action()        {}
func (*Notify) action()            {}
func (*Outcome) action()           {}
func (*DrainEnded) action()        {}
func (*Notice) action()            {}

// State is the state of an instance or a virtual router.
type State uint8

// The states, in the order of the numbers that dashboards know.
const (
	StateInit State = iota
	StateBackup
	StateMaster
	StateFault
)

func (s State) String() string {
	switch s {
	case StateInit:
		return "init"
	case StateBackup:
		return "backup"
	case StateMaster:
		return "master"
	case StateFault:
		return "fault"
	}
	return "invalid"
}

// NoticeKind is what a [Notice] is about.
type NoticeKind uint8

// The kinds of notice.
const (
	NoticeDropped NoticeKind = iota + 1
	NoticeRival
	NoticeEqualPriority
	NoticeTwoOwners
	NoticeOwnPacket
	NoticeInterval
	NoticeAddressList
	NoticeSendFailed
	NoticeAddressFailed
	NoticeAddressRepaired
	NoticeHandoverFailed
	NoticeFlapping
	NoticeAddressChanged
	NoticeAddressLapsed
	NoticeAddressGone

	noticeKinds
)

// standing reports whether the matter stays until somebody changes a
// configuration, so that telling it once a minute would tell nothing new.
func (k NoticeKind) standing() bool {
	switch k {
	case NoticeEqualPriority, NoticeTwoOwners, NoticeInterval, NoticeAddressList:
		return true
	}
	return false
}

// String returns the kind as a log message.
func (k NoticeKind) String() string {
	switch k {
	case NoticeDropped:
		return "dropped a packet"
	case NoticeRival:
		return "another master is heard"
	case NoticeEqualPriority:
		return "a peer has the same priority"
	case NoticeTwoOwners:
		return "another address owner is heard"
	case NoticeOwnPacket:
		return "own packet came back"
	case NoticeInterval:
		return "a peer uses another advert interval"
	case NoticeAddressList:
		return "a peer advertises other addresses"
	case NoticeSendFailed:
		return "advert could not be sent"
	case NoticeAddressFailed:
		return "address could not be set"
	case NoticeAddressRepaired:
		return "address was removed by somebody else and put back"
	case NoticeHandoverFailed:
		return "nobody was heard to take over"
	case NoticeFlapping:
		return "the master changes to and fro"
	case NoticeAddressChanged:
		return "address was changed by somebody else and set right"
	case NoticeAddressLapsed:
		return "address was put back after its lease ran out"
	case NoticeAddressGone:
		return "address was gone and put back"
	}
	return "invalid"
}
