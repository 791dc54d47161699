package healthcheck

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// step is what one probe of a script does.
type step struct {
	takes  time.Duration
	output string
	err    error
}

// script is a prober that does its steps, the last one again and again, and
// notes when each probe began, counted from the first one.
type script struct {
	steps  []step
	first  time.Time
	starts []time.Duration
	busy   bool
}

func (s *script) Probe(ctx context.Context) (string, error) {
	if s.busy {
		panic("probes overlap")
	}
	s.busy = true
	defer func() { s.busy = false }()
	if s.first.IsZero() {
		s.first = time.Now()
	}
	st := s.steps[min(len(s.starts), len(s.steps)-1)]
	s.starts = append(s.starts, time.Since(s.first))
	timer := time.NewTimer(st.takes)
	defer timer.Stop()
	if st.takes > 0 {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return st.output, ctx.Err()
		}
	}
	return st.output, st.err
}

var (
	good    = step{output: "fine"}
	bad     = step{err: errors.New("broken")}
	hanging = step{takes: time.Hour}
)

const (
	ms  = time.Millisecond
	sec = time.Second
)

// runFor runs a script for a while and returns its results.
func runFor(t *testing.T, c Config, s *script, d time.Duration) (results []Result) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), d)
		defer cancel()
		Run(ctx, c, s, func(r Result) { results = append(results, r) })
	})
	return results
}

func TestRunSchedule(t *testing.T) {
	slow := func(d time.Duration) step { return step{takes: d, output: "slow"} }
	tests := []struct {
		name  string
		edit  func(*Config)
		steps []step
		until time.Duration
		want  []time.Duration
	}{
		{"at once, then every interval", nil, []step{good}, 3500 * ms, []time.Duration{0, 1 * sec, 2 * sec, 3 * sec}},
		{"no drift by the probes' own time", nil, []step{slow(300 * ms)}, 3500 * ms, []time.Duration{0, 1 * sec, 2 * sec, 3 * sec}},
		{"unhealthy probes keep the interval", nil, []step{bad}, 2500 * ms, []time.Duration{0, 1 * sec, 2 * sec}},
		{
			"confirming probes are quick", func(c *Config) { c.Fall = 3 },
			[]step{good, bad},
			2500 * ms,
			[]time.Duration{0, 1 * sec, 1050 * ms, 1100 * ms, 2100 * ms},
		},
		{
			"a success ends the confirming", func(c *Config) { c.Fall = 3 },
			[]step{good, bad, bad, good},
			3500 * ms,
			[]time.Duration{0, 1 * sec, 1050 * ms, 1100 * ms, 2100 * ms, 3100 * ms},
		},
		{"healing keeps the interval", nil, []step{bad, good}, 2500 * ms, []time.Duration{0, 1 * sec, 2 * sec}},
		{"retry longer than interval", func(c *Config) { c.Retry = time.Minute }, []step{good, bad}, 2500 * ms, []time.Duration{0, 1 * sec, 2 * sec}},
		{
			"longer than the interval: no pause, no overlap, no catching up", func(c *Config) { c.Timeout = 5 * sec },
			[]step{slow(2500 * ms), slow(100 * ms)},
			5 * sec,
			[]time.Duration{0, 2500 * ms, 3500 * ms, 4500 * ms},
		},
		{
			"timeouts are followed at once", func(c *Config) { c.Timeout = 2 * sec },
			[]step{good, hanging},
			6 * sec,
			[]time.Duration{0, 1 * sec, 3 * sec, 5 * sec},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, s := valid(), &script{steps: tt.steps}
			if tt.edit != nil {
				tt.edit(&c)
			}
			runFor(t, c, s, tt.until)
			if diff := cmp.Diff(tt.want, s.starts); diff != "" {
				t.Errorf("probes began at (-want +got)\n%s", diff)
			}
		})
	}
}

func TestRunResults(t *testing.T) {
	c := valid()
	c.Timeout = 200 * ms
	s := &script{steps: []step{
		{takes: 10 * ms, output: " fine\n"},
		bad,
		{takes: time.Hour, output: "half a line"},
		{output: "details", err: errors.New("exit status 2")},
		good,
		good,
	}}
	got := runFor(t, c, s, 3200*ms)
	type row struct {
		Healthy, Changed, OK bool
		Output               string
		Duration             time.Duration
	}
	want := []row{
		{true, true, true, "fine", 10 * ms},
		{true, false, false, "broken", 0},
		{false, true, false, "timed out after 200ms: half a line", 200 * ms},
		{false, false, false, "exit status 2: details", 0},
		{false, false, true, "fine", 0},
	}
	var rows []row
	for i, r := range got {
		rows = append(rows, row{r.Healthy, r.Changed, r.OK, r.Output, r.Duration})
		if r.Check != "c" {
			t.Errorf("result %d is of check %q", i, r.Check)
		}
		if began := r.At.Add(-r.Duration).Sub(s.first); began != s.starts[i] {
			t.Errorf("result %d says that it began at %v, it was %v", i, began, s.starts[i])
		}
	}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestRunHeals(t *testing.T) {
	c := valid()
	c.Rise = 3
	s := &script{steps: []step{bad, good}}
	var changes []string
	for _, r := range runFor(t, c, s, 5500*ms) {
		if r.Changed {
			changes = append(changes, fmt.Sprint(r.At.Sub(s.first), " ", r.Healthy))
		}
	}
	if diff := cmp.Diff([]string{"0s false", "3s true"}, changes); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// The whole point of retry: with the defaults, a dead service is known within
// one interval and one retry.
func TestRunConfirmsFast(t *testing.T) {
	s := &script{steps: []step{good, bad}}
	for _, r := range runFor(t, valid(), s, 3*sec) {
		if !r.Healthy {
			if got := r.At.Sub(s.first); got != 1050*ms {
				t.Errorf("failed at %v, want 1.05s", got)
			}
			return
		}
	}
	t.Error("never failed")
}

func TestRunDeliversNothingCutShort(t *testing.T) {
	c := valid()
	c.Timeout = time.Minute
	if got := runFor(t, c, &script{steps: []step{good, hanging}}, 5*sec); len(got) != 1 {
		t.Errorf("%d results, want only the first: %+v", len(got), got)
	}
}

func TestRunProbesNothingWhenOver(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 {
		s := &script{steps: []step{good}}
		Run(ctx, valid(), s, func(Result) { t.Error("delivered") })
		if len(s.starts) > 0 {
			t.Fatal("probed")
		}
	}
}

func TestRunBoundsOutput(t *testing.T) {
	long := strings.Repeat("x", 10*maxOutput)
	for _, st := range []step{{output: long}, {err: errors.New(long)}, {output: long, err: errors.New(long)}} {
		for _, r := range runFor(t, valid(), &script{steps: []step{st}}, 1*ms) {
			if len(r.Output) != maxOutput {
				t.Errorf("%d bytes of output, want %d", len(r.Output), maxOutput)
			}
		}
	}
}

func TestRunWaitsForDeliver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 8*sec)
		defer cancel()
		s := &script{steps: []step{good}}
		Run(ctx, valid(), s, func(Result) { time.Sleep(3 * sec) })
		if diff := cmp.Diff([]time.Duration{0, 3 * sec, 6 * sec}, s.starts); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
}
