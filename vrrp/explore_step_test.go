package vrrp

import (
	"fmt"
	"time"
)

// stepKind is a kind of step from one state of a world to the next.
type stepKind byte

const (
	// What time does. Lateness of the kernel and the order in which things
	// happen at one moment are free.
	pass    stepKind = iota // to the next moment at which anything can happen
	tick                    // on a
	deliver                 // the next advert from a to b
	expire                  // the lease on a
	// What mends: it may always happen.
	start   // the daemon on a, as after a boot
	restart // the daemon on a, which was master a moment ago
	resume  // the frozen daemon on a
	undrain
	mend // the check on a passes
	// Disturbances: these are counted.
	lose // the next advert from a to b
	crash
	freeze
	drain
	tryDrain // drain a, unless nobody takes over
	failOver // from a
	fail     // the check on a
	stop
)

var stepNames = [...]string{
	"time passes", "timer of node %d", "advert from node %d reaches node %d", "kernel of node %d ends the lease",
	"node %d starts", "node %d restarts with its journal", "node %d resumes", "node %d is undrained", "check of node %d passes",
	"advert from node %d to node %d is lost", "node %d dies", "node %d freezes", "node %d is drained", "node %d is drained if somebody takes over", "node %d is to fail over", "check of node %d fails", "node %d is stopped",
}

type step struct {
	kind stepKind
	a, b byte
}

func (s step) calm() bool   { return s.kind < start }
func (s step) counts() bool { return s.kind >= lose }

func (s step) String() string {
	switch s.kind {
	case pass:
		return stepNames[s.kind]
	case deliver, lose:
		return fmt.Sprintf(stepNames[s.kind], s.a, s.b)
	}
	return fmt.Sprintf(stepNames[s.kind], s.a)
}

// steps appends all that can happen next.
func (w *world) steps(list []step) []step {
	must := false // before time passes
	for n := range w.nodes {
		d := &w.nodes[n]
		if d.alive() && w.due(n) {
			list, must = append(list, step{tick, byte(n), 0}), true
		}
		if d.present && !d.leaseAt.IsZero() && !d.leaseAt.After(w.now) {
			list = append(list, step{expire, byte(n), 0})
			must = must || !d.leaseAt.Add(removalLate).After(w.now)
		}
		for to := range w.nodes {
			q := *w.wire(n, to)
			if len(q) == 0 {
				continue
			}
			list = append(list, step{deliver, byte(n), byte(to)})
			must = must || !q[0].due.After(w.now)
			if w.m.may(lose) {
				list = append(list, step{lose, byte(n), byte(to)})
			}
		}
		list = w.interventions(n, list)
	}
	if _, ok := w.next(); ok && !must {
		list = append(list, step{kind: pass})
	}
	return list
}

func (w *world) due(n int) bool {
	at, ok := w.nodes[n].e.Deadline()
	return ok && !at.After(w.now)
}

func (m *model) may(k stepKind) bool {
	for _, d := range m.disturbances {
		if d == k {
			return true
		}
	}
	return false
}

// interventions are what may be done to a node from outside.
func (w *world) interventions(n int, list []step) []step {
	d := &w.nodes[n]
	do := func(k stepKind, when bool) {
		if when && (k < lose || w.m.may(k)) {
			list = append(list, step{k, byte(n), 0})
		}
	}
	do(start, d.life == down)
	do(restart, d.life == down && w.adoptable(n))
	do(resume, d.life == frozen)
	do(crash, d.life != down)
	if d.life != up {
		return list
	}
	do(freeze, true)
	checked := len(w.m.configs[n].Checks) > 0
	do(mend, checked && d.failing)
	do(fail, checked && !d.failing)
	if !d.e.stopping {
		drained := d.e.instances[0].drained
		do(undrain, drained || d.e.instances[0].standsBack())
		do(drain, !drained)
		do(tryDrain, !drained)
		do(failOver, d.master())
		do(stop, true)
	}
	return list
}

// next is the next moment at which something can happen.
func (w *world) next() (time.Time, bool) {
	var at time.Time
	sooner := func(t time.Time) {
		if t.After(w.now) && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	for n := range w.nodes {
		d := &w.nodes[n]
		if d.alive() {
			if t, ok := d.e.Deadline(); ok {
				sooner(t)
			}
		}
		if d.present {
			sooner(d.servesAt)
			if !d.leaseAt.IsZero() {
				sooner(d.leaseAt)
				sooner(d.leaseAt.Add(removalLate))
			}
		}
	}
	for _, q := range w.wires {
		if len(q) > 0 {
			sooner(q[0].due)
		}
	}
	return at, !at.IsZero()
}

// apply returns the state after a step, and what was found wrong on the way.
func (w *world) apply(s step, log *trail) *world {
	c := w.copy()
	n := int(s.a)
	d := &c.nodes[n]
	switch {
	case s.kind == pass:
		c.pass(log)
		return c
	case s.kind == deliver:
		n = int(s.b)
		d = &c.nodes[n]
	}
	switch runs := d.life == up || s.kind == resume; {
	case s.kind == lose, s.kind == crash, s.kind == freeze:
	case runs:
		d.e = d.e.copy()
	}
	c.before(s)
	switch s.kind {
	case tick:
		c.happens(n, &Tick{}, log)
	case deliver, lose:
		q := c.wire(int(s.a), int(s.b))
		f := (*q)[0]
		if *q = (*q)[1:]; s.kind == lose {
			break
		}
		if d.life == frozen {
			d.arrive(f)
		} else {
			c.hear(n, f, log)
		}
	case expire:
		c.expire(n, log)
	case start, restart:
		c.start(n, s.kind == restart, log)
	case resume:
		c.resume(n, log)
	case crash:
		c.dies(n)
	case freeze:
		d.spoke = c.lastWord(n)
		d.life = frozen
	case drain:
		c.happens(n, &Drain{Instance: "web"}, log)
	case tryDrain:
		c.happens(n, &Drain{Instance: "web", Try: true}, log)
	case failOver:
		c.happens(n, &Failover{Instance: "web"}, log)
	case undrain:
		c.happens(n, &Undrain{Instance: "web"}, log)
	case mend, fail:
		d.failing = s.kind == fail
		c.happens(n, &CheckChanged{Check: "nginx", Healthy: !d.failing, Reason: "refused"}, log)
	case stop:
		c.happens(n, &Stop{}, log)
	}
	c.after(n, log)
	return c
}

// after is what follows a step on a node at once.
func (w *world) after(n int, log *trail) {
	d := &w.nodes[n]
	if d.alive() && w.m.mutation == withoutLinger {
		if r := d.router(); r.holding() && r.heard {
			r.holdUntil = w.now
			r.schedule()
			w.happens(n, &Tick{}, log)
		}
	}
	if d.alive() && d.e.Stopped() {
		if d.present {
			log.wrong("node %d has stopped and left its address behind", n)
		}
		w.dies(n)
	}
	w.judge(log)
}

func (w *world) expire(n int, log *trail) {
	d := &w.nodes[n]
	switch {
	case d.life == down:
		d.stamp, d.spoke = time.Time{}, time.Time{}
	case d.life == frozen:
		d.lapsed = true
	case (d.master() || d.router().holding()) && d.slept == 0 && !w.due(n):
		log.wrong("the lease of node %d lapsed although it runs and holds the address", n)
	}
	d.present, d.leaseAt, d.servesAt = false, time.Time{}, time.Time{}
	if d.alive() {
		w.tellLapsed(n, log)
	}
}

func (w *world) pass(log *trail) {
	at, _ := w.next()
	if w.kept && !w.served() {
		log.wrong("nobody serves for %v, although nothing but planned moves happened", at.Sub(w.now))
	}
	log.pass(at.Sub(w.now))
	w.now = at
	for n := range w.nodes {
		w.nodes[n].spoken = 0
	}
	w.judge(log)
}
