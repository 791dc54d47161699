package vrrp

import (
	"crypto/subtle"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// accept makes the checks of RFC 9568 section 7.1 (version 2: RFC 3768 section
// 7.1) and those that unicast needs. It decodes the packet into p.
func (r *router) accept(ev *AdvertReceived, p *Packet) DropReason {
	cfg := &r.inst.cfg
	if ev.TTL != TTL && !r.anyTTL(ev.Source) {
		return DropTTL
	}
	if Version(ev.Payload[0]>>4) != cfg.Version {
		return DropVersion
	}
	if reason, ok := p.Parse(ev.Payload, ev.Source, ev.Destination); !ok {
		return reason
	}
	switch {
	case ev.Source == r.source:
		return DropOwn
	case len(cfg.Peers) == 0 && !ev.Destination.IsMulticast():
		return DropDestination
	case len(cfg.Peers) > 0 && ev.Destination != r.source:
		return DropDestination
	case len(cfg.Peers) > 0 && !slices.Contains(cfg.Peers, ev.Source):
		return DropPeer
	}
	if cfg.Version == Version2 {
		return r.acceptV2(p)
	}
	return dropNone
}

func (r *router) acceptV2(p *Packet) DropReason {
	cfg := &r.inst.cfg
	kind, auth := cfg.auth()
	switch {
	case p.AuthType != kind:
		return DropAuthType
	case kind != AuthNone && subtle.ConstantTimeCompare(p.Auth[:], auth[:]) != 1:
		return DropAuthData
	case p.Interval != cfg.AdvertInterval:
		return DropInterval
	case r.owner() && r.state == StateMaster: // one that is leaving hears its successor
		return DropOwner
	}
	return dropNone
}

// auth returns the version 2 authentication: type 1 carries the password padded
// with zeros (RFC 2338 section 5.3.6).
func (c *Config) auth() (kind uint8, data [authLen]byte) {
	if c.Password == "" {
		return AuthNone, data
	}
	copy(data[:], c.Password)
	return AuthSimple, data
}

// anyTTL reports whether adverts of a need not have TTL 255: a unicast peer's
// that is behind a router, which lowers it on the way, and any IPv6 unicast
// peer's, because keepalived sends those with the hop limit of its host, 64.
// Whoever else is on the link must send 255.
func (r *router) anyTTL(a netip.Addr) bool {
	if !slices.Contains(r.inst.cfg.Peers, a) {
		return false
	}
	return a.Is6() || !slices.ContainsFunc(r.onLink, func(p netip.Prefix) bool { return p.Masked().Contains(a) })
}

// dropped counts a refused packet and tells people once a while.
func (r *router) dropped(why DropReason, ev *AdvertReceived, p *Packet) {
	r.counters.Dropped[why]++
	if !r.dropTold[why].IsZero() && r.now().Sub(r.dropTold[why]) < noticeGap {
		return
	}
	r.dropTold[why] = r.now()
	kind := NoticeDropped
	if why == DropOwn {
		kind = NoticeOwnPacket
	}
	r.do(r.newNotice(kind, ev.Source, r.explainDrop(why, ev, p)))
}

// explainDrop says what was wrong with the packet and what to look at.
func (r *router) explainDrop(why DropReason, ev *AdvertReceived, p *Packet) string {
	cfg := &r.inst.cfg
	switch why {
	case DropTTL:
		return fmt.Sprintf("ttl %d instead of 255: it did not come from this link", ev.TTL)
	case DropVersion:
		return fmt.Sprintf("version %d, this instance uses version %d", ev.Payload[0]>>4, cfg.Version)
	case DropType:
		return fmt.Sprintf("type %d is not an advertisement", ev.Payload[0]&0x0f)
	case DropCount:
		return "it carries no address"
	case DropLength:
		return fmt.Sprintf("%d bytes do not fit its %d addresses", len(ev.Payload), ev.Payload[3])
	case DropChecksum:
		return "wrong checksum"
	case DropIntervalZero:
		return "advert interval 0"
	case DropFirstAddress:
		return fmt.Sprintf("first address %v is not link-local: put the link-local address first on the sender", p.Addresses[0])
	case DropDestination:
		if len(cfg.Peers) > 0 {
			return fmt.Sprintf("sent to %v, this instance speaks unicast with its peers", ev.Destination)
		}
		return fmt.Sprintf("sent to %v, this instance speaks multicast", ev.Destination)
	case DropOwn:
		return "the network sends own packets back, or another host uses this address"
	case DropPeer:
		return "the sender is not in peers"
	case DropAuthType:
		return fmt.Sprintf("authentication type %d, this instance uses %s", p.AuthType, authName(cfg))
	case DropAuthData:
		return "wrong password"
	case DropInterval:
		return fmt.Sprintf("it advertises every %v, this instance every %v: version 2 needs the same on all routers", p.Interval, cfg.AdvertInterval)
	case DropOwner:
		return fmt.Sprintf("this node is the address owner, yet another master of priority %d is heard", p.Priority)
	}
	return why.String()
}

func authName(cfg *Config) string {
	if cfg.Password == "" {
		return "no authentication"
	}
	return "type 1 (pass)"
}

// hear acts on a good advert.
func (r *router) hear(from netip.Addr, p *Packet) {
	r.counters.AdvertsReceived++
	r.form = p.form
	if p.Priority == PriorityRelease {
		r.counters.ReleasesReceived++
	} else {
		r.compare(from, p)
		if !r.crossed(from, p.Priority) {
			r.successor()
		}
	}
	switch r.state {
	case StateBackup:
		r.hearAsBackup(from, p)
	case StateMaster:
		r.hearAsMaster(from, p)
	}
}

// remember keeps who was heard last, for the operator.
func (r *router) remember(from netip.Addr, p *Packet) {
	r.peer, r.peerPriority, r.peerHeard = from, p.Priority, r.now()
	r.peerInterval = p.Interval
}

// compare makes the soft checks, which are told and never drop
// (RFC 9568 section 7.1).
func (r *router) compare(from netip.Addr, p *Packet) {
	cfg := &r.inst.cfg
	if p.Interval == cfg.AdvertInterval {
		r.oddInterval = 0
	} else if r.oddInterval++; r.oddInterval >= 2 { // one is a quick release
		r.notice(NoticeInterval, from, fmt.Sprintf("it advertises every %v, this node would every %v", p.Interval, cfg.AdvertInterval))
	}
	if !slices.Equal(p.Addresses, r.advertised) {
		r.noticeAddresses(from, p.Addresses)
	}
	if p.Priority == r.inst.effective && p.Priority == PriorityOwner {
		r.notice(NoticeTwoOwners, from, "only one router on a link can own the addresses: the one with the higher address stays master")
	} else if p.Priority == r.inst.effective && p.Priority > DemotedMax { // demoted ones share few numbers
		r.notice(NoticeEqualPriority, from, fmt.Sprintf("both have %d: the one with the higher address wins; give them different priorities", p.Priority))
	}
}

// noticeAddresses tells in which addresses two nodes differ.
func (r *router) noticeAddresses(from netip.Addr, theirs []netip.Addr) {
	if r.told(NoticeAddressList) {
		return
	}
	missing := func(a, b []netip.Addr) (out []netip.Addr) {
		for _, x := range a {
			if !slices.Contains(b, x) {
				out = append(out, x)
			}
		}
		return out
	}
	only, extra := missing(r.advertised, theirs), missing(theirs, r.advertised)
	if len(only) == 0 && len(extra) == 0 {
		return // another order
	}
	r.notice(NoticeAddressList, from, fmt.Sprintf("only here: %s; only there: %s", list(only), list(extra)))
}

func list(addrs []netip.Addr) string {
	switch {
	case len(addrs) == 0:
		return "none"
	case len(addrs) > 5:
		return fmt.Sprintf("%v and %d more", addrs[:5], len(addrs)-5)
	}
	return fmt.Sprint(addrs)
}

// hearAsBackup is RFC 9568 section 6.4.2.
func (r *router) hearAsBackup(from netip.Addr, p *Packet) {
	if p.Priority == PriorityRelease {
		interval := r.interval
		if r.inst.cfg.Version == Version3 && r.peer == from {
			interval = min(interval, r.peerInterval) // a quick release, also of a weaker one
		}
		r.remember(from, p)
		r.timer = r.after(skew(r.inst.cfg.Version, r.inst.effective, interval))
		return
	}
	changed := r.peer != from || r.peerPriority != p.Priority
	r.remember(from, p)
	weaker := p.Priority < r.inst.effective
	if !weaker {
		r.preemptAt = time.Time{}
	}
	if weaker && r.preempts(p.Priority) {
		r.say("%v is master with the lower priority %d: taking over", from, p.Priority)
		return
	}
	if r.inst.cfg.Version == Version3 {
		r.interval = p.Interval
	}
	r.timer = r.after(r.downInterval())
	if changed {
		r.say("%v is master with priority %d", from, p.Priority)
	}
}

// respectMaster gives a backup that was about to take over, and must not any
// more at its present priority or by its configuration, the time since the
// master was heard.
func (r *router) respectMaster() {
	if !r.peer.IsValid() || r.peerPriority == PriorityRelease || r.timer.IsZero() {
		return
	}
	if r.peerPriority < r.inst.effective && r.preempts(r.peerPriority) {
		return
	}
	if r.inst.cfg.Version == Version3 {
		r.interval = r.peerInterval // else that of a quick release may be in force
	}
	if t := r.peerHeard.Add(r.downInterval()); r.timer.Before(t) {
		r.timer = t
	}
}

// preempts reports whether a backup takes over from a weaker master. An owner
// always does (RFC 9568 section 6.1), a healthy node from a demoted one, and one
// that is master of another instance of the group already.
func (r *router) preempts(theirs uint8) bool {
	cfg := &r.inst.cfg
	switch {
	case r.owner(), theirs <= DemotedMax && r.inst.effective > DemotedMax:
		return true
	case r.inst.mateServes():
		return true // what belongs together comes together
	case !cfg.Preempt:
		return false
	case cfg.PreemptDelay > 0 && r.preemptAt.IsZero():
		r.preemptAt = r.after(cfg.PreemptDelay)
		return false
	}
	return cfg.PreemptDelay == 0 || r.due(r.preemptAt)
}

// hearAsMaster is RFC 9568 section 6.4.3, in version 2 RFC 3768 section 6.4.3.
func (r *router) hearAsMaster(from netip.Addr, p *Packet) {
	switch {
	case r.listening:
		r.hearAfterSleep(from, p)
		return
	case r.handing && r.crossed(from, p.Priority):
		return
	case p.Priority == PriorityRelease:
		r.handing = false
		r.advertise()
		return
	}
	if r.loses(from, p.Priority) {
		r.yield(from, p)
		return
	}
	if r.handing {
		// A node that is no healthier than this one answered the release.
		r.handing = false
		r.advertise()
		r.announceBurst()
		r.outlast()
		return
	}
	r.rival(from, p)
	if r.inst.cfg.Version == Version3 && r.now().Sub(r.answeredAt) >= answerGap {
		r.answeredAt = r.now()
		r.sendNow()
	}
}

// loses reports whether another master wins against this one (RFC 9568 section
// 6.4.3).
func (r *router) loses(to netip.Addr, priority uint8) bool {
	own := r.inst.effective
	return priority > own || priority == own && to.Compare(r.source) > 0
}

// yield lets a stronger master have it. The addresses linger until that one
// has announced them.
func (r *router) yield(from netip.Addr, p *Packet) {
	if !r.listening || r.loses(from, p.Priority) {
		// The winner may have been master all along, also when this node has
		// released or slept, and the network may hold this node's addresses:
		// hearing a rival, it announces itself again.
		r.sendNow()
	}
	r.stopAnnouncing()
	r.flapped(from)
	r.remember(from, p)
	r.counters.LeftMaster++
	if r.inst.cfg.Version == Version3 {
		r.interval = p.Interval
	}
	why := fmt.Sprintf("%v has priority %d, this node %d", from, p.Priority, r.inst.effective)
	if p.Priority == r.inst.effective {
		why = fmt.Sprintf("%v has the same priority %d and the higher address", from, p.Priority)
	}
	if r.handing {
		why = r.inst.handedOver(from, p.Priority)
	}
	slept := r.listening
	r.becomeBackup(why)
	if slept { // the winner serves
		r.release()
		return
	}
	r.hold(r.linger(), true)
}

// rival counts another master and makes the network know this one again.
func (r *router) rival(from netip.Addr, p *Packet) {
	r.outdone, r.outdoneAt = from, r.now()
	if r.now().Sub(r.since) < lastWord {
		r.outlast()
		return // the master before, or one that took over at the same moment
	}
	r.counters.Rivals++
	quiet := r.now().Sub(r.rivalSeen)
	if r.rivalSince.IsZero() || quiet >= downIntervals*r.inst.cfg.AdvertInterval {
		r.rivalSince = r.now()
	}
	r.rivalSeen = r.now()
	r.notice(NoticeRival, from, fmt.Sprintf("it has priority %d, this node %d", p.Priority, r.inst.effective))
	switch since := r.now().Sub(r.rivalTold); {
	case since >= rivalGap, from != r.rivalFrom && since >= linger:
		r.rivalTold, r.rivalFrom = r.now(), from
		r.againAt, r.rivalWaits = time.Time{}, false // this is what waits
		r.announceBurst()
		r.inst.announceGroup()
		r.outlast()
	case from != r.rivalFrom: // it may yield at once, and lets go soon
		r.rivalFrom = from
		r.tellAgain(r.after(r.linger() / 2))
	case quiet < p.Interval-p.Interval/16: // out of turn, as a last word is
		r.tellAgain(r.after(r.linger() / 2))
	case r.againAt.IsZero(): // it may be the last that is heard of it
		r.tellAgain(r.rivalTold.Add(rivalGap))
	}
}

// tellAgain plans to announce once more, because a rival was heard.
func (r *router) tellAgain(at time.Time) { r.againAt, r.rivalWaits = at, true }

// outlast has the addresses announced while a losing master still serves: it may
// have announced them after this one, when the two took over at one moment.
func (r *router) outlast() {
	r.announceAfterwards()
	if r.againAt.IsZero() {
		r.againAt = r.after(r.linger() / 2)
	}
}
