package sim

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// setting reads a number from the environment.
func setting(t *testing.T, name string, def uint64) uint64 {
	s := os.Getenv(name)
	if s == "" {
		return def
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// TestSeeds runs histories of every mix, HOLDFAST_SIM_SEEDS of each from
// HOLDFAST_SIM_FIRST on, and prints the shrunk history of each that fails.
// HOLDFAST_SIM_MIX names one mix, HOLDFAST_SIM_OUT the folder for the files of
// those that fail.
func TestSeeds(t *testing.T) {
	def := uint64(400)
	if testing.Short() {
		def = 40
	}
	count, first := setting(t, "HOLDFAST_SIM_SEEDS", def), setting(t, "HOLDFAST_SIM_FIRST", 1)
	only := os.Getenv("HOLDFAST_SIM_MIX")
	began := time.Now()
	var all Totals
	runs := 0
	for _, mix := range Mixes() {
		if only != "" && only != string(mix) {
			continue
		}
		t.Run(string(mix), func(t *testing.T) {
			totals, failed := seeds(t, mix, first, count)
			all.Add(totals)
			runs += int(count)
			if failed > 0 {
				t.Errorf("%d of %d seeds failed", failed, count)
			}
		})
	}
	took := time.Since(began)
	fmt.Printf("simulated %d histories: %.1f virtual hours, %d steps, %d adverts, %d transitions, judged %d times, in %v\n",
		runs, all.Virtual.Hours(), all.Steps, all.Adverts, all.Transitions, all.Judged, took.Round(time.Millisecond))
}

// seeds runs one mix on all cores. The first few failures are shrunk and told.
func seeds(t *testing.T, mix Mix, first, count uint64) (all Totals, failed int) {
	var next atomic.Uint64
	var mu sync.Mutex
	var wg sync.WaitGroup
	told := map[string]bool{}
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			var mine Totals
			for {
				seed := next.Add(1) - 1
				if seed >= count {
					break
				}
				h := Generate(mix, first+seed)
				r := Run(h, Options{})
				mine.Add(r.Totals)
				if r.Violation == nil {
					continue
				}
				mu.Lock()
				failed++
				tell := !told[r.Violation.Invariant] && len(told) < 4
				told[r.Violation.Invariant] = true
				mu.Unlock()
				if tell {
					tellFailure(t, mix, first+seed, h, r.Violation)
				}
			}
			mu.Lock()
			all.Add(mine)
			mu.Unlock()
		})
	}
	wg.Wait()
	return all, failed
}
