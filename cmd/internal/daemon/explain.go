package daemon

import (
	"context"
	"slices"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// Explain implements [control.Backend]. The loop copies what moves together, one
// after the other: to copy all at once would keep adverts waiting.
func (b backend) Explain(ctx context.Context, instance string) (*control.Explained, error) {
	done := &control.Explained{Version: control.Version, Instances: []control.Explanation{}}
	stopping := false
	names, err := ask(ctx, b.d, func(answer func([]string, error)) {
		done.Node, stopping = b.d.cfg.Node.Name, b.d.stopping
		answer(b.d.toExplain(instance))
	})
	if err != nil {
		return nil, err
	}
	explained := map[string]control.Explanation{}
	for _, name := range names {
		if _, known := explained[name]; !known { // else by one of its group
			list, err := b.explainUnit(ctx, name)
			if err != nil {
				return nil, err
			}
			for n := range list {
				explained[list[n].Status.Config.Name] = renderExplanation(&list[n], stopping)
			}
		}
		if x, ok := explained[name]; ok { // else a reload has just removed it
			done.Instances = append(done.Instances, x)
		}
	}
	return done, nil
}

// explainUnit explains an instance and its group.
func (b backend) explainUnit(ctx context.Context, name string) ([]vrrp.Explanation, error) {
	var now time.Time
	e, err := ask(ctx, b.d, func(answer func(*vrrp.Engine, error)) {
		now = b.d.now
		answer(b.d.engine.Copy(name), nil)
	})
	if err != nil || e == nil {
		return nil, err
	}
	return e.Explain(now), nil
}

// toExplain are the names of the instances to explain: of one, or of all when the
// name is empty.
func (d *Daemon) toExplain(instance string) ([]string, error) {
	names := make([]string, len(d.cfg.Instances))
	for n := range d.cfg.Instances {
		names[n] = d.cfg.Instances[n].Name
	}
	switch {
	case instance == "":
		return names, nil
	case !slices.Contains(names, instance):
		return nil, &control.Refused{Err: noInstance(instance, names)}
	}
	return []string{instance}, nil
}

func renderExplanation(x *vrrp.Explanation, stopping bool) control.Explanation {
	i := &x.Status
	c := control.Explanation{
		At: x.At, Name: i.Config.Name, Group: i.Config.Group, State: i.State.String(), Since: i.Since,
		Priority: control.Sum{Base: int(i.Config.Priority), Effective: int(i.Effective)},
	}
	for n := range x.Terms {
		c.Priority.Terms = append(c.Priority.Terms, renderTerm(x, &x.Terms[n]))
	}
	for n := range x.Routers {
		c.Families = append(c.Families, renderVerdict(explained{x: x, status: &i.Routers[n], why: &x.Routers[n]}))
	}
	c.Sentences = sentences(x, stopping)
	return c
}

func renderTerm(x *vrrp.Explanation, t *vrrp.Term) control.Term {
	c := control.Term{Kind: t.Kind.String(), Change: t.Change, Text: termText(x, t)}
	if t.Kind != vrrp.TermCheck {
		return c
	}
	c.Check, c.CheckState = t.Check.Name, "unknown"
	if s := checkOf(x, t.Check.Name); s.Known {
		c.CheckState = "failing"
		if s.Healthy {
			c.CheckState = "healthy"
		}
	}
	switch t.Check.OnFailure {
	case vrrp.Demote:
		c.OnFailure = "demote"
	case vrrp.Release:
		c.OnFailure = "release"
	default:
		c.OnFailure, c.Weight = "weight", t.Check.Weight
	}
	return c
}

// checkOf is how a check of an explanation stands.
func checkOf(x *vrrp.Explanation, name string) vrrp.CheckStatus {
	for _, c := range x.Checks {
		if c.Name == name {
			return c
		}
	}
	return vrrp.CheckStatus{Name: name}
}

func renderVerdict(r explained) control.FamilyExplanation {
	f := control.FamilyExplanation{
		Family: r.status.Family.String(), State: r.status.State.String(), Verdict: r.why.Verdict.String(), Text: r.state(),
		IntervalMS: milliseconds((r.why.Down - r.why.Skew) / 3), SkewMS: milliseconds(r.why.Skew), DownMS: milliseconds(r.why.Down),
		Silence: r.renderSilence(),
	}
	if r.why.Preemption != 0 {
		f.Preemption = r.why.Preemption.String()
	}
	if t := r.status.PreemptAt; !t.IsZero() {
		f.PreemptAt = &t
	}
	if r.why.Peer.IsValid() {
		f.Heard = &control.Master{Address: r.why.Peer.String(), Priority: int(r.why.PeerPriority), LastHeard: &r.why.PeerHeard}
	}
	return f
}

func (r explained) renderSilence() control.Silence {
	s := control.Silence{Text: r.silence(), Changes: []control.Ahead{}, Master: r.status.State == vrrp.StateMaster}
	in := func(t time.Time) float64 { return milliseconds(t.Sub(r.x.At)) }
	for _, c := range r.why.Silence {
		s.Changes = append(s.Changes, control.Ahead{At: c.At, InMS: in(c.At), State: c.State.String(), Text: c.Reason})
		s.Master = c.State == vrrp.StateMaster
	}
	if at, ok := r.why.TakesOver(); ok {
		ms := in(at)
		s.At, s.InMS = &at, &ms
	}
	return s
}
