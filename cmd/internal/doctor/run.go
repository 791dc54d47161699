package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Test looks at one thing.
type Test struct {
	// ID is short and in kebab case. A finding that nothing is wrong has it, and
	// one that the thing could not be looked at.
	ID string
	// About says what is looked at, so that it can follow the word "looked at".
	About string
	// Run returns what it found, nothing when all is well. It ends with ctx.
	Run func(ctx context.Context, x *Examination) []Finding
}

// tests are all there are, in the order in which they are reported.
func tests() []Test {
	return slices.Concat(hostTests(), wireTests())
}

// spare is how long a test may take beside listening to the wire.
const spare = 5 * time.Second

// Run makes all tests, side by side, and returns what they found in the order of
// the tests, the worst first.
// Without time to listen those that look at the wire are left out.
func (x *Examination) Run(ctx context.Context) []Finding {
	if x.Wait == 0 {
		return x.run(ctx, hostTests())
	}
	return x.run(ctx, tests())
}

func (x *Examination) run(ctx context.Context, list []Test) []Finding {
	found := make([][]Finding, len(list))
	var wg sync.WaitGroup
	for n, t := range list {
		wg.Go(func() { found[n] = x.bounded(ctx, t) })
	}
	wg.Wait()
	all := slices.Concat(found...)
	slices.SortStableFunc(all, func(a, b Finding) int { return int(b.Severity) - int(a.Severity) })
	return all
}

// bounded makes one test, which must return in time.
func (x *Examination) bounded(ctx context.Context, t Test) []Finding {
	limit := x.Wait + spare
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	done := make(chan []Finding, 1)
	go func() { done <- t.Run(ctx, x) }()
	var found []Finding
	select {
	case found = <-done:
	case <-ctx.Done():
		// It may have ended with the context: that is an answer, too.
		select {
		case found = <-done:
		case <-time.After(500 * time.Millisecond):
			found = []Finding{unseen("", fmt.Sprintf("this took longer than %v", limit))}
		}
	}
	if len(found) == 0 {
		return []Finding{{Severity: OK, ID: t.ID, Title: t.About}}
	}
	seen := map[Finding]bool{}
	found = slices.DeleteFunc(found, func(f Finding) bool {
		again := seen[f] // as many instances share an interface
		seen[f] = true
		return again
	})
	for n := range found {
		f := &found[n]
		if f.ID == "" {
			f.ID = t.ID
		}
		if f.Severity == Unseen {
			f.Title = fmt.Sprintf("%s: could not be looked at: %s", t.About, f.Title)
		}
		f.Fix = strings.TrimRight(f.Fix, "\n")
	}
	return found
}

// Worst is the highest severity among findings.
func Worst(list []Finding) (worst Severity) {
	for _, f := range list {
		worst = max(worst, f.Severity)
	}
	return worst
}
