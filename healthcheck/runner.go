package healthcheck

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
)

// Runner runs a set of checks that may be replaced at any time. Its methods
// may be called from several goroutines.
type Runner struct {
	deliver   func(Result)
	newProber func(Config) (Prober, error)

	mu      sync.Mutex
	closed  bool
	running map[string]*task
	// ending holds the tasks that were told to end, by name: a new check of
	// the same name waits for the old one.
	ending map[string]*task
}

// task is one running check.
type task struct {
	config Config
	cancel context.CancelFunc
	done   chan struct{}
}

func (t *task) ended() bool {
	select {
	case <-t.done:
		return true
	default:
		return false
	}
}

// NewRunner returns a runner of no checks. The results of one check are
// delivered one after another, those of different checks possibly at the same
// time.
func NewRunner(deliver func(Result)) *Runner {
	return &Runner{
		deliver:   deliver,
		newProber: New,
		running:   map[string]*task{},
		ending:    map[string]*task{},
	}
}

// Set makes configs the set of running checks: it starts new ones, ends removed
// ones, lets unchanged ones go on with all they know, and starts changed ones
// anew. On an error everything stays as it was.
//
// Set does not wait for a check that it ends, so a last result of it may still
// be delivered, but never after the first result of its successor.
func (r *Runner) Set(configs []Config) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return errors.New("set checks: the runner is closed")
	}
	goesOn, begin, err := r.prepare(configs)
	if err != nil {
		return err
	}
	maps.DeleteFunc(r.ending, func(_ string, t *task) bool { return t.ended() })
	for name, t := range r.running {
		if !goesOn[name] {
			t.cancel()
			r.ending[name] = t
			delete(r.running, name)
		}
	}
	for _, b := range begin {
		r.running[b.config.Name] = r.start(b.config, b.prober, r.ending[b.config.Name])
	}
	return nil
}

// beginner is a check that is to be started.
type beginner struct {
	config Config
	prober Prober
}

// prepare checks the whole set and builds the probers of those to begin before
// anything changes. Those that go on were checked when they began.
func (r *Runner) prepare(configs []Config) (goesOn map[string]bool, begin []beginner, err error) {
	goesOn = make(map[string]bool, len(configs))
	var errs []error
	for n := range configs {
		c := &configs[n]
		if _, twice := goesOn[c.Name]; twice {
			errs = append(errs, fmt.Errorf("check %q: the name is used twice", c.Name))
			continue
		}
		t := r.running[c.Name]
		if goesOn[c.Name] = t != nil && reflect.DeepEqual(c, &t.config); goesOn[c.Name] {
			continue
		}
		own := c.clone()
		p, err := r.newProber(own)
		if err != nil {
			errs = append(errs, fmt.Errorf("check %q: %w", c.Name, err))
		}
		begin = append(begin, beginner{own, p})
	}
	return goesOn, begin, errors.Join(errs...)
}

// start runs a check once the one before it has ended.
func (r *Runner) start(c Config, p Prober, before *task) *task {
	ctx, cancel := context.WithCancel(context.Background())
	t := &task{config: c, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(t.done)
		defer cancel()
		if before != nil {
			<-before.done
		}
		Run(ctx, c, p, r.deliver)
	}()
	return t
}

// Close ends all checks and waits for them; nothing is delivered once it has
// returned. It must not be called from within deliver, nor where deliver waits
// for the caller.
func (r *Runner) Close() {
	r.mu.Lock()
	r.closed = true
	tasks := slices.AppendSeq(slices.Collect(maps.Values(r.running)), maps.Values(r.ending))
	for _, t := range tasks {
		t.cancel()
	}
	r.mu.Unlock()
	for _, t := range tasks {
		<-t.done
	}
}

// clone copies c with all it points to, so that the caller may reuse it.
func (c Config) clone() Config {
	if c.HTTP != nil {
		h := *c.HTTP
		h.Status = slices.Clone(h.Status)
		h.Headers = maps.Clone(h.Headers)
		c.HTTP = &h
	}
	if c.TCP != nil {
		t := *c.TCP
		c.TCP = &t
	}
	if c.Exec != nil {
		e := *c.Exec
		e.Command = slices.Clone(e.Command)
		e.Env = slices.Clone(e.Env)
		c.Exec = &e
	}
	return c
}
