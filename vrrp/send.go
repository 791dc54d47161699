package vrrp

import (
	"net/netip"
	"time"
)

// maxAdvertised is how many addresses an advert carries: what the count byte
// allows, and what fits every IPv6 link's packet. All nodes of a virtual
// router cut the same list at the same place.
func maxAdvertised(f Family) int {
	if f == IPv4 {
		return 255
	}
	return (1280 - 40 - headerLen) / v6Len
}

// cachedAdvert is the advert sent last, encoded once for each destination.
type cachedAdvert struct {
	advertKey
	sends []SendAdvert
}

// advertKey is all that makes an advert differ from the one before.
type advertKey struct {
	priority uint8
	form     checksumForm
	interval time.Duration
	source   netip.Addr
	index    int
}

// advertise sends the regular advert and starts Adver_Timer anew.
func (r *router) advertise() {
	r.sendNow()
	r.timer = r.after(r.inst.cfg.AdvertInterval)
	r.renewBehind()
}

func (r *router) sendNow() {
	r.settleLastAdvert()
	cfg := r.inst.cfg
	key := advertKey{r.inst.effective, r.sendForm(), cfg.AdvertInterval, r.source, r.index}
	if r.sent.interval != key.interval {
		r.spokeBefore = time.Time{} // peers were told another one then
	}
	if r.sent.sends == nil || r.sent.advertKey != key {
		r.sent = cachedAdvert{key, r.encode(key)}
	}
	for n := range r.sent.sends {
		r.do(&r.sent.sends[n])
	}
	r.expected += len(r.sent.sends)
	r.counters.AdvertsSent += uint64(len(r.sent.sends))
}

// sendOnce sends an advert that is not worth keeping.
func (r *router) sendOnce(priority uint8, interval time.Duration) {
	sends := r.encode(advertKey{priority, r.sendForm(), interval, r.source, r.index})
	r.settleLastAdvert()
	for n := range sends {
		r.do(&sends[n])
	}
	r.expected += len(sends)
	r.counters.AdvertsSent += uint64(len(sends))
}

func (r *router) sendForm() checksumForm {
	switch r.inst.cfg.Checksum {
	case ChecksumRFC9568:
		return formMessage
	case ChecksumPseudoHeader:
		return formPseudo
	}
	return r.form
}

func (r *router) encode(key advertKey) []SendAdvert {
	cfg := r.inst.cfg
	p := Packet{
		Version: cfg.Version, VRID: cfg.VRID, Priority: key.priority,
		Interval: key.interval, Addresses: r.advertised,
	}
	p.AuthType, p.Auth = cfg.auth()
	var sends []SendAdvert
	for _, to := range r.destinations() {
		payload, err := p.AppendTo(nil, key.source, to, key.form == formPseudo)
		if err != nil {
			panic("vrrp: a validated configuration does not encode: " + err.Error())
		}
		sends = append(sends, SendAdvert{Router: r.id, Interface: key.index, Source: key.source, Destination: to, Payload: payload, PseudoHeader: key.form == formPseudo})
	}
	return sends
}

func (r *router) destinations() []netip.Addr {
	cfg := r.inst.cfg
	if len(cfg.Peers) == 0 {
		if r.id.Family == IPv4 {
			return []netip.Addr{GroupIPv4}
		}
		return []netip.Addr{GroupIPv6}
	}
	var to []netip.Addr
	for _, p := range cfg.Peers {
		if FamilyOf(p) == r.id.Family {
			to = append(to, p)
		}
	}
	return to
}

// told reports whether people heard of this lately. What is heard often asks
// before it puts a sentence together.
func (r *router) told(k NoticeKind) bool {
	gap := noticeGap
	if k.standing() {
		gap = standingGap
	}
	return !r.noticed[k].IsZero() && r.now().Sub(r.noticed[k]) < gap
}

func (r *router) notice(k NoticeKind, peer netip.Addr, detail string) {
	if r.told(k) {
		return
	}
	if r.noticed == nil {
		r.noticed = map[NoticeKind]time.Time{}
	}
	r.noticed[k] = r.now()
	r.do(r.newNotice(k, peer, detail))
}

func (r *router) newNotice(k NoticeKind, peer netip.Addr, detail string) *Notice {
	return &Notice{Kind: k, Instance: r.id.Instance, Family: r.id.Family, Interface: r.inst.cfg.Interface, Peer: peer, Detail: detail}
}
