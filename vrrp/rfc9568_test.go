package vrrp

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// RFC 9568: parameters and timers (P), what is received beyond what
// drop_test.go refuses (R), and rules towards hosts (H). The names are explained
// in rfc9568_packet_test.go.

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

// Section 6.1: at least one address, and over IPv6 the first is link-local.
func TestRFC9568_P7_AtLeastOneAddress(t *testing.T) {
	c := web(vips())
	if err := c.Validate(); err == nil {
		t.Error("an instance without addresses was accepted")
	}
	c = web(vips("2001:db8::100/64"))
	if err := c.Validate(); err == nil {
		t.Error("an instance without a link-local address was accepted")
	}
}

// Section 2.5: a node that takes over again and again from a master which is
// alive, because its adverts come late, says so once a while.
func TestRFC9568_P8_FlappingIsTold(t *testing.T) {
	const short = 10 * time.Millisecond
	te := newTest(t, web(every(short)))
	late := func() {
		te.advert(peer, 200, interval(short))
		te.wantState("web", StateBackup)
		te.advance(4*short + lastWord)
		te.wantState("web", StateMaster)
	}
	for range 3 { // the first one was never taken for dead
		late()
	}
	te.wantOnly("to and fro")
	late()
	te.wantOnly("to and fro", "web: notice: the master changes to and fro: it fell silent 3 times within 280ms and was heard again: "+
		"adverts are late or lost; a longer advert interval would bear it")
	for range 10 {
		late()
	}
	te.wantOnly("to and fro")

	te = newTest(t, web()) // now and then is none
	for range 20 {
		te.advert(peer, 200)
		te.advance(flapWindow/2 + second)
	}
	te.wantOnly("to and fro")

	te = newTest(t, web()) // one that releases, or loses, is not taken for dead
	for range 10 {
		te.advert(peer, 200)
		te.advert(peer, 0)
		te.advance(second)
		te.wantState("web", StateMaster)
	}
	te.wantOnly("to and fro")
}

// Delays are not in the RFC: the zero configuration has none.
func TestNoDelayUnlessAsked(t *testing.T) {
	te := newTest(t, web())
	te.wantState("web", StateBackup)
	te.advert(peer, 100)
	te.advance(down150)
	te.wantState("web", StateMaster)
}

// Section 7.1, erratum 8298: an owner takes in what another owner sends, and
// they elect by address, so that one remains.
func TestRFC9568_R7_TwoOwnersElect(t *testing.T) {
	te := newMaster(t, web(prio(255)))
	te.advert(low, 255)
	te.wantState("web", StateMaster)
	te.advert(peer, 255)
	te.wantState("web", StateBackup)
	te.adverts(20*second, second, peer, 255)
	te.wantState("web", StateBackup)
}

// Section 7.1: whatever is refused is told, once a while, and counted.
func TestRFC9568_R12_RefusedPacketsAreToldOnceAWhile(t *testing.T) {
	te := newMaster(t, web())
	ev := advertFrom(peer, 254, ttl(64)).event(t)
	for range 1000 {
		te.do(ev)
	}
	te.want("web: notice: dropped a packet: ttl 64 instead of 255: it did not come from this link")
	if counted := te.router().Counters.Dropped; counted.Of(DropTTL) != 1000 {
		t.Errorf("%d counted, want 1000", counted.Of(DropTTL))
	}
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

// Section 8.1.2: nothing is announced before the addresses are there, and not
// while the interface cannot carry it.
func TestRFC9568_H6_AnnouncedOnceConfigured(t *testing.T) {
	te := newBare(t)
	te.do(eth0(func(l *Link) { l.Up, l.Carrier = false, false }))
	te.configure(web(prio(255)))
	te.advance(10 * second)
	te.do(eth0(func(l *Link) { l.Carrier = false }))
	te.advance(10 * second)
	for _, line := range te.lines {
		if !strings.Contains(line, "fault") {
			t.Errorf("while the interface cannot be used: %s", line)
		}
	}
	te.lines = nil
	te.do(eth0())
	te.wantOnly("192.0.2.100", "web: add 192.0.2.100/24 eth0", "web: announce 192.0.2.100/24 eth0")
}

// Section 8.3.2: another address owner is told.
func TestRFC9568_H16_TwoOwnersAreTold(t *testing.T) {
	te := newMaster(t, web(prio(255)))
	te.advert(low, 255)
	te.advert(low, 255)
	te.wantOnly("owner is heard",
		"web: notice: another address owner is heard: only one router on a link can own the addresses: the one with the higher address stays master")
}

// Section 8.3.2: equal priorities are told, once a while.
func TestRFC9568_H17_EqualPriorityIsTold(t *testing.T) {
	te := newMaster(t, web())
	te.advert(low, 150)
	te.advert(low, 150)
	te.wantOnly("same priority",
		"web: notice: a peer has the same priority: both have 150: the one with the higher address wins; give them different priorities")
}

// Section 9: version 3 has no authentication.
func TestRFC9568_H18_NoAuthentication(t *testing.T) {
	c := web(password("secret"))
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "version 3 has no authentication") {
		t.Errorf("a password in version 3: %v", err)
	}
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
	if s := te.router(); !s.ConflictSince.Equal(te.now) || s.Rival != peer || s.Counters.Rivals != 1 {
		t.Errorf("conflict since %v with %v, %d rivals; want %v, %v, 1", s.ConflictSince, s.Rival, s.Counters.Rivals, te.now, peer)
	}
	te.advance(rivalGap - 1)
	te.wantOnly("announce", "web: announce 192.0.2.100/24 eth0") // before the loser lets go
	te.advert(peer, 100)
	te.wantOnly("announce")
	te.advance(1) // that one is answered late
	te.advert(peer, 100)
	te.wantOnly("announce", "web: announce 192.0.2.100/24 eth0")
	te.advance(3 * second)
	if s := te.router(); !s.ConflictSince.IsZero() || s.Rival.IsValid() {
		t.Errorf("the rival %v is silent for 3 intervals, yet conflict since %v", s.Rival, s.ConflictSince)
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
	before := (linger + lingerEach) / 2                          // and before it does
	want := []time.Duration{0, before, soon, soon + 200*ms, soon + 200*ms + 60*second, soon + 200*ms + 120*second}
	if diff := cmp.Diff(want, at); diff != "" {
		t.Errorf("announcements after taking over (-want +got):\n%s", diff)
	}
	te.do(&AnnounceNow{Instance: "web"})
	te.want("web: announce 192.0.2.100/24 eth0")
	te.do(&AnnounceNow{Instance: "other"})
	te.wantNone()
}
