package sniff

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/holdfast-vrrp/holdfast/vrrp"
)

const (
	// slack is added to the three intervals after which a router counts as
	// silent: for how late a frame may be stamped.
	slack = 10 * time.Millisecond

	// grace is how long an advert may be on its way to a router which should give
	// way to it; less where adverts come faster.
	grace = 100 * time.Millisecond

	// clockStep is how far frames may be out of order; further back, the clock was
	// set, or another file begins.
	clockStep = 1 * time.Second

	// announceWithin is how soon a new master must have announced its addresses.
	announceWithin = 2 * time.Second

	// rememberFor is how long a router that is no longer heard is held against
	// others.
	rememberFor = 1 * time.Hour

	// maxRouters, maxRivals of them in one virtual router, maxPeers of each, and
	// maxAddresses bound what is remembered, so that a flood of invented routers
	// cannot eat all memory.
	maxRouters   = 4096
	maxRivals    = 16
	maxPeers     = 64
	maxAddresses = 1 << 16
)

// Event is something that happened without a packet, or because none came.
type Event struct {
	Time      time.Time
	Interface string
	VLANs     []uint16
	VRID      uint8
	Source    netip.Addr // the router that it is about
	Finding   Finding
}

// place is a link on which routers hear each other.
type place struct{ iface, vlans string }

func placeOf(iface string, vlans []uint16) place { return place{iface, fmt.Sprint(vlans)} }

type virtualKey struct {
	place
	six  bool
	vrid uint8
}

// virtual is a virtual router: those who claim to be its master meet here.
type virtual struct {
	virtualKey
	routers []*router
	// master is who was last seen to be master.
	master *router
	// told is which differences were told.
	told map[pair]string
}

// Watch holds each packet against what was seen before. Its times are those of
// the frames; it is not safe for use by several goroutines.
type Watch struct {
	// WantAnnouncements is set when announcements are captured, too, so that
	// missing ones can be told.
	WantAnnouncements bool

	now       time.Time // of the latest frame
	first     time.Time
	next      time.Time // when something is due, at the earliest
	virtuals  map[virtualKey]*virtual
	routers   map[routerKey]*router
	order     []*router // as they were first heard
	addresses map[placedAddress]*virtual
	packets   int
	untracked int // packets of routers beyond maxRouters
	forgotten int // routers, to make room
}

// placedAddress is an address on a link.
type placedAddress struct {
	place
	addr netip.Addr
}

// NewWatch returns a Watch that has seen nothing.
func NewWatch() *Watch {
	return &Watch{
		virtuals: map[virtualKey]*virtual{}, routers: map[routerKey]*router{},
		addresses: map[placedAddress]*virtual{},
	}
}

// Advert takes the next packet and adds to its findings. It returns what
// happened before.
func (w *Watch) Advert(a *Advert) []Event {
	events := w.See(a.Time)
	w.packets++
	r := w.router(a)
	if r == nil {
		w.untracked++
		return events
	}
	if a.advertises() {
		w.claim(r, a)
	} else {
		r.stream(a.Destination)
		r.last = a.Time
	}
	r.packets++
	r.count(a.Findings)
	return events
}

// See takes note of the time of a frame, whatever it is. It returns what has
// happened until then.
func (w *Watch) See(t time.Time) []Event {
	if w.first.IsZero() {
		w.first = t
	}
	if t.Before(w.now.Add(-clockStep)) {
		w.stepBack(t)
	}
	return w.Advance(t)
}

// stepBack follows a clock that was set back: what was just heard was heard just
// before the new time.
func (w *Watch) stepBack(t time.Time) {
	w.now, w.next = t, time.Time{}
	for _, r := range w.order {
		times := []*time.Time{&r.last, &r.spell, &r.conflict, &r.announceBy}
		for _, s := range r.streams {
			times = append(times, &s.last)
		}
		for _, at := range times {
			if at.After(t) {
				*at = t
			}
		}
		w.wake(r.deadline())
	}
}

// Deadline is when Advance should be called if no frame comes; zero for never.
func (w *Watch) Deadline() time.Time { return w.next }

// Advance tells what has happened until now although no frame came: routers
// that fell silent, in the order in which they did. It may be called at any
// time.
func (w *Watch) Advance(now time.Time) (events []Event) {
	if now.After(w.now) {
		w.now = now
	}
	if w.next.IsZero() || w.now.Before(w.next) {
		return nil
	}
	w.next = time.Time{}
	for _, r := range w.order {
		events = append(events, r.due(w.now)...)
		w.wake(r.deadline())
	}
	slices.SortStableFunc(events, func(a, b Event) int { return a.Time.Compare(b.Time) })
	return events
}

// wake has Advance look around at t.
func (w *Watch) wake(t time.Time) {
	if !t.IsZero() && (w.next.IsZero() || t.Before(w.next)) {
		w.next = t
	}
}

// claim deals with an advert, or a release.
func (w *Watch) claim(r *router, a *Advert) {
	was, v, s := r.state, r.virtual, r.stream(a.Destination)
	r.changes(a)
	r.timing(a, s)
	v.compare(r, a)
	if a.Priority == vrrp.PriorityRelease {
		r.release(a)
	} else {
		r.claims(a, was)
		v.elect(r, a)
	}
	w.remember(r, a)
	r.keepPace(a, s)
	r.last = a.Time
	if a.sound() || !r.advert.sound() {
		r.advert = *a
	}
	r.pendingAnnouncement(a, w.WantAnnouncements)
	w.wake(r.deadline())
}

// remember notes which addresses the virtual router has.
func (w *Watch) remember(r *router, a *Advert) {
	if !a.sound() || r.advert.sound() && slices.Equal(r.advert.Addresses, a.Addresses) {
		return
	}
	for _, addr := range a.Addresses {
		if len(w.addresses) < maxAddresses {
			w.addresses[placedAddress{r.place, addr}] = r.virtual
		}
	}
}

// router finds or adds the one that a packet is from; nil when there are too
// many.
func (w *Watch) router(a *Advert) *router {
	key := routerKey{
		virtualKey: virtualKey{placeOf(a.Interface, a.VLANs), a.Source.Is6(), a.VRID},
		source:     a.Source, version: a.Version, unicast: a.unicast(), stray: !a.advertises(), carp: a.has(KindCARP),
	}
	if r := w.routers[key]; r != nil {
		return r
	}
	v := w.virtuals[key.virtualKey]
	switch {
	case v != nil && len(v.routers) == maxRivals && !key.stray:
		if !w.forget(v.routers, a.Time) {
			return nil
		}
	case len(w.routers) == maxRouters:
		if !w.forget(w.order, a.Time) {
			return nil
		}
	}
	v = w.virtuals[key.virtualKey] // unless it was forgotten with its last router
	if v == nil {
		v = &virtual{virtualKey: key.virtualKey, told: map[pair]string{}}
		w.virtuals[key.virtualKey] = v
	}
	r := &router{routerKey: key, virtual: v, vlans: a.VLANs, first: a.Time, counts: map[Kind]int{}}
	w.routers[key] = r
	w.order = append(w.order, r)
	if !key.stray {
		v.routers = append(v.routers, r)
	}
	return r
}

// forget makes room for a router: the one of a list that was heard last before
// all others goes, if that is long ago. ok is false when there is none.
func (w *Watch) forget(list []*router, now time.Time) (ok bool) {
	old := slices.MinFunc(list, func(a, b *router) int { return a.last.Compare(b.last) })
	if now.Sub(old.last) < rememberFor {
		return false
	}
	is := func(r *router) bool { return r == old }
	delete(w.routers, old.routerKey)
	w.order = slices.DeleteFunc(w.order, is)
	w.forgotten++
	v := old.virtual
	v.routers = slices.DeleteFunc(v.routers, is)
	maps.DeleteFunc(v.told, func(p pair, _ string) bool { return p.a == old.source || p.b == old.source })
	if v.master == old {
		v.master = nil
	}
	if !slices.ContainsFunc(w.order, func(r *router) bool { return r.virtual == v }) {
		delete(w.virtuals, v.virtualKey)
		maps.DeleteFunc(w.addresses, func(_ placedAddress, of *virtual) bool { return of == v })
	}
	return true
}

// Announcement takes the next announcement and adds to its findings. It returns
// what happened before, and whether the address is one of a virtual router
// here.
func (w *Watch) Announcement(n *Announcement) (events []Event, ours bool) {
	events = w.See(n.Time)
	v := w.addresses[placedAddress{placeOf(n.Interface, n.VLANs), n.Address}]
	if v == nil {
		return events, false
	}
	v.announced(n)
	return events, true
}
