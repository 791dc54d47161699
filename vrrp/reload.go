package vrrp

import (
	"fmt"
	"maps"
	"slices"
)

// configure changes the set of instances. A virtual router is known by its
// interface, VRID, version and family; whoever keeps these keeps its state. What
// does not change is not touched, and costs no more than the look at it: it may be
// one of thousands.
func (e *Engine) configure(configs []Config) {
	if e.stopping {
		return
	}
	old := e.instances
	e.match(configs)
	e.group(configs)
	groups := map[string]bool{} // that are not as they were
	named, removed := map[string]*Config{}, false
	for _, i := range old {
		if !i.stays {
			if !removed {
				removed = true
				for n := range configs {
					named[configs[n].Name] = &configs[n]
				}
			}
			groups[i.cfg.Group] = true
			e.remove(i, i.whyRemoved(named[i.cfg.Name]))
		}
	}
	if removed {
		e.forgetLinks()
	}
	e.flushNamesakes(configs)
	for n, i := range e.instances {
		switch cfg := &configs[n]; {
		case i.changed: // it is new
		case i.cfg.Same(cfg):
			i.cfg = cfg // for the old ones are one piece of memory
		default:
			groups[i.cfg.Group] = true
			i.reconfigure(cfg)
			i.changed = true
		}
		if i.changed {
			groups[i.cfg.Group] = true
		}
	}
	delete(groups, "")              // who is in none moves alone
	for _, i := range e.instances { // once all of a group are as they will be
		if i.changed || groups[i.cfg.Group] {
			i.review()
		}
	}
	for _, i := range e.instances { // last, so that an address may move to another instance
		if i.changed {
			i.removeUnwanted()
		}
	}
	maps.DeleteFunc(e.adopt, func(k routerKey, _ Adopted) bool { return e.routers[k] == nil })
	e.forgetChecks()
}

// match makes the instances of a new configuration: those that stay, and new ones.
func (e *Engine) match(configs []Config) {
	for _, i := range e.instances {
		i.stays, i.changed = false, false
	}
	next := make([]*instance, len(configs))
	for n := range configs {
		i := e.predecessor(&configs[n])
		if i == nil {
			i = newInstance(e, &configs[n])
			i.changed = true
		}
		i.stays = true
		next[n] = i
	}
	e.instances = next
}

// predecessor returns the instance that goes on as cfg says; nil when there is none
// that does not go on otherwise.
func (e *Engine) predecessor(cfg *Config) *instance {
	for _, f := range [...]Family{IPv4, IPv6} {
		if !cfg.has(f) {
			continue
		}
		r := e.routers[routerKey{cfg.Interface, cfg.VRID, f}]
		if r != nil && !r.inst.removed && !r.inst.stays && r.inst.cfg.Version == cfg.Version {
			return r.inst
		}
	}
	return nil
}

// flushNamesakes runs the hooks of instances that hand over before those of the
// instances that are to have their names.
func (e *Engine) flushNamesakes(configs []Config) {
	if len(e.departing) == 0 {
		return
	}
	names := make(map[string]bool, len(configs))
	for n := range configs {
		names[configs[n].Name] = true
	}
	for _, i := range e.departing {
		if names[i.cfg.Name] {
			i.flush()
		}
	}
}

// forgetChecks forgets the checks that nobody uses any more.
func (e *Engine) forgetChecks() {
	if len(e.checks) == 0 {
		return
	}
	used := make(map[string]bool, len(e.checks))
	for _, i := range e.instances {
		for _, c := range i.cfg.Checks {
			used[c.Name] = true
		}
	}
	maps.DeleteFunc(e.checks, func(name string, _ checkState) bool { return !used[name] })
}

// forgetLinks forgets the interfaces that no instance uses any more: what becomes of
// them nobody tells, and who uses one again waits for its present state.
func (e *Engine) forgetLinks() {
	used := make(map[string]bool, len(e.links))
	for _, list := range [...][]*instance{e.instances, e.departing} {
		for _, i := range list {
			used[i.cfg.Interface] = true
		}
	}
	for name, l := range e.links {
		if used[name] {
			continue
		}
		delete(e.links, name)
		if e.indexes[l.Index] == l {
			delete(e.indexes, l.Index)
		}
	}
}

// uses reports whether an instance is on an interface.
func (e *Engine) uses(iface string) bool {
	on := func(i *instance) bool { return i.cfg.Interface == iface }
	return slices.ContainsFunc(e.instances, on) || slices.ContainsFunc(e.departing, on)
}

// whyRemoved tells why an instance does not go on, for there is none of its name or
// next, which is another virtual router.
func (i *instance) whyRemoved(next *Config) string {
	switch c := i.cfg; {
	case next == nil:
		return "removed from the configuration"
	case next.Interface != c.Interface:
		return fmt.Sprintf("the configuration moves it to %s, where it starts anew", next.Interface)
	case next.VRID != c.VRID:
		return fmt.Sprintf("the configuration gives it vrid %d, with which it starts anew", next.VRID)
	case next.Version != c.Version:
		return fmt.Sprintf("the configuration gives it version %d, with which it starts anew", next.Version)
	}
	return "the configuration makes it another virtual router, which starts anew"
}

func (e *Engine) remove(i *instance, why string) {
	i.removed = true
	if i.asked.open() {
		i.conclude(false, why)
	}
	i.leave(why)
	if i.holding() {
		e.departing = append(e.departing, i) // it must hear its successor
		return
	}
	e.forget(i)
}

// forget stops packets from reaching i, unless another took over its place.
func (e *Engine) forget(i *instance) {
	for _, r := range i.routers {
		delete(e.serials, r.id.Serial)
		e.timers.drop(r)
		if k := (routerKey{i.cfg.Interface, i.cfg.VRID, r.id.Family}); e.routers[k] == r {
			delete(e.routers, k)
		}
	}
}

func (i *instance) reconfigure(cfg *Config) {
	if i.cfg.Name != cfg.Name {
		i.flush() // before the hooks of the instance that has the name now
	}
	families := cfg.Families()
	for _, r := range slices.Clone(i.routers) {
		if !slices.Contains(families, r.id.Family) {
			i.part(r)
		}
	}
	i.cfg = cfg
	for _, r := range i.routers {
		r.id.Instance = cfg.Name
		r.reconfigured()
	}
	for _, f := range families {
		if !slices.ContainsFunc(i.routers, func(r *router) bool { return r.id.Family == f }) {
			i.addRouter(f)
		}
	}
	slices.SortFunc(i.routers, func(a, b *router) int { return int(a.id.Family) - int(b.id.Family) })
}

// part lets the router of one family go. It hands over on its own, without
// hooks: the instance goes on.
func (i *instance) part(r *router) {
	i.routers = slices.DeleteFunc(i.routers, func(o *router) bool { return o == r })
	gone := &instance{e: i.e, cfg: i.cfg, effective: i.effective, since: i.e.now, routers: []*router{r}}
	r.inst = gone
	i.e.remove(gone, "removed from the configuration")
}
