package vip

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
)

func TestPromoteSecondaries(t *testing.T) {
	const set, reset = "sysctl net/ipv4/conf/eth0/promote_secondaries=1", "sysctl net/ipv4/conf/eth0/promote_secondaries=0"
	t.Run("set and restored", func(t *testing.T) {
		inBench(t, NewFake("eth0"), func(b *bench) {
			b.Add("a", "eth0", prefixes("192.0.2.1/24"), 0)
			b.expect("ip addr add 192.0.2.1/24 dev eth0 proto 72", set)
			b.Add("b", "eth0", prefixes("192.0.2.2/24"), 0)
			b.expect("ip addr add 192.0.2.2/24 dev eth0 proto 72")
			b.Remove("a", "eth0", prefixes("192.0.2.1/24"))
			b.expect("ip addr del 192.0.2.1/24 dev eth0")
			if on := b.fake.On("eth0"); !slices.Equal(on, prefixes("192.0.2.2/24")) {
				t.Errorf("on eth0: %v, want the secondary to stay", on)
			}
			b.Remove("b", "eth0", prefixes("192.0.2.2/24"))
			b.expect("ip addr del 192.0.2.2/24 dev eth0", reset)
		})
	})
	t.Run("restored by close", func(t *testing.T) {
		inBench(t, NewFake("eth0"), func(b *bench) {
			b.Add("a", "eth0", prefixes("192.0.2.1/24"), 0)
			b.close()
			b.expect("ip addr add 192.0.2.1/24 dev eth0 proto 72", set, "ip addr del 192.0.2.1/24 dev eth0", reset)
		})
	})
	t.Run("left when nothing could be added", func(t *testing.T) {
		inBench(t, NewFake("eth0"), func(b *bench) {
			b.fake.Refuse(func(string, Change) error { return errors.New("no") })
			b.Add("a", "eth0", prefixes("192.0.2.1/24"), 0)
			b.expect()
		})
	})
	t.Run("left when set already", func(t *testing.T) {
		fake := NewFake("eth0")
		if err := fake.SetSysctl(promotePath("eth0"), "1"); err != nil {
			t.Fatal(err)
		}
		fake.Log()
		inBench(t, fake, func(b *bench) {
			b.Add("a", "eth0", prefixes("192.0.2.1/24"), 0)
			b.close()
			b.expect("ip addr add 192.0.2.1/24 dev eth0 proto 72", "ip addr del 192.0.2.1/24 dev eth0")
		})
	})
	t.Run("not for host addresses", func(t *testing.T) {
		inBench(t, NewFake("eth0"), func(b *bench) {
			b.Add("a", "eth0", prefixes("192.0.2.1/32", "2001:db8::1/64"), 0)
			b.close()
			for _, line := range b.fake.Log() {
				if strings.HasPrefix(line, "sysctl") {
					t.Errorf("unexpected %q", line)
				}
			}
		})
	})
}

// TestPromoteSecondariesInOneTurn has the orders wait for the manager, so that they
// make one turn.
func TestPromoteSecondariesInOneTurn(t *testing.T) {
	const set = "sysctl net/ipv4/conf/eth0/promote_secondaries=1"
	ours := prefixes("192.0.2.1/24")
	t.Run("after the announcement", func(t *testing.T) {
		log := inOneTurn(t, NewFake("eth0"), func(m *Manager) {
			m.Add("a", "eth0", ours, 0)
			m.Announce("a", "eth0", ours, ARPRequest)
		})
		want := []string{"ip addr add 192.0.2.1/24 dev eth0 proto 72", "announce 192.0.2.1 dev eth0 request", set}
		if diff := cmp.Diff(want, log); diff != "" {
			t.Errorf("log (-want +got):\n%s", diff)
		}
	})
	t.Run("before the removal of a first one", func(t *testing.T) {
		fake := NewFake("eth0")
		left := prefixes("192.0.2.9/24") // by an earlier run
		fake.Install("eth0", left[0], Proto)
		log := inOneTurn(t, fake, func(m *Manager) {
			m.Add("a", "eth0", ours, 0)
			m.Remove("b", "eth0", left)
		})
		if on := fake.On("eth0"); !slices.Equal(on, ours) {
			t.Errorf("on eth0: %v, want %v, which the removal took along:\n%s", on, ours, strings.Join(log, "\n"))
		}
	})
}

// inOneTurn has a manager carry out orders in one turn, and returns the fake's log.
func inOneTurn(t *testing.T, fake *Fake, orders func(*Manager)) []string {
	fake.Log()
	synctest.Test(t, func(t *testing.T) {
		m := NewManager(fake, nil)
		orders(m)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { _ = m.Run(ctx) }()
		synctest.Wait()
	})
	return fake.Log()
}

// noSysctl is a Fake on a host whose settings cannot be changed.
type noSysctl struct{ *Fake }

func (noSysctl) SetSysctl(string, string) error { return errors.New("read-only file system") }

func TestSettingThatFailsIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []Report
		m := NewManager(noSysctl{NewFake("eth0")}, func(r Report) { got = append(got, r) })
		go func() { _ = m.Run(t.Context()) }()
		m.Add("a", "eth0", prefixes("192.0.2.1/24"), 0)
		if err := m.Close(t.Context()); err != nil {
			t.Errorf("close: %v", err)
		}
		if len(got) != 1 || got[0].Err == nil || !got[0].Addresses[0].Present {
			t.Fatalf("reports %+v, want the address present and an error", got)
		}
		if want := "cannot keep the secondary addresses of eth0: read-only file system"; got[0].Err.Error() != want {
			t.Errorf("error %q, want %q", got[0].Err, want)
		}
	})
}
