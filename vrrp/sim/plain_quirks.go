package sim

import "time"

// SumRule is which checksums of a version 3 advert over IPv4 are accepted.
type SumRule uint8

const (
	// SumMessage: over the message alone (RFC 9568 section 5.2.8).
	SumMessage SumRule = iota
	// SumPseudo: with the IPv4 pseudo-header, as RFC 5798 is often read.
	SumPseudo
	// SumBoth: either.
	SumBoth
	// SumAny: not looked at, as by keepalived with v3_checksum_as_v2.
	SumAny
)

// ListRule is what a router asks of the address list of an advert.
type ListRule uint8

const (
	// ListAny: nothing; a difference is logged (RFC 9568 section 7.1).
	ListAny ListRule = iota
	// ListSet: the same addresses in any order, as keepalived before 2.3.3.
	ListSet
	// ListSame: the same addresses in the same order, unless the sender is the
	// owner (RFC 3768 section 7.1, where the check is made at all).
	ListSame
)

// OwnerRule is what an address owner, priority 255, does with adverts.
type OwnerRule uint8

const (
	// OwnerElects: it compares, so that of two the higher address stays
	// (erratum 8298).
	OwnerElects OwnerRule = iota
	// OwnerIgnores: it drops them all (RFC 9568 section 7.1 as printed).
	OwnerIgnores
	// OwnerStepsDown: it compares, and when it wins and the other owner goes on
	// speaking, it goes down to 254 until that one is gone, as keepalived since
	// 2.3.3.
	OwnerStepsDown
)

// Quirks are where routers differ. The zero value is RFC 9568 with its errata,
// but for what the RFC adds: see [Router9568].
type Quirks struct {
	// SendPseudo sends version 3 checksums over IPv4 with the pseudo-header.
	SendPseudo bool
	// GroupSum forms that pseudo-header with 224.0.0.18 in unicast too, as
	// keepalived up to 1.3.5 did.
	GroupSum bool
	// AcceptSum is which of them it accepts.
	AcceptSum SumRule

	// FirstLinkLocal refuses IPv6 lists that do not begin with a link-local
	// address (erratum 8300).
	FirstLinkLocal bool
	// List is what the address list is compared with.
	List ListRule
	// MostAddresses refuses longer lists; 0 is no limit.
	MostAddresses int
	// SameInterval refuses another advert interval in version 3 too. Version 2
	// always does.
	SameInterval bool
	// AnyTTL does not look at the TTL at all, UnicastAnyTTL not in unicast.
	AnyTTL, UnicastAnyTTL bool
	// AnyPeer takes unicast adverts from whomever, as keepalived does without
	// check_unicast_src.
	AnyPeer bool

	// KeepInterval does not learn the master's interval in version 3.
	KeepInterval bool
	// WholeSkew cuts the skew to whole hundredths of a second.
	WholeSkew bool
	// DownIntervals is how many silent intervals make a master dead; 0 is 3.
	DownIntervals int

	// Answer sends an advert at once when a master hears one that loses.
	Answer bool
	// AnswerAnnounce announces the addresses then, too.
	AnswerAnnounce bool
	// LastWord sends one more advert before yielding to a stronger master.
	LastWord bool
	// StayOnEqual does not compare addresses: a master of the same priority
	// does not make it yield.
	StayOnEqual bool
	// Owner is what it does with priority 255.
	Owner OwnerRule

	// UnicastHopLimit is what IPv6 unicast is sent with; 0 is 255.
	UnicastHopLimit int
	// AnnounceAgain is how long after an announcement there is a second one,
	// AnnounceEvery how often a master repeats it; 0 is never.
	AnnounceAgain, AnnounceEvery time.Duration
	// Releases is how often it says that it leaves; 0 is once, -1 never.
	Releases int
	// RemoveLate is how long after its release or its defeat it still holds
	// the addresses, RemoveFirst how long before its release it gives them up.
	RemoveLate, RemoveFirst time.Duration
}

// Keepalived is keepalived 2.3.3 to 2.4.3 as it comes.
func Keepalived() Quirks {
	return Quirks{
		SendPseudo: true, AcceptSum: SumPseudo, UnicastAnyTTL: true, AnyPeer: true,
		Answer: true, AnswerAnnounce: true, Owner: OwnerStepsDown,
		UnicastHopLimit: 64, AnnounceAgain: 5 * time.Second,
	}
}

// OldKeepalived is keepalived before 2.3.3: it drops adverts with other
// addresses, and owners compare without end.
func OldKeepalived() Quirks {
	q := Keepalived()
	q.List, q.Owner = ListSet, OwnerElects
	return q
}

// KeepalivedAsV2 is keepalived with v3_checksum_as_v2, as its manual advises
// beside RFC 9568 routers.
func KeepalivedAsV2() Quirks {
	q := Keepalived()
	q.SendPseudo, q.AcceptSum = false, SumAny
	return q
}

// FRR is FRR's vrrpd: RFC 5798, timers in hundredths of a second.
func FRR() Quirks {
	q := Router5798()
	q.WholeSkew = true
	return q
}

// Holo is holo: RFC 9568's checksum, no other interval, at most 20 addresses.
func Holo() Quirks {
	return Quirks{SameInterval: true, MostAddresses: 20}
}

// Router9568 is RFC 9568 to the letter, with its errata.
func Router9568() Quirks {
	return Quirks{FirstLinkLocal: true, Answer: true}
}

// Router5798 is RFC 5798, read with the pseudo-header: a master is silent when
// it hears a weaker one, and an owner hears nobody.
func Router5798() Quirks {
	return Quirks{SendPseudo: true, AcceptSum: SumPseudo, Owner: OwnerIgnores}
}

// Router3768 is RFC 3768, for version 2: silent as RFC 5798, and it makes the
// check of the address list that the RFC permits.
func Router3768() Quirks {
	return Quirks{Owner: OwnerIgnores, List: ListSame}
}
