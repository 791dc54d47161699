package vrrp

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// play reads a sequence of events from bytes and feeds them to an Engine, which
// every step is checked on. Any bytes are a legal sequence.
type play struct {
	*engineTest
	data []byte
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

// playConfigs are the sets of instances between which a play reloads.
func playConfigs() [][]Config {
	weight := Check{Name: "disk", OnFailure: Weigh, Weight: -100}
	return [][]Config{
		{web(nginx)},
		{web(nginx), inside(every(MinInterval))},
		{inside(prio(255)), dual(noPreempt, nginx)},
		{web(v2, password("secret"))},
		{web(named("outside", 51, "192.0.2.102/24")), inside(checks(Check{Name: "nginx", OnFailure: Release}, weight))},
		{dual(unicast(peer, peer6), every(50*time.Millisecond))},
		{web(named("web", 52, "192.0.2.100/24")), inside(named("inside", 51, "192.0.2.101/24", "192.0.2.102/24"), v2)},
		{web(func(c *Config) {
			c.PreemptDelay, c.StartupDelay = 3*second, second
			c.Announce = Announce{Repeat: 3, Interval: 50 * time.Millisecond, Refresh: 2 * second}
		})},
		{web(func(c *Config) { c.Interface = "eth1" }), inside(prio(32))},
		nil,
	}
}

// runPlay plays data and returns what it did.
func runPlay(t rapid.TB, data []byte) *engineTest {
	t.Helper()
	p := &play{newBare(t), data}
	for len(p.data) > 0 {
		p.step()
		p.wantQuiet()
	}
	p.advance(second)
	p.do(&Stop{})
	p.advance(bound)
	if !p.e.Stopped() {
		p.Fatalf("not stopped %v after the stop", bound)
	}
	for iface := range p.kernel {
		p.wantAddresses(iface)
	}
	if at, ok := p.e.Deadline(); ok {
		p.Fatalf("a deadline at %v after the stop", at)
	}
	return p.engineTest
}

// wantQuiet asserts that a Tick that comes too early or again does nothing.
func (p *play) wantQuiet() {
	p.Helper()
	at, ok := p.e.Deadline()
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
	switch op := p.byte() % 16; op {
	case 0: // woken late: one Tick long after the deadline
		p.now = p.now.Add(choose(p, waits...))
		p.do(&Tick{})
	case 1: // a clock that runs backwards
		now := p.now
		p.now = now.Add(-choose(p, waits...))
		p.do(&Tick{})
		p.now = now
	case 2, 3:
		p.advance(choose(p, waits...))
	case 4, 5, 6:
		p.hear()
	case 7:
		from, to := choose(p, peer, peer6, netip.Addr{}, self), choose(p, GroupIPv4, GroupIPv6, self, netip.Addr{})
		n := p.byte()
		p.do(&AdvertReceived{Interface: 2, Source: from, Destination: to, TTL: 255, Payload: bytes.Clone(p.data[:min(n, len(p.data))])})
	case 8:
		p.do(choose(p, eth0(), eth0(), eth0(func(l *Link) { l.Carrier = false }), eth0(func(l *Link) { l.Up = false }),
			&Link{Name: "eth0"}, eth0(func(l *Link) { l.Addresses = prefixes("192.0.2.9/24") }),
			eth0(func(l *Link) { l.Index = 7 }), eth0(func(l *Link) { l.Name = "eth1" })))
	case 9:
		p.health(choose(p, "nginx", "disk", "other"), p.flag(), "")
	case 10:
		p.loseAddress()
	case 11:
		p.configure(choose(p, playConfigs()...)...)
	case 12:
		name := choose(p, "web", "inside", "nobody")
		p.do(choose[Event](p, &Drain{name}, &Undrain{name}))
	case 13:
		p.do(&AnnounceNow{Instance: choose(p, "", "web", "nobody")})
	case 14:
		p.do(&SendFailed{Router: RouterID{Instance: choose(p, "web", "nobody"), Family: IPv4}, Reason: "no buffer space"})
	case 15:
		if p.byte() == 0 {
			p.do(&Stop{})
		}
	}
}

// hear feeds a packet that is good in most cases.
func (p *play) hear() {
	p.Helper()
	from := choose(p, peer, low, peer6, peer3, self)
	a := advertFrom(from, choose[uint8](p, 200, 100, 150, 0, 255, 10, 1, 17), ofVRID(choose[uint8](p, 51, 52, 53)),
		interval(choose(p, second, MinInterval, 50*time.Millisecond, 3*second, MaxInterval)))
	if FamilyOf(from) == IPv4 {
		a.Addresses = []netip.Addr{choose(p, addr("192.0.2.100"), addr("192.0.2.101"))}
		if p.flag() && a.Interval%second == 0 {
			a.Version, a.Interval = Version2, second
			authenticated("secret")(a)
		}
	}
	a.to = choose(p, a.to, a.to, self, self6)
	a.ttl = choose(p, 255, 255, 64)
	a.on = choose(p, 2, 2, 7)
	p.do(a.event(p))
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
	if p.flag() {
		p.do(&AddressesChanged{Router: r.id, Addresses: []AddressState{{Address: one, Problem: "refused"}}})
		return
	}
	// What a reload moved belongs to the instance that has it now.
	moved := slices.ContainsFunc(all, func(o *router) bool { return o != r && r.inst.removed && o.holds(one) })
	if p.kernel[r.inst.cfg.Interface][one] && r.holds(one) && !moved {
		p.do(p.setKernel(r.id, r.inst.cfg.Interface, []netip.Prefix{one}, false))
	}
}

// Whatever happens, what check asserts holds.
func TestStepRandomly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		first := []byte{8, 0, 11, rapid.Byte().Draw(t, "config"), 9, 0, 1, 9, 1, 1, 2, 10}
		runPlay(t, append(first, rapid.SliceOfN(rapid.Byte(), 0, 400).Draw(t, "events")...))
	})
	for seed := range uint64(60) { // long ones
		runPlay(t, randomBytes(seed, 2000))
	}
}

// randomBytes returns bytes that a running node makes something of.
func randomBytes(seed uint64, n int) []byte {
	rnd := rand.New(rand.NewPCG(seed, 1))
	data := []byte{8, 0, 11, byte(seed), 9, 0, 1, 9, 1, 1, 2, 10}
	for range n {
		data = append(data, byte(rnd.Uint32()))
	}
	return data
}

// A caller whose clock ran backwards for a moment moves no timer.
func TestClockRunsBackwards(t *testing.T) {
	te := newTest(t, web())
	te.advance(second)
	te.do(&Tick{}) // the Engine knows the time
	now := te.now
	te.now = now.Add(-time.Hour)
	te.advert(peer, 200)
	te.do(&Tick{})
	te.now = now
	te.wantNone()
	te.wantDue(down150)
}

// A backup that is woken late, and fed first what has been waiting, stays one.
func TestLateWakeUpListensFirst(t *testing.T) {
	te := newTest(t, web())
	te.advert(peer, 200)
	te.now = te.now.Add(time.Hour) // frozen
	te.advert(peer, 200)           // from the socket's queue
	te.do(&Tick{})
	te.wantNone()
	te.wantState("web", StateBackup)

	te = newMaster(t, web()) // and a master yields before it sends
	te.now = te.now.Add(time.Hour)
	te.do(&Late{By: time.Hour})
	te.advert(peer, 200)
	te.do(&Tick{})
	te.wantOnly("advert")
	te.wantState("web", StateBackup)
}

// The random plays reach all that there is to do.
func TestPlayReachesEverything(t *testing.T) {
	kinds := map[string]bool{}
	for seed := range uint64(40) {
		te := runPlay(t, randomBytes(seed, 1500))
		for _, l := range te.lines {
			for _, k := range []string{
				" -> master", " -> backup", " -> fault", " -> init", "prio=0", "10ms", " add ", " remove ", " announce ",
				NoticeHandoverFailed.String(), NoticeRival.String(), NoticeAddressRepaired.String(), NoticeAddressFailed.String(),
				NoticeDropped.String(), NoticeOwnPacket.String(), NoticeTwoOwners.String(), NoticeSendFailed.String(), NoticeInterval.String(),
				"released", "beats", "removed from the configuration",
			} {
				if strings.Contains(l, k) {
					kinds[k] = true
				}
			}
		}
	}
	if len(kinds) != 21 {
		t.Errorf("only %d of 21 kinds of action were reached: %v", len(kinds), slices.Sorted(maps.Keys(kinds)))
	}
}

// FuzzEngine plays what the fuzzer finds.
func FuzzEngine(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(randomBytes(seed, 200))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 600 { // longer ones find no more, and take long
			return
		}
		runPlay(t, data)
	})
}
