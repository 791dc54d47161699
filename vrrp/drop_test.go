package vrrp

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// drop is a packet that is refused for one reason. id is the row of
// CONFORMANCE.md which asks for that, or "" for a rule of this program.
type drop struct {
	id     string
	name   string
	cfg    Config
	packet *packet
	mangle func(*AdvertReceived) // after encoding
	want   DropReason
	onLink bool // counted on the link instead of the router
	detail string
}

// reseal makes the checksum right after a packet was changed.
func reseal(ev *AdvertReceived) {
	ev.Payload[6], ev.Payload[7] = 0, 0
	form := formMessage
	if FamilyOf(ev.Source) == IPv6 {
		form = formPseudo
	}
	setChecksum(ev.Payload, form, ev.Source, ev.Destination)
}

// set changes a byte and makes the checksum right again.
func set(at int, b byte) func(*AdvertReceived) {
	return func(ev *AdvertReceived) { ev.Payload[at] = b; reseal(ev) }
}

func ttl(n int) func(*packet) { return func(p *packet) { p.ttl = n } }

// drops has at least one packet for each reason. All would win against the node.
func drops() []drop {
	six := web(vips("fe80::100/64", "2001:db8::100/64"))
	uni := web(unicast(peer))
	secret := web(v2, password("secret"))
	cut := func(n int) func(*AdvertReceived) {
		return func(ev *AdvertReceived) { ev.Payload = ev.Payload[:n] }
	}
	return []drop{
		{"R4", "empty", web(), advertFrom(peer, 254), cut(0), DropShort, true, ""},
		{"R4", "7 bytes", web(), advertFrom(peer, 254), cut(7), DropShort, true, ""},
		{"R6", "other VRID", web(), advertFrom(peer, 254, ofVRID(52)), nil, DropVRID, true, ""},
		{"R6", "other family", web(), advertFrom(peer6, 254), nil, DropVRID, true, ""},
		{"R1", "ttl 254", web(), advertFrom(peer, 254, ttl(254)), nil, DropTTL, false, "ttl 254 instead of 255: it did not come from this link"},
		{"R1", "ttl 1", web(), advertFrom(peer, 254, ttl(1)), nil, DropTTL, false, "ttl 1 instead of 255: it did not come from this link"},
		{"R1", "hop limit 64", six, advertFrom(peer6, 254, ttl(64)), nil, DropTTL, false, "ttl 64 instead of 255: it did not come from this link"},
		{"R1", "ttl 254 of one that is no peer", uni, advertFrom(addr("198.51.100.9"), 254, to(self), ttl(254)), nil, DropTTL, false, "ttl 254 instead of 255, and the sender is not in peers"},
		{"R1", "ttl 254 of a unicast peer on the link", uni, advertFrom(peer, 254, to(self), ttl(254)), nil, DropTTL, false, "ttl 254 instead of 255: it did not come from this link"},
		{"R2", "version 2 to version 3", web(), advertFrom(peer, 254, version2), nil, DropVersion, false, "version 2, this instance uses version 3"},
		{"", "version 3 to version 2", web(v2), advertFrom(peer, 254), nil, DropVersion, false, "version 3, this instance uses version 2"},
		{"R2", "version 4", web(), advertFrom(peer, 254), set(0, 0x41), DropVersion, false, "version 4, this instance uses version 3"},
		{"R3", "type 0", web(), advertFrom(peer, 254), set(0, 0x30), DropType, false, "type 0 is not an advertisement"},
		{"R3", "type 2", web(), advertFrom(peer, 254), set(0, 0x32), DropType, false, "type 2 is not an advertisement"},
		{"R3", "type 7", web(v2), advertFrom(peer, 254, version2), set(0, 0x27), DropType, false, "type 7 is not an advertisement"},
		{"R3", "type 15", web(), advertFrom(peer, 254), set(0, 0x3f), DropType, false, "type 15 is not an advertisement"},
		{"R8", "no address", web(), advertFrom(peer, 254), set(3, 0), DropCount, false, "it carries no address"},
		{"R8", "no address, header alone", web(), advertFrom(peer, 254), func(ev *AdvertReceived) { cut(8)(ev); set(3, 0)(ev) }, DropCount, false, "it carries no address"},
		{"R4", "header alone", web(), advertFrom(peer, 254), func(ev *AdvertReceived) { cut(8)(ev); reseal(ev) }, DropLength, false, "8 bytes do not fit its 1 addresses"},
		{"R4", "255 addresses said, one there", web(), advertFrom(peer, 254), set(3, 255), DropLength, false, "12 bytes do not fit its 255 addresses"},
		{"R4", "a byte too many", web(), advertFrom(peer, 254), func(ev *AdvertReceived) { ev.Payload = append(ev.Payload, 0); reseal(ev) }, DropLength, false, "13 bytes do not fit its 1 addresses"},
		{"V6", "version 2 without its trailer", web(v2), advertFrom(peer, 254, version2), func(ev *AdvertReceived) { cut(12)(ev); reseal(ev) }, DropLength, false, "12 bytes do not fit its 1 addresses"},
		{"R4", "IPv4 addresses over IPv6", six, advertFrom(peer6, 254), func(ev *AdvertReceived) { cut(12)(ev); set(3, 1)(ev) }, DropLength, false, "12 bytes do not fit its 1 addresses"},
		{"R5", "wrong checksum", web(), advertFrom(peer, 254), func(ev *AdvertReceived) { ev.Payload[6] ^= 0x40 }, DropChecksum, false, "wrong checksum"},
		{"R5", "wrong checksum over IPv6", six, advertFrom(peer6, 254), func(ev *AdvertReceived) { ev.Payload[7] ^= 1 }, DropChecksum, false, "wrong checksum"},
		{"R10", "interval 0", web(), advertFrom(peer, 254), func(ev *AdvertReceived) { ev.Payload[5] = 0; reseal(ev) }, DropIntervalZero, false, "advert interval 0"},
		{"R10", "interval 0 under reserved bits", web(), advertFrom(peer, 254), func(ev *AdvertReceived) { ev.Payload[5] = 0; set(4, 0xf0)(ev) }, DropIntervalZero, false, "advert interval 0"},
		{
			"R9", "global address first", six, advertFrom(peer6, 254, carrying("2001:db8::100", "fe80::100")), nil, DropFirstAddress, false,
			"first address 2001:db8::100 is not link-local: put the link-local address first on the sender",
		},
		{"", "unicast to a multicast instance", web(), advertFrom(peer, 254, to(self)), nil, DropDestination, false, "sent to 192.0.2.1, this instance speaks multicast"},
		{"", "multicast to a unicast instance", uni, advertFrom(peer, 254), nil, DropDestination, false, "sent to 224.0.0.18, this instance speaks unicast with its peers"},
		{"", "own address", web(), advertFrom(self, 254), nil, DropOwn, false, "the network sends own packets back, or another host uses this address"},
		{"", "not a peer", uni, advertFrom(peer3, 254, to(self)), nil, DropPeer, false, "the sender is not in peers"},
		{"V7", "password to none", web(v2), advertFrom(peer, 254, version2, authenticated("secret")), nil, DropAuthType, false, "authentication type 1, this instance uses no authentication"},
		{"V7", "none to password", secret, advertFrom(peer, 254, version2), nil, DropAuthType, false, "authentication type 0, this instance uses type 1 (pass)"},
		{"V7", "wrong password", secret, advertFrom(peer, 254, version2, authenticated("secreT")), nil, DropAuthData, false, "wrong password"},
		{"V7", "longer password", secret, advertFrom(peer, 254, version2, authenticated("secrets")), nil, DropAuthData, false, "wrong password"},
		{
			"V8", "another interval in version 2", web(v2), advertFrom(peer, 254, version2, interval(2*second)), nil, DropInterval, false,
			"it advertises every 2s, this instance every 1s: version 2 needs the same on all routers",
		},
		{
			"V10", "master heard by a version 2 owner", web(v2, prio(255)), advertFrom(peer, 255, version2), nil, DropOwner, false,
			"this node is the address owner, yet another master of priority 255 is heard",
		},
	}
}

// Packets that no RFC asks to refuse; and there is one for each reason.
func TestDrops(t *testing.T) {
	refused(t, "")
	seen := map[DropReason]bool{}
	for _, tt := range drops() {
		seen[tt.want] = true
	}
	for _, d := range DropReasons() {
		if !seen[d] {
			t.Errorf("no packet is refused for %v", d)
		}
	}
}

// Of several reasons a packet is refused for the first in their order.
func TestDropOrder(t *testing.T) {
	te := newTest(t, web())
	te.advert(self, 254, to(self)) // an own one, and unicast to a multicast instance
	first := min(DropOwn, DropDestination)
	if counted := te.router().Counters.Dropped; counted.Of(first) != 1 {
		t.Errorf("not refused for %v", first)
	}
}

// Section 5.1.1.3 and 5.1.2.3: the TTL and the hop limit are 255.
func TestRFC9568_R1_TTL(t *testing.T) { refused(t, "R1") }

// Section 7.1: the version is 3.
func TestRFC9568_R2_Version(t *testing.T) { refused(t, "R2") }

// Section 5.2.2: the type is 1.
func TestRFC9568_R3_Type(t *testing.T) { refused(t, "R3") }

// Section 7.1: the packet is complete.
func TestRFC9568_R4_Length(t *testing.T) { refused(t, "R4") }

// Section 7.1: the checksum is right. Over IPv4 the form with a pseudo-header,
// which it does not ask for, is not refused.
func TestRFC9568_R5_Checksum(t *testing.T) {
	refused(t, "R5")
	for _, mode := range []ChecksumMode{ChecksumAuto, ChecksumRFC9568, ChecksumPseudoHeader} {
		te := newMaster(t, web(func(c *Config) { c.Checksum = mode }))
		te.advert(peer, 254, func(p *packet) { p.pseudo = true })
		te.wantState("web", StateBackup)
	}
}

// Section 7.1: the VRID is configured on the interface that received it.
func TestRFC9568_R6_VRID(t *testing.T) {
	refused(t, "R6")
	te := newTest(t, web(prio(200)), web(named("inside", 52, "10.0.0.100/24"), func(c *Config) { c.Interface = "eth1" }))
	te.do(&Link{Name: "eth1", Index: 3, Up: true, Carrier: true, Addresses: prefixes("10.0.0.1/24")})
	te.advance(down150)
	te.advert(peer, 254, func(p *packet) { p.on = 3 }) // the VRID of eth0 on eth1
	te.wantState("web", StateMaster)
	var drops uint64
	for _, l := range te.e.Snapshot(te.now).Links {
		drops += l.Drops.Of(DropVRID)
	}
	if drops != 1 {
		t.Errorf("%d counted, want 1", drops)
	}
	te.do(&StrangersHeard{Interface: 3, Packets: 41})
	te.do(&StrangersHeard{Interface: 99, Packets: 1})
	for _, l := range te.e.Snapshot(te.now).Links {
		if want := map[string]uint64{"eth1": 42}[l.Name]; l.Drops.Of(DropVRID) != want {
			t.Errorf("%s: %d counted, want %d", l.Name, l.Drops.Of(DropVRID), want)
		}
	}
}

// Section 5.2.5, erratum 8299: there is an address.
func TestRFC9568_R8_AddressCount(t *testing.T) { refused(t, "R8") }

// Section 5.2.9, erratum 8300: the first IPv6 address is link-local.
func TestRFC9568_R9_FirstAddress(t *testing.T) { refused(t, "R9") }

// Section 5.2.7, erratum 8301: the interval is not 0.
func TestRFC9568_R10_IntervalZero(t *testing.T) { refused(t, "R10") }

// refused sends the packets of a row: each is counted by its reason and changes
// nothing; people are told of it once a while.
func refused(t *testing.T, id string) {
	count := 0
	for _, tt := range drops() {
		if tt.id != id {
			continue
		}
		count++
		t.Run(tt.name, func(t *testing.T) {
			te := newMaster(t, tt.cfg)
			ev := tt.packet.event(t)
			if tt.mangle != nil {
				tt.mangle(ev)
			}
			before := *te.e.instances[0].routers[0]
			deadline, _ := te.e.Deadline()

			te.do(ev)
			if tt.onLink {
				te.wantNone()
			} else {
				te.want("web: notice: " + noticeOf(tt.want).String() + ": " + tt.detail)
			}
			for range 99 {
				te.do(ev)
			}
			te.wantNone() // rate-limited

			after := te.e.instances[0].routers[0]
			counted := te.e.Snapshot(te.now).Instances[0].Routers[0].Counters.Dropped
			if tt.onLink {
				counted = te.e.Snapshot(te.now).Links[0].Drops
			}
			var want Drops
			want[tt.want] = 100
			if diff := cmp.Diff(want, counted); diff != "" || counted.Of(tt.want) != 100 || counted.Total() != 100 {
				t.Errorf("counters (-want +got):\n%s", diff)
			}
			told := te.e.Snapshot(te.now).Instances[0].Routers[0].Refused
			if tt.onLink != (told == nil) || told != nil && *told != (Refused{te.now, ev.Source, tt.want, tt.detail}) {
				t.Errorf("the status tells of %+v", told)
			}
			if told := te.e.Snapshot(te.now.Add(refusedShown)).Instances[0].Routers[0].Refused; told != nil {
				t.Errorf("%v later the status tells of %+v", refusedShown, told)
			}
			if diff := cmp.Diff(before, *after, cmp.AllowUnexported(router{}, cachedAdvert{}, advertKey{}),
				cmpopts.IgnoreFields(router{}, "inst", "drops"), cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
				cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
				t.Errorf("the packet changed the router (-before +after):\n%s", diff)
			}
			if at, _ := te.e.Deadline(); !at.Equal(deadline) {
				t.Errorf("the packet moved the deadline by %v", at.Sub(deadline))
			}
			if !tt.onLink {
				te.now = te.now.Add(noticeGap)
				te.do(ev)
				te.wantOnly("notice", "web: notice: "+noticeOf(tt.want).String()+": "+tt.detail)
			}
		})
	}
	if count == 0 {
		t.Errorf("no packet for %s", id)
	}
}

// TestRefusedOfOthersFirst has the network send own packets back beside those of a
// router that is refused: the status tells of the latter, as long as they come.
func TestRefusedOfOthersFirst(t *testing.T) {
	te := newMaster(t, web())
	tells := func(want DropReason) {
		t.Helper()
		if told := te.e.Snapshot(te.now).Instances[0].Routers[0].Refused; told == nil || told.Reason != want {
			t.Errorf("the status tells of %+v, want %v", told, want)
		}
	}
	te.advert(self, 254)
	tells(DropOwn)
	te.advert(peer, 254, version2)
	te.advert(self, 254)
	tells(DropVersion)
	te.adverts(refusedShown, time.Second, self, 254)
	te.advert(self, 254)
	tells(DropOwn)
}

func noticeOf(d DropReason) NoticeKind {
	if d == DropOwn {
		return NoticeOwnPacket
	}
	return NoticeDropped
}
