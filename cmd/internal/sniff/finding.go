package sniff

// Severity says what a finding means to the person who reads it.
type Severity uint8

// The severities, the lightest first.
const (
	// News is what happens in a sound network, too.
	News Severity = iota
	// Warning is what some routers refuse, or what will bite one day.
	Warning
	// Fault is what routers refuse, or what takes the service away.
	Fault
)

var severityNames = []string{News: "news", Warning: "warning", Fault: "fault"}

func (s Severity) String() string { return severityNames[s] }

// Finding is one thing that there is to say of a packet or a router.
type Finding struct {
	Kind     Kind
	Severity Severity
	// Text says it in a sentence without a full stop.
	Text string
}

// Kind names what was found. The names are stable: programs may go by them.
// Those that [github.com/holdfast-vrrp/holdfast/vrrp.DropReason] has, too, mean
// the same.
type Kind string

// What can be wrong with a packet on its own.
const (
	KindShort          Kind = "short"
	KindVRID           Kind = "vrid" // 0, which is nobody's
	KindTTL            Kind = "ttl"
	KindVersion        Kind = "version"
	KindType           Kind = "type"
	KindCount          Kind = "address_count"
	KindLength         Kind = "length"
	KindChecksum       Kind = "checksum"
	KindIntervalZero   Kind = "interval_zero"
	KindFirstAddress   Kind = "first_address"
	KindDestination    Kind = "destination"
	KindAuthType       Kind = "auth_type"
	KindProtocol       Kind = "protocol"        // not 112, or inside an authentication header
	KindFragment       Kind = "fragment"        // of an IP packet
	KindIPHeader       Kind = "ip_header"       // its checksum is wrong
	KindSource         Kind = "source"          // an address that no router sends from
	KindSourceMAC      Kind = "source_mac"      // of another virtual router
	KindDestinationMAC Kind = "destination_mac" // not that of the group
	KindCARP           Kind = "carp"            // CARP, which has the same protocol number
	KindCut            Kind = "cut"             // by the capture
)

// What shows when a packet is held against others.
const (
	KindTwoMasters      Kind = "two_masters"
	KindOneMaster       Kind = "one_master" // again
	KindSamePriority    Kind = "same_priority"
	KindVersions        Kind = "versions"
	KindAuthDiffers     Kind = "auth_differs"
	KindIntervals       Kind = "intervals" // version 2 needs the same
	KindChecksums       Kind = "checksums"
	KindAddressLists    Kind = "address_lists"
	KindDelivery        Kind = "delivery" // unicast and multicast
	KindDuplicateSource Kind = "duplicate_source"
	KindGap             Kind = "gap"
	KindSilent          Kind = "silent"
	KindMaster          Kind = "master"
	KindBack            Kind = "back"
	KindTakeover        Kind = "takeover"
	KindPreempt         Kind = "preempt"
	KindRelease         Kind = "release"
	KindChanged         Kind = "changed"
	KindAnnouncer       Kind = "announcer" // of an address, and not its master
	KindUnannounced     Kind = "unannounced"
)
