package vrrp

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// One test for each requirement of RFC 9568 that a pure machine can meet, named
// after its row in CONFORMANCE.md; what only the wire can show is tested in
// cmd/holdfast.

// sends steps the Engine through one advert interval of a master and returns
// the adverts it sent.
func sends(te *engineTest, d time.Duration) []SendAdvert {
	te.Helper()
	var out []SendAdvert
	end := te.now.Add(d)
	for {
		at, ok := te.e.Deadline()
		if !ok || at.After(end) {
			te.now = end
			return out
		}
		te.now = at
		for _, a := range te.e.Step(te.now, &Tick{}) {
			if s, ok := a.(*SendAdvert); ok {
				c := *s
				c.Payload = append([]byte(nil), s.Payload...)
				out = append(out, c)
			}
		}
	}
}

// dual is an instance of both families: two virtual routers.
func dual(change ...func(*Config)) Config {
	return web(append([]func(*Config){vips("192.0.2.100/24", "fe80::100/64", "2001:db8::100/64")}, change...)...)
}

// firstAdvert returns the one advert that a master sends in an interval.
func firstAdvert(t *testing.T, c Config) SendAdvert {
	t.Helper()
	got := sends(newMaster(t, c), c.AdvertInterval)
	if len(got) != 1 {
		t.Fatalf("%d adverts in an interval, want 1", len(got))
	}
	return got[0]
}

// six is an instance of IPv6 alone.
func six(change ...func(*Config)) Config {
	return web(append([]func(*Config){vips("fe80::100/64", "2001:db8::100/64")}, change...)...)
}

// Section 5.1.1.2: IPv4 adverts go to 224.0.0.18.
func TestRFC9568_T2_IPv4Destination(t *testing.T) {
	if s := firstAdvert(t, web()); s.Destination != addr("224.0.0.18") || s.Interface != 2 {
		t.Errorf("sent to %v on interface %d, want 224.0.0.18 on 2", s.Destination, s.Interface)
	}
}

// Section 5.1.2.1: the IPv6 source is the link-local address of the interface.
func TestRFC9568_T6_IPv6SourceIsLinkLocal(t *testing.T) {
	if s := firstAdvert(t, six()); s.Source != self6 {
		t.Errorf("sent from %v, want %v", s.Source, self6)
	}
	te := newTest(t, six()) // without one it cannot take part
	te.do(eth0(func(l *Link) { l.Addresses = prefixes("192.0.2.1/24", "2001:db8::1/64") }))
	te.wantState("web", StateFault)
}

// Section 5.1.1.1: the source is the primary address of the interface; when
// that changes, the next advert has the new one.
func TestRFC9568_T1_SourceFollowsPrimaryAddress(t *testing.T) {
	te := newMaster(t, web())
	te.do(eth0(func(l *Link) { l.Addresses = prefixes("192.0.2.1/24", "192.0.2.9/24") }))
	if got := sends(te, second); len(got) != 1 || got[0].Source != self {
		t.Errorf("with a secondary address: %+v, want one advert from %v", got, self)
	}
	te.do(eth0(func(l *Link) { l.Addresses = prefixes("192.0.2.9/24") }))
	if got := sends(te, second); len(got) != 1 || got[0].Source != addr("192.0.2.9") {
		t.Errorf("with a new primary: %+v, want one advert from 192.0.2.9", got)
	}
}

// Sections 5.2.1 to 5.2.9: the whole packet, byte by byte.
func TestWholePacket(t *testing.T) {
	for _, tt := range []struct {
		name string
		cfg  Config
		want string // without the checksum, which TestChecksum proves
	}{
		{"one second", web(), "31 33 96 01 0064 ____ c0000264"},
		{"shortest interval", web(every(MinInterval)), "31 33 96 01 0001 ____ c0000264"},
		{"longest interval leaves the reserved bits zero", web(every(MaxInterval)), "31 33 96 01 0fff ____ c0000264"},
		{"lowest and highest vrid", web(named("web", 255, "192.0.2.100/24")), "31 ff 96 01 0064 ____ c0000264"},
		{
			"addresses in the order of the configuration", web(vips("192.0.2.102/24", "192.0.2.100/32", "192.0.2.101/24")),
			"31 33 96 03 0064 ____ c0000266 c0000264 c0000265",
		},
		{
			"link-local first in IPv6", web(vips("fe80::100/64", "2001:db8::100/64")),
			"31 33 96 02 0064 ____ fe800000000000000000000000000100 20010db8000000000000000000000100",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			te := newMaster(t, tt.cfg)
			got := sends(te, tt.cfg.AdvertInterval)
			if len(got) != 1 {
				t.Fatalf("%d adverts, want 1", len(got))
			}
			b := hex.EncodeToString(got[0].Payload)
			b = b[:12] + "____" + b[16:]
			if want := strings.ReplaceAll(tt.want, " ", ""); b != want {
				t.Errorf("advert\n got %s\nwant %s", b, want)
			}
		})
	}
}

// Section 5.2.1: the version is 3.
func TestRFC9568_T10_Version(t *testing.T) {
	for _, c := range []Config{web(), six()} {
		if s := firstAdvert(t, c); s.Payload[0]>>4 != 3 {
			t.Errorf("version %d, want 3", s.Payload[0]>>4)
		}
	}
}

// Section 5.2.2: the one type is 1, of the release too.
func TestRFC9568_T11_Type(t *testing.T) {
	te := newMaster(t, web())
	types := 0
	te.sent = func(s *SendAdvert) {
		if types++; s.Payload[0]&15 != 1 {
			t.Errorf("type %d, want 1", s.Payload[0]&15)
		}
	}
	te.advance(second)
	te.do(&Stop{})
	if types < 3 { // regular, quick, release
		t.Errorf("%d adverts, want at least 3", types)
	}
}

// Section 5.2.3: the VRID is 1 to 255, without a default.
func TestRFC9568_T12_VRID(t *testing.T) {
	for _, id := range []uint8{1, 255} {
		if s := firstAdvert(t, web(named("web", id, "192.0.2.100/24"))); s.Payload[1] != id {
			t.Errorf("vrid %d in the advert, want %d", s.Payload[1], id)
		}
	}
	c := web()
	c.VRID = 0
	if err := c.Validate(); err == nil {
		t.Error("vrid 0, or none, was accepted")
	}
}

// Section 5.2.4: the address owner sends priority 255.
func TestRFC9568_T13_OwnerPriority(t *testing.T) {
	if s := firstAdvert(t, web(prio(255))); s.Payload[2] != 255 {
		t.Errorf("an owner sends priority %d", s.Payload[2])
	}
}

// Section 5.2.4: others send 1 to 254.
func TestRFC9568_T14_Priority(t *testing.T) {
	for _, p := range []uint8{32, 100, 254} {
		if s := firstAdvert(t, web(prio(p))); s.Payload[2] != p {
			t.Errorf("priority %d: sends %d", p, s.Payload[2])
		}
	}
	for base := DemotedMax + 1; base <= 254; base++ { // what a demoted node sends
		if got := demotedPriority(uint8(base)); got < 1 {
			t.Errorf("priority %d is %d when demoted", base, got)
		}
	}
	c := web(prio(0))
	if err := c.Validate(); err == nil {
		t.Error("priority 0 was accepted")
	}
}

// Section 5.2.4: priority 0 is for a master that gives up, and for it alone.
func TestRFC9568_T15_PriorityZeroOnlyToRelease(t *testing.T) {
	te := newMaster(t, web())
	te.advance(10 * second)
	te.advert(peer, 100)
	te.advert(peer, 0)
	for _, l := range te.lines {
		if strings.Contains(l, "prio=0") {
			t.Errorf("a master that stays sent %q", l)
		}
	}
	te.lines = nil
	te.do(&Stop{})
	te.wantOnly("prio=0", "web: advert prio=0 interval=1s to=224.0.0.18")
}

// Section 5.2.5: the count is that of the addresses that follow, and nothing
// follows them.
func TestRFC9568_T16_AddressCount(t *testing.T) {
	var list []netip.Prefix
	for a := addr("10.0.0.1"); len(list) < 255; a = a.Next() {
		list = append(list, netip.PrefixFrom(a, 32))
	}
	for _, n := range []int{1, 2, 255} {
		b := firstAdvert(t, web(func(c *Config) { c.Addresses = list[:n] })).Payload
		if int(b[3]) != n || len(b) != 8+4*n {
			t.Errorf("%d addresses: count %d in %d bytes", n, b[3], len(b))
		}
	}
	if b := firstAdvert(t, six()).Payload; b[3] != 2 || len(b) != 8+16*2 {
		t.Errorf("2 IPv6 addresses: count %d in %d bytes", b[3], len(b))
	}
}

// Section 5.2.6: the reserved bits are sent as zero, also beside the largest
// interval.
func TestRFC9568_T17_ReservedBitsAreZero(t *testing.T) {
	for _, d := range []time.Duration{MinInterval, second, MaxInterval} {
		if s := firstAdvert(t, web(every(d))); s.Payload[4]&0xf0 != 0 {
			t.Errorf("interval %v: byte 4 is %#02x", d, s.Payload[4])
		}
	}
}

// Section 5.2.7, erratum 8301: the interval is in centiseconds, 1 to 4095.
func TestRFC9568_T18_Interval(t *testing.T) {
	for d, want := range map[time.Duration]uint16{MinInterval: 1, second: 100, MaxInterval: 4095} {
		if got := binary.BigEndian.Uint16(firstAdvert(t, web(every(d))).Payload[4:]); got != want {
			t.Errorf("interval %v is sent as %d, want %d", d, got, want)
		}
	}
	for d, ok := range map[time.Duration]bool{
		0: false, 9 * time.Millisecond: false, 10 * time.Millisecond: true, 15 * time.Millisecond: false,
		40950 * time.Millisecond: true, 40960 * time.Millisecond: false,
	} {
		c := web(every(d))
		if err := c.Validate(); (err == nil) != ok {
			t.Errorf("interval %v: %v, want ok %v", d, err, ok)
		}
	}
}

// Section 5.2.8: over IPv4 the checksum covers the VRRP message and no
// pseudo-header. The vector is a packet of another maker.
func TestRFC9568_T19_IPv4Checksum(t *testing.T) {
	c := web(named("web", 5, "192.0.2.100/24"), prio(100))
	if diff := cmp.Diff(unhex(t, "31 05 64 01 00 64 a8 30 c0 00 02 64"), firstAdvert(t, c).Payload); diff != "" {
		t.Errorf("advert (-want +got):\n%s", diff)
	}
}

// Section 5.2.8: over IPv6 it covers the pseudo-header of RFC 8200 section 8.1.
func TestRFC9568_T20_IPv6Checksum(t *testing.T) {
	s := firstAdvert(t, six())
	covered := slices.Concat(s.Source.AsSlice(), s.Destination.AsSlice(), []byte{0, 0, 0, byte(len(s.Payload)), 0, 0, 0, 112}, s.Payload)
	sum := 0
	for n := 0; n < len(covered); n += 2 {
		sum += int(binary.BigEndian.Uint16(covered[n:]))
	}
	if sum = sum>>16 + sum&0xffff; sum != 0xffff {
		t.Errorf("the sum is %#x, want 0xffff", sum)
	}
}

// Section 5.2.9: an advert has addresses of the family that carries it.
func TestRFC9568_T21_AddressesOfOneFamily(t *testing.T) {
	te := newMaster(t, dual())
	for _, s := range sends(te, second) {
		var p Packet
		if _, ok := p.Parse(s.Payload, s.Source, s.Destination); !ok {
			t.Fatalf("%v: advert does not parse", s.Router)
		}
		for _, a := range p.Addresses {
			if FamilyOf(a) != FamilyOf(s.Source) {
				t.Errorf("advert from %v carries %v", s.Source, a)
			}
		}
	}
}

// Section 5.2.9, erratum 8300: the first IPv6 address is link-local.
func TestRFC9568_T22_FirstIPv6AddressIsLinkLocal(t *testing.T) {
	c := web(vips("2001:db8::100/64", "fe80::100/64"))
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "link-local") {
		t.Errorf("global address first: %v, want an error about link-local", err)
	}
	c = web(vips("2001:db8::100/64"))
	if err := c.Validate(); err == nil {
		t.Error("no link-local address: accepted")
	}
}

// Section 5.2.9: all routers send the addresses in one order, that of the
// configuration.
func TestRFC9568_T23_OrderOfAddresses(t *testing.T) {
	s := firstAdvert(t, web(vips("192.0.2.102/24", "192.0.2.100/32", "192.0.2.101/24")))
	var p Packet
	if _, ok := p.Parse(s.Payload, s.Source, s.Destination); !ok {
		t.Fatal("the advert does not parse")
	}
	want := []netip.Addr{addr("192.0.2.102"), addr("192.0.2.100"), addr("192.0.2.101")}
	if !slices.Equal(p.Addresses, want) {
		t.Errorf("addresses %v, want %v", p.Addresses, want)
	}
}

// Section 1: the families are virtual routers of their own, also with one
// VRID on one interface.
func TestRFC9568_T26_FamiliesAreIndependent(t *testing.T) {
	te := newTest(t, dual())
	te.adverts(10*second, second, peer, 200) // IPv4 alone has a master
	te.wantAddresses("eth0", "fe80::100/64", "2001:db8::100/64")
	if s := te.status("web"); s.State != StateMaster || s.Routers[0].State != StateBackup || s.Routers[1].State != StateMaster {
		t.Errorf("instance %v, IPv4 %v, IPv6 %v; want master, backup, master", s.State, s.Routers[0].State, s.Routers[1].State)
	}
	te.lines = nil
	te.advert(peer6, 200)
	te.advance(lingered)
	te.want(
		"web: advert prio=150 interval=1s to=ff02::12",
		"web: stop announcing eth0",
		"web: master -> backup (fe80::2 has priority 200, this node 150)",
		"web: remove fe80::100/64 2001:db8::100/64 eth0",
		"web: hook backup",
	)
}

// Section 6.1: a changed priority is in the next advert.
func TestRFC9568_T27_PriorityChangeIsInNextAdvert(t *testing.T) {
	k := Check{Name: "nginx", OnFailure: Weigh, Weight: -20}
	te := newBare(t)
	te.do(eth0())
	te.do(&CheckChanged{Check: "nginx", Healthy: true})
	te.configure(web(checks(k)))
	te.advance(down150)
	te.lines = nil
	te.health("nginx", false, "")
	te.wantNone()
	te.advance(second)
	te.want("web: advert prio=130 interval=1s to=224.0.0.18")
}
