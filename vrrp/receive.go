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
	cfg := r.inst.cfg
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
	cfg := r.inst.cfg
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
	if r.drops == nil {
		r.drops = &routerDrops{}
	}
	d := r.drops
	d.count[why]++
	told := d.told[why]
	silent := !told.IsZero() && r.now().Sub(told) < noticeGap
	if !silent {
		d.told[why], d.text[why] = r.now(), r.explainDrop(why, ev, p)
	}
	// What the network sends back says less than what somebody else sends.
	if why != DropOwn || d.last.Reason == DropOwn || !r.refusedLately(r.now()) {
		d.last = Refused{r.now(), ev.Source, why, d.text[why]}
	}
	if silent {
		return
	}
	kind := NoticeDropped
	if why == DropOwn {
		kind = NoticeOwnPacket
	}
	r.do(r.newNotice(kind, ev.Source, d.text[why]))
}

// refusedLately reports whether the status tells of the last refused packet.
func (r *router) refusedLately(now time.Time) bool {
	return r.drops != nil && now.Sub(r.drops.last.At) < max(refusedShown, downIntervals*r.interval)
}

// explainDrop says what was wrong with the packet and what to look at.
func (r *router) explainDrop(why DropReason, ev *AdvertReceived, p *Packet) string {
	cfg := r.inst.cfg
	switch why {
	case DropTTL:
		if len(cfg.Peers) > 0 && !ev.Destination.IsMulticast() && !slices.Contains(cfg.Peers, ev.Source) {
			return fmt.Sprintf("ttl %d instead of 255, and the sender is not in peers", ev.TTL)
		}
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
	case DropOwn:
		return "the network sends own packets back, or another host uses this address"
	case DropDestination:
		if len(cfg.Peers) > 0 {
			return fmt.Sprintf("sent to %v, this instance speaks unicast with its peers", ev.Destination)
		}
		return fmt.Sprintf("sent to %v, this instance speaks multicast", ev.Destination)
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
