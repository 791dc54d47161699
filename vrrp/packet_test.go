package vrrp

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var samePacket = cmp.Options{
	cmpopts.IgnoreUnexported(Packet{}), cmpopts.EquateEmpty(),
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
}

// Golden packets: the bytes on the wire, both ways.
func TestPacketGolden(t *testing.T) {
	for _, tt := range []struct {
		name    string
		src, to string
		pseudo  bool
		packet  Packet
		wire    string
	}{
		{
			"version 3, checksum of RFC 9568", "192.0.2.1", "224.0.0.18", false,
			Packet{Version: 3, VRID: 5, Priority: 100, Interval: second, Addresses: []netip.Addr{addr("192.0.2.100")}},
			"31 05 64 01 00 64 a8 30 c0 00 02 64",
		}, {
			"version 3, checksum with pseudo-header", "192.0.2.1", "224.0.0.18", true,
			Packet{Version: 3, VRID: 5, Priority: 100, Interval: second, Addresses: []netip.Addr{addr("192.0.2.100")}},
			"31 05 64 01 00 64 05 a0 c0 00 02 64",
		}, {
			"version 3 over IPv6", "fe80::1", "ff02::12", false,
			Packet{Version: 3, VRID: 5, Priority: 100, Interval: 40950 * time.Millisecond, Addresses: []netip.Addr{addr("fe80::100")}},
			"31 05 64 01 0f ff 5d 5a fe80 0000 0000 0000 0000 0000 0000 0100",
		}, {
			"version 2", "192.0.2.1", "224.0.0.18", false,
			Packet{Version: 2, VRID: 5, Priority: 100, Interval: second, Addresses: []netip.Addr{addr("192.0.2.100"), addr("192.0.2.101")}},
			"21 05 64 02 00 01 f6 2c c0 00 02 64 c0 00 02 65 00 00 00 00 00 00 00 00",
		}, {
			"version 2 with a password, pseudo-header not asked", "192.0.2.1", "224.0.0.18", true,
			Packet{
				Version: 2, VRID: 5, Priority: 0, Interval: 255 * second, Addresses: []netip.Addr{addr("192.0.2.100")},
				AuthType: AuthSimple, Auth: [8]byte{'s', 'e', 'c', 'r', 'e', 't'},
			},
			"21 05 00 01 01 ff de 49 c0 00 02 64 73 65 63 72 65 74 00 00",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			wire, src, to := unhex(t, tt.wire), addr(tt.src), addr(tt.to)
			b, err := tt.packet.AppendTo([]byte("before"), src, to, tt.pseudo)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(append([]byte("before"), wire...), b); diff != "" {
				t.Errorf("encoded % x (-want +got):\n%s", b[6:], diff)
			}
			var got Packet
			if reason, ok := got.Parse(wire, src, to); !ok {
				t.Fatalf("parse: %v", reason)
			}
			if diff := cmp.Diff(tt.packet, got, samePacket); diff != "" {
				t.Errorf("parsed (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPacketThatCannotBeEncoded(t *testing.T) {
	four, six := []netip.Addr{addr("192.0.2.100")}, []netip.Addr{addr("fe80::100")}
	for _, tt := range []struct {
		name   string
		packet Packet
		want   string
	}{
		{"no address", Packet{Version: 3, Interval: second}, "1 to 255 addresses, not 0"},
		{"too many", Packet{Version: 3, Interval: second, Addresses: make([]netip.Addr, 256)}, "not 256"},
		{"no version", Packet{Interval: second, Addresses: four}, "unknown version 0"},
		{"version 4", Packet{Version: 4, Interval: second, Addresses: four}, "unknown version 4"},
		{"interval 0", Packet{Version: 3, Addresses: four}, "version 3 cannot carry an interval of 0s"},
		{"interval too long", Packet{Version: 3, Interval: MaxInterval + IntervalStep, Addresses: four}, "40.96s"},
		{"interval between two steps", Packet{Version: 3, Interval: 15 * time.Millisecond, Addresses: four}, "15ms"},
		{"version 2, half a second", Packet{Version: 2, Interval: second / 2, Addresses: four}, "version 2 cannot carry an interval of 500ms"},
		{"version 2, interval too long", Packet{Version: 2, Interval: 256 * second, Addresses: four}, "4m16s"},
		{"version 2 over IPv6", Packet{Version: 2, Interval: second, Addresses: six}, "IPv4 addresses only"},
		{"two families", Packet{Version: 3, Interval: second, Addresses: append(four[:1:1], six...)}, "one family"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, err := tt.packet.AppendTo([]byte{1, 2}, self, GroupIPv4, false)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one about %q", err, tt.want)
			}
			if !bytes.Equal(b, []byte{1, 2}) {
				t.Errorf("left % x behind", b)
			}
		})
	}
}

// The two readings of RFC 5798 are both accepted over IPv4, and told apart.
func TestChecksumForms(t *testing.T) {
	for _, pseudo := range []bool{false, true} {
		ev := advertFrom(peer, 100, func(p *packet) { p.pseudo = pseudo }).event(t)
		var p Packet
		if reason, ok := p.Parse(ev.Payload, peer, GroupIPv4); !ok || (p.form == formPseudo) != pseudo {
			t.Errorf("pseudo-header %v: reason %v, form %d", pseudo, reason, p.form)
		}
		for bit := range 8 * len(ev.Payload) {
			if bit/8 < 4 && bit/8 != 1 && bit/8 != 2 {
				continue // version, type and count are looked at before
			}
			ev.Payload[bit/8] ^= 1 << (bit % 8)
			if reason, ok := p.Parse(ev.Payload, peer, GroupIPv4); ok || reason != DropChecksum {
				t.Errorf("pseudo-header %v, bit %d flipped: %v", pseudo, bit, reason)
			}
			ev.Payload[bit/8] ^= 1 << (bit % 8)
		}
	}
	// IPv6 has the pseudo-header always.
	ev := advertFrom(peer6, 100).event(t)
	ev.Payload[6], ev.Payload[7] = 0, 0
	setChecksum(ev.Payload, formMessage, peer6, GroupIPv6)
	var p Packet
	if reason, ok := p.Parse(ev.Payload, peer6, GroupIPv6); ok || reason != DropChecksum {
		t.Errorf("IPv6 without pseudo-header: %v", reason)
	}
}

// The form that is sent: as configured, or as the peer was heard to use.
func TestChecksumFormOfAdverts(t *testing.T) {
	withPseudo := func(p *packet) { p.pseudo = true }
	for _, tt := range []struct {
		name  string
		mode  ChecksumMode
		heard []*packet
		want  checksumForm
	}{
		{"auto before anybody is heard", ChecksumAuto, nil, formMessage},
		{"auto after the pseudo-header form", ChecksumAuto, []*packet{advertFrom(peer, 100, withPseudo)}, formPseudo},
		{"auto after the other form", ChecksumAuto, []*packet{advertFrom(peer, 100, withPseudo), advertFrom(peer, 100)}, formMessage},
		{"rfc9568", ChecksumRFC9568, []*packet{advertFrom(peer, 100, withPseudo)}, formMessage},
		{"pseudo-header", ChecksumPseudoHeader, []*packet{advertFrom(peer, 100)}, formPseudo},
	} {
		t.Run(tt.name, func(t *testing.T) {
			te := newMaster(t, web(func(c *Config) { c.Checksum = tt.mode }))
			for _, p := range tt.heard {
				te.do(p.event(t))
			}
			got := sends(te, second)
			if len(got) != 1 {
				t.Fatalf("%d adverts, want 1", len(got))
			}
			if !validChecksum(got[0].Payload, tt.want, got[0].Source, got[0].Destination) {
				t.Errorf("advert % x does not have the checksum form %d", got[0].Payload, tt.want)
			}
		})
	}
}

// Packets on an interface that is not ours are nobody's.
func TestPacketOnUnknownInterface(t *testing.T) {
	te := newMaster(t, web())
	te.advert(peer, 254, func(p *packet) { p.on = 3 })
	te.wantNone()
	te.wantState("web", StateMaster)
}

// Section 5.2.6: the reserved bits are ignored.
func TestRFC9568_R11_ReservedBitsAreIgnored(t *testing.T) {
	te := newTest(t, web())
	ev := advertFrom(peer, 200).event(t)
	set(4, 0xf0)(ev)
	te.do(ev)
	te.wantNone()
	te.wantDue(down150)
	if r := te.router(); r.Master != peer || r.Interval != second {
		t.Errorf("master %v with interval %v, want %v with 1s", r.Master, r.Interval, peer)
	}
}

// A unicast peer behind a router comes with a lower TTL.
func TestUnicastPeers(t *testing.T) {
	far := addr("198.51.100.7")
	te := newTest(t, web(unicast(peer, far)))
	te.advert(far, 200, to(self), ttl(62))
	te.wantNone()
	te.advance(3 * down150)
	te.wantOnly("advert prio",
		"web: advert prio=150 interval=1s to=192.0.2.2", "web: advert prio=150 interval=1s to=198.51.100.7",
		"web: advert prio=150 interval=1s to=192.0.2.2", "web: advert prio=150 interval=1s to=198.51.100.7",
		"web: advert prio=150 interval=1s to=192.0.2.2", "web: advert prio=150 interval=1s to=198.51.100.7",
		"web: advert prio=150 interval=1s to=192.0.2.2", "web: advert prio=150 interval=1s to=198.51.100.7",
		"web: advert prio=150 interval=1s to=192.0.2.2", "web: advert prio=150 interval=1s to=198.51.100.7",
		"web: advert prio=150 interval=1s to=192.0.2.2", "web: advert prio=150 interval=1s to=198.51.100.7",
		"web: advert prio=150 interval=1s to=192.0.2.2", "web: advert prio=150 interval=1s to=198.51.100.7",
	)
}

// keepalived sends IPv6 unicast adverts with the hop limit of its host.
func TestHopLimitOfIPv6UnicastPeer(t *testing.T) {
	te := newMaster(t, web(vips("fe80::100/64", "2001:db8::100/64"), unicast(peer6)))
	te.advert(peer6, 254, to(te.router().Source), ttl(64))
	te.wantState("web", StateBackup)
}

// What the counters count.
func TestCounters(t *testing.T) {
	te := newMaster(t, web(unicast(peer, peer3))) // two packets so far
	te.advance(2 * second)                        // four
	te.advert(peer, 100, to(self))                // a rival: answered with two
	te.advert(peer, 0, to(self))                  // answered with two
	te.advert(peer, 200, to(self))                // the last word: two
	te.advert(peer, 0, to(self))
	te.advance(skew150) // master again: two
	te.do(&Stop{})      // four
	want := Counters{Activity: Activity{
		AdvertsSent: 18, AdvertsReceived: 4, ReleasesSent: 1, ReleasesReceived: 2,
		BecameMaster: 2, LeftMaster: 2, Announcements: 3, Rivals: 1,
	}}
	if diff := cmp.Diff(want, te.router().Counters); diff != "" {
		t.Errorf("counters (-want +got):\n%s", diff)
	}
}

// keepalived sends IPv6 unicast with the hop limit of its host.
func TestUnicastIPv6PeerMayHaveAnyHopLimit(t *testing.T) {
	te := newTest(t, web(vips("fe80::100/64", "2001:db8::100/64"), unicast(peer6)))
	te.advert(peer6, 200, to(self6), ttl(64))
	te.wantNone()
	te.wantReason("web", "fe80::2 is master with priority 200")
	te.advert(addr("fe80::3"), 200, to(self6), ttl(64)) // not a peer
	te.wantOnly("ttl 64", "web: notice: dropped a packet: ttl 64 instead of 255, and the sender is not in peers")
}

// A list that does not fit an advert is cut, at the same place on every node;
// all addresses are held none the less.
func TestLongAddressLists(t *testing.T) {
	for _, tt := range []struct {
		first      string
		bits, n    int
		advertised int
	}{
		{"10.0.0.1", 32, 300, 255},
		{"fe80::1:0", 128, 100, 77},
	} {
		var list []netip.Prefix
		for a := addr(tt.first); len(list) < tt.n; a = a.Next() {
			list = append(list, netip.PrefixFrom(a, tt.bits))
		}
		te := newMaster(t, web(func(c *Config) { c.Addresses = list }))
		got := sends(te, second)
		if len(got) != 1 || int(got[0].Payload[3]) != tt.advertised {
			t.Errorf("%d addresses: %d are advertised, want %d", tt.n, got[0].Payload[3], tt.advertised)
		}
		if n := len(te.kernel["eth0"]); n != tt.n {
			t.Errorf("%d addresses are held, want %d", n, tt.n)
		}
	}
}

// Every packet that encodes parses to the same.
func TestPacketRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPacket(t)
		src, to := peer, GroupIPv4
		if FamilyOf(p.Addresses[0]) == IPv6 {
			src, to = peer6, GroupIPv6
		}
		b, err := p.AppendTo(nil, src, to, rapid.Bool().Draw(t, "pseudo"))
		if err != nil {
			t.Fatal(err)
		}
		got := Packet{Addresses: make([]netip.Addr, 3), AuthType: 7, Auth: [8]byte{9}}
		if reason, ok := got.Parse(b, src, to); !ok {
			t.Fatalf("% x: %v", b, reason)
		}
		if diff := cmp.Diff(p, got, samePacket); diff != "" {
			t.Fatalf("-sent +parsed:\n%s", diff)
		}
	})
}

func drawPacket(t *rapid.T) Packet {
	p := Packet{
		Version: Version3, VRID: rapid.Byte().Draw(t, "vrid"), Priority: rapid.Byte().Draw(t, "priority"),
		Interval: time.Duration(rapid.IntRange(1, 4095).Draw(t, "centiseconds")) * IntervalStep,
	}
	if rapid.Bool().Draw(t, "version 2") {
		p.Version = Version2
		p.Interval = time.Duration(rapid.IntRange(1, 255).Draw(t, "seconds")) * second
		p.AuthType = rapid.Byte().Draw(t, "auth type")
		copy(p.Auth[:], rapid.SliceOfN(rapid.Byte(), 8, 8).Draw(t, "auth"))
	}
	six := p.Version == Version3 && rapid.Bool().Draw(t, "ipv6")
	for range rapid.IntRange(1, 255).Draw(t, "addresses") {
		raw := rapid.Uint32().Draw(t, "address")
		four := [4]byte{byte(raw >> 24), byte(raw >> 16), byte(raw >> 8), byte(raw)}
		if six {
			p.Addresses = append(p.Addresses, netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 12: four[0], 13: four[1], 14: four[2], 15: four[3]}))
		} else {
			p.Addresses = append(p.Addresses, netip.AddrFrom4(four))
		}
	}
	return p
}

// Parse never panics, and what it accepts encodes to the same bytes, but for
// the reserved bits and the checksum that goes with them.
func FuzzPacket(f *testing.F) {
	for _, tt := range drops() {
		ev := tt.packet.event(f)
		f.Add(bytes.Clone(ev.Payload), tt.packet.from.Is6())
		if tt.mangle != nil {
			tt.mangle(ev)
		}
		f.Add(ev.Payload, tt.packet.from.Is6())
	}
	f.Fuzz(func(t *testing.T, b []byte, six bool) {
		src, to := peer, GroupIPv4
		if six {
			src, to = peer6, GroupIPv6
		}
		for _, fix := range []bool{false, true} { // as it is, and with the right checksum
			if fix && len(b) >= headerLen {
				b = bytes.Clone(b)
				reseal(&AdvertReceived{Source: src, Destination: to, Payload: b})
			}
			var p Packet
			reason, ok := p.Parse(b, src, to)
			if ok != (reason == dropNone) || reason.String() == "invalid" {
				t.Fatalf("ok %v with reason %v", ok, reason)
			}
			if !ok {
				continue
			}
			again, err := p.AppendTo(nil, src, to, p.form == formPseudo)
			if p.Version == Version2 && p.Interval == 0 {
				if err == nil {
					t.Fatal("version 2 encodes an interval of 0")
				}
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			want := bytes.Clone(b)
			if p.Version == Version3 {
				want[4] &= 0x0f
			}
			want[6], want[7], again[6], again[7] = 0, 0, 0, 0
			if !bytes.Equal(again, want) {
				t.Fatalf("% x encodes to % x", want, again)
			}
		}
	})
}
