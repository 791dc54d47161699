package daemon

import (
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
	"github.com/holdfast-vrrp/holdfast/healthcheck"
)

func TestHistogram(t *testing.T) {
	var h histogram
	at := time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)
	for n, late := range []time.Duration{0, 100 * time.Microsecond, 100*time.Microsecond + 1, time.Minute, 7 * time.Millisecond, 7 * time.Millisecond} {
		h.observe(late, at.Add(time.Duration(n)*time.Hour))
	}
	s := h.status()
	if s.Count != 6 || s.SumMS != 60014.2 {
		t.Errorf("%d in all, %v ms together", s.Count, s.SumMS)
	}
	want := map[float64]uint64{0.1: 2, 0.25: 3, 5: 3, 10: 5, 10000: 5}
	last := map[float64]int{0.1: 5, 5: 5, 10: 3, 10000: 3} // which of them was later than that last
	if len(s.Buckets) != len(latenessBounds) || !slices.IsSortedFunc(s.Buckets, func(a, b control.LatenessBucket) int { return int(a.Count) - int(b.Count) }) {
		t.Errorf("buckets %v", s.Buckets)
	}
	for _, b := range s.Buckets {
		if n, ok := want[b.UpToMS]; ok && n != b.Count {
			t.Errorf("up to %v ms: %d, want %d", b.UpToMS, b.Count, n)
		}
		if n, ok := last[b.UpToMS]; ok && !b.LastBeyond.Equal(at.Add(time.Duration(n)*time.Hour)) {
			t.Errorf("beyond %v ms last at %v, want the one of hour %d", b.UpToMS, b.LastBeyond, n)
		}
	}
	if n := testing.AllocsPerRun(100, func() { h.observe(time.Millisecond, at) }); n > 0 {
		t.Errorf("%v allocations for each observation", n)
	}
}

// TestRecentProbes wants the last probes in their order, however many there were.
func TestRecentProbes(t *testing.T) {
	tel := telemetry{probes: map[string]*probes{"nginx": {}}}
	if got := tel.probes["nginx"].recently(); len(got) != 0 {
		t.Errorf("before the first: %v", got)
	}
	for n := 1; n <= 3*control.RecentProbes+7; n++ {
		tel.probed(&healthcheck.Result{Check: "nginx", OK: n%2 == 0, Duration: time.Duration(n) * time.Millisecond})
		got := tel.probes["nginx"].recently()
		first := n - len(got) + 1
		if len(got) != min(n, control.RecentProbes) {
			t.Fatalf("after %d there are %d", n, len(got))
		}
		for k, p := range got {
			if p.DurationMS != float64(first+k) || p.Passed != ((first+k)%2 == 0) {
				t.Fatalf("after %d the probe at %d is %+v", n, k, p)
			}
		}
	}
	tel.probed(&healthcheck.Result{Check: "gone"}) // with a reload
}

// A pause of the whole process shows in the lateness, and how much of its lease
// is left shows while a node is master.
func TestTelemetry(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		a := startNode(t, lan, "a", 1, conf(150, "1s"))
		await(t, 5*time.Second, "a", a)
		time.Sleep(300 * time.Millisecond)
		synctest.Wait()
		i := a.instance()
		if left := i.LeaseLeftMS; left == nil || *left <= 1000 || *left > i.LeaseMS {
			t.Errorf("of a lease of %d ms %v are left", i.LeaseMS, left)
		}
		if n := i.Counters.Transitions; n["start"] != 1 || n["no_master"] != 1 || n["outranked"] != 0 {
			t.Errorf("transitions %v", n)
		}
		before := a.status().Daemon.Telemetry
		if before.ConfigGeneration != 1 || before.ConfigHash == "" || before.ConfigLoaded.IsZero() || before.Lateness.Count == 0 {
			t.Errorf("before: %+v", before)
		}
		a.ahead.Add(int64(700 * time.Millisecond))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		late := a.status().Daemon.Telemetry.Lateness
		if by := late.SumMS - before.Lateness.SumMS; by < 500 || by > 700 {
			t.Errorf("after a pause of 700 ms the loop was %v ms later in all", by)
		}

		a.edit(conf(140, "1s"))
		a.reload <- syscall.SIGHUP
		time.Sleep(time.Second)
		a.edit("nonsense")
		a.reload <- syscall.SIGHUP
		time.Sleep(time.Second)
		synctest.Wait()
		after := a.status().Daemon.Telemetry
		if after.ConfigGeneration != 2 || after.ReloadsRefused != 1 || after.ConfigHash == before.ConfigHash || after.ConfigLoaded.Equal(before.ConfigLoaded) {
			t.Errorf("after two reloads: %+v", after)
		}
		a.edit(conf(140, "1s", `lease = "off"`))
		a.reload <- syscall.SIGHUP
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if i := a.instance(); i.State != "master" || i.LeaseLeftMS != nil {
			t.Errorf("%s, and something of no lease is left", i.State)
		}
		a.stop()
	})
}
