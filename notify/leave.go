package notify

import (
	"cmp"
	"context"
	"errors"
	"slices"
)

// Unfinished is an event whose hooks did not all run yet.
type Unfinished struct {
	Event Event `json:"event"`
	// Ran are the command lines of those that did.
	Ran []string `json:"ran,omitempty"`
}

// OnChange has f called whenever [Queue.Unfinished] returns something else than
// before. f must not block, nor call the queue. Set it before the first event.
func (q *Queue) OnChange(f func()) { q.changed = f }

// Unfinished lists the events whose hooks did not all run, in the order in which
// they were posted. Whoever keeps the list can go on after a crash: a hook that
// was running then is in it.
func (q *Queue) Unfinished() []Unfinished {
	q.mu.Lock()
	defer q.mu.Unlock()
	var jobs []job
	for _, l := range q.lines {
		if l.current != nil && l.current.next() != nil {
			jobs = append(jobs, *l.current)
		}
		jobs = append(jobs, l.pending...)
	}
	slices.SortFunc(jobs, func(a, b job) int { return cmp.Compare(a.number, b.number) })
	list := make([]Unfinished, len(jobs))
	for n, j := range jobs {
		list[n] = Unfinished{Event: j.event, Ran: slices.Clone(j.ran)}
	}
	return list
}

// Resume posts an event that another queue has not finished: the hooks that ran
// there do not run again.
func (q *Queue) Resume(u Unfinished) error { return q.put(u.Event, slices.Clone(u.Ran)) }

// Leave takes no more events and starts no more hooks. It waits for those that
// run until ctx ends and then kills them, and returns what is left to be done
// by another queue. No outcome comes once it has returned.
func (q *Queue) Leave(ctx context.Context) []Unfinished {
	q.mu.Lock()
	q.closed, q.left = true, true
	q.mu.Unlock()
	idle := q.idle()
	select {
	case <-idle:
	case <-ctx.Done():
	}
	q.cancel(ErrLeft)
	<-idle
	return q.Unfinished()
}

// idle returns a channel that is closed when no hook runs any more.
func (q *Queue) idle() <-chan struct{} {
	idle := make(chan struct{})
	go func() {
		defer close(idle)
		q.wg.Wait()
	}()
	return idle
}

// left reports whether hooks are to end because their queue was left.
func left(ctx context.Context) bool { return errors.Is(context.Cause(ctx), ErrLeft) }
