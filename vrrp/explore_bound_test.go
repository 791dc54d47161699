package vrrp

import (
	"fmt"
	"time"
)

// The steps that need no intervention make a graph. Where a bad state lies on
// every or any way through it, there must be no circle, or the bad could come
// again for ever; the longest way to the last bad state is the time that the
// promises bound. As each state was just disturbed by somebody, this covers
// what follows every disturbance, in every order of what follows.

// paths finds the longest ways to or along states with a flag.
type paths struct {
	x *explorer
	// in are the states that belong to the search.
	in []bool
	// flag is what is looked for; along keeps to states that have it.
	flag  evil
	along bool
	// longest is the time from each state, next the edge that it goes first.
	longest []time.Duration
	next    []int32
	colour  []byte // 0 new, 1 on the present way, 2 done
	circle  []uint32
}

// ways searches for one flag. It returns false when a circle was found.
func (x *explorer) ways(flag evil, along bool) (*paths, bool) {
	p := &paths{x: x, flag: flag, along: along, in: make([]bool, len(x.states))}
	if along {
		for n := range x.states {
			p.in[n] = x.states[n].flags.has(flag)
		}
	} else {
		p.reaching()
	}
	p.longest, p.next = make([]time.Duration, len(x.states)), make([]int32, len(x.states))
	p.colour = make([]byte, len(x.states))
	for n := range x.states {
		if p.in[n] && p.colour[n] == 0 && !p.search(uint32(n)) {
			return p, false
		}
	}
	return p, true
}

// reaching marks the states from which time alone leads to one with the flag.
func (p *paths) reaching() {
	x := p.x
	into := make([][]uint32, len(x.states))
	for _, e := range x.edges {
		into[e.to] = append(into[e.to], e.from)
	}
	var work []uint32
	mark := func(n uint32) {
		if !p.in[n] {
			p.in[n] = true
			work = append(work, n)
		}
	}
	for n := range x.states {
		if x.states[n].flags.has(p.flag) {
			mark(uint32(n))
		}
	}
	for len(work) > 0 {
		n := work[len(work)-1]
		work = work[:len(work)-1]
		for _, from := range into[n] {
			mark(from)
		}
	}
}

// search finds the longest way from a state, depth first, without recursion
// for ways are long.
func (p *paths) search(root uint32) bool {
	x := p.x
	type frame struct{ at, edge uint32 }
	stack := []frame{{root, x.states[root].firstEdge}}
	p.enter(root)
	for len(stack) > 0 {
		f := &stack[len(stack)-1]
		if f.edge == x.states[f.at].ends {
			p.colour[f.at] = 2
			stack = stack[:len(stack)-1]
			continue
		}
		e := x.edges[f.edge]
		switch {
		case !p.in[e.to]:
		case p.colour[e.to] == 0:
			stack = append(stack, frame{e.to, x.states[e.to].firstEdge})
			p.enter(e.to)
			continue // and back to this edge
		case p.colour[e.to] == 1:
			for _, f := range stack {
				p.circle = append(p.circle, f.edge)
			}
			return false
		}
		p.weigh(f.at, f.edge)
		f.edge++
	}
	return true
}

func (p *paths) enter(at uint32) { p.colour[at], p.next[at] = 1, -1 }

// weigh compares the way over one edge with the longest so far. The flag lasts
// until the next state is reached.
func (p *paths) weigh(at, edge uint32) {
	e := p.x.edges[edge]
	takes := e.takes
	switch {
	case p.in[e.to]:
		takes += p.longest[e.to]
	case !p.x.states[at].flags.has(p.flag):
		return
	}
	if p.next[at] < 0 || takes > p.longest[at] {
		p.longest[at], p.next[at] = takes, int32(edge)
	}
}

// onward are the steps of the longest way.
func (p *paths) onward(at uint32) (list []step) {
	for p.in[at] && p.next[at] >= 0 {
		e := p.x.edges[p.next[at]]
		list = append(list, e.by)
		at = e.to
	}
	return list
}

// bound compares the longest times with what is promised, and returns them.
func (x *explorer) bound() (bounds, *finding) {
	var w bounds
	allowed := x.m.promised()
	for n := range evils {
		for _, along := range []bool{true, false} {
			p, ok := x.ways(evil(n), along)
			if !ok {
				f := &finding{what: evilNames[n] + ", and that comes again for ever"}
				f.at = x.edges[p.circle[0]].from
				for _, e := range p.circle {
					f.next = append(f.next, x.edges[e].by)
				}
				return w, f
			}
			most, limit := &w.last[n], allowed.last[n]
			if along {
				most, limit = &w.run[n], allowed.run[n]
			}
			at := p.most()
			if *most = p.longest[at]; *most > limit {
				how := "after the last disturbance"
				if along {
					how = "on end"
				}
				return w, &finding{fmt.Sprintf("%s for %v %s, %v are allowed", evilNames[n], *most, how, limit), at, p.onward(at)}
			}
		}
	}
	return w, nil
}

// most returns where the longest way begins.
func (p *paths) most() (at uint32) {
	for n := range p.longest {
		if p.in[n] && p.longest[n] > p.longest[at] {
			at = uint32(n)
		}
	}
	return at
}
