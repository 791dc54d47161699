package rehearsal

import (
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-vrrp/holdfast/vrrp"
	"github.com/holdfast-vrrp/holdfast/vrrp/sim"
)

// failure is something that happens to one node, and how it ends.
type failure struct {
	// name is what happens, and then how it ends.
	name, then string
	node       int
	kind       kind
	begin, end []sim.Step
	// check is the one that fails, for kind checkFails.
	check string
	// brief is set when it has ended by itself before anything else happens.
	brief bool
}

// kind sorts failures by what is to be expected of them.
type kind uint8

const (
	dead       kind = iota // the node cannot serve
	moved                  // planned: the client must not notice
	halfDeaf               // the link passes frames one way alone: two may serve
	checkFails             // the service is broken on this node
	restart                // nobody must notice
	pause                  // the node stands still for a moment
)

// restartAfter is how soon a supervisor starts a killed daemon again.
const restartAfter = 200 * time.Millisecond

// failures lists every single one that the nodes can meet.
func (n *network) failures(stall time.Duration) (list []failure) {
	for i := range n.nodes {
		list = append(list, n.failuresOf(i, stall)...)
	}
	return list
}

func (n *network) failuresOf(node int, stall time.Duration) (list []failure) {
	name := n.nodes[node].Name
	does := func(op sim.Op) []sim.Step { return []sim.Step{{Op: op, Node: name}} }
	add := func(k kind, what, then string, begin, end []sim.Step) *failure {
		list = append(list, failure{name: name + what, then: then, node: node, kind: k, begin: begin, end: end})
		return &list[len(list)-1]
	}
	add(dead, " loses power", "boots", does(sim.OpPowerOff), does(sim.OpBoot))
	add(dead, "'s daemon is killed", "is started", does(sim.OpCrash), does(sim.OpStart))
	again := sim.Step{Op: sim.OpStart, Node: name, At: restartAfter}
	add(restart, "'s daemon is killed and restarted at once", "", append(does(sim.OpCrash), again), nil).brief = true
	add(dead, "'s daemon freezes", "goes on", does(sim.OpFreeze), does(sim.OpResume))
	if stall > 0 {
		wake := sim.Step{Op: sim.OpWake, Node: name, At: stall}
		add(pause, fmt.Sprintf(" stands still for %v", stall), "", append(does(sim.OpSuspend), wake), nil).brief = true
	}
	for _, iface := range n.interfaces(node) {
		on := func(op sim.Op) []sim.Step { return []sim.Step{{Op: op, Node: name, Name: iface}} }
		add(dead, fmt.Sprintf("'s %s is unplugged", iface), "is plugged in", on(sim.OpPull), on(sim.OpPlug))
		add(dead, fmt.Sprintf("'s %s passes nothing", iface), "does again", on(sim.OpCut), on(sim.OpMend))
	}
	add(halfDeaf, " is not heard by the others", "is", n.oneWay(node, true, sim.OpMute), n.oneWay(node, true, sim.OpUnmute))
	add(halfDeaf, " does not hear the others", "does", n.oneWay(node, false, sim.OpMute), n.oneWay(node, false, sim.OpUnmute))
	for _, check := range n.checks(node) {
		on := func(op sim.Op) []sim.Step { return []sim.Step{{Op: op, Node: name, Name: check}} }
		add(checkFails, fmt.Sprintf("'s check %s fails", check), "passes", on(sim.OpFail), on(sim.OpPass)).check = check
	}
	add(moved, " is drained", "is undrained", n.eachInstance(node, sim.OpDrain), n.eachInstance(node, sim.OpUndrain))
	add(moved, " is stopped", "is started", does(sim.OpStop), does(sim.OpStart))
	return list
}

// oneWay keeps what a node sends, or what is sent to it, from the other nodes;
// the client goes on to reach it.
func (n *network) oneWay(node int, from bool, op sim.Op) (list []sim.Step) {
	for i := range n.nodes {
		if i == node {
			continue
		}
		s := sim.Step{Op: op, Node: n.nodes[node].Name, Other: n.nodes[i].Name}
		if !from {
			s.Node, s.Other = s.Other, s.Node
		}
		list = append(list, s)
	}
	return list
}

func (n *network) eachInstance(node int, op sim.Op) (list []sim.Step) {
	for k := range n.nodes[node].Instances {
		list = append(list, sim.Step{Op: op, Node: n.nodes[node].Name, Name: n.nodes[node].Instances[k].Name})
	}
	return list
}

// interfaces are those that a node's instances use, in their order.
func (n *network) interfaces(node int) (list []string) {
	for k := range n.nodes[node].Instances {
		if i := n.nodes[node].Instances[k].Interface; !slices.Contains(list, i) {
			list = append(list, i)
		}
	}
	return list
}

// checks are those that act on a node's instances, in their order.
func (n *network) checks(node int) (list []string) {
	for k := range n.nodes[node].Instances {
		for _, c := range n.nodes[node].Instances[k].Checks {
			if !slices.Contains(list, c.Name) {
				list = append(list, c.Name)
			}
		}
	}
	return list
}

// touches reports whether a failure keeps its node from serving s: an interface
// that s does not use does not, unless its instance moves with a group.
func (f *failure) touches(s *service) bool {
	c := s.of(f.node)
	if c == nil {
		return false
	}
	iface := ""
	if len(f.begin) == 1 {
		iface = f.begin[0].Name
	}
	switch f.kind {
	case dead:
		return iface == "" || iface == c.Interface || c.Group != ""
	case checkFails:
		return slices.ContainsFunc(c.Checks, func(k vrrp.Check) bool { return k.Name == f.check && k.OnFailure == vrrp.Release })
	}
	return false
}
