package sim

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// Mix is a kind of bad day.
type Mix string

// The mixes. Each has its own share of everything that may go wrong.
const (
	Calm       Mix = "calm"       // planned operations only
	Network    Mix = "network"    // loss, delay, partitions, one-way links
	Crash      Mix = "crash"      // daemons and hosts die and come back
	Freeze     Mix = "freeze"     // pauses of any length
	Clock      Mix = "clock"      // clocks at different rates, hosts suspended
	Kernel     Mix = "kernel"     // addresses lost, interfaces down and gone
	Busy       Mix = "busy"       // a kernel that has everything wait, everything
	Checks     Mix = "checks"     // flapping checks
	Operator   Mix = "operator"   // everything planned, at the wrong moment
	Fast       Mix = "fast"       // 10 to 100 ms adverts, everything
	Dual       Mix = "dual"       // dual stack, many instances, unicast, everything
	Strangers  Mix = "strangers"  // beside other people's routers
	Groups     Mix = "groups"     // two segments, two instances that move together, everything
	Everything Mix = "everything" // all of it
)

// Mixes lists the mixes.
func Mixes() []Mix {
	return []Mix{Calm, Network, Crash, Freeze, Clock, Kernel, Busy, Checks, Operator, Fast, Dual, Strangers, Groups, Everything}
}

// generator makes one history.
type generator struct {
	*rand.Rand
	mix      Mix
	h        *History
	interval time.Duration
	names    []string
	at       time.Duration
}

// Generate makes the history of a mix and a seed.
func Generate(mix Mix, seed uint64) *History {
	salt := uint64(0)
	for _, c := range string(mix) {
		salt = scramble(salt + uint64(c))
	}
	g := &generator{Rand: rand.New(rand.NewPCG(seed, salt)), mix: mix, h: &History{Seed: seed ^ salt}}
	g.h.Comment = fmt.Sprintf("mix %s, seed %d", mix, seed)
	g.setup()
	g.happen()
	return g.h
}

func (g *generator) chance(percent int) bool { return g.IntN(100) < percent }

func pick[T any](g *generator, list ...T) T { return list[g.IntN(len(list))] }

// setup decides who there is.
func (g *generator) setup() {
	count := pick(g, 2, 2, 2, 3, 3, 3, 4, 5)
	if g.chance(3) {
		count = 7
	}
	g.interval = pick[time.Duration](g, 1, 1, 1, 1, 2, 3) * time.Second
	if g.chance(15) {
		g.interval = pick[time.Duration](g, 100, 250, 500, 700, 670, 900, 1200) * time.Millisecond
	}
	if g.mix == Fast {
		g.interval = pick[time.Duration](g, 10, 20, 50, 100) * time.Millisecond
	}
	stranger, kind := -1, pick(g, "keepalived", "keepalived", "oldkeepalived", "keepalived-as-v2", "frr", "holo", "rfc9568", "rfc5798")
	if g.mix == Strangers || g.mix == Everything && g.chance(20) {
		stranger = g.IntN(count)
	}
	base := g.instances()
	if g.mix == Groups {
		base = g.grouped(base[0])
	}
	if stranger >= 0 && base[0].Version == vrrp.Version2 && g.chance(50) {
		kind = "rfc3768"
	}
	for i := range count {
		name := string(rune('a' + i))
		g.names = append(g.names, name)
		n := Node{Name: name, Ports: []Port{g.port("eth0", "lan", i)}}
		n.Configs = [][]vrrp.Config{g.personal(base, i, count)}
		n.Configs = append(n.Configs, g.variant(n.Configs[0]))
		if base[0].Group != "" {
			n.Ports = append(n.Ports, g.port("eth1", "dmz", i))
		}
		if i == stranger {
			n.Plain = kind
		}
		g.h.Nodes = append(g.h.Nodes, n)
	}
}

// port makes an interface of a node.
func (g *generator) port(iface, segment string, node int) Port {
	return Port{Interface: iface, Segment: segment, Addresses: []netip.Prefix{g.own(iface, node, vrrp.IPv4), g.own(iface, node, vrrp.IPv6)}}
}

// own is the address that a node has on an interface.
func (g *generator) own(iface string, node int, f vrrp.Family) netip.Prefix {
	switch {
	case f == vrrp.IPv6:
		return netip.MustParsePrefix(fmt.Sprintf("fe80::%d/64", node+1))
	case iface == "eth1":
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(1 + node)}), 24)
	}
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(1 + node)}), 24)
}

// grouped makes two sides of an instance that move together.
func (g *generator) grouped(c vrrp.Config) []vrrp.Config {
	c.Group = "edge"
	other := c
	other.Name, other.Interface, other.VRID, other.Addresses = "i2", "eth1", pick[uint8](g, 51, 52), nil
	for _, a := range c.Addresses {
		switch {
		case a.Addr().Is4():
			a = netip.MustParsePrefix("198.51.100.100/32")
		case !a.Addr().IsLinkLocalUnicast():
			a = netip.MustParsePrefix("2001:db8:1::100/128")
		}
		other.Addresses = append(other.Addresses, a)
	}
	switch g.IntN(3) { // each check may be on either side
	case 0:
		other.Checks = nil
	case 1:
		c.Checks = nil
	}
	return []vrrp.Config{c, other}
}

// instances makes what all nodes share.
func (g *generator) instances() []vrrp.Config {
	count := 1
	if g.chance(15) {
		count = 2
	}
	if g.mix == Dual {
		count = pick(g, 1, 2, 3, 4)
	}
	// Of a node, all instances have the same checks.
	var checks []vrrp.Check
	if g.chance(60) || g.mix == Checks {
		checks = append(checks, vrrp.Check{Name: "web"})
	}
	if g.chance(15) || g.mix == Checks && g.chance(40) {
		checks = append(checks, vrrp.Check{Name: "db", OnFailure: pick(g, vrrp.Release, vrrp.Weigh)})
		if last := &checks[len(checks)-1]; last.OnFailure == vrrp.Weigh {
			last.Weight = pick(g, -20, -60, 30)
		}
	}
	var list []vrrp.Config
	for i := range count {
		c := vrrp.Config{
			Name: fmt.Sprintf("i%d", i+1), Interface: "eth0", VRID: uint8(51 + i), Version: vrrp.Version3,
			AdvertInterval: g.interval, Preempt: true, Checks: checks,
			Announce: vrrp.Announce{Repeat: 5, Interval: 200 * time.Millisecond, Refresh: time.Minute},
			Lease:    vrrp.AutoLease(g.interval, 0),
		}
		v4, v6 := true, g.chance(20) || g.mix == Dual
		if v6 && g.chance(30) {
			v4 = false
		}
		if v4 {
			c.Addresses = append(c.Addresses, netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(100 + i)}), 32))
		}
		if v6 {
			c.Addresses = append(c.Addresses, netip.MustParsePrefix(fmt.Sprintf("fe80::100:%d/128", i+1)), netip.MustParsePrefix(fmt.Sprintf("2001:db8::100:%d/128", i+1)))
		}
		if !v6 && g.interval%time.Second == 0 && g.chance(20) {
			c.Version = vrrp.Version2
		}
		if g.chance(30) {
			c.Preempt = false
		} else if g.chance(15) {
			c.PreemptDelay = pick[time.Duration](g, 1, 5, 10) * g.interval
		}
		if g.chance(5) {
			c.StartupDelay = pick[time.Duration](g, 1, 4) * g.interval
		}
		if g.chance(5) {
			c.Lease = 0
		}
		list = append(list, c)
	}
	return list
}

// personal makes the configuration of one node.
func (g *generator) personal(base []vrrp.Config, node, count int) []vrrp.Config {
	var list []vrrp.Config
	for i, c := range base {
		c.Priority = uint8(40 + 30*node + (i*37)%25)
		if g.chance(4) {
			c.Priority = 100
		}
		if g.chance(2) {
			c.Priority = pick[uint8](g, vrrp.PriorityOwner, 254, vrrp.DemotedMax+1)
		}
		if i > 0 && c.Group != "" {
			c.Priority = list[0].Priority
		}
		unicast := scramble(g.h.Seed+uint64(i))%4 == 0
		if unicast && c.Version == vrrp.Version3 {
			for p := range count {
				if p == node {
					continue
				}
				for _, f := range c.Families() {
					c.Peers = append(c.Peers, g.own(c.Interface, p, f).Addr())
				}
			}
		}
		list = append(list, c)
	}
	return list
}

// variant makes another configuration for reloads and restarts.
func (g *generator) variant(list []vrrp.Config) []vrrp.Config {
	next := slices.Clone(list)
	c := &next[g.IntN(len(next))]
	switch g.IntN(6) {
	case 0:
		c.Priority = uint8(40 + g.IntN(200))
	case 1:
		c.Addresses = append(slices.Clone(c.Addresses), netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, 200}), 32))
		if vrrp.FamilyOf(c.Addresses[0].Addr()) == vrrp.IPv6 {
			c.Addresses = list[0].Addresses
			*c = list[0]
		}
	case 2:
		c.Preempt = !c.Preempt
		c.PreemptDelay = 0
	case 3:
		if c.Version == vrrp.Version3 {
			c.AdvertInterval *= 2
			c.Lease = vrrp.AutoLease(c.AdvertInterval, 0)
		}
	case 4:
		c.Lease = pick(g, 0, 3*time.Second)
	case 5:
		if len(next) > 1 {
			next = slices.Delete(next, 1, 2)
			c = &next[0]
		}
	}
	for i := range next {
		if next[i].Group != "" { // these are of the whole group
			next[i].Priority, next[i].Preempt, next[i].PreemptDelay = c.Priority, c.Preempt, c.PreemptDelay
		}
	}
	if vrrp.ValidateAll(next) != nil {
		return list
	}
	return next
}

// pause is the time between two steps: often nearly none, mostly about the time
// of an election, at times long enough to settle.
func (g *generator) pause() time.Duration {
	i := int64(g.interval)
	switch g.IntN(10) {
	case 0:
		return time.Duration(g.Int64N(int64(5 * time.Millisecond)))
	case 1, 2:
		return time.Duration(g.Int64N(i))
	case 3, 4, 5:
		return time.Duration(g.Int64N(5 * i))
	}
	return 5*g.interval + time.Duration(g.Int64N(6*i)) + min(3*time.Second, 20*g.interval)
}

// happen decides what happens.
func (g *generator) happen() {
	g.at = g.pause() + 6*g.interval
	count := 1 + g.IntN(8)
	for range count {
		g.one(g.kind())
		g.at += g.pause()
	}
	slices.SortStableFunc(g.h.Steps, func(a, b Step) int { return int(a.At - b.At) })
	last := g.at
	if n := len(g.h.Steps); n > 0 {
		last = max(last, g.h.Steps[n-1].At)
	}
	g.h.End = last + 10*g.interval + 3*time.Second
}

// kinds are what each mix is made of.
var kinds = map[Mix][]string{
	Calm:      {"stop", "drain", "check", "reload", "announce", "inject", "failover"},
	Network:   {"loss", "loss", "delay", "partition", "mute", "cut", "pull", "flicker", "drain", "failover"},
	Crash:     {"crash", "crash", "crash", "power", "restart", "stop"},
	Freeze:    {"freeze", "freeze", "freeze", "blink", "stop", "crash", "drain", "failover"},
	Clock:     {"clock", "clock", "suspend", "suspend", "freeze", "crash", "drain"},
	Kernel:    {"remove", "remove", "refuse", "down", "gone", "pull", "flicker", "sendfail", "crash", "stop", "drain"},
	Busy:      {"busy", "busy", "busy", "busy", "busy", "remove", "crash", "restart", "stop", "drain", "failover", "check", "reload", "freeze", "suspend", "power", "down", "pull", "sendfail", "partition"},
	Checks:    {"check", "check", "check", "crash", "drain", "restart"},
	Strangers: {"drain", "failover", "stop", "crash", "check", "pull", "partition", "freeze", "power"},
	Operator:  {"drain", "stop", "reload", "check", "failover", "stop", "reload", "restart", "announce", "trydrain"},
}

func (g *generator) kind() string {
	list := kinds[g.mix]
	if list == nil {
		list = kinds[pick(g, Calm, Network, Crash, Freeze, Clock, Kernel, Busy, Checks, Operator)]
	}
	return pick(g, list...)
}

// add appends a step some time after the present one.
func (g *generator) add(after time.Duration, s Step) {
	s.At = (g.at + after).Round(time.Microsecond)
	g.h.Steps = append(g.h.Steps, s)
}

// one adds something that happens and mostly its end.
func (g *generator) one(kind string) {
	n := pick(g, g.names...)
	other := pick(g, g.names...)
	d := g.pause()
	both := func(a, b Op, name string) {
		if name == "" && len(g.h.Nodes[0].Ports) > 1 && takesName[a] && g.chance(80) {
			name = pick(g, "eth0", "eth1")
		}
		g.add(0, Step{Op: a, Node: n, Name: name})
		if !g.chance(8) {
			g.add(d, Step{Op: b, Node: n, Name: name})
		}
	}
	configs := g.h.Nodes[0].Configs
	instance := configs[0][g.IntN(len(configs[0]))].Name
	switch kind {
	case "stop":
		g.add(0, Step{Op: OpStop, Node: n})
		if g.chance(90) {
			g.add(d+2*time.Second, Step{Op: OpStart, Node: n, Config: g.config()})
		}
	case "drain":
		both(OpDrain, OpUndrain, instance)
	case "trydrain":
		both(OpTryDrain, OpUndrain, instance)
	case "failover":
		g.add(0, Step{Op: OpFailover, Node: n, Name: instance})
		if g.chance(40) {
			g.add(d, Step{Op: OpUndrain, Node: n, Name: instance})
		}
	case "check":
		checks := configs[0][0].Checks
		if len(checks) == 0 {
			checks = configs[0][len(configs[0])-1].Checks
		}
		if len(checks) > 0 {
			both(OpFail, OpPass, pick(g, checks...).Name)
		}
	case "reload":
		g.add(0, Step{Op: OpReload, Node: n, Config: g.config()})
	case "announce":
		g.add(0, Step{Op: OpAnnounce, Node: n})
	case "inject":
		g.add(0, Step{Op: OpInject, Node: n, Name: pick(g, badPackets...)})
	case "loss":
		q := Quality{Loss: pick(g, 1, 5, 20, 50), Duplicate: pick(g, 0, 10), Reorder: pick(g, 0, 0, 10)}
		g.weather(n, other, q, d)
	case "delay":
		q := Quality{Delay: time.Duration(g.Int64N(int64(g.interval))), Jitter: time.Duration(g.Int64N(int64(g.interval)))}
		g.weather(n, other, q, d)
	case "partition":
		g.add(0, Step{Op: OpPartition, Node: g.some()})
		g.add(d, Step{Op: OpHeal})
	case "mute":
		if n != other {
			g.add(0, Step{Op: OpMute, Node: n, Other: other})
			g.add(d, Step{Op: OpUnmute, Node: n, Other: other})
		}
	case "cut":
		both(OpCut, OpMend, "")
	case "pull":
		both(OpPull, OpPlug, "")
	case "down":
		both(OpDown, OpUp, "")
	case "flicker":
		fail, mend := OpPull, OpPlug
		if g.chance(50) {
			fail, mend = OpDown, OpUp
		}
		at := time.Duration(0)
		for range pick(g, 1, 1, 2, 4) {
			g.add(at, Step{Op: fail, Node: n})
			at += time.Duration(g.Int64N(int64(2 * g.interval)))
			g.add(at, Step{Op: mend, Node: n})
			at += time.Duration(g.Int64N(int64(2 * g.interval)))
		}
	case "gone":
		both(OpGone, OpBack, "")
	case "crash":
		g.add(0, Step{Op: OpCrash, Node: n})
		if g.chance(90) {
			g.add(d, Step{Op: OpStart, Node: n, Config: g.config(), NoJournal: g.chance(15)})
		}
	case "restart":
		g.add(0, Step{Op: OpCrash, Node: n})
		g.add(time.Duration(g.Int64N(int64(g.interval)))+20*time.Millisecond, Step{Op: OpStart, Node: n, Config: g.config()})
	case "power":
		both(OpPowerOff, OpBoot, "")
	case "freeze":
		both(OpFreeze, OpResume, "")
	case "blink":
		g.add(0, Step{Op: OpFreeze, Node: n})
		g.add(time.Duration(g.Int64N(int64(4*g.interval))), Step{Op: OpResume, Node: n})
	case "suspend":
		both(OpSuspend, OpWake, "")
	case "clock":
		g.add(0, Step{Op: OpClock, Node: n, PPM: pick(g, 50, -50, 500, -500, 5000, -5000)})
	case "remove":
		c := configs[0][g.IntN(len(configs[0]))]
		a := pick(g, c.Addresses...).Addr()
		for k := range pick(g, 1, 1, 1, 2, 6) {
			g.add(time.Duration(k)*300*time.Millisecond, Step{Op: OpRemove, Node: n, Address: a})
		}
	case "refuse":
		both(OpRefuse, OpAccept, "")
	case "busy":
		both(OpBusy, OpAnswer, "")
	case "sendfail":
		both(OpSendFail, OpSendOK, "")
	}
}

func (g *generator) config() int {
	if g.chance(70) {
		return 0
	}
	return 1
}

func (g *generator) some() string {
	names := slices.Clone(g.names)
	g.Shuffle(len(names), func(a, b int) { names[a], names[b] = names[b], names[a] })
	names = names[:1+g.IntN(len(names)-1)]
	if g.chance(50) {
		names = append(names, client)
	}
	slices.Sort(names)
	return strings.Join(names, ",")
}

// weather makes one link bad, or all, for a while.
func (g *generator) weather(a, b string, q Quality, d time.Duration) {
	if a == b || g.chance(30) {
		a, b = "*", "*"
	}
	g.add(0, Step{Op: OpLink, Node: a, Other: b, Quality: q})
	g.add(d+2*g.interval, Step{Op: OpLink, Node: a, Other: b})
}
