package sim

import (
	"slices"
	"strings"
	"time"

	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// Shrink looks for a shorter history that violates the same invariant: fewer
// steps, nodes, instances and configurations, rounder times, an earlier end.
func Shrink(h *History) *History {
	first := Run(h, Options{}).Violation
	if first == nil {
		return h
	}
	s := &shrinker{best: h, invariant: first.Invariant, budget: 3000}
	for range 6 {
		before := s.best.Format()
		s.steps()
		s.nodes()
		s.instances()
		s.configs()
		s.times()
		s.shorten()
		if s.best.Format() == before {
			break
		}
	}
	return s.best
}

type shrinker struct {
	best      *History
	invariant string
	budget    int
}

// try makes a changed copy the best one when it still fails.
func (s *shrinker) try(change func(*History)) bool {
	if s.budget--; s.budget < 0 {
		return false
	}
	h := s.best.clone()
	change(h)
	if h.Validate() != nil {
		return false
	}
	if v := Run(h, Options{}).Violation; v == nil || v.Invariant != s.invariant {
		return false
	}
	s.best = h
	return true
}

func (h *History) clone() *History {
	c := *h
	c.Nodes, c.Steps = slices.Clone(h.Nodes), slices.Clone(h.Steps)
	for i := range c.Nodes {
		c.Nodes[i].Configs = slices.Clone(c.Nodes[i].Configs)
		for k := range c.Nodes[i].Configs {
			c.Nodes[i].Configs[k] = slices.Clone(c.Nodes[i].Configs[k])
		}
	}
	return &c
}

func (s *shrinker) steps() {
	for size := max(1, len(s.best.Steps)/2); size > 0; size /= 2 {
		for i := len(s.best.Steps) - size; i >= 0; i-- {
			if i+size <= len(s.best.Steps) {
				s.try(func(h *History) { h.Steps = slices.Delete(h.Steps, i, i+size) })
			}
		}
	}
}

func (s *shrinker) nodes() {
	for i := len(s.best.Nodes) - 1; i >= 0 && len(s.best.Nodes) > 1; i-- {
		name := s.best.Nodes[i].Name
		s.try(func(h *History) {
			h.Nodes = slices.Delete(h.Nodes, i, i+1)
			h.Steps = slices.DeleteFunc(h.Steps, func(t Step) bool { return t.Other == name || t.Node == name })
			for k := range h.Steps {
				if h.Steps[k].Op == OpPartition {
					words := slices.DeleteFunc(strings.Split(h.Steps[k].Node, ","), func(w string) bool { return w == name })
					h.Steps[k].Node = strings.Join(words, ",")
				}
			}
		})
	}
}

// eachConfig edits all configurations.
func (h *History) eachConfig(f func([]vrrp.Config) []vrrp.Config) {
	for i := range h.Nodes {
		for k, list := range h.Nodes[i].Configs {
			h.Nodes[i].Configs[k] = f(list)
		}
	}
}

func (s *shrinker) instances() {
	for _, c := range s.best.Nodes[0].Configs[0] {
		s.try(func(h *History) {
			h.eachConfig(func(list []vrrp.Config) []vrrp.Config {
				return slices.DeleteFunc(list, func(o vrrp.Config) bool { return o.Name == c.Name })
			})
		})
	}
	simpler := []func(*vrrp.Config){
		func(c *vrrp.Config) { c.Group = "" },
		func(c *vrrp.Config) { c.Checks = nil },
		func(c *vrrp.Config) { c.Peers = nil },
		func(c *vrrp.Config) { c.PreemptDelay = 0 },
		func(c *vrrp.Config) { c.StartupDelay = 0 },
		func(c *vrrp.Config) { c.Version = vrrp.Version3 },
		func(c *vrrp.Config) { c.Preempt = true },
		func(c *vrrp.Config) { c.Lease = vrrp.AutoLease(c.AdvertInterval, 0) },
		func(c *vrrp.Config) { c.AdvertInterval = time.Second; c.Lease = 2 * time.Second },
	}
	for _, f := range []vrrp.Family{vrrp.IPv4, vrrp.IPv6} {
		simpler = append(simpler, func(c *vrrp.Config) {
			c.Addresses = slices.Clone(c.Addresses)
			if len(c.Families()) > 1 {
				for i := len(c.Addresses) - 1; i >= 0; i-- {
					if vrrp.FamilyOf(c.Addresses[i].Addr()) == f {
						c.Addresses = slices.Delete(c.Addresses, i, i+1)
					}
				}
			}
		})
	}
	for _, f := range simpler {
		before := s.best.Format()
		h := s.best.clone()
		h.eachConfig(func(list []vrrp.Config) []vrrp.Config {
			for i := range list {
				f(&list[i])
			}
			return list
		})
		if h.Format() != before {
			s.try(func(c *History) { *c = *h })
		}
	}
}

// configs drops second configurations that nobody uses, and uses the first.
func (s *shrinker) configs() {
	for i := range s.best.Steps {
		if s.best.Steps[i].Config != 0 {
			s.try(func(h *History) { h.Steps[i].Config = 0 })
		}
	}
	for i := range s.best.Nodes {
		if len(s.best.Nodes[i].Configs) > 1 {
			s.try(func(h *History) { h.Nodes[i].Configs = h.Nodes[i].Configs[:1] })
		}
	}
}

// times rounds, and moves steps closer together.
func (s *shrinker) times() {
	for _, unit := range []time.Duration{time.Second, 100 * time.Millisecond, 10 * time.Millisecond, time.Millisecond} {
		for i := range s.best.Steps {
			if r := s.best.Steps[i].At.Round(unit); r != s.best.Steps[i].At {
				s.try(func(h *History) {
					h.Steps[i].At = r
					slices.SortStableFunc(h.Steps, func(a, b Step) int { return int(a.At - b.At) })
				})
			}
		}
	}
	for i := range s.best.Steps {
		before := s.best.Steps[max(i-1, 0)].At
		if gap := s.best.Steps[i].At - before; i > 0 && gap > 10*time.Second {
			s.try(func(h *History) {
				for k := i; k < len(h.Steps); k++ {
					h.Steps[k].At -= (gap / 2).Truncate(time.Second)
				}
			})
		}
	}
}

// shorten ends the history soon after the violation.
func (s *shrinker) shorten() {
	if v := Run(s.best, Options{}).Violation; v != nil {
		s.try(func(h *History) { h.End = (v.At + time.Second).Truncate(time.Second) })
	}
}
