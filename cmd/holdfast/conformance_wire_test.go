package main

// What only the wire and the kernel can show of RFC 9568 and RFC 3768, a subtest
// for each row of vrrp/CONFORMANCE.md. The rows that are not met are tested too:
// for what is done instead, as the table says.

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/lab"
)

// TestRFC9568OnWireAtStart has the address owner start.
func TestRFC9568OnWireAtStart(t *testing.T) {
	t.Parallel()
	b := newWireBed(t)
	b.run(instanceTOML(255, "1s", []string{"192.0.2.100/24", "fe80::51", "2001:db8::100/64"}))
	b.n.started(t)
	b.row("T4_TTL", b.ttl)
	b.row("T5_Protocol", b.protocol)
	b.row("T8_HopLimit", b.hopLimit)
	b.row("T9_NextHeader", b.nextHeader)
	b.row("T24_FrameSource", b.frameSource)
	b.row("I2_GratuitousARP", b.gratuitousARP)
	b.row("I3_UnsolicitedNA", b.unsolicitedNA)
	b.row("A7_OwnerAccepts", b.accepts)
	b.row("H4_ARPAfterBoot", b.arpAfterBoot)
	b.row("H5_GratuitousARPWhenConfigured", b.gratuitousARPWhenConfigured)
	b.row("H11_NeighbourDiscoveryAfterBoot", b.neighbourDiscoveryAfterBoot)
	b.row("H12_NoDuplicateAddressDetection", b.noDAD)
	b.n.stop()
}

// TestRFC9568OnWire has a router that is not the owner as backup, then as master.
func TestRFC9568OnWire(t *testing.T) {
	t.Parallel()
	b := newWireBed(t)
	b.run(instanceTOML(150, "10s", []string{"192.0.2.100/24", "fe80::51", "2001:db8::100/64"}))
	b.bothAre("backup") // else it does not hear the advert of one family
	b.row("T3_IPv4AdvertsAreNotForwarded", b.notForwarded)
	b.row("B1_BackupAnswersNoARP", b.backupARP)
	b.row("B2_BackupAnswersNoSolicitation", b.backupNS)
	b.row("B3_BackupSendsNoRouterAdvertisement", b.noRouterAdvertisement)
	b.row("B4_BackupDiscardsVirtualMAC", b.virtualMACDiscarded)
	b.row("B5_BackupAcceptsNothing", b.backupAccepts)
	b.row("H14_UnsolicitedNAIsTakenIn", b.unsolicitedNAIsTakenIn)
	b.takeOver()
	b.row("T7_IPv6Destination", b.destination6)
	b.row("A1_ARPIsAnswered", b.arpAnswer)
	b.row("A2_SolicitedNodeGroups", b.groups)
	b.row("A3_SolicitationIsAnswered", b.solicitedNA)
	b.row("A4_NoRouterAdvertisement", b.noRouterAdvertisement)
	b.row("A6_Forwarding", b.forwarding)
	b.row("A8_OthersAccept", b.accepts)
	b.row("H1_InterfaceIdentifiers", b.interfaceIdentifiers)
	b.row("H2_RedirectSource", b.redirectSource)
	b.row("H3_ARPCarriesOwnMAC", b.arpAnswer)
	b.row("H8_ProxyARP", b.proxyARP)
	b.row("H9_IPv6RedirectSource", b.redirectSource6)
	b.row("H10_SolicitationIsAnsweredWithOwnMAC", b.solicitedNA)
	b.row("H15_PacketsToVIPsAreNotForwarded", b.vipNotForwarded)
	b.n.stop()
}

// TestRFC3768OnWire has an owner start with version 2, and a router that is none.
func TestRFC3768OnWire(t *testing.T) {
	t.Parallel()
	b := newWireBed(t)
	b.run(instanceTOML(255, "1s", []string{"192.0.2.100/24"}, "version = 2") + `
[[instance]]
name = "two"
interface = "eth0"
vrid = 52
priority = 150
addresses = ["192.0.2.102/24"]
version = 2
`)
	b.row("V13_OthersAccept", b.othersAcceptV2)
	b.row("V14_GratuitousARP", b.gratuitousARP)
	b.row("V15_Envelope", b.envelopeV2)
	b.row("V17_OwnMACAfterBoot", b.afterBootV2)
	b.n.stop()
}

// wireBed is a node that forwards between two networks, and a stranger on one.
type wireBed struct {
	t      *testing.T
	s      *stranger
	n      *node
	beyond *lab.Capture // what the node sends to the other network
	began  time.Time    // of the daemon
	before []netip.Prefix
	serial uint32 // of marks
}

var (
	beyond4 = netip.MustParseAddr("198.51.100.9") // on the other network
	beyond6 = netip.MustParseAddr("2001:db8:1::9")
	other4  = netip.MustParseAddr("192.0.2.77") // another router, which is silent
	other6  = netip.MustParseAddr("fe80::77")
	own4    = netip.MustParseAddr("192.0.2.1")
	own6    = netip.MustParseAddr("2001:db8::1")
	someMAC = net.HardwareAddr{2, 0, 0, 0, 0, 0x99}
	vmac4   = net.HardwareAddr{0, 0, 0x5e, 0, 1, 51}
	vmac6   = net.HardwareAddr{0, 0, 0x5e, 0, 2, 51}
)

func newWireBed(t *testing.T) *wireBed {
	t.Helper()
	l := newLab(t)
	n := newNode(t, l, "lb1", "192.0.2.1/24", "2001:db8::1/64")
	other, err := l.Switch("other")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.Plug("eth1", other, "198.51.100.1/24", "2001:db8:1::1/64"); err != nil {
		t.Fatal(err)
	}
	for key, value := range map[string]string{
		"net.ipv4.conf.all.forwarding": "1", "net.ipv6.conf.all.forwarding": "1",
		// Duplicate address detection as on a usual host.
		"net.ipv6.conf.eth0.accept_dad": "1", "net.ipv6.conf.eth0.dad_transmits": "1",
	} {
		if err := n.SetSysctl(key, value); err != nil {
			t.Fatal(err)
		}
	}
	b := &wireBed{t: t, n: n, s: newStranger(t, l, n)}
	if b.beyond, err = n.Capture("eth1", func(f lab.Frame) bool { return f.Outgoing }); err != nil {
		t.Fatal(err)
	}
	if b.before, err = n.Addresses("eth0"); err != nil {
		t.Fatal(err)
	}
	b.neighbour("eth1", beyond4, netlink.NUD_PERMANENT)
	b.neighbour("eth1", beyond6, netlink.NUD_PERMANENT)
	return b
}

func (b *wireBed) run(config string) {
	b.t.Helper()
	b.began = time.Now()
	b.n.run(config)
}

// row runs the test of one row of the table.
func (b *wireBed) row(name string, test func()) {
	parent := b.t
	parent.Run(name, func(t *testing.T) {
		b.t, b.s.t, b.n.t = t, t, t
		defer func() { b.t, b.s.t, b.n.t = parent, parent, parent }()
		test()
	})
}

// started waits until the node has all addresses.
func (n *node) started(t *testing.T) {
	t.Helper()
	eventually(t, patience, "the VIPs are there", func() bool {
		return n.has("192.0.2.100") && n.has("fe80::51") && n.has("2001:db8::100")
	})
}

// takeOver has the backup obey a master with short intervals, which dies.
func (b *wireBed) takeOver() {
	b.t.Helper()
	if b.n.has("192.0.2.100") {
		return
	}
	a := threeAdvert()
	a.word = 10
	b.s.say(a)
	a.addresses = []netip.Addr{netip.MustParseAddr("fe80::51"), vipV6}
	b.s.say(a)
	b.n.started(b.t)
	b.bothAre("master")
}

// bothAre waits until the routers of both families are in a state.
func (b *wireBed) bothAre(state string) {
	b.t.Helper()
	eventually(b.t, patience, "both families are "+state, func() bool {
		list := b.n.instance("web").Families
		return len(list) == 2 && list[0].State == state && list[1].State == state
	})
}

// neighbour tells the node where an address is.
func (b *wireBed) neighbour(ifname string, a netip.Addr, state int) {
	b.t.Helper()
	b.n.changeLink(ifname, func(l netlink.Link) error {
		return netlink.NeighSet(&netlink.Neigh{LinkIndex: l.Attrs().Index, State: state, IP: a.AsSlice(), HardwareAddr: someMAC})
	})
}

// via gives the node a route through another router on the stranger's network.
func (b *wireBed) via(network string, router netip.Addr) {
	b.t.Helper()
	b.neighbour("eth0", router, netlink.NUD_PERMANENT)
	p := netip.MustParsePrefix(network)
	b.n.changeLink("eth0", func(l netlink.Link) error {
		return netlink.RouteReplace(&netlink.Route{
			LinkIndex: l.Attrs().Index, Gw: router.AsSlice(),
			Dst: &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())},
		})
	})
}

// heard lists the packets that came from the node after a moment.
func (b *wireBed) heard(after time.Time, is func(p *packet) bool) (list []packet) {
	for _, f := range b.s.wire.Frames() {
		if p, ok := readPacket(f.Data); ok && !f.Outgoing && f.Time.After(after) && is(&p) {
			list = append(list, p)
		}
	}
	return list
}

// await waits for a packet from the node.
func (b *wireBed) await(what string, after time.Time, is func(p *packet) bool) (first packet) {
	b.t.Helper()
	eventually(b.t, patience, what, func() bool {
		list := b.heard(after, is)
		if len(list) > 0 {
			first = list[0]
		}
		return len(list) > 0
	})
	return first
}

// arp lists the ARP packets of the node about an address as the sender's.
func (b *wireBed) arp(after time.Time, operation byte, a netip.Addr) (list [][]byte) {
	for _, f := range b.s.wire.Frames() {
		d := f.Data
		if !f.Outgoing && f.Time.After(after) && len(d) >= 42 && binary.BigEndian.Uint16(d[12:]) == etherARP && d[21] == operation && bytes.Equal(d[28:32], a.AsSlice()) {
			list = append(list, d)
		}
	}
	return list
}

// mark is a payload that no other packet has: a UDP datagram of port 9.
func (b *wireBed) mark() []byte {
	b.serial++
	return binary.BigEndian.AppendUint32([]byte{0, 9, 0, 9, 0, 12, 0, 0}, b.serial)
}

// datagram sends a UDP datagram through the node and returns its payload.
func (b *wireBed) datagram(mac net.HardwareAddr, dst netip.Addr) []byte {
	b.t.Helper()
	payload, src := b.mark(), b.s.ip
	if dst.Is6() {
		src = netip.MustParseAddr("2001:db8::66")
		pseudo := binary.BigEndian.AppendUint32(nil, uint32(len(payload)))
		binary.BigEndian.PutUint16(payload[6:], ^onesSum(src.AsSlice(), dst.AsSlice(), pseudo, []byte{0, 0, 0, 17}, payload))
	}
	b.s.send(packet{dstMAC: mac, src: src, dst: dst, ttl: 64, protocol: 17, payload: payload})
	return payload
}

// forwarded tells whether a payload left to the other network.
func (b *wireBed) forwarded(payload []byte) bool {
	for _, f := range b.beyond.Frames() {
		if bytes.Contains(f.Data, payload) {
			return true
		}
	}
	return false
}

// forwards checks that the node forwards what is sent to its own MAC address. So
// all that was sent to it before has been dealt with.
func (b *wireBed) forwards() {
	b.t.Helper()
	for _, dst := range []netip.Addr{beyond4, beyond6} {
		payload := b.datagram(b.s.port.MAC(), dst)
		eventually(b.t, patience, fmt.Sprintf("a packet to %v is forwarded", dst), func() bool { return b.forwarded(payload) })
	}
}

// ping sends an echo request to an address at the node's own MAC address.
func (b *wireBed) ping(dst netip.Addr) {
	b.t.Helper()
	src, kind, protocol := b.s.ip, byte(8), byte(1)
	if dst.Is6() {
		src, kind, protocol = netip.MustParseAddr("2001:db8::66"), 128, 58
	}
	m := append([]byte{kind, 0, 0, 0}, b.mark()...)
	if dst.Is6() {
		pseudo := binary.BigEndian.AppendUint32(nil, uint32(len(m)))
		binary.BigEndian.PutUint16(m[2:], ^onesSum(src.AsSlice(), dst.AsSlice(), pseudo, []byte{0, 0, 0, 58}, m))
	} else {
		binary.BigEndian.PutUint16(m[2:], ^onesSum(m))
	}
	b.s.send(packet{src: src, dst: dst, ttl: 64, protocol: protocol, payload: m})
}

// echoOf picks the answers to pings of an address.
func echoOf(a netip.Addr) func(*packet) bool {
	return func(p *packet) bool {
		return p.src == a && len(p.payload) > 0 && (p.protocol == 1 && p.payload[0] == 0 || p.protocol == 58 && p.payload[0] == 129)
	}
}

// answersPings waits until the node has answered pings of its own addresses, and
// so has dealt with all that was sent to it before.
func (b *wireBed) answersPings() {
	b.t.Helper()
	began := time.Now()
	for _, a := range []netip.Addr{own4, own6} {
		b.ping(a)
		b.await(fmt.Sprintf("%v answers a ping", a), began, echoOf(a))
	}
}
