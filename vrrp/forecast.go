package vrrp

import "time"

// Change is a change of state that lies ahead.
type Change struct {
	At    time.Time
	State State
	Cause Cause
	// Reason is what the router will tell then.
	Reason string
}

// forecastSteps is far more than anything takes: it ends a forecast that would go
// in circles.
const forecastSteps = 10_000

// foresee returns what becomes of the routers of these instances, by serial, if
// from now on nobody is heard and nothing else happens. It plays a copy of them
// forward: what is foretold is what the Engine would do.
func (e *Engine) foresee(now time.Time, unit []*instance) map[uint64][]Change {
	c := e.clone(unit, nil)
	changes := map[uint64][]Change{}
	states := map[uint64]State{}
	for serial, r := range c.serials {
		states[serial] = r.state
	}
	for range forecastSteps {
		moves := false
		for _, r := range c.serials {
			moves = moves || r.moves()
			r.rest()
		}
		at, ok := c.Deadline()
		if !moves || !ok {
			break
		}
		if at.Before(now) {
			at = now
		}
		c.Step(at, &Tick{})
		for serial, r := range c.serials {
			if r.state != states[serial] {
				states[serial] = r.state
				changes[serial] = append(changes[serial], Change{r.since, r.state, r.cause, r.reason})
			}
		}
	}
	return changes
}

// moves reports whether time alone can change the state of r.
func (r *router) moves() bool {
	switch r.state {
	case StateBackup:
		return !r.timer.IsZero()
	case StateMaster:
		return !r.steady()
	}
	return !r.readyAt.IsZero() || !r.muteUntil.IsZero() || !r.leftUntil().IsZero()
}

// steady reports whether r is a master that goes on as one.
func (r *router) steady() bool {
	return r.state == StateMaster && !r.handing && !r.listening && !r.unproven && r.silentSince.IsZero()
}

// rest keeps a steady master in a forecast from what it does again and again.
func (r *router) rest() {
	if r.steady() {
		r.timer, r.renewAt, r.repairAt = time.Time{}, time.Time{}, time.Time{}
		r.announceAt, r.againAt = time.Time{}, time.Time{}
		r.schedule()
	}
}
