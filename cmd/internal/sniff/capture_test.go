package sniff

import (
	"testing"
	"time"
)

// A frame's time keeps its distance to others whatever becomes of the wall
// clock: one that was set between the kernel's stamp and the reading of it must
// not make a frame older than it can be.
func TestStamp(t *testing.T) {
	now := time.Now()
	empty := now.Add(-50 * time.Millisecond)
	wall := now.Round(0)
	for _, tt := range []struct {
		name string
		wall time.Time
		age  time.Duration
	}{
		{"just come", wall.Add(-20 * time.Millisecond), 20 * time.Millisecond},
		{"the clock was set forward", wall.Add(-time.Hour), 50 * time.Millisecond},
		{"the clock was set back", wall.Add(time.Hour), 0},
	} {
		got := stamp(now, empty, tt.wall)
		if age := now.Sub(got); age != tt.age {
			t.Errorf("%s: %v old, want %v", tt.name, age, tt.age)
		}
		// The monotonic reading is still there: setting the wall clock is no matter.
		if got == got.Round(0) {
			t.Errorf("%s: by the wall clock alone", tt.name)
		}
	}
}
