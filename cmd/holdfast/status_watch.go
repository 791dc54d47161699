package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
	"github.com/holdfast-vrrp/holdfast/cmd/internal/screen"
)

// every is a flag that says how often, or only that something is to be done
// again: --watch, --watch=5s.
type every time.Duration

const (
	everyUsually = 2 * time.Second
	everyAtLeast = 100 * time.Millisecond
)

// IsBoolFlag lets it stand without a value.
func (e *every) IsBoolFlag() bool { return true }

// Get makes it a duration for whoever tells of wrong values.
func (e *every) Get() any { return time.Duration(*e) }

func (e *every) String() string { return time.Duration(*e).String() }

// Set takes a duration, or what stands for no value.
func (e *every) Set(s string) error {
	switch s {
	case "true":
		*e = every(everyUsually)
		return nil
	case "false":
		*e = 0
		return nil
	}
	d, err := time.ParseDuration(s)
	if err == nil && d < everyAtLeast {
		err = fmt.Errorf("at least %v", everyAtLeast)
	}
	*e = every(d)
	return err
}

// watchStatus tells the state again and again, until somebody ends it.
func watchStatus(env *environment, daemon *control.Client, instances []string, often time.Duration) int {
	ctx, stop := untilEnd(env.ctx)
	defer stop()
	ask := func(ctx context.Context) (*control.Status, error) {
		st, _, err := daemon.Status(ctx)
		return st, err
	}
	st, err := ask(ctx)
	if err != nil {
		return env.unanswered(err)
	}
	if err := choose(st, instances); err != nil {
		return env.fail(err)
	}
	f := &feed{
		every: often,
		state: func(ctx context.Context) (*control.Status, error) {
			st, err := ask(ctx)
			if err == nil {
				chooseFrom(st, instances)
			}
			return st, err
		},
		events: func(ctx context.Context, to control.Follower) error {
			return daemon.FollowOn(ctx, control.EventQuery{}, onlyOf(instances, to))
		},
	}
	t := screen.Of(env.stdout)
	v := &statusView{terminal: t}
	if takesScreen(t) {
		v.take(news{at: time.Now(), state: st})
		if err := live(ctx, f.run(ctx), v); err != nil {
			return env.fail(err)
		}
		return v.exit()
	}
	for n := range f.run(ctx) {
		v.take(n)
		switch {
		case n.err != nil:
			fmt.Fprintf(env.stdout, "%s: %v\n\n", n.at.Format(time.DateTime), n.err)
		case n.state != nil:
			fmt.Fprintln(env.stdout, n.at.Format(time.DateTime))
			tell(env.stdout, t, n.state, n.at)
			fmt.Fprintln(env.stdout)
		}
	}
	return v.exit()
}

// statusView is the one glance, again and again on the whole terminal.
type statusView struct {
	watchModel
	terminal screen.Terminal
	top, end int // the first line shown, and the last one that can be that
	page     int
}

// exit is the exit status for the state at the end.
func (v *statusView) exit() int {
	if v.isOld() {
		return exitNotRunning
	}
	return health(v.state)
}

// press scrolls.
func (v *statusView) press(k screen.Key) {
	switch k {
	case screen.KeyUp, "k":
		v.top--
	case screen.KeyDown, "j":
		v.top++
	case screen.KeyPageUp:
		v.top -= v.page
	case screen.KeyPageDown, " ":
		v.top += v.page
	case screen.KeyHome, "g":
		v.top = 0
	case screen.KeyEnd, "G":
		v.top = v.end
	}
	v.top = max(0, min(v.top, v.end))
}

// render makes the lines of a screen.
func (v *statusView) render(width, height int, now time.Time) []string {
	t := v.terminal
	t.Width = width
	ink := screen.Ink(t.Colour)
	head := ink.Paint(screen.Dim, "holdfast status, "+now.Format("15:04:05"))
	if v.isOld() {
		head = ink.Paint(screen.Alarm, v.oldness(now))
	}
	var b strings.Builder
	tell(&b, t, v.state, v.asked)
	text := linesOf(b.String())
	v.page = max(1, height-2)
	v.end = max(0, len(text)-v.page)
	v.top = min(v.top, v.end)
	foot := "q quits"
	if v.end > 0 {
		foot += fmt.Sprintf("   up, down, j, k scroll (lines %d to %d of %d)", v.top+1, v.top+v.page, len(text))
	}
	lines := append([]string{head}, text[v.top:min(len(text), v.top+v.page)]...)
	lines = lines[:min(len(lines), max(0, height-1))]
	for len(lines) < height-1 {
		lines = append(lines, "")
	}
	lines = append(lines, ink.Paint(screen.Dim, foot))
	for n := range lines {
		lines[n] = screen.Clip(lines[n], width)
	}
	return lines
}
