package daemon

import (
	"context"
	"math"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// garbageLook is how often the heap is looked at while it grows, garbageRest
	// how often at least. garbageSoon is how soon it is looked at after a start, and
	// after a collection: when thousands of instances start, a tenth of a second
	// makes more garbage than is ever in use.
	garbageSoon = 50 * time.Millisecond
	garbageLook = 500 * time.Millisecond
	garbageRest = 4 * time.Second
	// garbageCalm is how far apart looks are once all is quiet again.
	garbageCalm = time.Second
	// returnGap is how often memory is given back at most, which takes a while.
	returnGap = 5 * time.Second
	// heapMost is where the runtime collects by itself, whatever is going on.
	heapMost = 512 << 20
)

// collector collects garbage instead of the runtime, and never while a program is
// being started. From fork to exec a thread cannot be stopped, and a collection
// stops all: on a busy host, where a program waits for its turn, that held adverts
// up for as much as a second. Nor does it while anybody else holds stops for such a
// reason.
//
// It has no timer: a timer of Go's wakes several threads, and has them wait for less
// long whenever they wait. The loop, which wakes anyway, tells it when to look.
type collector struct {
	stops sync.Locker
	began time.Time
	due   atomic.Int64 // when it looks again, since began
	busy  atomic.Bool
	put   atomic.Bool // off by later, since it looked last
	look  chan struct{}
}

func newCollector(stops sync.Locker) *collector {
	c := &collector{stops: stops, began: time.Now(), look: make(chan struct{}, 1)}
	c.due.Store(int64(garbageSoon))
	return c
}

// turn has the collector look, if it is time to. A nil one collects nothing.
func (c *collector) turn(now time.Time) {
	if c == nil || now.Sub(c.began) < time.Duration(c.due.Load()) {
		return
	}
	c.due.Store(math.MaxInt64) // it has yet to look
	c.look <- struct{}{}
}

// soon has it look soon, and again soon after: much happens, and is left behind.
func (c *collector) soon(now time.Time) {
	if c == nil {
		return
	}
	c.busy.Store(true)
	if at := now.Sub(c.began) + garbageSoon; int64(at) < c.due.Load() && c.due.Load() != math.MaxInt64 {
		c.due.Store(int64(at))
	}
}

// later has it look in a while at the soonest: somebody waits for what is begun now,
// which a collection would hold up.
func (c *collector) later(now time.Time) {
	if c == nil {
		return
	}
	if at := int64(now.Sub(c.began) + garbageLook); c.due.Load() < at && !c.put.Swap(true) {
		c.due.Store(at)
	}
}

// next has it look after a pause, or soon when much has happened meanwhile.
func (c *collector) next(pause time.Duration) {
	passed := time.Since(c.began)
	c.due.Store(int64(passed + pause))
	if c.busy.Load() {
		c.due.Store(int64(passed + garbageSoon))
	}
}

// run collects until ctx ends.
func (c *collector) run(ctx context.Context) {
	percent := debug.SetGCPercent(-1)
	limit := debug.SetMemoryLimit(heapMost)
	defer func() {
		syscall.ForkLock.Lock() // it stops all threads, too
		defer syscall.ForkLock.Unlock()
		debug.SetGCPercent(percent)
		debug.SetMemoryLimit(limit)
	}()
	pause := garbageSoon
	looked := time.Now()
	returned := looked
	live := heap()
	again := true // once more when all is quiet: what a start needed is garbage by then
	tidy := false // that was done, and what it freed has yet to be looked at
	for last := live; ; c.next(pause) {
		select {
		case <-ctx.Done():
			return
		case <-c.look:
		}
		c.put.Store(false)
		pause = max(pause, time.Since(looked)) // there may have been no turn for long
		looked = time.Now()
		if c.busy.Swap(false) {
			pause = garbageSoon
		}
		size := heap()
		if pause = min(2*pause, garbageRest); size > last+garbageLeast/8 {
			pause = min(pause, garbageLook)
		}
		last = size
		calm := pause >= garbageCalm
		seen := heapLook{size, live, unused(), calm && time.Since(returned) >= returnGap, calm && again, tidy}
		var work func()
		switch tidy = tidy && !seen.mayReturn; { // it was looked at now
		case seen.returns():
			work, returned = returnMemory, time.Now()
		case seen.grown():
			work, again, tidy = collect, true, false
		case seen.calm:
			work, again, tidy = collect, false, true
		default:
			continue
		}
		c.stops.Lock() // first: programs need not wait for it
		syscall.ForkLock.Lock()
		work()
		syscall.ForkLock.Unlock()
		c.stops.Unlock()
		live = marked()
		if last = live; again {
			pause = garbageSoon
		}
	}
}
