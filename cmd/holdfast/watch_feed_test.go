package main

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
)

// askedAt runs a feed for a time, and returns when it asked for the state.
func askedAt(t *testing.T, every, takes, long time.Duration, events func(context.Context, control.Follower) error) (asked []time.Duration, got []news) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		f := &feed{every: every, events: events, state: func(ctx context.Context) (*control.Status, error) {
			asked = append(asked, time.Since(began))
			select {
			case <-time.After(takes):
				return &control.Status{}, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}}
		ctx, cancel := context.WithTimeout(t.Context(), long)
		defer cancel()
		for n := range f.run(ctx) {
			got = append(got, n)
		}
	})
	return asked, got
}

func TestFeedAsks(t *testing.T) {
	seconds := func(list ...float64) (all []time.Duration) {
		for _, s := range list {
			all = append(all, time.Duration(s*float64(time.Second)))
		}
		return all
	}
	// happens tells of an event at each of some times.
	happens := func(times ...time.Duration) func(context.Context, control.Follower) error {
		return func(ctx context.Context, to control.Follower) error {
			began := time.Now()
			for _, at := range times {
				if !pause(ctx, time.Until(began.Add(at)), nil) {
					return ctx.Err()
				}
				to.Event(&control.Event{}, nil)
			}
			<-ctx.Done()
			return ctx.Err()
		}
	}
	for _, tt := range []struct {
		name               string
		every, takes, long time.Duration
		events             func(context.Context, control.Follower) error
		want               []time.Duration
	}{
		{"nothing happens", 2 * time.Second, time.Millisecond, 5 * time.Second, nil, seconds(0, 2, 4)},
		{"soon after an event", 5 * time.Second, time.Millisecond, 9 * time.Second, happens(2 * time.Second), seconds(0, 2, 7)},
		{"but not twice in a second", 5 * time.Second, time.Millisecond, 9 * time.Second, happens(2*time.Second, 2100*time.Millisecond, 2200*time.Millisecond), seconds(0, 2, 3, 8)},
		{"as often as asked for", 200 * time.Millisecond, time.Millisecond, 700 * time.Millisecond, nil, seconds(0, 0.2, 0.4, 0.6)},
		{"seldom when it takes long", time.Second, 200 * time.Millisecond, 9 * time.Second, nil, seconds(0, 4, 8)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			asked, _ := askedAt(t, tt.every, tt.takes, tt.long, tt.events)
			if len(asked) != len(tt.want) {
				t.Fatalf("asked at %v, want %v", asked, tt.want)
			}
			for n := range asked {
				if asked[n] != tt.want[n] {
					t.Fatalf("asked at %v, want %v", asked, tt.want)
				}
			}
		})
	}
}

// TestFeedSilence wants that a daemon which does not answer is told of, and a
// stream that is refused tried again.
func TestFeedSilence(t *testing.T) {
	refused := 0
	_, got := askedAt(t, time.Second, time.Hour, 4500*time.Millisecond, func(context.Context, control.Follower) error {
		refused++
		return errors.New("refused")
	})
	if len(got) != 1 || got[0].err == nil || got[0].err.Error() != "the daemon does not answer" {
		t.Errorf("news %+v", got)
	}
	if refused != 5 {
		t.Errorf("the stream was opened %d times", refused)
	}
}
