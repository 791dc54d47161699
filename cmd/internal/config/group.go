package config

import "time"

// group is a [[group]]: instances that move together.
type group struct {
	*section
	name      string
	instances []placed[string]
}

func newGroup(s *section) *group {
	g := &group{section: s}
	g.name, _ = s.name()
	if !s.has("instances") {
		s.missing("instances", `["web", "inside"]`)
	}
	g.instances, _ = s.stringsNotEmpty("instances", `["web", "inside"]`, "name at least one instance")
	s.unique("instances", g.instances)
	return g
}

// join puts the instances into their groups. An instance moves with one group
// alone, and only with those that elect as it does.
func (p *parser) join() {
	if len(p.groups) == 0 {
		return
	}
	byName := make(map[string]*instance, len(p.instances))
	for _, in := range p.instances {
		byName[in.Name] = in
	}
	for _, g := range p.groups {
		var first *instance
		for _, ref := range g.instances {
			in := byName[ref.value]
			switch {
			case in == nil || in.Group == g.name: // reported already
				continue
			case in.Group != "":
				p.problem(ref.at, "make one group of both", "%s is in group %q already", in.label(), in.Group)
				continue
			case first == nil:
				first = in
			}
			in.Group = g.name
			in.electsAs(first)
		}
	}
}

// electsAs reports in what an instance differs from another of its group.
func (in *instance) electsAs(o *instance) {
	const hint = "who moves together elects alike"
	if in.Priority != o.Priority {
		in.bad("priority", hint, "priority %d differs from %d of %s in the same group", in.Priority, o.Priority, o.label())
	}
	if in.Preempt != o.Preempt || in.PreemptDelay != o.PreemptDelay {
		in.bad("preempt", hint, "preempt %s differs from %s of %s in the same group", in.preempts(), o.preempts(), o.label())
	}
}

// preempts writes the preempt setting as the file would.
func (in *instance) preempts() string {
	switch {
	case !in.Preempt:
		return "false"
	case in.PreemptDelay > 0:
		return `"` + human(in.PreemptDelay.Round(time.Millisecond)) + `"`
	}
	return "true"
}
