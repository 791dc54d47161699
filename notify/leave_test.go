package notify

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// resume hands what is left to another queue, as a file would.
func resume(t *testing.T, q *Queue, left []Unfinished) {
	t.Helper()
	text, err := json.Marshal(left)
	if err != nil {
		t.Fatal(err)
	}
	var read []Unfinished
	if err := json.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}
	for _, u := range read {
		if err := q.Resume(u); err != nil {
			t.Error(err)
		}
	}
}

// sequences are those of events.
func sequences(list []Unfinished) (n []uint64) {
	for _, u := range list {
		n = append(n, u.Event.Sequence)
	}
	return n
}

// What a queue that was left did not do, another one does: each hook that did not
// end runs, those that did do not run again, in order.
func TestLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(time.Second, hook("/one"), hook("/two"))
		b.post(t, event("web", 1, "master"))
		b.post(t, event("mail", 2, "master"))
		b.post(t, event("web", 3, "backup"))
		time.Sleep(1500 * time.Millisecond) // /two runs
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		left := b.Leave(ctx)
		if took := time.Since(b.began); took != 1700*time.Millisecond {
			t.Errorf("left after %v", took)
		}
		if diff := cmp.Diff([]uint64{1, 2, 3}, sequences(left)); diff != "" {
			t.Errorf("left (-want +got):\n%s", diff)
		}
		if err := b.Post(event("web", 9, "stop")); !errors.Is(err, ErrClosed) {
			t.Errorf("Post after Leave: error %v", err)
		}
		next := newBench(time.Second, hook("/one"), hook("/two"))
		resume(t, next.Queue, left)
		next.post(t, event("web", 4, "fault"))
		if err := next.Close(t.Context()); err != nil {
			t.Error(err)
		}
		next.want(t, "0s web 1 /two", "1s web 3 /one", "2s web 3 /two", "3s web 4 /one", "4s web 4 /two", "0s mail 2 /two")
		if left := next.Unfinished(); len(left) != 0 {
			t.Errorf("in the end there is left %v", left)
		}
	})
}

// A hook that ends while it is waited for is done; nothing follows it.
func TestLeaveWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(time.Second, hook("/one"), hook("/two"))
		b.post(t, event("web", 1, "master"))
		time.Sleep(900 * time.Millisecond)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		left := b.Leave(ctx)
		if took := time.Since(b.began); took != time.Second {
			t.Errorf("left after %v", took)
		}
		if len(left) != 1 || !cmp.Equal(left[0].Ran, []string{"/one"}) {
			t.Errorf("left %+v", left)
		}
		b.want(t, "0s web 1 /one")
		if left := b.Leave(t.Context()); len(left) != 1 {
			t.Errorf("left the second time %+v", left)
		}
	})
}

// Two hooks with the same command both run, also over a restart, and one that is
// no longer configured is forgotten.
func TestResumeTellsHooksApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(time.Second, hook("/one"), hook("/one"), hook("/gone"))
		u := Unfinished{Event: event("web", 1, "master"), Ran: []string{"/one"}}
		if err := b.Resume(u); err != nil {
			t.Fatal(err)
		}
		if err := b.Resume(Unfinished{Event: event("web", 2, "backup"), Ran: []string{"/one", "/gone", "/one"}}); err != nil {
			t.Fatal(err)
		}
		b.Set(nil)
		if err := b.Resume(u); err != nil || len(b.Unfinished()) != 1 {
			t.Errorf("without hooks: error %v, unfinished %v", err, b.Unfinished())
		}
		if err := b.Close(t.Context()); err != nil {
			t.Error(err)
		}
		b.want(t, "0s web 1 /one", "1s web 1 /gone")
	})
}

// Whoever looks at each change always knows what a crash would leave.
func TestUnfinishedFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(time.Second, hook("/one"), hook("/two", "master"))
		var changes atomic.Int32
		b.OnChange(func() { changes.Add(1) })
		b.post(t, event("web", 1, "master"))
		b.post(t, event("web", 2, "backup"))
		for _, want := range []struct {
			left    []uint64
			changes int32
		}{{[]uint64{1, 2}, 2}, {[]uint64{1, 2}, 3}, {[]uint64{2}, 4}, {nil, 5}} {
			synctest.Wait()
			if got := sequences(b.Unfinished()); !cmp.Equal(got, want.left) || changes.Load() != want.changes {
				t.Errorf("%v: unfinished %v after %d changes, want %v after %d", time.Since(b.began), got, changes.Load(), want.left, want.changes)
			}
			time.Sleep(time.Second)
		}
	})
}

// A real hook that is left is killed soon, whatever it does against that, and
// says so.
func TestHookIsLeft(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	c := sh("trap '' TERM; echo begun; sleep 60 & wait; sleep 60")
	c.Timeout = time.Minute
	e := sample()
	time.AfterFunc(300*time.Millisecond, func() { cancel(ErrLeft) })
	o := runHook(ctx, &c, &e)
	if !errors.Is(o.Err, ErrLeft) || !strings.Contains(o.Output, "begun") {
		t.Errorf("error %v, output %q", o.Err, o.Output)
	}
	if o.Duration > 30*time.Second {
		t.Errorf("it ended after %v", o.Duration)
	}
}

// A hook whose turn comes just as the time to leave is over has not run: it is
// left for another queue, not failed.
func TestHookThatDoesNotStartIsLeft(t *testing.T) {
	q := NewQueue([]Config{hook("/one")}, func(Outcome) {})
	q.cancel(ErrLeft)
	e := event("web", 1, "master")
	h := hook("/one")
	if o := q.runOne(&h, &e); !errors.Is(o.Err, ErrLeft) {
		t.Errorf("outcome %v, want %v", o.Err, ErrLeft)
	}
}
