package sim

import (
	"slices"
	"time"

	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// operatorOrder is a drain or failover whose outcome is open.
type operatorOrder struct {
	at  time.Duration
	try bool
}

// outcomeWithin is longer than any node waits for a successor.
const outcomeWithin = 1500 * time.Millisecond

// ordered tells the daemon what the operator wants, and expects an outcome.
func (n *node) ordered(instance string, ev vrrp.Event) {
	n.call(func() {
		if !n.stopping && n.has(instance) {
			n.expectOutcome(instance, ev)
		}
		n.step(ev)
	})
}

func (n *node) has(instance string) bool {
	for i := range n.configs {
		if n.configs[i].Name == instance {
			return true
		}
	}
	return false
}

func (n *node) expectOutcome(instance string, ev vrrp.Event) {
	o := operatorOrder{at: n.w.now}
	if d, is := ev.(*vrrp.Drain); is && d.Try {
		o.try = true
	}
	n.asked[instance] = o
	if slices.ContainsFunc(n.routers, func(r *router) bool {
		s, _ := n.engine.Standing(r.id)
		return s.Listening
	}) {
		return // it has slept, and listens first
	}
	life := n.life
	n.w.after(outcomeWithin, func() {
		if n.life == life && n.running() && !n.stopping && n.unpaused < o.at && n.asked[instance] == o {
			n.w.fail("order-has-outcome", "%s was given an order for %s %v ago and has not said what came of it", n.spec.Name, instance, outcomeWithin)
		}
	})
}

// judgeOutcome holds what the daemon says of an order against how it stands.
func (n *node) judgeOutcome(o *vrrp.Outcome) {
	order, known := n.asked[o.Instance]
	delete(n.asked, o.Instance)
	for _, i := range n.engine.Snapshot(n.now).Instances {
		stands, bad := !i.Failover.Since.IsZero(), ""
		switch {
		case i.Config.Name != o.Instance:
		case !o.Done && o.Reason == "":
			bad = "does not say why it did not"
		case !o.Failover && o.Done && !i.Drained:
			bad = "is not drained"
		case !o.Failover && !o.Done && i.Drained && known && order.try && i.Config.Group == "":
			bad = "is drained although it is not"
		case o.Failover && o.Done && (!stands || i.State == vrrp.StateMaster):
			bad = "does not stand back"
		case o.Failover && !o.Done && stands && i.State == vrrp.StateMaster:
			bad = "stands back and is master"
		}
		if bad != "" {
			n.w.fail("order-has-outcome", "%s says %+v of %s and %s", n.spec.Name, *o, o.Instance, bad)
		}
	}
}
