package main

// What a host beside the client hears: adverts and announcements.

import (
	"bytes"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/lab"
)

// heard is what both nodes sent up to a moment.
type heard struct {
	first, second net.HardwareAddr
	interval      time.Duration
	adverts       []lab.Frame
	announced     []lab.Frame
	all           map[netip.Addr]bool // those to be announced
	until         time.Time
}

// heard sorts what was heard until the moment.
func (bd *bed) heard(until time.Time) *heard {
	bd.t.Helper()
	hd := &heard{interval: bd.scene.interval, all: bd.addresses(), until: until}
	for n, mac := range map[*node]*net.HardwareAddr{bd.first: &hd.first, bd.second: &hd.second} {
		p, err := n.Port("eth0")
		bd.must(err)
		*mac = p.MAC()
	}
	for _, f := range bd.seen.Frames() {
		switch {
		case f.Time.After(until):
		case isAdvert(f, bedVRID):
			hd.adverts = append(hd.adverts, f)
		default:
			hd.announced = append(hd.announced, f)
		}
	}
	return hd
}

// complete adds what a sample has from the wire. A decision that was not taken
// by a check is the second node's, when it had heard nothing for long enough.
func (hd *heard) complete(s *sample, h *handover, began, decision time.Time) {
	if h.scene.large {
		s.First, s.Moved = hd.moved(began)
	}
	if h.stays {
		s.Pause = millis(hd.pause(began))
	}
	if decision.IsZero() && h.unheard {
		decision = hd.detected(began)
	}
	if !decision.IsZero() && s.Moved >= 0 {
		// The log's time is cut to the millisecond, the skew to its unit: what
		// seems to be before the decision was just after.
		s.Decided = max(0, s.Moved-millis(decision.Sub(began)))
	}
}

// moved is when the second node first announced an address, and when all were,
// in milliseconds; negative when that never was.
func (hd *heard) moved(began time.Time) (first, last float64) {
	var list []time.Duration
	since := slices.DeleteFunc(slices.Clone(hd.announced), func(f lab.Frame) bool { return f.Time.Before(began) })
	for _, at := range firstAnnounced(since, hd.all, hd.second) {
		list = append(list, at.Sub(began))
	}
	if len(list) == 0 {
		return -1, -1
	}
	if first = millis(slices.Min(list)); len(list) < len(hd.all) {
		return first, -1
	}
	return first, millis(slices.Max(list))
}

// pause is the longest time between two adverts, from the last one before a
// moment on.
func (hd *heard) pause(from time.Time) (longest time.Duration) {
	last := from
	for _, f := range hd.adverts {
		if f.Time.After(from) {
			longest = max(longest, f.Time.Sub(last))
		}
		last = f.Time
	}
	return max(longest, hd.until.Sub(last))
}

// detected is when the second node could know that the first is gone: 3 adverts
// and its skew after the last that it heard. It is zero when the second never
// sent one, or the first.
func (hd *heard) detected(began time.Time) (at time.Time) {
	var last time.Time
	for _, f := range hd.adverts {
		switch mac := f.Data[6:12]; {
		case bytes.Equal(mac, hd.first):
			last = f.Time
		case bytes.Equal(mac, hd.second) && f.Time.After(began) && !last.IsZero():
			return last.Add(detection(hd.interval, secondPriority))
		}
	}
	return time.Time{}
}
