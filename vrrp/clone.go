package vrrp

import (
	"maps"
	"slices"
)

// clone returns an Engine with these instances of e, which does what e would with
// them and shares nothing with it that either changes. What is replaced and never
// written in place is shared: configurations, lists of addresses, encoded adverts.
// The instances of one group must be together.
func (e *Engine) clone(kept, departing []*instance) *Engine {
	c := *e
	c.actions, c.packet.Addresses = nil, nil
	instances := make(map[*instance]*instance, len(kept))
	routers := make(map[*router]*router, len(kept))
	c.routers, c.serials = map[routerKey]*router{}, map[uint64]*router{}
	copied := func(list []*instance) []*instance {
		list = slices.Clone(list)
		for n, i := range list {
			list[n] = i.clone(&c, routers)
			instances[i] = list[n]
		}
		return list
	}
	c.instances, c.departing = copied(kept), copied(departing)
	c.groups = map[string][]*instance{}
	for _, i := range c.instances {
		if name := i.cfg.Group; name != "" {
			c.groups[name] = append(c.groups[name], i)
		}
	}
	for r, d := range routers {
		if e.serials[r.id.Serial] == r {
			c.serials[r.id.Serial] = d
		}
		if e.routers[r.key()] == r {
			c.routers[r.key()] = d
		}
	}
	c.timers = e.timers.clone(routers)
	c.links, c.indexes = maps.Clone(e.links), maps.Clone(e.indexes)
	for name, l := range e.links {
		d := *l
		c.links[name] = &d
		if e.indexes[l.Index] == l {
			c.indexes[l.Index] = &d
		}
	}
	c.checks, c.adopt = maps.Clone(e.checks), maps.Clone(e.adopt)
	return &c
}

func (i *instance) clone(e *Engine, routers map[*router]*router) *instance {
	c := *i
	c.e = e
	c.notify = slices.Clone(i.notify)
	c.routers = slices.Clone(i.routers)
	for n, r := range i.routers {
		d := *r
		d.inst = &c
		d.addresses = slices.Clone(r.addresses)
		d.unwanted = slices.Clone(r.unwanted)
		d.noticed = maps.Clone(r.noticed)
		if r.drops != nil {
			drops := *r.drops
			d.drops = &drops
		}
		if r.differs != nil {
			d.differs = &differing{r.differs.Difference, slices.Clone(r.differs.theirs)}
		}
		c.routers[n] = &d
		routers[r] = &d
	}
	return &c
}
