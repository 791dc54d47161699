package vrrp

import (
	"fmt"
	"time"
)

// trail notes what one step did and what was wrong with it.
type trail struct {
	wrongs []string
	// lines are kept when a story is to be told.
	tell  bool
	lines []string
}

func (l *trail) wrong(format string, args ...any) {
	l.wrongs = append(l.wrongs, fmt.Sprintf(format, args...))
}

func (l *trail) step(n int, ev Event, actions []Action) {
	if !l.tell {
		return
	}
	if len(actions) == 0 {
		if _, ok := ev.(*AddressesChanged); !ok {
			l.lines = append(l.lines, fmt.Sprintf("    node %d: %T: nothing to do", n, ev))
		}
		return
	}
	for _, a := range actions {
		l.lines = append(l.lines, fmt.Sprintf("    node %d: %s", n, render(a)))
	}
}

func (l *trail) pass(d time.Duration) {
	if l.tell {
		l.lines = append(l.lines, fmt.Sprintf("    %v", d))
	}
}

// speechLimit is more adverts than a node has reason to send at one moment.
const speechLimit = 8

// inspect holds the actions of one step of an Engine against what must hold of
// each: transitions are counted, have a reason and a cause, hooks run in order,
// and who is not master says nothing but its last words.
func (w *world) inspect(n int, ev Event, actions []Action, sequence uint64, log *trail) {
	d := &w.nodes[n]
	r := d.router
	for k, a := range actions {
		switch a := a.(type) {
		case *Transition:
			sequence++
			if a.Sequence != sequence || a.From == a.To || a.Reason == "" {
				log.wrong("node %d: transition %d after %d: %s", n, a.Sequence, sequence-1, render(a))
			}
			if !caused(a, ev) {
				log.wrong("node %d: %T is no cause of %s", n, ev, render(a))
			}
		case *Notify:
			if a.Transition.Sequence > sequence {
				log.wrong("node %d: hooks of transition %d before it", n, a.Transition.Sequence)
			}
		case *SendAdvert:
			priority, quick := a.Payload[2], a.Payload[5] == 1 && k+1 < len(actions)
			if r().state != StateMaster && priority != PriorityRelease && !quick && !r().since.Equal(w.now) {
				log.wrong("node %d: advert in state %v: %s", n, r().state, render(a))
			}
		}
	}
	for _, i := range d.e.instances {
		if terms := i.sum(); total(terms) != i.effective {
			log.wrong("node %d elects with priority %d, and explains it by %v", n, i.effective, terms)
		}
	}
	if at, ok := d.e.Deadline(); ok {
		if _, ticked := ev.(*Tick); ticked && !at.After(w.now) {
			log.wrong("node %d: after its timers fired one is due still", n)
		}
	}
}

// caused reports whether an event can bring a transition about.
func caused(t *Transition, ev Event) bool {
	type move struct{ from, to State }
	var causes []move
	switch ev.(type) {
	case *Tick:
		causes = []move{{StateBackup, StateMaster}}
	case *AdvertReceived:
		causes = []move{{StateMaster, StateBackup}}
	case *CheckChanged:
		causes = []move{{StateInit, StateBackup}, {StateInit, StateFault}, {StateBackup, StateFault}, {StateMaster, StateFault}, {StateFault, StateBackup}, {StateFault, StateMaster}}
	case *Link:
		causes = []move{{StateInit, StateBackup}, {StateInit, StateMaster}, {StateInit, StateFault}}
	case *Configure:
		causes = []move{{StateInit, StateFault}}
	case *Stop:
		return t.To == StateInit && t.Stopping
	}
	for _, c := range causes {
		if c == (move{t.From, t.To}) {
			return true
		}
	}
	return false
}

// judge holds a state against what must hold in each.
func (w *world) judge(log *trail) {
	for n := range w.nodes {
		d := &w.nodes[n]
		if d.spoken > speechLimit {
			log.wrong("node %d sent %d adverts at one moment", n, d.spoken)
		}
		v := w.m.configs[n].AdvertInterval
		if v >= time.Second && d.present && !d.leaseAt.IsZero() && !d.spoke.IsZero() && w.now.Sub(d.spoke) > downIntervals*v+v/10 {
			log.wrong("node %d cannot act, and its address is there %v after its last advert", n, w.now.Sub(d.spoke))
		}
		if !d.alive() {
			continue
		}
		switch r := d.router(); {
		case d.present && r.state != StateMaster && !r.holding():
			log.wrong("node %d has the address and is neither master nor handing over", n)
		case !d.present && d.master():
			log.wrong("node %d is master without the address", n)
		case r.mute != "" || !r.silentSince.IsZero():
			log.wrong("node %d takes itself for mute, though all its adverts leave", n)
		}
	}
	if w.settled() {
		w.kept = true
	}
}

// settled reports whether one master serves, alone, and nobody is in between.
func (w *world) settled() bool {
	for _, q := range w.wires {
		if len(q) > 0 {
			return false
		}
	}
	masters := 0
	for n := range w.nodes {
		switch d := &w.nodes[n]; {
		case d.life == frozen, d.life == down && d.present:
			return false
		case d.life == down:
		case d.router().holding() || d.router().handing || d.router().listening || d.e.stopping:
			return false
		case d.master():
			masters++
			if !w.serves(n) {
				return false
			}
		}
	}
	return masters == 1
}

// before ends the promise that not a moment is lost where a step does so: what
// is not planned, and letting the last one go that could serve.
func (w *world) before(s step) {
	switch s.kind {
	case lose, crash, freeze, resume, restart:
		w.kept = false
	case fail, stop:
		if s.kind == fail && !w.releases(int(s.a)) {
			return
		}
		for n := range w.nodes {
			if n != int(s.a) && w.nodes[n].ready() {
				return
			}
		}
		w.kept = false
	}
}

func (w *world) releases(n int) bool { return w.m.configs[n].Checks[0].OnFailure == Release }

// evil is something bad that may be, but not for long.
type evil byte

const (
	nobody  evil = iota // serves, although a node could
	several             // take themselves for master
	wrong               // one is master and another would take over, or none is
	left                // an address is with a node that cannot act
	leaving             // a node that is to stop has not
	evils   = iota
)

var evilNames = [evils]string{
	"nobody serves", "several masters", "not the right master", "an address left behind", "still stopping",
}

// flags are the evils of one state.
type flags byte

func (f flags) has(v evil) bool { return f&(1<<v) != 0 }

// bounds say, for each evil, how long after the last disturbance it may be
// seen at the latest, and how long it may last without a break.
type bounds struct{ last, run [evils]time.Duration }

func (w *world) flags() (f flags) {
	masters, could := 0, false
	for n := range w.nodes {
		d := &w.nodes[n]
		if d.life != up {
			if d.present && !d.leaseAt.IsZero() {
				f |= 1 << left
			}
			continue
		}
		could = could || d.ready()
		if d.e.stopping {
			f |= 1 << leaving
		}
		if d.master() {
			masters++
		}
	}
	if could && !w.served() {
		f |= 1 << nobody
	}
	if masters > 1 {
		f |= 1 << several
	}
	if could && w.wrong() {
		f |= 1 << wrong
	}
	return f
}

// wrong reports whether no node is master, or another is to take over from one
// that is, by the rules of the election.
func (w *world) wrong() bool {
	masters := 0
	for n := range w.nodes {
		if !w.nodes[n].master() {
			continue
		}
		masters++
		theirs := w.nodes[n].router().inst.effective
		for o := range w.nodes {
			if o == n || !w.nodes[o].ready() || w.nodes[o].router().inst.standsBack() && theirs > DemotedMax {
				continue
			}
			own := w.nodes[o].router().inst.effective
			if own > theirs && (own == PriorityOwner || w.m.configs[o].Preempt || own > DemotedMax && theirs <= DemotedMax) {
				return true
			}
		}
	}
	return masters == 0
}
