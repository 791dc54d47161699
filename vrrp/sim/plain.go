package sim

import (
	"net/netip"
	"slices"
	"time"
)

// Plain is a router of somebody else's: what RFC 9568 and RFC 3768 say, and no
// more, apart from its quirks. It shares no code with package vrrp, so that a
// misreading there is no misreading here. Like the Engine it has no clock:
// whoever calls it tells the time, and calls Tick when its deadline has come.
//
// It does not hand over: who leaves says so and removes its addresses.
type Plain struct {
	cfg      PlainConfig
	state    plainState
	priority int // the effective one
	// interval is the master's, as learned; the own one else.
	interval time.Duration
	// down ends a backup's patience, advert is a master's next one.
	down, advert time.Time
	// again and every are when to announce once more, letGo is when addresses
	// that outlived the mastership go, bye when to release after they went.
	again, every, letGo, bye time.Time
	preemptAt                time.Time
	// stepAt is when an owner that is not alone steps down, and ownerHeard when
	// it last heard the other.
	stepAt, ownerHeard time.Time

	holding   bool
	announced []netip.Addr
	refused   string
}

type plainState uint8

const (
	plainInit plainState = iota
	plainBackup
	plainMaster
)

// NewPlain returns a router that has not started. It panics when Validate has
// something to say.
func NewPlain(cfg PlainConfig) *Plain {
	if err := cfg.Validate(); err != nil {
		panic("sim: plain router: " + err.Error())
	}
	cfg.Addresses = slices.Clone(cfg.Addresses)
	cfg.Peers = slices.Clone(cfg.Peers)
	if cfg.DownIntervals == 0 {
		cfg.DownIntervals = 3
	}
	return &Plain{cfg: cfg}
}

// Start leaves Initialize: an owner is master at once (sections 6.4.1).
func (p *Plain) Start(now time.Time) []Frame {
	p.announced = nil
	if p.state != plainInit {
		return nil
	}
	p.holding, p.letGo, p.bye = false, time.Time{}, time.Time{}
	p.priority, p.interval, p.stepAt = int(p.cfg.Priority), p.cfg.Interval, time.Time{}
	if p.priority == 255 {
		return p.becomeMaster(now)
	}
	p.becomeBackup(now)
	return nil
}

// Stop goes to Initialize; a master says so with priority 0 (section 6.4.3).
func (p *Plain) Stop(now time.Time) []Frame {
	p.announced = nil
	was := p.state
	p.state = plainInit
	p.down, p.advert, p.again, p.every = time.Time{}, time.Time{}, time.Time{}, time.Time{}
	switch {
	case was != plainMaster:
		return nil
	case p.cfg.RemoveFirst > 0:
		p.holding = false
		p.bye = now.Add(p.cfg.RemoveFirst)
		return nil
	}
	p.drop(now)
	return p.release()
}

// Crash is an end without a word; the addresses stay where they are until
// Start, or until the world takes them.
func (p *Plain) Crash() {
	held := p.holding
	*p = Plain{cfg: p.cfg, holding: held}
}

// Tick does what is due.
func (p *Plain) Tick(now time.Time) []Frame {
	p.announced = nil
	due := func(t *time.Time) bool {
		if t.IsZero() || t.After(now) {
			return false
		}
		*t = time.Time{}
		return true
	}
	var out []Frame
	if due(&p.letGo) {
		p.holding = false
	}
	if due(&p.bye) {
		out = append(out, p.release()...)
	}
	if due(&p.down) {
		out = append(out, p.becomeMaster(now)...)
	}
	if due(&p.advert) {
		p.advert = now.Add(p.cfg.Interval)
		out = append(out, p.speak(p.priority)...)
	}
	if due(&p.again) {
		p.announced = p.cfg.Addresses
	}
	if due(&p.every) {
		p.announced = p.cfg.Addresses
		p.every = now.Add(p.cfg.AnnounceEvery)
	}
	return out
}

// Deadline returns when it wants a Tick.
func (p *Plain) Deadline() (at time.Time, ok bool) {
	for _, t := range [...]time.Time{p.down, p.advert, p.again, p.every, p.letGo, p.bye} {
		if !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	return at, !at.IsZero()
}

// Holds returns the addresses that it has on its interface.
func (p *Plain) Holds() []netip.Addr {
	if !p.holding {
		return nil
	}
	return slices.Clone(p.cfg.Addresses)
}

// Announces returns and forgets the addresses that the last call announced by
// gratuitous ARP or unsolicited neighbour advertisements.
func (p *Plain) Announces() []netip.Addr {
	list := p.announced
	p.announced = nil
	return slices.Clone(list)
}

// Master reports whether it is master.
func (p *Plain) Master() bool { return p.state == plainMaster }

// Refused says why the last frame was refused, or nothing.
func (p *Plain) Refused() string { return p.refused }

// becomeMaster speaks, then takes the addresses and announces them
// (section 6.4.2, erratum 7949).
func (p *Plain) becomeMaster(now time.Time) []Frame {
	p.state, p.down, p.letGo = plainMaster, time.Time{}, time.Time{}
	p.priority, p.stepAt = int(p.cfg.Priority), time.Time{}
	p.advert = now.Add(p.cfg.Interval)
	p.holding = true
	p.announce(now)
	if p.cfg.AnnounceEvery > 0 {
		p.every = now.Add(p.cfg.AnnounceEvery)
	}
	return p.speak(p.priority)
}

func (p *Plain) announce(now time.Time) {
	p.announced = p.cfg.Addresses
	if p.cfg.AnnounceAgain > 0 {
		p.again = now.Add(p.cfg.AnnounceAgain)
	}
}

func (p *Plain) becomeBackup(now time.Time) {
	p.state = plainBackup
	p.advert, p.again, p.every, p.preemptAt = time.Time{}, time.Time{}, time.Time{}, time.Time{}
	p.down = now.Add(p.patience())
}

// drop removes the addresses, now or late.
func (p *Plain) drop(now time.Time) {
	if p.cfg.RemoveLate > 0 {
		p.letGo = now.Add(p.cfg.RemoveLate)
		return
	}
	p.holding = false
}

// skew is Skew_Time: in version 3 a share of the master's interval, in version
// 2 of a second (section 6.1).
func (p *Plain) skew() time.Duration {
	of := p.interval
	if p.cfg.Version == 2 {
		of = time.Second
	}
	s := time.Duration(256-p.priority) * of / 256
	if p.cfg.WholeSkew {
		s -= s % (time.Second / 100)
	}
	return s
}

// patience is Active_Down_Interval, or Master_Down_Interval.
func (p *Plain) patience() time.Duration {
	return time.Duration(p.cfg.DownIntervals)*p.interval + p.skew()
}

// Receive hears a frame.
func (p *Plain) Receive(now time.Time, f Frame) []Frame {
	p.announced = nil
	if p.state == plainInit {
		p.refused = "not running"
		return nil
	}
	a, err := readPlain(f)
	if err == nil {
		err = p.check(f, &a)
	}
	if err != nil {
		p.refused = err.Error()
		return nil
	}
	p.refused = ""
	if p.state == plainBackup {
		p.hearBackup(now, &a)
		return nil
	}
	return p.hearMaster(now, f.Source, &a)
}

// hearBackup is section 6.4.2.
func (p *Plain) hearBackup(now time.Time, a *plainAdvert) {
	switch {
	case a.priority == 0:
		p.down = now.Add(p.skew())
		return
	case a.priority < p.priority && p.preempts(now):
		return
	case a.priority >= p.priority:
		p.preemptAt = time.Time{}
	}
	p.learn(a)
	p.down = now.Add(p.patience())
}

// preempts reports whether a weaker master is let run into the timer.
func (p *Plain) preempts(now time.Time) bool {
	switch {
	case p.priority == 255:
		return true
	case p.cfg.NoPreempt:
		return false
	case p.cfg.PreemptDelay == 0:
		return true
	case p.preemptAt.IsZero():
		p.preemptAt = now.Add(p.cfg.PreemptDelay)
	}
	return !now.Before(p.preemptAt)
}

func (p *Plain) learn(a *plainAdvert) {
	if p.cfg.Version == 3 && !p.cfg.KeepInterval {
		p.interval = a.interval
	}
}

// hearMaster is section 6.4.3.
func (p *Plain) hearMaster(now time.Time, from netip.Addr, a *plainAdvert) []Frame {
	equal := a.priority == p.priority
	switch {
	case a.priority == 0:
		p.advert = now.Add(p.cfg.Interval)
		return p.speak(p.priority)
	case a.priority > p.priority, equal && !p.cfg.StayOnEqual && from.Compare(p.cfg.Source) > 0:
		var out []Frame
		if p.cfg.LastWord {
			out = p.speak(p.priority)
		}
		p.learn(a)
		p.becomeBackup(now)
		p.drop(now)
		return out
	}
	if equal && p.priority == 255 && p.cfg.Owner == OwnerStepsDown {
		p.stepDown(now, a)
	}
	if !p.cfg.Answer {
		return nil
	}
	if p.cfg.AnswerAnnounce {
		p.announce(now)
	}
	return p.speak(p.priority)
}

// stepDown gives another owner two adverts and a little to go, then goes
// itself: at 254 it loses to that one.
func (p *Plain) stepDown(now time.Time, a *plainAdvert) {
	longer := max(p.cfg.Interval, a.interval)
	gone := now.Sub(p.ownerHeard) > 3*longer
	p.ownerHeard = now
	switch {
	case p.stepAt.IsZero() || gone:
		p.stepAt = now.Add(2*p.cfg.Interval + longer + longer/5)
	case !now.Before(p.stepAt):
		p.priority = 254
	}
}

func (p *Plain) release() []Frame {
	times := p.cfg.Releases
	if times == 0 {
		times = 1
	}
	var out []Frame
	for range max(times, 0) {
		out = append(out, p.speak(0)...)
	}
	return out
}

// speak makes an advert for the group, or for each peer.
func (p *Plain) speak(priority int) []Frame {
	a := plainAdvert{version: p.cfg.Version, vrid: int(p.cfg.VRID), priority: priority, interval: p.cfg.Interval, addresses: p.cfg.Addresses}
	a.authType, a.auth = p.cfg.auth()
	group := plainGroup4
	if p.cfg.Source.Is6() {
		group = plainGroup6
	}
	to := p.cfg.Peers
	if len(to) == 0 {
		to = []netip.Addr{group}
	}
	var out []Frame
	for _, dst := range to {
		f := Frame{Source: p.cfg.Source, Destination: dst, TTL: 255, Payload: a.write()}
		if dst.Is6() && dst != group && p.cfg.UnicastHopLimit != 0 {
			f.TTL = p.cfg.UnicastHopLimit
		}
		covered := f.Payload
		if p.cfg.Source.Is6() || p.cfg.Version == 3 && p.cfg.SendPseudo {
			if p.cfg.GroupSum && dst.Is4() {
				dst = group
			}
			covered = withPseudo(f.Payload, f.Source, dst)
		}
		sealPlain(f.Payload, covered)
		out = append(out, f)
	}
	return out
}
