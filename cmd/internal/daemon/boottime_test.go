package daemon

import (
	"testing"
	"time"
)

// The kernel is asked again only where the wall clock has moved without the
// monotonic one, and then what it says counts.
func TestBootClock(t *testing.T) {
	monotonic, wall, boot := time.Minute, 30*365*24*time.Hour, time.Hour
	asked := 0
	c := &bootClock{
		clocks: func() (time.Duration, time.Duration) { return monotonic, wall },
		boot:   func() time.Duration { asked++; return boot },
	}
	for _, tt := range []struct {
		name              string
		runs, set, sleeps time.Duration
		asks              int
	}{
		{"the first look", 0, 0, 0, 1},
		{"a turn later", 10 * time.Millisecond, 0, 0, 0},
		{"a wall clock that is slewed", 10 * time.Millisecond, 100 * time.Microsecond, 0, 0},
		{"an hour later", time.Hour, 0, 0, 0},
		{"asleep for a moment", time.Millisecond, 0, 2 * time.Millisecond, 1},
		{"asleep for a day", time.Millisecond, 0, 24 * time.Hour, 1},
		{"the wall clock set back", time.Millisecond, -time.Hour, 0, 1},
		{"and after that", time.Second, 0, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			monotonic, wall, boot = monotonic+tt.runs, wall+tt.runs+tt.set+tt.sleeps, boot+tt.runs+tt.sleeps
			before := asked
			if got := c.read(); got != boot || asked-before != tt.asks {
				t.Errorf("%v, asked %d times; want %v and %d", got, asked-before, boot, tt.asks)
			}
		})
	}
}

// Who had to wait between the answer and the clocks asks again: else all that is
// reckoned from them would be wrong for good.
func TestBootClockAfterAWait(t *testing.T) {
	const wait = 50 * time.Millisecond
	at, asked := time.Minute, 0
	c := &bootClock{clocks: func() (time.Duration, time.Duration) { return at, at }}
	c.boot = func() time.Duration {
		boot := at
		if asked++; asked == 1 {
			at += wait
		}
		return boot
	}
	c.read()
	if got := c.read(); got != at || asked != 2 {
		t.Errorf("%v after %d questions, want %v after 2", got, asked, at)
	}
}

// What is reckoned is what the kernel says.
func TestBootClockKeepsUp(t *testing.T) {
	c := newBootClock()
	c.read()
	for range 100 {
		least, got, most := boottime(), c.read(), boottime()
		if got < least-slept || got > most+slept {
			t.Fatalf("%v, but the kernel said %v before and %v after", got, least, most)
		}
		time.Sleep(time.Millisecond)
	}
}
