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
	// ErrLeft is in the outcome of a hook that was cut short because the queue
	// was left: see [Queue.Leave].
	ErrLeft = errors.New("left for later")
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
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup
	// changed, when not nil, is called when other events are unfinished.
	changed func()

	mu     sync.Mutex
	closed bool
	left   bool // what waits is not to be run
	hooks  []Config
	posted uint64 // so many jobs
	// lines holds the instances that have work, one goroutine each.
	lines map[string]*line
}

// line is the events of one instance that wait, and the one whose hooks run.
type line struct {
	current *job
	pending []job
	dropped int
	// lastDropped is the latest of the dropped events.
	lastDropped Event
}

// job is an event and the hooks that were meant when it was posted.
type job struct {
	number uint64 // in the order of posting
	event  Event
	hooks  []Config
	ran    []string // the command lines of those that ran
}

// next returns the first hook that is to be run. The same command may be there
// several times.
func (j *job) next() *Config {
	ran := slices.Clone(j.ran)
	for i := range j.hooks {
		c := &j.hooks[i]
		if !c.wants(&j.event) {
			continue
		}
		at := slices.Index(ran, commandLine(c.arguments(&j.event)))
		if at < 0 {
			return c
		}
		ran = slices.Delete(ran, at, at+1)
	}
	return nil
}

// NewQueue returns a queue with a set of hooks, which must be valid. done gets
// the outcomes: those of one instance in order, those of several possibly at
// the same time. It may block; only the hooks of that instance wait for it.
func NewQueue(hooks []Config, done func(Outcome)) *Queue {
	q := &Queue{done: done, run: runHook, lines: map[string]*line{}}
	q.ctx, q.cancel = context.WithCancelCause(context.Background())
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
// the oldest one is dropped, one that is no state before any that is, which an
// outcome tells. The only error is [ErrClosed].
func (q *Queue) Post(e Event) error { return q.put(e, nil) }

// put queues an event some of whose hooks may have run.
func (q *Queue) put(e Event, ran []string) error {
	e.Addresses = slices.Clone(e.Addresses)
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return ErrClosed
	}
	j := job{number: q.posted, event: e, hooks: q.hooks, ran: ran}
	if j.next() == nil {
		return nil
	}
	q.posted++
	l, busy := q.lines[e.Instance]
	if !busy {
		l = &line{}
		q.lines[e.Instance] = l
	}
	l.push(j)
	if !busy {
		q.wg.Go(func() { q.work(e.Instance, l) })
	}
	q.tell()
	return nil
}

func (l *line) push(j job) {
	if len(l.pending) >= maxPending {
		at := max(0, slices.IndexFunc(l.pending, func(j job) bool { return !isState(j.event.State) }))
		l.dropped++
		l.lastDropped = l.pending[at].event
		l.pending = slices.Delete(l.pending, at, at+1)
	}
	l.pending = append(l.pending, j)
}

// work runs the hooks of one instance until none is left.
func (q *Queue) work(instance string, l *line) {
	for {
		hook, event, lost := q.next(instance, l)
		if lost.Dropped > 0 {
			q.done(lost)
		}
		if hook == nil {
			return
		}
		o := q.runOne(hook, event)
		if !errors.Is(o.Err, ErrLeft) {
			q.finished(l, commandLine(hook.arguments(event)))
		}
		q.done(o)
	}
}

// next takes the next hook off the line. When there is none, the line ends. It
// also tells of the events before it that were dropped.
func (q *Queue) next(instance string, l *line) (hook *Config, e *Event, lost Outcome) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.left {
		return nil, nil, Outcome{} // what waits goes on waiting
	}
	for l.current == nil || l.current.next() == nil {
		l.current = nil
		if len(l.pending) == 0 {
			delete(q.lines, instance)
			return nil, nil, lost
		}
		if l.dropped > 0 {
			lost = Outcome{
				Event:   l.lastDropped,
				Dropped: l.dropped,
				Err:     fmt.Errorf("%w: %d dropped, the last one number %d", ErrDropped, l.dropped, l.lastDropped.Sequence),
			}
			l.dropped, l.lastDropped = 0, Event{}
		}
		j := l.pending[0]
		l.current = &j
		l.pending = slices.Delete(l.pending, 0, 1)
	}
	return l.current.next(), &l.current.event, lost
}

// finished notes that a hook of the event at hand ran.
func (q *Queue) finished(l *line, command string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	l.current.ran = append(l.current.ran, command)
	q.tell()
}

func (q *Queue) tell() {
	if q.changed != nil {
		q.changed()
	}
}

func (q *Queue) runOne(hook *Config, e *Event) Outcome {
	if why := context.Cause(q.ctx); why != nil { // closed, or left
		return Outcome{Event: *e, Hook: commandLine(hook.arguments(e)), Err: why}
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

	idle := q.idle()
	var err error
	select {
	case <-idle:
	case <-ctx.Done():
		if q.busy() {
			err = fmt.Errorf("wait for hooks: %w", context.Cause(ctx))
		}
	}
	q.cancel(ErrClosed)
	<-idle
	return err
}

func (q *Queue) busy() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.lines) > 0
}
