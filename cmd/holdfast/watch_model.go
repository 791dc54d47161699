package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
	"github.com/holdfast-vrrp/holdfast/cmd/internal/screen"
)

// watchModel is what a live view knows, and what the person chose in it.
type watchModel struct {
	state *control.Status // the last one that came
	asked time.Time       // when that was
	// err is why there is none since; nil when all is well.
	err    error
	events []*control.Event // the latest at the end
	chosen string           // the name of the selected instance
	top    int              // the first instance on the screen
}

// mostEvents is how many events a live view keeps.
const mostEvents = 500

// take takes in what came.
func (m *watchModel) take(n news) {
	switch {
	case n.event != nil:
		m.add(n.event)
	case n.lost > 0:
		m.note(n.at, "warning", lostText(n.lost))
	case n.err != nil:
		if m.err == nil {
			m.note(n.at, "error", n.err.Error())
		}
		m.err = n.err
	case n.state != nil:
		if m.err != nil {
			m.note(n.at, "info", back(m.state, n.state))
		}
		m.state, m.asked, m.err = n.state, n.at, nil
		m.clamp()
	}
}

// back tells how a daemon is here again.
func back(before, now *control.Status) string {
	if before != nil && !before.Daemon.Started.Equal(now.Daemon.Started) {
		return "the daemon answers again: it was started anew"
	}
	return "the daemon answers again"
}

// lostText tells of events that were missed.
func lostText(n uint64) string {
	return several(n, "event") + " lost: this reader was too slow or away for too long"
}

func (m *watchModel) add(e *control.Event) {
	m.events = append(m.events, e)
	if len(m.events) > mostEvents {
		m.events = slices.Clone(m.events[len(m.events)-mostEvents:])
	}
}

// note puts something among the events that the daemon cannot tell itself.
func (m *watchModel) note(at time.Time, severity, text string) {
	m.add(&control.Event{Time: at, Severity: severity, Text: text})
}

// index is the place of the selected instance.
func (m *watchModel) index() int {
	n := slices.IndexFunc(m.state.Instances, func(i control.Instance) bool { return i.Name == m.chosen })
	return max(0, n)
}

// selected is the selected instance, nil when there is none.
func (m *watchModel) selected() *control.Instance {
	if len(m.state.Instances) == 0 {
		return nil
	}
	return &m.state.Instances[m.index()]
}

// clamp keeps the selection on an instance that there is.
func (m *watchModel) clamp() {
	if i := m.selected(); i != nil {
		m.chosen = i.Name
	}
}

// move moves the selection. rows is how many instances are on the screen.
func (m *watchModel) move(k screen.Key, rows int) {
	last := len(m.state.Instances) - 1
	at := m.index()
	switch k {
	case screen.KeyUp, "k":
		at--
	case screen.KeyDown, "j":
		at++
	case screen.KeyPageUp:
		at -= max(1, rows-1)
	case screen.KeyPageDown, " ":
		at += max(1, rows-1)
	case screen.KeyHome, "g":
		at = 0
	case screen.KeyEnd, "G":
		at = last
	default:
		return
	}
	if last >= 0 {
		m.chosen = m.state.Instances[min(max(at, 0), last)].Name
	}
}

// scroll returns the first of so many instances to show: the selected one is
// among them, and no row is empty that need not be.
func (m *watchModel) scroll(rows int) int {
	at := m.index()
	m.top = min(m.top, at)
	m.top = max(m.top, at-rows+1)
	m.top = max(0, min(m.top, len(m.state.Instances)-rows))
	return m.top
}

// isOld reports a state that says nothing of how things are now.
func (m *watchModel) isOld() bool { return m.err != nil }

// oldness tells since when nothing is known.
func (m *watchModel) oldness(now time.Time) string {
	return fmt.Sprintf("NO ANSWER for %s: this is how it was at %s", age(now.Sub(m.asked)), m.asked.Local().Format("15:04:05"))
}
