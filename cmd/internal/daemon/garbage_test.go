package daemon

import (
	"context"
	"math"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/config"
)

// Garbage is collected, but not while a program is being started, which is when
// ForkLock is held, nor while anything else is under way that must not be stopped;
// and in the end all is as it was.
func TestCollectGarbage(t *testing.T) {
	percent := debug.SetGCPercent(100)
	defer debug.SetGCPercent(percent)
	var stops sync.RWMutex
	for _, tt := range []struct {
		name string
		lock *sync.RWMutex
	}{{"a program is started", &syscall.ForkLock}, {"threads must not be stopped", &stops}} {
		ctx, cancel := context.WithCancel(t.Context())
		c := newCollector(&stops)
		var wg sync.WaitGroup
		wg.Go(func() { c.run(ctx) })
		turn := func() {
			time.Sleep(5 * time.Millisecond)
			c.turn(time.Now())
		}
		for began := time.Now(); time.Since(began) < garbageLook/2; { // it has begun, and looks in a while
			turn()
		}
		tt.lock.RLock()
		before := cycles()
		var kept [][]byte
		for range 2 * garbageMost >> 20 {
			kept = append(kept, make([]byte, 1<<20))
		}
		for began := time.Now(); time.Since(began) < 3*garbageLook; turn() {
			if n := cycles(); n != before {
				tt.lock.RUnlock()
				t.Fatalf("collected %d times while %s", n-before, tt.name)
			}
		}
		tt.lock.RUnlock()
		for began := time.Now(); cycles() == before; turn() {
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
}

// The loop, which must never wait, does not wait for a collector that is at work.
func TestCollectorHoldsNobodyUp(t *testing.T) {
	var stops sync.Mutex
	c := newCollector(&stops) // which does not run
	for n := range 10 {
		c.turn(c.began.Add(time.Duration(n) * time.Hour))
	}
	if len(c.look) != 1 {
		t.Errorf("told to look %d times, want once", len(c.look))
	}
	c = nil
	c.turn(time.Now())
}

// Memory that is not used any more goes back to the system although it was locked,
// and what is used stays locked.
func TestLockedMemoryIsReturned(t *testing.T) {
	if err := lockMemory(); err != nil {
		t.Skip("memory cannot be locked here: ", err)
	}
	memoryLocked.Store(true)
	t.Cleanup(func() {
		memoryLocked.Store(false)
		if err := unix.Munlockall(); err != nil {
			t.Error(err)
		}
	})
	const size = 64 << 10 // in kB, as the kernel tells
	fill(size)
	before := memoryOf(t, "VmRSS:")
	returnMemory()
	after := memoryOf(t, "VmRSS:")
	t.Logf("measured: %d kB resident, then %d", before, after)
	if before-after < size*3/4 {
		t.Errorf("of %d kB that nobody uses only %d were returned", size, before-after)
	}
	if memoryOf(t, "VmLck:") == 0 || !memoryLocked.Load() {
		t.Error("memory is not locked any more")
	}
}

// fill makes garbage of so many kB, all of it written to.
//
//go:noinline
func fill(kB int) {
	for range kB >> 10 {
		b := make([]byte, 1<<20)
		for n := range b {
			b[n] = 1
		}
		garbage = append(garbage, b)
	}
	garbage = nil
}

var garbage [][]byte // so that it is on the heap

// memoryOf reads what the kernel tells of this process, in kB.
func memoryOf(t *testing.T, key string) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, key); ok {
			n, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("no %s in /proc/self/status", key)
	return 0
}

// Where all was quiet the next look may be seconds away, but not once much happens.
func TestBusyIsLookedAtSoon(t *testing.T) {
	var stops sync.Mutex
	c := newCollector(&stops)
	for _, tt := range []struct {
		name      string
		due, want time.Duration
	}{
		{"in a while", garbageRest, garbageSoon},
		{"soon anyway", garbageSoon / 2, garbageSoon / 2},
		{"under way", math.MaxInt64, math.MaxInt64},
	} {
		c.busy.Store(false)
		c.due.Store(int64(tt.due))
		c.soon(c.began)
		if got := time.Duration(c.due.Load()); got != tt.want || !c.busy.Load() {
			t.Errorf("%s: the next look is after %v, want %v", tt.name, got, tt.want)
		}
	}

	c.next(garbageRest) // of which the last row has set busy, during a look
	if next := time.Duration(c.due.Load()) - time.Since(c.began); next > garbageSoon {
		t.Errorf("much happened during a look: the next is in %v, want at most %v", next, garbageSoon)
	}

	c = newCollector(&stops)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { c.run(ctx) })
	defer wg.Wait()
	defer cancel()
	for now := c.began; time.Duration(c.due.Load()) < garbageRest; now = now.Add(garbageRest) { // until all is quiet
		c.turn(now)
		for c.due.Load() == math.MaxInt64 {
			time.Sleep(time.Millisecond)
		}
	}
	c.soon(time.Now())
	c.turn(time.Now().Add(garbageSoon))
	for c.due.Load() == math.MaxInt64 {
		time.Sleep(time.Millisecond)
	}
	if next := time.Duration(c.due.Load()) - time.Since(c.began); next > garbageLook {
		t.Errorf("after a look while much happens the next is in %v", next)
	}
}

// A reload, for which somebody waits, has no collection beside it, and one soon after.
func TestReloadIsNotLookedAt(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		a := newNode(t, lan, "a", 1, conf(150, "1s"))
		a.d.garbage = newCollector(&sync.Mutex{}) // which does not run
		load := a.d.opts.Load
		a.d.opts.Load = func() (*config.Config, []string, error) {
			time.Sleep(200 * time.Millisecond)
			return load()
		}
		a.start()
		await(t, 5*time.Second, "a", a)
		c := a.d.garbage
		<-c.look // at the start
		c.next(100 * time.Millisecond)
		if _, err := (backend{a.d}).Reload(t.Context(), "tester"); err != nil {
			t.Fatal(err)
		}
		if len(c.look) > 0 {
			t.Error("it looked during the reload")
		}
		due := time.Duration(c.due.Load()) - time.Since(c.began)
		if due > garbageSoon {
			t.Errorf("after the reload it looks in %v, want at most %v", due, garbageSoon)
		}
		a.stop()
	})
}

// Reloads one after the other, be they refused or not, put the next look off once.
func TestReloadsPutOffOneLook(t *testing.T) {
	for _, refused := range []bool{false, true} {
		c := newCollector(&sync.Mutex{}) // which does not run
		now := c.began
		for range 100 {
			now = now.Add(20 * time.Millisecond)
			if c.later(now); !refused {
				c.soon(now)
			}
		}
		if due := time.Duration(c.due.Load()); due > 20*time.Millisecond+garbageLook {
			t.Errorf("refused %v: it looks %v after the start, want at most %v after the first reload", refused, due, garbageLook)
		}
	}
}

// A take-over leaves much behind.
func TestTakeOverIsLookedAtSoon(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		a := startNode(t, lan, "a", 1, conf(150, "1s"))
		b := newNode(t, lan, "b", 2, conf(100, "1s"))
		b.d.garbage = newCollector(&sync.Mutex{}) // which does not run
		b.start()
		await(t, 5*time.Second, "a", a, b)
		pass(time.Second)
		b.d.garbage.busy.Store(false)
		a.kill()
		pass(5 * time.Second)
		if i := b.instance(); i.State != "master" || !b.d.garbage.busy.Load() {
			t.Errorf("it is %s, and is to be looked at soon: %t", i.State, b.d.garbage.busy.Load())
		}
		b.stop()
	})
}
