package main

// The rows that show when a router starts.

import (
	"bytes"
	"fmt"
	"net/netip"
	"time"
)

// advert waits for an advert of the node in one family.
func (b *wireBed) advert(six bool) seen {
	b.t.Helper()
	return b.s.next(six, 51, b.began)
}

// Section 5.1.1.3.
func (b *wireBed) ttl() {
	if a := b.advert(false); a.ttl != 255 {
		b.t.Errorf("TTL %d, want 255", a.ttl)
	}
}

// Section 5.1.1.4: a packet in IPv4 that another program would take for VRRP.
func (b *wireBed) protocol() {
	a := b.await("a packet to 224.0.0.18", b.began, func(p *packet) bool { return p.dst == vrrpGroup })
	if a.protocol != 112 {
		b.t.Errorf("protocol %d, want 112", a.protocol)
	}
}

// Section 5.1.2.3.
func (b *wireBed) hopLimit() {
	if a := b.advert(true); a.ttl != 255 {
		b.t.Errorf("hop limit %d, want 255", a.ttl)
	}
}

// Section 5.1.2.4.
func (b *wireBed) nextHeader() {
	a := b.await("a packet to ff02::12", b.began, func(p *packet) bool { return p.dst == vrrpGroup6 })
	if a.protocol != 112 {
		b.t.Errorf("next header %d, want 112", a.protocol)
	}
}

// Section 7.2, not met: frames come from the interface's own MAC address.
func (b *wireBed) frameSource() {
	for _, six := range []bool{false, true} {
		if a := b.advert(six); !bytes.Equal(a.srcMAC, b.s.port.MAC()) {
			b.t.Errorf("an advert comes from %v, want %v", a.srcMAC, b.s.port.MAC())
		}
	}
}

// Section 6.4.1, not met in the MAC address.
func (b *wireBed) gratuitousARP() {
	eventually(b.t, patience, "a gratuitous ARP", func() bool {
		_, ok := b.s.findARP(vip51)
		return ok
	})
	f, _ := b.s.findARP(vip51)
	if first := b.advert(false); f.Time.Before(first.at) {
		b.t.Errorf("it came %v before the advert", first.at.Sub(f.Time))
	}
	checkARP(b.t, f.Data, b.s.port.MAC(), vip51, netip.Addr{})
}

// Section 6.4.1, not met in the MAC address.
func (b *wireBed) unsolicitedNA() {
	for _, vip := range []netip.Addr{netip.MustParseAddr("fe80::51"), vipV6} {
		eventually(b.t, patience, fmt.Sprintf("a neighbour advertisement for %v", vip), func() bool {
			_, ok := b.s.findNA(vip)
			return ok
		})
		f, _ := b.s.findNA(vip)
		if first := b.advert(true); f.Time.Before(first.at) {
			b.t.Errorf("it came %v before the advert", first.at.Sub(f.Time))
		}
		checkNA(b.t, f.Data, b.s.port.MAC(), vip, b.s.targetLocal)
	}
}

// Section 8.1.2, not met: ARP about the VIP carries the interface's own MAC
// address from the start, and no other.
func (b *wireBed) arpAfterBoot() {
	eventually(b.t, patience, "a gratuitous ARP", func() bool { return len(b.arp(b.began, 1, vip51)) > 0 })
	for _, f := range b.arp(b.began, 1, vip51) {
		if mac := b.s.port.MAC(); !bytes.Equal(f[22:28], mac) || !bytes.Equal(f[6:12], mac) {
			b.t.Errorf("ARP says that %v is at %x, in a frame of %x; want %v", vip51, f[22:28], f[6:12], mac)
		}
	}
}

// Section 8.1.2, not met in the MAC address: it is a broadcast all the same.
func (b *wireBed) gratuitousARPWhenConfigured() {
	eventually(b.t, patience, "a gratuitous ARP", func() bool { return len(b.arp(b.began, 1, vip51)) > 0 })
	f := b.arp(b.began, 1, vip51)[0]
	if !bytes.Equal(f[:6], []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}) || !bytes.Equal(f[22:28], b.s.port.MAC()) {
		b.t.Errorf("it went to %x and says %x, want a broadcast that says %v", f[:6], f[22:28], b.s.port.MAC())
	}
}

// Section 8.2.2, not met in the MAC address. Nothing is said of a VIP before the
// node answers for it.
func (b *wireBed) neighbourDiscoveryAfterBoot() {
	of := func(p *packet) bool {
		return p.protocol == 58 && len(p.payload) >= 32 && p.payload[0] == 136 && bytes.Equal(p.payload[8:24], vipV6.AsSlice())
	}
	first := b.await("a neighbour advertisement", b.began, of)
	if mac := b.s.port.MAC(); !bytes.Equal(first.payload[26:32], mac) || !bytes.Equal(first.srcMAC, mac) {
		b.t.Errorf("it says %x in a frame of %v, want %v", first.payload[26:32], first.srcMAC, mac)
	}
	asked := time.Now()
	b.ping(vipV6)
	b.await("an answer of the VIP", asked, echoOf(vipV6))
}

// Section 8.2.2: the VIPs are taken without duplicate address detection, which
// the interface would do.
func (b *wireBed) noDAD() {
	b.unsolicitedNA()
	probes := b.heard(b.began, func(p *packet) bool {
		return p.protocol == 58 && len(p.payload) >= 24 && p.payload[0] == 135 && p.src.IsUnspecified()
	})
	if len(probes) > 0 {
		b.t.Errorf("%d neighbour solicitations came from ::, the first for % x", len(probes), probes[0].payload[8:24])
	}
}

// Section 6.4.3: pings of a VIP are answered; by others than the owner too, since
// there is no Accept_Mode False (A8 is not met).
func (b *wireBed) accepts() {
	for _, vip := range []netip.Addr{vip51, vipV6} {
		asked := time.Now()
		b.ping(vip)
		b.await(fmt.Sprintf("%v answers a ping", vip), asked, echoOf(vip))
	}
}

// RFC 3768 section 6.4.3, not met: a router that is not the owner answers too.
func (b *wireBed) othersAcceptV2() {
	a := v2Advert()
	a.vrid, a.priority, a.addresses = 52, 200, []netip.Addr{vip52}
	eventually(b.t, patience, "it obeys", func() bool {
		b.s.say(a)
		return b.n.instance("two").Master != nil
	})
	a.priority = 0
	b.s.say(a)
	eventually(b.t, patience, "it is master", func() bool { return b.n.has(vip52.String()) })
	asked := time.Now()
	b.ping(vip52)
	b.await("the VIP answers", asked, echoOf(vip52))
}

// RFC 3768 sections 5.2, 7.2 and 7.3, not met in the MAC address.
func (b *wireBed) envelopeV2() {
	a := b.advert(false)
	if a.ttl != 255 || a.dst != vrrpGroup || a.protocol != 112 || !bytes.Equal(a.dstMAC, multicastMAC(vrrpGroup)) || !bytes.Equal(a.srcMAC, b.s.port.MAC()) {
		b.t.Errorf("TTL %d, protocol %d, to %v (%v), from %v", a.ttl, a.protocol, a.dst, a.dstMAC, a.srcMAC)
	}
}

// RFC 3768 sections 8.2 and 8.4, not met in the MAC address. Packets to the VIP
// are not forwarded.
func (b *wireBed) afterBootV2() {
	b.arpAfterBoot()
	b.vipNotForwarded()
}
