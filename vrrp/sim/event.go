package sim

import "time"

// eventKind is what an event is about. The frequent ones need no closure.
type eventKind uint8

const (
	evStep   eventKind = iota // the next step of the history
	evWake                    // a node's timer
	evPacket                  // an advert reaches a port
	evOrder                   // a node's address worker
	evExpire                  // a lease may have run out
	evCheck                   // a virtual router must have settled
	evCall
)

// event is something that will happen. Events of one moment happen in the order
// in which they were planned.
type event struct {
	at   time.Duration
	seq  uint64
	kind eventKind
	who  int32 // node, virtual router, or the port as a number
	// packetless is the address of evExpire.
	packetless int32
	packet     *packet
	call       func()
}

// eventQueue is a binary heap.
type eventQueue []event

func (q eventQueue) before(a, b int) bool {
	if q[a].at != q[b].at {
		return q[a].at < q[b].at
	}
	return q[a].seq < q[b].seq
}

func (q *eventQueue) push(e event) {
	*q = append(*q, e)
	h := *q
	for i := len(h) - 1; i > 0 && h.before(i, (i-1)/2); i = (i - 1) / 2 {
		h[i], h[(i-1)/2] = h[(i-1)/2], h[i]
	}
}

func (q *eventQueue) pop() event {
	h := *q
	top := h[0]
	last := len(h) - 1
	h[0], h[last] = h[last], event{}
	h = h[:last]
	for i := 0; ; {
		least := i
		for _, c := range [2]int{2*i + 1, 2*i + 2} {
			if c < last && h.before(c, least) {
				least = c
			}
		}
		if least == i {
			break
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
	*q = h
	return top
}

// clock is how a node counts time: at its own rate, and not while suspended.
type clock struct {
	base    time.Duration // local time at the moment since
	since   time.Duration
	ppm     int64
	stopped bool
	// asleep is how long it stood still: the boot clock went on.
	asleep time.Duration
}

// local is the node's time since the epoch.
func (c *clock) local(now time.Duration) time.Duration {
	if c.stopped {
		return c.base
	}
	d := now - c.since
	if c.ppm != 0 {
		d += d / 1000 * time.Duration(c.ppm) / 1000
	}
	return c.base + d
}

// boot is the node's time since it booted, suspension included.
func (c *clock) boot(now time.Duration) time.Duration { return c.local(now) + c.asleep }

// world returns when the local time will be reached, at the earliest a little
// after now.
func (c *clock) world(local, now time.Duration) time.Duration {
	d := local - c.base
	if c.ppm != 0 {
		d -= d / 1000 * time.Duration(c.ppm) / 1000
	}
	return max(c.since+d, now)
}

func (c *clock) setRate(now time.Duration, ppm int) {
	if !c.stopped {
		c.base, c.since = c.local(now), now
	}
	c.ppm = int64(ppm)
}

func (c *clock) stop(now time.Duration) {
	c.base, c.since, c.stopped = c.local(now), now, true
}

func (c *clock) start(now time.Duration) {
	if c.stopped {
		c.asleep += now - c.since
		c.since, c.stopped = now, false
	}
}
