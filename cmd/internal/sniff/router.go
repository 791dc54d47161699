package sniff

import (
	"fmt"
	"maps"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// routerKey tells routers apart. One that speaks both versions, or unicast and
// multicast, is two.
type routerKey struct {
	virtualKey
	source  netip.Addr
	version vrrp.Version
	unicast bool
	// stray is set for packets that are no adverts; carp for those of CARP.
	stray, carp bool
}

// stream is what a router sends to one destination: the group, or a peer.
type stream struct {
	destination netip.Addr
	// interval and last are of its last advert.
	interval time.Duration
	last     time.Time
}

// standing is what a router says of itself.
type standing uint8

const (
	stranger standing = iota // has said nothing yet
	claiming                 // to be master
	released
	silent
	yielded // to a better one
)

// router is one that was heard.
type router struct {
	routerKey
	virtual *virtual
	vlans   []uint16

	state       standing
	advert      Advert // the last one
	streams     []*stream
	first, last time.Time
	// pace is how often adverts are due.
	pace time.Duration
	// spell is since when it has been claiming.
	spell time.Time
	// usual is the interval before the last change of it, priority the last one
	// that was no release.
	usual    time.Duration
	priority uint8
	// mac and formerMAC are the last two that it sent from.
	mac, formerMAC MAC
	// beaten is set while a better one claims as well.
	beaten bool
	// conflict is since when it has claimed beside a better one.
	conflict time.Time
	rival    netip.Addr
	// unannounced are addresses to be announced until announceBy.
	unannounced map[netip.Addr]bool
	announceBy  time.Time

	packets, adverts, releases int
	spacing                    spread
	counts                     map[Kind]int
	worst                      Severity
}

// interval is how often adverts are due.
func (r *router) interval() time.Duration {
	if r.pace > 0 {
		return r.pace
	}
	return time.Second
}

// down is how long the router may be silent.
func (r *router) down() time.Duration { return 3*r.interval() + slack }

// alive tells whether the router claims to be master at a moment. One that is
// beaten and misses its turn has given way.
func (r *router) alive(t time.Time) bool {
	since := t.Sub(r.last)
	return r.state == claiming && since < r.down() && (!r.beaten || since <= r.interval()*3/2+slack)
}

// stream finds or adds the one to a destination; nil when there are too many.
func (r *router) stream(destination netip.Addr) *stream {
	for _, s := range r.streams {
		if s.destination == destination {
			return s
		}
	}
	if len(r.streams) == maxPeers {
		return nil
	}
	s := &stream{destination: destination}
	r.streams = append(r.streams, s)
	return s
}

// sendsTo tells whether an address is a peer of the router.
func (r *router) sendsTo(destination netip.Addr) bool {
	return slices.ContainsFunc(r.streams, func(s *stream) bool { return s.destination == destination })
}

// keepPace notes how often adverts are due. The one that comes before a quick
// release has a short interval and no successor, so a shorter one counts when
// it was said twice.
func (r *router) keepPace(a *Advert, s *stream) {
	if !a.sound() && r.advert.sound() || a.Priority == vrrp.PriorityRelease {
		return
	}
	r.pace = a.Interval
	if s != nil {
		r.pace = max(a.Interval, s.interval)
		s.interval = a.Interval
	}
}

func (r *router) deadline() (t time.Time) {
	if r.state == claiming {
		t = r.last.Add(r.down())
	}
	if by := r.announceBy; !by.IsZero() && (t.IsZero() || by.Before(t)) {
		t = by
	}
	return t
}

// count adds up what is more than news.
func (r *router) count(list []Finding) {
	for _, f := range list {
		if f.Severity > News {
			r.counts[f.Kind]++
			r.worst = max(r.worst, f.Severity)
		}
	}
}

// event makes one about this router.
func (r *router) event(t time.Time, kind Kind, how Severity, format string, args ...any) Event {
	f := Finding{kind, how, fmt.Sprintf(format, args...)}
	r.count([]Finding{f})
	return Event{t, r.iface, r.vlans, r.vrid, r.source, f}
}

// due tells what time has brought.
func (r *router) due(now time.Time) (events []Event) {
	if by := r.announceBy; !by.IsZero() && !now.Before(by) {
		r.announceBy = time.Time{}
		if len(r.unannounced) > 0 && r.state == claiming {
			events = append(events, r.event(by, KindUnannounced, Warning,
				"%v became master and has not announced %s within %v: hosts and switches may go on sending to its predecessor",
				r.source, listAddrs(slices.SortedFunc(maps.Keys(r.unannounced), netip.Addr.Compare)), announceWithin))
		}
	}
	end := r.last.Add(r.down())
	if r.state != claiming || now.Before(end) {
		return events
	}
	r.state = silent
	if r.elsewhere() || r.beaten && r.conflict.IsZero() || r.outdone(end) {
		r.state = yielded
		if !r.conflict.IsZero() {
			events = append(events, r.event(end, KindOneMaster, News, "%s", r.settled()))
		}
		return events
	}
	r.conflict = time.Time{}
	return append(events, r.event(end, KindSilent, Fault, "%v, priority %d, fell silent: no advert for %s, one was due every %s",
		r.source, r.advert.Priority, short(3*r.interval()), short(r.interval())))
}

// outdone tells whether a better one claims at a moment.
func (r *router) outdone(t time.Time) bool {
	return slices.ContainsFunc(r.virtual.routers, func(o *router) bool {
		return r.meets(o) && o.alive(t) && o.advert.beats(&r.advert)
	})
}

// elsewhere tells whether the same host claims in another version.
func (r *router) elsewhere() bool {
	return slices.ContainsFunc(r.virtual.routers, func(o *router) bool {
		return o != r && o.source == r.source && o.unicast == r.unicast && o.state == claiming
	})
}

// settled ends a conflict that this router lost, and tells of it.
func (r *router) settled() string {
	since := r.conflict
	r.conflict = time.Time{}
	return fmt.Sprintf("one master again: %v gave way to %v; there were two for %s", r.source, r.rival, short(r.last.Sub(since)))
}

// changes tells what is not as in the last advert.
func (r *router) changes(a *Advert) {
	r.changedMAC(a)
	old := &r.advert
	switch {
	case r.state == stranger:
		r.usual = a.Interval
		return
	case !a.sound() || !old.sound() || a.Priority == vrrp.PriorityRelease:
		return
	}
	var list []string
	if a.Priority != old.Priority && old.Priority != vrrp.PriorityRelease {
		list = append(list, fmt.Sprintf("priority was %d", old.Priority))
	}
	if a.Interval != old.Interval {
		r.usual = old.Interval
		list = append(list, "advert interval was "+short(old.Interval))
	}
	if !slices.Equal(a.Addresses, old.Addresses) {
		list = append(list, "addresses were "+listAddrs(old.Addresses))
	}
	if a.AuthType != old.AuthType || a.Auth != old.Auth {
		list = append(list, "authentication was another")
	}
	if a.Checksum != old.Checksum && checksumForm(a) && checksumForm(old) {
		list = append(list, fmt.Sprintf("checksum was %v", old.Checksum))
	}
	if len(list) > 0 {
		a.find(KindChanged, News, "%s", strings.Join(list, ", "))
	}
}

// checksumForm tells whether the checksum is right in one of two forms.
func checksumForm(a *Advert) bool {
	return a.Checksum == ChecksumRFC9568 || a.Checksum == ChecksumPseudo
}

// changedMAC sees a router that sends from several MACs.
func (r *router) changedMAC(a *Advert) {
	if a.SourceMAC == r.mac || a.SourceMAC == (MAC{}) {
		return
	}
	switch {
	case r.mac == MAC{}:
	case a.SourceMAC == r.formerMAC && a.Time.Sub(r.last) < r.down():
		a.find(KindDuplicateSource, Fault, "%v sends from two MACs, %v and %v: two hosts have the same address, so that they cannot elect", r.source, r.formerMAC, r.mac)
	default:
		a.find(KindChanged, News, "sent from MAC %v before", r.mac)
	}
	r.formerMAC, r.mac = r.mac, a.SourceMAC
}

// timing counts the advert and judges when it came.
func (r *router) timing(a *Advert, s *stream) {
	if a.Priority == vrrp.PriorityRelease {
		r.releases++
		return
	}
	r.adverts++
	r.priority = a.Priority
	if s == nil {
		return
	}
	before := s.last
	s.last = a.Time
	since := a.Time.Sub(before)
	if before.Before(r.spell) || !r.alive(a.Time) || since <= 0 || since >= r.down() {
		return
	}
	want := r.interval()
	late := since >= want*7/4 && since >= want+2*slack
	r.spacing.add(since, !late && since > want/2)
	if late && !r.beaten {
		missing := max(1, int(math.Round(float64(since)/float64(want)))-1)
		a.find(KindGap, Warning, "%s after the one before instead of %s: %d lost or late", short(since), short(want), missing)
	}
}

// release deals with priority 0. It is told once.
func (r *router) release(a *Advert) {
	if r.state == released {
		return
	}
	learned := a.Interval // by a backup, from the adverts before
	if r.state == claiming {
		learned = r.advert.Interval
	}
	if learned <= vrrp.MinInterval && learned < r.usual {
		a.find(KindRelease, News, "gives up the addresses; a quick release: a backup takes over within %s", short(learned))
	} else {
		a.find(KindRelease, News, "gives up the addresses; a backup takes over within %s, the sooner the higher its priority", short(learned))
	}
	if !r.conflict.IsZero() {
		a.find(KindOneMaster, News, "%s", r.settled())
	}
	r.state, r.announceBy = released, time.Time{}
}

// claims deals with an advert: a new spell begins or the one there is goes on.
func (r *router) claims(a *Advert, was standing) {
	if was == claiming && r.alive(a.Time) {
		return
	}
	r.spell, r.state = a.Time, claiming
	if p := r.virtual.master; p == r && was == silent {
		a.find(KindBack, News, "is back after %s", short(a.Time.Sub(r.last)))
	} else if p == r && was == released {
		a.find(KindBack, News, "goes on after its release: for %s nobody has taken over", short(a.Time.Sub(r.last)))
	}
}

// pendingAnnouncement notes what a new master has to announce.
func (r *router) pendingAnnouncement(a *Advert, wanted bool) {
	if !wanted || !a.has(KindTakeover) && !a.has(KindPreempt) {
		return
	}
	r.announceBy = a.Time.Add(announceWithin)
	r.unannounced = map[netip.Addr]bool{}
	for _, addr := range a.Addresses {
		r.unannounced[addr] = true
	}
}

// spread is the mean and the variation of durations.
type spread struct {
	n             int
	mean, squares float64 // in seconds
	longest       time.Duration
}

// add takes one more. Those that are not regular only count for the longest.
func (s *spread) add(d time.Duration, regular bool) {
	s.longest = max(s.longest, d)
	if !regular {
		return
	}
	s.n++
	x := d.Seconds()
	delta := x - s.mean
	s.mean += delta / float64(s.n)
	s.squares += delta * (x - s.mean)
}

func (s *spread) average() time.Duration { return seconds(s.mean) }

// jitter is the standard deviation.
func (s *spread) jitter() time.Duration {
	if s.n < 2 {
		return 0
	}
	return seconds(math.Sqrt(s.squares / float64(s.n-1)))
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
