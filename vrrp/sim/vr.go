package sim

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// vr is a virtual router: one VRID in one family on one segment, with the
// routers of all nodes that take part.
type vr struct {
	w      *world
	seg    *segment
	vrid   uint8
	family vrrp.Family
	index  int
	vips   []*vip

	members  []*router
	configs  []*vrrp.Config // all that anybody may ever run with
	interval time.Duration  // the longest of them
	// bound is how long an election may take; see worstElection.
	bound time.Duration
	// spoke is when each node last sent an advert as master, spokeBefore when its
	// daemon before did.
	spoke, spokeBefore []word

	// quiet is when something last happened that may move the virtual router,
	// strained when it was nothing planned.
	quiet, strained time.Duration
	planned         time.Duration // the evCheck in the queue; 0 for none
	settled         bool
	moved           time.Duration // when anything that is judged changed last
	quietMark       int
	silence         silence
}

// word is an advert of a master: when it left, and the interval in force.
type word struct{ at, interval time.Duration }

// router is the part of a node in a virtual router.
type router struct {
	n        *node
	v        *vr
	plain    *Plain // in place of an Engine
	cfg      *vrrp.Config
	id       vrrp.RouterID
	standing vrrp.Standing
	since    time.Duration // of the state
	altered  time.Duration // when anything of standing changed last
	ready    time.Duration // since when backup or master
	born     time.Duration
	// bornLocal is the same by its own clock, by which it delays its start: while
	// the host is suspended, nothing settles on it.
	bornLocal time.Duration
	// mastered is when it became master last, masteredLocal by its own clock.
	mastered, masteredLocal time.Duration

	heardAt       time.Duration // local time of the last advert; 0 for none
	heardPriority uint8
	// outrankedAt is the local time at which a stronger master was last heard.
	outrankedAt   time.Duration
	outranked     bool
	heardMate     bool // then the node was master of another instance of the group
	heardInterval time.Duration
	received      int // in this second
	sentCount     int
	second        time.Duration
	spoke         time.Duration
	spokeLocal    time.Duration
	spokePriority int
	// said is its last advert or release, of no interval then, and saidBefore that
	// of a turn before.
	said, saidBefore word
	pseudo           bool // the checksum form of its last advert
	// deaf is until when it must listen after a pause, unless it hears something.
	deaf time.Duration
}

func (r *router) String() string {
	return fmt.Sprintf("%s/%d/%v of %s", r.cfg.Name, r.v.vrid, r.v.family, r.n.spec.Name)
}

// learn notes a configuration that somebody may run with.
func (v *vr) learn(_ *node, c *vrrp.Config) {
	v.configs = append(v.configs, c)
	v.interval = max(v.interval, c.AdvertInterval)
}

func (v *vr) addVIP(a *vip) {
	if !slices.Contains(v.vips, a) {
		v.vips = append(v.vips, a)
		a.addRouter(v)
	}
}

// worstElection bounds how long it takes until exactly one is master: three
// intervals and the longest skew, that of a node at priority 1. Clocks may
// differ by a hundredth, and nodes need a moment.
func (v *vr) worstElection() time.Duration {
	skew := v.interval
	for _, c := range v.configs {
		if c.Version == vrrp.Version2 {
			skew = max(skew, time.Second)
		}
	}
	d := 3*v.interval + skew
	return d + d/100 + 5*time.Millisecond
}

// crossing is how long two may be master when one preempts the other: until its
// advert has arrived.
func (v *vr) crossing() time.Duration {
	var slowest time.Duration
	for a := range v.seg.links {
		for b := range v.seg.links[a] {
			q := &v.seg.links[a][b].quality
			slowest = max(slowest, 2*(q.Delay+q.Jitter))
		}
	}
	return 3*time.Millisecond + 2*slowest
}

// lateAfter is how late an advert may be without counting as lost.
const lateAfter = time.Millisecond

// disturb notes that something happened after which an election may be due.
func (v *vr) disturb(strained bool) {
	v.quiet, v.settled = v.w.now, false
	v.quietMark++
	if strained {
		v.strained = v.w.now
	}
	v.plan(v.quiet + v.bound)
}

// disturb is the same for all virtual routers.
func (w *world) disturb(strained bool) {
	if strained {
		w.troubled = w.now
	}
	for _, v := range w.vrs {
		v.disturb(strained)
	}
}

// plan has the virtual router judged.
func (v *vr) plan(at time.Duration) {
	if v.planned == 0 || at < v.planned {
		v.planned = at
		v.w.push(at, evCheck, v.index, nil)
	}
}

// changed has a settled virtual router judged again soon.
func (v *vr) changed() {
	v.moved = v.w.now
	if v.settled {
		v.plan(v.w.now + v.crossing())
	}
}

// check is the planned judgement.
func (v *vr) check() {
	if v.planned != v.w.now {
		return
	}
	v.planned = 0
	if until := v.quiet + v.bound; v.w.now < until {
		v.settled = false
		v.plan(until)
		return
	}
	if until := v.moved + v.crossing(); !v.settled && v.w.now < until {
		v.settled = true
		v.plan(until)
		return
	}
	v.settled = true
	if !v.w.opt.Lenient {
		v.w.totals.Judged++
		v.judge()
	}
}

// reroute makes the list of this node's routers anew, and keeps what is known of
// those that stay.
func (n *node) reroute() {
	old := n.routers
	n.routers = nil
	for i := range n.configs {
		c := &n.configs[i]
		p := n.port(c.Interface)
		if !n.alive() || p == nil {
			continue
		}
		for _, f := range c.Families() {
			v := p.seg.routers[f == vrrp.IPv6][c.VRID]
			at := slices.IndexFunc(old, func(r *router) bool { return r.v == v && r.cfg.Version == c.Version })
			var r *router
			if at >= 0 {
				r = old[at]
				old = slices.Delete(old, at, at+1)
			} else {
				r = &router{n: n, v: v, born: n.w.now, bornLocal: n.local(), spokePriority: -1}
				v.members = append(v.members, r)
			}
			if at >= 0 && r.cfg.AdvertInterval != c.AdvertInterval {
				r.second, r.sentCount, r.received = n.w.now, 0, 0
			}
			r.cfg, r.id = c, vrrp.RouterID{Instance: c.Name, Family: f}
			n.routers = append(n.routers, r)
		}
	}
	for _, r := range old {
		r.v.members = slices.DeleteFunc(r.v.members, func(o *router) bool { return o == r })
		r.v.changed()
	}
}

// poll looks how the routers stand after a turn.
func (n *node) poll() {
	for _, r := range n.routers {
		s, _ := n.engine.Standing(r.id)
		if s != r.standing {
			before := r.standing
			r.standing = s
			r.moved(before)
		}
	}
	n.judgeGroups()
}

func takesPart(s vrrp.State) bool { return s == vrrp.StateBackup || s == vrrp.StateMaster }

// moved follows a change of how a router stands.
func (r *router) moved(before vrrp.Standing) {
	now := r.standing
	r.altered = r.n.w.now
	if before.State != now.State {
		r.since = r.n.w.now
	}
	if takesPart(before.State) != takesPart(now.State) {
		r.ready, r.deaf = r.n.w.now, 0
	}
	if takesPart(before.State) != takesPart(now.State) || before.Priority != now.Priority || before.Mute != now.Mute || before.StandsBack != now.StandsBack {
		r.v.disturb(before.Mute || now.Mute)
	}
	for _, v := range r.v.vips {
		v.overlap()
	}
	r.judgeCause(before)
	if takesPart(before.State) != takesPart(now.State) {
		r.heardAt = 0
	}
	if before.State == vrrp.StateMaster && now.State == vrrp.StateBackup {
		r.judgeYield(before)
	}
	if before.State != now.State && now.State == vrrp.StateMaster {
		r.mastered, r.masteredLocal = r.n.w.now, r.n.local()
		r.v.judgeSilence(r)
	}
	r.v.changed()
}

// heard notes an advert that the Engine is about to be told.
func (n *node) heard(p *port, pk *packet) {
	if len(pk.payload) < 8 {
		return
	}
	for _, r := range n.routers {
		if !takesPart(r.standing.State) || r.v.seg != p.seg || r.v.vrid != pk.payload[1] || (r.v.family == vrrp.IPv6) != pk.src.Is6() {
			continue
		}
		r.heardAt, r.heardPriority, r.heardMate = n.local(), pk.payload[2], r.mateServes()
		r.heardInterval = r.cfg.AdvertInterval
		if r.cfg.Version == vrrp.Version3 {
			r.heardInterval = time.Duration(int(pk.payload[4]&0x0f)<<8|int(pk.payload[5])) * vrrp.IntervalStep
		}
		r.deaf = 0
		r.hears(pk.src, int(pk.payload[2]))
		r.received++
		r.learnForm(pk)
	}
}

// learnForm notes that a master hears a stranger whose checksum is formed
// otherwise than its own was: that stranger may hear its next advert first.
func (r *router) learnForm(pk *packet) {
	from := pk.from.node
	if from.stranger() && r.standing.State == vrrp.StateMaster && r.v.family == vrrp.IPv4 && r.cfg.Version == vrrp.Version3 && strangers[from.spec.Plain]().SendPseudo != r.pseudo {
		r.v.disturb(false)
	}
}

// sent notes an advert that leaves.
func (n *node) sent(p *port, s *vrrp.SendAdvert) {
	for _, r := range n.routers {
		if r.v.seg == p.seg && r.v.vrid == s.Payload[1] && r.v.family == s.Router.Family {
			r.spoken(s)
			return
		}
	}
}

func (r *router) spoken(s *vrrp.SendAdvert) {
	w := r.n.w
	priority := int(s.Payload[2])
	if w.opt.Trace && (priority != r.spokePriority || priority == 0) {
		w.tracef("%s: advert of priority %d", r, priority)
	}
	r.spokePriority = priority
	r.spoke, r.spokeLocal, r.pseudo = w.now, r.n.local(), s.PseudoHeader
	if w.now > r.said.at {
		r.saidBefore = r.said
	}
	r.said = word{at: w.now}
	if priority > 0 {
		r.said.interval = r.cfg.AdvertInterval
		r.v.spoke[r.n.index] = word{w.now, r.cfg.AdvertInterval}
	}
	r.judgeStorm(s.Destination)
	r.judgeListening(priority)
}

// consistent reports whether all nodes that run agree about an address: who has
// it, and in which virtual router.
func (v *vr) consistent(a netip.Prefix) bool {
	for _, r := range v.members {
		if !slices.Contains(r.cfg.Addresses, a) {
			return false
		}
	}
	for _, n := range v.w.nodes {
		for _, r := range n.routers {
			if r.v != v && r.v.seg == v.seg && slices.Contains(r.cfg.Addresses, a) {
				return false
			}
		}
	}
	return true
}

// compatible reports whether the configurations of the members can work
// together at all.
func (v *vr) compatible() bool {
	if v.awkward() {
		return false
	}
	owners := 0
	for _, r := range v.members {
		if r.cfg.Priority == vrrp.PriorityOwner && r.cfg.Version == vrrp.Version2 {
			owners++ // each discards what it hears (RFC 3768 section 7.1)
		}
	}
	if owners > 1 {
		return false
	}
	for _, r := range v.members[min(1, len(v.members)):] {
		a, b := v.members[0].cfg, r.cfg
		switch {
		case a.Version != b.Version, a.Password != b.Password, (len(a.Peers) > 0) != (len(b.Peers) > 0):
			return false
		case a.Version == vrrp.Version2 && a.AdvertInterval != b.AdvertInterval:
			return false
		}
	}
	return true
}

// neighbour is an address on the network of a port that nobody has.
func neighbour(p *port, f vrrp.Family) netip.Addr {
	if f == vrrp.IPv6 {
		return netip.MustParseAddr("fe80::ffff")
	}
	for _, a := range p.own {
		if a.Addr().Is4() {
			b := a.Addr().As4()
			b[3] = 250
			return netip.AddrFrom4(b)
		}
	}
	return netip.Addr{}
}
