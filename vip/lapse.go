package vip

import "time"

// Lapse is what is known of the lease of an address that is gone, or was for a
// while: whether it can have run out.
type Lapse struct {
	// Lease is what the kernel took last.
	Lease time.Duration
	// Least and Most are how long ago that was, at least and at most, when the
	// address was found to be gone: an exchange with a busy kernel takes its time.
	Least, Most time.Duration
}

// leaseEarly is how much sooner than a lease ends the kernel may remove an
// address: it looks 20 ms ahead, and counts in ticks of up to 10.
const leaseEarly = 30 * time.Millisecond

// span is how long an exchange with the kernel took: in times since the manager was
// made, for there is one for each address.
type span struct{ from, to time.Duration }

// taken is a lease that the kernel took during a span.
type taken struct {
	lease time.Duration
	span
}

// now is the present moment, as in a span.
func (m *Manager) now() time.Duration { return time.Since(m.began) }

// lapsed is what is known of the lease if the address was found to be gone at a
// time; nil when it had none. Of an exchange that found it that is the end: the
// kernel has callers wait before it acts, and not afterwards.
func (t taken) lapsed(at time.Duration) *Lapse {
	if t.lease == 0 {
		return nil
	}
	return &Lapse{Lease: t.lease, Least: max(0, at-t.to), Most: at - t.from}
}

// settleTime is for how long after a late renewal what is seen, or gone, is put down
// to the lease before it. Linux removes IPv4 addresses even then: it reads the clock
// before it waits for its lock, and takes what was renewed meanwhile for long expired.
const settleTime = time.Second

// cameBack is what is known of an address that a late renewal may have brought back.
type cameBack struct {
	at    time.Duration
	lapse *Lapse
}

// renewedIn notes that the kernel took a renewal, and whether the address may have
// been gone before. One that comes just behind a late one changes nothing about it.
func (e *entry) renewedIn(during span) {
	if was := e.taken; was.lease > 0 && during.to-was.to >= was.lease-leaseEarly {
		e.back = &cameBack{during.to, was.lapsed(during.to)}
	}
	e.taken = taken{e.lease, during}
}

// returned is what is known of the lease of an entry that was not seen, before a late
// renewal that came just now. It is told once.
func (e *entry) returned(now time.Duration) *Lapse {
	b := e.back
	if e.back = nil; b == nil || now-b.at > settleTime {
		return nil
	}
	return b.lapse
}
