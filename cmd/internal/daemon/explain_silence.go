package daemon

import (
	"fmt"
	"strings"
	"time"

	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// silence tells what would happen if the master fell silent now.
func (r explained) silence() string {
	if r.stopping {
		return "This node is stopping: it takes over no more, whoever falls silent."
	}
	switch r.status.State {
	case vrrp.StateMaster:
		return r.ownSilence()
	case vrrp.StateBackup:
		return r.takeOver()
	}
	if len(r.why.Silence) > 0 {
		return fmt.Sprintf("If nobody speaks, this node %s.", r.ahead())
	}
	then := fmt.Sprintf("it listens for %s first", people(r.why.Down))
	if r.x.Status.Effective == vrrp.PriorityOwner {
		then = "it is master at once"
	}
	return fmt.Sprintf("If the master fell silent now, this node would not take over. Once it takes part, %s.", then)
}

// takeOver tells when a backup takes over.
func (r explained) takeOver() string {
	at, ok := r.why.TakesOver()
	if !ok || len(r.why.Silence) > 1 {
		return fmt.Sprintf("If nobody speaks, this node %s.", r.ahead())
	}
	text := fmt.Sprintf("If %s fell silent now, this node would be master in %s", r.peer(), r.in(at))
	switch r.why.Verdict {
	case vrrp.VerdictNoMaster, vrrp.VerdictReleased:
		text = fmt.Sprintf("If nobody speaks, this node is master in %s", r.in(at))
	case vrrp.VerdictTakingOver:
		text = fmt.Sprintf("If %s fell silent now, that would change nothing: this node is master in %s", r.peer(), r.in(at))
	}
	if r.masterHeard() && r.why.Verdict != vrrp.VerdictTakingOver && at.Equal(r.why.PeerHeard.Add(r.why.Down)) {
		text += fmt.Sprintf(": 3 adverts of %v and a skew of %s after the last advert", (r.why.Down-r.why.Skew)/3, people(r.why.Skew))
	}
	if why := r.behind(); why != "" {
		text += fmt.Sprintf(". It would although it is %s: somebody must serve", why)
	}
	if r.x.Status.Effective < vrrp.PriorityOwner-1 {
		text += ". A backup of higher priority would come first"
	}
	return text + "."
}

// masterHeard reports whether a master is known, and has not let go.
func (r explained) masterHeard() bool {
	return r.why.Peer.IsValid() && r.why.PeerPriority != vrrp.PriorityRelease
}

// ahead lists the changes of state that come by themselves.
func (r explained) ahead() string {
	var list []string
	for _, c := range r.why.Silence {
		switch in := r.in(c.At); c.State {
		case vrrp.StateBackup:
			list = append(list, fmt.Sprintf("begins to listen in %s", in))
		case vrrp.StateMaster:
			list = append(list, fmt.Sprintf("is master in %s", in))
		default:
			list = append(list, fmt.Sprintf("is in %v in %s: %s", c.State, in, c.Reason))
		}
	}
	return strings.Join(list, " and ")
}

// removalLate is how long after the end of a lease the kernel may keep an address.
const removalLate = time.Second

// ownSilence tells what would happen if this node, as master, fell silent.
func (r explained) ownSilence() string {
	cfg := &r.x.Status.Config
	switch {
	case len(r.why.Silence) > 0:
		return fmt.Sprintf("As things are, this node %s.", r.ahead())
	case r.why.Verdict != vrrp.VerdictMaster:
		return "" // which is not for long
	}
	skew := cfg.AdvertInterval
	if cfg.Version == vrrp.Version2 {
		skew = time.Second
	}
	text := fmt.Sprintf("If this node fell silent now, a backup would be master %v to %v after its last advert, which left %s",
		3*cfg.AdvertInterval, 3*cfg.AdvertInterval+skew, r.ago(r.why.Spoke))
	if cfg.Lease > 0 {
		text += fmt.Sprintf(". If only its daemon died, the kernel would take the addresses off this host within %v (lease)", cfg.Lease+removalLate)
	} else {
		text += ". If only its daemon died, the addresses would stay on this host, because lease is off"
	}
	return text + ". Backups are silent, so this node cannot tell whether there is one."
}
