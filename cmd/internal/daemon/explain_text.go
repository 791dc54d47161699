package daemon

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// explained is one virtual router of an explanation.
type explained struct {
	x      *vrrp.Explanation
	status *vrrp.RouterStatus
	why    *vrrp.RouterExplanation
	also   netip.Addr // the other router in the other family, where one is said for both
	// stopping is set when the daemon is.
	stopping bool
}

func (r explained) ago(t time.Time) string { return people(r.x.At.Sub(t)) + " ago" }
func (r explained) in(t time.Time) string  { return people(max(0, t.Sub(r.x.At))) }

// sentences tell people all of it. What is the same for both families of an
// instance is said once.
func sentences(x *vrrp.Explanation, stopping bool) []control.Sentence {
	routers := make([]explained, len(x.Routers))
	for n := range routers {
		routers[n] = explained{x: x, status: &x.Status.Routers[n], why: &x.Routers[n], stopping: stopping}
	}
	family := func(r explained) string { return r.status.Family.String() }
	if len(routers) == 2 && alike(routers[0], routers[1]) {
		n := slower(routers[0], routers[1])
		routers[n].also = routers[1-n].why.Peer
		routers = routers[n : n+1]
	}
	if len(routers) == 1 {
		family = func(explained) string { return "" }
	}
	var list []control.Sentence
	add := func(about, family, text string) {
		if text != "" {
			list = append(list, control.Sentence{About: about, Family: family, Text: text})
		}
	}
	for _, r := range routers {
		add("state", family(r), r.state())
	}
	for _, r := range routers {
		add("preempt", family(r), r.preempt())
	}
	add("drain", "", drained(x))
	add("failover", "", standsBack(x))
	for _, r := range routers {
		add("silence", family(r), r.silence())
	}
	return list
}

// alike reports whether two routers have the same said of them.
func alike(a, b explained) bool {
	v, w := a.why, b.why
	same := v.Verdict == w.Verdict && v.Preemption == w.Preemption && v.Down == w.Down &&
		v.Peer.IsValid() == w.Peer.IsValid() && (v.PeerPriority == w.PeerPriority || v.Verdict == vrrp.VerdictMaster) &&
		a.status.ConflictSince.IsZero() == b.status.ConflictSince.IsZero() && len(v.Silence) == len(w.Silence)
	if same && (v.Verdict == vrrp.VerdictFault || v.Verdict == vrrp.VerdictInit) {
		same = a.status.Reason == b.status.Reason
	}
	for n := 0; same && n < len(v.Silence); n++ {
		same = v.Silence[n].State == w.Silence[n].State && v.Silence[n].At.Sub(w.Silence[n].At).Abs() < v.Down/3
	}
	return same
}

// slower is which of two takes over later.
func slower(a, b explained) int {
	at, _ := a.why.TakesOver()
	if other, ok := b.why.TakesOver(); ok && other.After(at) {
		return 1
	}
	return 0
}

// peer names the other router, by the addresses of both families where they are
// spoken of together.
func (r explained) peer() string {
	switch {
	case !r.also.IsValid():
		return r.why.Peer.String()
	case r.also.Is4():
		return fmt.Sprintf("%v (%v)", r.also, r.why.Peer)
	}
	return fmt.Sprintf("%v (%v)", r.why.Peer, r.also)
}

// state tells who is master, and why this node is or is not.
func (r explained) state() string {
	own := r.x.Status.Effective
	switch r.why.Verdict {
	case vrrp.VerdictMaster:
		return r.master()
	case vrrp.VerdictHandingOver:
		then := fmt.Sprintf("at priority %d", own)
		if r.x.Status.Drain.Trying || r.x.Order != nil && r.x.Order.Failover {
			then = "as before, and the order is void"
		}
		return fmt.Sprintf("This node hands over, and serves until another one has taken over. If none does within %s, it stays master %s.", r.in(r.status.Deadline), then)
	case vrrp.VerdictListening:
		return fmt.Sprintf("This node is master, but could not act for a while: it listens for another %s whether somebody has taken over.", r.in(r.status.Deadline))
	case vrrp.VerdictNoMaster:
		return fmt.Sprintf("This node has listened for %s and has heard no master.", people(r.x.At.Sub(r.status.Since)))
	case vrrp.VerdictReleased:
		return fmt.Sprintf("%s gave up the mastership %s.", r.peer(), r.ago(r.why.PeerHeard))
	case vrrp.VerdictOutranked:
		return fmt.Sprintf("%s is master with priority %d, more than the %d of this node. %s", r.peer(), r.why.PeerPriority, own, r.heard())
	case vrrp.VerdictEqual:
		return fmt.Sprintf("%s is master with the same priority of %d, and no backup takes over from an equal. %s", r.peer(), own, r.heard())
	case vrrp.VerdictTakingOver, vrrp.VerdictHeldBack:
		return fmt.Sprintf("%s is master with priority %d, less than the %d of this node. %s. %s", r.peer(), r.why.PeerPriority, own, r.weaker(), r.heard())
	case vrrp.VerdictFault:
		text := fmt.Sprintf("This node cannot take part: %s.", r.status.Reason)
		if !r.why.RetryAt.IsZero() {
			text += fmt.Sprintf(" It tries again in %s.", r.in(r.why.RetryAt))
		}
		return text
	}
	text := fmt.Sprintf("This node does not take part yet: %s", r.status.Reason)
	if !r.why.ReadyAt.IsZero() {
		text += fmt.Sprintf(", %s of it left", r.in(r.why.ReadyAt))
	}
	return text + "."
}

// master tells of this node as master.
func (r explained) master() string {
	text := fmt.Sprintf("This node is master: %s.", r.status.Reason)
	if why := r.behind(); why != "" {
		text += fmt.Sprintf(" It serves although it is %s, because no healthy node has taken over.", why)
	}
	if t := r.status.ConflictSince; !t.IsZero() {
		text += fmt.Sprintf(" But %v is master, too, and has been heard for %s: it does not hear this node, or the two disagree. 'holdfast doctor' tells which.", r.status.Rival, people(r.x.At.Sub(t)))
	}
	return text
}

// behind is what puts this node behind every healthy one; empty when nothing does.
func (r explained) behind() string {
	switch i := &r.x.Status; {
	case i.Demoted && i.Drained:
		return "demoted and drained"
	case i.Demoted:
		return "demoted"
	case i.Drained:
		return "drained"
	}
	return ""
}

// heard tells of the adverts of the master, and whether they are overdue.
func (r explained) heard() string {
	interval := (r.why.Down - r.why.Skew) / 3
	text := fmt.Sprintf("It was heard %s and speaks every %v.", r.ago(r.why.PeerHeard), interval)
	if r.x.At.Sub(r.why.PeerHeard) > interval+interval/2 {
		text = fmt.Sprintf("It was last heard %s although it speaks every %v: it may be gone.", r.ago(r.why.PeerHeard), interval)
	}
	return text
}

// weaker tells what this node does about a weaker master, and why.
func (r explained) weaker() string {
	cfg := &r.x.Status.Config
	takes := fmt.Sprintf("This node takes over in %s", r.in(r.status.Deadline))
	switch r.why.Preemption {
	case vrrp.PreemptOwner:
		return takes + ": an address owner always does"
	case vrrp.PreemptHealthy:
		return takes + ", whatever preempt says: that one is demoted or drained, and this one is not"
	case vrrp.PreemptGroup:
		return takes + fmt.Sprintf(": it is master in group %s already, which stays together", cfg.Group)
	case vrrp.PreemptStandsBack:
		return "This node leaves it alone: it stands back since a failover"
	case vrrp.PreemptOff:
		return "This node leaves it alone: preempt = false, and that one is healthy"
	case vrrp.PreemptDelayed:
		if r.status.PreemptAt.IsZero() {
			return fmt.Sprintf("This node waits for %v before it takes over (preempt)", cfg.PreemptDelay)
		}
		return fmt.Sprintf("This node waits for another %s of its preempt delay of %v, and takes over within %s after that",
			r.in(r.status.PreemptAt), cfg.PreemptDelay, people(r.why.Down))
	}
	if cfg.PreemptDelay > 0 {
		return takes + fmt.Sprintf(": its preempt delay of %v is over", cfg.PreemptDelay)
	}
	return takes + " (preempt = true)"
}

// preempt tells what this node would do about a weaker master.
func (r explained) preempt() string {
	cfg := &r.x.Status.Config
	switch v := r.why.Verdict; {
	case v != vrrp.VerdictOutranked && v != vrrp.VerdictEqual:
		return ""
	case r.behind() != "", !r.x.Status.Failover.Since.IsZero():
		return "" // that goes before it
	case !cfg.Preempt:
		return "Even with a higher priority this node would leave a healthy master alone (preempt = false)."
	case cfg.PreemptDelay > 0:
		return fmt.Sprintf("With a higher priority than the master this node would take over after %v (preempt).", cfg.PreemptDelay)
	}
	return "With a higher priority than the master this node would take over (preempt = true)."
}

// drained tells who drained the node, for how long and why, and how that ends.
func drained(x *vrrp.Explanation) string {
	d := x.Status.Drain
	if !x.Status.Drained {
		return ""
	}
	text := fmt.Sprintf("Drained %s ago by %s", people(x.At.Sub(d.Since)), d.By)
	if !d.Until.IsZero() {
		text += ", for another " + people(d.Until.Sub(x.At))
	}
	if d.Why != "" {
		text += ": " + d.Why
	}
	return text + fmt.Sprintf(". 'holdfast undrain %s' ends it.", x.Status.Config.Name)
}

// standsBack tells what is left of a failover.
func standsBack(x *vrrp.Explanation) string {
	f := x.Status.Failover
	if f.Since.IsZero() {
		return ""
	}
	return fmt.Sprintf("Since the failover that %s ordered %s ago this node leaves a healthy master alone, until it was master again or 'holdfast undrain %s'.",
		f.By, people(x.At.Sub(f.Since)), x.Status.Config.Name)
}
