package vrrp

import (
	"testing"
	"time"
)

var tryWeb = &Drain{Instance: "web", Try: true, By: "root", Why: "kernel", Persist: true}

// The outcome of a drain names who took over and how long that took.
func TestDrainTellsWhoTookOver(t *testing.T) {
	te := newMaster(t, web())
	te.do(tryWeb)
	te.want(quickRelease...)
	te.advance(7 * time.Millisecond)
	te.advert(peer, 100)
	te.want(
		"web: advert prio=31 interval=1s to=224.0.0.18",
		"web: stop announcing eth0",
		"web: master -> backup (handed over to 192.0.2.2, which has priority 100: drained)",
		"web: drained, 192.0.2.2 with 100 took over after 7ms; now backup",
	)
	s := te.status("web")
	want := DrainStatus{Since: te.now.Add(-7 * time.Millisecond), By: "root", Why: "kernel", Persist: true}
	if !s.Drained || s.Drain != want || s.Effective != 30 {
		t.Errorf("drained %v, %+v, effective %d; want %+v", s.Drained, s.Drain, s.Effective, want)
	}
}

// A drain that nobody answers is void: the node goes on at its own priority, and
// no advert says anything else.
func TestDrainNobodyTakesOver(t *testing.T) {
	for name, c := range map[string]Config{"version 3": web(), "version 2": web(v2), "owner": web(prio(255))} {
		t.Run(name, func(t *testing.T) {
			te := newTest(t, c)
			te.advance(down150)
			te.do(tryWeb)
			te.lines = nil
			te.advance(bound - 1)
			te.wantNone()
			te.advance(1)
			own := map[uint8]string{150: "150", 255: "255"}[c.Priority]
			te.want(
				"web: not drained (nobody was heard to take over within 1.1s); now master",
				"web: advert prio="+own+" interval=1s to=224.0.0.18",
				"web: notice: nobody was heard to take over: this node stays master at priority "+own,
				"web: announce 192.0.2.100/24 eth0",
			)
			te.wantDue(second)
			if s := te.status("web"); s.Drained || s.Drain != (DrainStatus{}) || s.Effective != c.Priority {
				t.Errorf("drained %v, %+v, effective %d", s.Drained, s.Drain, s.Effective)
			}
		})
	}
}

// Without Try the node stays drained and serves, until a healthy one comes.
func TestDrainStaysWhenNobodyTakesOver(t *testing.T) {
	te := newMaster(t, web())
	te.do(&Drain{Instance: "web"})
	te.advance(bound)
	te.wantOnly("drained", "web: drained (nobody was heard to take over within 1.1s); now master")
	te.do(tryWeb) // drained it is already, and stays
	te.want("web: advert prio=30 interval=10ms to=224.0.0.18", "web: advert prio=0 interval=1s to=224.0.0.18")
	te.advance(bound)
	te.wantOnly("drained", "web: drained (nobody was heard to take over within 1.1s); now master")
	te.wantAddresses("eth0", "192.0.2.100/24")
	if s := te.status("web"); !s.Drained || s.Drain.Why != "kernel" || te.now.Sub(s.Drain.Since) != 2*bound {
		t.Errorf("drained %v, %+v", s.Drained, s.Drain)
	}
	te.advert(peer, 100)
	te.wantState("web", StateBackup)
}

// Nobody who is drained or demoted is a successor; that is told.
func TestDrainBesideADemotedPeer(t *testing.T) {
	te := newMaster(t, web())
	te.do(tryWeb)
	te.lines = nil
	te.advert(peer, 10)
	te.want(
		"web: not drained (192.0.2.2 answered with priority 10: it is drained or demoted itself); now master",
		"web: advert prio=150 interval=1s to=224.0.0.18",
		"web: announce 192.0.2.100/24 eth0",
	)
	te.wantDue(second)
	te.do(tryWeb)
	te.lines = nil
	te.advert(peer, 0)
	te.want(
		"web: not drained (192.0.2.2 released as well); now master",
		"web: advert prio=150 interval=1s to=224.0.0.18",
		"web: announce 192.0.2.100/24 eth0",
	)
}

// However high the base of a node is that is ill or drained, it is no successor of
// one that is healthy; nor does it take over from one that stays drained and
// serves, when it is ill.
func TestNoSuccessorThatIsIll(t *testing.T) {
	for _, order := range []Event{tryWeb, &Failover{Instance: "web"}} {
		for _, theirs := range []uint8{demotedPriority(200), demotedPriority(255), drainedPriority} {
			te := newMaster(t, web())
			te.do(order)
			te.advert(peer, theirs)
			te.wantState("web", StateMaster)
			if s := te.status("web"); s.Drained || s.Effective != 150 {
				t.Errorf("%T beside a peer at %d: drained %v, effective %d", order, theirs, s.Drained, s.Effective)
			}
		}
	}
	te := newMaster(t, web())
	te.do(&Drain{Instance: "web"})
	te.advance(bound)
	te.advert(peer, demotedPriority(255))
	te.wantState("web", StateMaster)
	te.advert(peer, DemotedMax+1)
	te.wantState("web", StateBackup)
}

// What was drained apart and is put together by a reload ends with the one that
// was to last longest.
func TestDrainsPutTogether(t *testing.T) {
	for name, later := range map[string]time.Duration{"without an end": 0, "with a later end": 60 * second} {
		t.Run(name, func(t *testing.T) {
			apart := edge()
			for n := range apart {
				apart[n].Group = ""
			}
			te := newEdge(t, apart...)
			te.do(&Drain{Instance: "inside", Until: te.now.Add(5 * second)})
			other := &Drain{Instance: "outside"}
			if later > 0 {
				other.Until = te.now.Add(later)
			}
			te.do(other)
			te.advance(3 * second)
			te.configure(edge()...)
			te.advance(7 * second)
			if !te.status("inside").Drained || !te.status("outside").Drained {
				t.Errorf("drained inside %v, outside %v", te.status("inside").Drained, te.status("outside").Drained)
			}
			te.advance(60 * second)
			if drained := te.status("inside").Drained; drained != (later == 0) || drained != te.status("outside").Drained {
				t.Errorf("at the end drained inside %v, outside %v", drained, te.status("outside").Drained)
			}
		})
	}
}

// A demoted master that is drained looks for a successor among the demoted.
func TestDrainOfADemotedMaster(t *testing.T) {
	te := newChecked(t, web(nginx))
	te.health("nginx", false, "")
	te.advance(bound)
	te.lines = nil
	te.do(tryWeb)
	te.want("web: advert prio=17 interval=10ms to=224.0.0.18", "web: advert prio=0 interval=1s to=224.0.0.18")
	te.advance(bound)
	te.wantOnly("prio", "web: advert prio=17 interval=1s to=224.0.0.18")
	te.do(tryWeb)
	te.lines = nil
	te.advert(peer, 10)
	te.wantOnly("drained,", "web: drained, 192.0.2.2 with 10 took over after 0s; now backup")
}

// A backup is drained at once, and the outcome says who is master.
func TestDrainOfABackup(t *testing.T) {
	te := newBackup(t, web())
	te.do(tryWeb)
	te.want("web: drained, 192.0.2.2 with 200 is master; now backup")
	if s := te.status("web"); !s.Drained || s.Effective != 30 {
		t.Errorf("drained %v, effective %d", s.Drained, s.Effective)
	}
}

// In fault there is nobody to hand over.
func TestDrainInFault(t *testing.T) {
	te := newMaster(t, web())
	te.do(eth0(func(l *Link) { l.Carrier = false }))
	te.lines = nil
	te.do(tryWeb)
	te.want("web: drained; now fault")
	te.do(eth0())
	te.advance(second)
	if s := te.status("web"); !s.Drained || s.State != StateBackup || s.Effective != 30 {
		t.Errorf("%v, drained %v, effective %d", s.State, s.Drained, s.Effective)
	}
}

// A link that fails meanwhile ends the waiting; a drain stays, a failover is
// nothing to stand back for.
func TestFaultWhileHandingOver(t *testing.T) {
	te := newMaster(t, web())
	te.do(tryWeb)
	te.do(eth0(func(l *Link) { l.Carrier = false }))
	te.wantOnly("drained", "web: drained; now fault")

	te = newMaster(t, web())
	te.do(&Failover{Instance: "web"})
	te.do(eth0(func(l *Link) { l.Carrier = false }))
	te.wantOnly("failed", "web: not failed over (interface eth0 has no carrier); now fault")
	if s := te.status("web"); s.Failover != (FailoverStatus{}) || s.Effective != 150 {
		t.Errorf("%+v, effective %d", s.Failover, s.Effective)
	}
}

// A drain ends by itself at its time, also one of a group, and tells so.
func TestDrainUntil(t *testing.T) {
	te := newMaster(t, web())
	te.do(&Drain{Instance: "web", Until: te.now.Add(30 * second)})
	te.advert(peer, 100)
	te.adverts(29*second, second, peer, 100)
	te.wantState("web", StateBackup)
	te.lines = nil
	te.adverts(second+time.Millisecond, second, peer, 100)
	te.wantOnly("drain", "web: drain ended")
	te.adverts(4*second, second, peer, 100)
	te.wantState("web", StateMaster)

	te = newEdge(t, edge()...)
	te.do(&Drain{Instance: "inside", Until: te.now.Add(second)})
	te.hearBoth(100)
	te.lines = nil
	te.advance(second)
	te.wantOnly("drain", "outside: drain ended", "inside: drain ended")

	te = newMaster(t, web()) // another order sets another time
	te.do(&Drain{Instance: "web", Until: te.now.Add(second)})
	te.advert(peer, 100)
	te.do(&Drain{Instance: "web"})
	te.lines = nil
	te.adverts(5*second, second, peer, 100)
	te.wantOnly("drain")
}

// A stop and a reload that removes the instance leave no deadline behind.
func TestDrainUntilAndTheEnd(t *testing.T) {
	for _, end := range []Event{&Stop{}, &Configure{}} {
		te := newMaster(t, web())
		te.do(&Drain{Instance: "web", Until: te.now.Add(time.Hour)})
		te.do(end)
		te.advance(bound)
		if at, ok := te.e.Deadline(); ok {
			t.Errorf("%T leaves a deadline in %v", end, at.Sub(te.now))
		}
	}
}

// A reload keeps drains and orders that wait, also when it renames; removing an
// instance forgets them.
func TestReloadKeepsDrains(t *testing.T) {
	te := newMaster(t, web())
	te.do(tryWeb)
	te.configure(web(named("www", 51, "192.0.2.100/24")))
	te.lines = nil
	te.advert(peer, 100)
	te.wantOnly("drained,", "web: drained, 192.0.2.2 with 100 took over after 0s; now backup")
	if s := te.status("www"); !s.Drained || s.Drain.By != "root" {
		t.Errorf("after a reload: drained %v, %+v", s.Drained, s.Drain)
	}
	te.do(&Configure{})
	te.configure(web())
	if s := te.status("web"); s.Drained {
		t.Error("removed and added again, it is drained")
	}
}

func TestReloadRemovesWhileHandingOver(t *testing.T) {
	te := newMaster(t, web())
	te.do(tryWeb)
	te.lines = nil
	te.do(&Configure{})
	te.wantOnly("drained", "web: not drained (removed from the configuration); now master")
}

// A failover moves the mastership once: the node is what it was afterwards, but
// does not take over by preemption.
func TestFailover(t *testing.T) {
	for name, c := range map[string]Config{
		"preempt": web(), "no preempt": web(noPreempt), "owner": web(prio(255)), "version 2": web(v2, prio(255)),
	} {
		t.Run(name, func(t *testing.T) {
			version := func(p *packet) { p.Version = c.Version }
			te := newTest(t, c)
			te.advance(down150)
			te.lines = nil
			te.do(&Failover{Instance: "web", By: "root"})
			if c.Priority == 150 {
				te.want(quickRelease...)
			}
			took := 7 * time.Millisecond
			if c.Version == Version2 {
				took = skew(Version2, 100, second)
			}
			te.advance(took)
			te.lines = nil
			te.advert(peer, 100, version)
			te.want(
				"web: advert prio=31 interval=1s to=224.0.0.18",
				"web: stop announcing eth0",
				"web: master -> backup (handed over to 192.0.2.2, which has priority 100: failover)",
				"web: failed over, 192.0.2.2 with 100 took over after "+took.String()+"; now backup",
			)
			s := te.status("web")
			if want := min(c.Priority, 254); s.Effective != want || s.Drained || s.Failover.By != "root" || !s.Failover.Since.Equal(te.now) {
				t.Errorf("effective %d, drained %v, %+v", s.Effective, s.Drained, s.Failover)
			}
			te.adverts(time.Minute, second, peer, 100, version)
			te.wantState("web", StateBackup)
		})
	}
}

// failedOver returns a node that gave its mastership to the peer.
func failedOver(t *testing.T, c Config) *engineTest {
	t.Helper()
	te := newMaster(t, c)
	te.do(&Failover{Instance: "web"})
	te.advert(peer, 100)
	te.adverts(10*second, second, peer, 100)
	te.wantState("web", StateBackup)
	te.lines = nil
	return te
}

// What ends the standing back: the peer's death, its release, its demotion, and
// the operator.
func TestFailoverEnds(t *testing.T) {
	te := failedOver(t, web())
	te.advance(down150)
	te.wantReason("web", "no advert from 192.0.2.2 for 3.41s")

	te = failedOver(t, web())
	te.advert(peer, 0)
	te.advance(skew150)
	te.wantReason("web", "192.0.2.2 released")

	te = failedOver(t, web(noPreempt))
	te.adverts(4*second, second, peer, 10)
	te.wantReason("web", "priority 150 beats 10 of 192.0.2.2")
	if s := te.status("web"); s.Failover != (FailoverStatus{}) {
		t.Errorf("master again, and %+v", s.Failover)
	}

	te = failedOver(t, web())
	te.do(&Undrain{Instance: "web"})
	te.adverts(4*second, second, peer, 100)
	te.wantReason("web", "priority 150 beats 100 of 192.0.2.2")
	te.advert(peer, 100)
	te.advert(peer3, 200) // and it preempts as ever
	te.wantState("web", StateBackup)
	te.adverts(4*second, second, peer, 100)
	te.wantState("web", StateMaster)
}

// A fault does not end it: the link that comes back brings no preemption.
func TestFailoverSurvivesAFault(t *testing.T) {
	te := failedOver(t, web())
	te.do(eth0(func(l *Link) { l.Carrier = false }))
	te.do(eth0())
	te.adverts(10*second, second, peer, 100)
	te.wantState("web", StateBackup)
}

// An owner is one again once it is master.
func TestFailoverOfAnOwnerEnds(t *testing.T) {
	te := failedOver(t, web(prio(255)))
	te.advance(3 * second)
	te.wantOnly("advert prio", "web: advert prio=255 interval=1s to=224.0.0.18")
}

// Nobody answers, or nobody healthy: the node goes on as it was.
func TestFailoverNobodyTakesOver(t *testing.T) {
	te := newMaster(t, web())
	te.do(&Failover{Instance: "web"})
	te.lines = nil
	te.advance(bound)
	te.wantOnly("web: ",
		"web: not failed over (nobody was heard to take over within 1.1s); now master",
		"web: advert prio=150 interval=1s to=224.0.0.18",
		"web: notice: nobody was heard to take over: this node stays master at priority 150",
		"web: announce 192.0.2.100/24 eth0",
	)
	te.do(&Failover{Instance: "web"})
	te.lines = nil
	te.advert(peer, DemotedMax-1)
	te.wantOnly("prio",
		"web: not failed over (192.0.2.2 answered with priority 30: it is drained or demoted itself); now master",
		"web: advert prio=150 interval=1s to=224.0.0.18")
	if s := te.status("web"); s.Failover != (FailoverStatus{}) || s.Effective != 150 {
		t.Errorf("%+v, effective %d", s.Failover, s.Effective)
	}
}

// A backup has nothing to give away, and says who has.
func TestFailoverOfABackup(t *testing.T) {
	te := newBackup(t, web())
	te.do(&Failover{Instance: "web"})
	te.want("web: not failed over, 192.0.2.2 with 200 is master (this node is not master); now backup")
	te.do(&Failover{Instance: "nobody"})
	te.wantNone()
}

// Orders that come together have one outcome: the stronger one counts.
func TestOrdersMeet(t *testing.T) {
	te := newMaster(t, web())
	te.do(tryWeb)
	te.lines = nil
	te.do(&Failover{Instance: "web"})
	te.do(tryWeb)
	te.wantNone() // it hands over already
	te.do(&Drain{Instance: "web"})
	te.advance(bound)
	te.wantOnly("web: drained", "web: drained (nobody was heard to take over within 1.1s); now master")

	te = newMaster(t, web())
	te.do(tryWeb)
	te.do(tryWeb) // of two that try, neither stays
	te.advance(bound)
	te.wantOnly("drained", "web: not drained (nobody was heard to take over within 1.1s); now master")
	if te.status("web").Drained {
		t.Error("drained although nobody was heard to take over")
	}

	te = newMaster(t, web())
	te.do(&Failover{Instance: "web"})
	te.do(tryWeb)
	te.lines = nil
	te.advert(peer, 100)
	te.wantOnly("drained,", "web: drained, 192.0.2.2 with 100 took over after 0s; now backup")
	if s := te.status("web"); !s.Drained || s.Failover != (FailoverStatus{}) {
		t.Errorf("drained %v, %+v", s.Drained, s.Failover)
	}
}

// A drain takes the place of a failover, so that an undrain lets the node preempt.
func TestDrainAfterFailover(t *testing.T) {
	te := failedOver(t, web())
	te.do(tryWeb)
	te.do(&Undrain{Instance: "web"})
	te.adverts(4*second, second, peer, 100)
	te.wantState("web", StateMaster)
}

// A group is drained and fails over as one: it has moved when all of it has, and
// stays when one of it must.
func TestGroupOrders(t *testing.T) {
	te := newEdge(t, edge()...)
	te.do(&Drain{Instance: "inside", Try: true})
	te.advert(peer, 100)
	te.wantStates(StateBackup, StateMaster)
	te.wantOnly("drained,") // not yet
	te.advance(5 * time.Millisecond)
	te.advert(addr("198.51.100.2"), 100, fromInside)
	te.wantOnly("drained,",
		"outside: drained, 192.0.2.2 with 100 took over after 0s; now backup",
		"inside: drained, 198.51.100.2 with 100 took over after 5ms; now backup")

	te = newEdge(t, edge(noPreempt)...)
	te.do(&Failover{Instance: "outside"})
	te.advert(peer, 100)
	te.lines = nil
	te.advance(bound)
	te.wantOnly("failed",
		"outside: not failed over, 192.0.2.2 with 100 took over after 0s (inside of the same group: nobody was heard to take over within 1.1s); now backup",
		"inside: not failed over (nobody was heard to take over within 1.1s); now master")
	te.adverts(4*second, second, peer, 100)
	te.wantStates(StateMaster, StateMaster) // what belongs together comes together

	te = newEdge(t, edge()...)
	te.do(&Failover{Instance: "outside"})
	te.hearBoth(100)
	for range 20 {
		te.hearBoth(100)
		te.advance(second)
	}
	te.wantStates(StateBackup, StateBackup)
}

// The two families of an instance are one order: each must find a successor.
func TestDualStackOrders(t *testing.T) {
	dual := web(vips("192.0.2.100/24", "fe80::100/64", "2001:db8::100/64"))
	te := newMaster(t, dual)
	te.do(tryWeb)
	te.advance(5 * time.Millisecond)
	te.advert(peer, 100)
	te.advance(5 * time.Millisecond)
	te.advert(peer6, 100)
	te.wantOnly("drained,", "web: drained, 192.0.2.2 with 100 took over after 10ms; now backup")

	te = newMaster(t, dual)
	te.do(tryWeb)
	te.advert(peer, 100)
	te.lines = nil
	te.advance(bound)
	te.wantOnly("not drained", "web: not drained, 192.0.2.2 with 100 took over after 0s (ipv6: nobody was heard to take over within 1.1s); now master")
}

// A pause while handing over comes before the outcome: first the node listens.
func TestPauseWhileHandingOver(t *testing.T) {
	te := newMaster(t, web())
	te.do(&Failover{Instance: "web"})
	te.now = te.now.Add(5 * second)
	te.lines = nil
	te.do(&Late{By: 4 * second})
	te.do(&Tick{})
	te.want("web: stop announcing eth0")
	te.advert(peer, 100)
	te.wantOnly("failed over,", "web: failed over, 192.0.2.2 with 100 took over after 5s; now backup")

	te = newMaster(t, web()) // nobody heard: it tries again, and then goes on
	te.do(&Failover{Instance: "web"})
	te.now = te.now.Add(5 * second)
	te.do(&Late{By: 4 * second})
	te.lines = nil
	te.advance(3*second + bound)
	te.wantOnly("failed over", "web: not failed over (nobody was heard to take over within 1.1s); now master")
	te.wantState("web", StateMaster)
}

// Once it stops, the node takes no orders.
func TestOrdersWhileStopping(t *testing.T) {
	te := newMaster(t, web())
	te.do(tryWeb)
	te.do(&Stop{})
	te.lines = nil
	te.do(tryWeb)
	te.do(&Failover{Instance: "web"})
	te.wantNone()
}
