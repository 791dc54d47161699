package sim

import (
	"net/netip"
	"slices"
	"time"

	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// boot starts the host, and the daemon on it.
func (n *node) boot(config int) {
	n.powered, n.suspended = true, false
	n.boots++
	n.clock = clock{since: n.w.now, ppm: n.clock.ppm}
	for _, p := range n.ports {
		p.exists, p.up, p.noIPv6 = true, true, false
	}
	n.start(config, true)
}

// start starts the daemon.
func (n *node) start(config int, journal bool) {
	if n.alive() || !n.powered {
		return
	}
	n.configs = n.spec.Configs[config]
	if n.stranger() {
		n.config = config
		n.startPlain()
		return
	}
	n.engine = vrrp.NewEngine()
	n.life++
	n.config = config
	n.stopping, n.leaving, n.synced, n.frozen = false, false, false, false
	n.wake = 0
	n.sockets = map[socketKey]bool{}
	n.hooks = map[string]*hookState{}
	n.results = map[string]bool{}
	n.asked = map[string]operatorOrder{}
	clear(n.entries)
	n.configs = n.spec.Configs[config]
	n.now, n.asleep = epoch.Add(n.local()), n.clock.asleep
	for _, p := range n.ports {
		p.planned, p.told = false, told{}
	}
	n.w.tracef("%s starts", n.spec.Name)
	n.takeOver(journal)
	n.apply(n.configs)
	n.firstResults()
	n.later(2*time.Millisecond+upTo(n.draw(), 3*time.Millisecond), func() {
		n.synced = true
		for _, name := range n.interfaces(n.configs) {
			n.linkChanged(name)
		}
	})
	n.step(&n.tick)
	n.flush()
	n.poll()
	n.arm()
}

// firstResults lets the checks answer for the first time.
func (n *node) firstResults() {
	seen := map[string]bool{}
	for i := range n.configs {
		for _, k := range n.configs[i].Checks {
			if !seen[k.Name] {
				seen[k.Name] = true
				n.later(5*time.Millisecond+upTo(n.draw(), 20*time.Millisecond), func() { n.checked(k.Name) })
			}
		}
	}
}

// checked tells the result of a check.
func (n *node) checked(name string) {
	if !n.stopping {
		n.results[name] = n.healthy(name)
		n.step(&vrrp.CheckChanged{Check: name, Healthy: n.results[name], Reason: "simulated"})
	}
}

func (n *node) healthy(check string) bool {
	ok, known := n.health[check]
	return ok || !known
}

func (n *node) interfaces(lists ...[]vrrp.Config) (names []string) {
	for _, list := range lists {
		for i := range list {
			if !slices.Contains(names, list[i].Interface) {
				names = append(names, list[i].Interface)
			}
		}
	}
	return names
}

// takeOver goes on where an earlier daemon ended, and removes what it left.
func (n *node) takeOver(use bool) {
	var adopt []vrrp.Adopted
	kept := map[int]bool{}
	for _, v := range n.w.vrs {
		v.spokeBefore[n.index] = v.spoke[n.index]
	}
	if use {
		for _, r := range n.adoptable() {
			i := slices.IndexFunc(n.configs, func(c vrrp.Config) bool { return c.Interface == r.iface && c.VRID == r.vrid })
			if i < 0 || !slices.Contains(n.configs[i].Families(), r.family) {
				continue
			}
			adopt = append(adopt, vrrp.Adopted{Interface: r.iface, VRID: r.vrid, Family: r.family, PseudoHeader: r.pseudo, Until: epoch.Add(n.local() + vrrp.AdoptWithin(r.interval) - (n.clock.boot(n.w.now) - r.at))})
			for _, a := range r.addresses {
				if at, ok := n.port(r.iface).lookup(a.Addr()); ok && slices.Contains(n.configs[i].Addresses, a) {
					kept[at] = true
				}
			}
		}
	}
	n.journal = journal{boot: n.boots, unlisted: map[uint64]stamp{}}
	n.step(&vrrp.Adopt{Routers: adopt})
	for at := range n.kernel {
		if n.kernel[at].present && !kept[at] {
			n.unset(at, "left over")
		}
	}
}

// apply makes a configuration the running one.
func (n *node) apply(next []vrrp.Config) {
	old := n.configs
	n.configs = next
	n.step(&vrrp.Configure{Instances: next})
	n.reroute()
	for i := range next {
		for _, k := range next[i].Checks {
			if n.synced {
				n.results[k.Name] = n.healthy(k.Name)
				n.step(&vrrp.CheckChanged{Check: k.Name, Healthy: n.results[k.Name]})
			}
		}
	}
	if n.synced {
		for _, name := range n.interfaces(old, next) {
			n.linkChanged(name)
		}
	}
	n.journalChanged()
}

// end is the end of the daemon, however it came: what it had in mind is gone.
func (n *node) end() {
	n.engine = nil
	n.foreign = false
	n.life++
	n.wake, n.planned = 0, 0
	for _, l := range append(n.inbox, n.unread...) {
		n.w.release(l.packet)
	}
	n.inbox, n.unread, n.calls, n.orders = n.inbox[:0], nil, nil, n.orders[:0]
	n.out, n.work, n.ordering, n.waits, n.backlog = n.out[:0], n.work[:0], false, false, 0
	n.reroute()
}

// powerOff is the end of the host.
func (n *node) powerOff() {
	n.end()
	n.powered, n.frozen, n.suspended, n.busy = false, false, false, false
	for at := range n.kernel {
		n.unset(at, "")
	}
	n.w.refreshAll()
}

// pause stops the process, or the whole host.
func (n *node) pause(host bool) {
	if n.frozen || n.suspended || !n.powered {
		return
	}
	n.pausedAt = n.w.now
	if host {
		n.suspended = true
		n.clock.stop(n.w.now)
		n.w.refreshAll()
		return
	}
	if n.alive() {
		n.frozen = true
	}
}

// unpause lets it go on. The readers of the sockets may get to run before the
// loop or after it.
func (n *node) unpause() {
	if !n.frozen && !n.suspended {
		return
	}
	slept := n.suspended
	n.unpaused = n.w.now
	n.frozen, n.suspended = false, false
	if slept {
		n.clock.start(n.w.now)
		for at := range n.kernel {
			n.planExpiry(at)
		}
	}
	n.w.refreshAll()
	n.startHeld()
	if n.stranger() && n.alive() {
		n.tickPlain()
	}
	if n.engine == nil {
		return
	}
	n.resumed(n.w.now - n.pausedAt)
	if n.draw()&1 == 0 {
		n.unread, n.inbox = n.inbox, nil
		n.later(upTo(n.draw(), 300*time.Microsecond), func() {
			n.inbox, n.unread = append(n.inbox, n.unread...), nil
		})
	}
	n.planOrder()
	n.later(upTo(n.draw(), 100*time.Microsecond), func() {})
}

// The journal: which virtual routers there are, and when each last advertised
// as master.
type journal struct {
	boot    int
	whole   bool // both of its files fit together
	due     bool
	routers []journalRouter
	// unlisted are the stamps of routers that are not described yet, by serial.
	unlisted map[uint64]stamp
}

type journalRouter struct {
	iface     string
	number    int
	vrid      uint8
	family    vrrp.Family
	interval  time.Duration
	addresses []netip.Prefix
	serial    uint64
	stamp
}

// stamp is the last advert of a master: when it left, in boot time, 0 for none;
// and the form of its checksum.
type stamp struct {
	at     time.Duration
	pseudo bool
}

func (j *journal) stamp(serial uint64, s stamp) {
	for i := range j.routers {
		if j.routers[i].serial == serial {
			j.routers[i].stamp = s
			return
		}
	}
	j.unlisted[serial] = s
}

// journalChanged has the journal written soon.
func (n *node) journalChanged() {
	if n.journal.due {
		return
	}
	n.journal.due = true
	n.later(50*time.Millisecond, func() {
		n.journal.due = false
		n.describe()
	})
}

// describe sets which virtual routers there are. Until that is on disk, the two
// files do not fit.
func (n *node) describe() {
	var next []journalRouter
	for _, i := range n.engine.Snapshot(n.now).Instances {
		for _, r := range i.Routers {
			d := journalRouter{iface: i.Config.Interface, vrid: i.Config.VRID, family: r.Family, interval: i.Config.AdvertInterval, serial: r.Serial}
			if p := n.port(d.iface); p != nil && p.exists {
				d.number = p.number
			}
			for _, a := range r.Addresses {
				d.addresses = append(d.addresses, a.Address)
			}
			d.stamp = n.journal.unlisted[d.serial]
			for _, o := range n.journal.routers {
				if o.serial == d.serial {
					d.stamp = o.stamp
				}
			}
			next = append(next, d)
		}
	}
	same := slices.EqualFunc(next, n.journal.routers, func(a, b journalRouter) bool {
		return a.iface == b.iface && a.number == b.number && a.vrid == b.vrid && a.family == b.family &&
			a.interval == b.interval && slices.Equal(a.addresses, b.addresses)
	})
	n.journal.routers = next
	clear(n.journal.unlisted)
	if same {
		return
	}
	n.journal.whole = false
	n.later(200*time.Microsecond+upTo(n.draw(), 2*time.Millisecond), func() { n.journal.whole = true })
}

// adoptable lists what may go on as master, by the daemon's rule.
func (n *node) adoptable() (list []journalRouter) {
	if !n.journal.whole || n.journal.boot != n.boots {
		return nil
	}
	now := n.clock.boot(n.w.now)
	for _, r := range n.journal.routers {
		p := n.port(r.iface)
		missing := p == nil || !p.exists || p.number != r.number || slices.ContainsFunc(r.addresses, func(a netip.Prefix) bool {
			at, ok := p.lookup(a.Addr())
			return !ok || !n.kernel[at].present
		})
		if r.at > 0 && vrrp.MayAdopt(now-r.at, r.interval) && !missing && len(r.addresses) > 0 {
			list = append(list, r)
		}
	}
	return list
}
