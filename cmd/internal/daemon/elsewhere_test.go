package daemon

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/config"
	"github.com/holdfast-vrrp/holdfast/vip"
	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// A VIP that is on another interface as well is told, counted and left alone, on
// a master as on a backup.
func TestAddressElsewhere(t *testing.T) {
	for _, state := range []string{"master", "backup"} {
		t.Run(state, func(t *testing.T) {
			inBubble(t, func(t *testing.T, lan *network) {
				kernel := vip.NewFake("eth0", "eth1")
				kernel.Install("eth0", netip.MustParsePrefix("192.0.2.1/24"), 0)
				odd := netip.PrefixFrom(testVIP.Addr(), 32)
				kernel.Install("eth1", odd, 0)
				a := newNodeOn(t, lan, kernel, "a", 1, conf(150, "1s"))
				b := newNode(t, lan, "b", 2, conf(100, "1s"))
				if state == "backup" {
					b = newNode(t, lan, "b", 2, conf(200, "1s"))
				}
				b.start()
				a.start()
				time.Sleep(10 * time.Second)
				synctest.Wait()
				there := func(want bool, times uint64) {
					t.Helper()
					synctest.Wait()
					i := a.instance()
					if i.State != state || (len(i.Elsewhere) == 1) != want || i.Counters.AddressesElsewhere != times {
						t.Errorf("it is %s, elsewhere %v, counted %d times; want %s, %v, %d", i.State, i.Elsewhere, i.Counters.AddressesElsewhere, state, want, times)
					}
					if want && (i.Elsewhere[0].Address != "192.0.2.100" || i.Elsewhere[0].Interface != "eth1" || i.Elsewhere[0].Since.IsZero()) {
						t.Errorf("elsewhere %+v", i.Elsewhere)
					}
					if n := a.log.count("a virtual address is on another interface as well"); uint64(n) != times {
						t.Errorf("told %d times, want %d", n, times)
					}
				}
				there(true, 1)
				kernel.Install("eth1", netip.MustParsePrefix("198.51.100.1/24"), 0) // another change
				there(true, 1)
				kernel.Delete("eth1", odd)
				there(false, 1)
				kernel.Install("eth1", testVIP, 0)
				there(true, 2)
				a.edit(strings.Replace(conf(150, "1s"), "192.0.2.100", "192.0.2.101", 1))
				a.reload <- nil
				there(false, 2)
				a.edit(conf(150, "1s"))
				a.reload <- nil
				there(true, 3)
				a.stop()
				b.stop()
				if !slices.Contains(kernel.On("eth1"), testVIP) {
					t.Errorf("somebody else's address was removed: %v", kernel.On("eth1"))
				}
			})
		})
	}
}

// A VIP that somebody else has put on its own interface is told and shown while
// this node is not master, and left alone.
func TestAddressOfAnotherOnOwnInterface(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		kernel := vip.NewFake("eth0", "eth1")
		kernel.Install("eth0", netip.MustParsePrefix("192.0.2.2/24"), 0)
		kernel.Install("eth1", netip.MustParsePrefix("198.51.100.1/24"), 2) // a kernel that keeps marks
		odd := netip.PrefixFrom(testVIP.Addr(), 32)
		kernel.Install("eth0", odd, 18)
		a := newNode(t, lan, "a", 1, conf(150, "1s"))
		b := newNodeOn(t, lan, kernel, "b", 2, conf(100, "1s"))
		a.start()
		b.start()
		time.Sleep(10 * time.Second)
		const told = "somebody else has put a virtual address on the interface"
		shows := func(state string, want, present bool, times int) {
			t.Helper()
			synctest.Wait()
			i := b.instance()
			if i.State != state || (len(i.Elsewhere) == 1) != want || i.Addresses[0].Present != present || b.log.count(told) != times {
				t.Errorf("it is %s, elsewhere %v, present %v, told %d times; want %s, %v, %v, %d",
					i.State, i.Elsewhere, i.Addresses[0].Present, b.log.count(told), state, want, present, times)
			}
		}
		shows("backup", true, true, 1)
		kernel.Delete("eth0", odd)
		shows("backup", false, false, 1)
		kernel.Install("eth0", testVIP, 0)
		shows("backup", true, true, 2)
		a.stop()
		time.Sleep(10 * time.Second)
		shows("master", false, true, 2)
		c := newNode(t, lan, "c", 3, conf(200, "1s"))
		c.start()
		time.Sleep(10 * time.Second)
		shows("backup", true, true, 2)
		b.stop()
		c.stop()
		if !slices.Contains(kernel.On("eth0"), testVIP) {
			t.Errorf("somebody else's address was removed: %v", kernel.On("eth0"))
		}
	})
}

// An address that somebody changes is set right, counted and told.
func TestAddressChanged(t *testing.T) {
	for _, lease := range []string{"auto", "off"} {
		t.Run(lease, func(t *testing.T) {
			inBubble(t, func(t *testing.T, lan *network) {
				a := startNode(t, lan, "a", 1, conf(150, "1s", `lease = "`+lease+`"`))
				await(t, 5*time.Second, "a", a)
				time.Sleep(1230 * time.Millisecond)
				synctest.Wait()
				a.kernel.Change("eth0", testVIP, 3)
				synctest.Wait()
				if foreignVIP(a) {
					t.Error("it still is what somebody made of it")
				}
				i := a.instance()
				if i.Counters.AddressesRepaired != 1 || i.Counters.BecameMaster != 1 || a.log.count("address was changed by somebody else and set right") != 1 {
					t.Errorf("repaired %d times; log:\n%s", i.Counters.AddressesRepaired, a.log)
				}
				a.stop()
				if a.holds(testVIP) {
					t.Error("after the stop the VIP is there")
				}
			})
		})
	}
}

// A link-local address may be on several interfaces of a host: each is another
// one to the network.
func TestLinkLocalElsewhere(t *testing.T) {
	list := []netip.Prefix{netip.MustParsePrefix("fe80::100/64"), netip.MustParsePrefix("2001:db8::100/64")}
	d := &Daemon{cfg: &config.Config{Instances: []vrrp.Config{{Name: "web", Interface: "eth0", Addresses: list}}}}
	d.links = map[string]vip.LinkState{"eth1": {Name: "eth1", Addresses: []vip.LinkAddress{{Prefix: list[0]}}}}
	d.setOwners()
	if found, _ := d.elsewhereStatus(); len(found) > 0 {
		t.Errorf("elsewhere %v", found)
	}
}
