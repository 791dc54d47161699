package web

import (
	"context"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
	"github.com/holdfast-vrrp/holdfast/cmd/internal/metrics"
)

// freshness is how old a snapshot may be: however many ask, the loop makes no
// more than one in that time.
const freshness = 200 * time.Millisecond

// askPatience is how long the loop has to answer.
const askPatience = 2 * time.Second

// Shared gives all who ask at a time the same snapshot.
type Shared struct {
	source metrics.Source
	turn   chan struct{} // has room for the one whose turn it is
	taken  time.Time
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
	if !s.taken.IsZero() && time.Since(s.taken) < freshness {
		return s.st, s.err
	}
	// Not the asker's context: the answer is for others too.
	ask, cancel := context.WithTimeout(context.WithoutCancel(ctx), askPatience)
	defer cancel()
	s.st, s.err = s.source.Status(ask)
	s.taken = time.Now()
	return s.st, s.err
}
