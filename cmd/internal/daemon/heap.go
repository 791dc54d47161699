package daemon

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"

	"golang.org/x/sys/unix"
)

const (
	// garbageMost is how much the heap may grow at most before it is collected,
	// garbageLeast how much in any case; in between it is a quarter of what is in
	// use. An idle daemon makes so little garbage that this is rare.
	garbageMost  = 8 << 20
	garbageLeast = 2 << 20
	// garbageSpare is how much more than that the heap keeps when all is quiet again:
	// so what an event needed is not kept for ever.
	garbageSpare = garbageLeast / 4
)

// heapLook is what a look at the heap finds, in bytes.
type heapLook struct {
	size, live, unused uint64 // live is what the last collection left
	mayReturn          bool
	calm               bool // all is quiet again, and one more collection is due
	tidy               bool // that was done
}

// room is how much the heap may grow.
func (l *heapLook) room() uint64 { return min(garbageMost, max(garbageLeast, l.live/4)) }

// grown is whether it has more garbage than it may.
func (l *heapLook) grown() bool { return l.size >= l.live+l.room() }

// returns is whether it has more memory than it will need: since a start, a reload
// or whatever else happened.
func (l *heapLook) returns() bool {
	spare := uint64(garbageLeast)
	if l.tidy {
		spare = garbageSpare
	}
	return l.mayReturn && l.unused > l.room()+spare
}

// cycles counts the collections so far.
func cycles() uint64 { return measure("/gc/cycles/total:gc-cycles") }

// heap is how much memory objects take, dead ones included, in bytes.
func heap() uint64 { return measure("/memory/classes/heap/objects:bytes") }

// marked is how much the last collection left, in bytes.
func marked() uint64 { return measure("/gc/heap/live:bytes") }

// unused is how much memory the heap has that holds nothing, in bytes.
func unused() uint64 { return measure("/memory/classes/heap/free:bytes") }

func measure(name string) uint64 {
	sample := []metrics.Sample{{Name: name}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// collect collects once, and returns when it is known what is garbage. runtime.GC
// would sweep it up as well, and then ask without a pause whether other threads are
// done with their share: those wait in turn for a processor, and in real time that
// one gives none up for a tenth of a second. So here the runtime is left to begin
// by itself and to sweep when it likes. Its own sweeper asks in that way, too, while
// others have a share left, and so does [debug.FreeOSMemory].
func collect() {
	before := cycles()
	for _, size := range sparks {
		debug.SetGCPercent(0) // any garbage is too much
		runtime.KeepAlive(make([]byte, size))
		debug.SetGCPercent(-1) // waits until all that is in use is marked
		if cycles() != before {
			return
		}
	}
}

// sparks are sizes of objects so large that the runtime looks whether to begin.
// While it sweeps it begins anew no sooner than after a MiB.
var sparks = [...]int{64 << 10, 1<<20 + 64<<10}

// returnMemory gives what the heap does not use back to the system. Locked memory
// the kernel does not take, so that it is unlocked meanwhile.
func returnMemory() {
	locked := memoryLocked.Load()
	if locked && unix.Munlockall() != nil {
		return
	}
	debug.FreeOSMemory()
	if locked && lockMemory() != nil {
		memoryLocked.Store(false)
	}
}
