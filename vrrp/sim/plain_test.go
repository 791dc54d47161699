package sim

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/holdfast-vrrp/holdfast/vrrp"
)

var (
	plainStart             = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	plain1, plain2, plain3 = netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("192.0.2.3")
	plain1v6, plain2v6     = netip.MustParseAddr("fe80::1"), netip.MustParseAddr("fe80::2")
	plainVIP               = netip.MustParseAddr("192.0.2.100")
	plainVIP2              = netip.MustParseAddr("192.0.2.101")
	plainVIP6              = netip.MustParseAddr("fe80::100")
	plainGlobal6           = netip.MustParseAddr("2001:db8::100")
)

// plainOf is a router with the source, of version 3 with 1 s adverts.
func plainOf(source netip.Addr, priority uint8, q Quirks, change ...func(*PlainConfig)) PlainConfig {
	c := PlainConfig{VRID: 51, Version: 3, Priority: priority, Source: source, Addresses: []netip.Addr{plainVIP}, Interval: time.Second, Quirks: q}
	if source.Is6() {
		c.Addresses = []netip.Addr{plainVIP6, plainGlobal6}
	}
	for _, f := range change {
		f(&c)
	}
	return c
}

func plainV2(c *PlainConfig)        { c.Version = 2 }
func plainNoPreempt(c *PlainConfig) { c.NoPreempt = true }
func plainEvery(d time.Duration) func(*PlainConfig) {
	return func(c *PlainConfig) { c.Interval = d }
}

func plainWith(list ...netip.Addr) func(*PlainConfig) {
	return func(c *PlainConfig) { c.Addresses = list }
}

func plainPeers(list ...netip.Addr) func(*PlainConfig) {
	return func(c *PlainConfig) { c.Peers = list }
}
func plainWord(s string) func(*PlainConfig) { return func(c *PlainConfig) { c.Password = s } }

// plainTest is one router and what it did.
type plainTest struct {
	*testing.T
	*Plain
	now       time.Time
	frames    []Frame
	announced int // calls that announced
}

func startPlain(t *testing.T, c PlainConfig) *plainTest {
	t.Helper()
	pt := &plainTest{T: t, Plain: NewPlain(c), now: plainStart}
	pt.did(pt.Start(pt.now))
	return pt
}

// masterPlain is a router that nobody kept from becoming master.
func masterPlain(t *testing.T, c PlainConfig) *plainTest {
	t.Helper()
	pt := startPlain(t, c)
	pt.run(4 * c.Interval)
	if !pt.Master() {
		t.Fatal("alone and not master")
	}
	pt.frames, pt.announced = nil, 0
	return pt
}

// Deadline is the router's, not that of the test.
func (pt *plainTest) Deadline() (time.Time, bool) { return pt.Plain.Deadline() }

func (pt *plainTest) did(out []Frame) {
	pt.frames = append(pt.frames, out...)
	if len(pt.Announces()) > 0 {
		pt.announced++
	}
}

// run lets time pass, with a Tick at each deadline.
func (pt *plainTest) run(d time.Duration) {
	pt.Helper()
	end := pt.now.Add(d)
	for range 100_000 {
		at, ok := pt.Deadline()
		if !ok || at.After(end) {
			pt.now = end
			return
		}
		if at.Before(pt.now) {
			pt.Fatalf("a deadline at %v in the past", at)
		}
		pt.now = at
		pt.did(pt.Tick(pt.now))
	}
	pt.Fatal("it spins")
}

// hear lets the router hear one advert of another one.
func (pt *plainTest) hear(c PlainConfig, priority int) {
	pt.Helper()
	pt.hearFrame(NewPlain(c).speak(priority)[0])
}

func (pt *plainTest) hearFrame(f Frame) { pt.did(pt.Receive(pt.now, f)) }

func (pt *plainTest) wantRefused(why string) {
	pt.Helper()
	if pt.Refused() != why {
		pt.Fatalf("refused for %q, want %q", pt.Refused(), why)
	}
}

func (pt *plainTest) wantDue(d time.Duration) {
	pt.Helper()
	if at, ok := pt.Deadline(); !ok || at.Sub(pt.now) != d {
		pt.Fatalf("next deadline in %v, want %v", at.Sub(pt.now), d)
	}
}

// wantSent compares the priorities of what was sent since the last call.
func (pt *plainTest) wantSent(want ...int) {
	pt.Helper()
	var got []int
	for _, f := range pt.frames {
		a, err := readPlain(f)
		if err != nil {
			pt.Fatal(err)
		}
		got = append(got, a.priority)
	}
	pt.frames = nil
	if !slices.Equal(got, want) {
		pt.Fatalf("sent %v, want %v", got, want)
	}
}

func (pt *plainTest) wantMaster(want bool) {
	pt.Helper()
	if pt.Master() != want || want != (len(pt.Holds()) > 0) {
		pt.Fatalf("master %v, holds %v, want %v", pt.Master(), pt.Holds(), want)
	}
}

// Every message reads the same to package vrrp, and the other way round.
func TestPlainSpeaksAsPackageVRRP(t *testing.T) {
	many := func(c *PlainConfig) {
		c.Addresses = nil
		for n := range 255 {
			c.Addresses = append(c.Addresses, netip.AddrFrom4([4]byte{10, 1, byte(n), 7}))
		}
	}
	tests := map[string]PlainConfig{
		"message":  plainOf(plain1, 150, Router9568(), plainEvery(40950*time.Millisecond)),
		"pseudo":   plainOf(plain1, 1, Keepalived(), plainEvery(10*time.Millisecond), plainWith(plainVIP2, plainVIP)),
		"ipv6":     plainOf(plain1v6, 255, Router9568(), plainEvery(3370*time.Millisecond)),
		"many":     plainOf(plain1, 100, FRR(), many),
		"unicast":  plainOf(plain1, 100, Keepalived(), plainPeers(plain2, plain3)),
		"version2": plainOf(plain1, 100, Router3768(), plainV2, plainEvery(255*time.Second)),
		"password": plainOf(plain1, 100, Keepalived(), plainV2, plainWord("secret")),
		"long":     plainOf(plain1, 100, Keepalived(), plainV2, plainWord("longer than 8")),
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			for _, priority := range []int{0, int(c.Priority)} {
				for _, f := range NewPlain(c).speak(priority) {
					want := vrrp.Packet{Version: vrrp.Version(c.Version), VRID: 51, Priority: uint8(priority), Interval: c.Interval, Addresses: c.Addresses}
					want.AuthType, want.Auth = c.auth()
					var got vrrp.Packet
					if reason, ok := got.Parse(f.Payload, f.Source, f.Destination); !ok {
						t.Fatalf("% x is refused: %v", f.Payload, reason)
					}
					if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(vrrp.Packet{}), cmpopts.EquateComparable(netip.Addr{})); diff != "" {
						t.Errorf("-meant +understood:\n%s", diff)
					}
					b, err := want.AppendTo(nil, f.Source, f.Destination, c.SendPseudo)
					if err != nil {
						t.Fatal(err)
					}
					if diff := cmp.Diff(b, f.Payload); diff != "" {
						t.Errorf("bytes (-vrrp +plain):\n%s", diff)
					}
					a, err := readPlain(Frame{f.Source, f.Destination, 255, b})
					if err != nil || a.vrid != 51 || a.priority != priority || a.interval != c.Interval || !slices.Equal(a.addresses, c.Addresses) {
						t.Errorf("reads %+v, %v", a, err)
					}
					if !a.sum.message && !a.sum.pseudo {
						t.Error("its checksum is right in no form")
					}
				}
			}
		})
	}
}

// The vector that RFC 9568's reading of the checksum is known by.
func TestPlainKnownChecksum(t *testing.T) {
	c := plainOf(plain1, 100, Router9568())
	c.VRID = 5
	want := []byte{0x31, 5, 0x64, 1, 0, 0x64, 0xa8, 0x30, 0xc0, 0, 2, 0x64}
	if got := NewPlain(c).speak(100)[0].Payload; !slices.Equal(got, want) {
		t.Errorf("without the pseudo-header % x, want % x", got, want)
	}
	c.Quirks = Router5798()
	want[6], want[7] = 0x05, 0xa0
	if got := NewPlain(c).speak(100)[0].Payload; !slices.Equal(got, want) {
		t.Errorf("with the pseudo-header % x, want % x", got, want)
	}
}

func TestPlainInitialize(t *testing.T) {
	owner := startPlain(t, plainOf(plain1, 255, Router9568()))
	owner.wantSent(255)
	owner.wantMaster(true)
	if owner.announced != 1 {
		t.Errorf("%d announcements at the start of an owner", owner.announced)
	}
	owner.wantDue(time.Second)

	backup := startPlain(t, plainOf(plain1, 100, Router9568()))
	backup.wantSent()
	backup.wantMaster(false)
	backup.wantDue(3*time.Second + 156*time.Second/256)
	backup.did(backup.Stop(backup.now))
	backup.wantSent() // a backup leaves in silence
	if at, ok := backup.Deadline(); ok {
		t.Errorf("a deadline at %v after the stop", at)
	}
	backup.hear(plainOf(plain2, 100, Router9568()), 100)
	backup.wantRefused("not running")
}

func TestPlainTimers(t *testing.T) {
	tests := []struct {
		name string
		c    PlainConfig
		down time.Duration
		skew time.Duration // after a release
	}{
		{"priority 100", plainOf(plain1, 100, Router9568()), 3609375 * time.Microsecond, 609375 * time.Microsecond},
		{"priority 254", plainOf(plain1, 254, Router9568()), 3007812500, 7812500},
		{"short interval", plainOf(plain1, 100, Router9568(), plainEvery(100*time.Millisecond)), 360937500, 60937500},
		{"version 2 does not scale", plainOf(plain1, 100, Router3768(), plainV2, plainEvery(5*time.Second)), 15609375 * time.Microsecond, 609375 * time.Microsecond},
		{"whole hundredths", plainOf(plain1, 254, FRR()), 3 * time.Second, 0},
		{"whole hundredths at 100", plainOf(plain1, 100, FRR()), 3600 * time.Millisecond, 600 * time.Millisecond},
		{"five intervals", plainOf(plain1, 254, Quirks{DownIntervals: 5}), 5007812500, 7812500},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pt := startPlain(t, tt.c)
			pt.wantDue(tt.down)
			other := tt.c
			other.Source = plain2
			pt.run(time.Millisecond)
			pt.hear(other, 0)
			pt.wantRefused("")
			pt.wantDue(tt.skew)
			pt.run(tt.skew)
			pt.wantMaster(true)
			pt.wantSent(int(tt.c.Priority))
		})
	}
}

func TestPlainLearnsInterval(t *testing.T) {
	slow := plainOf(plain2, 200, Router9568(), plainEvery(3*time.Second))
	pt := startPlain(t, plainOf(plain1, 100, Router9568()))
	pt.hear(slow, 200)
	pt.wantDue(9*time.Second + 3*156*time.Second/256)
	pt.hear(plainOf(plain2, 200, Router9568(), plainEvery(10*time.Millisecond)), 200)
	pt.hear(plainOf(plain2, 200, Router9568()), 0) // nothing is learned of a release
	pt.wantDue(6093750)
	pt.run(time.Second)
	pt.wantMaster(true)

	stubborn := startPlain(t, plainOf(plain1, 100, Quirks{KeepInterval: true}))
	stubborn.hear(slow, 200)
	stubborn.wantDue(3609375 * time.Microsecond)

	holo := startPlain(t, plainOf(plain1, 100, Holo()))
	holo.hear(slow, 200)
	holo.wantRefused("interval 3s is not ours")

	old := startPlain(t, plainOf(plain1, 100, Router3768(), plainV2))
	old.hear(plainOf(plain2, 200, Router3768(), plainV2, plainEvery(2*time.Second)), 200)
	old.wantRefused("interval 2s is not ours")
}

func TestPlainBackup(t *testing.T) {
	tests := []struct {
		name     string
		c        PlainConfig
		priority int
		accepts  bool // the timer starts anew
	}{
		{"stronger", plainOf(plain2, 100, Router9568()), 101, true},
		{"equal, lower source", plainOf(plain2, 100, Router9568()), 100, true},
		{"weaker", plainOf(plain2, 100, Router9568()), 99, false},
		{"weaker, no preempt", plainOf(plain2, 100, Router9568(), plainNoPreempt), 99, true},
		{"weaker, no preempt, owner in backup", plainOf(plain2, 254, Router9568(), plainNoPreempt), 253, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pt := startPlain(t, tt.c)
			full, _ := pt.Deadline()
			pt.run(time.Second)
			pt.hear(plainOf(plain1, 1, Router9568()), tt.priority)
			pt.wantRefused("")
			pt.wantSent()
			at, _ := pt.Deadline()
			if moved := at.Sub(full); tt.accepts && moved != time.Second || !tt.accepts && moved != 0 {
				t.Errorf("the timer moved by %v", moved)
			}
		})
	}
}

func TestPlainPreemptDelay(t *testing.T) {
	pt := startPlain(t, plainOf(plain2, 200, Keepalived(), func(c *PlainConfig) { c.PreemptDelay = 5 * time.Second }))
	weak := plainOf(plain1, 100, Keepalived())
	for n := range 20 {
		pt.hear(weak, 100)
		pt.run(time.Second)
		// Five seconds of patience, then the timer of the last one accepted.
		if want := n >= 7; pt.Master() != want {
			t.Fatalf("%d s after the first advert: master %v", n+1, pt.Master())
		}
		if pt.Master() {
			return
		}
	}
}

func TestPlainMaster(t *testing.T) {
	tests := []struct {
		name     string
		c        PlainConfig
		from     PlainConfig
		priority int
		master   bool
		sent     []int
		again    int // announcements
	}{
		{"release", plainOf(plain2, 100, Router9568()), plainOf(plain1, 1, Router9568()), 0, true, []int{100}, 0},
		{"stronger", plainOf(plain2, 100, Router9568()), plainOf(plain1, 1, Router9568()), 101, false, nil, 0},
		{"stronger though no preempt", plainOf(plain2, 100, Router9568(), plainNoPreempt), plainOf(plain1, 1, Router9568()), 101, false, nil, 0},
		{"equal and higher", plainOf(plain1, 100, Router9568()), plainOf(plain2, 1, Router9568()), 100, false, nil, 0},
		{"equal and lower", plainOf(plain2, 100, Router9568()), plainOf(plain1, 1, Router9568()), 100, true, []int{100}, 0},
		{"equal and higher, ipv6", plainOf(plain1v6, 100, Router9568()), plainOf(plain2v6, 1, Router9568()), 100, false, nil, 0},
		{"equal and lower, ipv6", plainOf(plain2v6, 100, Router9568()), plainOf(plain1v6, 1, Router9568()), 100, true, []int{100}, 0},
		{"weaker", plainOf(plain2, 100, Router9568()), plainOf(plain3, 1, Router9568()), 99, true, []int{100}, 0},
		{"weaker, rfc 5798", plainOf(plain2, 100, Router5798()), plainOf(plain3, 1, Router5798()), 99, true, nil, 0},
		{"weaker, rfc 3768", plainOf(plain2, 100, Router3768(), plainV2), plainOf(plain3, 1, Router3768(), plainV2), 99, true, nil, 0},
		{"weaker, keepalived", plainOf(plain2, 100, Keepalived(), plainV2), plainOf(plain3, 1, Keepalived(), plainV2), 99, true, []int{100}, 1},
		{"last word", plainOf(plain2, 100, Quirks{LastWord: true}), plainOf(plain1, 1, Quirks{}), 101, false, []int{100}, 0},
		{"addresses not compared", plainOf(plain1, 100, Quirks{StayOnEqual: true}), plainOf(plain2, 1, Quirks{}), 100, true, nil, 0},
		{"owner elects", plainOf(plain1, 255, Router9568()), plainOf(plain2, 1, Router9568()), 255, false, nil, 0},
		{"owner wins", plainOf(plain2, 255, Router9568()), plainOf(plain1, 1, Router9568()), 255, true, []int{255}, 0},
		{"owner ignores", plainOf(plain1, 255, Router5798()), plainOf(plain2, 1, Router5798()), 255, true, nil, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pt := masterPlain(t, tt.c)
			pt.run(100 * time.Millisecond)
			pt.frames = nil
			pt.hear(tt.from, tt.priority)
			pt.wantMaster(tt.master)
			pt.wantSent(tt.sent...)
			if pt.announced != tt.again {
				t.Errorf("%d announcements, want %d", pt.announced, tt.again)
			}
			if !tt.master {
				pt.run(3 * time.Second)
				pt.wantMaster(false)
				pt.run(time.Second)
				pt.wantMaster(true) // the other is silent
			}
		})
	}
}

// The answer to a weaker master does not move the regular adverts, that to a
// release does.
func TestPlainAnswerAndTimer(t *testing.T) {
	pt := startPlain(t, plainOf(plain2, 255, Router9568()))
	pt.run(300 * time.Millisecond)
	pt.hear(plainOf(plain1, 1, Router9568()), 1)
	pt.wantDue(700 * time.Millisecond)
	pt.hear(plainOf(plain1, 1, Router9568()), 0)
	pt.wantDue(time.Second)
}

func TestPlainStop(t *testing.T) {
	tests := []struct {
		name   string
		q      Quirks
		sent   []int
		held   bool
		within time.Duration
		after  []int
	}{
		{"at once", Router9568(), []int{0}, false, 0, nil},
		{"addresses go late", Quirks{RemoveLate: 50 * time.Millisecond}, []int{0}, true, 50 * time.Millisecond, nil},
		{"addresses go first", Quirks{RemoveFirst: 20 * time.Millisecond}, nil, false, 20 * time.Millisecond, []int{0}},
		{"twice", Quirks{Releases: 2}, []int{0, 0}, false, 0, nil},
		{"without a word", Quirks{Releases: -1}, nil, false, 0, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pt := masterPlain(t, plainOf(plain1, 100, tt.q))
			pt.frames = nil
			pt.did(pt.Stop(pt.now))
			pt.wantSent(tt.sent...)
			if held := len(pt.Holds()) > 0; held != tt.held {
				t.Errorf("holds %v after the stop", pt.Holds())
			}
			pt.run(tt.within)
			pt.wantSent(tt.after...)
			pt.wantMaster(false)
			if at, ok := pt.Deadline(); ok {
				t.Errorf("a deadline at %v after the stop", at)
			}
			pt.did(pt.Start(pt.now)) // and it can start again
			pt.run(4 * time.Second)
			pt.wantMaster(true)
		})
	}
}

// After a crash the addresses stay until the router starts again.
func TestPlainCrash(t *testing.T) {
	pt := masterPlain(t, plainOf(plain1, 100, Keepalived()))
	pt.Crash()
	if at, ok := pt.Deadline(); ok || len(pt.Holds()) == 0 {
		t.Errorf("after the crash: holds %v, deadline %v %v", pt.Holds(), at, ok)
	}
	pt.did(pt.Start(pt.now))
	pt.wantMaster(false)
}

func TestPlainRefuses(t *testing.T) {
	good := func(f *Frame) {}
	ttl := func(n int) func(*Frame) { return func(f *Frame) { f.TTL = n } }
	set := func(at int, v byte) func(*Frame) { return func(f *Frame) { f.Payload[at] = v } }
	cut := func(n int) func(*Frame) { return func(f *Frame) { f.Payload = f.Payload[:n] } }
	more := func(f *Frame) { f.Payload = append(f.Payload, 0) }
	// zero sets the interval to nothing and mends the checksum.
	zero := func(f *Frame) {
		f.Payload[4], f.Payload[5], f.Payload[6], f.Payload[7] = 0, 0, 0, 0
		sealPlain(f.Payload, f.Payload)
	}
	reserved := func(f *Frame) {
		f.Payload[4], f.Payload[6], f.Payload[7] = f.Payload[4]|0xf0, 0, 0
		sealPlain(f.Payload, f.Payload)
	}
	foreign := func(f *Frame) { f.Destination = plain2 }
	vrid := func(c *PlainConfig) { c.VRID = 52 }
	k, r := Keepalived(), Router9568()
	tests := []struct {
		name   string
		c      PlainConfig // 192.0.2.1 or fe80::1
		from   PlainConfig
		mangle func(*Frame)
		why    string
	}{
		{"good", plainOf(plain1, 100, r), plainOf(plain2, 100, r), good, ""},
		{"good ipv6", plainOf(plain1v6, 100, r), plainOf(plain2v6, 100, r), good, ""},
		{"good version 2", plainOf(plain1, 100, Router3768(), plainV2), plainOf(plain2, 100, Router3768(), plainV2), good, ""},
		{"reserved bits", plainOf(plain1, 100, r), plainOf(plain2, 100, r), reserved, ""},
		{"ttl", plainOf(plain1, 100, r), plainOf(plain2, 100, r), ttl(254), "ttl 254 is not 255"},
		{"ttl not looked at", plainOf(plain1, 100, Quirks{AnyTTL: true}), plainOf(plain2, 100, r), ttl(1), ""},
		{"unicast ttl", plainOf(plain1, 100, r, plainPeers(plain2)), plainOf(plain2, 100, r, plainPeers(plain1)), ttl(64), "ttl 64 is not 255"},
		{"unicast ttl, keepalived", plainOf(plain1, 100, k, plainPeers(plain2)), plainOf(plain2, 100, k, plainPeers(plain1)), ttl(64), ""},
		{"multicast ttl, keepalived", plainOf(plain1, 100, k), plainOf(plain2, 100, k), ttl(64), "ttl 64 is not 255"},
		{"version", plainOf(plain1, 100, r), plainOf(plain2, 100, r, plainV2), good, "version 2 is not ours"},
		{"version 4", plainOf(plain1, 100, r), plainOf(plain2, 100, r), set(0, 0x41), "unknown version"},
		{"version 2 over ipv6", plainOf(plain1v6, 100, r), plainOf(plain2v6, 100, r), set(0, 0x21), "unknown version"},
		{"type", plainOf(plain1, 100, r), plainOf(plain2, 100, r), set(0, 0x32), "no advertisement"},
		{"count", plainOf(plain1, 100, r), plainOf(plain2, 100, r), set(3, 0), "no address"},
		{"short", plainOf(plain1, 100, r), plainOf(plain2, 100, r), cut(7), "shorter than a header"},
		{"cut", plainOf(plain1, 100, r), plainOf(plain2, 100, r), cut(11), "length does not fit the address count"},
		{"long", plainOf(plain1, 100, r), plainOf(plain2, 100, r), more, "length does not fit the address count"},
		{"no trailer", plainOf(plain1, 100, r, plainV2), plainOf(plain2, 100, r, plainV2), cut(12), "length does not fit the address count"},
		{"checksum", plainOf(plain1, 100, r), plainOf(plain2, 100, r), set(6, 1), "wrong checksum"},
		{"checksum ipv6", plainOf(plain1v6, 100, r), plainOf(plain2v6, 100, r), set(6, 1), "wrong checksum"},
		{"checksum version 2", plainOf(plain1, 100, k, plainV2), plainOf(plain2, 100, k, plainV2), set(6, 1), "wrong checksum"},
		{"pseudo-header to rfc 9568", plainOf(plain1, 100, r), plainOf(plain2, 100, k), good, "wrong checksum"},
		{"message to keepalived", plainOf(plain1, 100, k), plainOf(plain2, 100, r), good, "wrong checksum"},
		{"both", plainOf(plain1, 100, Quirks{AcceptSum: SumBoth}), plainOf(plain2, 100, k), good, ""},
		{"both, wrong", plainOf(plain1, 100, Quirks{AcceptSum: SumBoth}), plainOf(plain2, 100, k), set(6, 1), "wrong checksum"},
		{"not looked at", plainOf(plain1, 100, KeepalivedAsV2()), plainOf(plain2, 100, k), set(6, 1), ""},
		{"group in the sum", plainOf(plain1, 100, k, plainPeers(plain2)), plainOf(plain2, 100, Quirks{SendPseudo: true, GroupSum: true}, plainPeers(plain1)), good, "wrong checksum"},
		{"group in both sums", plainOf(plain1, 100, Quirks{AcceptSum: SumPseudo, GroupSum: true}, plainPeers(plain2)), plainOf(plain2, 100, Quirks{SendPseudo: true, GroupSum: true}, plainPeers(plain1)), good, ""},
		{"vrid", plainOf(plain1, 100, r), plainOf(plain2, 100, r, vrid), good, "vrid 52 is not ours"},
		{"family", plainOf(plain1, 100, r), plainOf(plain2v6, 100, r), good, "vrid 51 is not ours"},
		{"own", plainOf(plain1, 100, r), plainOf(plain1, 200, r), good, "own packet"},
		{"unicast to multicast", plainOf(plain1, 100, r), plainOf(plain2, 100, r, plainPeers(plain1)), good, "sent to 192.0.2.1"},
		{"multicast to unicast", plainOf(plain1, 100, r, plainPeers(plain2)), plainOf(plain2, 100, r), good, "sent to 224.0.0.18"},
		{"to another", plainOf(plain1, 100, r, plainPeers(plain2)), plainOf(plain3, 100, r, plainPeers(plain1)), foreign, "sent to 192.0.2.2"},
		{"no peer", plainOf(plain1, 100, r, plainPeers(plain2)), plainOf(plain3, 100, r, plainPeers(plain1)), good, "192.0.2.3 is no peer"},
		{"no peer, keepalived", plainOf(plain1, 100, k, plainPeers(plain2)), plainOf(plain3, 100, k, plainPeers(plain1)), good, ""},
		{"interval 0", plainOf(plain1, 100, r), plainOf(plain2, 100, r), zero, "interval 0"},
		{"auth type", plainOf(plain1, 100, k, plainV2), plainOf(plain2, 100, k, plainV2, plainWord("x")), good, "authentication fails"},
		{"no auth", plainOf(plain1, 100, k, plainV2, plainWord("x")), plainOf(plain2, 100, k, plainV2), good, "authentication fails"},
		{"password", plainOf(plain1, 100, k, plainV2, plainWord("x")), plainOf(plain2, 100, k, plainV2, plainWord("y")), good, "authentication fails"},
		{"password cut", plainOf(plain1, 100, k, plainV2, plainWord("12345678")), plainOf(plain2, 100, k, plainV2, plainWord("123456789")), good, ""},
		{"too many", plainOf(plain1, 100, Quirks{MostAddresses: 1}), plainOf(plain2, 100, r, plainWith(plainVIP, plainVIP2)), good, "2 addresses are too many"},
		{"not link-local", plainOf(plain1v6, 100, r), plainOf(plain2v6, 100, k, plainWith(plainGlobal6)), good, "first address 2001:db8::100 is not link-local"},
		{"not link-local, keepalived", plainOf(plain1v6, 100, k), plainOf(plain2v6, 100, k, plainWith(plainGlobal6)), good, ""},
		{"list", plainOf(plain1, 100, r), plainOf(plain2, 100, r, plainWith(plainVIP2)), good, ""},
		{"list, old keepalived", plainOf(plain1, 100, OldKeepalived()), plainOf(plain2, 100, k, plainWith(plainVIP2)), good, "addresses [192.0.2.101] are not ours"},
		{"order, old keepalived", plainOf(plain1, 100, OldKeepalived(), plainWith(plainVIP, plainVIP2)), plainOf(plain2, 100, k, plainWith(plainVIP2, plainVIP)), good, ""},
		{"order, rfc 3768", plainOf(plain1, 100, Router3768(), plainV2, plainWith(plainVIP, plainVIP2)), plainOf(plain2, 100, Router3768(), plainV2, plainWith(plainVIP2, plainVIP)), good, "addresses [192.0.2.101 192.0.2.100] are not ours"},
		{"order, of the owner", plainOf(plain1, 100, Router3768(), plainV2, plainWith(plainVIP, plainVIP2)), plainOf(plain2, 255, Router3768(), plainV2, plainWith(plainVIP2, plainVIP)), good, ""},
		{"owner", plainOf(plain1, 255, Router5798()), plainOf(plain2, 100, Router5798()), good, "this router is the owner"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pt := startPlain(t, tt.c)
			f := NewPlain(tt.from).speak(int(tt.from.Priority))[0]
			tt.mangle(&f)
			pt.hearFrame(f)
			pt.wantRefused(tt.why)
		})
	}
}

// Two owners: keepalived's winner waits, goes down to 254 when the other stays,
// and is the owner again when that one is gone.
func TestPlainOwnerStepsDown(t *testing.T) {
	pt := masterPlain(t, plainOf(plain2, 255, Keepalived()))
	other := plainOf(plain1, 255, Keepalived())
	for range 4 { // 2 adverts and 1.2 intervals are 3.2 s
		pt.hear(other, 255)
		pt.wantMaster(true)
		pt.run(time.Second)
	}
	pt.frames = nil
	pt.hear(other, 255)
	pt.wantSent(254)
	pt.hear(other, 255)
	pt.wantMaster(false)
	pt.run(4 * time.Second)
	pt.wantMaster(true)
	pt.wantSent(255)
	// One that is heard once an hour is no owner that stays.
	for range 3 {
		pt.run(time.Hour)
		pt.frames = nil
		pt.hear(other, 255)
		pt.wantSent(255)
	}
}

func TestPlainAnnounces(t *testing.T) {
	q := Quirks{AnnounceAgain: 5 * time.Second, AnnounceEvery: 30 * time.Second}
	pt := startPlain(t, plainOf(plain1, 255, q, plainWith(plainVIP, plainVIP2)))
	if pt.announced != 1 {
		t.Fatalf("%d announcements at first", pt.announced)
	}
	if got := pt.Announces(); len(got) != 0 {
		t.Errorf("announced again: %v", got)
	}
	pt.run(61 * time.Second) // at 5, 30 and 60 s
	if pt.announced != 4 {
		t.Errorf("%d announcements in a minute, want 4", pt.announced)
	}
	pt.hear(plainOf(plain3, 255, q), 255)
	pt.announced = 0
	pt.run(2 * time.Second)
	if pt.announced != 0 || len(pt.Holds()) > 0 {
		t.Errorf("a backup announced %d times, and holds %v", pt.announced, pt.Holds())
	}
}

func TestPlainUnicast(t *testing.T) {
	p := startPlain(t, plainOf(plain1v6, 255, Keepalived(), plainPeers(plain2v6, netip.MustParseAddr("fe80::3"))))
	var got []string
	for _, f := range p.frames {
		got = append(got, fmt.Sprint(f.Destination, " ", f.TTL))
	}
	if diff := cmp.Diff([]string{"fe80::2 64", "fe80::3 64"}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestPlainConfigValidate(t *testing.T) {
	tests := []struct {
		c    PlainConfig
		want string
	}{
		{plainOf(plain1, 100, FRR()), ""},
		{plainOf(plain1, 100, FRR(), func(c *PlainConfig) { c.Version = 4 }), "version 4 must be 2 or 3"},
		{plainOf(plain1, 0, FRR()), "vrid and priority must be between 1 and 255"},
		{plainOf(plain1v6, 100, FRR(), plainV2), "source fe80::1 does not suit version 2"},
		{plainOf(netip.Addr{}, 100, FRR()), "source invalid IP does not suit version 3"},
		{plainOf(plain1, 100, FRR(), plainWith(plainVIP6)), "addresses must be 1 to 255 of the source's family"},
		{plainOf(plain1, 100, FRR(), plainWith()), "addresses must be 1 to 255 of the source's family"},
		{plainOf(plain1, 100, FRR(), plainPeers(plain2v6)), "peers must be of the source's family"},
		{plainOf(plain1, 100, FRR(), plainV2, plainEvery(time.Second/2)), "version 2 has no interval of 500ms"},
		{plainOf(plain1, 100, FRR(), plainEvery(41*time.Second)), "version 3 has no interval of 41s"},
		{plainOf(plain1, 100, FRR(), plainEvery(0)), "version 3 has no interval of 0s"},
	}
	for _, tt := range tests {
		got := ""
		if err := tt.c.Validate(); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}
