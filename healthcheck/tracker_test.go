package healthcheck

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// verdicts feeds probes ('+' good, '-' bad) to a tracker and writes a verdict
// for each: H healthy, U unhealthy; small when it is not new; a '?' follows
// while the tracker is doubtful.
func verdicts(tr *Tracker, probes string) string {
	var out []byte
	for _, p := range []byte(probes) {
		healthy, changed := tr.Observe(p == '+')
		v := byte('U')
		if healthy {
			v = 'H'
		}
		if !changed {
			v += 'a' - 'A'
		}
		out = append(out, v)
		if tr.Doubtful() {
			out = append(out, '?')
		}
	}
	return string(out)
}

func TestTracker(t *testing.T) {
	tests := []struct {
		name         string
		rise, fall   int
		probes, want string
	}{
		{"first good decides alone", 5, 5, "+", "H"},
		{"first bad decides alone", 5, 5, "-", "U"},
		{"stays healthy", 2, 2, "+++", "Hhh"},
		{"stays unhealthy", 2, 2, "---", "Uuu"},
		{"one failure is forgiven", 2, 2, "+-+-+", "Hh?hh?h"},
		{"falls at fall", 2, 2, "+--", "Hh?U"},
		{"falls at three", 2, 3, "+--+---", "Hh?h?hh?h?U"},
		{"rises at rise", 3, 1, "-+++", "UuuH"},
		{"a failure starts the rise again", 2, 1, "-+-++", "UuuuH"},
		{"one and one follow every probe", 1, 1, "+-+-", "HUHU"},
		{"down and up again", 2, 2, "+--++--", "Hh?UuHh?U"},
		{"nonsense counts as one", 0, -3, "+-+", "HUH"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, verdicts(NewTracker(tt.rise, tt.fall), tt.probes)); diff != "" {
				t.Errorf("%s (-want +got)\n%s", tt.probes, diff)
			}
		})
	}
}

func TestTrackerKnowsNothingAtFirst(t *testing.T) {
	tr := NewTracker(1, 1)
	if tr.Known() || tr.Healthy() || tr.Doubtful() {
		t.Errorf("before the first probe: known %v, healthy %v, doubtful %v", tr.Known(), tr.Healthy(), tr.Doubtful())
	}
	tr.Observe(true)
	if !tr.Known() || !tr.Healthy() {
		t.Errorf("after a good probe: known %v, healthy %v", tr.Known(), tr.Healthy())
	}
}

// The verdict is a function of the history: the latest run of fall failures or
// rise successes that was complete, else the first probe.
func TestTrackerProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rise := rapid.IntRange(1, 5).Draw(t, "rise")
		fall := rapid.IntRange(1, 5).Draw(t, "fall")
		history := rapid.SliceOfN(rapid.Bool(), 1, 60).Draw(t, "history")
		tr := NewTracker(rise, fall)
		before := false
		for i, ok := range history {
			healthy, changed := tr.Observe(ok)
			want := judge(history[:i+1], rise, fall)
			if healthy != want || tr.Healthy() != want {
				t.Fatalf("after %v: healthy %v, want %v", history[:i+1], healthy, want)
			}
			if wantChanged := i == 0 || want != before; changed != wantChanged {
				t.Fatalf("after %v: changed %v, want %v", history[:i+1], changed, wantChanged)
			}
			if wantDoubt := want && !ok; tr.Doubtful() != wantDoubt {
				t.Fatalf("after %v: doubtful %v, want %v", history[:i+1], tr.Doubtful(), wantDoubt)
			}
			before = want
		}
	})
}

// judge looks back through the whole history, as the tracker does not.
func judge(history []bool, rise, fall int) bool {
	for end := len(history); end > 0; end-- {
		outcome, run := history[end-1], 0
		for i := end - 1; i >= 0 && history[i] == outcome; i-- {
			run++
		}
		if outcome && run >= rise || !outcome && run >= fall {
			return outcome
		}
	}
	return history[0]
}
