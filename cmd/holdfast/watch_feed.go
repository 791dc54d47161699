package main

import (
	"context"
	"errors"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
)

// feed brings news of a daemon: its state again and again, and what happens.
type feed struct {
	// state asks for it, events for those asked for; nil for none.
	state  func(ctx context.Context) (*control.Status, error)
	events func(ctx context.Context, f control.Follower) error
	// every is how often the state is asked for when nothing happens.
	every time.Duration
}

// news is one of: a state that came or did not; an event; events that were lost.
type news struct {
	at    time.Time
	state *control.Status
	err   error
	event *control.Event
	lost  uint64
}

const (
	// statePatience is how long a daemon may take to tell its state.
	statePatience = 3 * time.Second
	// leastPause is the least time between two questions for the state, and
	// shareOfTime bounds what they cost: a daemon with very many instances,
	// whose answer takes long, is asked less often.
	leastPause  = time.Second
	shareOfTime = 20
	// eventsAgainAfter is when a stream of events that was refused is tried again.
	eventsAgainAfter = time.Second
)

// run brings news until the context ends; it closes the channel then.
func (f *feed) run(ctx context.Context) <-chan news {
	out := make(chan news)
	tell := func(n news) {
		select {
		case out <- n:
		case <-ctx.Done():
		}
	}
	happened := make(chan struct{}, 1)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f.follow(ctx, happened, tell)
	}()
	go func() {
		defer close(out)
		f.ask(ctx, happened, tell)
		<-ended
	}()
	return out
}

// ask asks for the state every so often, and soon after something happened.
func (f *feed) ask(ctx context.Context, happened <-chan struct{}, tell func(news)) {
	for {
		began := time.Now()
		patient, cancel := context.WithTimeout(ctx, statePatience)
		st, err := f.state(patient)
		if err != nil && patient.Err() != nil {
			err = errors.New("the daemon does not answer")
		}
		cancel()
		if ctx.Err() != nil {
			return
		}
		now := time.Now()
		tell(news{at: now, state: st, err: err})
		soonest := max(min(f.every, leastPause), shareOfTime*now.Sub(began))
		if !pause(ctx, time.Until(began.Add(soonest)), nil) || !pause(ctx, time.Until(began.Add(f.every)), happened) {
			return
		}
	}
}

// pause waits for a time, or until something happens. It returns false when the
// context ends.
func pause(ctx context.Context, long time.Duration, happened <-chan struct{}) bool {
	t := time.NewTimer(max(0, long))
	defer t.Stop()
	select {
	case <-t.C:
	case <-happened:
	case <-ctx.Done():
		return false
	}
	return true
}

// follow tells of events, across restarts of the daemon.
func (f *feed) follow(ctx context.Context, happened chan<- struct{}, tell func(news)) {
	nudge := func() {
		select {
		case happened <- struct{}{}:
		default:
		}
	}
	for f.events != nil {
		_ = f.events(ctx, control.Follower{ // that it is gone, the state tells, too
			Event: func(e *control.Event, _ []byte) {
				tell(news{at: time.Now(), event: e})
				nudge()
			},
			Lost: func(n uint64) { tell(news{at: time.Now(), lost: n}) },
			Gone: func(error) { nudge() },
			Back: func(bool) { nudge() },
		})
		if !pause(ctx, eventsAgainAfter, nil) {
			return
		}
	}
}
