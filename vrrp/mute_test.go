package vrrp

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// silence has adverts not leave for as long as mute is set, and the master in fault
// for that.
func silence(te *engineTest) (mute *bool) {
	mute = new(true)
	te.sent = func(s *SendAdvert) {
		if *mute {
			te.next = append(te.next, &SendFailed{Router: s.Router, Reason: "operation not permitted"})
		}
	}
	for te.status("web").State != StateFault {
		te.advance(100 * time.Millisecond)
	}
	return mute
}

// A node that was mute takes nothing from anybody before an advert of its has
// left, and tries again more and more seldom.
func TestMuteNodeProvesItselfFirst(t *testing.T) {
	te := newMaster(t, web(leased(2*second)))
	mute := silence(te)
	te.lines = nil
	for _, wait := range []time.Duration{sendRetry, 2 * sendRetry, 4 * sendRetry, 8 * sendRetry, sendRetryMax, sendRetryMax} {
		te.advance(wait + down150 - 200*time.Millisecond) // it hears others, but here is nobody
		te.wantOnly("advert")
		te.advance(210 * time.Millisecond)
		te.wantState("web", StateFault)
		te.wantReason("web", "adverts cannot be sent: operation not permitted")
		if !slices.Contains(te.lines, "web: advert prio=150 interval=1s to=224.0.0.18") {
			t.Fatalf("after %v it does not try", wait)
		}
		for _, line := range te.lines {
			if !strings.Contains(line, ": advert ") && !strings.Contains(line, ": remove ") && !strings.Contains(line, ": stop announcing") {
				t.Fatalf("after %v: %s", wait, line)
			}
		}
		te.lines = nil
	}
	*mute = false
	te.advance(sendRetryMax)
	te.lines = nil
	te.advance(down150)
	te.advance(proveTime)
	te.wantState("web", StateMaster)
	te.lines = slices.DeleteFunc(te.lines, func(line string) bool { return strings.Contains(line, ": renew ") })
	te.wantOnly(" eth0", "web: add 192.0.2.100/24 eth0", "web: announce 192.0.2.100/24 eth0")
	te.advance(5 * second)
	if n := te.renewals(); n == 0 {
		t.Error("nothing is renewed")
	}

	// Proven is proven: the next time begins with the short wait.
	*mute = true
	for te.status("web").State != StateFault {
		te.advance(100 * time.Millisecond)
	}
	te.advance(sendRetry + down150 - 200*time.Millisecond)
	te.lines = nil
	te.advance(210 * time.Millisecond)
	te.wantOnly("advert", "web: advert prio=150 interval=1s to=224.0.0.18")
}

// A node that sleeps before its first advert is known to have left still proves
// itself first, and then keeps its lease.
func TestMuteNodeThatSleepsProvesItselfFirst(t *testing.T) {
	te := newMaster(t, web(leased(2*second)))
	mute := silence(te)
	te.advance(sendRetry)
	*mute = false
	te.advance(down150)
	te.wantState("web", StateFault) // for people
	te.do(&Late{By: 5 * second})
	te.lines = nil
	te.advance(listen150)
	te.want("web: advert prio=150 interval=1s to=224.0.0.18")
	te.advance(proveTime)
	te.want("web: add 192.0.2.100/24 eth0", "web: announce 192.0.2.100/24 eth0", "web: fault -> master (no master heard for 3.41s)", "web: hook master")
	te.advance(5 * second)
	if n := te.renewals(); n < 5 {
		t.Errorf("%d renewals in 5 s", n)
	}
}

// Nor does a reload in that moment give it the addresses.
func TestMuteNodeThatIsReloadedProvesItselfFirst(t *testing.T) {
	te := newMaster(t, web())
	mute := silence(te)
	te.advance(sendRetry)
	*mute = false
	te.advance(down150)
	te.wantState("web", StateFault) // for people
	te.lines = nil
	te.configure(web(leased(2*second), vips("192.0.2.100/24", "192.0.2.101/24")))
	te.wantNone()
	te.advance(proveTime)
	te.wantOnly(" eth0", "web: add 192.0.2.100/24 192.0.2.101/24 eth0", "web: announce 192.0.2.100/24 192.0.2.101/24 eth0")
}

// Trouble that comes back demotes for longer each time, up to a bound, and what
// is long ago is forgotten.
func TestTroubleThatComesBack(t *testing.T) {
	te := newMaster(t, web())
	te.deaf = true
	refused := &AddressesChanged{Router: RouterID{Instance: "web", Family: IPv4}, Addresses: []AddressState{
		{Address: prefixes("192.0.2.100/24")[0], Problem: "cannot add 192.0.2.100/24 to eth0: permission denied"},
	}}
	// trouble returns for how long the node is demoted.
	trouble := func() time.Duration {
		t.Helper()
		te.do(refused)
		te.advance(1100 * time.Millisecond)
		te.do(refused)
		te.do(refused) // in trouble already
		if s := te.status("web"); !s.Demoted || s.DemotedWhy != refused.Addresses[0].Problem {
			t.Fatalf("demoted %v: %s", s.Demoted, s.DemotedWhy)
		}
		began := te.now
		for te.status("web").Demoted {
			te.advance(second)
		}
		te.do(&AddressesChanged{Router: refused.Router, Addresses: []AddressState{{Address: refused.Addresses[0].Address, Present: true}}})
		te.wantState("web", StateMaster) // for want of any other
		return te.now.Sub(began)
	}
	want := troublePenalty
	for range 8 {
		if got := trouble(); got < want || got > want+second {
			t.Errorf("demoted for %v, want %v", got, want)
		}
		want = min(2*want, troublePenaltyMax)
	}
	te.advance(troubleForget)
	if got := trouble(); got > troublePenalty+second {
		t.Errorf("demoted for %v a long time later, want %v", got, troublePenalty)
	}
}

// Addresses that were left in place for a master that may not go on after all
// are taken off, for nothing else would.
func TestWhatIsNotAdoptedIsRemoved(t *testing.T) {
	for name, prevent := range map[string]func(te *engineTest){
		"no carrier":        func(te *engineTest) { te.do(eth0(func(l *Link) { l.Carrier = false })) },
		"no such interface": func(te *engineTest) { te.do(&Link{Name: "eth0"}) },
		"no source":         func(te *engineTest) { te.do(eth0(func(l *Link) { l.Addresses = nil })) },
		"stopped":           func(te *engineTest) { te.do(&Stop{}) },
		"removed":           func(te *engineTest) { te.configure() },
	} {
		t.Run(name, func(t *testing.T) {
			te := newBare(t)
			te.do(&Adopt{Routers: []Adopted{{"eth0", 51, IPv4, false, time.Time{}}}})
			te.configure(web())
			te.lines = nil
			prevent(te)
			te.wantOnly(": remove ", "web: remove 192.0.2.100/24 eth0")
		})
	}
}

// An advert that did not leave is no matter any more once this node is backup.
func TestBackupIsNotMute(t *testing.T) {
	te := newMaster(t, web())
	te.sent = func(s *SendAdvert) {
		te.next = append(te.next, &SendFailed{Router: s.Router, Reason: "no buffer space available"})
	}
	te.advance(second)
	id := RouterID{Instance: "web", Family: IPv4}
	if s, _ := te.e.Standing(id); !s.Mute {
		t.Error("a master whose advert did not leave is not mute")
	}
	te.sent = nil
	te.advert(peer, 200)
	te.advance(lingered)
	if s, _ := te.e.Standing(id); s.State != StateBackup || s.Mute {
		t.Errorf("%+v", s)
	}
}

// A node that tries again all night is in fault all night: no hook runs, nothing is
// told twice, and no mastership is counted.
func TestMuteNodeTriesUnseen(t *testing.T) {
	for name, heard := range map[string]uint8{"nobody else": 0, "a weaker master": 100} {
		t.Run(name, func(t *testing.T) {
			te := newMaster(t, web())
			mute := silence(te)
			te.lines = nil
			since, counted := te.status("web").Since, te.router().Counters
			tries := 0
			for range 3600 {
				te.advance(second)
				if heard != 0 {
					te.advert(peer, heard)
				}
				for _, line := range te.lines {
					switch {
					case strings.Contains(line, ": advert "):
						tries++
					case !strings.Contains(line, ": remove ") && !strings.Contains(line, ": stop announcing"):
						t.Fatal(line)
					}
				}
				te.lines = nil
				te.wantState("web", StateFault)
				te.wantReason("web", "adverts cannot be sent: operation not permitted")
			}
			now := te.router()
			if now.State != StateFault || now.Counters.BecameMaster != counted.BecameMaster || now.Counters.LeftMaster != counted.LeftMaster || te.status("web").Since != since {
				t.Errorf("%v since %v, became master %d times, ceased to be %d times", now.State, now.Since, now.Counters.BecameMaster, now.Counters.LeftMaster)
			}
			if tries < 50 || tries > 65 {
				t.Errorf("%d tries in an hour", tries)
			}
			*mute = false
			te.advance(sendRetryMax + down150 + second)
			te.wantState("web", StateMaster)
			te.wantOnly("->", "web: fault -> master ("+te.status("web").Reason+")")
			if n := te.router().Counters.BecameMaster; n != counted.BecameMaster+1 {
				t.Errorf("became master %d times, want one more than %d", n, counted.BecameMaster)
			}
		})
	}
}

// One that hears a master which it leaves alone is the backup of that one, and to
// people stays so until its first advert has left.
func TestMuteNodeThatHearsAMaster(t *testing.T) {
	te := newMaster(t, web())
	te.sent = func(s *SendAdvert) {
		te.next = append(te.next, &SendFailed{Router: s.Router, Reason: "operation not permitted"})
	}
	for te.status("web").State != StateFault {
		te.advance(100 * time.Millisecond)
	}
	te.advance(sendRetry)
	te.lines = nil
	te.advert(peer, 200)
	te.want("web: fault -> backup (192.0.2.2 is master with priority 200)", "web: hook backup")
	te.advance(down150 + 10*time.Millisecond)
	te.wantOnly("->", "web: backup -> fault (adverts cannot be sent: operation not permitted)")
}
