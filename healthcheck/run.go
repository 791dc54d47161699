package healthcheck

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Result is what one probe found, and what it means.
type Result struct {
	// Check is the name of the check.
	Check string
	// Healthy is the verdict after this probe, and Changed whether it is the
	// first one or another than before.
	Healthy, Changed bool
	// OK is the outcome of this probe alone.
	OK bool
	// Output is what a good probe saw or why a bad one failed, such as
	// "connection refused", "status 503, want 200-399" or "timed out after 1s".
	// At most 4 KiB of valid UTF-8.
	Output string
	// At is when the probe ended, Duration how long it took.
	At       time.Time
	Duration time.Duration
}

// Run probes until the context ends: at once, then every [Config.Interval], and
// every [Config.Retry] while failures are being confirmed. A probe that takes
// longer than that is followed by the next one without a pause. Each result is
// delivered before the next probe starts; one that the end of the context cut
// short is not delivered. The configuration must be valid.
func Run(ctx context.Context, c Config, p Prober, deliver func(Result)) {
	tracker := NewTracker(c.Rise, c.Fall)
	timer := time.NewTimer(0)
	defer timer.Stop()
	due := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if ctx.Err() != nil {
			return // both were ready
		}
		r := probe(ctx, c, p)
		if ctx.Err() != nil {
			return
		}
		r.Healthy, r.Changed = tracker.Observe(r.OK)
		deliver(r)

		spacing := c.Interval
		if tracker.Doubtful() {
			spacing = min(c.Retry, c.Interval)
		}
		due = nextDue(due, spacing, time.Now())
		timer.Reset(time.Until(due))
	}
}

// nextDue counts from when the last probe was due, so that the schedule does
// not drift; what was missed is not made up for.
func nextDue(last time.Time, spacing time.Duration, now time.Time) time.Time {
	if next := last.Add(spacing); next.After(now) {
		return next
	}
	return now
}

// probe probes once, within the timeout.
func probe(ctx context.Context, c Config, p Prober) Result {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	start := time.Now()
	output, err := p.Probe(ctx)
	end := time.Now()
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("timed out after %v", c.Timeout)
	}
	return Result{
		Check:    c.Name,
		OK:       err == nil,
		Output:   describe(output, err),
		At:       end,
		Duration: end.Sub(start),
	}
}

func describe(output string, err error) string {
	output = tidy(output)
	switch {
	case err == nil:
		return output
	case output == "":
		return tidy(err.Error())
	}
	return tidy(err.Error() + ": " + output)
}
