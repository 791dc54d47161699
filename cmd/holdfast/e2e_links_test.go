package main

// Interfaces and addresses come and go under the daemon.

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/lab"
)

// linkMost is how long a change of a link takes at most until the node acts on
// it. The kernel notes a carrier that goes with up to a second of delay.
const linkMost = 1500*time.Millisecond + room

// changeLink does something to an interface of the node.
func (n *node) changeLink(name string, change func(netlink.Link) error) {
	n.t.Helper()
	err := n.Do(func() error {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		return change(link)
	})
	if err != nil {
		n.t.Fatalf("%s of %s: %v", name, n.Name(), err)
	}
}

func (n *node) linkDown(name string) { n.t.Helper(); n.changeLink(name, netlink.LinkSetDown) }
func (n *node) linkUp(name string)   { n.t.Helper(); n.changeLink(name, netlink.LinkSetUp) }

// rename needs no interface that is down: the kernels that we run on let one
// that is up be renamed.
func (n *node) rename(from, to string) {
	n.t.Helper()
	n.changeLink(from, func(l netlink.Link) error { return netlink.LinkSetName(l, to) })
}

// fault waits until an instance is in fault, for a reason that status and log
// tell.
func (n *node) fault(name, reason string) time.Duration {
	n.t.Helper()
	took := eventually(n.t, linkMost, n.Name()+" is in fault: "+reason, func() bool {
		i := n.instance(name)
		return i.State == "fault" && i.Reason == reason
	})
	n.wantStatus(exitRefused, "FAULT", reason)
	n.wantLog("fault", "reason=\""+reason+"\"") // a new reason of the same fault after a second
	return took
}

// wireTOML is an instance on eth1.
func wireTOML(priority int, addresses ...string) string {
	toml := instanceTOML(priority, lifeInterval.String(), addresses)
	return strings.Replace(toml, `interface = "eth0"`, `interface = "eth1"`, 1)
}

// An interface is not there when the daemon starts, comes, goes down and up,
// is renamed, is deleted, and is made again under the same name.
func TestInterfaceComesAndGoes(t *testing.T) {
	l := newLab(t)
	lb1 := newNode(t, l, "lb1", "192.0.2.1/24")
	wire, err := l.Switch("wire")
	if err != nil {
		t.Fatal(err)
	}
	plug := func() *lab.Port {
		p, err := lb1.Plug("eth1", wire, "198.51.100.1/24")
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	const vip = "198.51.100.100"
	back := func(what string) {
		t.Helper()
		took := eventually(t, detection(lifeInterval, 150)+linkMost, "serves again, "+what, func() bool { return lb1.has(vip) })
		lb1.state(time.Second, "web", "master")
		lb1.wantStatus(exitDone, "MASTER", vip+"/24 (here)")
		t.Logf("measured: serves %v after: %s", took.Round(time.Millisecond), what)
	}
	lb1.run(wireTOML(150, vip+"/24"))
	lb1.fault("web", "interface eth1 does not exist")
	port := plug()
	back("the interface was plugged in")

	lb1.linkDown("eth1")
	t.Logf("measured: down is noticed in %v", lb1.fault("web", "interface eth1 is down").Round(time.Millisecond))
	if lb1.has(vip) {
		t.Error("the address is still there")
	}
	lb1.linkUp("eth1")
	back("the interface is up")

	if err := port.Unplug(); err != nil {
		t.Fatal(err)
	}
	lb1.fault("web", "interface eth1 has no carrier")
	if err := port.PlugIn(); err != nil {
		t.Fatal(err)
	}
	back("the cable is back")

	lb1.rename("eth1", "old1")
	lb1.fault("web", "interface eth1 does not exist")
	eventually(t, time.Second, "the address left the interface of another name", func() bool { return !lb1.has(vip) })
	lb1.rename("old1", "eth1")
	back("the interface has its name again")

	for n := range 2 {
		lb1.changeLink("eth1", netlink.LinkDel)
		lb1.fault("web", "interface eth1 does not exist")
		if n == 0 { // its last words were that it is down
			lb1.wantLog("still in fault: instance=web reason=\"interface eth1 does not exist\"")
		}
		plug()
		back("the interface was made anew")
	}
	lb1.stop()
	if lb1.has(vip) {
		t.Error("the address is there after the stop")
	}
}

// Adverts come from the primary address of the interface, whatever that is at
// the moment.
func TestPrimaryAddressChanges(t *testing.T) {
	l := newLab(t)
	lb1, lb2 := newPair(t, l)
	lb1.run(lifeTOML(150))
	lb2.run(lifeTOML(100))
	only(t, 5*time.Second, lifeVIP, lb1, lb2)
	source := func(want string) time.Duration {
		t.Helper()
		return eventually(t, linkMost, "lb2 hears "+want, func() bool {
			m := lb2.instance("web").Master
			return m != nil && m.Address == want
		})
	}
	source("192.0.2.1")

	// The next one takes its place.
	if err := lb1.AddAddress("eth0", "192.0.2.11/24"); err != nil {
		t.Fatal(err)
	}
	adverts := captureAdverts(t, lb2.Host, "eth0", 51)
	if err := lb1.RemoveAddress("eth0", "192.0.2.1/24"); err != nil {
		t.Fatal(err)
	}
	took := source("192.0.2.11")
	if !lb1.has(lifeVIP) || lb2.has(lifeVIP) {
		t.Error("a change of the primary address moved the VIP")
	}
	eventually(t, time.Second, "the capture has an advert", func() bool { return adverts.count() > 0 })
	if longest, sources := adverts.result(t); longest > lifeInterval+room || sources[len(sources)-1] != netip.MustParseAddr("192.0.2.11") {
		t.Errorf("longest gap between adverts %v, sources %v", longest, sources)
	}
	t.Logf("measured: adverts come from the new primary address after %v", took.Round(time.Millisecond))

	// None is left.
	if err := lb1.RemoveAddress("eth0", "192.0.2.11/24"); err != nil {
		t.Fatal(err)
	}
	took = only(t, linkMost+detection(lifeInterval, 100), lifeVIP, lb2, lb1)
	t.Logf("measured: lb2 serves %v after lb1 lost its last address", took.Round(time.Millisecond))
	lb1.fault("web", "interface eth0 has no ipv4 address to send from")

	if err := lb1.AddAddress("eth0", "192.0.2.1/24"); err != nil {
		t.Fatal(err)
	}
	took = only(t, linkMost+detection(lifeInterval, 150)+handoverMost, lifeVIP, lb1, lb2)
	t.Logf("measured: lb1 serves again %v after its address is back", took.Round(time.Millisecond))
}

// announcements counts the gratuitous ARP packets for the VIP that arrive on an
// interface.
func announcements(t *testing.T, h *lab.Host, ifname, vip string) func() int {
	t.Helper()
	a := netip.MustParseAddr(vip).As4()
	c, err := h.Capture(ifname, func(f lab.Frame) bool {
		d := f.Data // Ethernet, then ARP: sender's address at 28, target's at 38
		return len(d) >= 42 && d[12] == 8 && d[13] == 6 && [4]byte(d[28:32]) == a && [4]byte(d[38:42]) == a && !f.Outgoing
	})
	if err != nil {
		t.Fatal(err)
	}
	return func() int { return len(c.Frames()) }
}

// What somebody takes off the interface is put back at once, announced and
// counted.
func TestRemovedAddressIsPutBack(t *testing.T) {
	l := newLab(t)
	lb1, lb2 := newPair(t, l)
	lb1.run(lifeTOML(150))
	lb2.run(lifeTOML(100))
	only(t, 5*time.Second, lifeVIP, lb1, lb2)
	// The burst of announcements after taking over must not be mistaken for
	// those of the repair.
	eventually(t, 5*time.Second, "the first announcements are over", func() bool { return lb1.instance("web").Counters.Announcements >= 5 })

	const times = 3
	var worst time.Duration
	for n := range times {
		heard := announcements(t, lb2.Host, "eth0", lifeVIP)
		if err := lb1.RemoveAddress("eth0", lifeVIP+"/24"); err != nil {
			t.Fatal(err)
		}
		took := eventually(t, 100*time.Millisecond+room, "the address is back", func() bool { return lb1.has(lifeVIP) })
		worst = max(worst, took)
		eventually(t, 100*time.Millisecond+room, "it is announced", func() bool { return heard() > 0 })
		eventually(t, time.Second, "it is counted", func() bool { return lb1.instance("web").Counters.AddressesRepaired == uint64(n+1) })
	}
	t.Logf("measured: an address that somebody removed was gone for at most %v", worst)
	lb1.wantLog("address was removed by somebody else and put back")
	if n := lb1.instance("web").Counters.BecameMaster; n != 1 || lb2.has(lifeVIP) {
		t.Errorf("lb1 became master %d times, lb2 has the address: %v", n, lb2.has(lifeVIP))
	}
	lb1.wantStatus(exitDone, "MASTER", lifeVIP+"/24 (here)")
}

// All addresses are flushed: the VIP moves to the peer, and returns with the
// interface's own address.
func TestAddressesFlushed(t *testing.T) {
	l := newLab(t)
	lb1, lb2 := newPair(t, l)
	lb1.run(lifeTOML(150))
	lb2.run(lifeTOML(100))
	only(t, 5*time.Second, lifeVIP, lb1, lb2)
	lb1.changeLink("eth0", func(link netlink.Link) error {
		list, err := netlink.AddrList(link, netlink.FAMILY_V4)
		if err != nil {
			return err
		}
		if len(list) != 2 {
			return fmt.Errorf("%d addresses, want 2", len(list))
		}
		for _, a := range list {
			// The daemon may take the VIP off first.
			if err := netlink.AddrDel(link, &a); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
				return err
			}
		}
		return nil
	})
	took := only(t, linkMost+detection(lifeInterval, 100), lifeVIP, lb2, lb1)
	t.Logf("measured: lb2 serves %v after all addresses of lb1 were flushed", took.Round(time.Millisecond))
	lb1.fault("web", "interface eth0 has no ipv4 address to send from")
	during(t, 300*time.Millisecond, "lb2 alone serves", func() bool { return lb2.has(lifeVIP) && !lb1.has(lifeVIP) })

	if err := lb1.AddAddress("eth0", "192.0.2.1/24"); err != nil {
		t.Fatal(err)
	}
	took = only(t, linkMost+detection(lifeInterval, 150)+handoverMost, lifeVIP, lb1, lb2)
	t.Logf("measured: lb1 serves again %v after its address is back", took.Round(time.Millisecond))
	lb1.wantStatus(exitDone, "MASTER")
}
