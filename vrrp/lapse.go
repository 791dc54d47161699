package vrrp

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Lapse is what is known of the lease of an address that the kernel was found to
// lack, when it had one: whether it ran out, or somebody took the address away.
type Lapse struct {
	// Lease is what the kernel took last, when it added or renewed the address.
	Lease time.Duration
	// Least and Most are how long ago that was, at least and at most, when the
	// address was found to be gone: the kernel may take its time to answer.
	Least, Most time.Duration
}

// possible reports whether the kernel can have ended the lease, certain whether
// the lease was over, so that it would have done so anyway.
func (l *Lapse) possible() bool {
	return l != nil && l.Lease > 0 && l.Most >= l.Lease-removalEarly
}

func (l *Lapse) certain() bool { return l.possible() && l.Least >= l.Lease }

// missed is an address that a master found to be gone. refused is why the kernel
// would not renew it, if it would not.
type missed struct {
	address netip.Prefix
	lapse   *Lapse
	refused string
}

func missedAddresses(list []missed) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for n, m := range list {
		out[n] = m.address
	}
	return out
}

// tellMissed tells why addresses were gone: who looks for somebody that removes
// them must not look in vain. A late renewal is no quarrel with anybody, either,
// which another node would not have.
func (r *router) tellMissed(list []missed) {
	var removed, lapsed, unclear []missed
	for _, m := range list {
		switch {
		case m.lapse.certain():
			lapsed = append(lapsed, m)
		case m.lapse.possible():
			unclear = append(unclear, m)
		default:
			removed = append(removed, m)
		}
	}
	r.counters.AddressesRepaired += uint64(len(removed))
	r.counters.AddressesLapsed += uint64(len(lapsed) + len(unclear))
	if len(removed) > 0 {
		what := joinPrefixes(missedAddresses(removed))
		r.notice(NoticeAddressRepaired, netip.Addr{}, what)
		r.removedAgain(what)
	}
	if len(lapsed) > 0 {
		upTo := ""
		if len(lapsed) > 1 {
			upTo = "up to "
		}
		longest := slices.MaxFunc(lapsed, func(a, b missed) int { return cmp.Compare(a.lapse.Least-a.lapse.Lease, b.lapse.Least-b.lapse.Lease) })
		r.notice(NoticeAddressLapsed, netip.Addr{}, fmt.Sprintf("%s, last renewed %s%v ago for %v: %s",
			joinPrefixes(missedAddresses(lapsed)), upTo, round(longest.lapse.Least), longest.lapse.Lease, r.whyNotRenewed(longest)))
	}
	if len(unclear) > 0 {
		one := slices.MaxFunc(unclear, func(a, b missed) int { return cmp.Compare(a.lapse.Most, b.lapse.Most) })
		r.notice(NoticeAddressGone, netip.Addr{}, fmt.Sprintf("%s, last renewed up to %v ago for %v: somebody else removed it, or its lease ran out: %s",
			joinPrefixes(missedAddresses(unclear)), round(one.lapse.Most), one.lapse.Lease, r.whyNotRenewed(one)))
	}
}

// whyNotRenewed is why a lease ran out, as far as this node knows, and where people
// find out more.
func (r *router) whyNotRenewed(m missed) string {
	e, renewed := r.inst.e, r.now().Add(-m.lapse.Most)
	switch {
	case e.woke.After(renewed) && e.slept >= m.lapse.Lease/2:
		return fmt.Sprintf("this node could not act for %v; look for a paused machine, swapping or busy processors then", round(e.slept))
	case r.failedAt.After(renewed):
		return "while adverts do not leave nothing is renewed: " + r.sendProblem
	case m.refused != "":
		return "the kernel refused: " + m.refused
	}
	return "this host or its kernel's network lock was busy; look for what changed interfaces, routes or network namespaces then"
}
