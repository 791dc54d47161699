package vrrp

import (
	"fmt"
	"slices"
)

// Instances of one group move together, as the two sides of a firewall must:
// they have one priority and one preempt setting, share all their checks, are
// drained and demoted together, and when one cannot take part none does. Each
// virtual router still elects on its own link, as RFC 9568 says; who has all of
// these in common elects alike.

// group takes the instances of a new configuration into their groups.
func (e *Engine) group(configs []Config) {
	clear(e.groups)
	for n := range configs {
		if name := configs[n].Group; name != "" {
			e.groups[name] = append(e.groups[name], e.instances[n])
		}
	}
}

// mates are the instances of i's group, itself among them; none without a group.
func (i *instance) mates() []*instance {
	if i.cfg.Group == "" || i.removed {
		return nil
	}
	return i.e.groups[i.cfg.Group]
}

// checks are those that act on i: its own and those of its group.
func (i *instance) checks() []Check {
	list := i.cfg.Checks
	for _, m := range i.mates() {
		for _, c := range m.cfg.Checks {
			if m != i && !slices.ContainsFunc(list, func(o Check) bool { return o.Name == c.Name }) {
				list = append(slices.Clip(list), c)
			}
		}
	}
	return list
}

// review works out anew what the instance and its group should do, after a
// link, a check, the operator or a configuration changed.
func (i *instance) review() {
	mates := i.mates()
	if mates == nil {
		i.reviewAlone()
		return
	}
	for _, m := range mates { // before any of them looks at the others
		for _, r := range m.routers {
			r.followLink()
		}
	}
	for _, m := range mates {
		m.reviewAlone()
	}
}

// reviewMates lets the others of the group act on what became of i.
func (i *instance) reviewMates() {
	for _, m := range i.mates() {
		if m != i {
			m.reviewAlone()
		}
	}
}

// mateFault returns what keeps another instance of the group from taking part,
// and so this one too.
func (i *instance) mateFault() (string, bool) {
	for _, m := range i.mates() {
		if m == i {
			continue
		}
		if why, bad := m.faulty(i.doubtful()); bad {
			return fmt.Sprintf("%s of the same group: %s", m.cfg.Name, why), true
		}
	}
	return "", false
}

// faulty returns what keeps every virtual router of i from taking part. One
// that could not send is not trusted before it has, except by one of which the
// same is true: two such would wait for each other for ever.
func (i *instance) faulty(trusting bool) (why string, bad bool) {
	for _, r := range i.routers {
		reason, bad := r.ownFault()
		if !bad && r.unproven && r.state != StateMaster && !trusting {
			reason, bad = "it has not sent an advert since none could leave", true
			if r.trying {
				reason = r.cannotSend()
			}
		}
		if !bad {
			return "", false
		}
		why = reason
	}
	return why, true
}

// doubtful reports whether i could take part but for the doubt that it can send.
func (i *instance) doubtful() bool {
	_, bad := i.faulty(false)
	_, anyway := i.faulty(true)
	return bad && !anyway
}

// mateServes reports whether this node is master of another instance of the
// group and means to stay so.
func (i *instance) mateServes() bool {
	for _, m := range i.mates() {
		if m != i && slices.ContainsFunc(m.routers, func(r *router) bool { return r.state == StateMaster && !r.handing && !r.listening }) {
			return true
		}
	}
	return false
}

// groupDrained reports whether the operator drained any instance of the group.
func (i *instance) groupDrained() bool {
	return i.drained || slices.ContainsFunc(i.mates(), func(m *instance) bool { return m.drained })
}

// troubles are why the node cannot hold the addresses of i or of its group.
func (i *instance) troubles() (list []string) {
	if i.trouble != "" {
		list = append(list, i.trouble)
	}
	for _, m := range i.mates() {
		if m != i && m.trouble != "" {
			list = append(list, fmt.Sprintf("%s of the same group: %s", m.cfg.Name, m.trouble))
		}
	}
	return list
}

// announceGroup makes the network know the addresses of i and of its group again.
func (i *instance) announceGroup() {
	for _, m := range i.mates() {
		if m == i {
			continue
		}
		for _, r := range m.routers {
			if r.state == StateMaster && !r.listening && !r.handing && r.now().Sub(r.rivalTold) >= rivalGap {
				r.rivalTold = r.now()
				r.announceBurst()
				r.schedule()
			}
		}
	}
}

// validateGroups reports instances of one group that would not elect alike.
func validateGroups(configs []Config) (errs []error) {
	first := map[string]*Config{}
	for n := range configs {
		c := &configs[n]
		if c.Group == "" {
			continue
		}
		o := first[c.Group]
		if o == nil {
			first[c.Group] = c
			continue
		}
		bad := func(what string, here, there any) {
			errs = append(errs, fmt.Errorf("instance %q: %s %v must be the same as %v of instance %q: both are in group %q", c.Name, what, here, there, o.Name, c.Group))
		}
		if c.Priority != o.Priority {
			bad("priority", c.Priority, o.Priority)
		}
		if c.Preempt != o.Preempt {
			bad("preempt", c.Preempt, o.Preempt)
		}
		if c.PreemptDelay != o.PreemptDelay {
			bad("preempt delay", c.PreemptDelay, o.PreemptDelay)
		}
	}
	return errs
}
