package sniff

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// Summary is what a Watch has seen in all.
type Summary struct {
	// First and Last are the times of the first frame and of the latest one.
	First, Last time.Time
	// Packets counts all, Untracked those of routers beyond the number that is
	// told apart. Forgotten counts routers that made room, long after they were
	// heard last.
	Packets, Untracked, Forgotten int
	Routers                       []RouterSummary
}

// RouterSummary is one router on one link in one virtual router.
type RouterSummary struct {
	Interface string
	VLANs     []uint16
	VRID      uint8
	Family    vrrp.Family
	Source    netip.Addr
	// Destinations are the group, or the peers of unicast.
	Destinations []netip.Addr
	// Stray is set for packets that are no adverts, of which only Packets, First,
	// Last and Counts are told.
	Stray bool
	// State is master, conflict (master beside a better one), released, silent or
	// backup (it gave way).
	State   string
	Version vrrp.Version
	// Priority is the last one that was no release.
	Priority  uint8
	Interval  time.Duration
	Addresses []netip.Addr
	SourceMAC MAC

	Packets, Adverts, Releases int
	First, Last                time.Time
	// Mean and Jitter, the standard deviation, are of the time from advert to
	// advert to the same destination while it was master, but for those that were lost or out of turn.
	// Longest is the longest of all. They are zero before there were two, Jitter
	// before there were three.
	Mean, Jitter, Longest time.Duration
	// Counts tells how often which fault or warning was found.
	Counts map[Kind]int
	// Worst is the worst of those.
	Worst Severity
}

// Rate is how many packets came a second while the router was heard.
func (s *RouterSummary) Rate() float64 {
	if d := s.Last.Sub(s.First).Seconds(); d > 0 && s.Packets > 1 {
		return float64(s.Packets-1) / d
	}
	return 0
}

// Summary tells what was seen until now, ordered by link, VRID and family.
func (w *Watch) Summary() Summary {
	s := Summary{First: w.first, Last: w.now, Packets: w.packets, Untracked: w.untracked, Forgotten: w.forgotten}
	list := slices.Clone(w.order)
	slices.SortStableFunc(list, func(a, b *router) int {
		return cmp.Or(cmp.Compare(a.iface, b.iface), slices.Compare(a.vlans, b.vlans), cmp.Compare(a.vrid, b.vrid),
			cmp.Compare(a.source.BitLen(), b.source.BitLen()), a.source.Compare(b.source))
	})
	for _, r := range list {
		s.Routers = append(s.Routers, r.summary(w.now))
	}
	return s
}

const stateConflict = "conflict"

func (r *router) summary(now time.Time) RouterSummary {
	s := RouterSummary{
		Interface: r.iface, VLANs: r.vlans, VRID: r.vrid, Family: vrrp.FamilyOf(r.source),
		Source: r.source, Stray: r.stray,
		Packets: r.packets, First: r.first, Last: r.last, Counts: r.counts, Worst: r.worst,
	}
	for _, d := range r.streams {
		s.Destinations = append(s.Destinations, d.destination)
	}
	if r.stray {
		return s
	}
	s.Version, s.Priority, s.Interval = r.version, r.priority, r.advert.Interval
	if r.state == released && s.Interval <= vrrp.MinInterval {
		s.Interval = r.usual // before the quick release
	}
	s.Addresses, s.SourceMAC = r.advert.Addresses, r.advert.SourceMAC
	s.Adverts, s.Releases = r.adverts, r.releases
	s.Mean, s.Jitter, s.Longest = r.spacing.average(), r.spacing.jitter(), r.spacing.longest
	switch {
	case r.state == released:
		s.State = "released"
	case r.state == silent:
		s.State = "silent"
	case r.state == yielded || r.beaten && !r.alive(now):
		s.State = "backup"
	case !r.conflict.IsZero():
		s.State = stateConflict
	default:
		s.State = "master"
	}
	return s
}

// Worst is the worst that was found of any router.
func (s *Summary) Worst() (worst Severity) {
	for _, r := range s.Routers {
		worst = max(worst, r.Worst)
	}
	return worst
}

// Heard tells whether there was any advert.
func (s *Summary) Heard() bool {
	return slices.ContainsFunc(s.Routers, func(r RouterSummary) bool { return !r.Stray })
}
