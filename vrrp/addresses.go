package vrrp

import (
	"net/netip"
	"slices"
	"strings"
	"time"
)

// setAddresses takes this family's addresses out of the configuration and
// keeps what is known of those that stay.
func (r *router) setAddresses(all []netip.Prefix) {
	old, known := r.addresses, r.positions
	r.addresses, r.advertised, r.positions, r.differs = nil, nil, nil, nil
	if len(all) > scanMost {
		r.positions = make(map[netip.Prefix]int, len(all))
	}
	for _, p := range all {
		if FamilyOf(p.Addr()) != r.id.Family {
			continue
		}
		s := AddressState{Address: p}
		if at := position(old, known, p); at >= 0 {
			s = old[at]
		}
		if r.positions != nil {
			r.positions[p] = len(r.addresses)
		}
		r.addresses = append(r.addresses, s)
		if len(r.advertised) < maxAdvertised(r.id.Family) {
			r.advertised = append(r.advertised, p.Addr())
		}
	}
}

// scanMost is how many addresses are searched one by one. A map takes several
// times the room of a few.
const scanMost = 8

// position finds an address of the router; -1 when it is none.
func (r *router) position(p netip.Prefix) int { return position(r.addresses, r.positions, p) }

func position(list []AddressState, positions map[netip.Prefix]int, p netip.Prefix) int {
	if positions == nil {
		return slices.IndexFunc(list, func(s AddressState) bool { return s.Address == p })
	}
	if at, ok := positions[p]; ok {
		return at
	}
	return -1
}

func (r *router) prefixes() []netip.Prefix {
	out := make([]netip.Prefix, len(r.addresses))
	for n, a := range r.addresses {
		out[n] = a.Address
	}
	return out
}

// reconfigured follows a changed configuration of the same virtual router.
func (r *router) reconfigured() {
	before, old, known := r.prefixes(), r.addresses, r.positions
	r.setAddresses(r.inst.cfg.Addresses)
	r.sent.sends = nil
	r.reviewInterval()
	after := r.prefixes()
	var added []netip.Prefix
	for _, p := range after {
		if position(old, known, p) < 0 {
			added = append(added, p)
		}
	}
	for _, p := range before {
		if r.position(p) < 0 && (r.state == StateMaster || r.holding()) {
			r.unwanted = append(r.unwanted, p)
		}
	}
	if r.state != StateMaster {
		return
	}
	if !r.unproven { // else it adds them all when it serves
		r.readdress(after, added)
	}
	if r.sent.interval != r.inst.cfg.AdvertInterval && !r.handing && !r.listening {
		r.timer = r.now() // peers go by what they were told
	}
}

// readdress gives a master the addresses that a reload added, or all of them
// another lease; one that listens has them all set and announced when it goes on.
func (r *router) readdress(all, added []netip.Prefix) {
	fresh := r.lease != r.inst.cfg.Lease
	switch {
	case r.listening:
	case fresh:
		r.addAddresses(all)
	default:
		r.addAddresses(added)
	}
	if len(added) > 0 && !r.listening {
		r.announceBurst()
	}
	if fresh {
		r.startRenewing()
	} else {
		r.restartRenewing()
	}
}

// reviewInterval follows a changed advert interval, unless the interval in
// force was learned from the master (RFC 9568 section 6.1; version 2 learns
// none).
func (r *router) reviewInterval() {
	own := r.inst.cfg.AdvertInterval
	learned := r.state == StateBackup && r.inst.cfg.Version == Version3 && r.peer.IsValid()
	if learned || r.interval == own {
		return
	}
	r.interval = own
	if r.state == StateBackup {
		r.timer = r.after(r.downInterval())
	}
}

// removeUnwanted takes off what a reload took out of the configuration.
func (i *instance) removeUnwanted() {
	for _, r := range i.routers {
		r.removeAddresses(r.unwanted)
		r.unwanted = nil
	}
}

func (r *router) addAddresses(list []netip.Prefix) {
	if len(list) == 0 {
		return
	}
	lease := r.leaseNow()
	r.do(&AddAddresses{r.id, r.inst.cfg.Interface, list, lease})
	if r.short = r.short || lease < r.inst.cfg.Lease; r.short {
		r.renewBehind()
	}
}

func (r *router) removeAddresses(list []netip.Prefix) {
	if len(list) == 0 {
		return
	}
	for _, p := range list {
		if at := r.position(p); at >= 0 {
			r.addresses[at].Present = false
		}
	}
	r.do(&RemoveAddresses{r.id, r.inst.cfg.Interface, list})
}

func (r *router) announce(list []netip.Prefix) {
	if len(list) > 0 {
		r.counters.Announcements += uint64(len(list))
		r.do(&AnnounceAddresses{r.id, r.inst.cfg.Interface, list})
	}
}

// stopAnnouncing takes back the announcements that somebody has not carried out
// yet: those of another master count now, and the network believes the last one.
func (r *router) stopAnnouncing() { r.do(&StopAnnouncing{r.id, r.inst.cfg.Interface}) }

// announceBurst announces now and repeats as configured.
func (r *router) announceBurst() {
	r.announceLeft = r.inst.cfg.Announce.Repeat
	r.announceNext()
}

// postponeAnnouncements has what is due wait until it is known whether there is a
// successor.
func (r *router) postponeAnnouncements() {
	for _, t := range []*time.Time{&r.announceAt, &r.againAt} {
		if r.due(*t) {
			*t = r.timer
		}
	}
}

func (r *router) announceNext() {
	a := r.inst.cfg.Announce
	r.announce(r.prefixes())
	r.announceLeft--
	switch {
	case r.announceLeft > 0:
		r.announceAt = r.after(a.Interval)
	case a.Refresh > 0:
		r.announceAt = r.after(a.Refresh)
	default:
		r.announceAt = time.Time{}
	}
	if late := r.announceLate; r.announceLeft <= 0 && late.After(r.now()) && (r.announceAt.IsZero() || late.Before(r.announceAt)) {
		r.announceAt = late
	}
}

// addressesChanged takes over what the kernel has. As master, what is gone is put
// back at once; what the kernel refused is tried again later. What this node itself
// has removed, before it became master again, is on its way back already.
func (r *router) addressesChanged(list []AddressState, removal bool) {
	var lost, changed []netip.Prefix
	var gone []missed
	var refused []string
	for _, s := range list {
		at := r.position(s.Address)
		if at < 0 {
			continue
		}
		was := r.addresses[at].Present
		if s.Changed {
			changed = append(changed, s.Address)
			s.Changed = false
		}
		if was && !removal && s.Problem == "" && (!s.Present || s.Lapse != nil) {
			gone = append(gone, missed{s.Address, s.Lapse, r.addresses[at].Problem})
		}
		s.Lapse = nil
		r.addresses[at] = s
		switch {
		case s.Problem != "":
			refused = append(refused, s.Problem)
		case was && !removal && !s.Present:
			lost = append(lost, s.Address)
		case !s.Present && r.state == StateMaster && r.repairAt.IsZero():
			// On its way, or gone again before it was seen.
			r.repairAt = r.after(repairMin)
		}
	}
	if len(changed) > 0 {
		r.counters.AddressesRepaired += uint64(len(changed))
		r.notice(NoticeAddressChanged, netip.Addr{}, joinPrefixes(changed))
	}
	if r.state != StateMaster && !r.holding() && len(refused) > 0 && !r.inst.removed && !r.inst.e.stopping {
		r.repairWait = min(max(2*r.repairWait, repairMin), repairMax)
		r.repairAt = r.after(r.repairWait)
		r.notice(NoticeAddressFailed, netip.Addr{}, refused[0])
		r.schedule()
	}
	if r.state != StateMaster || r.listening || !r.speaks() {
		return // what expires meanwhile is meant to
	}
	if len(gone) > 0 {
		r.addAddresses(lost)
		r.announce(missedAddresses(gone))
		r.tellMissed(gone)
	}
	if len(refused) == 0 {
		r.repairWait, r.refusedSince = 0, time.Time{}
	} else {
		r.refusedAgain(refused[0])
		r.repairWait = min(max(2*r.repairWait, repairMin), repairMax)
		r.repairAt = r.after(r.repairWait)
		r.notice(NoticeAddressFailed, netip.Addr{}, strings.Join(slices.Compact(refused[:min(len(refused), 3)]), "; "))
	}
	r.schedule()
}

// repair tries again what the kernel refused: to add as master, else to remove.
// What is there although the kernel refused something may be of somebody else, or
// about to go.
func (r *router) repair() {
	var add, remove []netip.Prefix
	for _, s := range r.addresses {
		if s.Present {
			remove = append(remove, s.Address)
		}
		if !s.Present || s.Problem != "" {
			add = append(add, s.Address)
		}
	}
	switch {
	case r.state == StateMaster && r.unproven:
		r.prove()
	case r.state == StateMaster && !r.speaks(): // not before it does
	case r.state == StateMaster:
		r.addAddresses(add)
		r.announce(add)
	case !r.holding():
		r.removeAddresses(remove)
	}
}

func joinPrefixes(list []netip.Prefix) string {
	var s []string
	for _, p := range list[:min(len(list), 5)] {
		s = append(s, p.String())
	}
	if len(list) > 5 {
		s = append(s, "…")
	}
	return strings.Join(s, ", ")
}
