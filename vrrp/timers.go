package vrrp

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// timers is a heap of the routers that have something to do, by when: earliest
// first, those of one time in the order in which they were made. There may be
// thousands of routers, none of which is in the processor's cache when its time has
// come. So the heap has copies of the times, those of a node's four children side by
// side, and it does not move a router whose time moves later, as that of a backup
// does with each advert: that is seen when the old time comes first.
type timers struct {
	base  time.Time // from which the times of the heap count
	heap  []timer
	stale int // how many of them stand for no router any more
}

type timer struct {
	at     time.Duration
	serial uint64
	r      *router
}

const (
	timerChildren = 4
	// never is the time of a router that is not in the heap.
	never = time.Duration(math.MaxInt64)
)

// set takes in the deadline of a router.
func (t *timers) set(r *router) {
	if r.deadline.IsZero() {
		return // it goes when it comes first
	}
	at := r.deadline.Sub(t.base)
	if at >= r.queued {
		return
	}
	t.drop(r)
	r.queued = at
	t.heap = append(t.heap, timer{at, r.id.Serial, r})
	t.up(len(t.heap) - 1)
}

// drop takes out a router.
func (t *timers) drop(r *router) {
	if r.queued == never {
		return
	}
	r.queued = never
	if t.stale++; t.stale > 16+len(t.heap)/2 {
		t.sweep()
	}
}

// first returns the router with the earliest deadline, or nil.
func (t *timers) first() *router {
	for len(t.heap) > 0 {
		top := &t.heap[0]
		r := top.r
		switch {
		case top.at != r.queued:
			t.stale--
			t.pop()
		case r.deadline.IsZero():
			r.queued = never
			t.pop()
		case top.at != r.deadline.Sub(t.base):
			top.at = r.deadline.Sub(t.base)
			r.queued = top.at
			t.down(0)
		default:
			return r
		}
	}
	return nil
}

// sweep removes what stands for no router. What is in order is a heap.
func (t *timers) sweep() {
	t.heap = slices.DeleteFunc(t.heap, func(e timer) bool { return e.at != e.r.queued })
	slices.SortFunc(t.heap, func(a, b timer) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.serial, b.serial)) })
	t.heap = slices.Compact(t.heap)
	t.stale = 0
}

// clone returns what it has of the originals of some clones, for these.
func (t *timers) clone(routers map[*router]*router) timers {
	c := timers{base: t.base}
	for _, d := range routers {
		if d.queued != never {
			c.heap = append(c.heap, timer{d.queued, d.id.Serial, d})
		}
	}
	c.sweep() // into their order
	return c
}

func (t *timers) pop() {
	last := len(t.heap) - 1
	t.heap[0] = t.heap[last]
	t.heap[last] = timer{}
	t.heap = t.heap[:last]
	t.down(0)
}

func (a *timer) before(b *timer) bool { return a.at < b.at || a.at == b.at && a.serial < b.serial }

func (t *timers) up(i int) {
	h := t.heap
	for i > 0 {
		parent := (i - 1) / timerChildren
		if !h[i].before(&h[parent]) {
			return
		}
		h[i], h[parent] = h[parent], h[i]
		i = parent
	}
}

func (t *timers) down(i int) {
	h := t.heap
	if i >= len(h) {
		return
	}
	e := h[i]
	for {
		child := timerChildren*i + 1
		if child >= len(h) {
			break
		}
		least := child
		for c := child + 1; c < min(child+timerChildren, len(h)); c++ {
			if h[c].before(&h[least]) {
				least = c
			}
		}
		if !h[least].before(&e) {
			break
		}
		h[i], i = h[least], least
	}
	h[i] = e
}
