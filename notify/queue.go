package notify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// maxPending bounds the events of one instance that wait for their turn.
const maxPending = 1024

var (
	// ErrDropped is in the outcome when events were lost because too many
	// were waiting.
	ErrDropped = errors.New("too many events are waiting")
	// ErrClosed is in the outcome of an event whose hooks did not run because
	// the queue was closed.
	ErrClosed = errors.New("the queue is closed")
)

// Outcome is what became of one hook for one event.
type Outcome struct {
	Event Event
	// Hook is the command line, for people; empty when Dropped is not 0.
	Hook string
	// Err is why the hook failed, nil when it exited with status 0.
	Err error
	// Output is what the hook wrote, at most 4 KiB of valid UTF-8.
	Output string
	// Started is when the hook was started, Duration how long it ran.
	Started  time.Time
	Duration time.Duration
	// Dropped is how many events in a row were lost for want of room, Event
	// being the last of them; Err is then [ErrDropped]. Otherwise 0.
	Dropped int
}

// Queue runs hooks in order. Its methods may be called from several goroutines.
type Queue struct {
	done func(Outcome)
	run  func(context.Context, *Config, *Event) Outcome // tests replace it

	// ctx ends when running hooks must end.
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu     sync.Mutex
	closed bool
	hooks  []Config
	// lines holds the instances that have work, one goroutine each.
	lines map[string]*line
}

// line is the events of one instance that wait.
type line struct {
	pending []job
	dropped int
	// lastDropped is the latest of the dropped events.
	lastDropped Event
}

// job is an event and the hooks that were meant when it was posted.
type job struct {
	event Event
	hooks []Config
}

// NewQueue returns a queue with a set of hooks, which must be valid. done gets
// the outcomes: those of one instance in order, those of several possibly at
// the same time. It may block; only the hooks of that instance wait for it.
func NewQueue(hooks []Config, done func(Outcome)) *Queue {
	q := &Queue{done: done, run: runHook, lines: map[string]*line{}}
	q.ctx, q.cancel = context.WithCancel(context.Background())
	q.Set(hooks)
	return q
}

// Set replaces the hooks for the events posted from now on. Those that wait
// keep the hooks they had.
func (q *Queue) Set(hooks []Config) {
	// The jobs share this slice: it is replaced and never changed.
	hooks = slices.Clone(hooks)
	for i := range hooks {
		hooks[i] = hooks[i].clone()
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.hooks = hooks
}

// Post runs the hooks that want the event, after those of the earlier events of
// the same instance. It never blocks. When too many events of an instance wait,
// the oldest one is dropped, which an outcome tells. The only error is
// [ErrClosed].
func (q *Queue) Post(e Event) error {
	e.Addresses = slices.Clone(e.Addresses)
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return ErrClosed
	}
	if !slices.ContainsFunc(q.hooks, func(c Config) bool { return c.wants(&e) }) {
		return nil
	}
	l, busy := q.lines[e.Instance]
	if !busy {
		l = &line{}
		q.lines[e.Instance] = l
	}
	l.push(job{event: e, hooks: q.hooks})
	if !busy {
		q.wg.Go(func() { q.work(e.Instance, l) })
	}
	return nil
}

func (l *line) push(j job) {
	if len(l.pending) >= maxPending {
		l.dropped++
		l.lastDropped = l.pending[0].event
		l.pending = slices.Delete(l.pending, 0, 1)
	}
	l.pending = append(l.pending, j)
}

// work runs the hooks of one instance until none is left.
func (q *Queue) work(instance string, l *line) {
	for {
		j, lost, ok := q.next(instance, l)
		if !ok {
			return
		}
		if lost.Dropped > 0 {
			q.done(lost)
		}
		for i := range j.hooks {
			if hook := &j.hooks[i]; hook.wants(&j.event) {
				q.done(q.runOne(hook, &j.event))
			}
		}
	}
}

// next takes the next job off the line. When there is none, the line ends. It
// also tells of the events before it that were dropped.
func (q *Queue) next(instance string, l *line) (j job, lost Outcome, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(l.pending) == 0 {
		delete(q.lines, instance)
		return job{}, Outcome{}, false
	}
	if l.dropped > 0 {
		lost = Outcome{
			Event:   l.lastDropped,
			Dropped: l.dropped,
			Err:     fmt.Errorf("%w: %d dropped, the last one number %d", ErrDropped, l.dropped, l.lastDropped.Sequence),
		}
		l.dropped, l.lastDropped = 0, Event{}
	}
	j = l.pending[0]
	l.pending = slices.Delete(l.pending, 0, 1)
	return j, lost, true
}

func (q *Queue) runOne(hook *Config, e *Event) Outcome {
	if q.ctx.Err() != nil {
		return Outcome{Event: *e, Hook: commandLine(hook.arguments(e)), Err: ErrClosed}
	}
	return q.run(q.ctx, hook, e)
}

// Close takes no more events and waits for the hooks of all that were posted.
// When ctx ends first, it kills the running hooks, lets the others fail with
// [ErrClosed], and returns the context's error. Either way, no outcome comes
// once it has returned.
func (q *Queue) Close(ctx context.Context) error {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()

	idle := make(chan struct{})
	go func() {
		defer close(idle)
		q.wg.Wait()
	}()
	var err error
	select {
	case <-idle:
	case <-ctx.Done():
		if q.busy() {
			err = fmt.Errorf("wait for hooks: %w", context.Cause(ctx))
		}
	}
	q.cancel()
	<-idle
	return err
}

func (q *Queue) busy() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.lines) > 0
}
