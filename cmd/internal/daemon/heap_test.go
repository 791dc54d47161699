package daemon

import "testing"

// Memory goes back when the heap has much more than it needs, and once all is quiet
// again also when it has somewhat more: else what an event took is kept for ever, and
// the next one may take more.
func TestHeapLook(t *testing.T) {
	const mb = 1 << 20
	for _, tt := range []struct {
		name                 string
		look                 heapLook
		works, last, returns bool
	}{
		{name: "little garbage", look: heapLook{size: 5 * mb, live: 4 * mb, mayReturn: true}},
		{name: "much garbage", look: heapLook{size: 7 * mb, live: 4 * mb, mayReturn: true}, works: true},
		{name: "as much, of more in use", look: heapLook{size: 22 * mb, live: 19 * mb, mayReturn: true}},
		{name: "all is quiet", look: heapLook{size: 4 * mb, live: 4 * mb, unused: 2 * mb, mayReturn: true, calm: true}, works: true, last: true},
		{name: "all is quiet behind an event", look: heapLook{size: 4 * mb, live: 4 * mb, unused: 3 * mb, mayReturn: true, calm: true}, works: true, last: true, returns: true},
		{name: "all is quiet, but not for long", look: heapLook{size: 4 * mb, live: 4 * mb, unused: 3 * mb, calm: true}},
		{name: "an event goes on", look: heapLook{size: 4 * mb, live: 4 * mb, unused: 3 * mb, mayReturn: true}},
		{name: "a start needed much", look: heapLook{size: 4 * mb, live: 4 * mb, unused: 5 * mb, mayReturn: true}, works: true, returns: true},
		{name: "returned a moment ago", look: heapLook{size: 4 * mb, live: 4 * mb, unused: 5 * mb}},
		{name: "much garbage when all was quiet", look: heapLook{size: 7 * mb, live: 4 * mb, unused: 3 * mb, mayReturn: true, calm: true}, works: true},
	} {
		if works := tt.look.due() != nil; works != tt.works || tt.look.last() != tt.last || tt.look.returns() != tt.returns {
			t.Errorf("%s: works %v, last %v, returns %v; want %v, %v, %v", tt.name,
				works, tt.look.last(), tt.look.returns(), tt.works, tt.last, tt.returns)
		}
	}
}
