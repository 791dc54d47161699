package rehearsal

import (
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// Version is that of the JSON form of a [Report]. It changes only when a reader
// of an earlier one could misunderstand.
const Version = 1

// Options say what to rehearse.
type Options struct {
	// Seed decides what chance does: who of two starts first, and the like.
	Seed uint64
	// Stall is how long a node may stand still without being taken for dead, as
	// virtual machines do; 0 leaves that out.
	Stall time.Duration
	// Pairs also plays every two failures one after the other.
	Pairs bool
	// Trace keeps the story of each scenario whose name contains it.
	Trace string
}

// Run plays everything that can happen to the nodes.
func Run(nodes []Node, o Options) (*Report, error) {
	n, err := newNetwork(nodes)
	if err != nil {
		return nil, err
	}
	r := &Report{Version: Version, Seed: o.Seed, Findings: n.compare(), Pairs: []Scenario{}}
	for i := range nodes {
		r.Nodes = append(r.Nodes, nodes[i].Name)
	}
	for _, s := range n.services {
		r.Instances = append(r.Instances, n.describeService(s))
	}
	failures := n.failures(o.Stall)
	plans := [][]*failure{nil}
	for i := range failures {
		plans = append(plans, []*failure{&failures[i]})
	}
	singles := n.playAll(o, plans)
	for _, s := range singles {
		r.Failures = append(r.Failures, s.Scenario)
		r.Bad = r.Bad || s.Bad
		r.Findings = append(r.Findings, n.surprises(s)...)
	}
	if o.Pairs {
		n.pairs(r, o, failures, singles)
	}
	r.Findings = eachOnce(r.Findings)
	return r, nil
}

// eachOnce keeps the first of findings that are the same but for the scenario, and
// counts the others.
func eachOnce(all []Finding) (list []Finding) {
	for _, f := range all {
		same := func(o Finding) bool {
			o.Scenario, o.More = f.Scenario, f.More
			return o == f
		}
		if i := slices.IndexFunc(list, same); i >= 0 {
			list[i].More++
			continue
		}
		list = append(list, f)
	}
	return list
}

// pairs plays every two failures, and keeps what is worse than both alone.
func (n *network) pairs(r *Report, o Options, failures []failure, singles []*scenario) {
	alone := map[*failure]*scenario{}
	for _, s := range singles {
		if len(s.failures) == 1 {
			alone[s.failures[0]] = s
		}
	}
	var plans [][]*failure
	for i := range failures {
		for k := range failures {
			if i != k {
				plans = append(plans, []*failure{&failures[i], &failures[k]})
			}
		}
	}
	r.PairsTried = len(plans)
	for _, s := range n.playAll(o, plans) {
		known := alone[s.failures[0]].Bad || alone[s.failures[1]].Bad
		found := n.surprises(s)
		if asked := o.Trace != "" && strings.Contains(s.Name, o.Trace); s.Bad && !known || len(found) > 0 && !known || asked {
			r.Pairs = append(r.Pairs, s.Scenario)
			r.Bad = r.Bad || s.Bad
			r.Findings = append(r.Findings, found...)
		}
	}
}

// playAll plays scenarios on all processors, and returns them in their order.
func (n *network) playAll(o Options, plans [][]*failure) []*scenario {
	out := make([]*scenario, len(plans))
	next := make(chan int)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for i := range next {
				out[i] = n.playOne(o, plans[i])
			}
		})
	}
	for i := range plans {
		next <- i
	}
	close(next)
	workers.Wait()
	return out
}

func (n *network) playOne(o Options, failures []*failure) *scenario {
	s := n.play(o.Seed, o.Trace != "", failures...)
	s.result = nil // the spans of all of them would be a lot
	if o.Trace == "" || !strings.Contains(s.Name, o.Trace) {
		s.Trace = nil
	}
	return s
}

func (n *network) describeService(s *service) Instance {
	i := Instance{Name: s.name, VRID: int(s.members[0].cfg.VRID)}
	for _, m := range s.members {
		i.Nodes = append(i.Nodes, n.name(m))
		for _, p := range m.cfg.Addresses {
			if t := p.String(); !slices.Contains(i.Addresses, t) {
				i.Addresses = append(i.Addresses, t)
			}
		}
	}
	return i
}
