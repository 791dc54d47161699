package rehearsal

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-vrrp/holdfast/vrrp"
	"github.com/holdfast-vrrp/holdfast/vrrp/sim"
)

// Nobody is who serves when no node does.
const Nobody = "nobody"

// scenario is a run and what it was about.
type scenario struct {
	failures []*failure
	moments  moments
	result   *sim.Result
	Scenario
}

// play runs failures one after the other and notes who served.
func (n *network) play(seed uint64, trace bool, failures ...*failure) *scenario {
	h, m := n.history(seed, failures...)
	s := &scenario{failures: failures, moments: m, result: sim.Run(h, sim.Options{Spans: true, Lenient: true, Trace: trace})}
	s.Name = title(failures)
	if len(failures) > 0 && !failures[0].brief {
		s.Lasts = m.heal - m.begin
	}
	for _, service := range n.services {
		row := s.row(service)
		s.Rows = append(s.Rows, row)
		s.Bad = s.Bad || row.After == Nobody || strings.Contains(row.After, " + ")
	}
	s.Trace = s.result.Trace
	return s
}

// title is what people read.
func title(failures []*failure) string {
	switch {
	case len(failures) == 0:
		return "all start"
	case len(failures) == 1 && failures[0].then != "":
		return failures[0].name + ", then " + failures[0].then
	}
	var names []string
	for _, f := range failures {
		names = append(names, f.name)
	}
	return strings.Join(names, ", then ")
}

// row sums up what became of a service.
func (s *scenario) row(sv *service) Row {
	const moment = time.Millisecond
	r := Row{Instance: sv.name, After: s.serving(sv, s.moments.end-moment)}
	if len(s.failures) > 0 {
		r.Before, r.During = s.serving(sv, s.moments.begin-moment), s.serving(sv, s.moments.heal-moment)
	}
	for _, a := range sv.addresses() {
		var unserved, two time.Duration
		for _, sp := range s.result.Spans {
			switch d := s.within(sp.From, sp.To); {
			case sp.Address != a || d == 0:
			case sp.By == "":
				unserved += d
			default:
				r.moved = r.moved || sp.By != r.Before
			}
		}
		for _, o := range s.result.Overlaps {
			if o.Address == a {
				two += s.within(o.From, o.To)
			}
		}
		r.Unserved, r.Two = max(r.Unserved, unserved), max(r.Two, two)
	}
	return r
}

// within is how much of a span lies behind the first failure.
func (s *scenario) within(from, to time.Duration) time.Duration {
	return max(0, to-max(from, s.moments.begin))
}

// addresses are those that all nodes of a service hold, and that a client uses.
func (sv *service) addresses() (list []netip.Addr) {
	for _, p := range sv.members[0].cfg.Addresses {
		if a := p.Addr(); !a.IsLinkLocalUnicast() && !slices.ContainsFunc(sv.members, func(m member) bool { return !holds(m.cfg, a) }) {
			list = append(list, a)
		}
	}
	if list == nil { // they have none in common
		list = append(list, sv.members[0].cfg.Addresses[0].Addr())
	}
	return list
}

// serving tells who served at a moment.
func (s *scenario) serving(sv *service, at time.Duration) string {
	var answers []string
	for _, a := range sv.addresses() {
		who := Nobody
		for _, sp := range s.result.Spans {
			if sp.Address == a && sp.From <= at && at < sp.To && sp.By != "" {
				who = sp.By
			}
		}
		for _, o := range s.result.Overlaps {
			if o.Address == a && o.From <= at && at < o.To {
				who = strings.Join(o.Nodes, " + ")
			}
		}
		if !slices.Contains(answers, who) {
			answers = append(answers, who)
		}
	}
	return strings.Join(answers, " / ")
}

// surprises tells what of a single failure an operator would not expect.
func (n *network) surprises(s *scenario) (list []Finding) {
	list = n.splits(s)
	for i, sv := range n.services {
		row := s.Rows[i]
		add := func(hint, format string, args ...any) {
			list = append(list, Finding{Instance: sv.name, Scenario: s.Name, Text: fmt.Sprintf(format, args...), Hint: hint})
		}
		switch {
		case row.After == Nobody:
			add("", "nobody serves at the end")
		case strings.Contains(row.After, " + "):
			add("", "%s both serve at the end", row.After)
		case len(s.failures) == 0:
		case row.During == Nobody && n.able(sv, s.failures):
			add("", "nobody serves, although %s could", n.who(sv, s.failures))
		}
		if len(s.failures) == 1 {
			n.surprise(sv, s.failures[0], row, add)
		}
	}
	return list
}

// splits tells of groups that one failure tears apart.
func (n *network) splits(s *scenario) (list []Finding) {
	if len(s.failures) != 1 || s.failures[0].kind == halfDeaf {
		return nil
	}
	first := map[string]int{}
	for i, sv := range n.services {
		group := sv.members[0].cfg.Group
		if group == "" {
			continue
		}
		k, seen := first[group]
		if !seen {
			first[group] = i
			continue
		}
		if a, b := s.Rows[k], s.Rows[i]; a.During != b.During {
			list = append(list, Finding{
				Instance: sv.name, Scenario: s.Name, Note: true,
				Text: fmt.Sprintf("group %s is split: %s on %s, %s on %s", group, a.Instance, a.During, b.Instance, b.During),
				Hint: "a link that fails without losing its carrier is seen by a check alone, such as one that pings a neighbour",
			})
		}
	}
	return list
}

// surprise judges one failure by what is to be expected of its kind.
func (n *network) surprise(sv *service, f *failure, row Row, add func(hint, format string, args ...any)) {
	name := n.nodes[f.node].Name
	hit := row.Before == name && sv.of(f.node) != nil && len(sv.members) > 1
	switch {
	case !hit:
	case f.kind == checkFails && row.During == name && usesCheck(sv.of(f.node), f.check):
		why, hint := n.unmoved(sv, f)
		add(hint, "the failure of check %s on %s moves nothing: %s", f.check, name, why)
	case f.kind == pause && row.moved:
		add("a longer advert_interval tolerates longer pauses: a backup waits three of them", "a pause of %s is taken for its death: %s", name, n.timers(sv))
	case f.kind == restart && (row.Unserved > 0 || row.moved):
		add("", "a restart of the daemon on %s is noticed: nobody serves for %v", name, row.Unserved.Round(time.Millisecond))
	case f.kind == moved && row.Unserved > 0:
		add("", "what is planned on %s costs the clients %v", name, row.Unserved.Round(time.Millisecond))
	}
}

func usesCheck(c *vrrp.Config, check string) bool {
	return slices.ContainsFunc(c.Checks, func(k vrrp.Check) bool { return k.Name == check })
}

// unmoved tells why a node stays master whose check fails.
func (n *network) unmoved(sv *service, f *failure) (why, hint string) {
	c := sv.of(f.node)
	at := slices.IndexFunc(c.Checks, func(k vrrp.Check) bool { return k.Name == f.check })
	k := c.Checks[at]
	var others []string
	preempts := false
	best := 0
	for _, m := range sv.members {
		if m.node != f.node {
			others = append(others, fmt.Sprintf("%s has %d", n.name(m), m.cfg.Priority))
			best = max(best, int(m.cfg.Priority))
			preempts = preempts || m.cfg.Preempt
		}
	}
	if k.OnFailure != vrrp.Weigh {
		return "no other node takes over", ""
	}
	left := int(c.Priority) - max(k.Weight, -k.Weight)
	if k.Weight > 0 {
		left = int(c.Priority)
	}
	if left < best && !preempts {
		return fmt.Sprintf("its priority falls to %d, but preempt = false on the others, which wait until it is silent", left), `on_failure = "demote" hands over`
	}
	return fmt.Sprintf("weight %+d leaves it %d, and %s", k.Weight, left, strings.Join(others, ", ")), `on_failure = "demote" always moves it, or use a larger weight`
}

// timers says how soon the backups of a service give a master up.
func (n *network) timers(sv *service) string {
	least := sv.members[0].cfg.AdvertInterval
	for _, m := range sv.members {
		least = min(least, m.cfg.AdvertInterval)
	}
	return fmt.Sprintf("with adverts each %v it is given up after %v", least, 3*least)
}

// able reports whether some node of a service could serve in spite of failures.
func (n *network) able(sv *service, failures []*failure) bool { return n.who(sv, failures) != "" }

// who names the nodes that could serve.
func (n *network) who(sv *service, failures []*failure) string {
	var names []string
	for _, m := range sv.members {
		if !slices.ContainsFunc(failures, func(f *failure) bool { return f.node == m.node && (f.touches(sv) || f.kind == moved && stops(f)) }) {
			names = append(names, n.name(m))
		}
	}
	return strings.Join(names, ", ")
}

// stops reports whether a planned operation ends the daemon.
func stops(f *failure) bool { return len(f.begin) == 1 && f.begin[0].Op == sim.OpStop }
