package doctor

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/sniff"
	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// wire is what was heard on the links of the instances.
type wire struct {
	took  time.Duration
	links map[string]*wireLink
	// summary is what the routers did to each other.
	summary sniff.Summary
	// filtered is set when the kernel dropped packets by their reverse path.
	filtered bool
}

// wireLink is what was heard on one link.
type wireLink struct {
	link    *Link
	routers map[routerID]*wireRouter
	// vrids are all that were heard, of whatever family.
	vrids map[uint8]bool
	// proposed are the VRIDs that were told to instances as free, by their names.
	proposed map[string]uint8
	// delivered counts the adverts that the kernel let through to a program, by
	// their source.
	delivered map[netip.Addr]int
	// deaf is why that is not known, by family.
	deaf map[vrrp.Family]error
	// asked are the addresses that were asked for, answers who said to have them.
	asked []netip.Addr
	// unasked is how many there was no time for.
	unasked  int
	answers  map[netip.Addr][]answer
	askError error
}

// answer is who said to have an address, and when last.
type answer struct {
	mac  sniff.MAC
	last time.Time
}

// routerID tells routers on a link apart: one that has an address of this host
// is another.
type routerID struct {
	vrid   uint8
	source netip.Addr
	own    bool // this host sent it
}

// wireRouter is a router of which adverts were heard.
type wireRouter struct {
	routerID
	mac sniff.MAC
	// last is the last advert that was no release, adverts how many there were.
	last    sniff.Advert
	adverts int
	// first is when it was first heard.
	first time.Time
	// faults are what its packets have on their own, one of each kind.
	faults []sniff.Finding
}

// hear listens to the links that work, and asks for addresses there.
func (w *wire) hear(ctx context.Context, x *Examination) error {
	var names []string
	for _, l := range x.Present() {
		if !l.Up || !l.Carrier {
			continue // which another test tells
		}
		names = append(names, l.Name)
		heard := &wireLink{
			link: l, routers: map[routerID]*wireRouter{}, vrids: map[uint8]bool{},
			delivered: map[netip.Addr]int{}, deaf: map[vrrp.Family]error{}, answers: map[netip.Addr][]answer{},
		}
		heard.asked, heard.unasked = x.questions(heard)
		w.links[l.Name] = heard
	}
	if len(names) == 0 {
		return errors.New("no interface of the instances is up")
	}
	// The sockets that hear what is delivered come first: whatever is captured
	// could reach them.
	ears := map[*wireLink][]*ear{}
	for _, l := range w.links {
		ears[l] = x.listenRaw(l)
	}
	before := x.filteredByPath()
	err := w.captureFor(ctx, names, x.Wait)
	time.Sleep(50 * time.Millisecond) // until they have read what was captured last
	for l, list := range ears {
		for _, e := range list {
			maps.Copy(l.delivered, e.close())
		}
	}
	w.filtered = x.filteredByPath() > before
	return err
}

// listenRaw opens the sockets of a link, one for each family that is used there.
func (x *Examination) listenRaw(l *wireLink) (list []*ear) {
	for _, f := range []vrrp.Family{vrrp.IPv4, vrrp.IPv6} {
		uses := func(in *vrrp.Config) bool { return slices.Contains(in.Families(), f) }
		if !slices.ContainsFunc(x.On(l.link.Name), uses) {
			continue
		}
		e, err := newEar(l.link, f)
		if err != nil {
			l.deaf[f] = err
			continue
		}
		list = append(list, e)
	}
	return list
}

// captureFor captures for some time, and asks questions meanwhile.
func (w *wire) captureFor(ctx context.Context, names []string, wait time.Duration) error {
	c, err := sniff.OpenCapture(sniff.CaptureOptions{Interfaces: names, Announcements: true})
	if err != nil {
		return err
	}
	defer c.Close()
	begun := time.Now()
	end := begun.Add(wait)
	ctx, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	var asking sync.WaitGroup
	defer asking.Wait()
	for _, l := range w.links {
		asking.Go(func() { l.askError = ask(ctx, l, end) })
	}
	err = w.capture(ctx, c)
	w.took = time.Since(begun)
	return err
}

// capture takes what comes until ctx is done.
func (w *wire) capture(ctx context.Context, c *sniff.Capture) error {
	watch := sniff.NewWatch()
	for {
		f, err := c.Next(ctx, time.Time{})
		if ctx.Err() != nil {
			w.summary = watch.Summary()
			return nil
		}
		if err != nil {
			return err
		}
		l := w.links[f.Interface]
		if l == nil {
			continue
		}
		if a, ok := sniff.DecodeAdvert(f); ok {
			alone := slices.Clone(a.Findings)
			watch.Advert(&a)
			if len(a.VLANs) == 0 && a.Decoded { // on a VLAN it is another link
				l.advert(&a, alone)
			}
		} else if n, ok := sniff.DecodeAnnouncement(f); ok && len(n.VLANs) == 0 {
			l.announcement(&n)
		}
	}
}

// They bound what is remembered of a link that somebody floods.
const (
	maxRouters = 1024
	maxAnswers = 8 // for one address
)

// advert takes a packet, and what is wrong with it on its own.
func (l *wireLink) advert(a *sniff.Advert, alone []sniff.Finding) {
	if !a.Outgoing && l.forOthers(a.Destination) {
		return // a switch floods it, or another program captures all
	}
	l.vrids[a.VRID] = true
	id := routerID{a.VRID, a.Source, a.Outgoing}
	r := l.routers[id]
	if r == nil {
		if len(l.routers) == maxRouters {
			return
		}
		r = &wireRouter{routerID: id, first: a.Time}
		l.routers[id] = r
	}
	r.mac = a.SourceMAC
	for _, f := range alone {
		bad := f.Severity == sniff.Fault || f.Kind == sniff.KindCARP
		if bad && !slices.ContainsFunc(r.faults, func(o sniff.Finding) bool { return o.Kind == f.Kind }) {
			r.faults = append(r.faults, f)
		}
	}
	if a.Priority != vrrp.PriorityRelease {
		r.adverts++
		r.last = *a
	}
}

// forOthers tells whether a packet goes to another host alone.
func (l *wireLink) forOthers(to netip.Addr) bool {
	return (to.IsGlobalUnicast() || to.IsLinkLocalUnicast()) && !slices.ContainsFunc(l.link.Addresses, func(p Present) bool { return p.Prefix.Addr() == to })
}

// announcement takes what another host says to have.
func (l *wireLink) announcement(n *sniff.Announcement) {
	if n.Outgoing || n.Form == sniff.ARPProbe || !slices.Contains(l.asked, n.Address) {
		return
	}
	list := l.answers[n.Address]
	for i := range list {
		if list[i].mac == n.MAC {
			list[i].last = n.Time
			return
		}
	}
	if len(list) < maxAnswers {
		l.answers[n.Address] = append(list, answer{n.MAC, n.Time})
	}
}

// others lists the routers of a virtual router that are not this host, by their
// sources.
func (l *wireLink) others(vrid uint8, f vrrp.Family) (list []*wireRouter) {
	for _, r := range l.routers {
		if !r.own && r.vrid == vrid && vrrp.FamilyOf(r.source) == f && r.adverts > 0 {
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(a, b *wireRouter) int { return a.source.Compare(b.source) })
	return list
}

// ours tells whether this host sends adverts of a virtual router.
func (l *wireLink) ours(vrid uint8, f vrrp.Family) bool {
	for _, r := range l.routers {
		if r.own && r.vrid == vrid && vrrp.FamilyOf(r.source) == f && r.adverts > 0 {
			return true
		}
	}
	return false
}
