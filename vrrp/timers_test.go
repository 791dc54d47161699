package vrrp

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The heap against a plain search for the earliest deadline.
func TestTimers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		all := make([]*router, 40)
		for n := range all {
			all[n] = &router{slot: -1}
		}
		var heap timers
		for n, r := range all { // many to start with, so that some leave the middle
			r.deadline = base.Add(time.Duration(rapid.IntRange(0, 1000).Draw(t, "start")*(n%2+1)) * time.Second)
			heap.set(r)
		}
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			r := all[rapid.IntRange(0, len(all)-1).Draw(t, "router")]
			r.deadline = time.Time{}
			if d := rapid.IntRange(-20, 50).Draw(t, "deadline"); d >= 0 {
				r.deadline = base.Add(time.Duration(d) * time.Second)
			}
			heap.set(r)
			checkHeap(t, heap, all)
		}
		last := base
		for len(heap) > 0 { // they leave in order
			r := heap[0]
			if r.deadline.Before(last) {
				t.Fatalf("%v after %v", r.deadline, last)
			}
			last, r.deadline = r.deadline, time.Time{}
			heap.set(r)
			checkHeap(t, heap, all)
		}
	})
}

func checkHeap(t *rapid.T, heap timers, all []*router) {
	var earliest time.Time
	count := 0
	for _, r := range all {
		if r.deadline.IsZero() {
			if r.slot != -1 {
				t.Fatalf("a router without deadline is in slot %d", r.slot)
			}
			continue
		}
		count++
		if heap[r.slot] != r {
			t.Fatalf("slot %d holds another router", r.slot)
		}
		if earliest.IsZero() || r.deadline.Before(earliest) {
			earliest = r.deadline
		}
	}
	if count != len(heap) {
		t.Fatalf("%d timers for %d routers with a deadline", len(heap), count)
	}
	for i := range heap {
		if i > 0 && heap.before(i, (i-1)/2) {
			t.Fatalf("slot %d is earlier than its parent", i)
		}
	}
	if count > 0 && !heap[0].deadline.Equal(earliest) {
		t.Fatalf("first is %v, earliest is %v", heap[0].deadline, earliest)
	}
}
