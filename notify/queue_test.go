package notify

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// bench is a queue whose hooks take a while of simulated time. Its log has a
// line "time instance sequence hook" for each start of one, and a line for each
// outcome that is an error.
type bench struct {
	*Queue
	began time.Time
	takes time.Duration

	mu      sync.Mutex
	log     []string
	running map[string]bool
}

func newBench(takes time.Duration, hooks ...Config) *bench {
	b := &bench{began: time.Now(), takes: takes, running: map[string]bool{}}
	b.Queue = NewQueue(hooks, func(o Outcome) {
		if o.Err != nil {
			b.note("%s %d: %v", o.Event.Instance, o.Event.Sequence, o.Err)
		}
	})
	b.run = b.hook
	return b
}

func (b *bench) note(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.log = append(b.log, fmt.Sprint(time.Since(b.began), " ", fmt.Sprintf(format, args...)))
}

func (b *bench) hook(ctx context.Context, c *Config, e *Event) (o Outcome) {
	o = Outcome{Event: *e}
	b.note("%s %d %s", e.Instance, e.Sequence, c.Exec[0])
	b.mu.Lock()
	if b.running[e.Instance] {
		panic("two hooks of one instance run at once")
	}
	b.running[e.Instance] = true
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.running[e.Instance] = false
	}()
	select {
	case <-time.After(b.takes):
	case <-ctx.Done():
		o.Err = context.Cause(ctx)
	}
	return o
}

func (b *bench) want(t *testing.T, lines ...string) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	slices.Sort(b.log) // what happens at the same time has no order
	slices.Sort(lines)
	if diff := cmp.Diff(lines, b.log); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func hook(name string, on ...string) Config {
	return Config{Exec: []string{name}, On: on, Timeout: time.Second}
}

func event(instance string, sequence uint64, state string) Event {
	return Event{Instance: instance, Sequence: sequence, State: state}
}

func (b *bench) post(t *testing.T, e Event) {
	t.Helper()
	before := time.Now()
	if err := b.Post(e); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(before); took != 0 {
		t.Errorf("Post blocked for %v", took)
	}
}

func TestQueueOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(time.Second, hook("/one"), hook("/two", "master"), hook("/three"))
		b.post(t, event("web", 1, "master"))
		b.post(t, event("web", 2, "backup"))
		b.post(t, event("mail", 3, "fault")) // does not wait for the others
		if err := b.Close(t.Context()); err != nil {
			t.Error(err)
		}
		b.want(t,
			"0s web 1 /one", "1s web 1 /two", "2s web 1 /three", "3s web 2 /one", "4s web 2 /three",
			"0s mail 3 /one", "1s mail 3 /three")
	})
}

func TestQueueKeepsNoIdleGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(time.Second, hook("/one", "master"))
		for i := range 3 {
			b.post(t, event("web", uint64(i), "master"))
			time.Sleep(2 * time.Second)
			if b.busy() {
				t.Error("busy after the work")
			}
			b.post(t, event("web", 9, "backup")) // nobody wants it
			if b.busy() {
				t.Error("busy with an event without hooks")
			}
		}
		b.want(t, "0s web 0 /one", "2s web 1 /one", "4s web 2 /one")
	})
}

func TestQueueSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hooks := []Config{hook("/old")}
		b := newBench(time.Second, hooks...)
		hooks[0].Exec[0] = "/scribbled" // the caller's own
		b.post(t, event("web", 1, "master"))
		b.post(t, event("web", 2, "backup"))
		b.Set([]Config{hook("/new"), hook("/newer")})
		b.post(t, event("web", 3, "master"))
		b.Set(nil)
		b.post(t, event("web", 4, "backup"))
		b.Set([]Config{hook("/last")})
		b.post(t, event("web", 5, "stop"))
		if err := b.Close(t.Context()); err != nil {
			t.Error(err)
		}
		b.want(t, "0s web 1 /old", "1s web 2 /old", "2s web 3 /new", "3s web 3 /newer", "4s web 5 /last")
	})
}

func TestQueueDropsTheOldest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var outcomes []Outcome
		q := NewQueue([]Config{hook("/one")}, func(o Outcome) { outcomes = append(outcomes, o) })
		q.run = func(_ context.Context, _ *Config, e *Event) Outcome {
			time.Sleep(time.Second)
			return Outcome{Event: *e, Hook: "/one"}
		}
		const lost = 7
		q.Post(event("web", 1, "master"))
		synctest.Wait() // number 1 runs
		for i := range maxPending + lost {
			q.Post(event("web", uint64(2+i), "backup"))
		}
		if err := q.Close(t.Context()); err != nil {
			t.Error(err)
		}

		if len(outcomes) != 1+1+maxPending {
			t.Fatalf("%d outcomes, want %d", len(outcomes), 1+1+maxPending)
		}
		drop := outcomes[1]
		want := "too many events are waiting: 7 dropped, the last one number 8"
		if !errors.Is(drop.Err, ErrDropped) || drop.Err.Error() != want || drop.Dropped != lost || drop.Event.Sequence != 1+lost || drop.Hook != "" {
			t.Errorf("got %+v", drop)
		}
		for i, o := range outcomes[2:] {
			if o.Err != nil || o.Dropped != 0 || o.Event.Sequence != uint64(2+lost+i) {
				t.Fatalf("outcome %d after the gap is %+v", i, o)
			}
		}
	})
}

// What is no state makes room for states.
func TestQueueDropsStatesLast(t *testing.T) {
	l := &line{}
	for n := range maxPending {
		state := "backup"
		if n == 3 || n == 5 {
			state = "check"
		}
		l.push(job{event: event("web", uint64(n), state)})
	}
	var dropped []uint64
	for range 4 {
		l.push(job{event: event("web", 0, "master")})
		dropped = append(dropped, l.lastDropped.Sequence)
	}
	if diff := cmp.Diff([]uint64{3, 5, 0, 1}, dropped); diff != "" || len(l.pending) != maxPending || l.dropped != 4 {
		t.Errorf("%d wait and %d were dropped, in the order (-want +got)\n%s", len(l.pending), l.dropped, diff)
	}
}

func TestQueueCloseGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(time.Minute, hook("/one"))
		for i := range 3 {
			b.post(t, event("web", uint64(i), "master"))
		}
		b.post(t, event("mail", 3, "master"))
		ctx, cancel := context.WithTimeout(t.Context(), 70*time.Second)
		defer cancel()
		err := b.Close(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || err.Error() != "wait for hooks: context deadline exceeded" {
			t.Errorf("error %v", err)
		}
		if took := time.Since(b.began); took != 70*time.Second {
			t.Errorf("took %v", took)
		}
		b.want(t, "0s web 0 /one", "0s mail 3 /one", "1m0s web 1 /one",
			"1m10s web 1: the queue is closed", "1m10s web 2: the queue is closed")
		if err := b.Post(event("web", 9, "stop")); !errors.Is(err, ErrClosed) {
			t.Errorf("Post after Close: error %v", err)
		}
		if err := b.Close(ctx); err != nil {
			t.Errorf("second Close with nothing to do: %v", err)
		}
	})
}

// However events, reloads and pauses are mixed, each event runs its hooks once,
// in order.
func TestQueueProperty(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		steps := rapid.SliceOfN(rapid.IntRange(0, 5), 1, 40).Draw(rt, "steps")
		want, got := map[string][]string{}, map[string][]string{}
		var closeErr error
		synctest.Test(t, func(t *testing.T) {
			sets := [][]Config{{hook("/a"), hook("/b", "master")}, {hook("/c")}, {}}
			var mu sync.Mutex
			current := 0
			q := NewQueue(sets[current], func(Outcome) {})
			q.run = func(_ context.Context, c *Config, e *Event) Outcome {
				time.Sleep(time.Second)
				mu.Lock()
				defer mu.Unlock()
				got[e.Instance] = append(got[e.Instance], fmt.Sprint(e.Sequence, c.Exec[0]))
				return Outcome{}
			}
			for i, s := range steps {
				switch s {
				case 0, 1, 2:
					e := event([]string{"x", "y", "z"}[s], uint64(i), states[i%2])
					q.Post(e)
					for _, c := range sets[current] {
						if len(c.On) == 0 || slices.Contains(c.On, e.State) {
							want[e.Instance] = append(want[e.Instance], fmt.Sprint(e.Sequence, c.Exec[0]))
						}
					}
				case 3:
					current = (current + 1) % len(sets)
					q.Set(sets[current])
				case 4:
					time.Sleep(1500 * time.Millisecond)
				case 5:
					time.Sleep(time.Minute)
				}
			}
			closeErr = q.Close(t.Context())
		})
		if diff := cmp.Diff(want, got); diff != "" || closeErr != nil {
			rt.Fatalf("close: %v; hooks (-want +got)\n%s", closeErr, diff)
		}
	})
}

// Ten transitions in no time, with real programs: the file has every state in
// order although the first hook is the slowest.
func TestQueueRunsRealHooksInOrder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "log")
	c := sh(`[ $HOLDFAST_SEQUENCE != 1 ] || sleep 0.2; cat >/dev/null; echo "$HOLDFAST_SEQUENCE $HOLDFAST_STATE" >>"$1"`, file)
	var mu sync.Mutex
	var outcomes []uint64
	q := NewQueue([]Config{c}, func(o Outcome) {
		mu.Lock()
		defer mu.Unlock()
		outcomes = append(outcomes, o.Event.Sequence)
		if o.Err != nil {
			t.Errorf("event %d: %v: %s", o.Event.Sequence, o.Err, o.Output)
		}
	})
	var want strings.Builder
	var numbers []uint64
	for i := range uint64(10) {
		e := sample()
		e.Sequence, e.State = i+1, states[i%4]
		fmt.Fprintln(&want, e.Sequence, e.State)
		numbers = append(numbers, e.Sequence)
		if err := q.Post(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := q.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.String(), string(got)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if diff := cmp.Diff(numbers, outcomes); diff != "" {
		t.Errorf("outcomes (-want +got)\n%s", diff)
	}
}

// Run with -race, this proves that the methods may be called from anywhere.
func TestQueueConcurrently(t *testing.T) {
	var mu sync.Mutex
	ran := 0
	q := NewQueue([]Config{hook("/one")}, func(Outcome) {})
	q.run = func(context.Context, *Config, *Event) Outcome {
		mu.Lock()
		defer mu.Unlock()
		ran++
		return Outcome{}
	}
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := range 100 {
				if err := q.Post(event(fmt.Sprint("i", (i+j)%3), 0, "master")); err != nil {
					t.Error(err)
				}
				q.Set([]Config{hook("/one")})
			}
		})
	}
	wg.Wait()
	if err := q.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if ran != 400 {
		t.Errorf("%d hooks ran, want 400", ran)
	}
}
