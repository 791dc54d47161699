package vrrp

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// The times that most tests use, for the priority 150 of web and 1 s adverts.
const (
	second  = time.Second
	skew150 = 106 * second / 256 // 414.0625 ms
	down150 = 3*second + skew150

	listen150 = second + second/listenMargin + skew150 // after a pause
)

// The node under test is 192.0.2.1, fe80::1 and 2001:db8::1 on eth0, index 2.
var (
	self  = addr("192.0.2.1")
	low   = addr("192.0.2.0") // an address below self
	peer  = addr("192.0.2.2") // and two above
	peer3 = addr("192.0.2.3")
	self6 = addr("fe80::1")
	peer6 = addr("fe80::2")
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func prefixes(list ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// web is the instance of most tests, changed by the given functions.
func web(change ...func(*Config)) Config {
	c := Config{
		Name: "web", Interface: "eth0", VRID: 51, Version: Version3, Priority: 150,
		Addresses: prefixes("192.0.2.100/24"), AdvertInterval: second, Preempt: true,
		Announce: Announce{Repeat: 1},
	}
	for _, f := range change {
		f(&c)
	}
	return c
}

func named(name string, vrid uint8, addresses ...string) func(*Config) {
	return func(c *Config) { c.Name, c.VRID, c.Addresses = name, vrid, prefixes(addresses...) }
}
func prio(p uint8) func(*Config)               { return func(c *Config) { c.Priority = p } }
func every(d time.Duration) func(*Config)      { return func(c *Config) { c.AdvertInterval = d } }
func vips(list ...string) func(*Config)        { return func(c *Config) { c.Addresses = prefixes(list...) } }
func checks(list ...Check) func(*Config)       { return func(c *Config) { c.Checks = list } }
func unicast(list ...netip.Addr) func(*Config) { return func(c *Config) { c.Peers = list } }
func v2(c *Config)                             { c.Version = Version2 }
func noPreempt(c *Config)                      { c.Preempt = false }

// lingered is long enough for any linger of a small set.
const lingered = linger6 + 10*3*lingerEach

// eth0 is a link in good order, changed by the given functions.
func eth0(change ...func(*Link)) *Link {
	l := &Link{
		Name: "eth0", Index: 2, Up: true, Carrier: true,
		Addresses: prefixes("192.0.2.1/24", "2001:db8::1/64", "fe80::1/64"),
	}
	for _, f := range change {
		f(l)
	}
	return l
}

// engineTest runs a script against one Engine. Every step is checked against
// what must hold always; see check.
type engineTest struct {
	rapid.TB
	e     *Engine
	now   time.Time
	lines []string
	// kernel has the addresses of each interface, claims who added them.
	kernel map[string]map[netip.Prefix]bool
	claims map[claim]map[uint64]bool
	// deaf stops the kernel from reporting what it did; slow keeps the reports
	// in results until they are delivered.
	deaf, slow bool
	results    []*AddressesChanged
	// refused are addresses that the kernel will not add, leases when it takes
	// those away that are not renewed, and terms for how long it has had them.
	refused map[netip.Prefix]bool
	leases  map[claim]time.Time
	terms   map[claim]time.Duration
	// sequence is the last transition; told is the last that hooks ran for,
	// by instance.
	sequence uint64
	told     map[string]uint64
	// untold are transitions whose hooks have not run yet.
	untold map[uint64]bool
	// sent, when set, gets every advert.
	sent func(*SendAdvert)
	// next are events that follow the present step.
	next []Event
}

// newTest returns an Engine with these instances, all on eth0 in good order,
// at the moment it has started; what it did so far is forgotten.
func newTest(t rapid.TB, configs ...Config) *engineTest {
	t.Helper()
	te := newBare(t)
	te.do(eth0())
	te.configure(configs...)
	te.lines = nil
	return te
}

// newBare returns an Engine that knows nothing.
func newBare(t rapid.TB) *engineTest {
	return &engineTest{
		TB: t, e: NewEngine(), now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		kernel: map[string]map[netip.Prefix]bool{}, claims: map[claim]map[uint64]bool{}, told: map[string]uint64{},
		leases: map[claim]time.Time{}, terms: map[claim]time.Duration{}, untold: map[uint64]bool{},
	}
}

// newMaster returns a test whose instances have all become master unopposed.
func newMaster(t rapid.TB, configs ...Config) *engineTest {
	t.Helper()
	te := newTest(t, configs...)
	var longest time.Duration
	for _, c := range configs {
		longest = max(longest, downInterval(c.Version, c.Priority, c.AdvertInterval))
	}
	te.advance(longest)
	for _, c := range configs {
		te.wantState(c.Name, StateMaster)
	}
	te.lines = nil
	return te
}

func (te *engineTest) configure(configs ...Config) {
	te.Helper()
	if err := ValidateAll(configs); err != nil {
		te.Fatalf("the test's configuration is not valid: %v", err)
	}
	te.do(&Configure{Instances: configs})
}

// do takes one step, records the actions and lets the kernel carry them out.
// What the kernel reports comes after what else follows the step.
func (te *engineTest) do(ev Event) {
	te.Helper()
	actions := te.e.Step(te.now, ev)
	for _, a := range actions {
		te.lines = append(te.lines, render(a))
		if s, ok := a.(*SendAdvert); ok && te.sent != nil {
			te.sent(s)
		}
		if done := te.carryOut(a); done != nil {
			te.results = append(te.results, done)
		}
	}
	te.check(ev, actions)
	next := te.next
	te.next = nil
	for _, ev := range next {
		te.do(ev)
	}
	for !te.slow && len(te.results) > 0 {
		te.report()
	}
}

// report delivers the kernel's oldest report.
func (te *engineTest) report() {
	te.Helper()
	done := te.results[0]
	te.results = te.results[1:]
	te.do(done)
}

func (te *engineTest) carryOut(a Action) *AddressesChanged {
	te.Helper()
	switch a := a.(type) {
	case *AddAddresses:
		done := te.setKernel(a.Router, a.Interface, a.Addresses, true)
		te.lease(a.Interface, a.Addresses, a.Lease)
		return done
	case *RenewAddresses:
		te.checkRenewal(a)
		te.setKernel(a.Router, a.Interface, a.Addresses, true) // what is gone comes back
		te.lease(a.Interface, a.Addresses, a.Lease)
	case *RemoveAddresses:
		return te.setKernel(a.Router, a.Interface, a.Addresses, false)
	}
	return nil
}

// lease lets the kernel take addresses away after d; 0 is never.
func (te *engineTest) lease(iface string, list []netip.Prefix, d time.Duration) {
	for _, p := range list {
		if delete(te.leases, claim{iface, p}); d > 0 && te.kernel[iface][p] {
			te.leases[claim{iface, p}] = te.now.Add(d)
			te.terms[claim{iface, p}] = d
		}
	}
}

// lapse is what is known of the lease of an address that is gone now.
func (te *engineTest) lapse(c claim) *Lapse {
	ends, ok := te.leases[c]
	if !ok {
		return nil
	}
	age := te.now.Sub(ends) + te.terms[c]
	return &Lapse{Lease: te.terms[c], Least: age, Most: age}
}

// claim is an address on an interface.
type claim struct {
	iface string
	addr  netip.Prefix
}

// holds reports whether p is on the interface on behalf of r.
func (r *router) holds(p netip.Prefix) bool {
	ours := r.position(p) >= 0
	return ours && (r.state == StateMaster || r.holding())
}

func (te *engineTest) setKernel(id RouterID, iface string, list []netip.Prefix, present bool) *AddressesChanged {
	if te.kernel[iface] == nil {
		te.kernel[iface] = map[netip.Prefix]bool{}
	}
	done := &AddressesChanged{Router: id, Removal: !present}
	for _, p := range list {
		c := claim{iface, p}
		if te.claims[c] == nil {
			te.claims[c] = map[uint64]bool{}
		}
		if present && te.refused[p] && !te.kernel[iface][p] {
			done.Addresses = append(done.Addresses, AddressState{Address: p, Problem: "address is refused"})
			continue
		}
		if delete(te.claims[c], id.Serial); present {
			te.claims[c][id.Serial] = true
		}
		if len(te.claims[c]) > 0 {
			te.kernel[iface][p] = true
		} else {
			delete(te.kernel[iface], p)
			delete(te.leases, c)
		}
		done.Addresses = append(done.Addresses, AddressState{Address: p, Present: present})
	}
	if te.deaf {
		return nil
	}
	return done
}

// check holds every step of every test against the promises: a Tick leaves
// nothing due, addresses are held by masters and by routers that are handing
// over alone, and who is not master sends nothing but its release.
func (te *engineTest) check(ev Event, actions []Action) {
	te.Helper()
	if _, ok := ev.(*Tick); ok {
		if at, ok := te.e.Deadline(); ok && !at.After(te.now) {
			te.Fatalf("after a tick at %v the deadline is %v", te.now, at)
		}
	}
	te.checkAddresses()
	te.checkTransitions(actions)
	for n, a := range actions {
		s, ok := a.(*SendAdvert)
		if !ok {
			continue
		}
		var p Packet
		if reason, ok := p.Parse(s.Payload, s.Source, s.Destination); !ok {
			te.Fatalf("sent a packet that is refused: %v", reason)
		}
		if r := te.e.router(s.Router); r != nil && r.state != StateMaster && p.Priority != 0 &&
			!(p.Interval == quickInterval && n+1 < len(actions)) &&
			!(r.state == StateBackup && r.since.Equal(te.now)) && !leaves(actions[n+1:], s.Router) {
			te.Fatalf("%v: advert in state %v: %s", s.Router, r.state, render(a))
		}
	}
}

// leaves reports whether the instance of a router leaves the state it was in.
func leaves(actions []Action, id RouterID) bool {
	return slices.ContainsFunc(actions, func(a Action) bool {
		t, ok := a.(*Transition)
		return ok && t.Instance == id.Instance
	})
}

// routers are all virtual routers, those of departing instances too.
func (te *engineTest) routers() []*router {
	var all []*router
	for _, list := range [][]*instance{te.e.instances, te.e.departing} {
		for _, i := range list {
			all = append(all, i.routers...)
		}
	}
	return all
}

// checkTransitions asserts that transitions are counted without a gap, and that
// hooks run once for each and in order.
func (te *engineTest) checkTransitions(actions []Action) {
	te.Helper()
	for _, a := range actions {
		switch a := a.(type) {
		case *Transition:
			if a.Adopted {
				te.told[a.Instance] = a.Sequence
			} else {
				te.untold[a.Sequence] = true
			}
			if a.Sequence != te.sequence+1 || a.From == a.To {
				te.Fatalf("after transition %d comes %d: %s", te.sequence, a.Sequence, render(a))
			}
			if te.sequence = a.Sequence; a.Cause.String() == "invalid" {
				te.Fatalf("no cause of %s", render(a))
			}
		case *Notify:
			if s := a.Transition.Sequence; s > te.sequence || s <= te.told[a.Transition.Instance] {
				te.Fatalf("hooks of transition %d after those of %d", s, te.told[a.Transition.Instance])
			}
			te.told[a.Transition.Instance] = a.Transition.Sequence
			delete(te.untold, a.Transition.Sequence)
		}
	}
}

// checkRenewal asserts that leases are renewed for those that serve and speak,
// and for what they were given alone.
func (te *engineTest) checkRenewal(a *RenewAddresses) {
	te.Helper()
	r := te.e.router(a.Router)
	switch {
	case r == nil:
		te.Fatalf("renewed for %v, which is gone", a.Router)
	case r.state != StateMaster && !r.holding(), !r.speaks(), r.listening:
		te.Fatalf("%v renews in state %v, speaks %v, listens %v", r.id, r.state, r.speaks(), r.listening)
	case a.Lease <= 0 || a.Lease != r.inst.cfg.Lease || a.Interface != r.inst.cfg.Interface:
		te.Fatalf("%v renews for %v on %s, and has %v", r.id, a.Lease, a.Interface, r.inst.cfg.Lease)
	}
	for _, p := range a.Addresses {
		if r.position(p) < 0 {
			te.Fatalf("%v renews %v, which is not its own", r.id, p)
		}
	}
}

// checkAddresses compares the kernel with what the routers should hold.
func (te *engineTest) checkAddresses() {
	te.Helper()
	all := te.routers()
	for iface, list := range te.kernel {
		for p := range list {
			if !slices.ContainsFunc(all, func(r *router) bool { return r.inst.cfg.Interface == iface && r.holds(p) }) {
				te.Fatalf("%v is on %s, and no router is master or handing over with it", p, iface)
			}
		}
	}
	for _, r := range all {
		for _, p := range r.prefixes() {
			waiting := len(te.results) > 0 || !r.addresses[r.position(p)].Present && !r.repairAt.IsZero()
			if r.state == StateMaster && r.silentSince.IsZero() && !r.listening && !te.kernel[r.inst.cfg.Interface][p] && !waiting {
				te.Fatalf("%v is master without %v", r.id, p)
			}
		}
	}
}

// advance lets time pass, with a Tick exactly at each deadline.
func (te *engineTest) advance(d time.Duration) {
	te.Helper()
	end := te.now.Add(d)
	for range 1_000_000 {
		at, ok := te.e.Deadline()
		if !ok || at.After(end) {
			te.now = end
			return
		}
		if at.After(te.now) {
			te.now = at
		}
		te.do(&Tick{})
	}
	te.Fatal("a million ticks: the Engine spins")
}

// packet is a received packet, by default a good advert of the given priority
// for web.
type packet struct {
	from, to netip.Addr
	on       int
	ttl      int
	pseudo   bool
	Packet
}

func advertFrom(from netip.Addr, priority uint8, change ...func(*packet)) *packet {
	p := &packet{from: from, to: GroupIPv4, on: 2, ttl: 255, Packet: Packet{
		Version: Version3, VRID: 51, Priority: priority, Interval: second,
		Addresses: []netip.Addr{addr("192.0.2.100")},
	}}
	if FamilyOf(from) == IPv6 {
		p.to, p.Addresses = GroupIPv6, []netip.Addr{addr("fe80::100"), addr("2001:db8::100")}
	}
	for _, f := range change {
		f(p)
	}
	return p
}

func interval(d time.Duration) func(*packet) { return func(p *packet) { p.Interval = d } }
func version2(p *packet)                     { p.Version = Version2 }
func to(a netip.Addr) func(*packet)          { return func(p *packet) { p.to = a } }
func ofVRID(id uint8) func(*packet)          { return func(p *packet) { p.VRID = id } }
func carrying(list ...string) func(*packet) {
	return func(p *packet) {
		p.Addresses = nil
		for _, s := range list {
			p.Addresses = append(p.Addresses, addr(s))
		}
	}
}

func (p *packet) event(t rapid.TB) *AdvertReceived {
	t.Helper()
	b, err := p.AppendTo(nil, p.from, p.to, p.pseudo)
	if err != nil {
		t.Fatalf("packet of the test: %v", err)
	}
	return &AdvertReceived{Interface: p.on, Source: p.from, Destination: p.to, TTL: p.ttl, Payload: b}
}

// advert lets the node hear an advert.
func (te *engineTest) advert(from netip.Addr, priority uint8, change ...func(*packet)) {
	te.Helper()
	te.do(advertFrom(from, priority, change...).event(te))
}

// adverts lets the node hear an advert now and every interval, while d passes.
func (te *engineTest) adverts(d, interval time.Duration, from netip.Addr, priority uint8, change ...func(*packet)) {
	te.Helper()
	for ; d > 0; d -= interval {
		te.advert(from, priority, change...)
		te.advance(min(d, interval))
	}
}

func (te *engineTest) health(name string, healthy bool, reason string) {
	te.Helper()
	te.do(&CheckChanged{Check: name, Healthy: healthy, Reason: reason})
}

// want compares all that was done since the last want, one line an action.
func (te *engineTest) want(lines ...string) {
	te.Helper()
	te.wantOnly("", lines...)
}

// wantOnly compares the lines that contain what is given, and forgets all.
func (te *engineTest) wantOnly(containing string, lines ...string) {
	te.Helper()
	got := slices.DeleteFunc(te.lines, func(s string) bool { return !strings.Contains(s, containing) })
	te.lines = nil
	if diff := cmp.Diff(append([]string{}, lines...), append([]string{}, got...)); diff != "" {
		te.Fatalf("actions (-want +got):\n%s", diff)
	}
}

// wantNone asserts that nothing was done since the last want.
func (te *engineTest) wantNone() {
	te.Helper()
	te.want()
}

func (te *engineTest) wantState(name string, want State) {
	te.Helper()
	if got := te.status(name).State; got != want {
		te.Fatalf("instance %s is %v (%s), want %v", name, got, te.status(name).Reason, want)
	}
}

func (te *engineTest) wantReason(name, want string) {
	te.Helper()
	if got := te.status(name).Reason; got != want {
		te.Fatalf("instance %s: reason %q, want %q", name, got, want)
	}
}

// wantAddresses asserts which VIPs are on an interface.
func (te *engineTest) wantAddresses(iface string, want ...string) {
	te.Helper()
	got := []string{}
	for p := range te.kernel[iface] {
		got = append(got, p.String())
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(append([]string{}, want...), got); diff != "" {
		te.Fatalf("VIPs on %s (-want +got):\n%s", iface, diff)
	}
}

func (te *engineTest) status(name string) InstanceStatus {
	te.Helper()
	for _, s := range te.e.Snapshot(te.now).Instances {
		if s.Config.Name == name {
			return s
		}
	}
	te.Fatalf("there is no instance %s", name)
	return InstanceStatus{}
}

// router is the status of the IPv4 router of web.
func (te *engineTest) router() RouterStatus {
	te.Helper()
	return te.status("web").Routers[0]
}

// wantDue asserts when the timer of web's router ends, in time from now.
func (te *engineTest) wantDue(want time.Duration) {
	te.Helper()
	if got := te.router().Deadline.Sub(te.now); got != want {
		te.Fatalf("timer ends in %v, want %v", got, want)
	}
}

// render writes an action as one line.
func render(a Action) string {
	switch a := a.(type) {
	case *SendAdvert:
		var p Packet
		if reason, ok := p.Parse(a.Payload, a.Source, a.Destination); !ok {
			return fmt.Sprintf("%s: a packet that is refused: %v", a.Router.Instance, reason)
		}
		return fmt.Sprintf("%s: advert prio=%d interval=%v to=%v", a.Router.Instance, p.Priority, p.Interval, a.Destination)
	case *AddAddresses:
		return fmt.Sprintf("%s: add %s %s", a.Router.Instance, spaced(a.Addresses), a.Interface)
	case *RenewAddresses:
		return fmt.Sprintf("%s: renew %s %s for %v", a.Router.Instance, spaced(a.Addresses), a.Interface, a.Lease)
	case *RemoveAddresses:
		return fmt.Sprintf("%s: remove %s %s", a.Router.Instance, spaced(a.Addresses), a.Interface)
	case *StopAnnouncing:
		return fmt.Sprintf("%s: stop announcing %s", a.Router.Instance, a.Interface)
	case *AnnounceAddresses:
		return fmt.Sprintf("%s: announce %s %s", a.Router.Instance, spaced(a.Addresses), a.Interface)
	case *Transition:
		return fmt.Sprintf("%s: %v -> %v (%s)", a.Instance, a.From, a.To, a.Reason)
	case *Notify:
		return fmt.Sprintf("%s: hook %v", a.Transition.Instance, a.Transition.To)
	case *Outcome:
		return renderOutcome(a)
	case *DrainEnded:
		return fmt.Sprintf("%s: drain ended", a.Instance)
	case *Notice:
		return fmt.Sprintf("%s: notice: %v: %s", a.Instance, a.Kind, a.Detail)
	}
	return fmt.Sprintf("unknown action %T", a)
}

func spaced(list []netip.Prefix) string {
	var s []string
	for _, p := range list {
		s = append(s, p.String())
	}
	return strings.Join(s, " ")
}

// renderOutcome writes what became of an order as one line.
func renderOutcome(o *Outcome) string {
	line := o.Instance + ": drained"
	if o.Failover {
		line = o.Instance + ": failed over"
	}
	if !o.Done {
		line = strings.Replace(line, ": ", ": not ", 1)
	}
	switch {
	case o.Moved:
		line += fmt.Sprintf(", %v with %d took over after %v", o.Peer, o.PeerPriority, o.Took)
	case o.Peer.IsValid():
		line += fmt.Sprintf(", %v with %d is master", o.Peer, o.PeerPriority)
	}
	if o.Reason != "" {
		line += " (" + o.Reason + ")"
	}
	return fmt.Sprintf("%s; now %v", line, o.State)
}
