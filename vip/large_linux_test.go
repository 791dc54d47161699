package vip

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// largeCount is how many addresses the benchmarks put on one interface.
const largeCount = 4000

// large returns the addresses of a large set, of a prefix length.
func large(family, bits int) (list []netip.Prefix) {
	for n := range largeCount {
		a := netip.AddrFrom4([4]byte{10, 51, byte(1 + n/250), byte(1 + n%250)})
		if family == 6 {
			a = netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 14: byte((n + 1) >> 8), 15: byte(n + 1)})
		}
		list = append(list, netip.PrefixFrom(a, bits))
	}
	return list
}

// BenchmarkLargeSet takes over 4000 addresses as a new master does, with a
// watcher beside, and renews and removes them. The figures are of one address.
func BenchmarkLargeSet(b *testing.B) {
	for _, bb := range []struct {
		name         string
		family, bits int
	}{{"ipv4 of one network", 4, 16}, {"ipv4 host addresses", 4, 32}, {"ipv6 host addresses", 6, 128}} {
		b.Run(bb.name, func(b *testing.B) {
			enterNetns(b)
			vethPair(b)
			k := newKernel(b)
			ctx, cancel := context.WithCancel(b.Context())
			reports := make(chan Report, 1000)
			m := NewManager(k, func(r Report) { reports <- r })
			waitManager := goNetns(b, func() { _ = m.Run(ctx) })
			waitWatch := goNetns(b, func() { _ = k.Watch(ctx, func([]LinkState) {}, nil) })
			list := large(bb.family, bb.bits)
			spent := map[string]time.Duration{}
			until := func(kind Order, name string, began time.Time) {
				for left := len(list); left > 0; {
					r := <-reports
					for _, a := range r.Addresses {
						if a.Err != nil {
							b.Fatal(a.Err)
						}
					}
					if r.Order == kind {
						left -= len(r.Addresses)
					}
				}
				spent[name] += time.Since(began)
			}
			rounds := 0
			for b.Loop() {
				rounds++
				began := time.Now()
				m.Add("a", "hf0", list, time.Minute)
				m.Announce("a", "hf0", list, ARPRequest)
				until(OrderAnnounce, "takeover", began)
				began = time.Now()
				m.Announce("a", "hf0", list, ARPRequest)
				until(OrderAnnounce, "announce", began)
				began = time.Now()
				m.Add("a", "hf0", list, time.Minute+time.Duration(rounds)*time.Second) // another lease: a renewal that is reported
				until(OrderAdd, "renew", began)
				began = time.Now()
				m.Remove("a", "hf0", list)
				until(OrderRemove, "remove", began)
			}
			for name, d := range spent {
				b.ReportMetric(float64(d.Nanoseconds())/float64(rounds*len(list)), fmt.Sprintf("%s-ns/address", name))
			}
			cancel()
			waitManager()
			waitWatch()
		})
	}
}
