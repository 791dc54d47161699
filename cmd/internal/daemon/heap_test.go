package daemon

import (
	"runtime/debug"
	"testing"
)

// Memory goes back when the heap has much more than it needs, and once all is quiet
// again also when it has somewhat more: else what an event took is kept for ever, and
// the next one may take more.
func TestHeapLook(t *testing.T) {
	const mb = 1 << 20
	for _, tt := range []struct {
		name           string
		look           heapLook
		grown, returns bool
	}{
		{name: "little garbage", look: heapLook{size: 5 * mb, live: 4 * mb, mayReturn: true}},
		{name: "much garbage", look: heapLook{size: 7 * mb, live: 4 * mb, mayReturn: true}, grown: true},
		{name: "as much, of more in use", look: heapLook{size: 22 * mb, live: 19 * mb, mayReturn: true}},
		{name: "an event goes on", look: heapLook{size: 4 * mb, live: 4 * mb, unused: 3 * mb, mayReturn: true}},
		{name: "an event was", look: heapLook{size: 4 * mb, live: 4 * mb, unused: 3 * mb, mayReturn: true, tidy: true}, returns: true},
		{name: "an event was, not long ago", look: heapLook{size: 4 * mb, live: 4 * mb, unused: 3 * mb, tidy: true}},
		{name: "all is as ever", look: heapLook{size: 4 * mb, live: 4 * mb, unused: 2 * mb, mayReturn: true, tidy: true}},
		{name: "a start needed much", look: heapLook{size: 4 * mb, live: 4 * mb, unused: 5 * mb, mayReturn: true}, returns: true},
		{name: "returned a moment ago", look: heapLook{size: 4 * mb, live: 4 * mb, unused: 5 * mb}},
	} {
		if grown, returns := tt.look.grown(), tt.look.returns(); grown != tt.grown || returns != tt.returns {
			t.Errorf("%s: grown %v, returns %v; want %v, %v", tt.name, grown, returns, tt.grown, tt.returns)
		}
	}
}

// A collection is a whole one, the only one, and leaves the runtime to begin none.
func TestCollect(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	for _, kB := range []int{0, 0, 1 << 10, 32 << 10} {
		fill(kB)
		before, size := cycles(), heap()
		collect()
		if n := cycles() - before; n != 1 {
			t.Errorf("with %d kB of garbage: %d collections, want 1", kB, n)
		}
		if live := marked(); kB > 16<<10 && live > size/2 {
			t.Errorf("of %d kB, %d kB of it garbage, %d kB are in use", size>>10, kB, live>>10)
		}
	}
	if percent := debug.SetGCPercent(-1); percent != -1 {
		t.Errorf("the runtime collects at %d %%", percent)
	}
}
