package vrrp

import (
	"fmt"
	"strings"
	"time"
)

// An exploration is exhaustive in this sense. Time moves to the next moment at
// which a timer fires, an advert is due, a lease ends; whatever is possible at
// a moment happens in every order, adverts are delivered or lost at every
// moment until they are due, and the kernel ends a lease in time or as late as
// it may. Up to depth disturbances come at every moment, of every kind that the
// model names; what mends them, and nodes that start, come at every moment too
// and are not counted. The exploration does not end after so many steps but
// when every further step leads to a state that is known: after the last
// disturbance all is followed for ever.
//
// Kept simple: a wire keeps its order, what the kernel is asked for it does at
// once, links stay up, and an instance has one address family and address.

// explorer visits every state that a model can reach, those with the fewest
// disturbances first and among them the nearest first, so that the way to what
// it finds is the shortest. States with the same fingerprint are one.
type explorer struct {
	m     *model
	known map[fingerprint]uint32
	// Of each state: how it was reached first, what is bad there, and where
	// time and order alone lead from it.
	states []state
	edges  []arc
	// layer has the states to visit with as many disturbances as now, coming
	// those with one more.
	layer, coming []visit
	transitions   int
	// deepest is the longest way to a state.
	deepest uint32
	// limit ends an exploration that turns out to be too large.
	limit int
}

type state struct {
	parent          uint32
	by              step
	layer           uint8
	visited         bool
	flags           flags
	depth           uint32
	firstEdge, ends uint32
}

type arc struct {
	from, to uint32
	by       step
	takes    time.Duration
}

type visit struct {
	at uint32
	w  *world
}

// finding is something wrong: where, by which step, and how it goes on.
type finding struct {
	what string
	at   uint32
	next []step
}

// explore visits all states, and returns the first finding.
func (x *explorer) explore() *finding {
	x.known = map[fingerprint]uint32{}
	w := newWorld(x.m)
	x.states = []state{{flags: w.flags()}}
	x.known[w.print()] = 0
	x.layer = []visit{{0, w}}
	for depth := 0; ; depth++ {
		for n := 0; n < len(x.layer); n++ {
			v := x.layer[n]
			x.layer[n].w = nil
			if found := x.visit(v, depth); found != nil {
				return found
			}
			if x.limit > 0 && len(x.states) > x.limit {
				return &finding{what: fmt.Sprintf("there are more than %d states", x.limit)}
			}
		}
		if len(x.coming) == 0 {
			return nil
		}
		x.layer, x.coming = x.coming, nil
	}
}

// visit takes every step from a state.
func (x *explorer) visit(v visit, depth int) *finding {
	if x.states[v.at].visited {
		return nil
	}
	x.states[v.at].visited = true
	x.states[v.at].firstEdge = uint32(len(x.edges))
	for _, s := range v.w.steps(nil) {
		if s.counts() && depth == x.m.depth {
			continue
		}
		log := &trail{}
		next := v.w.apply(s, log)
		x.transitions++
		if len(log.wrongs) > 0 {
			return &finding{strings.Join(log.wrongs, "; "), v.at, []step{s}}
		}
		to := x.reach(v.at, s, next, depth)
		if s.calm() {
			x.edges = append(x.edges, arc{v.at, to, s, next.now.Sub(v.w.now)})
		}
	}
	x.states[v.at].ends = uint32(len(x.edges))
	return nil
}

// reach returns the number of a state, and plans its visit when it is new or
// takes fewer disturbances than was known.
func (x *explorer) reach(from uint32, by step, w *world, depth int) uint32 {
	if by.counts() {
		depth++
	}
	print := w.print()
	at, ok := x.known[print]
	if ok && (x.states[at].visited || int(x.states[at].layer) <= depth) {
		return at
	}
	if !ok {
		at = uint32(len(x.states))
		x.known[print] = at
		x.states = append(x.states, state{flags: w.flags()})
	}
	s := &x.states[at]
	s.parent, s.by, s.layer, s.depth = from, by, uint8(depth), x.states[from].depth+1
	x.deepest = max(x.deepest, s.depth)
	if by.counts() {
		x.coming = append(x.coming, visit{at, w})
	} else {
		x.layer = append(x.layer, visit{at, w})
	}
	return at
}

// story tells how a finding comes about.
func (x *explorer) story(f *finding) string {
	var path []step
	for at := f.at; at != 0; at = x.states[at].parent {
		path = append([]step{x.states[at].by}, path...)
	}
	path = append(path, f.next...)
	log := &trail{tell: true}
	w := newWorld(x.m)
	for _, s := range path {
		log.lines = append(log.lines, fmt.Sprintf("%10v  %v", w.now.Sub(beginning), s))
		w = w.apply(s, log)
	}
	return fmt.Sprintf("%s: %s\n%s\nthen\n%s", x.m.name, f.what, strings.Join(log.lines, "\n"), w)
}
