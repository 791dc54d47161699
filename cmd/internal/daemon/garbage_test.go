package daemon

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"syscall"
	"testing"
	"time"
)

// cycles counts the collections so far.
func cycles() uint64 {
	sample := []metrics.Sample{{Name: "/gc/cycles/total:gc-cycles"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// Garbage is collected, but not while a program is being started, which is when
// ForkLock is held; and in the end all is as it was.
func TestCollectGarbage(t *testing.T) {
	percent := debug.SetGCPercent(100)
	defer debug.SetGCPercent(percent)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { collectGarbage(ctx) })

	time.Sleep(garbageLook / 2) // it has begun, and looks in a while
	syscall.ForkLock.RLock()
	before := cycles()
	var kept [][]byte
	for range 2 * garbageMost >> 20 {
		kept = append(kept, make([]byte, 1<<20))
	}
	for began := time.Now(); time.Since(began) < 3*garbageLook; time.Sleep(5 * time.Millisecond) {
		if n := cycles(); n != before {
			syscall.ForkLock.RUnlock()
			t.Fatalf("collected %d times while a program is started", n-before)
		}
	}
	syscall.ForkLock.RUnlock()
	for began := time.Now(); cycles() == before; time.Sleep(time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			t.Fatalf("%d MiB more, and never collected", len(kept))
		}
	}
	cancel()
	wg.Wait()
	if got := debug.SetGCPercent(100); got != 100 {
		t.Errorf("in the end the runtime collects at %d %%, want 100", got)
	}
}
