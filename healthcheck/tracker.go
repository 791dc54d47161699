package healthcheck

// Tracker turns the outcomes of probes into a verdict: the first one decides
// alone; later it takes fall failures in a row to fail, and rise successes in a
// row to heal. It is pure.
type Tracker struct {
	rise, fall int
	// run counts the latest outcomes that contradict the verdict.
	run     int
	known   bool
	healthy bool
}

// NewTracker returns a tracker that knows nothing yet. Values below 1 count
// as 1.
func NewTracker(rise, fall int) *Tracker {
	return &Tracker{rise: max(rise, 1), fall: max(fall, 1)}
}

// Observe takes the outcome of one probe. It returns the verdict, and whether
// that is new: the first one or another than before.
func (t *Tracker) Observe(ok bool) (healthy, changed bool) {
	switch {
	case !t.known:
		t.known, t.healthy = true, ok
		return ok, true
	case ok == t.healthy:
		t.run = 0
		return t.healthy, false
	}
	t.run++
	needed := t.fall
	if ok {
		needed = t.rise
	}
	if t.run < needed {
		return t.healthy, false
	}
	t.run, t.healthy = 0, ok
	return ok, true
}

// Known tells whether there is a verdict.
func (t *Tracker) Known() bool { return t.known }

// Healthy is the verdict, false while there is none.
func (t *Tracker) Healthy() bool { return t.healthy }

// Doubtful tells whether the verdict is healthy but the last probe failed.
func (t *Tracker) Doubtful() bool { return t.healthy && t.run > 0 }
