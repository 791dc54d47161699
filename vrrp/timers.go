package vrrp

// timers is a binary heap of the routers that have a deadline, earliest first.
// It is written out, because container/heap would box on each call.
type timers []*router

// set puts r where its deadline belongs, or takes it out when it has none.
func (t *timers) set(r *router) {
	switch {
	case r.deadline.IsZero() && r.slot < 0:
		return
	case r.deadline.IsZero():
		t.remove(r)
		return
	case r.slot < 0:
		r.slot = len(*t)
		*t = append(*t, r)
	}
	t.up(r.slot)
	t.down(r.slot)
}

func (t *timers) remove(r *router) {
	last := len(*t) - 1
	at := r.slot
	t.swap(at, last)
	(*t)[last] = nil
	*t = (*t)[:last]
	r.slot = -1
	if at < last {
		t.up(at)
		t.down(at)
	}
}

func (t *timers) swap(a, b int) {
	h := *t
	h[a], h[b] = h[b], h[a]
	h[a].slot, h[b].slot = a, b
}

func (t *timers) before(a, b int) bool { return (*t)[a].deadline.Before((*t)[b].deadline) }

func (t *timers) up(i int) {
	for i > 0 && t.before(i, (i-1)/2) {
		t.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
}

func (t *timers) down(i int) {
	for {
		least := i
		for _, child := range [2]int{2*i + 1, 2*i + 2} {
			if child < len(*t) && t.before(child, least) {
				least = child
			}
		}
		if least == i {
			return
		}
		t.swap(i, least)
		i = least
	}
}
