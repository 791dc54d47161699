package vrrp

import (
	"slices"
	"time"
)

// Engine decides for every virtual router of this node. It is a pure machine:
// feed it events, carry out the actions it returns, and call it again with a
// [Tick] when its deadline has come. It is not safe for concurrent use.
type Engine struct {
	now       time.Time
	instances []*instance // in the order of the configuration
	groups    map[string][]*instance
	departing []*instance // removed by a reload, still handing over
	routers   map[routerKey]*router
	serials   map[uint64]*router
	serial    uint64 // the last one given
	links     map[string]*link
	indexes   map[int]*link
	checks    map[string]checkState
	timers    timers
	actions   []Action
	sequence  uint64
	stopping  bool
	asked     bool      // an order to hand over is open
	woke      time.Time // when this node could act again that could not for slept
	slept     time.Duration
	stoodAt   time.Time // when this node last woke from a sleep in which the clock stood still
	adopt     map[routerKey]Adopted
	packet    Packet // reused for every received advert
}

// routerKey finds the virtual router of a received packet.
type routerKey struct {
	iface  string
	vrid   uint8
	family Family
}

type link struct {
	Link
	drops Drops // packets that belong to no virtual router
}

func (l *Link) same(o *Link) bool {
	return l.Name == o.Name && l.Index == o.Index && l.Up == o.Up && l.Carrier == o.Carrier && l.Problem == o.Problem &&
		slices.Equal(l.Addresses, o.Addresses) && slices.Equal(l.Virtual, o.Virtual)
}

type checkState struct {
	known, healthy bool
	reason         string
	since          time.Time
}

// NewEngine returns an Engine without instances.
func NewEngine() *Engine {
	return &Engine{
		groups:  map[string][]*instance{},
		routers: map[routerKey]*router{},
		serials: map[uint64]*router{},
		links:   map[string]*link{},
		indexes: map[int]*link{},
		checks:  map[string]checkState{},
		adopt:   map[routerKey]Adopted{},
	}
}

// Step tells the Engine that something happened and returns what to do, in
// order. The list is valid until the next call. Only a [Tick] makes timers
// expire: a caller that was late feeds it what has been waiting first, so that
// nobody is declared dead whose packet lies in a queue.
//
// The time must not run backwards; a call too early, too late or too often is
// harmless.
func (e *Engine) Step(now time.Time, ev Event) []Action {
	if e.timers.base.IsZero() {
		e.timers.base = now
	}
	if now.After(e.now) {
		e.now = now
	}
	clear(e.actions) // a burst of them would be kept by the room that it took
	e.actions = e.actions[:0]
	switch ev := ev.(type) {
	case *Tick:
		e.tick()
	case *Late:
		e.late(ev.By, ev.Asleep)
	case *Adopt:
		for _, a := range ev.Routers {
			e.adopt[routerKey{a.Interface, a.VRID, a.Family}] = a
		}
	case *AdvertReceived:
		e.receive(ev)
	case *StrangersHeard:
		if l := e.indexes[ev.Interface]; l != nil {
			l.drops[DropVRID] += ev.Packets
		}
	case *Link:
		e.linkChanged(ev)
	case *CheckChanged:
		e.checkChanged(ev)
	case *AddressesChanged:
		if r := e.router(ev.Router); r != nil {
			r.addressesChanged(ev.Addresses, ev.Removal)
		}
	case *SendFailed:
		if r := e.router(ev.Router); r != nil {
			r.sendFailed(ev.Reason)
			r.schedule()
			r.inst.settle()
		}
	case *Configure:
		e.configure(ev.Instances)
	case *Drain:
		e.drain(ev)
	case *Undrain:
		if i := e.instance(ev.Instance); i != nil {
			e.undrain(i)
		}
	case *Failover:
		e.failover(ev)
	case *AnnounceNow:
		e.announceNow(ev.Instance)
	case *Stop:
		e.stop()
	}
	if e.asked {
		e.judgeOrders()
	}
	return e.actions
}

// Deadline returns when the Engine next wants a [Tick]; false when nothing but
// an event can make it act.
func (e *Engine) Deadline() (time.Time, bool) {
	r := e.timers.first()
	if r == nil {
		return time.Time{}, false
	}
	return r.deadline, true
}

// EndsSilence reports whether the Deadline is that of a backup which takes over then,
// unless it hears a master before: its Active_Down_Timer (RFC 9568 section 6.2).
func (e *Engine) EndsSilence() bool {
	r := e.timers.first()
	return r != nil && r.state == StateBackup && r.deadline.Equal(r.timer)
}

// Departing reports whether a router that a reload removed still hands over on
// an interface: its packets and those of its successor must pass.
func (e *Engine) Departing(iface string, f Family) bool {
	return slices.ContainsFunc(e.departing, func(i *instance) bool {
		return i.cfg.Interface == iface && slices.ContainsFunc(i.routers, func(r *router) bool { return r.id.Family == f && r.holding() })
	})
}

// IsMaster reports whether a virtual router is master now: one that has just
// yielded still has its addresses, and has sent a last advert, but is not.
func (e *Engine) IsMaster(id RouterID) bool {
	r := e.router(id)
	return r != nil && r.state == StateMaster
}

// Stopped reports whether a [Stop] is complete: every address was handed over
// or released.
func (e *Engine) Stopped() bool {
	return e.stopping && !slices.ContainsFunc(e.instances, (*instance).holding) && !slices.ContainsFunc(e.departing, (*instance).holding)
}

func (e *Engine) do(a Action) { e.actions = append(e.actions, a) }

func (e *Engine) tick() {
	for {
		r := e.timers.first()
		if r == nil || r.deadline.After(e.now) {
			break
		}
		r.fire()
		r.schedule()
		r.inst.settle()
	}
	before := len(e.departing)
	e.departing = slices.DeleteFunc(e.departing, func(i *instance) bool {
		if i.holding() {
			return false
		}
		e.forget(i)
		return true
	})
	if len(e.departing) < before {
		e.forgetLinks()
	}
}

func (e *Engine) receive(ev *AdvertReceived) {
	l := e.indexes[ev.Interface]
	if l == nil {
		return // no socket of ours is on that interface any more
	}
	if len(ev.Payload) < headerLen {
		l.drops[DropShort]++
		return
	}
	r := e.routers[routerKey{l.Name, ev.Payload[1], FamilyOf(ev.Source)}]
	if r == nil {
		l.drops[DropVRID]++
		return
	}
	if reason := r.accept(ev, &e.packet); reason != dropNone {
		r.dropped(reason, ev, &e.packet)
	} else {
		r.hear(ev.Source, &e.packet)
	}
	r.schedule()
	r.inst.settle()
}

func (e *Engine) linkChanged(ev *Link) {
	if e.serial > 0 && !e.uses(ev.Name) { // it may change again and nobody tell
		return
	}
	l := e.links[ev.Name]
	if l == nil {
		l = &link{}
		e.links[ev.Name] = l
	} else if l.same(ev) && (l.Index == 0 || e.indexes[l.Index] == l) { // else another name had the index
		return
	}
	if e.indexes[l.Index] == l {
		delete(e.indexes, l.Index)
	}
	l.Link = *ev
	l.Addresses, l.Virtual = slices.Clone(ev.Addresses), slices.Clone(ev.Virtual)
	if l.Index != 0 {
		e.indexes[l.Index] = l
	}
	for _, i := range e.instances {
		if i.cfg.Interface == ev.Name {
			i.review()
		}
	}
}

func (e *Engine) checkChanged(ev *CheckChanged) {
	c := e.checks[ev.Check]
	same := c.known && c.healthy == ev.Healthy
	if !same {
		c.since = e.now
	}
	known := same && (ev.Healthy || c.reason == ev.Reason)
	c.known, c.healthy, c.reason = true, ev.Healthy, ev.Reason
	e.checks[ev.Check] = c
	if known { // as most are that are told again after a reload
		return
	}
	for _, i := range e.instances {
		if i.uses(ev.Check) {
			i.review()
		}
	}
}

func (e *Engine) announceNow(name string) {
	for _, i := range e.instances {
		if name != "" && i.cfg.Name != name {
			continue
		}
		for _, r := range i.routers {
			if r.state == StateMaster && !r.listening {
				r.announceBurst()
				r.schedule()
			}
		}
	}
}

func (e *Engine) stop() {
	if e.stopping {
		return
	}
	e.stopping, e.asked = true, false
	for _, i := range e.instances {
		i.asked = asked{}
	}
	for _, i := range e.instances {
		i.weigh() // without the orders
		i.leave("stopped")
	}
}

func (e *Engine) instance(name string) *instance {
	for _, i := range e.instances {
		if i.cfg.Name == name {
			return i
		}
	}
	return nil
}

func (e *Engine) router(id RouterID) *router {
	if id.Serial != 0 {
		return e.serials[id.Serial]
	}
	if i := e.instance(id.Instance); i != nil {
		for _, r := range i.routers {
			if r.id.Family == id.Family {
				return r
			}
		}
	}
	return nil
}
