package web

import (
	"context"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
	"github.com/holdfast-vrrp/holdfast/cmd/internal/metrics"
)

const (
	// freshness is how old a snapshot may be: however many ask, the loop makes no
	// more than one in that time.
	freshness = 200 * time.Millisecond
	// askShare is which part of the time making snapshots may take at most.
	askShare = 5
	// freshnessMost bounds that: a snapshot that only waited for a busy loop is not
	// to be told for long.
	freshnessMost = 2 * time.Second
	// askPatience is how long the loop has to answer.
	askPatience = 2 * time.Second
)

// Shared gives all who ask at a time the same snapshot.
type Shared struct {
	source metrics.Source
	turn   chan struct{} // has room for the one whose turn it is
	next   time.Time     // not before
	st     *control.Status
	err    error
}

// NewShared shares the snapshots of a source.
func NewShared(s metrics.Source) *Shared {
	return &Shared{source: s, turn: make(chan struct{}, 1)}
}

// Status implements [metrics.Source]. The snapshot is not to be changed.
func (s *Shared) Status(ctx context.Context) (*control.Status, error) {
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-s.turn }()
	began := time.Now()
	if began.Before(s.next) {
		return s.st, s.err
	}
	// Not the asker's context: the answer is for others too.
	ask, cancel := context.WithTimeout(context.WithoutCancel(ctx), askPatience)
	defer cancel()
	s.st, s.err = s.source.Status(ask)
	ended := time.Now()
	gap := freshness
	if s.err == nil {
		gap = min(max(gap, (askShare-1)*ended.Sub(began)), freshnessMost)
	}
	s.next = ended.Add(gap)
	time.AfterFunc(gap, s.forget)
	return s.st, s.err
}

// forget lets go of what nobody will be given any more: with thousands of
// instances it is large.
func (s *Shared) forget() {
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	if !time.Now().Before(s.next) {
		s.st, s.err = nil, nil
	}
}
