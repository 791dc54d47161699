package main

// What other programs do to the addresses is repaired, or handed over.

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// kernelAddress is an address as the node's kernel has it, nil for none.
func (n *node) kernelAddress(prefix string) (found *netlink.Addr) {
	n.t.Helper()
	p := netip.MustParsePrefix(prefix)
	n.changeLink("eth0", func(link netlink.Link) error {
		list, err := netlink.AddrList(link, netlink.FAMILY_ALL)
		for k := range list {
			if a, ok := netip.AddrFromSlice(list[k].IP); ok && a.Unmap() == p.Addr() {
				found = &list[k]
			}
		}
		return err
	})
	return found
}

// leasedByUs reports whether the address is leased, as only the daemon does it.
func leasedByUs(a *netlink.Addr) bool { return a != nil && a.ValidLft > 0 && a.ValidLft <= 3 }

// replaceAddress does what "ip addr change" does.
func (n *node) replaceAddress(prefix string, change func(*netlink.Addr)) {
	n.t.Helper()
	n.changeLink("eth0", func(link netlink.Link) error {
		a, err := netlink.ParseAddr(prefix)
		if err != nil {
			return err
		}
		change(a)
		return netlink.AddrReplace(link, a)
	})
}

// TestAddressesChanged has somebody change the addresses of a master, with ip addr
// change and otherwise: they are made again what they were, and nothing moves.
func TestAddressesChanged(t *testing.T) {
	t.Parallel()
	const interval = time.Second
	d := newDuo(t, duoTOML(highest, interval), duoTOML(lower, interval))
	hooksRan(t, d.a, 4)
	hooksRan(t, d.b, 2)
	before, peer := d.a.story(), d.b.story()
	const four, six = vipFour + "/24", vipSix + "/64"
	again := func(what, prefix string, right func(*netlink.Addr) bool) {
		t.Helper()
		took := eventually(t, interval+room, what+" is set right", func() bool { a := d.a.kernelAddress(prefix); return leasedByUs(a) && right(a) })
		t.Logf("measured: %s: set right after %s", what, ms(took))
	}
	any := func(*netlink.Addr) bool { return true }
	for _, prefix := range []string{four, six} {
		d.a.replaceAddress(prefix, func(*netlink.Addr) {}) // for ever, without a mark
		again(prefix+" for ever", prefix, any)
		d.a.replaceAddress(prefix, func(a *netlink.Addr) { a.ValidLft, a.PreferedLft = 1000, 0 })
		again(prefix+" deprecated", prefix, func(a *netlink.Addr) bool { return a.PreferedLft > 0 })
	}
	// What ip addr replace with another length or a label does: one more address
	// in IPv4, and there the old one goes.
	d.a.changeLink("eth0", func(link netlink.Link) error {
		other, err := netlink.ParseAddr(vipFour + "/25")
		if err != nil {
			return err
		}
		return netlink.AddrAdd(link, other)
	})
	if err := d.a.RemoveAddress("eth0", four); err != nil {
		t.Fatal(err)
	}
	again(four+" with another length", four, any)
	if err := d.a.RemoveAddress("eth0", vipFour+"/25"); err != nil {
		t.Fatal(err)
	}
	d.a.changeLink("eth0", func(link netlink.Link) error {
		a, err := netlink.ParseAddr(four)
		if err != nil {
			return err
		}
		if err := netlink.AddrDel(link, a); err != nil {
			return err
		}
		a.Label = "eth0:vip"
		if err := netlink.AddrAdd(link, a); err != nil && err != unix.EEXIST {
			return err
		}
		return nil
	})
	again(four+" with a label", four, any)
	during(t, interval, "a alone has the addresses", func() bool {
		return d.a.has(vipFour) && d.a.has(vipSix) && !d.b.has(vipFour) && !d.b.has(vipSix)
	})
	sameStory(t, d.a, before)
	sameStory(t, d.b, peer)
	if n := d.a.instance("four").Counters.AddressesRepaired; n < 2 {
		t.Errorf("%d repairs counted", n)
	}
	d.a.stop()
	for _, vip := range []string{vipFour, vipSix} {
		only(t, room, vip, d.b, d.a)
	}
}

// TestFlushedIPv6 takes IPv6 away in the ways that an operator does by accident:
// the addresses move to the peer, and come back when it does, IPv4 not at all.
func TestFlushedIPv6(t *testing.T) {
	t.Parallel()
	const interval = 100 * time.Millisecond
	d := newDuo(t, duoTOML(highest, interval), duoTOML(lower, interval))
	off := func(on string) {
		t.Helper()
		if err := d.a.SetSysctl("net.ipv6.conf.eth0.disable_ipv6", on); err != nil {
			t.Fatal(err)
		}
	}
	off("1")
	took := only(t, linkMost+detection(interval, lower), vipSix, d.b, d.a)
	t.Logf("measured: IPv6 disabled: b serves after %s", ms(took))
	if i := d.a.instance("six"); i.State != "fault" || !strings.Contains(i.Reason, "no IPv6 link-local address") {
		t.Errorf("six is %s: %s", i.State, i.Reason)
	}
	if i := d.a.instance("four"); i.State != "master" || i.Counters.LeftMaster != 0 || !d.a.has(vipFour) {
		t.Errorf("four is %s, left %d times", i.State, i.Counters.LeftMaster)
	}
	off("0")
	took = only(t, settled, vipSix, d.a, d.b)
	t.Logf("measured: IPv6 enabled again: a serves after %s", ms(took))
	// Down and up again at once: the kernel drops all IPv6 addresses.
	d.a.linkDown("eth0")
	d.a.linkUp("eth0")
	for _, vip := range []string{vipFour, vipSix} {
		took = only(t, settled, vip, d.a, d.b)
		t.Logf("measured: %s is back %s after the link was down", vip, ms(took))
	}
	during(t, 3*interval, "a alone serves", func() bool { return d.a.has(vipSix) && d.a.has(vipFour) && !d.b.has(vipSix) && !d.b.has(vipFour) })
}

// TestRemovedAgainAndAgain has somebody who never gives up remove the address: the
// node hands over and says why, and the peer serves in peace.
func TestRemovedAgainAndAgain(t *testing.T) {
	t.Parallel()
	const interval = 100 * time.Millisecond
	d := newDuo(t, duoTOML(highest, interval), duoTOML(lower, interval, "preempt = false"))
	removed := 0
	took := eventually(t, settled, "b has the address", func() bool {
		if d.a.has(vipFour) && d.a.RemoveAddress("eth0", vipFour+"/24") == nil {
			removed++
			time.Sleep(50 * time.Millisecond)
		}
		return d.b.has(vipFour) && !d.a.has(vipFour)
	})
	t.Logf("measured: handed over %s and %d removals after somebody began", ms(took), removed)
	during(t, 5*interval, "b serves in peace", func() bool { return d.b.has(vipFour) && !d.a.has(vipFour) })
	d.a.wantStatus(exitRefused, "BACKUP", "demoted: somebody keeps removing "+vipFour+"/24")
	if !d.a.has(vipSix) || d.a.instance("six").State != "master" {
		t.Error("the other instance moved too")
	}
}

// TestAddressOnAnotherInterface has somebody put a VIP on another interface, while
// a backup and while a master: it is told and not touched.
func TestAddressOnAnotherInterface(t *testing.T) {
	t.Parallel()
	const interval = 100 * time.Millisecond
	d := newDuo(t, duoTOML(highest, interval), duoTOML(lower, interval))
	for _, n := range []*node{d.a, d.b} {
		err := n.Do(func() error {
			attrs := netlink.NewLinkAttrs()
			attrs.Name = "other"
			if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: attrs.Name + "-end"}); err != nil {
				return err
			}
			link, err := netlink.LinkByName("other")
			if err != nil {
				return err
			}
			a, err := netlink.ParseAddr(vipFour + "/32")
			if err != nil {
				return err
			}
			return netlink.AddrAdd(link, a)
		})
		if err != nil {
			t.Fatal(err)
		}
		state := n.instance("four").State
		took := eventually(t, room+time.Second, "it is told", func() bool { return len(n.instance("four").Elsewhere) == 1 })
		n.wantStatus(exitRefused, strings.ToUpper(state), vipFour+" also on other, where this host may answer for it")
		n.wantLog("a virtual address is on another interface as well", "instance=four interface=eth0 other=other addresses="+vipFour)
		if i := n.instance("four"); i.Counters.AddressesElsewhere != 1 || len(n.instance("six").Elsewhere) != 0 {
			t.Errorf("counted %d times", i.Counters.AddressesElsewhere)
		}
		t.Logf("measured: %s, %s: told after %s", n.Name(), state, ms(took))
	}
	d.a.stop()
	if list, err := d.a.Addresses("other"); err != nil || len(list) == 0 || list[0].Addr() != addrOf(vipFour) {
		t.Errorf("somebody else's address was touched: %v, %v", list, err)
	}
	d.b.changeLink("other", netlink.LinkDel)
	eventually(t, room+time.Second, "it is forgotten", func() bool { return len(d.b.instance("four").Elsewhere) == 0 })
	d.b.wantStatus(exitDone, "MASTER")
}

// overruns counts the notifications that the sockets of a process lost.
func (n *node) overruns() (lost int) {
	n.t.Helper()
	err := n.Do(func() error {
		text, err := os.ReadFile("/proc/thread-self/net/netlink")
		for line := range strings.Lines(string(text)) {
			// sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode
			var drops int
			if f := strings.Fields(line); len(f) == 10 && f[1] == "0" {
				fmt.Sscan(f[8], &drops)
				lost += drops
			}
		}
		return err
	})
	if err != nil {
		n.t.Fatal(err)
	}
	return lost
}

// TestNotificationsLost removes the address while so much else happens that the
// kernel has no room to tell: the daemon looks for itself.
func TestNotificationsLost(t *testing.T) {
	// Not beside others: it keeps the kernel from them.
	const interval = time.Second
	n := newNode(t, newLab(t), "a", "192.0.2.1/24")
	n.run(instanceTOML(150, interval.String(), []string{vipFour + "/24"}, `lease = "off"`))
	eventually(t, settled, "the address is there", func() bool { return n.has(vipFour) })
	n.instance("web")
	before := n.overruns()
	if err := n.daemon.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	churned := 0
	err := n.Do(func() error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = "churn"
		if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: attrs.Name + "-end"}); err != nil {
			return err
		}
		link, err := netlink.LinkByName("churn")
		if err != nil {
			return err
		}
		a, err := netlink.ParseAddr("198.51.100.1/32")
		if err != nil {
			return err
		}
		for began := time.Now(); time.Since(began) < 10*time.Second && n.overruns() == before; {
			for range 500 {
				if err := netlink.AddrAdd(link, a); err != nil {
					return err
				}
				if err := netlink.AddrDel(link, a); err != nil {
					return err
				}
				churned += 2
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	lost := n.overruns() - before
	if err := n.RemoveAddress("eth0", vipFour+"/24"); err != nil {
		t.Fatal(err)
	}
	if n.has(vipFour) {
		t.Fatal("the daemon is not stopped")
	}
	if err := n.daemon.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if lost == 0 {
		t.Fatalf("the kernel told of all %d changes: the test is worth nothing", churned)
	}
	took := eventually(t, 2*interval+5*time.Second, "the address is back", func() bool { return n.has(vipFour) })
	t.Logf("measured: %d notifications of %d lost; the address was back %s after the daemon went on", lost, churned, ms(took))
	n.stop()
	if n.has(vipFour) {
		t.Error("after the stop the address is there")
	}
}

// TestNetworkd has systemd-networkd manage the interface: when it is started, told
// to reload and to set the interface up anew it may take the VIP away, and the
// daemon sees to that.
func TestNetworkd(t *testing.T) {
	t.Parallel()
	const networkd = "/lib/systemd/systemd-networkd"
	_, err := os.Stat(networkd)
	require(t, err == nil, "systemd-networkd: "+networkd)
	const interval = time.Second
	d := newDuo(t, duoTOML(highest, interval), duoTOML(lower, interval))
	hooksRan(t, d.a, 4)
	hooksRan(t, d.b, 2)
	before, peer := d.a.story(), d.b.story()
	network := "[Match]\nName=eth0\n[Network]\nLinkLocalAddressing=ipv6\nIPv6AcceptRA=no\nIPv6DuplicateAddressDetection=0\n"
	own, err := d.a.Addresses("eth0")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range own {
		if a := p.Addr(); a != addrOf(vipFour) && a != addrOf(vipSix) && !a.IsLinkLocalUnicast() {
			network += "Address=" + p.String() + "\n"
		}
	}
	for _, dir := range []string{"/run/systemd/network", "/run/systemd/netif/links", "/run/systemd/netif/leases", "/run/systemd/netif/lldp"} {
		if err := d.a.MkdirAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.a.WriteFile(filepath.Join("/run/systemd/network", "10-eth0.network"), network, 0o644); err != nil {
		t.Fatal(err)
	}
	const times = 2
	for range times {
		// Where /sys cannot be written it does not wait for udev.
		c := d.a.Command(t.Context(), "unshare", "--mount", "sh", "-c",
			"mount -o remount,bind,ro /sys && chown -R systemd-network /run/systemd/netif && exec "+networkd)
		c.Env = append(os.Environ(), "container=holdfast-lab", "SYSTEMD_LOG_LEVEL=debug", "SYSTEMD_LOG_TARGET=console")
		p, err := d.a.StartCommand(c)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		for time.Since(began) < settled && !strings.Contains(p.Output(), "eth0: State changed: configuring -> configured") {
			select {
			case <-p.Done():
				t.Skipf("systemd-networkd does not run here:\n%s", p.Output())
			case <-time.After(10 * time.Millisecond):
			}
		}
		if !strings.Contains(p.Output(), "eth0: State changed: configuring -> configured") {
			t.Skipf("systemd-networkd does not configure eth0 here:\n%s", p.Output())
		}
		eventually(t, interval+room, "a has the addresses", func() bool {
			return leasedByUs(d.a.kernelAddress(vipFour+"/24")) && leasedByUs(d.a.kernelAddress(vipSix+"/64"))
		})
		t.Logf("measured: systemd-networkd has set eth0 up")
		if err := p.Kill(); err != nil {
			t.Fatal(err)
		}
	}
	during(t, interval, "a alone has the addresses", func() bool {
		return d.a.has(vipFour) && d.a.has(vipSix) && !d.b.has(vipFour) && !d.b.has(vipSix)
	})
	sameStory(t, d.a, before)
	sameStory(t, d.b, peer)
	t.Logf("measured: repaired %d and %d times", d.a.instance("four").Counters.AddressesRepaired, d.a.instance("six").Counters.AddressesRepaired)
}
