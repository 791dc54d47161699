package main

// What becomes of a node's addresses, as its kernel tells it.

import (
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// addressUpdate is one change.
type addressUpdate struct {
	addr netip.Addr
	came bool
	seen time.Time
}

// addressUpdates begins to follow the node's addresses, until stop is called.
func (n *node) addressUpdates() (updates <-chan addressUpdate, stop func()) {
	n.t.Helper()
	raw, done := make(chan netlink.AddrUpdate), make(chan struct{})
	err := n.Do(func() error {
		ns, err := netns.Get()
		if err != nil {
			return err
		}
		defer ns.Close()
		return netlink.AddrSubscribeWithOptions(raw, done, netlink.AddrSubscribeOptions{
			Namespace: &ns, ReceiveBufferSize: 64 << 20, ReceiveBufferForceSize: true,
			ErrorCallback: func(err error) {
				select {
				case <-done: // of course
				default:
					n.t.Errorf("follow the addresses of %s: %v", n.Name(), err)
				}
			},
		})
	})
	if err != nil {
		n.t.Fatal(err)
	}
	seen := make(chan addressUpdate, 1<<18)
	go func() {
		defer close(seen)
		for u := range raw {
			addr, _ := netip.AddrFromSlice(u.LinkAddress.IP)
			seen <- addressUpdate{addr.Unmap(), u.NewAddr, time.Now()}
		}
	}()
	return seen, func() { close(done) }
}

// watchTaken begins to watch a node without the addresses given; the function
// waits until it has them all, and returns when the last came.
func (n *node) watchTaken(all map[netip.Addr]bool) (taken func(most time.Duration) time.Time) {
	n.t.Helper()
	updates, stop := n.addressUpdates()
	return func(most time.Duration) time.Time {
		n.t.Helper()
		defer stop()
		present, limit := map[netip.Addr]bool{}, time.After(most)
		for {
			select {
			case u := <-updates:
				if u.came && all[u.addr] {
					present[u.addr] = true
				}
				if len(present) == len(all) {
					return u.seen
				}
			case <-limit:
				n.t.Fatalf("%s has %d of %d addresses after %v", n.Name(), len(present), len(all), most)
			}
		}
	}
}

// watchChanges begins to watch a node that has the addresses given. The function
// ends that, and counts what came or went but for some. To renew an address is
// neither.
func (n *node) watchChanges(all map[netip.Addr]bool) (changed func(but ...netip.Addr) int) {
	n.t.Helper()
	updates, stop := n.addressUpdates()
	present := map[netip.Addr]bool{}
	for a := range all {
		present[a] = true
	}
	return func(but ...netip.Addr) (count int) {
		stop()
		expected := set(but)
		for u := range updates {
			if !expected[u.addr] && u.came != present[u.addr] {
				present[u.addr] = u.came
				count++
			}
		}
		return count
	}
}
