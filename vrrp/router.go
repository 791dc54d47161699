package vrrp

import (
	"fmt"
	"net/netip"
	"time"
)

// router is one virtual router: the state machine of RFC 9568 section 6.4, with
// fault beside Initialize for what is wrong around it, and with the handover.
type router struct {
	inst     *instance
	id       RouterID
	deadline time.Time     // earliest of the times below; see schedule
	queued   time.Duration // as which time it is in Engine.timers, or never

	// What is small is together, for there may be thousands of routers.
	state        State
	cause        Cause        // of the state
	form         checksumForm // last form heard of a peer
	peerPriority uint8        // see peer
	// handing is set while a demoted or drained master has released and waits
	// for a successor. It goes on serving, and on as master when nobody comes.
	handing bool
	// toMove is set while an order is open that came while this one was master.
	toMove bool
	// listening is set while a master that slept does not act yet.
	listening bool
	// heard is set once the successor of a router that holds addresses has spoken.
	heard bool
	// unproven is set once adverts did not leave: this node does not serve again
	// before one has.
	unproven bool
	// trying is set from then on, until one has left or a master is heard: to people
	// it is in fault; see shown.
	trying bool
	// rivalWaits is set once a rival was heard since the last announcement;
	// againAt is for it.
	rivalWaits bool

	since  time.Time
	reason string

	// From the link: where adverts leave and from which address.
	index  int
	source netip.Addr
	onLink []netip.Prefix

	interval time.Duration // Active_Adver_Interval
	timer    time.Time     // Adver_Timer as master, Active_Down_Timer as backup
	readyAt  time.Time     // end of the start-up delay

	// preemptAt is when the preempt delay ends; zero while no weaker master
	// is heard.
	preemptAt time.Time

	// holdUntil is when addresses that outlived the mastership are removed;
	// zero when none are held.
	holdUntil time.Time
	// outdone is the master that this one took over from or outdid last, and
	// when; released is when this one last released. See crossed.
	outdone             netip.Addr
	outdoneAt, released time.Time

	// Announcing: what is left of the burst, and when the next one is due.
	announceLeft int
	announceAt   time.Time
	// againAt is when the addresses are announced once more, because another
	// master may just have announced them.
	againAt      time.Time
	announceLate time.Time // once more, if the burst is over before the former master lets go

	addresses  []AddressState
	positions  map[netip.Prefix]int // in addresses, when these are many; see position
	advertised []netip.Addr
	repairAt   time.Time
	lease      time.Duration // in force
	short      bool          // some were given less since the last renewal
	renewAt    time.Time
	renewNext  int             // the first address of the next part to renew
	renewDue   time.Time       // when that part ought to be renewed
	renewed    *RenewAddresses // the last one, of a set of one slice
	repairWait time.Duration
	// How often addresses were removed by somebody else since removedSince, and
	// since when the kernel refuses one.
	removals                   int
	removedSince, refusedSince time.Time
	unwanted                   []netip.Prefix // to be removed at the end of a reload

	// Speaking: when the last advert was sent and the last one failed, and
	// since when none leaves; mute is why the router is in fault for that.
	spokeAt, failedAt, silentSince time.Time
	spokeBefore                    time.Time // the advert before; see settleLastAdvert
	// goOnUntil is when a master that is in fault may go on as one no more.
	goOnUntil          time.Time
	sendProblem, mute  string
	muteUntil          time.Time
	muteFor            time.Duration // the last time
	failures, expected int           // of the packets of this turn's adverts

	sent cachedAdvert

	// The other router last heard: the master while this one is backup.
	peer         netip.Addr
	peerInterval time.Duration
	peerHeard    time.Time
	oddInterval  int // adverts in a row with another interval

	answeredAt time.Time
	rivalSince time.Time
	rivalSeen  time.Time
	rivalTold  time.Time
	rivalFrom  netip.Addr // of whom was told

	// Of flapping: the master that is dead for all this node knows, and how many
	// of those turned out to be alive since flapsSince.
	presumedDead netip.Addr
	flaps        int
	flapsSince   time.Time

	counters Activity
	// Made when there is something to remember, which with most routers never is.
	noticed map[NoticeKind]time.Time
	drops   *routerDrops
	differs *differing
}

// routerDrops are the packets that were refused, when people heard of it, and what
// they heard.
type routerDrops struct {
	count Drops
	told  [dropReasons]time.Time
	text  [dropReasons]string
	last  Refused
}

// Counters count what a virtual router did since it was made.
type Counters struct {
	Activity
	Dropped Drops
}

// Activity are what every router counts. Drops, which few have any of, take twice the
// room.
type Activity struct {
	AdvertsSent, AdvertsReceived     uint64
	ReleasesSent, ReleasesReceived   uint64
	SendErrors                       uint64
	BecameMaster, LeftMaster         uint64
	Announcements, AddressesRepaired uint64
	AddressesLapsed, Rivals          uint64
}

func (r *router) now() time.Time                  { return r.inst.e.now }
func (r *router) after(d time.Duration) time.Time { return r.now().Add(d) }
func (r *router) do(a Action)                     { r.inst.e.do(a) }
func (r *router) holding() bool                   { return !r.holdUntil.IsZero() }
func (r *router) due(t time.Time) bool            { return !t.IsZero() && !t.After(r.now()) }

func (r *router) downInterval() time.Duration {
	return downInterval(r.inst.cfg.Version, r.inst.effective, r.interval)
}
func (r *router) owner() bool                    { return r.inst.effective == PriorityOwner }
func (r *router) say(format string, args ...any) { r.reason = fmt.Sprintf(format, args...) }

func (r *router) enter(s State, c Cause) {
	r.state, r.cause, r.since, r.goOnUntil = s, c, r.now(), time.Time{}
}

// schedule works out when this router next needs a Tick.
func (r *router) schedule() {
	r.deadline = r.leftUntil()
	for _, t := range [...]*time.Time{&r.timer, &r.readyAt, &r.holdUntil, &r.announceAt, &r.againAt, &r.repairAt, &r.renewAt, &r.muteUntil, &r.inst.troubleUntil, &r.inst.drain.Until} {
		if !t.IsZero() && (r.deadline.IsZero() || t.Before(r.deadline)) {
			r.deadline = *t
		}
	}
	r.inst.e.timers.set(r)
}

// fire does all that is due.
func (r *router) fire() {
	if r.due(r.leftUntil()) {
		r.tooLate()
		r.review(r.inst.effective)
	}
	if r.due(r.readyAt) {
		r.readyAt = time.Time{}
		r.review(r.inst.effective)
	}
	if r.due(r.muteUntil) {
		r.mute, r.muteUntil = "", time.Time{}
		r.inst.review()
	}
	if r.due(r.inst.troubleUntil) {
		r.inst.recovered()
	}
	if r.due(r.inst.drain.Until) {
		r.inst.drainEnds()
	}
	if r.due(r.timer) {
		r.expire()
	}
	if r.due(r.holdUntil) {
		r.release()
	}
	if r.due(r.renewAt) {
		r.renew()
	}
	if r.handing { // whom it asks to take over may just have announced the addresses
		r.postponeAnnouncements()
	}
	if r.due(r.announceAt) {
		r.announceNext()
	}
	if r.due(r.againAt) {
		r.againAt = time.Time{}
		r.announce(r.prefixes())
		if r.rivalWaits {
			r.rivalTold, r.rivalWaits = r.now(), false
		}
	}
	if r.due(r.repairAt) {
		r.repairAt = time.Time{}
		r.repair()
	}
}

// expire is the one protocol timer: Adver_Timer or Active_Down_Timer.
func (r *router) expire() {
	switch {
	case r.state == StateBackup:
		r.presume()
		r.becomeMaster(r.silence())
	case r.isMute():
		r.giveUpMute()
	case r.listening:
		r.resume()
	case r.handing && r.now().Before(r.handingUntil()):
		r.releaseAgain()
	case r.handing:
		r.unanswered(fmt.Sprintf("nobody was heard to take over within %v", handoverBound(r.inst.cfg.AdvertInterval)))
		r.notice(NoticeHandoverFailed, netip.Addr{}, "this node stays master at priority "+fmt.Sprint(r.inst.effective))
		if r.handing {
			r.handing = false
			r.advertise()
		}
		r.announceBurst() // one that nobody hears may have taken over and announced
	default:
		// From the time it was due, so that lateness does not add up.
		due := r.timer
		r.advertise()
		if next := due.Add(r.inst.cfg.AdvertInterval); next.After(r.now()) {
			r.timer = next
		}
	}
}

// silence tells why a backup takes over.
func (r *router) silence() (Cause, string) {
	switch {
	case !r.peer.IsValid():
		return CauseNoMaster, fmt.Sprintf("no master heard for %v", round(r.now().Sub(r.since)))
	case r.peerPriority == PriorityRelease:
		return CauseMasterReleased, fmt.Sprintf("%v released", r.peer)
	case r.peerPriority < r.inst.effective && r.now().Sub(r.peerHeard) < r.downInterval():
		return CausePreempted, fmt.Sprintf("priority %d beats %d of %v", r.inst.effective, r.peerPriority, r.peer)
	}
	return CauseMasterSilent, fmt.Sprintf("no advert from %v for %v", r.peer, round(r.now().Sub(r.peerHeard)))
}

// round keeps durations in sentences short.
func round(d time.Duration) time.Duration {
	switch {
	case d > 10*time.Second:
		return d.Round(time.Second)
	case d > time.Second:
		return d.Round(10 * time.Millisecond)
	}
	return d.Round(100 * time.Microsecond)
}

// review acts on a changed link, check, priority or configuration. before is
// the effective priority until now.
func (r *router) review(before uint8) {
	r.followLink()
	if why, bad := r.fault(); bad {
		if r.state == StateFault {
			r.reason = why
			return
		}
		r.leave(StateFault, r.faultCause(), why)
		return
	}
	switch r.state {
	case StateInit, StateFault:
		if why, wait := r.wait(); wait {
			if r.state == StateFault {
				r.enter(StateInit, CauseRecovered)
			}
			r.reason = why
			return
		}
		r.start()
	case StateBackup:
		// A running timer moves with the skew instead of starting again.
		if !r.timer.IsZero() && before != r.inst.effective {
			v := r.inst.cfg.Version
			r.timer = r.timer.Add(skew(v, r.inst.effective, r.interval) - skew(v, before, r.interval))
		}
		if before != r.inst.effective {
			r.preemptAt = time.Time{}
		}
		r.respectMaster()
	case StateMaster:
		r.reviewMaster(before)
	}
}

func (r *router) reviewMaster(before uint8) {
	now := r.inst.effective
	switch {
	case r.listening:
	case now <= DemotedMax && before > DemotedMax:
		r.handOver(before)
	case r.handing && now > DemotedMax:
		r.handing = false // healthy again before anybody took over
		r.advertise()
	}
}

// start leaves Initialize (RFC 9568 section 6.4.1).
func (r *router) start() {
	r.peer, r.peerPriority = netip.Addr{}, 0
	if r.adopted() {
		r.goOn()
		return
	}
	r.tooLate()
	if r.owner() {
		r.becomeMaster(CauseOwner, "address owner")
		return
	}
	if r.unnoticed() {
		r.goOnUnnoticed()
		return
	}
	r.interval = r.inst.cfg.AdvertInterval
	cause := CauseStart
	if r.state == StateFault {
		cause = CauseRecovered
	}
	r.becomeBackup(cause, "listening for a master")
}

func (r *router) becomeBackup(c Cause, reason string) {
	r.noLongerMaster()
	r.enter(StateBackup, c)
	r.reason = reason
	r.preemptAt = time.Time{}
	r.timer = r.after(r.downInterval())
}

// noLongerMaster drops what a master was about to do. What any other was about to
// do stays: to remove again what the kernel refused to.
func (r *router) noLongerMaster() {
	r.handing, r.listening = false, false
	r.rivalSince = time.Time{}
	if r.state == StateMaster {
		r.dropPlans()
	}
}

// dropPlans drops the announcements and repairs that a master has planned.
func (r *router) dropPlans() {
	r.announceAt, r.announceLate, r.repairAt = time.Time{}, time.Time{}, time.Time{}
	r.againAt, r.rivalWaits = time.Time{}, false
}

// becomeMaster follows RFC 9568 section 6.4.2 (erratum 7949): advert first,
// then the addresses, then their announcement.
func (r *router) becomeMaster(c Cause, reason string) {
	r.enter(StateMaster, c)
	r.reason = reason
	r.interval = r.inst.cfg.AdvertInterval
	r.handing, r.listening, r.holdUntil, r.heard = false, false, time.Time{}, false
	r.preemptAt = time.Time{}
	r.adoptionEnds()
	r.inst.takesBack()
	r.outdone, r.outdoneAt = r.peer, r.now()
	if !r.unproven {
		r.counters.BecameMaster++
	}
	r.repairWait, r.removals, r.refusedSince = 0, 0, time.Time{}
	r.silentSince, r.short = time.Time{}, false
	r.advertise()
	if r.unproven {
		r.repairAt = r.after(proveTime)
		return
	}
	r.serve()
}

// serve puts the addresses of a new master in place and announces them.
func (r *router) serve() {
	r.addAddresses(r.prefixes())
	r.startRenewing()
	r.announceBurst()
	r.announceAfterwards()
	if r.announceLeft > 0 { // before the former master lets go: one may get lost
		r.againAt = r.after(r.linger() / 2)
	}
}

// leave goes to init or fault. A master hands over as far as it still can.
func (r *router) leave(to State, c Cause, reason string) {
	was, left, slept := r.state, r.left(), r.listening
	unbroken := was == StateMaster && !slept && !r.handing && !r.unproven
	r.adoptionEnds()
	r.noLongerMaster()
	r.enter(to, c)
	r.reason = reason
	r.timer, r.preemptAt = time.Time{}, time.Time{}
	if r.inst.removed || r.inst.e.stopping {
		r.readyAt, r.muteUntil, r.repairAt = time.Time{}, time.Time{}, time.Time{}
		r.inst.troubleUntil, r.inst.drain.Until = time.Time{}, time.Time{}
	}
	switch {
	case was == StateMaster && r.reachable():
		r.countLeft()
		if !slept { // else another one may be master, and must not hear that nobody is
			r.sendRelease(r.sent.priority)
		}
		r.hold(handoverBound(r.inst.cfg.AdvertInterval), false)
	case was == StateMaster:
		r.countLeft()
		r.release()
		if unbroken && to == StateFault && r.mute == "" {
			r.interrupted()
		}
	case left, r.holding() && !r.reachable():
		r.release() // also what was left in place for going on
	}
}

// countLeft counts the end of a mastership, if it was one; see shown.
func (r *router) countLeft() {
	if !r.unproven {
		r.counters.LeftMaster++
	}
}
