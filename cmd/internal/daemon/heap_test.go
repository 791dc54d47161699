package daemon

import "testing"

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
