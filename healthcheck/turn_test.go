package healthcheck

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// Programs are started one after the other; one that is stuck at it is overtaken after
// a while, but by one at a time, and two that are stuck by none.
func TestOneIsStartedAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		defer newTurns()()
		wait := func(ctx context.Context) (time.Duration, func(), error) {
			began := time.Now()
			end, err := turn(ctx, "/bin/a")
			return time.Since(began), end, err
		}
		took, stuck, err := wait(t.Context())
		if took != 0 || err != nil {
			t.Fatalf("the first one waited %v, %v", took, err)
		}
		for _, want := range []time.Duration{startPatience, 0} {
			took, end, err := wait(t.Context())
			if took != want || err != nil {
				t.Fatalf("one beside it waited %v, %v; want %v", took, err, want)
			}
			end()
		}
		_, second, err := wait(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		took, _, err = wait(ctx)
		if _, late := errors.AsType[*lateError](err); !late || took != time.Minute {
			t.Errorf("a third one waited %v, %v", took, err)
		}
		stuck()
		took, end, err := wait(t.Context())
		if took != 0 || err != nil {
			t.Errorf("after the first one: waited %v, %v", took, err)
		}
		end()
		second()
	})
}

// Programs that hung keep up each other and nobody else.
func TestThoseThatHungStandBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		defer newTurns()()
		hung.Store("/bin/hung", true)
		defer hung.Delete("/bin/hung")
		end, err := turn(t.Context(), "/bin/hung")
		if err != nil {
			t.Fatal(err)
		}
		defer end()
		began := time.Now()
		other, err := turn(t.Context(), "/bin/other")
		if err != nil || time.Since(began) != hungPatience {
			t.Fatalf("another one waited %v, %v", time.Since(began), err)
		}
		other()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := turn(ctx, "/bin/hung"); err == nil {
			t.Error("two that hung had their turn at once")
		}
	})
}

// newTurns has turns belong to the bubble of a test, until the function is called.
func newTurns() func() {
	before := []chan struct{}{room, roomForHung, starting}
	room, roomForHung, starting = make(chan struct{}, 1), make(chan struct{}, 1), make(chan struct{}, 1)
	return func() { room, roomForHung, starting = before[0], before[1], before[2] }
}
