package control

import (
	"context"
	"sync"
	"time"
)

const (
	// shareGap is the least time between two questions for the status, and
	// shareRest how many times as long as an answer took there are none: however
	// many ask, the loop works for them for a small part of its time.
	shareGap  = 20 * time.Millisecond
	shareRest = 10
	// shareRestMost bounds that, so that a daemon that was stuck answers again.
	shareRestMost = time.Second
)

// shared asks one question for all who wait for its answer. An answer is never
// older than who asked for it: it shows what an order before did.
type shared[T any] struct {
	question func(context.Context) (T, error)
	patience func() time.Duration
	turn     chan struct{} // has room for the one question that is being asked
	rested   time.Time     // when the next one may be; of whose turn it is

	mu   sync.Mutex
	next *asking[T] // not asked yet: whoever comes now can join
}

// asking is a question, and once it is done its answer.
type asking[T any] struct {
	done   chan struct{}
	answer T
	err    error
}

func newShared[T any](patience func() time.Duration, question func(context.Context) (T, error)) *shared[T] {
	return &shared[T]{question: question, patience: patience, turn: make(chan struct{}, 1)}
}

// get returns an answer to the question, which is not to be changed.
func (s *shared[T]) get(ctx context.Context) (T, error) {
	s.mu.Lock()
	a := s.next
	if a == nil {
		a = &asking[T]{done: make(chan struct{})}
		s.next = a
		go s.run(a)
	}
	s.mu.Unlock()
	select {
	case <-a.done:
		return a.answer, a.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

// run asks when it is time. Two of it are there at most: one that asks, and the
// next one, which others join.
func (s *shared[T]) run(a *asking[T]) {
	s.turn <- struct{}{}
	time.Sleep(time.Until(s.rested))
	s.mu.Lock()
	s.next = nil // who comes from now on may want to see what is later
	s.mu.Unlock()

	began := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), s.patience())
	defer cancel()
	a.answer, a.err = s.question(ctx)
	took := time.Since(began)
	s.rested = began.Add(max(shareGap, min(took*shareRest, shareRestMost)))
	close(a.done)
	<-s.turn
}
