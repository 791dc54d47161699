package vrrp

import (
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Difference is that another router advertises other addresses than this one would.
type Difference struct {
	// At is when it last did.
	At   time.Time
	From netip.Addr
	Why  string
	// Strange is set when the two have no address in common: most likely it is a router
	// of another cluster, and while it is master nobody serves the addresses of this one.
	Strange bool
}

// differing is a Difference with the addresses that were advertised.
type differing struct {
	Difference
	theirs []netip.Addr
}

// compareAddresses notes in which addresses two nodes differ, and tells of it. The
// same in another order is no difference.
func (r *router) compareAddresses(from netip.Addr, theirs []netip.Addr) {
	d := r.differs
	known := d != nil && d.From == from
	if !known || !slices.Equal(d.theirs, theirs) {
		if d = r.difference(from, theirs); d == nil {
			if known {
				r.differs = nil
			}
			return
		}
		r.differs = d
	}
	d.At = r.now()
	r.notice(NoticeAddressList, from, d.Why)
}

// difference compares the addresses of a router with those of this one; nil when
// they are the same.
func (r *router) difference(from netip.Addr, theirs []netip.Addr) *differing {
	if slices.Equal(theirs, r.advertised) {
		return nil
	}
	missing := func(a, b []netip.Addr) (out []netip.Addr) {
		for _, x := range a {
			if !slices.Contains(b, x) {
				out = append(out, x)
			}
		}
		return out
	}
	only, extra := missing(r.advertised, theirs), missing(theirs, r.advertised)
	if len(only) == 0 && len(extra) == 0 {
		return nil
	}
	d := &differing{theirs: slices.Clone(theirs)}
	d.From, d.Why = from, fmt.Sprintf("only here: %s; only there: %s", list(only), list(extra))
	// A link-local address that was derived from the VRID says nothing of the cluster.
	common := func(a netip.Addr) bool { return !a.IsLinkLocalUnicast() && slices.Contains(theirs, a) }
	if len(only) > 0 && len(extra) > 0 && !slices.ContainsFunc(r.advertised, common) {
		d.Strange = true
		d.Why += "; if it is of another cluster, one of the two needs another vrid"
	}
	return d
}

// differsLately is the Difference that the status tells of; nil when there is none.
func (r *router) differsLately(now time.Time) *Difference {
	if r.differs == nil || now.Sub(r.differs.At) >= max(refusedShown, downIntervals*r.interval) {
		return nil
	}
	d := r.differs.Difference
	return &d
}

func list(addrs []netip.Addr) string {
	switch {
	case len(addrs) == 0:
		return "none"
	case len(addrs) > 5:
		return fmt.Sprintf("%v and %d more", addrs[:5], len(addrs)-5)
	}
	return fmt.Sprint(addrs)
}
