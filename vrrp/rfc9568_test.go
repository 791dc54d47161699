package vrrp

import (
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// One test for each requirement of RFC 9568 that a pure machine can meet. The
// letter and number name the requirement: T what is sent, P parameters, I, B
// and A the states Initialize, Backup and Active, R what is received, H hosts.

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

// Section 5.1.1.2: IPv4 adverts go to 224.0.0.18; 5.1.2.2: IPv6 to ff02::12.
// 5.1.2.1: the IPv6 source is the link-local address of the interface.
func TestRFC9568_T2_T6_T7_SourceAndDestination(t *testing.T) {
	te := newMaster(t, dual())
	got := sends(te, second)
	if len(got) != 2 {
		t.Fatalf("%d adverts in an interval, want one a family", len(got))
	}
	for _, s := range got {
		wantSource, wantTo := self, addr("224.0.0.18")
		if s.Router.Family == IPv6 {
			wantSource, wantTo = self6, addr("ff02::12")
		}
		if s.Source != wantSource || s.Destination != wantTo || s.Interface != 2 {
			t.Errorf("%v: from %v to %v on %d, want from %v to %v on 2", s.Router, s.Source, s.Destination, s.Interface, wantSource, wantTo)
		}
	}
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
func TestRFC9568_T10_T11_T12_T16_T17_T18_WholePacket(t *testing.T) {
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

// Section 5.2.4: the address owner sends priority 255, others their own; the
// default is 100.
func TestRFC9568_T13_T14_Priority(t *testing.T) {
	if PriorityDefault != 100 {
		t.Errorf("default priority %d, want 100", PriorityDefault)
	}
	for _, p := range []uint8{32, 100, 254, 255} {
		te := newMaster(t, web(prio(p)))
		if got := sends(te, second); len(got) != 1 || got[0].Payload[2] != p {
			t.Errorf("priority %d: adverts %+v", p, got)
		}
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

// Section 5.2.6 and 5.2.7: the interval is in centiseconds, 1 to 4095.
func TestRFC9568_T18_IntervalRange(t *testing.T) {
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

// Section 6.1: Active_Adver_Interval starts as the own interval and is learned
// from the master.
func TestRFC9568_P1_IntervalIsLearned(t *testing.T) {
	te := newTest(t, web())
	te.wantDue(down150)
	te.advert(peer, 200, interval(3*second))
	te.wantDue(3 * down150)
	te.advance(3*down150 - 1)
	te.wantState("web", StateBackup)
	te.lines = nil
	te.advance(1)
	te.wantState("web", StateMaster)
	te.wantOnly("advert prio", "web: advert prio=150 interval=1s to=224.0.0.18") // its own again
	if got := te.router().Interval; got != second {
		t.Errorf("interval in force %v, want its own", got)
	}
}

// Section 6.1: Skew_Time = (256 - Priority) * Active_Adver_Interval / 256.
func TestRFC9568_P2_SkewTime(t *testing.T) {
	for _, tt := range []struct {
		priority uint8
		interval time.Duration
		want     time.Duration
	}{
		{100, second, 609_375_000},
		{254, second, 7_812_500},
		{255, second, 3_906_250},
		{1, second, 996_093_750},
		{100, 100 * time.Millisecond, 60_937_500},
		{101, 100 * time.Millisecond, 60_546_875},
		{100, MinInterval, 6_093_750},
		{100, MaxInterval, 24_953_906_250},
	} {
		if got := skew(Version3, tt.priority, tt.interval); got != tt.want {
			t.Errorf("skew of priority %d at %v: %d ns, want %d", tt.priority, tt.interval, got, tt.want)
		}
	}
}

// Section 6.1: Active_Down_Interval = 3 * Active_Adver_Interval + Skew_Time,
// to the nanosecond.
func TestRFC9568_P3_DownInterval(t *testing.T) {
	for _, tt := range []struct {
		priority uint8
		interval time.Duration
		want     time.Duration
	}{
		{100, second, 3_609_375_000},
		{254, second, 3_007_812_500},
		{100, 100 * time.Millisecond, 360_937_500},
		{100, MinInterval, 36_093_750},
		{32, MaxInterval, 158_681_250_000},
	} {
		te := newTest(t, web(prio(tt.priority), every(tt.interval)))
		te.advance(tt.want - 1)
		te.wantNone()
		te.advance(1)
		te.wantState("web", StateMaster)
	}
}

// Section 6.1: neighbouring priorities must not fall together at short intervals.
func TestRFC9568_P4_SkewIsNotTruncated(t *testing.T) {
	for p := uint8(1); p < 255; p++ {
		if skew(Version3, p, MinInterval) <= skew(Version3, p+1, MinInterval) {
			t.Errorf("at 10ms priorities %d and %d wait equally long", p, p+1)
		}
	}
}

// Section 6.1: without Preempt_Mode a weaker master is left alone, but the
// address owner preempts in any case.
func TestRFC9568_P5_OwnerPreemptsAlways(t *testing.T) {
	te := newTest(t, web(prio(254), noPreempt))
	te.adverts(20*second, second, peer, 100)
	te.wantState("web", StateBackup)

	te = newTest(t, web(noPreempt)) // an owner that had to become backup
	te.advert(peer, 200)
	te.configure(web(prio(255), noPreempt))
	te.adverts(4*second, second, peer, 100)
	te.wantState("web", StateMaster)
}

// Section 6.1: at least one address.
func TestRFC9568_P7_AtLeastOneAddress(t *testing.T) {
	c := web(vips())
	if err := c.Validate(); err == nil {
		t.Error("an instance without addresses was accepted")
	}
}

// Delays are not in the RFC: the zero configuration has none.
func TestRFC9568_P9_NoDelayUnlessAsked(t *testing.T) {
	te := newTest(t, web())
	te.wantState("web", StateBackup)
	te.advert(peer, 100)
	te.advance(down150)
	te.wantState("web", StateMaster)
}

// Section 7.1, erratum 8298: an owner that hears another owner tells people and
// elects by address, so that one remains.
func TestRFC9568_R7_H16_TwoOwners(t *testing.T) {
	te := newMaster(t, web(prio(255)))
	te.advert(low, 255)
	te.wantState("web", StateMaster)
	te.wantOnly("owner is heard",
		"web: notice: another address owner is heard: only one router on a link can own the addresses: the one with the higher address stays master")
	te.advert(peer, 255)
	te.wantState("web", StateBackup)
	te.adverts(20*second, second, peer, 255)
	te.wantState("web", StateBackup)
}

// Section 7.1: another interval is told, not dropped. The one advert of a quick
// release is not worth a word.
func TestRFC9568_R13_OtherIntervalIsTold(t *testing.T) {
	te := newTest(t, web())
	te.advert(peer, 200, interval(3*second))
	te.wantNone()
	te.advert(peer, 200, interval(3*second))
	te.want("web: notice: a peer uses another advert interval: it advertises every 3s, this node would every 1s")
	te.adverts(standingGap-second, 3*second, peer, 200, interval(3*second))
	te.wantNone()
	te.advance(second)
	te.advert(peer, 200, interval(3*second))
	te.want("web: notice: a peer uses another advert interval: it advertises every 3s, this node would every 1s")
}

// Section 7.1: another address list is told, not dropped. The order is not
// worth a word.
func TestRFC9568_R14_OtherAddressesAreTold(t *testing.T) {
	te := newTest(t, web(vips("192.0.2.100/24", "192.0.2.101/24")))
	te.advert(peer, 200, carrying("192.0.2.101", "192.0.2.100"))
	te.wantNone()
	te.advert(peer, 200, carrying("192.0.2.101", "192.0.2.102"))
	te.want("web: notice: a peer advertises other addresses: only here: [192.0.2.100]; only there: [192.0.2.102]")
	te.wantDue(down150)
	te.advance(standingGap)
	te.lines = nil
	te.advert(peer, 200, carrying("192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5", "192.0.2.6", "192.0.2.100"))
	te.wantOnly("other addresses", "web: notice: a peer advertises other addresses: "+
		"only here: [192.0.2.101]; only there: [192.0.2.1 192.0.2.2 192.0.2.3 192.0.2.4 192.0.2.5] and 1 more")
}

// Own packets that come back drive nothing.
func TestRFC9568_R15_OwnPackets(t *testing.T) {
	for _, te := range []*engineTest{newTest(t, web()), newMaster(t, web())} {
		before := te.router()
		te.advert(self, 255)
		te.advert(self, 0)
		after := te.router()
		if after.State != before.State || after.Deadline != before.Deadline {
			t.Errorf("own packets changed %v due %v to %v due %v", before.State, before.Deadline, after.State, after.Deadline)
		}
		te.want("web: notice: own packet came back: the network sends own packets back, or another host uses this address")
	}
}

// Section 8.3.2: equal priorities are told, once a while.
func TestRFC9568_H17_EqualPriorityIsTold(t *testing.T) {
	te := newMaster(t, web())
	te.advert(low, 150)
	te.advert(low, 150)
	te.wantOnly("same priority",
		"web: notice: a peer has the same priority: both have 150: the one with the higher address wins; give them different priorities")
}

// A rival makes the master announce itself again, at most once a second.
func TestRivalIsToldCountedAndAnnounced(t *testing.T) {
	te := newMaster(t, web())
	te.advert(peer, 100) // may be the last word of the master before
	te.want(lastAdvert)
	te.advance(lastWord)
	te.wantOnly("announce", "web: announce 192.0.2.100/24 eth0") // it may have announced itself
	te.advert(peer, 100)
	te.want(
		"web: notice: another master is heard: it has priority 100, this node 150",
		"web: announce 192.0.2.100/24 eth0",
		"web: advert prio=150 interval=1s to=224.0.0.18",
	)
	if s := te.router(); !s.ConflictSince.Equal(te.now) || s.Counters.Rivals != 1 {
		t.Errorf("conflict since %v, %d rivals; want %v, 1", s.ConflictSince, s.Counters.Rivals, te.now)
	}
	te.advance(rivalGap - 1)
	te.wantOnly("announce", "web: announce 192.0.2.100/24 eth0") // before the loser lets go
	te.advert(peer, 100)
	te.wantOnly("announce")
	te.advance(1) // that one is answered late
	te.advert(peer, 100)
	te.wantOnly("announce", "web: announce 192.0.2.100/24 eth0")
	te.advance(3 * second)
	if s := te.router(); !s.ConflictSince.IsZero() {
		t.Errorf("the rival is silent for 3 intervals, yet conflict since %v", s.ConflictSince)
	}
}

// Section 7.2 leaves repeats open: as configured, then at each refresh.
func TestAnnouncementsRepeat(t *testing.T) {
	te := newTest(t, web(func(c *Config) {
		c.Announce = Announce{Repeat: 3, Interval: 200 * time.Millisecond, Refresh: 60 * second}
	}))
	start := te.now
	var at []time.Duration
	for te.now.Sub(start) < down150+130*second {
		next, _ := te.e.Deadline()
		te.advance(next.Sub(te.now))
		for _, l := range te.lines {
			if strings.Contains(l, "announce") {
				at = append(at, te.now.Sub(start)-down150)
			}
		}
		te.lines = nil
	}
	soon, ms := linger+lingerEach+announceSoon, time.Millisecond // once the former master has let go
	want := []time.Duration{0, soon, soon + 200*ms, soon + 200*ms + 60*second, soon + 200*ms + 120*second}
	if diff := cmp.Diff(want, at); diff != "" {
		t.Errorf("announcements after taking over (-want +got):\n%s", diff)
	}
	te.do(&AnnounceNow{Instance: "web"})
	te.want("web: announce 192.0.2.100/24 eth0")
	te.do(&AnnounceNow{Instance: "other"})
	te.wantNone()
}
