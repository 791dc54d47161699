package vrrp

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The heap against a plain search for the earliest deadline, of which those of one
// time come in the order of their numbers.
func TestTimers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		all := make([]*router, 40)
		for n := range all {
			all[n] = &router{id: RouterID{Serial: uint64(n)}, queued: never}
		}
		heap := timers{base: base}
		for _, r := range all { // many to start with, so that some leave the middle
			r.deadline = base.Add(time.Duration(rapid.IntRange(-10, 1000).Draw(t, "start")) * time.Second)
			heap.set(r)
		}
		for range rapid.IntRange(1, 400).Draw(t, "steps") {
			r := all[rapid.IntRange(0, len(all)-1).Draw(t, "router")]
			r.deadline = time.Time{}
			switch d := rapid.IntRange(-20, 50).Draw(t, "deadline"); {
			case d >= -10:
				r.deadline = base.Add(time.Duration(d) * time.Second)
				heap.set(r)
			case d >= -15:
				heap.drop(r)
			default:
				heap.set(r)
			}
			checkTimers(t, &heap, len(all))
			if rapid.Bool().Draw(t, "look") {
				checkFirst(t, &heap, all)
			}
		}
		for r := heap.first(); r != nil; r = heap.first() { // they leave in order
			checkFirst(t, &heap, all)
			r.deadline = time.Time{}
			heap.set(r)
			checkTimers(t, &heap, len(all))
		}
		if len(heap.heap) != 0 || heap.stale != 0 {
			t.Fatalf("%d timers are left, %d of them stale", len(heap.heap), heap.stale)
		}
	})
}

// checkTimers demands that parents come before their children, that each router
// is there no later than its deadline, and that nothing stale is kept for ever.
func checkTimers(t *rapid.T, heap *timers, routers int) {
	queued := map[*router]bool{}
	for i := range heap.heap {
		e := &heap.heap[i]
		if i > 0 && e.before(&heap.heap[(i-1)/timerChildren]) {
			t.Fatalf("timer %d is earlier than its parent", i)
		}
		if e.at == e.r.queued {
			queued[e.r] = true
		}
		if e.at == e.r.queued && !e.r.deadline.IsZero() && e.r.deadline.Sub(heap.base) < e.at {
			t.Fatalf("a router is due after %v, and in the heap for %v", e.r.deadline.Sub(heap.base), e.at)
		}
	}
	if got := len(heap.heap) - len(queued); got != heap.stale {
		t.Fatalf("%d timers are stale, counted as %d", got, heap.stale)
	}
	if most := 3*routers + 32; len(heap.heap) > most {
		t.Fatalf("%d timers of %d routers, want at most %d", len(heap.heap), routers, most)
	}
}

func checkFirst(t *rapid.T, heap *timers, all []*router) {
	var want *router
	for _, r := range all {
		if !r.deadline.IsZero() && (want == nil || r.deadline.Before(want.deadline)) {
			want = r
		}
	}
	if got := heap.first(); got != want {
		t.Fatalf("the first is %v, want %v", got, want)
	}
}
