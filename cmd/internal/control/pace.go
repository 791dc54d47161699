package control

import (
	"context"
	"sync"
	"time"
)

// pace makes whatever comes too fast wait. A nil pace makes nothing wait.
type pace struct {
	gap   time.Duration // between two, in the long run
	burst time.Duration // what those that came late have saved, at most

	mu sync.Mutex
	at time.Time // when the next one may be
}

// newPace returns one that lets some through at once, and then one each gap.
func newPace(gap time.Duration, some int) *pace {
	return &pace{gap: gap, burst: gap * time.Duration(some)}
}

// next takes the next turn, and returns for how long to wait for it.
func (p *pace) next(now time.Time) time.Duration {
	if p == nil {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if saved := now.Add(-p.burst); p.at.Before(saved) {
		p.at = saved
	}
	p.at = p.at.Add(p.gap)
	return max(0, p.at.Sub(now))
}

// giveBack leaves a turn that nobody wants any more to those who come.
func (p *pace) giveBack() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at = p.at.Add(-p.gap)
}

// wait takes the next turn and waits for it. Those who come and go at once do not
// keep the others waiting.
func (p *pace) wait(ctx context.Context) error {
	long := p.next(time.Now())
	if long == 0 {
		return nil
	}
	select {
	case <-time.After(long):
		return nil
	case <-ctx.Done():
		p.giveBack()
		return ctx.Err()
	}
}
