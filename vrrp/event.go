package vrrp

import (
	"net/netip"
	"time"
)

// RouterID names a virtual router: an instance in one address family.
type RouterID struct {
	Instance string
	Family   Family
	// Serial tells routers apart for as long as the Engine lives: it stays
	// when a reload renames the instance, and differs when a reload puts a new
	// virtual router in the place of an old one that still hands over. In an
	// event it may be left at 0: the instance and family are looked up then.
	Serial uint64
}

// Event is something that happened. Pass events to [Engine.Step] by pointer;
// the Engine keeps nothing of one after Step returns.
type Event interface{ event() }

type (
	// Tick says nothing but that time has passed.
	Tick struct{}

	// Late says that the caller could not act for a while, because it was
	// stopped, starved or suspended: it comes before anything else afterwards.
	// Whoever may have been declared dead meanwhile listens before it acts.
	Late struct {
		// By is how much too late it was called, or Asleep, if that is longer.
		By time.Duration
		// Asleep is for how long the clock of Step stood still since the last one,
		// as it does while the machine is suspended.
		Asleep time.Duration
	}

	// Adopt names virtual routers that this node was master of until a moment
	// ago, with the addresses still in place and no peer's timer run out. They
	// go on as master as soon as their interface is known. It comes before the
	// first Configure.
	Adopt struct{ Routers []Adopted }

	// Configure replaces the whole set of instances. What is unchanged goes on
	// undisturbed. The set must have passed [ValidateAll]. The Engine keeps it, and
	// never writes to it: nor may anybody else from then on.
	Configure struct{ Instances []Config }

	// Link is the present state of an interface. It is sent for every
	// configured interface at start, also for one that does not exist, and
	// after every change; for one that instances begin to use again, behind the
	// Configure. Of an interface that none uses nothing is kept.
	Link struct {
		Name string
		// Index is the interface's index; 0 when it does not exist.
		Index int
		// Up is the administrative state, Carrier whether the link works.
		Up, Carrier bool
		// Addresses are the usable addresses of the interface with their
		// prefix lengths, in the kernel's order, without any VIP and without
		// tentative ones.
		Addresses []netip.Prefix
		// Virtual are VIPs that somebody else has put there, at least those of a
		// family without Addresses: they are no source, and people may wonder why.
		Virtual []netip.Prefix
		// Problem is why the interface cannot be used although it is up, such
		// as a socket that could not be opened; empty when there is none.
		Problem string
	}

	// AdvertReceived is a VRRP packet as it came from the network, unchecked.
	AdvertReceived struct {
		// Interface is the index of the interface it arrived on.
		Interface           int
		Source, Destination netip.Addr
		// TTL is the IPv4 TTL or IPv6 hop limit.
		TTL int
		// Payload is what followed the IP header.
		Payload []byte
	}

	// StrangersHeard says how many packets came to an interface that no
	// instance there has the VRID of, beside those passed on: whoever keeps
	// them away from the Engine need not have it miscount ([DropVRID]).
	StrangersHeard struct {
		Interface int // index
		Packets   uint64
	}

	// CheckChanged is the new result of a health check, or the first one.
	CheckChanged struct {
		Check   string
		Healthy bool
		// Reason is why it fails, for people.
		Reason string
	}

	// AddressesChanged reports addresses of a virtual router as the kernel has
	// them now: after an action was carried out, and when somebody changed them.
	AddressesChanged struct {
		Router    RouterID
		Addresses []AddressState
		// Removal is set when it tells what came of [RemoveAddresses], however late:
		// nobody else took off what is not there.
		Removal bool
	}

	// SendFailed reports that an advert could not be sent.
	SendFailed struct {
		Router RouterID
		Reason string
	}

	// Drain asks the node to hand the instance and its group over and to stay
	// behind every healthy node, until Undrain. [Outcome] tells what came of it.
	Drain struct {
		Instance string
		// Try makes it void when nobody takes over: the node goes on as it was.
		// Else it stays drained, and serves for as long as nobody else does.
		Try bool
		// Until is when it ends by itself; the zero Time is never.
		Until time.Time
		// Since is when it was ordered, if not now: by an order that outlived a
		// restart.
		Since time.Time
		// By and Why are who asked and for what reason, Persist whether it is to
		// survive a restart: the Engine keeps them for who asks.
		By, Why string
		Persist bool
	}

	// Undrain ends a drain, and what a Failover left.
	Undrain struct{ Instance string }

	// Failover asks the node to hand the instance and its group over, once:
	// afterwards it takes part as before, but does not take over by preemption
	// until it was master again, or an Undrain. When nobody takes over it goes on
	// as it was. [Outcome] tells what came of it.
	Failover struct{ Instance, By string }

	// AnnounceNow asks a master to announce its addresses again. An empty
	// Instance means all.
	AnnounceNow struct{ Instance string }

	// Stop asks the node to hand everything over. [Engine.Stopped] tells when
	// that is done.
	Stop struct{}
)

// Adopted names a virtual router across a restart.
type Adopted struct {
	Interface string
	VRID      uint8
	Family    Family
	// PseudoHeader is the checksum form of the last advert, as [SendAdvert]
	// told: a backup that understands only that one must go on hearing it.
	PseudoHeader bool
	// Until is when a peer may have taken over: from then on the router starts
	// like any other, and lets go of what was left in place for it. The zero
	// Time is never.
	Until time.Time
}

// AddressState is whether an address is on its interface.
type AddressState struct {
	Address netip.Prefix
	Present bool
	// Problem is why it is not, when the kernel refused it.
	Problem string
	// Changed is set once, when somebody else had changed it and it was set right.
	Changed bool
	// Lapse is set once, when it was found to be gone and had a lease. When it is
	// present all the same, a renewal has brought it back.
	Lapse *Lapse
}

func (*Tick) event()             {}
func (*StrangersHeard) event()   {}
func (*Late) event()             {}
func (*Adopt) event()            {}
func (*Configure) event()        {}
func (*Link) event()             {}
func (*AdvertReceived) event()   {}
func (*CheckChanged) event()     {}
func (*AddressesChanged) event() {}
func (*SendFailed) event()       {}
func (*Drain) event()            {}
func (*Undrain) event()          {}
func (*Failover) event()         {}
func (*AnnounceNow) event()      {}
func (*Stop) event()             {}
