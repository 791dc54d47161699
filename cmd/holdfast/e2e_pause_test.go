package main

// Daemons that could not run for a while, as when a virtual machine stalls.

import (
	"fmt"
	"os"
	"testing"
	"time"
)

// pauses are those of the suite, or the one in HOLDFAST_PAUSE.
func pauses(t *testing.T) []time.Duration {
	t.Helper()
	if text := os.Getenv("HOLDFAST_PAUSE"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil {
			t.Fatal(err)
		}
		return []time.Duration{d}
	}
	return []time.Duration{100 * time.Millisecond, 500 * time.Millisecond, 2 * time.Second, 6 * time.Second}
}

// A paused master keeps its address no longer than its lease, hears what
// happened meanwhile before it acts, and one node serves in the end.
func TestPausedMaster(t *testing.T) {
	for _, interval := range []time.Duration{10 * time.Millisecond, 100 * time.Millisecond, time.Second} {
		t.Run(interval.String(), func(t *testing.T) {
			pausesAtOnce(t, interval)
			d := newDuo(t, duoTOML(highest, interval), duoTOML(lower, interval))
			for _, pause := range pauses(t) {
				d.pauseMaster(t, interval, pause)
			}
		})
	}
}

// pausesAtOnce lets those tests run together that mostly wait.
func pausesAtOnce(t *testing.T, interval time.Duration) {
	if interval >= 100*time.Millisecond {
		t.Parallel()
	}
}

func (d *duo) pauseMaster(t *testing.T, interval, pause time.Duration) {
	t.Helper()
	held := d.watchBoth(t)
	began := time.Now()
	resumed := d.freeze(t, d.a, pause, func() {})
	for _, vip := range []string{vipFour, vipSix} {
		only(t, detection(interval, highest)+lingers(vip)+room, vip, d.a, d.b)
	}
	during(t, interval, "a alone has the addresses", func() bool {
		return d.a.has(vipFour) && d.a.has(vipSix) && !d.b.has(vipFour) && !d.b.has(vipSix)
	})
	for n, vip := range []string{vipFour, vipSix} {
		after := held[n].both(resumed)
		before := held[n].both(began) - after
		t.Logf("measured: master paused for %v: %s: two holders for %s meanwhile, %s after: %v", pause, vip, ms(before), ms(after), held[n])
		// After resuming it listens, and whoever yields then lingers.
		if most := interval*2 + lingers(vip) + room; before > overlapMost(interval) || after > most {
			t.Errorf("%s: two holders for %v while paused, at most %v allowed, and for %v after, at most %v allowed",
				vip, before, overlapMost(interval), after, most)
		}
	}
}

// A paused backup hears that the master is alive before it acts: nothing
// happens at all.
func TestPausedBackup(t *testing.T) {
	for _, interval := range []time.Duration{10 * time.Millisecond, 100 * time.Millisecond, time.Second} {
		t.Run(interval.String(), func(t *testing.T) {
			pausesAtOnce(t, interval)
			d := newDuo(t, duoTOML(highest, interval), duoTOML(lower, interval))
			hooksRan(t, d.a, 4)
			hooksRan(t, d.b, 2)
			master, backup := d.a.story(), d.b.story()
			held := d.watchBoth(t)
			began := time.Now()
			for _, pause := range pauses(t) {
				d.freeze(t, d.b, pause, func() {})
				during(t, 2*interval, fmt.Sprintf("a alone has the addresses after a pause of %v", pause), func() bool {
					return d.a.has(vipFour) && d.a.has(vipSix) && !d.b.has(vipFour) && !d.b.has(vipSix)
				})
			}
			sameStory(t, d.a, master)
			sameStory(t, d.b, backup)
			for n, vip := range []string{vipFour, vipSix} {
				held[n].wantAlways(t, "a")
				lossless(t, vip, d.probes[n], began)
			}
		})
	}
}
