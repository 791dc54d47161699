package main

// The rows that show in the states Backup and Active, and towards hosts.

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
)

// Section 5.1.1.2: a router does not forward adverts, whatever their TTL.
func (b *wireBed) notForwarded() { b.groupNotForwarded(vrrpGroup, b.s.ip) }

func (b *wireBed) groupNotForwarded(group, src netip.Addr) {
	var sent [][]byte
	for _, ttl := range []byte{255, 2} {
		payload := b.mark()
		b.s.send(packet{src: src, dst: group, ttl: ttl, payload: payload})
		sent = append(sent, payload)
	}
	b.forwards()
	if slices.ContainsFunc(sent, b.forwarded) {
		b.t.Errorf("a packet to %v was forwarded", group)
	}
}

// Section 5.1.2.2: adverts go to ff02::12, and are not forwarded.
func (b *wireBed) destination6() {
	b.groupNotForwarded(vrrpGroup6, b.s.local)
	a := b.advert(true)
	if a.dst != vrrpGroup6 || !bytes.Equal(a.dstMAC, multicastMAC(vrrpGroup6)) {
		b.t.Errorf("sent to %v (%v)", a.dst, a.dstMAC)
	}
}

// Section 6.4.2.
func (b *wireBed) backupARP() {
	asked := time.Now()
	b.s.ask()
	b.answersPings()
	if list := b.arp(asked, 2, vip51); len(list) > 0 {
		b.t.Errorf("a backup answered ARP: % x", list[0])
	}
}

// neighbourAdvert picks the node's solicited advertisements of the VIP.
func neighbourAdvert(p *packet) bool {
	return p.protocol == 58 && len(p.payload) >= 32 && p.payload[0] == 136 && p.payload[4]&0x40 != 0 && bytes.Equal(p.payload[8:24], vipV6.AsSlice())
}

// Section 6.4.2: no answer, and no member of the solicited-node group.
func (b *wireBed) backupNS() {
	asked := time.Now()
	b.s.ask()
	b.answersPings()
	if list := b.heard(asked, neighbourAdvert); len(list) > 0 {
		b.t.Errorf("a backup answered a neighbour solicitation: % x", list[0].payload)
	}
	for _, vip := range []string{"fe80::51", "2001:db8::100"} {
		if b.member(netip.MustParseAddr(vip)) {
			b.t.Errorf("a backup is a member of the solicited-node group of %s", vip)
		}
	}
}

// member tells whether the node is in the solicited-node group of an address.
func (b *wireBed) member(a netip.Addr) bool {
	b.t.Helper()
	last := a.As16()
	group := "ff0200000000000000000001ff" + hex.EncodeToString(last[13:])
	var text []byte
	err := b.n.Do(func() (err error) {
		text, err = os.ReadFile("/proc/thread-self/net/igmp6")
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 2 && f[1] == "eth0" && f[2] == group {
			return true
		}
	}
	return false
}

// Sections 6.4.2 and, where it is not met, 6.4.3: there is no router
// advertisement, also for who asks.
func (b *wireBed) noRouterAdvertisement() {
	m := []byte{133, 0, 0, 0, 0, 0, 0, 0}
	group := netip.MustParseAddr("ff02::2")
	sum := onesSum(b.s.local.AsSlice(), group.AsSlice(), []byte{0, 0, 0, byte(len(m)), 0, 0, 0, 58}, m)
	m[2], m[3] = byte(^sum>>8), byte(^sum)
	b.s.send(packet{src: b.s.local, dst: group, ttl: 255, protocol: 58, payload: m})
	b.answersPings()
	if list := b.heard(b.began, func(p *packet) bool { return p.protocol == 58 && p.payload[0] == 134 }); len(list) > 0 {
		b.t.Errorf("a router advertisement: % x", list[0].payload)
	}
}

// Section 6.4.2: what is sent to the virtual MAC is not forwarded.
func (b *wireBed) virtualMACDiscarded() {
	sent := [][]byte{b.datagram(vmac4, beyond4), b.datagram(vmac6, beyond6)}
	b.forwards()
	if slices.ContainsFunc(sent, b.forwarded) {
		b.t.Error("a packet to the virtual MAC was forwarded")
	}
}

// Section 6.4.2.
func (b *wireBed) backupAccepts() {
	asked := time.Now()
	b.ping(vip51)
	b.ping(vipV6)
	b.answersPings()
	for _, vip := range []netip.Addr{vip51, vipV6} {
		if len(b.heard(asked, echoOf(vip))) > 0 {
			b.t.Errorf("a backup answered a ping of %v", vip)
		}
	}
}

// Section 8.2.4: unsolicited neighbour advertisements change what the node knows,
// as backup and as master.
func (b *wireBed) unsolicitedNAIsTakenIn() {
	for _, state := range []string{"backup", "master"} {
		if state == "master" {
			b.takeOver()
		}
		if got := b.n.instance("web").State; got != state {
			b.t.Fatalf("it is %s, want %s", got, state)
		}
		host, all := netip.MustParseAddr("2001:db8::67"), netip.MustParseAddr("ff02::1")
		b.neighbour("eth0", host, netlink.NUD_STALE)
		m := concat([]byte{136, 0, 0, 0, 0x20, 0, 0, 0}, host.AsSlice(), []byte{2, 1}, b.s.mac)
		sum := onesSum(b.s.local.AsSlice(), all.AsSlice(), []byte{0, 0, 0, byte(len(m)), 0, 0, 0, 58}, m)
		m[2], m[3] = byte(^sum>>8), byte(^sum)
		b.s.send(packet{src: b.s.local, dst: all, ttl: 255, protocol: 58, payload: m})
		eventually(b.t, patience, "the neighbour has moved, for a "+state, func() bool { return b.knows(host, b.s.mac.String()) })
	}
}

// knows tells whether the node has an address in its neighbour table at a MAC.
func (b *wireBed) knows(a netip.Addr, mac string) (found bool) {
	b.n.changeLink("eth0", func(l netlink.Link) error {
		list, err := netlink.NeighList(l.Attrs().Index, netlink.FAMILY_V6)
		for _, e := range list {
			found = found || e.IP.String() == a.String() && e.HardwareAddr.String() == mac
		}
		return err
	})
	return found
}

// Sections 6.4.3 and 8.1.2, not met in the MAC address: there is one answer.
func (b *wireBed) arpAnswer() {
	asked := time.Now()
	b.s.ask()
	eventually(b.t, patience, "an answer", func() bool { return len(b.arp(asked, 2, vip51)) > 0 })
	b.answersPings()
	list, mac := b.arp(asked, 2, vip51), b.s.port.MAC()
	if len(list) != 1 || !bytes.Equal(list[0][22:28], mac) || !bytes.Equal(list[0][6:12], mac) {
		b.t.Errorf("%d answers, the first says %x in a frame of %x; want one of %v", len(list), list[0][22:28], list[0][6:12], mac)
	}
}

// Section 6.4.3.
func (b *wireBed) groups() {
	for _, vip := range []string{"fe80::51", "2001:db8::100"} {
		if !b.member(netip.MustParseAddr(vip)) {
			b.t.Errorf("it is not a member of the solicited-node group of %s", vip)
		}
	}
}

// Sections 6.4.3 and 8.2.2, not met in the MAC address. The node forwards, so that
// the kernel says that it is a router.
func (b *wireBed) solicitedNA() {
	asked := time.Now()
	b.s.ask()
	p := b.await("an answer", asked, neighbourAdvert)
	want := concat([]byte{2, 1}, b.s.port.MAC())
	if p.payload[4]&0xc0 != 0xc0 || !bytes.Equal(p.payload[24:32], want) || !bytes.Equal(p.srcMAC, b.s.port.MAC()) {
		b.t.Errorf("flags %#02x, option % x, frame of %v; want router and solicited, and % x", p.payload[4], p.payload[24:32], p.srcMAC, want)
	}
}

// Section 6.4.3, not met: what is sent to the virtual MAC is nobody's. Hosts that
// have the VIP as their router know it at the node's own MAC address.
func (b *wireBed) forwarding() { b.virtualMACDiscarded() }

// Section 7.4: the node has the interface identifiers that it had before.
func (b *wireBed) interfaceIdentifiers() {
	now, err := b.n.Addresses("eth0")
	if err != nil {
		b.t.Fatal(err)
	}
	vips := []netip.Addr{vip51, vipV6, netip.MustParseAddr("fe80::51")}
	now = slices.DeleteFunc(now, func(p netip.Prefix) bool { return slices.Contains(vips, p.Addr()) })
	if diff := cmp.Diff(b.before, now, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		b.t.Errorf("addresses of eth0 beside the VIPs (-before +now):\n%s", diff)
	}
	for _, p := range now {
		if raw := p.Addr().As16(); p.Addr().Is6() && bytes.Equal(raw[8:14], []byte{2, 0, 0x5e, 0xff, 0xfe, 0}) {
			b.t.Errorf("%v is made of the virtual MAC", p)
		}
	}
}

// Section 8.1.1, not met: the kernel sends redirects from the primary address,
// not from the VIP which the host has as its router.
func (b *wireBed) redirectSource() {
	b.via("203.0.113.0/24", other4)
	p := b.redirect(netip.MustParseAddr("203.0.113.9"), 1, 5)
	if p.src != own4 {
		b.t.Errorf("the redirect comes from %v, want %v", p.src, own4)
	}
}

// redirect sends packets to where another router leads until the node says so. The
// kernel does not do that for each of them.
func (b *wireBed) redirect(dst netip.Addr, protocol, kind byte) packet {
	b.t.Helper()
	var list []packet
	asked := time.Now()
	eventually(b.t, patience, "a redirect", func() bool {
		b.datagram(b.s.port.MAC(), dst)
		time.Sleep(20 * time.Millisecond)
		list = b.heard(asked, func(p *packet) bool { return p.protocol == protocol && p.payload[0] == kind })
		return len(list) > 0
	})
	return list[0]
}

// Section 8.2.1, not met: as in IPv4.
func (b *wireBed) redirectSource6() {
	b.via("2001:db8:2::/64", other6)
	p := b.redirect(netip.MustParseAddr("2001:db8:2::9"), 58, 137)
	if p.src != b.s.targetLocal {
		b.t.Errorf("the redirect comes from %v, want %v", p.src, b.s.targetLocal)
	}
}

// Section 8.1.3, not met: proxy ARP, which is the kernel's, answers with the
// interface's own MAC address.
func (b *wireBed) proxyARP() {
	if err := b.n.SetSysctl("net.ipv4.conf.eth0.proxy_arp", "1"); err != nil {
		b.t.Fatal(err)
	}
	asked, mac := time.Now(), b.s.port.MAC()
	b.s.inject(concat(
		mac, b.s.mac, []byte{8, 6}, []byte{0, 1, 8, 0, 6, 4, 0, 1},
		b.s.mac, b.s.ip.AsSlice(), make([]byte, 6), beyond4.AsSlice(),
	))
	eventually(b.t, patience, "an answer", func() bool { return len(b.arp(asked, 2, beyond4)) > 0 })
	if f := b.arp(asked, 2, beyond4)[0]; !bytes.Equal(f[22:28], mac) {
		b.t.Errorf("%v is said to be at %x, want %v", beyond4, f[22:28], mac)
	}
}

// Section 8.3.1: a packet to a VIP goes nowhere else.
func (b *wireBed) vipNotForwarded() {
	asked := time.Now()
	sent := [][]byte{b.datagram(b.s.port.MAC(), vip51)}
	if b.n.has(vipV6.String()) {
		sent = append(sent, b.datagram(b.s.port.MAC(), vipV6))
	}
	b.forwards()
	if slices.ContainsFunc(sent, b.forwarded) {
		b.t.Error("a packet to a VIP left to the other network")
	}
	again := func(p *packet) bool { return p.dst == vip51 || p.dst == vipV6 }
	if len(b.heard(asked, again)) > 0 {
		b.t.Error("a packet to a VIP came back")
	}
}
