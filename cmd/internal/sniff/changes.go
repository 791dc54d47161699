package sniff

import (
	"net/netip"
	"slices"
)

// Changes passes on to another Printer what is news: of packets, those of which
// there is something to say that was not said of the router's packet before.
type Changes struct {
	Printer
	last map[flow][]string
}

// flow is what packets of one router have in common.
type flow struct {
	place
	source, destination netip.Addr
	vrid                uint8
}

// Advert passes a packet on when there is something new to say.
func (c *Changes) Advert(a *Advert) error {
	key := flow{placeOf(a.Interface, a.VLANs), a.Source, a.Destination, a.VRID}
	before := c.last[key]
	var now []string
	fresh := false
	for _, f := range a.Findings {
		text := f.Text
		if f.Kind == KindTwoMasters {
			text = string(f.Kind) // the first time it is told at length
		}
		now = append(now, text)
		fresh = fresh || !slices.Contains(before, text)
	}
	if c.last == nil || len(c.last) > maxRouters {
		c.last = map[flow][]string{}
	}
	c.last[key] = now
	if !fresh {
		return nil
	}
	return c.Printer.Advert(a)
}

// Announcement passes on what is wrong.
func (c *Changes) Announcement(n *Announcement) error {
	if len(n.Findings) == 0 {
		return nil
	}
	return c.Printer.Announcement(n)
}
