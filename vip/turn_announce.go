package vip

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
)

// announcedBeside is how many of the orders are announcements that can be carried
// out beside the others: those in front, of what is there already, when nothing
// but additions follows. They take a processor's time of their own.
func announcedBeside(orders []order) int {
	n := slices.IndexFunc(orders, func(o order) bool { return !o.besideAdditions() })
	if n < 0 || slices.ContainsFunc(orders[n:], func(o order) bool { return o.kind != OrderAnnounce && o.kind != OrderAdd }) {
		return 0
	}
	return n
}

// startAnnouncing has the sender announce while the turn goes on.
func (t *turn) startAnnouncing(orders []order) {
	if len(orders) == 0 {
		t.m.sender.wait() // nothing else may overtake it
		return
	}
	reports := newReports(orders)
	send := t.announce(orders, reports)
	t.m.sender.start(func() []Report {
		send()
		return slices.DeleteFunc(reports, Report.idle)
	})
}

// announceNow announces behind what the sender has.
func (t *turn) announceNow(orders []order, reports []Report) {
	if !slices.ContainsFunc(orders, func(o order) bool { return o.kind == OrderAnnounce }) {
		return
	}
	t.m.sender.wait()
	t.announce(orders, reports)()
}

// joined is one list behind the other.
func joined(a, b []netip.Addr) []netip.Addr {
	if len(a) == 0 {
		return b
	}
	return append(a, b...)
}

// announce works out what the orders to announce mean; the function sends it, all
// in one go, and needs nothing of the turn.
func (t *turn) announce(orders []order, reports []Report) (send func()) {
	addrs := map[ARPForm][]netip.Addr{}
	by := map[netip.Addr][]*order{}
	alone := len(orders) == 1 // then nothing is wanted twice: so it is with large sets
	for i := range orders {
		o := &orders[i]
		if o.kind != OrderAnnounce || t.m.queue.hushed(o) {
			continue
		}
		results, list := make([]Result, 0, len(o.addrs)), make([]netip.Addr, 0, len(o.addrs))
		for _, p := range o.addrs {
			e := t.link.entries[p]
			if e == nil || !e.owned(o.owner) || !e.present() {
				continue
			}
			results = append(results, Result{Prefix: p, Present: true, Kept: e.foreign})
			if !alone {
				by[p.Addr()] = append(by[p.Addr()], o)
			}
			if alone || len(by[p.Addr()]) == 1 {
				list = append(list, p.Addr())
			}
		}
		reports[i].Addresses = results
		if len(list) > 0 {
			addrs[o.arp] = joined(addrs[o.arp], list)
		}
	}
	queue := t.m.queue
	still := func(a netip.Addr) bool {
		return slices.ContainsFunc(by[a], func(o *order) bool { return !queue.hushed(o) })
	}
	if alone {
		still = func(netip.Addr) bool { return !queue.hushed(&orders[0]) }
	}
	kernel, iface := t.m.kernel, t.iface
	return func() {
		for _, form := range slices.Sorted(maps.Keys(addrs)) {
			err := kernel.Announce(iface, form, addrs[form], still)
			if err == nil {
				continue
			}
			for i, o := range orders {
				if o.kind == OrderAnnounce && o.arp == form {
					reports[i].Err = fmt.Errorf("cannot announce addresses on %s: %w", iface, err)
				}
			}
		}
	}
}
