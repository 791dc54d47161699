package firewall

import (
	"fmt"
	"slices"
	"strings"
)

// Ruleset is all chains of a host.
type Ruleset struct {
	chains []*Chain
}

// Chain is one of them.
type Chain struct {
	// Tool is what it is changed with, such as nft or iptables-legacy.
	Tool string
	// Family is ip, ip6, inet, bridge or netdev.
	Family, Table, Name string
	// Hook is where the kernel enters it, such as input; empty for one that
	// others jump to.
	Hook string
	// Policy is accept or drop.
	Policy string

	kind    string   // filter, nat, route
	devices []string // the interfaces of one at ingress or egress
	rules   []*rule
}

const bridgeFamily = "bridge"

// String names the chain as its tool does.
func (c *Chain) String() string {
	if c.Tool == nftTool {
		return fmt.Sprintf("nftables chain %s %s %s", c.Family, c.Table, c.Name)
	}
	return fmt.Sprintf("chain %s of table %s (%s)", c.Name, c.Table, c.Tool)
}

// rule has conditions, and what becomes of a packet that meets all of them.
type rule struct {
	text  string
	conds []func(p *Packet) truth
	verdict
}

// verdict is what a rule does; target is the chain of jump and goto.
type verdict struct {
	do     action
	target string
}

type action uint8

const (
	goOn action = iota
	accept
	drop
	leave  // the chain, as if it ended
	jump   // to a chain, and come back
	goTo   // to a chain, and do not
	unsure // queues and others: anything may come of it
)

func (r *rule) matches(p *Packet) truth {
	list := make([]truth, len(r.conds))
	for n, c := range r.conds {
		list[n] = c(p)
	}
	return all(list)
}

// Verdict is what one chain at a hook makes of a packet.
type Verdict struct {
	Chain *Chain
	// Drops is set when the packet is dropped for certain, Unsure when it may be.
	Drops, Unsure bool
	// By is the rule that drops it, or that decides and is not understood; empty
	// when it is the policy.
	By string
	// Uses names the chains that were entered, Chain not among them.
	Uses []string
}

// Judge passes a packet through all chains at some hooks, and returns the
// verdicts of those that do or may drop it.
func (r *Ruleset) Judge(p *Packet, hooks ...string) (list []Verdict) {
	for _, c := range r.chains {
		if !slices.Contains(hooks, c.Hook) || c.kind == "nat" || !c.sees(p) {
			continue
		}
		w := &walk{ruleset: r, packet: p}
		end := w.through(c, 0)
		if end&passed != 0 {
			if c.Policy == "drop" {
				end |= dropped
				w.dropper = "" // the policy
			} else {
				end |= accepted
			}
		}
		end &^= passed
		if end&dropped == 0 {
			continue
		}
		v := Verdict{Chain: c, Drops: end == dropped, Unsure: end != dropped, By: w.dropper, Uses: w.uses}
		if v.Unsure {
			v.By = w.doubt
		}
		list = append(list, v)
	}
	return list
}

// ofDevice tells whether a chain is that of some interfaces.
func (c *Chain) ofDevice() bool { return c.Hook == "ingress" || c.Hook == "egress" }

// sees tells whether a chain is for such packets.
func (c *Chain) sees(p *Packet) bool {
	if c.ofDevice() && !slices.Contains(c.devices, p.In+p.Out) {
		return false
	}
	switch c.Family {
	case "inet", "netdev":
		return true
	case bridgeFamily:
		return len(p.Ports) > 0
	case "ip":
		return !p.is6()
	case "ip6":
		return p.is6()
	}
	return false
}

// outcome is a set of what may become of a packet in a chain.
type outcome uint8

const (
	accepted outcome = 1 << iota
	dropped
	passed // reached the end
)

// walk is a way of a packet.
type walk struct {
	ruleset *Ruleset
	packet  *Packet
	dropper string // the rule that dropped it last
	doubt   string // the first rule of which is not known what it does
	uses    []string
}

// depth bounds jumps, as the kernel does.
const depth = 16

func (w *walk) through(c *Chain, level int) (end outcome) {
	for _, r := range c.rules {
		t := r.matches(w.packet)
		if t == no || r.do == goOn {
			continue
		}
		if (t == unknown || r.do == unsure) && w.doubt == "" {
			w.doubt = r.text
		}
		past := false // whether one that meets the conditions goes on behind it
		switch r.do {
		case accept:
			end |= accepted
		case drop:
			end |= dropped
			w.dropper = r.text
		case leave:
			end |= passed
		case unsure:
			end |= accepted | dropped
		case jump, goTo:
			sub := w.enter(c, r.target, level)
			end |= sub &^ passed
			past = r.do == jump && sub&passed != 0
			if r.do == goTo {
				end |= sub & passed
			}
		}
		if t == yes && !past {
			return end
		}
	}
	return end | passed
}

func (w *walk) enter(from *Chain, name string, level int) outcome {
	i := slices.IndexFunc(w.ruleset.chains, func(c *Chain) bool {
		return c.Tool == from.Tool && c.Family == from.Family && c.Table == from.Table && c.Name == name
	})
	if i < 0 || level >= depth {
		return accepted | dropped | passed
	}
	if !slices.Contains(w.uses, name) {
		w.uses = append(w.uses, name)
	}
	return w.through(w.ruleset.chains[i], level+1)
}

// Add takes the chains of another ruleset, too.
func (r *Ruleset) Add(other *Ruleset) { r.chains = append(r.chains, other.chains...) }

// Replace takes the chains of another ruleset in place of those of the same
// tables.
func (r *Ruleset) Replace(other *Ruleset) {
	r.chains = slices.DeleteFunc(r.chains, func(c *Chain) bool {
		return slices.ContainsFunc(other.chains, func(o *Chain) bool { return o.Family == c.Family && o.Table == c.Table })
	})
	r.Add(other)
}

// Foreign tells whether a family has rules that only iptables can show.
func (r *Ruleset) Foreign(family string) bool {
	return slices.ContainsFunc(r.chains, func(c *Chain) bool {
		return c.Family == family && slices.ContainsFunc(c.rules, func(r *rule) bool { return strings.Contains(r.text, xtMark) })
	})
}
