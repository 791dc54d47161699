package main

// The wall clock is set: nothing happens.

import (
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// jumps are by how much the clock is set forth and back, for a moment each: more
// than any time that matters at the interval of the test.
var jumps = []time.Duration{20 * time.Second, -20 * time.Second, 5 * time.Second, -5 * time.Second}

// clockOff is for how long the clock is wrong each time.
const clockOff = 200 * time.Millisecond

// shiftClock sets the wall clock, and returns what sets it right again to the
// microsecond: the monotonic clock goes on meanwhile.
func shiftClock(t *testing.T, by time.Duration) (restore func()) {
	t.Helper()
	now := func(clock int32) time.Duration {
		var ts unix.Timespec
		if err := unix.ClockGettime(clock, &ts); err != nil {
			t.Fatal(err)
		}
		return time.Duration(ts.Nano())
	}
	wall, mono := now(unix.CLOCK_REALTIME), now(unix.CLOCK_MONOTONIC)
	set := func(to time.Duration) {
		ts := unix.NsecToTimespec(int64(to))
		if err := unix.ClockSettime(unix.CLOCK_REALTIME, &ts); err != nil {
			t.Fatalf("cannot set the clock: %v", err)
		}
	}
	set(wall + by)
	return func() { set(wall + now(unix.CLOCK_MONOTONIC) - mono) }
}

// TestWallClock sets the clock of the whole machine, so that it runs only when it
// is asked for: make clock. That no code which decides reads the wall clock is
// tested everywhere; see the imports test.
func TestWallClock(t *testing.T) {
	if os.Getenv("HOLDFAST_CLOCK") == "" {
		t.Skip("this test sets the machine's clock to and fro: make clock runs it")
	}
	const interval = 100 * time.Millisecond
	d := newDuo(t, duoTOML(highest, interval), duoTOML(lower, interval))
	hooksRan(t, d.a, 4)
	hooksRan(t, d.b, 2)
	master, backup := d.a.story(), d.b.story()
	held := d.watchBoth(t)
	adverts := captureAdverts(t, d.client, "eth0", 51)
	began := time.Now()
	for _, by := range slices.Concat(jumps, jumps) {
		func() {
			restore := shiftClock(t, by)
			defer restore()
			time.Sleep(clockOff)
		}()
		time.Sleep(clockOff)
	}
	during(t, 3*interval, "a alone has the addresses", func() bool {
		return d.a.has(vipFour) && d.a.has(vipSix) && !d.b.has(vipFour) && !d.b.has(vipSix)
	})
	t.Logf("measured: the clock was set %d times by up to %v; %d adverts meanwhile in %v", 2*2*len(jumps), jumps[0], adverts.count(), time.Since(began).Round(time.Millisecond))
	sameStory(t, d.a, master)
	sameStory(t, d.b, backup)
	for _, h := range held {
		h.wantAlways(t, "a")
	}
	d.lossless(t, began)
}
