package sniff

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// beats tells whether an advert wins against the other router (RFC 9568 section
// 6.4.3): by its priority, then by its source.
func (a *Advert) beats(b *Advert) bool {
	if a.Priority != b.Priority {
		return a.Priority > b.Priority
	}
	return a.Source.Compare(b.Source) > 0
}

// meets tells whether two routers are to hear each other: on the group, or when
// one is a unicast peer of the other or of a third. One that speaks multicast
// and one that does not are meant to.
func (r *router) meets(o *router) bool {
	switch {
	case o == r || o.source == r.source:
		return false
	case !r.unicast || !o.unicast:
		return true
	}
	return r.sendsTo(o.source) || o.sendsTo(r.source) || slices.ContainsFunc(r.streams, func(s *stream) bool { return o.sendsTo(s.destination) })
}

// unicast tells whether the packet was sent to a peer.
func (a *Advert) unicast() bool { return !a.Destination.IsMulticast() && a.Destination != broadcast }

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// elect tells what an advert means among those who claim to be master.
func (v *virtual) elect(r *router, a *Advert) {
	gaveWay := r.beaten
	r.beaten = false
	var better *router // that the router should have heard
	for _, o := range v.routers {
		if !r.meets(o) || !o.alive(a.Time) {
			continue
		}
		if a.beats(&o.advert) {
			o.beaten = true
			continue
		}
		if o.beaten {
			continue // it has given way, though not to this one
		}
		r.beaten = true
		if a.Time.Sub(o.spell) >= min(grace, a.Interval) && (better == nil || o.advert.beats(&better.advert)) {
			better = o
		}
	}
	switch {
	case better != nil:
		v.contested(r, a, better)
	case !r.beaten && !r.conflict.IsZero():
		a.find(KindOneMaster, News, "the only master again; %v was one as well for %s", r.rival, short(r.last.Sub(r.conflict)))
		r.conflict = time.Time{}
	}
	if gaveWay && !r.beaten {
		r.spell = a.Time
	}
	if !r.beaten {
		v.succeeds(r, a)
	}
}

// succeeds makes a router the master and tells who was it before.
func (v *virtual) succeeds(r *router, a *Advert) {
	p := v.master
	v.master = r
	switch {
	case p == r:
	case p != nil && p.source == r.source:
	case p == nil || !r.meets(p) && r.adverts == 1:
		a.find(KindMaster, News, "first heard, as master")
	case !r.meets(p):
	case p.state == released:
		a.find(KindTakeover, News, "takes over from %v, which released %s before", p.source, short(a.Time.Sub(p.last)))
	case p.alive(a.Time):
		why := fmt.Sprintf("whose priority is %d", p.advert.Priority)
		if p.advert.Priority == a.Priority {
			why = "whose priority is the same and whose address is lower"
		}
		a.find(KindPreempt, News, "takes over from %v, %s", p.source, why)
	default:
		a.find(KindTakeover, News, "takes over from %v, silent for %s", p.source, short(a.Time.Sub(p.last)))
	}
}

// contested tells of a router that goes on beside a better one.
func (v *virtual) contested(r *router, a *Advert, better *router) {
	if !r.conflict.IsZero() && r.rival == better.source {
		a.find(KindTwoMasters, Fault, "two masters: %v, priority %d, is one as well", better.source, better.advert.Priority)
		return
	}
	if r.conflict.IsZero() {
		r.conflict = a.Time
	}
	r.rival = better.source
	with := fmt.Sprintf("priority %d", better.advert.Priority)
	if better.advert.Priority == a.Priority {
		with = "the same priority and a higher address"
	}
	a.find(KindTwoMasters, Fault, "two masters: %v is one as well, with %s, and this router does not give way: %s",
		better.source, with, why(r, a, better))
}

// why guesses why a router takes no notice of a better one.
func why(r *router, a *Advert, better *router) string {
	b := &better.advert
	var wrong []string
	for _, f := range b.Findings {
		if f.Severity == Fault && f.Kind != KindTwoMasters && f.Kind != KindDelivery && !slices.Contains(wrong, string(f.Kind)) {
			wrong = append(wrong, string(f.Kind))
		}
	}
	switch v2 := a.Version == vrrp.Version2; {
	case r.unicast != better.unicast:
		return "one speaks unicast, the other multicast"
	case a.Version != b.Version:
		return fmt.Sprintf("they speak versions %d and %d", a.Version, b.Version)
	case v2 && (a.AuthType != b.AuthType || a.Auth != b.Auth):
		return "their authentication differs"
	case v2 && a.Interval != b.Interval:
		return "their advert intervals differ"
	case len(wrong) > 0:
		return fmt.Sprintf("the adverts of %v are wrong (%s)", better.source, strings.Join(wrong, ", "))
	case a.Priority == vrrp.PriorityOwner:
		return "its priority 255 says that it owns the addresses"
	case a.Checksum != b.Checksum && checksumForm(a) && checksumForm(b):
		return fmt.Sprintf("their checksums have different forms (%v and %v)", a.Checksum, b.Checksum)
	}
	return fmt.Sprintf("it does not hear %v: a firewall drops protocol 112, a switch withholds multicast, or a link works one way", better.source)
}

// pair is two routers of one virtual router and what they differ in.
type pair struct {
	a, b netip.Addr
	kind Kind
}

// compare tells how an advert differs from those of other routers. A difference
// is told once, and again when it has become another.
func (v *virtual) compare(r *router, a *Advert) {
	if !a.sound() {
		return
	}
	for _, o := range v.routers {
		if !r.meets(o) || !o.advert.sound() || a.Time.Sub(o.last) > rememberFor {
			continue
		}
		for _, d := range differences(r, a, o) {
			key, values := pair{r.source, o.source, d.Kind}, d.mine+"\n"+d.theirs
			if o.source.Less(r.source) {
				key, values = pair{o.source, r.source, d.Kind}, d.theirs+"\n"+d.mine
			}
			if v.told[key] == values {
				continue
			}
			v.told[key] = values
			a.Findings = append(a.Findings, d.Finding)
		}
	}
}

// difference is what two routers differ in, or must not have in common.
type difference struct {
	Finding
	mine, theirs string
}

// differences lists what two routers of one virtual router must not differ in.
func differences(r *router, a *Advert, o *router) (list []difference) {
	b := &o.advert
	add := func(kind Kind, how Severity, mine, theirs any, format string, args ...any) {
		list = append(list, difference{Finding{kind, how, fmt.Sprintf(format, args...)}, fmt.Sprint(mine), fmt.Sprint(theirs)})
	}
	if r.unicast != o.unicast {
		add(KindDelivery, Fault, a.Destination, b.Destination, "sent to %v, %v sends to %v: one speaks unicast, the other multicast", a.Destination, o.source, b.Destination)
	}
	if a.Version != b.Version {
		add(KindVersions, Fault, a.Version, b.Version, "version %d, %v speaks version %d: each ignores the other", a.Version, o.source, b.Version)
		return list
	}
	if a.Version == vrrp.Version2 {
		switch {
		case a.AuthType != b.AuthType:
			add(KindAuthDiffers, Fault, a.AuthType, b.AuthType, "authentication type %d, that of %v is %d: each refuses the other", a.AuthType, o.source, b.AuthType)
		case a.Auth != b.Auth:
			add(KindAuthDiffers, Fault, a.Auth, b.Auth, "another password than %v: each refuses the other", o.source)
		}
		if a.Interval != b.Interval {
			add(KindIntervals, Fault, a.Interval, b.Interval, "advert interval %s, that of %v is %s: in version 2 each refuses the other", short(a.Interval), o.source, short(b.Interval))
		}
	}
	if a.Checksum != b.Checksum && checksumForm(a) && checksumForm(b) {
		add(KindChecksums, Warning, a.Checksum, b.Checksum, "checksum %v, that of %v is %v: keepalived takes rfc9568 only with v3_checksum_as_v2", a.Checksum, o.source, b.Checksum)
	}
	if a.Priority == b.Priority && a.Priority != vrrp.PriorityRelease {
		add(KindSamePriority, Warning, a.Priority, b.Priority, "same priority as %v: the higher address decides who is master", o.source)
	}
	if here, there := without(a.Addresses, b.Addresses), without(b.Addresses, a.Addresses); len(here)+len(there) > 0 {
		var parts []string
		if len(here) > 0 {
			parts = append(parts, "only here "+listAddrs(here))
		}
		if len(there) > 0 {
			parts = append(parts, "only there "+listAddrs(there))
		}
		add(KindAddressLists, Warning, here, there, "other addresses than %v: %s", o.source, strings.Join(parts, ", "))
	}
	return list
}

// without lists what is in a and not in b.
func without(a, b []netip.Addr) (list []netip.Addr) {
	for _, x := range a {
		if !slices.Contains(b, x) {
			list = append(list, x)
		}
	}
	return list
}

// handing is how long a master that has handed over may go on answering for the
// addresses: it serves until hosts know its successor.
const handing = 1 * time.Second

// announced holds an announcement against who is master.
func (v *virtual) announced(n *Announcement) {
	var masters []string
	var told *router
	for _, r := range v.routers {
		if r.state != claiming || !slices.Contains(r.advert.Addresses, n.Address) || r.mac == (MAC{}) {
			continue
		}
		if n.MAC == r.mac || n.MAC == virtualMAC(r.six, r.vrid) {
			if n.Form != ARPProbe {
				delete(r.unannounced, n.Address)
			}
			return
		}
		if answer := n.Form == ARPAnswer || n.Form == NAAnswer; answer && n.Time.Sub(r.spell) < handing {
			return
		}
		masters = append(masters, fmt.Sprintf("%v at %v", r.source, r.mac))
		told = r
	}
	find := func(how Severity, format string, args ...any) {
		n.Findings = append(n.Findings, Finding{KindAnnouncer, how, fmt.Sprintf(format, args...)})
	}
	switch {
	case n.Form == ARPProbe:
		find(Warning, "%v asks whether %v is free: it is about to use it", n.MAC, n.Address)
	case len(masters) > 0:
		find(Fault, "%v says that it has %v, but its master is %s: traffic goes to the wrong host", n.MAC, n.Address, strings.Join(masters, " and "))
	}
	if told != nil {
		told.count(n.Findings)
	}
}
