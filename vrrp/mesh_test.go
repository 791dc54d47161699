package vrrp

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// mesh is a link with several nodes. Adverts arrive at once.
type mesh struct {
	rapid.TB
	now   time.Time
	nodes []*meshNode
	queue []meshPacket
	// cut, when set, loses packets.
	cut func(from, to *meshNode, f Family) bool
	// unserved is how long no node had the VIP since the last reset, doubly
	// how long more than one had it.
	unserved, doubly time.Duration
}

type meshNode struct {
	*engineTest
	n    int
	dead bool
	cfg  Config
}

type meshPacket struct {
	from *meshNode
	ev   *AdvertReceived
}

var meshVIP = netip.MustParsePrefix("192.0.2.100/24")

// newMesh starts one node for each configuration, numbered from 0; a higher
// number has a higher address.
func newMesh(t rapid.TB, configs ...Config) *mesh {
	t.Helper()
	m := &mesh{TB: t, now: newBare(t).now}
	for n, c := range configs {
		m.nodes = append(m.nodes, &meshNode{n: n, cfg: c, dead: true})
		m.start(n)
	}
	return m
}

// start boots a node, which knows nothing of what it did before.
func (m *mesh) start(n int) {
	m.Helper()
	node := m.nodes[n]
	node.engineTest, node.dead = newBare(m), false
	node.now = m.now
	node.sent = func(s *SendAdvert) {
		m.queue = append(m.queue, meshPacket{node, &AdvertReceived{
			Interface: 2, Source: s.Source, Destination: s.Destination, TTL: TTL, Payload: bytes.Clone(s.Payload),
		}})
	}
	for _, k := range node.cfg.Checks {
		node.health(k.Name, true, "")
	}
	node.do(eth0(func(l *Link) {
		l.Addresses = prefixes(fmt.Sprintf("192.0.2.%d/24", 10+n), fmt.Sprintf("fe80::%d/64", 10+n))
	}))
	node.configure(node.cfg)
	m.deliver()
}

// kill makes a node vanish without a word, its addresses with it.
func (m *mesh) kill(n int) { m.nodes[n].dead = true }

// event lets something happen on one node.
func (m *mesh) event(n int, ev Event) {
	m.Helper()
	m.nodes[n].do(ev)
	m.deliver()
}

func (m *mesh) deliver() {
	m.Helper()
	for len(m.queue) > 0 {
		p := m.queue[0]
		m.queue = m.queue[1:]
		for _, to := range m.nodes {
			if to == p.from || to.dead || p.from.dead || m.cut != nil && m.cut(p.from, to, FamilyOf(p.ev.Source)) {
				continue
			}
			to.do(p.ev)
		}
	}
}

// advance lets time pass for all nodes.
func (m *mesh) advance(d time.Duration) {
	m.Helper()
	end := m.now.Add(d)
	for {
		next := end
		for _, n := range m.nodes {
			if at, ok := n.e.Deadline(); ok && !n.dead && at.Before(next) {
				next = at
			}
		}
		m.pass(next)
		ticked := false
		for _, n := range m.nodes {
			if at, ok := n.e.Deadline(); ok && !n.dead && !at.After(m.now) {
				n.do(&Tick{})
				m.deliver()
				ticked = true
			}
		}
		if !ticked && !m.now.Before(end) {
			return
		}
	}
}

// pass moves the clocks and accounts for who served.
func (m *mesh) pass(to time.Time) {
	holders := 0
	for _, n := range m.nodes {
		if !n.dead && n.kernel["eth0"][meshVIP] {
			holders++
		}
	}
	switch {
	case holders == 0:
		m.unserved += to.Sub(m.now)
	case holders > 1:
		m.doubly += to.Sub(m.now)
	}
	m.now = to
	for _, n := range m.nodes {
		n.now = to
	}
}

// reset forgets who served so far.
func (m *mesh) reset() { m.unserved, m.doubly = 0, 0 }

// masters are the living nodes that are master in a family.
func (m *mesh) masters(f Family) []int {
	var out []int
	for _, n := range m.nodes {
		for _, r := range n.routers() {
			if !n.dead && r.id.Family == f && r.state == StateMaster {
				out = append(out, n.n)
			}
		}
	}
	return out
}

func (m *mesh) wantMaster(want ...int) {
	m.Helper()
	if got := m.masters(IPv4); !slices.Equal(got, want) {
		m.Fatalf("masters are nodes %v, want %v", got, want)
	}
}

// wantLossless asserts that the VIP was served all the time since reset.
func (m *mesh) wantLossless() {
	m.Helper()
	if m.unserved != 0 {
		m.Errorf("nobody served for %v", m.unserved)
	}
}

// speeds are the advert intervals at which everything must hold.
var speeds = []time.Duration{second, 100 * time.Millisecond, 10 * time.Millisecond}

func eachSpeed(t *testing.T, f func(t *testing.T, v time.Duration)) {
	for _, v := range speeds {
		t.Run(v.String(), func(t *testing.T) { f(t, v) })
	}
}

// settled is long enough for everything at an interval, with the waits that do
// not scale.
func settled(v time.Duration) time.Duration { return 10*v + 2*second }

func TestMeshElectsTheHighestPriority(t *testing.T) {
	eachSpeed(t, func(t *testing.T, v time.Duration) {
		m := newMesh(t, web(every(v), prio(100)), web(every(v), prio(200)), web(every(v), prio(150)))
		m.advance(downInterval(Version3, 200, v) - 1)
		m.wantMaster()
		m.advance(1)
		m.wantMaster(1)
		m.advance(settled(v))
		m.wantMaster(1)
		if m.doubly != 0 {
			t.Errorf("two nodes served for %v", m.doubly)
		}
	})
}

// Promise: somebody serves within three intervals and a skew of a death.
func TestMeshDeathOfTheMaster(t *testing.T) {
	eachSpeed(t, func(t *testing.T, v time.Duration) {
		m := newMesh(t, web(every(v), prio(100)), web(every(v), prio(200)), web(every(v), prio(150)))
		m.advance(downInterval(Version3, 200, v)) // an advert leaves at this moment
		m.reset()
		m.kill(1)
		m.advance(downInterval(Version3, 150, v) - 1)
		m.wantMaster()
		m.advance(1)
		m.wantMaster(2)
		if want := downInterval(Version3, 150, v); m.unserved != want {
			t.Errorf("nobody served for %v, want %v", m.unserved, want)
		}
		m.advance(settled(v))
		m.wantMaster(2)
	})
}

func TestMeshReturnOfTheStronger(t *testing.T) {
	for _, preempt := range []bool{true, false} {
		t.Run(fmt.Sprintf("preempt %v", preempt), func(t *testing.T) {
			eachSpeed(t, func(t *testing.T, v time.Duration) {
				with := func(c *Config) { c.Preempt = preempt }
				m := newMesh(t, web(every(v), prio(100), with), web(every(v), prio(200), with))
				m.kill(1)
				m.advance(settled(v))
				m.wantMaster(0)
				m.reset()
				m.start(1)
				m.advance(settled(v))
				want := 0
				if preempt {
					want = 1
				}
				m.wantMaster(want)
				m.wantLossless()
			})
		})
	}
}

// Equal priorities become master at the same moment; the higher address stays.
func TestMeshEqualPriorities(t *testing.T) {
	eachSpeed(t, func(t *testing.T, v time.Duration) {
		m := newMesh(t, web(every(v)), web(every(v)), web(every(v)))
		m.advance(downInterval(Version3, 150, v))
		if got := m.masters(IPv4); len(got) != 1 {
			t.Errorf("masters %v after the first adverts, want one", got)
		}
		m.advance(settled(v))
		if got := m.masters(IPv4); len(got) != 1 {
			t.Errorf("masters %v, want one", got)
		}
	})
	// Two that met as masters: a partition that ends.
	m := newMesh(t, web(), web())
	m.cut = func(_, _ *meshNode, _ Family) bool { return true }
	m.advance(10 * second)
	m.wantMaster(0, 1)
	m.cut = nil
	m.advance(second)
	m.wantMaster(1)
}

func TestMeshTwoOwners(t *testing.T) {
	eachSpeed(t, func(t *testing.T, v time.Duration) {
		m := newMesh(t, web(every(v), prio(255)), web(every(v), prio(255)))
		m.advance(v)
		m.wantMaster(1)
		m.advance(settled(v))
		m.wantMaster(1)
		m.kill(1)
		m.advance(settled(v))
		m.wantMaster(0)
	})
}

// One family that is cut off elects on its own, and comes together again.
func TestMeshOneFamilyCut(t *testing.T) {
	m := newMesh(t, dual(prio(100)), dual(prio(200)))
	m.advance(10 * second)
	m.cut = func(_, _ *meshNode, f Family) bool { return f == IPv6 }
	m.advance(10 * second)
	m.wantMaster(1)
	if got := m.masters(IPv6); !slices.Equal(got, []int{0, 1}) {
		t.Errorf("IPv6 masters %v while cut, want both", got)
	}
	m.cut = nil
	m.advance(second)
	m.wantMaster(1)
	if got := m.masters(IPv6); !slices.Equal(got, []int{1}) {
		t.Errorf("IPv6 masters %v after healing, want [1]", got)
	}
}

// After a partition one master remains, within one interval.
func TestMeshPartitionHeals(t *testing.T) {
	eachSpeed(t, func(t *testing.T, v time.Duration) {
		m := newMesh(t, web(every(v), prio(100)), web(every(v), prio(200)), web(every(v), prio(150)))
		m.advance(settled(v))
		m.cut = func(a, b *meshNode, _ Family) bool { return (a.n == 1) != (b.n == 1) }
		m.advance(settled(v))
		m.wantMaster(1, 2)
		m.cut = nil
		m.reset()
		m.advance(v)
		m.wantMaster(1)
		m.advance(settled(v))
		m.wantMaster(1)
		m.wantLossless()
	})
}

// Promise: a stop loses nothing, in a chain of any number, at any speed; a node
// that comes back loses nothing either.
func TestMeshStopIsLossless(t *testing.T) {
	for _, version := range []Version{Version2, Version3} {
		for _, v := range speeds {
			if version == Version2 && v != second {
				continue
			}
			t.Run(fmt.Sprintf("version %d, %v", version, v), func(t *testing.T) {
				node := func(p uint8) Config {
					return web(every(v), prio(p), func(c *Config) { c.Version = version })
				}
				m := newMesh(t, node(100), node(200), node(150))
				m.advance(settled(v))
				m.reset()
				for _, n := range []int{1, 2} {
					m.event(n, &Stop{})
					wait := 10 * time.Millisecond
					if version == Version2 {
						wait = second
					}
					m.advance(wait)
					m.wantMaster(map[int]int{1: 2, 2: 0}[n])
					m.advance(bound)
					if !m.nodes[n].e.Stopped() {
						t.Errorf("node %d is not stopped", n)
					}
					m.kill(n)
				}
				m.start(1)
				m.advance(settled(v))
				m.wantMaster(1)
				m.wantLossless()
			})
		}
	}
}

// Promise: healthy beats unhealthy, whatever priorities and preempt settings,
// without loss while the services still answer; when all fail, one serves.
func TestMeshDemotion(t *testing.T) {
	for _, preempt := range []bool{true, false} {
		t.Run(fmt.Sprintf("preempt %v", preempt), func(t *testing.T) {
			eachSpeed(t, func(t *testing.T, v time.Duration) {
				node := func(p uint8) Config {
					return web(every(v), prio(p), nginx, func(c *Config) { c.Preempt = preempt })
				}
				m := newMesh(t, node(100), node(200), node(150))
				m.advance(settled(v))
				m.wantMaster(1)
				m.reset()
				fail := func(n int, healthy bool) {
					m.Helper()
					m.event(n, &CheckChanged{Check: "nginx", Healthy: healthy})
					m.advance(settled(v))
				}
				fail(1, false)
				m.wantMaster(2)
				fail(2, false)
				m.wantMaster(0)
				fail(0, false) // all fail: somebody serves
				if got := m.masters(IPv4); len(got) != 1 {
					t.Errorf("masters %v while all are demoted, want one", got)
				}
				fail(0, true)
				m.wantMaster(0)
				fail(0, false)
				fail(1, true)
				m.wantMaster(1)
				m.wantLossless()
			})
		})
	}
}

// Draining moves the VIP, and undraining moves it back when asked to preempt.
func TestMeshDrain(t *testing.T) {
	eachSpeed(t, func(t *testing.T, v time.Duration) {
		m := newMesh(t, web(every(v), prio(100)), web(every(v), prio(200)))
		m.advance(settled(v))
		m.reset()
		m.event(1, &Drain{Instance: "web"})
		m.advance(10 * time.Millisecond)
		m.wantMaster(0)
		m.advance(settled(v))
		m.wantMaster(0)
		m.event(0, &Drain{Instance: "web"}) // nobody is left: it goes on
		m.advance(settled(v))
		if got := m.masters(IPv4); len(got) != 1 {
			t.Errorf("masters %v, want one", got)
		}
		m.event(0, &Undrain{Instance: "web"})
		m.advance(settled(v))
		m.wantMaster(0)
		m.event(1, &Undrain{Instance: "web"})
		m.advance(settled(v))
		m.wantMaster(1)
		m.wantLossless()
	})
}

// A lost release costs no more than a death would; a stop stays bounded.
func TestMeshStopIsUnheard(t *testing.T) {
	m := newMesh(t, web(prio(100)), web(prio(200)))
	m.advance(10 * second)
	m.cut = func(_, _ *meshNode, _ Family) bool { return true }
	m.event(1, &Stop{})
	m.cut = nil
	m.advance(bound)
	if !m.nodes[1].e.Stopped() {
		t.Error("not stopped")
	}
	m.advance(downInterval(Version3, 100, second) - bound)
	m.wantMaster(0)
}

// One way only: B hears A, A does not hear B. A keeps it, B yields each time.
func TestMeshOneWay(t *testing.T) {
	m := newMesh(t, web(prio(100)), web(prio(200)))
	m.cut = func(from, _ *meshNode, _ Family) bool { return from.n == 0 }
	m.advance(30 * second)
	m.wantMaster(1)
	m.cut = func(from, _ *meshNode, _ Family) bool { return from.n == 1 }
	m.reset()
	m.advance(30 * second) // the weaker hears nobody: both are master, both serve
	m.wantMaster(0, 1)
	m.wantLossless()
	m.cut = nil
	m.advance(second)
	m.wantMaster(1)
}
