package daemon

import (
	"fmt"
	"strings"

	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// termText tells people what a term of the sum is.
func termText(x *vrrp.Explanation, t *vrrp.Term) string {
	i := &x.Status
	switch t.Kind {
	case vrrp.TermBase:
		if i.Config.Priority == vrrp.PriorityOwner {
			return "base priority: this node is the address owner"
		}
		return "base priority"
	case vrrp.TermCheck:
		return checkText(x, &t.Check)
	case vrrp.TermBounds:
		return fmt.Sprintf("weights leave 1 to %d", vrrp.PriorityOwner-1)
	case vrrp.TermDemoted:
		return fmt.Sprintf("demoted%s: below every healthy and every drained node", troubled(x))
	case vrrp.TermLast:
		return fmt.Sprintf("demoted%s, and the operator wants it behind as well: below every other node", troubled(x))
	case vrrp.TermHandover:
		return "hands over by order: below every healthy node, until one takes over or none does"
	case vrrp.TermDrained:
		return "drained: below every healthy node, above every demoted one"
	case vrrp.TermStandsBack:
		return "stands back since a failover, which an address owner could not"
	}
	return t.Kind.String()
}

// troubled tells what demotes the node beside a check, and when it tries again.
func troubled(x *vrrp.Explanation) string {
	if len(x.Troubles) == 0 {
		return ""
	}
	return fmt.Sprintf(" (%s; tried again in %s)", strings.Join(x.Troubles, "; "), people(x.TroubleUntil.Sub(x.At)))
}

// checkText tells how a check stands, and what it counts.
func checkText(x *vrrp.Explanation, c *vrrp.Check) string {
	s := checkOf(x, c.Name)
	text := fmt.Sprintf("check %s passes", c.Name)
	switch {
	case !s.Known:
		text = fmt.Sprintf("check %s has not answered yet", c.Name)
	case !s.Healthy && s.Reason != "":
		text = fmt.Sprintf("check %s fails: %s", c.Name, s.Reason)
	case !s.Healthy:
		text = fmt.Sprintf("check %s fails", c.Name)
	}
	failing := s.Known && !s.Healthy
	switch {
	case c.OnFailure == vrrp.Demote && !failing:
		return text + " (demotes when it fails)"
	case c.OnFailure == vrrp.Demote:
		return text + " (demotes)"
	case c.OnFailure == vrrp.Release && !failing:
		return text + " (releases when it fails)"
	case c.OnFailure == vrrp.Release:
		return text + " (releases)"
	case x.Status.Config.Priority == vrrp.PriorityOwner:
		return text + " (an address owner is not weighed)"
	case (c.Weight < 0) == failing:
		return text + fmt.Sprintf(" (weight %+d)", c.Weight)
	case c.Weight < 0:
		return text + fmt.Sprintf(" (%+d when it fails)", c.Weight)
	}
	return text + fmt.Sprintf(" (%+d when it passes)", c.Weight)
}
