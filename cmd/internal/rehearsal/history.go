package rehearsal

import (
	"slices"
	"time"

	"github.com/holdfast-vrrp/holdfast/vrrp"
	"github.com/holdfast-vrrp/holdfast/vrrp/sim"
)

// forgotten is after how long a client has noticed that its neighbour table
// points to a host which is gone, at most: Linux trusts an entry for up to 45 s.
const forgotten = 50 * time.Second

// calm is how long everything is left alone: until all have started, elected and
// waited out their delays, and the clients have found who serves.
func (n *network) calm() time.Duration {
	var interval, delay time.Duration
	for i := range n.nodes {
		for k := range n.nodes[i].Instances {
			c := &n.nodes[i].Instances[k]
			interval = max(interval, c.AdvertInterval)
			delay = max(delay, c.StartupDelay+c.PreemptDelay)
		}
	}
	return delay + 10*interval + forgotten
}

// moments are when a scenario is looked at.
type moments struct {
	begin time.Duration // the first failure
	heal  time.Duration // the end of all
	end   time.Duration
}

// history makes the run in which failures follow one another and end together.
func (n *network) history(seed uint64, failures ...*failure) (*sim.History, moments) {
	calm := n.calm()
	h := &sim.History{Seed: seed}
	for i := range n.nodes {
		h.Nodes = append(h.Nodes, n.simulated(i))
	}
	m := moments{begin: calm}
	at := calm
	add := func(from time.Duration, steps []sim.Step) {
		for _, s := range steps {
			s.At += from
			h.Steps = append(h.Steps, s)
		}
	}
	for _, f := range failures {
		add(at, f.begin)
		at += calm
	}
	m.heal = at
	for i, f := range slices.Backward(failures) {
		add(m.heal+time.Duration(len(failures)-i)*10*time.Millisecond, f.end)
	}
	m.end = m.heal + 2*calm
	h.End = m.end
	slices.SortStableFunc(h.Steps, func(a, b sim.Step) int { return int(a.At - b.At) })
	return h, m
}

// simulated is a node as the simulation takes it.
func (n *network) simulated(node int) sim.Node {
	s := sim.Node{Name: n.nodes[node].Name, Configs: [][]vrrp.Config{n.nodes[node].Instances}}
	for _, l := range n.lans {
		for _, p := range l.ports {
			if p.node == node {
				s.Ports = append(s.Ports, sim.Port{Interface: p.iface, Segment: l.name, Addresses: p.addresses})
			}
		}
	}
	return s
}
