package vip

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A slice of a large set is announced while the next one is being added: here the
// kernel adds the second only once the first is announced.
func TestSlicesAreAnnouncedBesideAdditions(t *testing.T) {
	fake := NewFake("eth0")
	inBench(t, fake, func(b *bench) {
		list, _ := many(2*sliceLimit, 0)
		ordered, announced := make(chan struct{}), make(chan struct{}, 2)
		fake.RefuseAnnounce(func(string) error {
			announced <- struct{}{}
			return nil
		})
		fake.Refuse(func(_ string, c Change) error {
			switch c.Address.Prefix {
			case list[0]:
				<-ordered
			case list[sliceLimit]:
				select {
				case <-announced:
				case <-time.After(time.Minute):
					t.Error("the first slice was not announced meanwhile")
				}
			}
			return nil
		})
		b.Add("web", "eth0", list, 0)
		b.Announce("web", "eth0", list, ARPRequest)
		close(ordered)
		synctest.Wait()
		time.Sleep(2 * time.Minute)
		var orders []string
		for _, line := range b.said() {
			orders = append(orders, fmt.Sprintf("%s (%d)", strings.Fields(line)[0], strings.Count(line, "present")))
		}
		if diff := cmp.Diff([]string{"add (128)", "announce (128)", "add (128)", "announce (128)"}, orders); diff != "" {
			t.Errorf("reports (-want +got):\n%s", diff)
		}
		fake.Refuse(nil)
		b.close()
	})
}

// Additions do not wait for announcements, however long these take; what may take
// the addresses off again does, and is reported behind them.
func TestAnnouncementsHoldUpRemovalsAlone(t *testing.T) {
	fake := NewFake("eth0")
	inBench(t, fake, func(b *bench) {
		list, _ := many(3*sliceLimit, 0)
		ordered, added := make(chan struct{}), make(chan struct{})
		fake.RefuseAnnounce(func(string) error {
			select {
			case <-added:
			case <-time.After(time.Minute):
				t.Error("the last slice was not added meanwhile")
			}
			return nil
		})
		fake.Refuse(func(_ string, c Change) error {
			switch {
			case c.Verb == Create && c.Address.Prefix == list[0]:
				<-ordered
			case c.Verb == Create && c.Address.Prefix == list[2*sliceLimit]:
				time.AfterFunc(time.Second, func() { close(added) })
			case c.Verb == Remove:
				select {
				case <-added:
				default:
					t.Errorf("%v was removed before it was announced", c.Address.Prefix)
				}
			}
			return nil
		})
		b.Add("web", "eth0", list, 0)
		b.Announce("web", "eth0", list, ARPRequest)
		b.Remove("web", "eth0", list[:1])
		close(ordered)
		time.Sleep(2 * time.Minute)
		var orders []string
		for _, line := range b.said() {
			orders = append(orders, strings.Fields(line)[0])
		}
		if diff := cmp.Diff([]string{"add", "add", "announce", "announce", "add", "announce", "remove"}, orders); diff != "" {
			t.Errorf("reports (-want +got):\n%s", diff)
		}
		fake.Refuse(nil)
		b.close()
	})
}

// What waits to be announced is announced on its own interface, whichever has its
// turn by then.
func TestAnnouncementsKeepTheirInterface(t *testing.T) {
	fake := NewFake("eth0", "eth1")
	inBench(t, fake, func(b *bench) {
		list, _ := many(4*sliceLimit, 0)
		ordered := make(chan struct{})
		fake.RefuseAnnounce(func(iface string) error {
			time.Sleep(time.Second)
			if iface != "eth0" {
				t.Errorf("announced on %s", iface)
			}
			return nil
		})
		fake.Refuse(func(_ string, c Change) error {
			<-ordered
			if c.Address.Prefix == list[2*sliceLimit] {
				b.Add("api", "eth1", prefixes("192.0.2.1/24"), 0)
			}
			return nil
		})
		b.Add("web", "eth0", list, 0)
		b.Announce("web", "eth0", list, ARPRequest)
		close(ordered)
		time.Sleep(time.Minute)
		if n := len(slices.DeleteFunc(fake.Log(), func(s string) bool { return !strings.HasPrefix(s, "announce ") })); n != len(list) {
			t.Errorf("%d addresses were announced, want %d", n, len(list))
		}
		b.close()
	})
}

// Only what cannot be about to go is announced beside other orders.
func TestAnnouncedBeside(t *testing.T) {
	for _, tt := range []struct {
		kinds []Order
		want  int
	}{
		{nil, 0},
		{[]Order{OrderAdd, OrderAnnounce}, 0},
		{[]Order{OrderAnnounce}, 0},
		{[]Order{OrderAnnounce, OrderAdd}, 1},
		{[]Order{OrderAnnounce, OrderAnnounce, OrderAdd, OrderAnnounce}, 2},
		{[]Order{OrderAnnounce, OrderRemove}, 0},
		{[]Order{OrderAnnounce, OrderAdd, OrderRemove}, 0},
	} {
		for addr, want := range map[string]int{"192.0.2.1/32": tt.want, "2001:db8::1/128": 0} {
			var orders []order
			for _, k := range tt.kinds {
				orders = append(orders, order{kind: k, addrs: prefixes(addr)})
			}
			if n := announcedBeside(orders); n != want {
				t.Errorf("%v of %s: %d, want %d", tt.kinds, addr, n, want)
			}
		}
	}
}
