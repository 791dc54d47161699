package daemon

import (
	"context"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"syscall"
	"time"
)

const (
	// garbageLook is how often the heap is looked at.
	garbageLook = 500 * time.Millisecond
	// garbageMost is how much the heap may grow before it is collected.
	garbageMost = 16 << 20
	// heapMost is where the runtime collects by itself, whatever is going on.
	heapMost = 512 << 20
)

// collectGarbage collects instead of the runtime until ctx ends, and never while
// a program is being started. From fork to exec a thread cannot be stopped, and
// a collection stops all: on a busy host, where a program waits for its turn,
// that held adverts up for as much as a second.
func collectGarbage(ctx context.Context) {
	percent := debug.SetGCPercent(-1)
	limit := debug.SetMemoryLimit(heapMost)
	defer func() {
		debug.SetGCPercent(percent)
		debug.SetMemoryLimit(limit)
	}()
	look := time.NewTicker(garbageLook)
	defer look.Stop()
	for live := heap(); ; {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
		if heap() < live+garbageMost {
			continue
		}
		syscall.ForkLock.Lock()
		runtime.GC()
		syscall.ForkLock.Unlock()
		live = heap()
	}
}

// heap is how much memory objects take, dead ones included, in bytes.
func heap() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
