package daemon

import (
	"fmt"
	"io"
	"net/netip"
	"runtime/debug"
	"testing"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/config"
	"github.com/holdfast-vrrp/holdfast/healthcheck"
	"github.com/holdfast-vrrp/holdfast/notify"
	"github.com/holdfast-vrrp/holdfast/vip"
	"github.com/holdfast-vrrp/holdfast/vrrp"
	"github.com/holdfast-vrrp/holdfast/vrrp/transport"
)

// manyLinks has 255 instances on each of so many interfaces, the one in the middle
// with more addresses than one.
func manyLinks(links int, more string) string {
	const perLink = 255
	text := "[node]\nname = \"test\"\n"
	for n := range links * perLink {
		addresses := fmt.Sprintf("\"10.0.%d.%d/32\"", n>>8, n&255)
		if n == links*perLink/2 {
			addresses += more
		}
		text += fmt.Sprintf("[[instance]]\nname = \"i%d\"\ninterface = \"eth%d\"\nvrid = %d\npriority = 150\naddresses = [%s]\n",
			n, n/perLink, n%perLink+1, addresses)
	}
	return text
}

// newMany is a daemon that is master of many instances, without its goroutines.
func newMany(tb testing.TB, cfg *config.Config) *Daemon {
	tb.Helper()
	host := transport.NewMemory().Host("a")
	var states []vip.LinkState
	for _, name := range interfaces(cfg) {
		index := len(states) + 1
		base := netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(index)}), 24)
		host.AddInterface(index, name, name, base.Addr())
		states = append(states, vip.LinkState{Name: name, Index: index, Up: true, Carrier: true, Addresses: []vip.LinkAddress{{Prefix: base}}})
	}
	d := New(Options{Config: cfg, Version: "test", Log: io.Discard, Network: host, Kernel: vip.NewFake(), Journal: tb.TempDir()})
	d.openJournal(d.opts.Journal)
	d.journalBusy = true // nothing is written
	d.hooks, d.checks = notify.NewQueue(nil, d.hookDone), healthcheck.NewRunner(d.checkDone)
	d.openSite()
	d.addresses = vip.NewManager(d.opts.Kernel, nil)
	d.now = time.Now()
	d.apply(cfg)
	d.watched(states)
	d.now = d.now.Add(down(time.Second, 150))
	d.step(&vrrp.Tick{})
	d.flush()
	for n := range states { // as the kernel tells then
		for _, c := range cfg.Instances {
			if c.Interface == states[n].Name {
				states[n].Addresses = append(states[n].Addresses, vip.LinkAddress{Prefix: c.Addresses[0], Proto: vip.Proto})
			}
		}
	}
	d.watched(states)
	d.takeCalls()
	d.flush()
	if states, _ := d.engine.Census(); states[vrrp.StateMaster] != len(cfg.Instances) {
		tb.Fatalf("instances by state: %v", states)
	}
	return d
}

// changingOne are configurations of so many interfaces that differ in one address.
func changingOne(tb testing.TB, links int) (next [2]*config.Config) {
	tb.Helper()
	for n, more := range []string{`, "10.1.0.1/32"`, ""} {
		cfg, _, err := config.Parse("test.toml", []byte(manyLinks(links, more)))
		if err != nil {
			tb.Fatal(err)
		}
		next[n] = cfg
	}
	return next
}

// A reload makes nothing on the loop for interfaces and instances that it leaves as
// they are.
func TestReloadAllocatesForWhatChanges(t *testing.T) {
	allocates := func(links int) float64 {
		next := changingOne(t, links)
		d := newMany(t, next[1])
		round := 0
		return testing.AllocsPerRun(20, func() {
			if _, err := d.finishReload("test", next[round%2], nil, nil); err != nil {
				t.Fatal(err)
			}
			d.flush()
			round++
		})
	}
	if few, lots := allocates(1), allocates(4); lots > few*3/2 { // goroutines of other tests count, too
		t.Errorf("with four times the interfaces and instances a reload of one allocates %v times, not %v", lots, few)
	}
}

// BenchmarkReload gives one of many masters one more address and takes it away
// again. The time is that of the loop's turn, the answer-ns of them those until who
// asked has the answer. Memory is as it was left by the last one or, as a while after
// a start, given back to the system.
func BenchmarkReload(b *testing.B) {
	next := changingOne(b, 16)
	for _, memory := range []string{"kept", "given back"} {
		b.Run("memory="+memory, func(b *testing.B) {
			d := newMany(b, next[1])
			b.ReportAllocs()
			var answer time.Duration
			for round := 0; b.Loop(); round++ {
				b.StopTimer()
				d.addresses = vip.NewManager(d.opts.Kernel, nil) // nobody empties its queue
				if memory == "given back" {
					debug.FreeOSMemory()
				}
				b.StartTimer()
				began := time.Now()
				if _, err := d.finishReload("bench", next[round%2], nil, nil); err != nil {
					b.Fatal(err)
				}
				answer += time.Since(began)
				d.step(&vrrp.Tick{})
				d.flush()
			}
			b.ReportMetric(float64(answer.Nanoseconds())/float64(b.N), "answer-ns/op")
		})
	}
}

// BenchmarkJournalLook looks for what to write of as many instances as there can be,
// when nothing has changed and when one address has.
func BenchmarkJournalLook(b *testing.B) {
	next := changingOne(b, 16)
	for _, changed := range []bool{false, true} {
		b.Run(fmt.Sprintf("changed=%v", changed), func(b *testing.B) {
			d := newMany(b, next[1])
			d.journalNow()
			b.ReportAllocs()
			for round := 0; b.Loop(); round++ {
				b.StopTimer()
				if changed {
					d.apply(next[round%2])
				}
				debug.FreeOSMemory()
				b.StartTimer()
				d.journalNow()
			}
		})
	}
}
