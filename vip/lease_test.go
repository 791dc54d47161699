package vip

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// soon is a time before which a renewal is wanted.
func soon() time.Time { return time.Now().Add(time.Second) }

// A lease is taken with the address and taken anew by each renewal, which says
// nothing when all went well.
func TestLease(t *testing.T) {
	inBench(t, NewFake("eth0"), func(b *bench) {
		list := prefixes("192.0.2.100/32", "2001:db8::100/128")
		b.Add("web", "eth0", list, 2*time.Second)
		b.expect(
			"ip addr add 192.0.2.100/32 dev eth0 valid_lft 2 preferred_lft 2 proto 72",
			"ip addr add 2001:db8::100/128 dev eth0 nodad valid_lft 2 noprefixroute preferred_lft 0 proto 72",
		)
		b.said()
		b.Renew("web", "eth0", list, 2*time.Second, soon())
		b.expect(
			"ip addr replace 192.0.2.100/32 dev eth0 valid_lft 2 preferred_lft 2 proto 72",
			"ip addr replace 2001:db8::100/128 dev eth0 nodad valid_lft 2 noprefixroute preferred_lft 0 proto 72",
		)
		b.expectReports()
		b.close()
	})
}

// A renewal that comes too late, or for what is not held, changes nothing: it
// must never bring an address back that another host may have by now.
func TestRenewalThatMustNotBe(t *testing.T) {
	for name, renew := range map[string]func(b *bench){
		"too late":    func(b *bench) { b.Renew("web", "eth0", prefixes("192.0.2.100/32"), 2*time.Second, time.Now()) },
		"not held":    func(b *bench) { b.Renew("web", "eth0", prefixes("192.0.2.101/32"), 2*time.Second, soon()) },
		"not the one": func(b *bench) { b.Renew("other", "eth0", prefixes("192.0.2.100/32"), 2*time.Second, soon()) },
		"not ours":    func(b *bench) { b.Renew("web", "eth0", prefixes("192.0.2.1/24"), 2*time.Second, soon()) },
	} {
		t.Run(name, func(t *testing.T) {
			fake := NewFake("eth0")
			fake.Install("eth0", prefixes("192.0.2.1/24")[0], 0)
			inBench(t, fake, func(b *bench) {
				b.Add("web", "eth0", prefixes("192.0.2.100/32", "192.0.2.1/24"), 2*time.Second)
				b.said()
				fake.Log()
				renew(b)
				b.expectReports()
				if log := fake.Log(); len(log) > 0 {
					t.Errorf("log %q", log)
				}
				b.close()
			})
		})
	}
}

// A renewal after the removal does not undo it.
func TestRenewalAfterRemoval(t *testing.T) {
	inBench(t, NewFake("eth0"), func(b *bench) {
		list := prefixes("192.0.2.100/32")
		b.Add("web", "eth0", list, 2*time.Second)
		b.Remove("web", "eth0", list)
		b.Renew("web", "eth0", list, 2*time.Second, soon())
		b.said()
		if on := b.fake.On("eth0"); len(on) > 0 {
			t.Errorf("on eth0: %v", on)
		}
		b.close()
	})
}

// A reload that changes the lease, or ends it, changes the address in place.
func TestLeaseChanges(t *testing.T) {
	inBench(t, NewFake("eth0"), func(b *bench) {
		list := prefixes("192.0.2.100/32")
		b.Add("web", "eth0", list, 2*time.Second)
		b.Add("web", "eth0", list, 0)
		b.expect(
			"ip addr add 192.0.2.100/32 dev eth0 valid_lft 2 preferred_lft 2 proto 72",
			"ip addr replace 192.0.2.100/32 dev eth0 proto 72",
		)
		b.close()
	})
}

// A renewal that the kernel refuses is reported, for that address alone.
func TestRenewalRefused(t *testing.T) {
	fake := NewFake("eth0")
	inBench(t, fake, func(b *bench) {
		list := prefixes("192.0.2.100/32", "192.0.2.101/32")
		b.Add("web", "eth0", list, 2*time.Second)
		b.said()
		fake.Refuse(func(_ string, c Change) error {
			if c.Address.Prefix == list[1] {
				return errors.New("out of memory")
			}
			return nil
		})
		b.Renew("web", "eth0", list, 2*time.Second, soon())
		b.expectReports("renew web eth0: 192.0.2.101/32 present (cannot add 192.0.2.101/32 to eth0: out of memory)")
		fake.Refuse(nil)
		b.Renew("web", "eth0", list, 2*time.Second, soon())
		b.expectReports("renew web eth0: 192.0.2.101/32 present") // so that people hear it is over
		b.Renew("web", "eth0", list, 2*time.Second, soon())
		b.expectReports()
		b.close()
	})
}

// The kernel for tests removes what is not renewed, tells whoever watches, and
// lets go of a lease that ended some other way.
func TestFakeLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := NewFake("eth0")
		var seen []LinkState
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			f.Watch(ctx, func(s []LinkState) { seen = s }, nil)
		}()
		list := prefixes("192.0.2.100/32", "192.0.2.101/32", "192.0.2.102/32")
		do := func(v Verb, p netip.Prefix, lifetime time.Duration) {
			t.Helper()
			if err := f.Apply("eth0", []Change{{v, Address{p, lifetime}}})[0]; err != nil {
				t.Fatal(err)
			}
		}
		for _, p := range list {
			do(Create, p, 2*time.Second)
		}
		time.Sleep(1500 * time.Millisecond)
		do(Replace, list[0], 2*time.Second) // renewed
		do(Replace, list[1], 0)             // for ever
		time.Sleep(400 * time.Millisecond)
		do(Remove, list[2], 0)
		f.Install("eth0", list[2], 0) // by somebody else
		if all, _ := f.Addresses(""); all[0].ValidLifetime != 1600*time.Millisecond || all[1].ValidLifetime != 0 || all[2].ValidLifetime != 0 {
			t.Errorf("lifetimes left: %+v", all)
		}
		time.Sleep(1599 * time.Millisecond)
		if got := f.On("eth0"); !slices.Equal(got, list) {
			t.Errorf("just before the end: %v", got)
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if got := f.On("eth0"); !slices.Equal(got, list[1:]) {
			t.Errorf("after the end: %v", got)
		}
		if len(seen) != 1 || len(seen[0].Addresses) != 2 {
			t.Errorf("last seen: %+v", seen)
		}
		cancel()
		<-done
	})
}

// A renewal passes an addition that was given before it with a shorter lease, and
// that one does not shorten it again.
func TestRenewalPassesAddition(t *testing.T) {
	m := NewManager(NewFake("eth0"), nil)
	addrs := []netip.Prefix{netip.MustParsePrefix("192.0.2.100/24")}
	lease := func() time.Duration {
		for {
			turn, _ := m.queue.take()
			if len(turn) == 0 {
				return m.links["eth0"].entries[addrs[0]].lease
			}
			m.turn(turn)
		}
	}
	m.Add("web", "eth0", addrs, 2*time.Second)
	if got := lease(); got != 2*time.Second {
		t.Fatalf("added for %v", got)
	}
	m.Add("web", "eth0", addrs, time.Second)
	m.Renew("web", "eth0", addrs, 14*time.Second, time.Now().Add(time.Hour))
	if got := lease(); got != 14*time.Second {
		t.Errorf("added for a second and then renewed for 14 s: it is there for %v", got)
	}
	m.Add("web", "eth0", addrs, time.Second)
	if got := lease(); got != time.Second {
		t.Errorf("added for a second after that: it is there for %v", got)
	}
}
