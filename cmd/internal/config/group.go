package config

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
