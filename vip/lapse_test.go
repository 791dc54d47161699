package vip

import (
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// waitingKernel answers once a time has come, as one whose network lock is taken: what
// it is asked for waits, and is done then.
type waitingKernel struct {
	*Fake
	until time.Time
	blind bool // it cannot list addresses
}

func (k *waitingKernel) Apply(iface string, changes []Change) []error {
	time.Sleep(time.Until(k.until))
	return k.Fake.Apply(iface, changes)
}

func (k *waitingKernel) Addresses(iface string) ([]Present, error) {
	time.Sleep(time.Until(k.until))
	if k.blind {
		return nil, errors.New("out of memory")
	}
	return k.Fake.Addresses(iface)
}

// Who hears that an address is gone hears how old its lease was.
func TestLapse(t *testing.T) {
	const ms = time.Millisecond
	list := prefixes("192.0.2.100/32")
	renew := func(b *bench) { b.Renew("web", "eth0", list, 2*time.Second, soon()) }
	// A renewal waits until the lease has run out.
	renewWaiting := func(b *bench, k *waitingKernel) {
		time.Sleep(time.Second)
		k.until = time.Now().Add(1500 * ms)
		renew(b)
		time.Sleep(1400 * ms)
	}
	// And somebody sees that.
	renewLate := func(b *bench, k *waitingKernel) {
		renewWaiting(b, k)
		b.Audit("eth0", []LinkAddress{})
	}
	for _, tt := range []struct {
		name   string
		happen func(b *bench, k *waitingKernel)
		want   []string
	}{
		{"it ran out", func(b *bench, _ *waitingKernel) {
			time.Sleep(2100 * ms)
			b.Audit("eth0", nil)
		}, []string{"audit web eth0: 192.0.2.100/32 gone 2.1s to 2.1s after a lease of 2s"}},
		{"somebody removed it", func(b *bench, _ *waitingKernel) {
			time.Sleep(1500 * ms)
			renew(b)
			time.Sleep(500 * ms)
			b.fake.Delete("eth0", list[0])
			b.Audit("eth0", []LinkAddress{})
		}, []string{"audit web eth0: 192.0.2.100/32 gone 500ms to 500ms after a lease of 2s"}},
		{"it ran out while the kernel was busy", func(b *bench, k *waitingKernel) {
			time.Sleep(time.Second)
			k.until = time.Now().Add(1700 * ms)
			b.Audit("eth0", []LinkAddress{})
			time.Sleep(3 * time.Second)
		}, []string{"audit web eth0: 192.0.2.100/32 gone 2.7s to 2.7s after a lease of 2s"}},
		{"gone behind a renewal that took long", func(b *bench, k *waitingKernel) {
			time.Sleep(time.Second)
			k.until = time.Now().Add(900 * ms)
			renew(b)
			time.Sleep(time.Second)
			b.fake.Delete("eth0", list[0])
			b.Audit("eth0", []LinkAddress{})
		}, []string{"audit web eth0: 192.0.2.100/32 gone 100ms to 1s after a lease of 2s"}},
		{"nobody knows when it was seen", func(b *bench, k *waitingKernel) {
			time.Sleep(2100 * ms)
			k.blind = true
			b.Audit("eth0", []LinkAddress{})
		}, []string{
			"audit web eth0: 192.0.2.100/32 gone 0s to 2.1s after a lease of 2s",
			"audit  eth0: error: cannot list addresses: out of memory",
		}},
		{"a late renewal brought it back", func(b *bench, k *waitingKernel) {
			renewLate(b, k)
			time.Sleep(time.Second)
			b.Audit("eth0", []LinkAddress{}) // seen late, and told
		}, []string{"audit web eth0: 192.0.2.100/32 present gone 2.5s to 2.5s after a lease of 2s"}},
		{"a renewal in time brought it back", func(b *bench, _ *waitingKernel) {
			time.Sleep(time.Second)
			b.fake.Delete("eth0", list[0])
			renew(b)
			b.Audit("eth0", []LinkAddress{})
		}, nil},
		{"and that was heard before anybody looked", func(b *bench, k *waitingKernel) {
			renewLate(b, k)
			b.Audit("eth0", marked("192.0.2.1/32"))
			b.Audit("eth0", marked("192.0.2.100/32"))
			time.Sleep(time.Second)
		}, []string{"audit web eth0: 192.0.2.100/32 present gone 2.5s to 2.5s after a lease of 2s"}},
		{"and of several looks one saw that it was gone", func(b *bench, k *waitingKernel) {
			renewWaiting(b, k)
			b.Audit("eth0", marked("192.0.2.100/32"))
			b.Audit("eth0", []LinkAddress{})
			b.Audit("eth0", marked("192.0.2.100/32"))
			time.Sleep(time.Second)
		}, []string{"audit web eth0: 192.0.2.100/32 present gone 2.5s to 2.5s after a lease of 2s"}},
		{"and that was seen behind a look at everything", func(b *bench, k *waitingKernel) {
			renewWaiting(b, k)
			b.Audit("eth0", nil)
			b.Audit("eth0", []LinkAddress{})
			b.Audit("eth0", marked("192.0.2.100/32"))
			time.Sleep(time.Second)
		}, []string{"audit web eth0: 192.0.2.100/32 present gone 2.5s to 2.5s after a lease of 2s"}},
		{"renewals that waited behind the late one", func(b *bench, k *waitingKernel) {
			time.Sleep(time.Second)
			k.until = time.Now().Add(1500 * ms)
			for range 3 {
				renew(b)
				time.Sleep(400 * ms)
			}
			renew(b)
			b.Audit("eth0", []LinkAddress{})
			time.Sleep(time.Second)
		}, []string{"audit web eth0: 192.0.2.100/32 present gone 2.5s to 2.5s after a lease of 2s"}},
		{"gone just behind a late renewal", func(b *bench, _ *waitingKernel) {
			time.Sleep(1990 * ms)
			renew(b)
			time.Sleep(ms)
			renew(b)
			synctest.Wait()
			b.fake.Delete("eth0", list[0]) // by the kernel, which has decided before
			b.Audit("eth0", []LinkAddress{})
		}, []string{"audit web eth0: 192.0.2.100/32 gone 1.99s to 1.99s after a lease of 2s"}},
		{"removed after a late renewal", func(b *bench, _ *waitingKernel) {
			time.Sleep(1990 * ms)
			renew(b)
			time.Sleep(1100 * ms)
			b.fake.Delete("eth0", list[0])
			b.Audit("eth0", []LinkAddress{})
		}, []string{"audit web eth0: 192.0.2.100/32 gone 1.1s to 1.1s after a lease of 2s"}},
		{"late and not gone", func(b *bench, _ *waitingKernel) {
			time.Sleep(1990 * ms) // the kernel may be early
			renew(b)
			b.Audit("eth0", marked("192.0.2.100/32"))
			for range 3 {
				time.Sleep(time.Second)
				renew(b)
			}
			b.Audit("eth0", []LinkAddress{}) // that was not it
		}, nil},
		{"the lease was taken away by a reload", func(b *bench, _ *waitingKernel) {
			b.Add("web", "eth0", list, 0)
			synctest.Wait()
			b.said()
			time.Sleep(time.Minute)
			b.fake.Delete("eth0", list[0])
			b.Audit("eth0", []LinkAddress{})
		}, []string{"audit web eth0: 192.0.2.100/32"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k := &waitingKernel{Fake: NewFake("eth0")}
			inBench(t, k.Fake, func(b *bench) {
				b.Manager.kernel = k
				b.Add("web", "eth0", list, 2*time.Second)
				b.said()
				tt.happen(b, k)
				b.expectReports(tt.want...)
			})
		})
	}
}

// The lease of what was put back for less than the whole one is that.
func TestLapseOfAShortLease(t *testing.T) {
	inBench(t, NewFake("eth0"), func(b *bench) {
		list := []netip.Prefix{netip.MustParsePrefix("2001:db8::100/128")}
		b.Add("web", "eth0", list, time.Second)
		b.said()
		time.Sleep(1100 * time.Millisecond)
		b.Renew("web", "eth0", list, 2*time.Second, soon())
		b.Audit("eth0", []LinkAddress{})
		b.expectReports("audit web eth0: 2001:db8::100/128 present gone 1.1s to 1.1s after a lease of 1s")
		b.Audit("eth0", []LinkAddress{}) // once
		b.expectReports()
	})
}
