package vrrp

import (
	"net/netip"
	"testing"
	"time"
)

// RFC 9568 sections 6.4.1 to 6.4.3: Initialize (I), Backup (B) and Active (A).
// The names are explained in rfc9568_packet_test.go.

// Section 6.4.1: an owner sends an advert at once, then gratuitous ARP or
// unsolicited neighbour advertisements.
func TestRFC9568_I1_OwnerSendsAtOnce(t *testing.T) {
	te := newBare(t)
	te.do(eth0())
	te.configure(dual(prio(255)))
	te.want(
		"web: advert prio=255 interval=1s to=224.0.0.18",
		"web: add 192.0.2.100/24 eth0",
		"web: announce 192.0.2.100/24 eth0",
		"web: advert prio=255 interval=1s to=ff02::12",
		"web: add fe80::100/64 2001:db8::100/64 eth0",
		"web: announce fe80::100/64 2001:db8::100/64 eth0",
		"web: init -> master (address owner)",
		"web: hook master",
	)
}

// Section 6.4.1: it starts Adver_Timer.
func TestRFC9568_I4_AdvertTimerStarts(t *testing.T) {
	te := newTest(t, dual(prio(255)))
	te.wantState("web", StateMaster)
	te.advance(second - 1)
	te.wantNone()
	te.advance(1)
	te.want("web: advert prio=255 interval=1s to=224.0.0.18", "web: advert prio=255 interval=1s to=ff02::12")
}

// Section 6.4.1: everybody else starts as backup with Active_Down_Interval.
func TestRFC9568_I5_OthersStartAsBackup(t *testing.T) {
	te := newBare(t)
	te.do(eth0())
	te.configure(web(prio(254)))
	te.want("web: init -> backup (listening for a master)", "web: hook backup")
	te.advance(3*second + 2*second/256 - 1)
	te.wantNone()
	te.advance(1)
	te.wantState("web", StateMaster)
}

// Section 6.4.1: in Initialize nothing is sent, held or answered.
func TestRFC9568_I6_NothingInInitialize(t *testing.T) {
	te := newBare(t)
	te.configure(web(prio(255))) // the link is not known yet
	te.advance(time.Hour)
	te.wantState("web", StateInit)
	te.wantNone()

	te = newMaster(t, web())
	te.do(&Stop{})
	te.advance(10 * second)
	te.lines = nil
	te.advert(peer, 50)
	te.advert(peer, 0)
	te.advance(time.Hour)
	te.wantNone()
	te.wantAddresses("eth0")
}

// Section 6.4.2: in Backup no address is held and nothing announced.
func TestBackupHoldsNothing(t *testing.T) {
	te := newTest(t, dual())
	for range 20 {
		te.advert(peer, 200)
		te.advert(peer6, 200)
		te.advance(second)
	}
	te.do(&AnnounceNow{})
	te.wantNone()
	te.wantAddresses("eth0")
}

// Section 6.4.2: a backup that is shut down sends nothing.
func TestRFC9568_B6_BackupStopsSilently(t *testing.T) {
	te := newTest(t, web())
	te.advert(peer, 200)
	te.do(&Stop{})
	te.want("web: backup -> init (stopped)", "web: hook init")
	if !te.e.Stopped() {
		t.Error("not stopped")
	}
	if at, ok := te.e.Deadline(); ok {
		t.Errorf("a deadline at %v after the stop", at)
	}
}

// Section 6.4.2, erratum 7949: when Active_Down_Timer fires: advert, then the
// addresses, then their announcement, then Adver_Timer.
func TestRFC9568_B7_DownTimerFires(t *testing.T) {
	te := newTest(t, web(vips("192.0.2.100/24", "192.0.2.101/32")))
	te.advance(down150 - 1)
	te.wantNone()
	te.advance(1)
	te.want(
		"web: advert prio=150 interval=1s to=224.0.0.18",
		"web: add 192.0.2.100/24 192.0.2.101/32 eth0",
		"web: announce 192.0.2.100/24 192.0.2.101/32 eth0",
		"web: backup -> master (no master heard for 3.41s)",
		"web: hook master",
	)
	te.wantDue(second)
}

// Section 6.2: which timer is the next, so that only Active_Down_Timer is waited for
// to the microsecond.
func TestEndsSilence(t *testing.T) {
	te := newBare(t)
	ends := func(want bool, when string) {
		t.Helper()
		if got := te.e.EndsSilence(); got != want {
			t.Errorf("%s: EndsSilence = %v", when, got)
		}
	}
	ends(false, "without instances")
	te.do(eth0())
	te.configure(web())
	ends(true, "listening for a master")
	te.advert(peer, 200)
	ends(true, "as a backup")
	te.advance(down150)
	te.wantState("web", StateMaster)
	ends(false, "as a master")
	te.do(eth0(func(l *Link) { l.Up = false }))
	ends(false, "in fault")
	te.do(eth0())
	te.do(&Drain{Instance: "web", Until: te.now.Add(time.Second)})
	ends(false, "as a backup whose drain ends before")
}

// Section 6.4.2: priority 0 sets Active_Down_Timer to Skew_Time; no interval
// is learned from it.
func TestRFC9568_B8_PriorityZeroSetsSkew(t *testing.T) {
	te := newTest(t, web())
	te.advert(peer, 200)
	te.advance(second / 2)
	te.advert(peer, 0, interval(7*second))
	te.wantDue(skew150)
	te.advance(skew150 - 1)
	te.wantNone()
	te.advance(1)
	te.wantState("web", StateMaster)
	te.wantReason("web", "192.0.2.2 released")

	te = newTest(t, web())
	te.advert(peer, 200, interval(2*second))
	te.advert(peer, 0)
	te.wantDue(2 * skew150) // the learned interval scales the skew
}

// Section 6.4.2: an advert that is not weaker, and any advert without
// Preempt_Mode, is learned from and restarts Active_Down_Timer.
func TestRFC9568_B9_AcceptedAdvertRestartsTimer(t *testing.T) {
	for name, tt := range map[string]struct {
		cfg    Config
		theirs uint8
	}{
		"higher":                 {web(), 200},
		"equal":                  {web(), 150},
		"lower, without preempt": {web(noPreempt), 50},
	} {
		t.Run(name, func(t *testing.T) {
			te := newTest(t, tt.cfg)
			te.adverts(60*second, second, peer, tt.theirs)
			te.advert(peer, tt.theirs, interval(2*second))
			te.wantDue(2 * down150)
			te.wantState("web", StateBackup)
			te.wantOnly("advert prio")
		})
	}
}

// Section 6.4.2: with Preempt_Mode a weaker advert is discarded, and the timer
// goes on.
func TestRFC9568_B10_WeakerAdvertIsDiscarded(t *testing.T) {
	te := newTest(t, web())
	te.advert(peer, 200)
	te.advance(second)
	te.adverts(down150-second, second/2, peer, 50, interval(5*second))
	te.wantState("web", StateMaster)
	te.wantReason("web", "priority 150 beats 50 of 192.0.2.2")
}

// Section 6.4.2: in Backup the addresses of the senders are not compared.
func TestRFC9568_B11_EqualPriorityFromLowerAddressIsAccepted(t *testing.T) {
	te := newTest(t, web())
	te.adverts(30*second, second, low, 150)
	te.wantState("web", StateBackup)
}

// Section 6.4.3: a master that is shut down sends priority 0 and goes to
// Initialize.
func TestRFC9568_A9_MasterStops(t *testing.T) {
	te := newMaster(t, web())
	te.do(&Stop{})
	te.wantState("web", StateInit)
	te.wantOnly("advert",
		"web: advert prio=150 interval=10ms to=224.0.0.18",
		"web: advert prio=0 interval=1s to=224.0.0.18",
	)
	te.advance(10 * second)
	te.wantOnly("advert")
}

// Section 6.4.3: an advert each time Adver_Timer fires. Lateness of a wake-up
// must not add up.
func TestRFC9568_A10_AdvertTimer(t *testing.T) {
	te := newMaster(t, web())
	start := te.now
	for n := range 100 {
		at, ok := te.e.Deadline()
		if want := start.Add(time.Duration(n+1) * second); !ok || !at.Equal(want) {
			t.Fatalf("advert %d due at %v, want %v", n, at, want)
		}
		te.now = at.Add(time.Duration(n) * 7 * time.Millisecond) // up to 0.7 s late
		te.do(&Tick{})
		te.want("web: advert prio=150 interval=1s to=224.0.0.18")
	}
}

// Section 6.4.3: a master answers priority 0 with an advert and restarts
// Adver_Timer.
func TestRFC9568_A11_PriorityZeroIsAnswered(t *testing.T) {
	te := newMaster(t, web())
	const answer = "web: advert prio=150 interval=1s to=224.0.0.18"
	te.advance(second / 4)
	te.advert(peer, 0)
	te.wantOnly("advert", answer)
	te.advance(second - 1)
	te.wantOnly("advert")
	te.advance(1)
	te.wantOnly("advert", answer)
}

// Section 6.4.3: a master yields to a higher priority, and to an equal one from
// a numerically higher address; it learns the interval and starts
// Active_Down_Timer.
func TestRFC9568_A12_Yields(t *testing.T) {
	for name, tt := range map[string]struct {
		from   netip.Addr
		theirs uint8
		yields bool
		reason string
	}{
		"higher":                     {peer, 151, true, "192.0.2.2 has priority 151, this node 150"},
		"higher from lower address":  {low, 151, true, "192.0.2.0 has priority 151, this node 150"},
		"equal from higher address":  {peer, 150, true, "192.0.2.2 has the same priority 150 and the higher address"},
		"equal, unsigned comparison": {addr("203.0.113.1"), 150, true, "203.0.113.1 has the same priority 150 and the higher address"},
		"equal from lower address":   {low, 150, false, ""},
		"lower":                      {peer, 149, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			te := newMaster(t, web())
			te.advert(tt.from, tt.theirs, interval(2*second))
			if !tt.yields {
				te.wantState("web", StateMaster)
				return
			}
			te.wantState("web", StateBackup)
			te.wantReason("web", tt.reason)
			te.wantDue(2 * down150)
		})
	}
	// For IPv6 all 16 bytes of the source are compared.
	for from, want := range map[string]State{"fe80::2": StateBackup, "fe80::1:0:0:1": StateBackup, "fe80::": StateMaster} {
		t.Run("equal from "+from, func(t *testing.T) {
			te := newMaster(t, six())
			te.advert(addr(from), 150)
			te.wantState("web", want)
		})
	}
}

// Section 6.4.3: any other advert is discarded and answered at once; answers
// have a least distance, and Adver_Timer is not touched.
func TestRFC9568_A13_LosingAdvertIsAnswered(t *testing.T) {
	te := newMaster(t, web())
	te.advance(second / 4)
	te.advert(peer, 100)
	te.wantOnly("advert prio", "web: advert prio=150 interval=1s to=224.0.0.18")
	te.wantDue(3 * second / 4)
	for range 9 { // a storm
		te.advance(time.Millisecond)
		te.advert(peer, 100)
	}
	te.wantNone()
	te.advance(time.Millisecond)
	te.advert(peer, 100)
	te.want("web: advert prio=150 interval=1s to=224.0.0.18")
}

// Section 6.4.3: Preempt_Mode does not matter to a master.
func TestRFC9568_A14_MasterYieldsWithoutPreempt(t *testing.T) {
	te := newMaster(t, web(noPreempt))
	te.advert(peer, 200)
	te.wantState("web", StateBackup)
}

// Section 6.4.3: who yields to a stronger master does not send priority 0.
func TestRFC9568_A15_YieldingReleasesNothing(t *testing.T) {
	te := newMaster(t, web())
	te.advert(peer, 200)
	te.advance(3 * second)
	te.want(
		lastAdvert,
		"web: stop announcing eth0",
		"web: master -> backup (192.0.2.2 has priority 200, this node 150)",
		"web: remove 192.0.2.100/24 eth0",
		"web: hook backup",
	)
}
