package vip

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// bench is a Manager over a Fake, running in a synctest bubble.
type bench struct {
	t *testing.T
	*Manager
	fake *Fake

	mu      sync.Mutex
	reports []Report
}

// inBench runs fn with a Manager that runs. What fn leaves is closed.
func inBench(t *testing.T, fake *Fake, fn func(b *bench)) {
	synctest.Test(t, func(t *testing.T) {
		b := &bench{t: t, fake: fake}
		b.Manager = NewManager(fake, func(r Report) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.reports = append(b.reports, r)
		})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { _ = b.Run(ctx) }()
		fn(b)
	})
}

// expect waits until the manager is idle and compares the log.
func (b *bench) expect(want ...string) {
	b.t.Helper()
	synctest.Wait()
	if diff := cmp.Diff(want, b.fake.Log()); diff != "" {
		b.t.Errorf("log (-want +got):\n%s", diff)
	}
}

// said returns the reports since the last call, one line each.
func (b *bench) said() []string {
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	var lines []string
	for _, r := range b.reports {
		line := fmt.Sprintf("%v %s %s:", r.Order, r.Owner, r.Interface)
		for _, a := range r.Addresses {
			line += " " + a.Prefix.String()
			if a.Present {
				line += " present"
			}
			if a.Kept {
				line += " kept"
			}
			if a.Changed {
				line += " changed"
			}
			if l := a.Lapse; l != nil {
				line += fmt.Sprintf(" gone %v to %v after a lease of %v", l.Least, l.Most, l.Lease)
			}
			if a.Err != nil {
				line += " (" + a.Err.Error() + ")"
			}
		}
		if r.Err != nil {
			line += " error: " + r.Err.Error()
		}
		lines = append(lines, line)
	}
	b.reports = nil
	return lines
}

func (b *bench) expectReports(want ...string) {
	b.t.Helper()
	if diff := cmp.Diff(want, b.said()); diff != "" {
		b.t.Errorf("reports (-want +got):\n%s", diff)
	}
}

func (b *bench) close() {
	b.t.Helper()
	if err := b.Close(b.t.Context()); err != nil {
		b.t.Errorf("close: %v", err)
	}
}

func prefixes(ss ...string) []netip.Prefix {
	var ps []netip.Prefix
	for _, s := range ss {
		ps = append(ps, netip.MustParsePrefix(s))
	}
	return ps
}

func TestAddAnnounceRemove(t *testing.T) {
	inBench(t, NewFake("eth0"), func(b *bench) {
		v4, v6 := prefixes("192.0.2.100/32", "192.0.2.101/32"), prefixes("fe80::100/64", "2001:db8::100/128")
		b.Add("web/ipv4", "eth0", v4, 0)
		b.Announce("web/ipv4", "eth0", v4, ARPBoth)
		b.Add("web/ipv6", "eth0", v6, 0)
		b.Announce("web/ipv6", "eth0", v6, ARPRequest)
		synctest.Wait()
		log := b.fake.Log()
		for _, order := range [][2]string{
			{"ip addr add 192.0.2.100/32 dev eth0 proto 72", "announce 192.0.2.100 dev eth0 both"},
			{"ip addr add 192.0.2.101/32 dev eth0 proto 72", "announce 192.0.2.101 dev eth0 both"},
			{"ip addr add fe80::100/64 dev eth0 nodad proto 72", "announce fe80::100 dev eth0"},
			{"ip addr add 2001:db8::100/128 dev eth0 nodad noprefixroute preferred_lft 0 proto 72", "announce 2001:db8::100 dev eth0"},
		} {
			i, j := slices.Index(log, order[0]), slices.Index(log, order[1])
			if i < 0 || j < i {
				t.Errorf("want %q before %q in:\n%s", order[0], order[1], strings.Join(log, "\n"))
			}
		}
		b.expectReports(
			"add web/ipv4 eth0: 192.0.2.100/32 present 192.0.2.101/32 present",
			"announce web/ipv4 eth0: 192.0.2.100/32 present 192.0.2.101/32 present",
			"add web/ipv6 eth0: fe80::100/64 present 2001:db8::100/128 present",
			"announce web/ipv6 eth0: fe80::100/64 present 2001:db8::100/128 present",
		)
		b.Remove("web/ipv4", "eth0", v4)
		b.expect("ip addr del 192.0.2.101/32 dev eth0", "ip addr del 192.0.2.100/32 dev eth0")
		b.expectReports("remove web/ipv4 eth0: 192.0.2.100/32 192.0.2.101/32")
		b.close()
		if left := b.fake.On("eth0"); len(left) > 0 {
			t.Errorf("left after close: %v", left)
		}
	})
}

func TestCallerKeepsItsSlice(t *testing.T) {
	inBench(t, NewFake("eth0"), func(b *bench) {
		ps := prefixes("192.0.2.100/32")
		b.Add("a", "eth0", ps, 0)
		ps[0] = netip.Prefix{}
		b.expect("ip addr add 192.0.2.100/32 dev eth0 proto 72")
	})
}

func TestTwoOwners(t *testing.T) {
	inBench(t, NewFake("eth0"), func(b *bench) {
		p := prefixes("192.0.2.100/32")
		b.Add("old", "eth0", p, 0)
		b.expect("ip addr add 192.0.2.100/32 dev eth0 proto 72")
		b.Add("new", "eth0", p, 0)
		b.Remove("old", "eth0", p)
		b.Announce("old", "eth0", p, ARPRequest) // not its own any more
		b.expect()
		b.expectReports(
			"add old eth0: 192.0.2.100/32 present",
			"add new eth0: 192.0.2.100/32 present",
			"remove old eth0: 192.0.2.100/32 kept",
			"announce old eth0:",
		)
		b.Remove("old", "eth0", p) // twice is once
		b.expect()
		b.Remove("new", "eth0", p)
		b.expect("ip addr del 192.0.2.100/32 dev eth0")
	})
}

func TestForeignAddressIsLeftAlone(t *testing.T) {
	for _, tt := range []struct{ name, theirs, ours string }{
		{"ipv4", "192.0.2.1/24", "192.0.2.1/24"},
		{"ipv6", "2001:db8::1/128", "2001:db8::1/128"},
		{"ipv6 of another length", "2001:db8::1/64", "2001:db8::1/128"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fake := NewFake("eth0")
			fake.Install("eth0", netip.MustParsePrefix(tt.theirs), 0)
			inBench(t, fake, func(b *bench) {
				p := prefixes(tt.ours)
				b.Add("owner", "eth0", p, 0)
				b.Announce("owner", "eth0", p, ARPRequest)
				synctest.Wait()
				log := slices.DeleteFunc(b.fake.Log(), func(s string) bool { return strings.HasPrefix(s, "sysctl") })
				if want := "announce " + p[0].Addr().String() + " dev eth0"; len(log) != 1 || !strings.HasPrefix(log[0], want) {
					t.Errorf("log %q, want only %q", log, want)
				}
				b.Remove("owner", "eth0", p)
				b.expectReports(
					"add owner eth0: "+tt.ours+" present kept",
					"announce owner eth0: "+tt.ours+" present kept",
					"remove owner eth0: "+tt.ours+" kept",
				)
				b.close()
				if diff := cmp.Diff(prefixes(tt.theirs), b.fake.On("eth0"), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
					t.Errorf("addresses (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestForeignAddressInOneTurn(t *testing.T) {
	// The removal must not be planned before it is known whose address it is.
	fake := NewFake("eth0")
	p := prefixes("192.0.2.1/32")
	fake.Install("eth0", p[0], 0)
	inBench(t, fake, func(b *bench) {
		b.Add("a", "eth0", p, 0)
		b.Remove("a", "eth0", p)
		b.Remove("stranger", "eth0", p)
		b.expect()
		b.expectReports(
			"add a eth0: 192.0.2.1/32 present kept",
			"remove a eth0: 192.0.2.1/32 kept",
			"remove stranger eth0: 192.0.2.1/32 kept",
		)
	})
}

func TestAddressOfAnEarlierRun(t *testing.T) {
	fake := NewFake("eth0")
	ours := prefixes("192.0.2.1/32", "192.0.2.2/32", "2001:db8::1/64")
	for _, p := range ours {
		fake.Install("eth0", p, Proto)
	}
	inBench(t, fake, func(b *bench) {
		b.Add("a", "eth0", ours[:1], 0)
		b.expect("ip addr replace 192.0.2.1/32 dev eth0 proto 72")
		b.Remove("a", "eth0", ours[1:2]) // never added, but ours
		b.expect("ip addr del 192.0.2.2/32 dev eth0")
		b.Add("a", "eth0", prefixes("2001:db8::1/128"), 0)
		b.expect(
			"ip addr del 2001:db8::1/64 dev eth0",
			"ip addr add 2001:db8::1/128 dev eth0 nodad noprefixroute preferred_lft 0 proto 72",
		)
		b.close()
		b.expect("ip addr del 192.0.2.1/32 dev eth0", "ip addr del 2001:db8::1/128 dev eth0")
	})
}

func TestAddAgainRepairs(t *testing.T) {
	inBench(t, NewFake("eth0"), func(b *bench) {
		p := prefixes("192.0.2.1/32", "192.0.2.2/32")
		b.Add("a", "eth0", p, 0)
		synctest.Wait()
		b.fake.Log()
		b.fake.Delete("eth0", p[1])
		b.Add("a", "eth0", p, 0)
		b.expect("ip addr add 192.0.2.2/32 dev eth0 proto 72")
	})
}

func TestGoneIsNoError(t *testing.T) {
	inBench(t, NewFake("eth0"), func(b *bench) {
		p := prefixes("192.0.2.1/32")
		b.Add("a", "eth0", p, 0)
		synctest.Wait()
		b.fake.Delete("eth0", p[0])
		b.Remove("a", "eth0", p)
		b.Add("a", "eth0", p, 0)
		synctest.Wait()
		b.fake.DeleteInterface("eth0")
		b.Remove("a", "eth0", p)
		b.expectReports(
			"add a eth0: 192.0.2.1/32 present", "remove a eth0: 192.0.2.1/32",
			"add a eth0: 192.0.2.1/32 present", "remove a eth0: 192.0.2.1/32",
		)
		b.Add("a", "eth0", p, 0)
		b.Announce("a", "eth0", p, ARPRequest)
		b.expectReports(
			"add a eth0: 192.0.2.1/32 (cannot add 192.0.2.1/32 to eth0: no such interface)",
			"announce a eth0:",
		)
		b.close()
	})
}

func TestRenamedInterface(t *testing.T) {
	inBench(t, NewFake("eth0"), func(b *bench) {
		p := prefixes("192.0.2.1/32", "192.0.2.2/32")
		b.Add("a", "eth0", p, 0)
		synctest.Wait()
		b.fake.RenameInterface("eth0", "wan")
		b.fake.Log()
		b.Remove("a", "eth0", p[:1])
		b.expect("ip addr del 192.0.2.1/32 dev wan")
		b.close()
		b.expect("ip addr del 192.0.2.2/32 dev wan")
	})
}

func TestRefusal(t *testing.T) {
	inBench(t, NewFake("eth0"), func(b *bench) {
		p := prefixes("192.0.2.1/32", "192.0.2.2/32", "192.0.2.3/32")
		refused := errors.New("operation not permitted")
		b.fake.Refuse(func(_ string, c Change) error {
			if c.Address.Prefix == p[1] {
				return refused
			}
			return nil
		})
		b.Add("a", "eth0", p, 0)
		b.Announce("a", "eth0", p, ARPRequest)
		b.expectReports(
			"add a eth0: 192.0.2.1/32 present 192.0.2.2/32 (cannot add 192.0.2.2/32 to eth0: operation not permitted) 192.0.2.3/32 present",
			"announce a eth0: 192.0.2.1/32 present 192.0.2.3/32 present",
		)
		b.fake.Refuse(func(_ string, c Change) error { return refused })
		b.Remove("a", "eth0", p[:1])
		b.expectReports("remove a eth0: 192.0.2.1/32 present (cannot remove 192.0.2.1/32 from eth0: operation not permitted)")
		if err := b.Close(b.t.Context()); !errorHas(err, "cannot remove 192.0.2.1/32 from eth0") || !errorHas(err, "cannot remove 192.0.2.3/32 from eth0") {
			t.Errorf("close: %v, want both addresses that could not be removed", err)
		}
	})
}

// TestRefusedRenewal has the kernel refuse to renew what an earlier run left: it is
// there all the same, and the next attempt need not look for it.
func TestRefusedRenewal(t *testing.T) {
	fake := NewFake("eth0")
	p := prefixes("192.0.2.1/32")
	fake.Install("eth0", p[0], Proto)
	inBench(t, fake, func(b *bench) {
		b.fake.Refuse(func(_ string, c Change) error {
			if c.Verb == Replace {
				return errors.New("no memory")
			}
			return nil
		})
		b.Add("a", "eth0", p, 0)
		b.expectReports("add a eth0: 192.0.2.1/32 present (cannot add 192.0.2.1/32 to eth0: no memory)")
		b.fake.Refuse(nil)
		b.fake.Log()
		before := b.fake.Exchanges()
		b.Add("a", "eth0", p, 0)
		b.expectReports("add a eth0: 192.0.2.1/32 present")
		b.expect("ip addr replace 192.0.2.1/32 dev eth0 proto 72")
		if n := b.fake.Exchanges() - before; n != 1 {
			t.Errorf("%d exchanges with the kernel for the second attempt, want 1", n)
		}
		b.close()
		if on := b.fake.On("eth0"); len(on) != 0 {
			t.Errorf("after the end %v is there", on)
		}
	})
}

func errorHas(err error, part string) bool { return err != nil && strings.Contains(err.Error(), part) }

func TestRemovalIsTriedAgainAtTheEnd(t *testing.T) {
	inBench(t, NewFake("eth0"), func(b *bench) {
		p := prefixes("192.0.2.1/32")
		b.Add("a", "eth0", p, 0)
		b.fake.Refuse(func(_ string, c Change) error {
			if c.Verb == Remove {
				return errors.New("busy")
			}
			return nil
		})
		b.Remove("a", "eth0", p)
		synctest.Wait()
		b.fake.Refuse(nil)
		b.close()
		b.expect("ip addr add 192.0.2.1/32 dev eth0 proto 72", "ip addr del 192.0.2.1/32 dev eth0")
	})
}

func TestAnnounceFails(t *testing.T) {
	inBench(t, NewFake("eth0"), func(b *bench) {
		b.fake.SetCarrier("eth0", false)
		b.Add("a", "eth0", prefixes("192.0.2.1/32"), 0)
		b.Announce("a", "eth0", prefixes("192.0.2.1/32"), ARPRequest)
		b.expectReports(
			"add a eth0: 192.0.2.1/32 present",
			"announce a eth0: 192.0.2.1/32 present error: cannot announce addresses on eth0: network is down",
		)
	})
}

func TestNoAnnouncementAfterRemoval(t *testing.T) {
	// When the three are carried out in one turn, the address is gone before
	// anything is announced.
	inBench(t, NewFake("eth0"), func(b *bench) {
		p := prefixes("192.0.2.1/32")
		b.Add("a", "eth0", p, 0)
		b.Announce("a", "eth0", p, ARPRequest)
		b.Remove("a", "eth0", p)
		synctest.Wait()
		log := b.fake.Log()
		gone := slices.Index(log, "ip addr del 192.0.2.1/32 dev eth0")
		if gone < 0 || slices.Contains(log[gone:], "announce 192.0.2.1 dev eth0 request") {
			t.Errorf("log:\n%s", strings.Join(log, "\n"))
		}
	})
}

// slowKernel takes its time, to change addresses and until they can be announced.
type slowKernel struct {
	*Fake
	pause time.Duration
}

func (k slowKernel) Apply(iface string, changes []Change) []error {
	time.Sleep(k.pause)
	return k.Fake.Apply(iface, changes)
}

func (k slowKernel) Announce(iface string, form ARPForm, addrs []netip.Addr, still func(netip.Addr) bool) error {
	time.Sleep(k.pause)
	return k.Fake.Announce(iface, form, addrs, still)
}

// A busy kernel may have an announcement wait until another host has the
// addresses. It is not sent then, and later ones are.
func TestNoAnnouncementOnceTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := NewFake("eth0")
		m := NewManager(slowKernel{fake, 100 * time.Millisecond}, nil)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { _ = m.Run(ctx) }()
		p := prefixes("192.0.2.1/32")
		m.Add("a", "eth0", p, 0)
		m.Add("b", "eth0", p, 0)
		m.Announce("a", "eth0", p, ARPRequest)
		m.Announce("b", "eth0", p, ARPReply)
		time.Sleep(50 * time.Millisecond) // the turn has begun
		m.Announce("a", "eth0", p, ARPRequest)
		m.StopAnnouncing("a")
		time.Sleep(time.Second)
		if got, want := announced(fake), []string{"announce 192.0.2.1 dev eth0 reply"}; !slices.Equal(got, want) {
			t.Errorf("announced %q, want %q", got, want)
		}
		m.Announce("a", "eth0", p, ARPRequest)
		time.Sleep(time.Second)
		if got, want := announced(fake), []string{"announce 192.0.2.1 dev eth0 request"}; !slices.Equal(got, want) {
			t.Errorf("announced %q, want %q", got, want)
		}
		m.Announce("a", "eth0", p, ARPRequest)
		time.Sleep(50 * time.Millisecond) // the kernel is at it
		m.StopAnnouncing("a")
		time.Sleep(time.Second)
		if got := announced(fake); len(got) != 0 {
			t.Errorf("announced %q, want nothing", got)
		}
		m.Remove("a", "eth0", p)
		time.Sleep(time.Second)
		synctest.Wait()
		if n := len(m.queue.quiet); n != 0 {
			t.Errorf("%d owners are remembered, want none", n)
		}
	})
}

// announced lists what was announced since the last call.
func announced(fake *Fake) []string {
	return slices.DeleteFunc(fake.Log(), func(l string) bool { return !strings.HasPrefix(l, "announce") })
}

func TestManyAddressesFewExchanges(t *testing.T) {
	const owners, each = 20, 200
	var hold chan struct{}
	fake := NewFake("eth0", "eth1")
	first := true
	fake.Refuse(func(string, Change) error {
		if first {
			first = false
			<-hold
		}
		return nil
	})
	synctest.Test(t, func(t *testing.T) {
		hold = make(chan struct{})
		m := NewManager(fake, nil)
		go func() { _ = m.Run(t.Context()) }()
		m.Add("first", "eth1", prefixes("198.51.100.1/32"), 0)
		synctest.Wait() // held: from here on, callers must not block
		for o := range owners {
			var ps []netip.Prefix
			for i := range each {
				ps = append(ps, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(o), 0, byte(i)}), 32))
			}
			m.Add(fmt.Sprint(o), "eth0", ps, 0)
			m.Announce(fmt.Sprint(o), "eth0", ps, ARPRequest)
		}
		close(hold)
		synctest.Wait()
		if n := len(fake.On("eth0")); n != owners*each {
			t.Errorf("%d addresses on eth0, want %d", n, owners*each)
		}
		// an order of 200 is two turns.
		if n := fake.Exchanges(); n > 1+owners*2+1 {
			t.Errorf("%d exchanges for %d addresses", n, owners*each)
		}
		announced := 0
		for _, line := range fake.Log() {
			if strings.HasPrefix(line, "announce") {
				announced++
			}
		}
		if announced != owners*each {
			t.Errorf("%d announcements, want %d", announced, owners*each)
		}
		if err := m.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if n := len(fake.On("eth0")) + len(fake.On("eth1")); n != 0 {
			t.Errorf("%d addresses left", n)
		}
	})
}

func TestCancelLeavesEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := NewFake("eth0")
		m := NewManager(fake, nil)
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error, 1)
		go func() { result <- m.Run(ctx) }()
		m.Add("a", "eth0", prefixes("192.0.2.1/24"), 0)
		synctest.Wait()
		cancel()
		if err := <-result; !errors.Is(err, context.Canceled) {
			t.Errorf("run: %v", err)
		}
		if on := fake.On("eth0"); !slices.Equal(on, prefixes("192.0.2.1/24")) {
			t.Errorf("on eth0: %v, want the address to stay", on)
		}
		if err := m.Close(t.Context()); !errors.Is(err, context.Canceled) {
			t.Errorf("close after cancel: %v", err)
		}
	})
}

// Nothing that waits is carried out once the context has ended.
func TestCancelEndsAtOnce(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 50 { // what was a matter of chance
		fake := NewFake("eth0")
		fake.Install("eth0", prefixes("192.0.2.1/24")[0], Proto)
		m := NewManager(fake, nil)
		m.Remove("a", "eth0", prefixes("192.0.2.1/24"))
		if err := m.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Fatalf("run: %v", err)
		}
		if on := fake.On("eth0"); len(on) != 1 {
			t.Fatalf("on eth0: %v, want the address to stay", on)
		}
	}
}

func TestClose(t *testing.T) {
	t.Run("carries out the queue", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			fake := NewFake("eth0", "eth1")
			m := NewManager(fake, nil)
			m.Add("a", "eth0", prefixes("192.0.2.1/32"), 0)
			m.Add("b", "eth1", prefixes("192.0.2.2/32"), 0)
			m.Announce("b", "eth1", prefixes("192.0.2.2/32"), ARPReply)
			go func() { _ = m.Run(t.Context()) }()
			if err := m.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			m.Add("c", "eth0", prefixes("192.0.2.3/32"), 0)
			synctest.Wait()
			want := []string{
				"ip addr add 192.0.2.1/32 dev eth0 proto 72",
				"ip addr add 192.0.2.2/32 dev eth1 proto 72",
				"announce 192.0.2.2 dev eth1 reply",
				"ip addr del 192.0.2.1/32 dev eth0",
				"ip addr del 192.0.2.2/32 dev eth1",
			}
			if diff := cmp.Diff(want, fake.Log()); diff != "" {
				t.Errorf("log (-want +got):\n%s", diff)
			}
		})
	})
	t.Run("gives up with its context", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m := NewManager(NewFake(), nil) // does not run
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if err := m.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("close: %v", err)
			}
		})
	})
}

func TestCleanLeftovers(t *testing.T) {
	fake := NewFake("eth0", "eth1")
	for _, p := range prefixes("192.0.2.1/32", "192.0.2.2/32", "192.0.2.3/32") {
		fake.Install("eth0", p, Proto)
	}
	fake.Install("eth0", netip.MustParsePrefix("192.0.2.10/24"), 0)
	fake.Install("eth1", netip.MustParsePrefix("2001:db8::1/128"), Proto)
	fake.Install("eth1", netip.MustParsePrefix("2001:db8::2/64"), 3)
	inBench(t, fake, func(b *bench) {
		b.Add("a", "eth0", prefixes("192.0.2.3/32"), 0)
		synctest.Wait()
		b.fake.Log()
		removed, err := b.CleanLeftovers(func(p Present) bool { return p.Prefix.String() == "192.0.2.2/32" })
		if err != nil {
			t.Error(err)
		}
		if len(removed) != 2 || removed[0].Interface != "eth0" || removed[1].Interface != "eth1" {
			t.Errorf("removed %+v", removed)
		}
		b.expect("ip addr del 192.0.2.1/32 dev eth0", "ip addr del 2001:db8::1/128 dev eth1")
		if removed, err := b.CleanLeftovers(nil); err != nil || len(removed) != 1 {
			t.Errorf("removed %+v, %v; want the one that was kept before", removed, err)
		}
		b.fake.Install("eth0", netip.MustParsePrefix("192.0.2.4/32"), Proto)
		b.fake.Refuse(func(string, Change) error { return errors.New("no") })
		if removed, err := b.CleanLeftovers(nil); !errorHas(err, "cannot remove 192.0.2.4/32 from eth0: no") || len(removed) != 0 {
			t.Errorf("removed %+v, %v", removed, err)
		}
	})
}

// unlisted is a Fake whose addresses cannot be listed.
type unlisted struct{ *Fake }

func (unlisted) Addresses(string) ([]Present, error) { return nil, errors.New("out of memory") }

func TestAddressesThatCannotBeListed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := NewFake("eth0")
		p := prefixes("192.0.2.1/32")
		fake.Install("eth0", p[0], Proto)
		var got []Report
		m := NewManager(unlisted{fake}, func(r Report) { got = append(got, r) })
		go func() { _ = m.Run(t.Context()) }()
		m.Add("a", "eth0", p, 0)
		if err := m.Close(t.Context()); err != nil {
			t.Errorf("close: %v", err)
		}
		if len(got) != 1 || !errorHas(got[0].Addresses[0].Err, "cannot list addresses") || got[0].Addresses[0].Present {
			t.Errorf("reports %+v", got)
		}
		if _, err := m.CleanLeftovers(nil); !errorHas(err, "cannot list addresses: out of memory") {
			t.Errorf("clean: %v", err)
		}
	})
}
