package config

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// relate looks at what ties the tables together: names that are used twice or
// do not exist, and what two instances may not share.
func (p *parser) relate() {
	checks := newNames("check", len(p.checks))
	for _, c := range p.checks {
		checks.add(c.section, c.Name)
	}
	instances := newNames("instance", len(p.instances))
	for _, in := range p.instances {
		instances.add(in.section, in.Name)
	}
	groups := newNames("group", len(p.groups))
	for _, g := range p.groups {
		groups.add(g.section, g.name)
		instances.resolve(p.source, g.instances)
	}
	p.join()
	for _, in := range p.instances {
		checks.resolve(p.source, in.checks)
	}
	for _, h := range p.hooks {
		instances.resolve(p.source, h.instances)
	}
	p.sharedVRIDs()
	p.sharedAddresses()
}

// names are the names of one kind of thing.
type names struct {
	kind   string
	list   []string
	bearer map[string]*section
}

func newNames(kind string, most int) *names {
	return &names{kind: kind, list: make([]string, 0, most), bearer: make(map[string]*section, most)}
}

// add takes a name in, and reports it when it is taken.
func (n *names) add(s *section, name string) {
	if name == "" {
		return // reported already
	}
	if other, taken := n.bearer[name]; taken {
		s.bad("name", "", "the name %q is taken by the %s in line %d", name, n.kind, s.src.line(other.at.start))
		return
	}
	n.list = append(n.list, name)
	n.bearer[name] = s
}

// resolve reports references to names that do not exist.
func (n *names) resolve(src *source, refs []placed[string]) {
	for _, ref := range refs {
		if n.bearer[ref.value] != nil {
			continue
		}
		hint := didYouMean(ref.value, n.list)
		if hint == "" && len(n.list) == 0 {
			hint = fmt.Sprintf("there is no [[%s]]", n.kind)
		}
		src.problem(ref.at, hint, "there is no %s named %q", n.kind, ref.value)
	}
}

// sharedVRIDs reports a virtual router that two instances would be.
func (p *parser) sharedVRIDs() {
	type id struct {
		iface  string
		vrid   uint8
		family vrrp.Family
	}
	taken := make(map[id]*instance, len(p.instances))
	for _, in := range p.instances {
		if in.VRID == 0 || in.Interface == "" {
			continue
		}
		for _, f := range []vrrp.Family{vrrp.IPv4, vrrp.IPv6} {
			if !in.hasFamily(f) {
				continue
			}
			k := id{in.Interface, in.VRID, f}
			if other, ok := taken[k]; ok {
				in.bad("vrid", "", "vrid %d on %s is used by %s already", in.VRID, in.Interface, other.label())
				break // one sentence, also when both families clash
			}
			taken[k] = in
		}
	}
}

// sharedAddresses reports an address that two instances hold. A link-local one
// may be on several interfaces.
func (p *parser) sharedAddresses() {
	type place struct {
		addr  netip.Addr
		iface string
	}
	taken := make(map[place]*instance, len(p.instances))
	for _, in := range p.instances {
		for _, a := range in.addresses {
			k := place{addr: a.value.Addr()}
			if isLinkLocal6(k.addr) {
				k.iface = in.Interface
			}
			if other, ok := taken[k]; ok && other != in {
				in.src.problem(a.at, "", "address %v belongs to %s already", k.addr, other.label())
				continue
			}
			taken[k] = in
		}
	}
}

// doubts are the warnings about what is allowed but can hardly be meant.
func (p *parser) doubts() []Warning {
	d := &source{file: p.file, text: p.text, lines: p.lines}
	used := map[*check]bool{}
	for _, in := range p.instances {
		for _, c := range in.used(p.checks) {
			used[c] = true
		}
	}
	for _, c := range p.checks {
		if !used[c] {
			d.warn(c.keyAt("name"), "name it in the checks of an [[instance]]", "no instance uses %s", c.label())
		}
	}
	for _, in := range p.instances {
		in.doubtPriority(d)
		in.doubtWeights(d, p.checks)
		in.doubtOrder(d)
		in.doubtLease(d)
	}
	return d.warnings
}

func (in *instance) doubtPriority(d *source) {
	if in.Priority != vrrp.PriorityOwner {
		return
	}
	d.warn(in.valueAt("priority"), "254 is the highest priority of a node that shares its addresses",
		"priority 255 is for the one node whose own addresses these are: it always takes over")
	if !in.Preempt || in.PreemptDelay > 0 {
		d.warn(in.keyAt("preempt"), "", "preempt has no effect at priority 255 (RFC 9568 section 6.1)")
	}
}

func (in *instance) doubtWeights(d *source, checks []*check) {
	for _, c := range in.used(checks) {
		if c.onFailure != vrrp.Weigh {
			continue
		}
		switch {
		case in.Priority == vrrp.PriorityOwner:
			d.warn(c.keyAt("weight"), `use on_failure = "demote"`, "weight never applies to %s: its priority is 255", in.label())
		case in.Priority == vrrp.PriorityOwner-1 && c.weight > 0 && !in.losesWeight(checks):
			d.warn(c.keyAt("weight"), "lower the priority of the instance", "weight %d adds nothing to %s: its priority is 254 already", c.weight, in.label())
		case !in.Preempt:
			d.warn(c.keyAt("weight"), `use on_failure = "demote", which hands over`,
				"weight does not move %s: a peer with preempt = false never takes over from a master whose priority merely falls", in.label())
		}
	}
}

// losesWeight tells whether a check can lower the priority, so that a positive
// weight of another can matter at the top of the range.
func (in *instance) losesWeight(checks []*check) bool {
	return slices.ContainsFunc(in.used(checks), func(c *check) bool { return c.onFailure == vrrp.Weigh && c.weight < 0 })
}

// doubtLease tells of a lease that outlives the mastership of a dead node.
func (in *instance) doubtLease(d *source) {
	if most := in.autoLease(); in.Lease > most {
		d.warn(in.valueAt("lease"), fmt.Sprintf("%d is the most that is safe; \"auto\" takes it", most/time.Second),
			"a node that dies keeps its addresses for up to %s, but its peers take over after about %s", human(in.Lease+time.Second), human(3*in.AdvertInterval))
	}
}

// doubtOrder tells that the list of addresses is not sent in the order written.
func (in *instance) doubtOrder(d *source) {
	first := true
	for _, a := range in.addresses {
		if isLinkLocal6(a.value.Addr()) {
			if !first {
				d.warn(a.at, "write it first", "the link-local address %v is moved before the other IPv6 addresses, as RFC 9568 section 5.2.9 demands", a.value.Addr())
			}
			return
		}
		if a.value.Addr().Is6() {
			first = false
		}
	}
}
