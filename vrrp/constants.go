package vrrp

import (
	"net/netip"
	"time"
)

// From RFC 9568 and RFC 3768.
const (
	// Protocol is the IP protocol number of VRRP (RFC 9568 section 5.1.1.4).
	Protocol = 112

	// TTL is the only IPv4 TTL and IPv6 hop limit an advert from the link may
	// carry (RFC 9568 sections 5.1.1.3 and 5.1.2.3).
	TTL = 255

	// PriorityRelease says that the sender gives up the virtual router
	// (RFC 9568 section 5.2.4).
	PriorityRelease = 0

	// PriorityDefault is the priority of a router that sets none.
	PriorityDefault = 100

	// PriorityOwner belongs to the address owner (RFC 9568 section 5.2.4).
	PriorityOwner = 255

	// downIntervals is how many silent advert intervals make a master dead
	// (RFC 9568 section 6.1, Active_Down_Interval).
	downIntervals = 3

	// typeAdvertisement is the only packet type (RFC 9568 section 5.2.2).
	typeAdvertisement = 1

	headerLen = 8
	authLen   = 8 // version 2: Authentication Data always follows the list
	v4Len     = 4
	v6Len     = 16

	// AuthNone and AuthSimple are the version 2 authentication types: none
	// (RFC 3768 section 5.3.6) and the clear-text password of RFC 2338.
	AuthNone   = 0
	AuthSimple = 1

	// MinInterval, MaxInterval and IntervalStep bound the version 3 advert
	// interval: 12 bits of centiseconds. Zero is not a legal interval
	// (RFC 9568 section 5.2.7, erratum 8301).
	IntervalStep = 10 * time.Millisecond
	MinInterval  = IntervalStep
	MaxInterval  = 4095 * IntervalStep

	// MinIntervalV2 and MaxIntervalV2 bound the version 2 advert interval:
	// one byte of whole seconds (RFC 3768 section 5.3.7).
	MinIntervalV2 = 1 * time.Second
	MaxIntervalV2 = 255 * time.Second
)

// Multicast destinations of adverts (RFC 9568 sections 5.1.1.2 and 5.1.2.2).
var (
	GroupIPv4 = netip.AddrFrom4([4]byte{224, 0, 0, 18})
	GroupIPv6 = netip.AddrFrom16([16]byte{0: 0xff, 1: 0x02, 15: 0x12})
)

// Ours.
const (
	// DemotedMax is the top of the band of priorities, 1 to DemotedMax, that
	// demoted and drained nodes use. A base priority stands above it, so that
	// every healthy node beats every demoted one. Within it drained nodes beat
	// demoted ones.
	DemotedMax = 31

	// quickInterval is what a version 3 master advertises just before it
	// releases, so that its successor waits a skew of at most 10 ms.
	quickInterval = MinInterval

	// linger is how long a leaving master goes on serving after its successor
	// was heard: the successor binds and announces its addresses meanwhile.
	// An IPv6 address is brought into service by a queue of the kernel's, which a
	// busy host may hold up. Large sets take longer, IPv6 more than IPv4: there each
	// address costs the kernel the more the more there are.
	linger     = 100 * time.Millisecond
	linger6    = 200 * time.Millisecond
	lingerEach = 100 * time.Microsecond
	lingerPair = 250 * time.Nanosecond

	// announceSoon is how long after the former master has let go its
	// successor announces its addresses once more: whoever asked for one
	// meanwhile may have heard the former one last.
	announceSoon = 20 * time.Millisecond

	// handoverGrace is added to the longest skew a successor may wait.
	handoverGrace = 100 * time.Millisecond

	// answerGap is the least time between two immediate answers to adverts
	// that lost the election, so that two routers that disagree cannot storm.
	answerGap = 10 * time.Millisecond

	// lastWord is how long after taking over an advert of the master before is
	// no sign of a rival.
	lastWord = 100 * time.Millisecond

	// listenMargin is the part of an interval, one in so many, that whoever slept
	// listens beyond it: a clock that is being set right by slewing may run wrong by
	// a twelfth.
	listenMargin = 8

	// rivalGap is the least time between two announcements because the same
	// rival is heard; another one is answered after a linger.
	rivalGap = 1 * time.Second

	// refusedShown is how long a refused packet is part of the status, at least.
	refusedShown = 10 * time.Second

	// noticeGap is the least time between two notices of one kind on one
	// virtual router.
	noticeGap = 1 * time.Minute

	// standingGap is the same for what lasts until a configuration changes.
	standingGap = 1 * time.Hour

	// troubleRepairs removals by somebody else within troubleWindow, or an
	// address that the kernel refuses for a second, make a node hand over and
	// stay demoted for troublePenalty: twice as long each time, up to
	// troublePenaltyMax, until troubleForget has passed without.
	troubleRepairs    = 5
	troubleWindow     = 10 * time.Second
	troublePenalty    = 1 * time.Minute
	troublePenaltyMax = 1 * time.Hour
	troubleForget     = 10 * time.Minute

	// flapTimes masters within flapWindow that were alive when this node took over
	// are worth a word.
	flapTimes  = 3
	flapWindow = 1 * time.Minute

	// sendRetry is how long a node that cannot send stays in fault before it
	// tries again, at first and at most; proveTime is within which an advert that
	// cannot leave is known not to have left.
	sendRetry    = 5 * time.Second
	sendRetryMax = 1 * time.Minute
	proveTime    = 1 * time.Millisecond

	// removalLate is how much later than the lease ends the kernel removes an
	// address at most, removalEarly how much sooner: it looks 20 ms ahead, and
	// counts in ticks of up to 10.
	removalLate  = 1 * time.Second
	removalEarly = 30 * time.Millisecond

	// renewSlice is how many addresses are renewed in one go, and renewSmall the
	// largest set that is renewed as a whole; a larger one is in parts that are
	// renewPause apart.
	renewSlice = 128
	renewSmall = 256
	renewPause = 100 * time.Millisecond

	// renewShort is how long behind an advert at most a lease that was given short is
	// made whole: it may be one of a second.
	renewShort = 100 * time.Millisecond

	// renewSoon is how long behind an advert a lease is renewed: in the next turn,
	// which follows at once and needs no waking of its own.
	renewSoon = time.Nanosecond

	// leaseIPv6 is how many IPv6 addresses a lease has for each of its seconds at
	// most. Renewing them takes a fifth of the time of one core then, whatever
	// their number: what one costs grows with it.
	leaseIPv6 = 200

	// repairMin and repairMax bound the back-off before addresses that the
	// kernel refused are tried again.
	repairMin = 100 * time.Millisecond
	repairMax = 10 * time.Second
)
