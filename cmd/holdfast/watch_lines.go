package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
)

// watchPrinter writes what a live view would show as lines: each event, and an
// instance whenever its state is another.
type watchPrinter struct {
	out   *eventPrinter
	said  map[string]string // of each instance, last
	state *control.Status
	gone  bool
}

func newWatchPrinter(w io.Writer) *watchPrinter {
	return &watchPrinter{out: newEventPrinter(w), said: map[string]string{}}
}

func (p *watchPrinter) take(n news) {
	say := func(severity, instance, text string) {
		p.out.event(&control.Event{Time: n.at, Severity: severity, Instance: instance, Text: text}, nil)
	}
	switch {
	case n.event != nil:
		p.out.event(n.event, nil)
	case n.lost > 0:
		say("warning", "", lostText(n.lost))
	case n.err != nil:
		if !p.gone {
			say("error", "", n.err.Error())
		}
		p.gone = true
	case n.state != nil:
		if p.gone {
			say("info", "", back(p.state, n.state))
		}
		p.state, p.gone = n.state, false
		for _, i := range n.state.Instances {
			p.out.widen(i.Name)
		}
		for k := range n.state.Instances {
			i := &n.state.Instances[k]
			if text := stateSentence(i); text != p.said[i.Name] {
				say(severityOf(i), i.Name, text)
				p.said[i.Name] = text
			}
		}
	}
}

func severityOf(i *control.Instance) string {
	if isWell(i) {
		return "info"
	}
	return "warning"
}

// stateSentence tells in a line how an instance is. It stays the same while that
// does.
func stateSentence(i *control.Instance) string {
	parts := []string{strings.ToUpper(i.State)}
	if note := noteCell(i); note != "" {
		parts = append(parts, note)
	}
	parts = append(parts, "priority "+priority(i))
	if m := i.Master; m != nil && !m.Self {
		parts = append(parts, fmt.Sprintf("master %s with priority %d", m.Address, m.Priority))
	}
	switch here := hereCell(i); here {
	case "yes":
		parts = append(parts, "addresses here")
	case "no":
		parts = append(parts, "addresses not here")
	default:
		parts = append(parts, here+" addresses here")
	}
	return strings.Join(parts, ", ") + ": " + i.Reason
}
