package vrrp

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"
)

// play reads a sequence of events from bytes and feeds them to an Engine, which
// every step is checked on. Any bytes are a legal sequence.
type play struct {
	*engineTest
	data []byte
	// disturbed is when something last kept the node from renewing its leases.
	disturbed time.Time
}

func (p *play) byte() int {
	if len(p.data) == 0 {
		return 0
	}
	b := p.data[0]
	p.data = p.data[1:]
	return int(b)
}

func (p *play) flag() bool { return p.byte()%2 == 1 }

func choose[T any](p *play, list ...T) T { return list[p.byte()%len(list)] }

// The operations of a play.
const (
	opLate = iota
	opClockBack
	opWait
	opWaitMore
	opHear
	opHearMore
	opHearMuch
	opGarbage
	opLink
	opCheck
	opLose
	opReload
	opDrain
	opAnnounce
	opStop
	opSendFails // this and what follows is trouble
	opPause
	opMute
	opRefuse
	opSlow
	opStale
	opFlood
	opTicks
	ops
)

// playConfigs are the sets of instances between which a play reloads.
func playConfigs() [][]Config {
	weight := checks(Check{Name: "disk", OnFailure: Weigh, Weight: -100})
	return [][]Config{
		{web(nginx)},
		{web(nginx), inside(every(MinInterval))},
		{inside(prio(255)), dual(noPreempt, nginx)},
		{web(v2, password("secret"))},
		{web(named("outside", 51, "192.0.2.102/24")), inside(checks(Check{Name: "nginx", OnFailure: Release}, Check{Name: "disk", OnFailure: Weigh, Weight: -100}))},
		{dual(unicast(peer, peer6), every(50*time.Millisecond))},
		{web(named("web", 52, "192.0.2.100/24")), inside(named("inside", 51, "192.0.2.101/24", "192.0.2.102/24"), v2)},
		{web(func(c *Config) {
			c.PreemptDelay, c.StartupDelay = 3*second, second
			c.Announce = Announce{Repeat: 3, Interval: 50 * time.Millisecond, Refresh: 2 * second}
		})},
		{web(func(c *Config) { c.Interface = "eth1" }), inside(prio(32))},
		nil,
		{dual(leased(2*second), nginx), inside(leased(second), every(100*time.Millisecond))},
		{web(leased(2*second), unicast(peer, low, peer3), func(c *Config) { c.Checksum = ChecksumPseudoHeader }), inside(leased(5*second), every(2*second), noPreempt)},
		{web(leased(2*second), vips(manyVIPs...))},
		{web(vips("192.0.2.100/24")), inside(named("inside", 52, "192.0.2.101/24", "fe80::100/64", "2001:db8::100/64"), leased(3*second))},
		{web(prio(32), leased(second), every(30*second), func(c *Config) {
			c.Announce = Announce{Repeat: 5, Interval: 200 * time.Millisecond, Refresh: 60 * second}
		})},
		{web(grouped, nginx, leased(2*second)), inside(grouped, every(100*time.Millisecond), vips("192.0.2.101/24", "fe80::101/64"))},
		{dual(grouped, noPreempt, weight), web(named("other", 53, "192.0.2.103/24"), grouped, noPreempt, func(c *Config) { c.Interface, c.StartupDelay = "eth1", 20*second })},
	}
}

// manyVIPs are more than are renewed at once.
var manyVIPs = func() (list []string) {
	for n := range renewSlice + 2 {
		list = append(list, fmt.Sprintf("198.51.100.%d/32", n))
	}
	return list
}()

// playStart are the bytes that begin a play: what was master before the start,
// the link in good order, a set of instances, and healthy checks.
func playStart(adopted, config byte) []byte {
	return []byte{adopted, opLink, 0, opReload, config, opCheck, 0, 1, opCheck, 1, 1, opWait, 10}
}

// randomBytes returns bytes that a running node makes something of.
func randomBytes(seed uint64, n int) []byte {
	rnd := rand.New(rand.NewPCG(seed, 1))
	data := playStart(byte(seed%5), byte(seed))
	for range n {
		data = append(data, byte(rnd.Uint32()))
	}
	return data
}

// runPlay plays data and returns what it did.
func runPlay(t rapid.TB, data []byte) *engineTest {
	t.Helper()
	p := playThrough(t, data)
	p.end()
	return p.engineTest
}

// playThrough plays data and returns how it stands then.
func playThrough(t rapid.TB, data []byte) *play {
	t.Helper()
	p := &play{engineTest: newBare(t), data: data}
	if adopted := playAdopted(p.byte()); len(adopted) > 0 {
		p.do(&Adopt{Routers: adopted})
	}
	for len(p.data) > 0 {
		p.step()
		p.wantQuiet()
		p.wantSums()
	}
	return p
}

// playAdopted is which routers a byte lets go on over a restart: 0 is none.
func playAdopted(b int) (list []Adopted) {
	for n, a := range []Adopted{{"eth0", 51, IPv4, false, time.Time{}}, {"eth0", 52, IPv4, true, time.Time{}}, {"eth0", 51, IPv6, true, time.Time{}}, {"eth1", 51, IPv4, false, time.Time{}}} {
		if b>>n&1 == 1 {
			list = append(list, a)
		}
	}
	return list
}

// end lets the node stop: nothing is left of it.
func (p *play) end() {
	p.Helper()
	p.sent, p.refused, p.slow = nil, nil, false
	for len(p.results) > 0 {
		p.report()
	}
	p.advance(second)
	p.do(&Stop{})
	p.advance(handoverBound(second))
	if !p.e.Stopped() {
		p.Fatalf("not stopped %v after the stop", handoverBound(second))
	}
	for iface := range p.kernel {
		p.wantAddresses(iface)
	}
	if at, ok := p.e.Deadline(); ok {
		p.Fatalf("a deadline at %v after the stop", at)
	}
	if len(p.untold) > 0 {
		p.Fatalf("no hooks ran for the transitions %v", p.untold)
	}
	own := 0
	for _, i := range p.e.instances {
		own += len(i.routers)
	}
	if len(p.e.departing) > 0 || len(p.e.serials) != own || len(p.e.routers) != own {
		p.Fatalf("%d routers are left, %d serials, %d departing, of %d", len(p.e.routers), len(p.e.serials), len(p.e.departing), own)
	}
}

// wantQuiet asserts that a Tick that comes too early or again does nothing, and
// that asking changes nothing.
func (p *play) wantQuiet() {
	p.Helper()
	at, ok := p.e.Deadline()
	p.e.Snapshot(p.now)
	if ok && !at.After(p.now) {
		return // something is due
	}
	if got := p.e.Step(p.now, &Tick{}); len(got) > 0 {
		p.Fatalf("a tick that nobody asked for does %s", render(got[0]))
	}
	if again, is := p.e.Deadline(); is != ok || !again.Equal(at) {
		p.Fatalf("a tick that nobody asked for moves the deadline from %v to %v", at, again)
	}
}

// waits are the times that pass at once in a play.
var waits = []time.Duration{
	0, 1, time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, linger, 100 * time.Millisecond,
	second / 3, second, bound, down150, 5 * second,
}

func (p *play) step() {
	p.Helper()
	switch op := p.byte() % ops; op {
	case opLate: // woken late: one Tick long after the deadline
		p.skip(choose(p, waits...))
		p.do(&Tick{})
	case opClockBack:
		now := p.now
		p.now = now.Add(-choose(p, waits...))
		p.do(&Tick{})
		p.now = now
	case opWait, opWaitMore:
		p.wait(choose(p, waits...))
	case opHear, opHearMore, opHearMuch:
		p.do(p.packet().event(p))
	case opGarbage:
		from, to := choose(p, peer, peer6, netip.Addr{}, self), choose(p, GroupIPv4, GroupIPv6, self, netip.Addr{})
		n := p.byte()
		p.do(&AdvertReceived{Interface: 2, Source: from, Destination: to, TTL: 255, Payload: bytes.Clone(p.data[:min(n, len(p.data))])})
	case opLink:
		p.do(choose(p, eth0(), eth0(), eth0(func(l *Link) { l.Carrier = false }), eth0(func(l *Link) { l.Up = false }),
			&Link{Name: "eth0"}, eth0(func(l *Link) { l.Addresses = prefixes("192.0.2.9/24") }),
			eth0(func(l *Link) { l.Index = 7 }), eth0(func(l *Link) { l.Name, l.Index = "eth1", 3 }), eth0(func(l *Link) { l.Problem = "no socket" })))
		p.disturb()
	case opCheck:
		p.health(choose(p, "nginx", "disk", "other"), p.flag(), "")
	case opLose:
		p.loseAddress()
	case opReload:
		p.configure(choose(p, playConfigs()...)...)
		if p.e.links["eth0"] == nil && p.e.uses("eth0") { // as when it is used again
			p.do(eth0())
		}
		p.disturb()
	case opDrain:
		name := choose(p, "web", "inside", "nobody")
		p.do(choose[Event](p, &Drain{Instance: name}, &Undrain{name}, &Failover{Instance: name},
			&Drain{Instance: name, Try: true}, &Drain{Instance: name, Until: p.now.Add(3 * second)}))
	case opAnnounce:
		p.do(&AnnounceNow{Instance: choose(p, "", "web", "nobody")})
	case opStop:
		if p.byte() == 0 {
			p.do(&Stop{})
		}
	default:
		p.trouble(op)
	}
}

// trouble is what else goes wrong: in the process, in the kernel, on the link.
func (p *play) trouble(op int) {
	p.Helper()
	switch op {
	case opSendFails:
		p.disturb()
		p.do(&SendFailed{Router: p.id(), Reason: "no buffer space"})
	case opPause: // the process or the whole machine stood still; of a suspension the clock knows nothing
		d := choose(p, waits...)
		late := &Late{By: d, Asleep: d}
		if p.flag() {
			p.skip(d)
			late.Asleep = 0
		}
		p.disturb()
		p.do(late)
	case opMute:
		p.mute(max(0, p.byte()%8-4)) // well again in most cases
	case opRefuse:
		p.refused = choose(p, nil, nil, nil, map[netip.Prefix]bool{netip.MustParsePrefix("192.0.2.100/24"): true, netip.MustParsePrefix("fe80::100/64"): true})
		p.disturb()
	case opSlow:
		p.disturb()
		p.slow = p.byte()%4 == 1
		for n := p.byte() % 4; len(p.results) > 0 && (n > 0 || !p.slow); n-- {
			p.report()
		}
	case opStale: // a report about what is long gone, or was never there
		s := AddressState{Address: choose(p, prefixes("192.0.2.100/24", "203.0.113.1/24", "fe80::100/64", "192.0.2.100/32")...)}
		if p.flag() {
			s.Problem = "busy"
		}
		id := p.id()
		if r := p.e.router(id); r != nil && r.holds(s.Address) && s.Problem == "" {
			return // that would be a lie
		}
		p.do(&AddressesChanged{Router: id, Addresses: []AddressState{s}})
	case opFlood:
		p.flood()
	case opTicks:
		for range p.byte() % 16 {
			if at, ok := p.e.Deadline(); ok {
				p.wait(max(0, at.Sub(p.now)))
			}
		}
	}
}

// id is the identity of a router: of one that is there, or that was, or never.
func (p *play) id() RouterID {
	n := p.byte()
	if all := p.routers(); n < 128 && len(all) > 0 {
		return all[n%len(all)].id
	}
	id := RouterID{Instance: choose(p, "web", "inside", "nobody"), Family: choose(p, IPv4, IPv6)}
	if p.flag() {
		id.Serial = uint64(p.byte() % 16)
	}
	return id
}

// mute lets adverts fail: none, all, all but the first of each, or those of
// IPv4.
func (p *play) mute(how int) {
	p.sent = nil
	if how == 0 {
		return
	}
	sent := 0
	p.sent = func(s *SendAdvert) {
		sent++
		if how == 1 || how == 2 && sent%3 != 1 || how == 3 && s.Router.Family == IPv4 {
			p.disturb()
			p.next = append(p.next, &SendFailed{Router: s.Router, Reason: "operation not permitted"})
		}
	}
	p.disturb()
}

// flood lets one advert be heard many times: whoever stays master answers now
// and then.
func (p *play) flood() {
	p.Helper()
	a := p.packet()
	gap := choose(p, 0, time.Millisecond, 3*time.Millisecond)
	const heard = 40
	before := map[*router]Activity{}
	for _, r := range p.routers() {
		before[r] = r.counters
	}
	for range heard {
		p.do(a.event(p))
		p.wait(gap)
	}
	elapsed := heard * gap
	for r, c := range before {
		if r.counters.BecameMaster != c.BecameMaster || r.counters.LeftMaster != c.LeftMaster || r.counters.ReleasesReceived != c.ReleasesReceived {
			continue
		}
		most := 3 + uint64(elapsed/answerGap) + uint64(elapsed/r.inst.cfg.AdvertInterval)
		if sent := (r.counters.AdvertsSent - c.AdvertsSent) / uint64(max(1, len(r.destinations()))); sent > most {
			p.Fatalf("%v sent %d adverts in %v, of which it heard %d", r.id, sent, elapsed, heard)
		}
	}
}

// packet is an advert that is good in most cases.
func (p *play) packet() *packet {
	from := choose(p, peer, low, peer6, peer3, self)
	a := advertFrom(from, choose[uint8](p, 200, 100, 150, 0, 255, 10, 1, 17), ofVRID(choose[uint8](p, 51, 52, 53)),
		interval(choose(p, second, MinInterval, 50*time.Millisecond, 3*second, MaxInterval)))
	if FamilyOf(from) == IPv4 {
		a.Addresses = []netip.Addr{choose(p, addr("192.0.2.100"), addr("192.0.2.101"))}
		if p.flag() && a.Interval%second == 0 {
			a.Version, a.Interval = Version2, second
			authenticated("secret")(a)
		}
		a.pseudo = p.flag()
	}
	a.to = choose(p, a.to, a.to, self, self6)
	a.ttl = choose(p, 255, 255, 64)
	a.on = choose(p, 2, 2, 7)
	return a
}

// loseAddress removes a VIP behind the Engine's back, or reports a refusal.
func (p *play) loseAddress() {
	p.Helper()
	all := p.routers()
	if len(all) == 0 {
		return
	}
	r := all[p.byte()%len(all)]
	if len(r.addresses) == 0 {
		return
	}
	one := r.addresses[p.byte()%len(r.addresses)].Address
	p.disturb()
	if p.flag() {
		p.do(&AddressesChanged{Router: r.id, Addresses: []AddressState{{Address: one, Problem: "refused"}}})
		return
	}
	p.take(claim{r.inst.cfg.Interface, one})
	for !p.slow && len(p.results) > 0 {
		p.report()
	}
}

// take lets the kernel lose an address: whoever has it is told.
func (p *play) take(c claim) {
	lapse := p.lapse(c)
	delete(p.leases, c)
	if !p.kernel[c.iface][c.addr] {
		return
	}
	delete(p.kernel[c.iface], c.addr)
	for _, serial := range slices.Sorted(maps.Keys(p.claims[c])) {
		if r := p.e.serials[serial]; r != nil {
			p.results = append(p.results, &AddressesChanged{Router: r.id, Addresses: []AddressState{{Address: c.addr, Lapse: lapse}}})
		}
	}
	delete(p.claims, c)
}

func (p *play) disturb() { p.disturbed = p.now }

// skip lets time pass without a Tick; leases end meanwhile.
func (p *play) skip(d time.Duration) {
	p.disturb()
	p.now = p.now.Add(d)
	p.disturb()
	for c, ok := p.ending(p.now); ok; c, ok = p.ending(p.now) {
		p.take(c)
	}
}

// ending returns the lease that ends first, if one does until then. Plays must
// not depend on the order of a map.
func (p *play) ending(until time.Time) (first claim, ok bool) {
	for c, at := range p.leases {
		if at.After(until) {
			continue
		}
		by := at.Compare(p.leases[first])
		if by == 0 {
			by = cmp.Or(strings.Compare(c.iface, first.iface), c.addr.Compare(first.addr))
		}
		if !ok || by < 0 {
			first, ok = c, true
		}
	}
	return first, ok
}

// wait lets time pass, with a Tick at each deadline, and ends leases. None of a
// master that speaks ends, when nothing kept it from renewing.
func (p *play) wait(d time.Duration) {
	p.Helper()
	end := p.now.Add(d)
	for {
		first, ok := p.ending(end)
		if !ok {
			p.advance(end.Sub(p.now))
			return
		}
		p.advance(max(0, p.leases[first].Sub(p.now)))
		if again, ok := p.leases[first]; !ok || again.After(p.now) {
			continue // renewed meanwhile
		}
		for _, r := range p.routers() {
			calm := !p.slow && p.now.Sub(p.disturbed) > 2*r.inst.cfg.Lease
			if calm && r.state == StateMaster && !r.listening && r.speaks() && r.inst.cfg.Interface == first.iface && r.holds(first.addr) {
				p.Fatalf("the lease of %v ends while %v is master", first, r.id)
			}
		}
		p.take(first)
		for !p.slow && len(p.results) > 0 {
			p.report()
		}
	}
}
