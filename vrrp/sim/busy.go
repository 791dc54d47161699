package sim

import "time"

// A kernel that is busy, with its network lock say, has everything wait that a
// daemon asks for, and does it in order once it answers. Leases end meanwhile. What
// a daemon asked for that has died comes to nothing.

// answer has a kernel that was busy do what waits.
func (n *node) answer() {
	if !n.busy {
		return
	}
	n.busy, n.answered, n.backlog = false, n.w.now, len(n.orders)
	if n.waits {
		n.w.push(n.w.now+60*time.Microsecond, evOrder, n.index, nil)
	}
	n.startHeld()
}

// workedOff notes that one of the orders that waited is done.
func (n *node) workedOff() {
	if n.backlog > 0 {
		n.backlog, n.answered = n.backlog-1, n.w.now
	}
}

// stalled reports whether the kernel is busy, or was just now.
func (n *node) stalled() bool {
	return n.busy || n.answered > 0 && n.w.now-n.answered < 20*time.Millisecond
}

// caughtUp reports whether the kernel has done since a moment what waited before.
func (n *node) caughtUp(since time.Duration) bool { return n.answered > 0 && n.answered >= since }

// startAnswered starts the daemon, which asks first for the addresses that were
// left: it begins once the kernel answers.
func (n *node) startAnswered(s *Step) {
	if n.busy && n.powered && !n.alive() && !n.stranger() {
		n.held = s
		return
	}
	n.start(s.Config, !s.NoJournal)
}

// startHeld starts a daemon that waited, unless its host stands still.
func (n *node) startHeld() {
	if s := n.held; s != nil && !n.busy && !n.suspended {
		n.held = nil
		n.start(s.Config, !s.NoJournal)
	}
}
