package vrrp

import (
	"fmt"
	"net/netip"
	"runtime/debug"
	"testing"
	"time"
)

// perLink is how many instances each interface has where there are many.
const perLink = 255

// many returns an Engine with n instances of one address, at the time when all
// have started.
func many(tb testing.TB, n int) (*Engine, time.Time) {
	tb.Helper()
	e := NewEngine()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for i := 0; i < n; i += perLink {
		e.Step(now, eth0(func(l *Link) { l.Name, l.Index = fmt.Sprintf("eth%d", i/perLink), 2+i/perLink }))
	}
	configs := manyConfigs(n)
	if err := ValidateAll(configs); err != nil {
		tb.Fatal(err)
	}
	e.Step(now, &Configure{Instances: configs})
	return e, now
}

// manyConfigs are n instances of one address. They share nothing with those of
// another call.
func manyConfigs(n int) []Config {
	configs := make([]Config, n)
	for i := range configs {
		configs[i] = web(func(c *Config) {
			c.Name, c.Interface, c.VRID = fmt.Sprintf("i%d", i), fmt.Sprintf("eth%d", i/perLink), uint8(i%perLink+1)
			c.Addresses = []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 32)}
		})
	}
	return configs
}

// changingOne are configurations of n instances that differ in one address.
func changingOne(n int) [2]*Configure {
	next := [2]*Configure{{Instances: manyConfigs(n)}, {Instances: manyConfigs(n)}}
	one := &next[0].Instances[n/2]
	one.Addresses = append(one.Addresses, netip.MustParsePrefix("10.1.0.1/32"))
	return next
}

// adverts of the master that n backups hear, one for each.
func advertsFor(tb testing.TB, e *Engine) []*AdvertReceived {
	tb.Helper()
	var all []*AdvertReceived
	for _, i := range e.instances {
		a := advertFrom(peer, 200, ofVRID(i.cfg.VRID), func(p *packet) {
			p.on = i.routers[0].index
			p.Addresses = i.routers[0].advertised
		})
		all = append(all, a.event(tb))
	}
	return all
}

// hearing returns a function that lets one backup of n hear its master, in turn.
func hearing(tb testing.TB, n int) func() {
	tb.Helper()
	e, now := many(tb, n)
	packets := advertsFor(tb, e)
	next := 0
	hear := func() {
		if next == 0 {
			now = now.Add(second)
		}
		e.Step(now, packets[next])
		next = (next + 1) % len(packets)
	}
	for range 2 * n { // the first from a new master makes a reason
		hear()
	}
	return hear
}

// ticking returns a function that lets the next master of n send.
func ticking(tb testing.TB, n int) (tick func(), last *[]Action) {
	tb.Helper()
	e, now := many(tb, n)
	now = now.Add(down150)
	e.Step(now, &Tick{})
	for i, inst := range e.instances { // spread them over the interval
		r := inst.routers[0]
		r.timer = now.Add(second * time.Duration(i+1) / time.Duration(n))
		r.schedule()
	}
	var actions []Action
	return func() {
		at, _ := e.Deadline()
		actions = e.Step(at, &Tick{})
	}, &actions
}

// What a backup and a master do all day allocates nothing.
func TestSteadyStateDoesNotAllocate(t *testing.T) {
	for _, n := range []int{1, 100} {
		hear := hearing(t, n)
		if got := testing.AllocsPerRun(1000, hear); got != 0 {
			t.Errorf("%d backups: hearing an advert allocates %v times", n, got)
		}
		tick, last := ticking(t, n)
		if got := testing.AllocsPerRun(1000, tick); got != 0 {
			t.Errorf("%d masters: sending an advert allocates %v times", n, got)
		}
		if len(*last) != 1 {
			t.Fatalf("%d masters: the last tick did %d things, want 1 advert", n, len(*last))
		}
		if _, ok := (*last)[0].(*SendAdvert); !ok {
			t.Fatalf("%d masters: the last tick did %s", n, render((*last)[0]))
		}
	}
}

// Nor do renewals, while the addresses stay the same.
func TestRenewingDoesNotAllocate(t *testing.T) {
	te := newMaster(t, web(leased(2*second)))
	te.advance(5 * second)
	renewals := 0
	got := testing.AllocsPerRun(100, func() {
		at, _ := te.e.Deadline()
		for _, a := range te.e.Step(at, &Tick{}) {
			if r, ok := a.(*RenewAddresses); ok && len(r.Addresses) == 1 {
				renewals++
			}
		}
	})
	if got != 0 || renewals < 50 {
		t.Errorf("a step allocates %v times, with %d renewals in 100 steps", got, renewals)
	}
}

// Nor does what people were told of already, however often it is heard.
func TestWhatWasToldDoesNotAllocate(t *testing.T) {
	for _, tt := range []struct {
		name   string
		te     *engineTest
		advert *packet
	}{
		{"a master with another interval", newBackup(t, web()), advertFrom(peer, 200, interval(2*second))},
		{"a master with other addresses", newBackup(t, web()), advertFrom(peer, 200, carrying("192.0.2.7"))},
		{"a master of the same priority", newBackup(t, web()), advertFrom(peer, 150)},
		{"a rival", newMaster(t, web()), advertFrom(peer, 100)},
		{"a packet from another link", newBackup(t, web()), advertFrom(peer, 200, func(p *packet) { p.ttl = 254 })},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ev := tt.advert.event(t)
			now := tt.te.now
			hear := func() {
				now = now.Add(answerGap / 2)
				tt.te.e.Step(now, ev)
			}
			for range 3 {
				hear()
			}
			if got := testing.AllocsPerRun(1000, hear); got != 0 {
				t.Errorf("hearing it again allocates %v times", got)
			}
		})
	}
}

// Nor does a link of which nothing new is told, as when a VIP comes or goes there.
func TestLinkToldAgainDoesNotAllocate(t *testing.T) {
	e, now := many(t, 100)
	l := eth0()
	if got := testing.AllocsPerRun(100, func() { e.Step(now, l) }); got != 0 {
		t.Errorf("a step allocates %v times", got)
	}
}

// A reload makes nothing for an instance that it leaves as it is.
func TestReloadAllocatesForWhatChanges(t *testing.T) {
	allocates := func(n int) float64 {
		next := changingOne(n)
		e, now := many(t, n)
		now = now.Add(down150)
		e.Step(now, &Tick{})
		round := 0
		return testing.AllocsPerRun(20, func() {
			e.Step(now, next[round%2])
			round++
		})
	}
	if few, lots := allocates(10), allocates(1000); lots > few {
		t.Errorf("with 1000 instances a reload of one allocates %v times, with 10 %v times", lots, few)
	}
}

func BenchmarkStepAdvertReceived(b *testing.B) {
	for _, n := range []int{1, 4080} {
		b.Run(fmt.Sprintf("routers=%d", n), func(b *testing.B) {
			hear := hearing(b, n)
			b.ReportAllocs()
			for b.Loop() {
				hear()
			}
		})
	}
}

func BenchmarkStepTickSends(b *testing.B) {
	for _, n := range []int{1, 4080} {
		b.Run(fmt.Sprintf("routers=%d", n), func(b *testing.B) {
			tick, _ := ticking(b, n)
			b.ReportAllocs()
			for b.Loop() {
				tick()
			}
		})
	}
}

// BenchmarkSnapshot looks at as many instances as there can be, at once and at a
// slice of them.
func BenchmarkSnapshot(b *testing.B) {
	e, now := many(b, 4080)
	b.Run("whole", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			e.Snapshot(now)
		}
	})
	b.Run("slice", func(b *testing.B) {
		b.ReportAllocs()
		s := &Snapshot{}
		for b.Loop() {
			if e.Extend(s, now, 128) {
				s = &Snapshot{}
			}
		}
	})
}

// BenchmarkConfigure gives one of many masters one more address and takes it away
// again. What a configuration needs is fresh memory, or as after a start, when what
// that needed was given back to the system.
func BenchmarkConfigure(b *testing.B) {
	const n = 4080
	next := changingOne(n)
	for _, memory := range []string{"kept", "given back"} {
		b.Run("memory="+memory, func(b *testing.B) {
			e, now := many(b, n)
			now = now.Add(down150)
			e.Step(now, &Tick{})
			b.ReportAllocs()
			for round := 0; b.Loop(); round++ {
				if memory == "given back" {
					b.StopTimer()
					debug.FreeOSMemory()
					b.StartTimer()
				}
				if e.Step(now, next[round%2]); len(e.actions) == 0 {
					b.Fatal("the address made no difference")
				}
			}
		})
	}
}
