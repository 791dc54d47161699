package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
	"github.com/holdfast-vrrp/holdfast/cmd/internal/screen"
)

// watchView draws a live view for a terminal.
type watchView struct {
	*watchModel
	ink    screen.Ink
	blocks bool // sparklines can be of block characters
	rows   int  // instances in the last drawing
}

func (v *watchView) press(k screen.Key) { v.move(k, v.rows) }

// render makes the lines of a screen, from top to bottom: who is what, the
// selected instance in full, the checks, what happened, the keys.
func (v *watchView) render(width, height int, now time.Time) []string {
	lines := v.header(width, now)
	body := max(0, height-len(lines)-1)
	detail := v.detail(width)
	share := v.share(body, len(detail))
	v.rows = share.instances

	lines = append(lines, v.instances(width, share.instances)...)
	lines = append(lines, detail[:min(len(detail), share.detail)]...)
	lines = append(lines, v.checkLines(width, share.checks)...)
	lines = append(lines, v.eventLines(width, share.events)...)
	lines = lines[:min(len(lines), max(0, height-1))]
	for len(lines) < height-1 {
		lines = append(lines, "")
	}
	lines = append(lines, v.footer(width))
	for n := range lines {
		lines[n] = screen.Clip(lines[n], width)
	}
	return lines
}

// linesOf takes a text apart.
func linesOf(text string) []string { return strings.Split(strings.TrimSuffix(text, "\n"), "\n") }

// header names the node and sums it up, the time at the right; below it what is
// wrong with what is shown, or with the daemon.
func (v *watchView) header(width int, now time.Time) []string {
	clock := now.Local().Format("15:04:05")
	left := fmt.Sprintf("%s: %s", screen.Clean(v.state.Node), sumUp(v.state.Instances))
	lines := []string{v.ink.Paint(screen.Bold, screen.Pad(left, max(0, width-len(clock)-1))+" "+clock)}
	if v.isOld() {
		lines = append(lines, v.ink.Paint(screen.Alarm, screen.Cut(v.oldness(now), width)))
	}
	if e := v.state.Daemon.ReloadError; e != "" {
		lines = append(lines, v.ink.Paint(screen.Warn, screen.Cut("the last reload was refused: "+screen.Clean(e), width)))
	}
	if e := v.state.Daemon.ListError; e != "" {
		lines = append(lines, v.ink.Paint(screen.Alarm, screen.Cut("what becomes of interfaces is not seen, since they cannot be listed: "+screen.Clean(e), width)))
	}
	if e := v.state.Daemon.JournalError; e != "" {
		lines = append(lines, v.ink.Paint(screen.Warn, screen.Cut("a restart will not be silent: "+screen.Clean(e), width)))
	}
	return lines
}

// portions are how many lines each part has, titles and gaps included but for
// those of the instances.
type portions struct{ instances, detail, checks, events int }

const (
	// leastEvents is the room for what happened, its title included, where there
	// is any to spare; leastRows that for instances.
	leastEvents = 6
	leastRows   = 3
)

// share divides the lines of a screen. The instances come first; events take
// what is left.
func (v *watchView) share(body, detail int) (p portions) {
	left := body - 1 // the title of the table
	take := func(wanted, keep int) int {
		n := max(0, min(wanted, left-keep))
		left -= n
		return n
	}
	instances := len(v.state.Instances)
	first := take(min(instances, leastRows), 0)
	if wanted := take(min(detail, left/3), 0); wanted >= 3 {
		p.detail = wanted
	} else {
		left += wanted
	}
	if checks := len(v.state.Checks); checks > 0 {
		if p.checks = take(min(checks+2, max(3, body/5)), 0); p.checks < 3 { // a gap, a title and one check
			left += p.checks
			p.checks = 0
		}
	}
	p.instances = first + take(instances-first, min(leastEvents, left/2))
	if p.events = left; p.events < 3 {
		p.events = 0
	}
	return p
}

// instances makes the table, and marks the selected one.
func (v *watchView) instances(width, rows int) []string {
	// All of them, so that columns do not change when it scrolls.
	head, list := instanceTable(v.state, width-2, v.asked, v.ink)
	lines := []string{"  " + head}
	first := v.scroll(rows)
	for n := first; n < min(first+rows, len(list)); n++ {
		mark := "  "
		if v.state.Instances[n].Name == v.chosen {
			mark = v.ink.Paint(screen.Bold, ">") + " "
		}
		lines = append(lines, mark+list[n].text)
	}
	return lines
}

// detail is what status tells of the selected instance, below an empty line.
func (v *watchView) detail(width int) []string {
	i := v.selected()
	if i == nil {
		return nil
	}
	var b strings.Builder
	p := &statusPrinter{w: &b, now: v.asked, width: width, ink: v.ink}
	p.block(i, min(screen.Width(screen.Clean(i.Name)), max(8, width/5)))
	lines := []string{""}
	return append(lines, linesOf(b.String())...)
}

// checkLines tells how the checks do: those that do not pass first, then those of
// the selected instance.
func (v *watchView) checkLines(width, room int) []string {
	if room < 3 {
		return nil
	}
	list := slices.Clone(v.state.Checks)
	rank := func(c control.Check) int {
		i := v.selected()
		switch {
		case c.State != "healthy":
			return 0
		case i != nil && slices.Contains(i.Checks, c.Name):
			return 1
		}
		return 2
	}
	slices.SortStableFunc(list, func(a, b control.Check) int { return rank(a) - rank(b) })
	names := len("CHECK")
	for _, c := range list {
		names = max(names, min(screen.Width(screen.Clean(c.Name)), max(8, width/4)))
	}
	title := screen.Pad("CHECK", names) + gap + "STATE    " + gap + "   LAST" + gap + "RECENT"
	lines := []string{"", v.ink.Paint(screen.Bold, screen.Cut(title, width))}
	for n := range list {
		if len(lines) == room-1 && n < len(list)-1 {
			return append(lines, fmt.Sprintf("and %d more", len(list)-n))
		}
		lines = append(lines, v.checkLine(&list[n], names, width))
	}
	return lines
}

func (v *watchView) checkLine(c *control.Check, names, width int) string {
	style := screen.Plain
	if c.State == "failing" {
		style = screen.Alarm
	}
	state := screen.Pad(c.State, len("unhealthy"))
	took := ""
	if c.LastAt != nil {
		took = shortMS(c.LastDurationMS)
	}
	used := names + 2*len(gap) + len(state) + 7
	line := screen.Pad(screen.Clean(c.Name), names) + gap + v.ink.Paint(style, state) + gap + fmt.Sprintf("%7s", took)
	if used > width {
		return screen.Cut(screen.Pad(screen.Clean(c.Name), names)+gap+c.State, width)
	}
	room := width - used - len(gap)
	if room < 8 {
		return line
	}
	probes := c.Recent[max(0, len(c.Recent)-room):]
	line += gap + v.sparkline(probes)
	if room -= len(probes) + len(gap); c.State != "healthy" && c.LastOutput != "" && room > 8 {
		line += gap + screen.Cut(screen.Clean(strings.TrimSpace(c.LastOutput)), room)
	}
	return line
}

// shortMS is a duration in few characters.
func shortMS(ms float64) string {
	switch {
	case ms < 10:
		return fmt.Sprintf("%.1fms", ms)
	case ms < 10_000:
		return fmt.Sprintf("%.0fms", ms)
	}
	return fmt.Sprintf("%.0fs", ms/1000)
}

// eventLines tells the latest events, below a title.
func (v *watchView) eventLines(width, room int) []string {
	if room < 3 {
		return nil
	}
	var b strings.Builder
	p := &eventPrinter{w: &b, width: width, ink: v.ink, column: 4}
	list := v.events[max(0, len(v.events)-room):]
	for _, e := range list {
		p.widen(e.Instance)
	}
	for _, e := range list {
		p.event(e, nil)
	}
	lines := linesOf(b.String())
	lines = lines[max(0, len(lines)-(room-2)):]
	return append([]string{"", v.ink.Paint(screen.Bold, "EVENTS")}, lines...)
}

func (v *watchView) footer(width int) string {
	keys := "q quits"
	if len(v.state.Instances) > 1 {
		keys += "   up, down, j, k select"
		if all := len(v.state.Instances); v.rows < all {
			keys += fmt.Sprintf(" (%d of %d)", v.index()+1, all)
		}
	}
	return v.ink.Paint(screen.Dim, screen.Cut(keys, width))
}
