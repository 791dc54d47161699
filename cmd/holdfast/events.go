package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/config"
	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
	"github.com/holdfast-vrrp/holdfast/cmd/internal/screen"
)

func eventsCommand() command {
	return command{
		name: "events", short: "tell what happened, and follow what happens",
		long: `
Tells what happened on this node: changes of state, checks, rivals, repaired
addresses, hooks, reloads, orders, each with its time and cause. The daemon
keeps the last 4096 events, also over its restarts. Times are local.`,
		examples: []example{
			{"holdfast events", "the last 20"},
			{"holdfast events --since 1h", "all of the last hour; or 03:00, 2026-11-25T03:00, or a sequence"},
			{"holdfast events -f --instance web", "follow one instance, also over a restart of the daemon"},
			{"holdfast events -n 5 --severity error", "the last 5 errors"},
			{"holdfast events -f --json", "one object a line, for programs"},
		},
		exit: "0 told, 1 refused, 2 wrong usage, 3 no daemon answers.",
		setup: func(flags *flag.FlagSet) runner {
			var o eventsOptions
			flags.BoolVar(&o.follow, "f", false, "go on with each event as it happens")
			flags.UintVar(&o.last, "n", 0, "tell at most the last `N` events (default 20 without --since)")
			flags.StringVar(&o.since, "since", "", "begin at `TIME`, at a time ago such as 1h or 2d, or after a sequence")
			flags.StringVar(&o.instances, "instance", "", "only events of instance `NAME`, or of several with commas")
			flags.StringVar(&o.kinds, "kind", "", "only events of `KIND`: transition, check, reload...; several with commas")
			flags.StringVar(&o.severity, "severity", "", "only events that are at least `LEVEL`: warning or error")
			flags.BoolVar(&o.json, "json", false, "print one JSON object a line, for programs")
			socket := socketFlags(flags)
			return func(env *environment, _ []string) int {
				q, err := o.query(time.Now())
				if err != nil {
					return env.fail(err)
				}
				path, err := socket()
				if err != nil {
					return env.failAll(err)
				}
				return events(env, control.NewClient(path), q, o)
			}
		},
	}
}

// eventsOptions are the flags of the command.
type eventsOptions struct {
	follow, json                      bool
	last                              uint
	since, instances, kinds, severity string
}

// defaultEvents is how many events are told when nobody says how many.
const defaultEvents = 20

func (o *eventsOptions) query(now time.Time) (q control.EventQuery, err error) {
	q = control.EventQuery{Limit: -1, Instances: list(o.instances), Kinds: list(o.kinds), Severity: o.severity}
	switch {
	case o.last > 0:
		q.Limit = int(min(o.last, 1<<20))
	case o.since == "":
		q.Limit = defaultEvents
	}
	if o.since != "" {
		if q.Since, err = control.ParseSince(o.since, now); err != nil {
			return q, err
		}
	}
	return q, q.Validate()
}

// list takes a list with commas apart.
func list(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

func events(env *environment, daemon *control.Client, q control.EventQuery, o eventsOptions) int {
	out := newEventPrinter(env.stdout)
	show := out.event
	if o.json {
		show = func(_ *control.Event, line []byte) { env.stdout.Write(append(bytes.TrimSpace(line), '\n')) }
	}
	if o.follow {
		if code := unknownInstance(env, daemon, q); code != exitDone {
			return code
		}
		return followEvents(env, daemon, q, show)
	}
	got, err := daemon.EventLines(env.ctx, q)
	if err != nil {
		return env.unanswered(err)
	}
	if lost := got.Answer.Lost; lost > 0 {
		fmt.Fprintf(env.stderr, "holdfast: %s before these are not kept any more\n", several(lost, "event"))
	}
	for n, e := range got.Answer.Events {
		show(e, got.Lines[n])
	}
	if len(got.Lines) == 0 {
		if code := unknownInstance(env, daemon, q); code != exitDone {
			return code
		}
	}
	if len(got.Lines) == 0 && !o.json {
		fmt.Fprintln(env.stderr, "no such event")
	}
	return exitDone
}

// unknownInstance tells when an instance asked for is none of the daemon's, nor was
// one of which it still knows something. It returns the exit status.
func unknownInstance(env *environment, daemon *control.Client, q control.EventQuery) int {
	if len(q.Instances) == 0 {
		return exitDone
	}
	st, _, err := daemon.Status(env.ctx)
	if err != nil {
		return env.unanswered(err)
	}
	names := make([]string, len(st.Instances))
	for n := range st.Instances {
		names[n] = st.Instances[n].Name
	}
	for _, name := range q.Instances {
		if slices.Contains(names, name) {
			continue
		}
		past, _, err := daemon.Events(env.ctx, control.EventQuery{Instances: []string{name}, Limit: 1})
		if err != nil {
			return env.unanswered(err)
		}
		if len(past.Events) > 0 {
			continue
		}
		hint := "; 'holdfast status' lists them"
		if near := config.Nearest(name, names); near != "" {
			hint = fmt.Sprintf(": did you mean %q?", near)
		}
		return env.fail(fmt.Errorf("there is no instance %q, and no event of one%s", name, hint))
	}
	return exitDone
}

// followEvents tells events until somebody interrupts it.
func followEvents(env *environment, daemon *control.Client, q control.EventQuery, show func(*control.Event, []byte)) int {
	ctx, stop := signal.NotifyContext(env.ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	note := func(format string, args ...any) { fmt.Fprintf(env.stderr, "holdfast: "+format+"\n", args...) }
	err := daemon.FollowOn(ctx, q, control.Follower{
		Event: show,
		Lost:  func(n uint64) { note("%s", lostText(n)) },
		Gone:  func(err error) { note("%v; waiting for it to come back", err) },
		Back: func(anew bool) {
			if anew {
				note("the daemon is back, with a new history")
				return
			}
			note("the daemon is back")
		},
	})
	if ctx.Err() != nil {
		return exitDone
	}
	return env.unanswered(err)
}

// several counts things.
func several(n uint64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// eventPrinter writes events for people, a line each; on a terminal as wide as
// that, and with colours.
type eventPrinter struct {
	w      io.Writer
	width  int // of the terminal; 0 when it is none
	ink    screen.Ink
	day    string // that was shown last
	column int    // the width of the names of instances
}

func newEventPrinter(w io.Writer) *eventPrinter {
	t := screen.Of(w)
	return &eventPrinter{w: w, width: t.Width, ink: screen.Ink(t.Colour), column: 4}
}

// maxName is the widest column for names: longer ones push their line to the right.
const maxName = 16

func (p *eventPrinter) event(e *control.Event, _ []byte) {
	at := e.Time.Local()
	if day := at.Format("Mon 2 Jan 2006"); day != p.day {
		fmt.Fprintln(p.w, day)
		p.day = day
	}
	text := strings.Join(strings.Fields(e.Text), " ")
	for _, lead := range []string{": ", " "} { // it has a column of its own
		if rest, ok := strings.CutPrefix(text, e.Instance+lead); ok && e.Instance != "" {
			text = rest
			break
		}
	}
	p.widen(e.Instance)
	name := screen.Clean(e.Instance)
	name += strings.Repeat(" ", max(0, p.column-screen.Width(name)))
	head := fmt.Sprintf("%s  %s  ", at.Format("15:04:05"), name)
	room := p.width - screen.Width(head)
	lines := screen.Wrap(screen.Clean(text), room, room)
	for n, line := range lines {
		if n > 0 {
			head = strings.Repeat(" ", screen.Width(head))
		}
		fmt.Fprintf(p.w, "%s%s\n", head, p.ink.Paint(severityStyle(e.Severity), line))
	}
}

// widen makes room for the name of an instance.
func (p *eventPrinter) widen(name string) {
	p.column = max(p.column, min(screen.Width(screen.Clean(name)), maxName))
}

// severityStyle is how an event looks.
func severityStyle(severity string) screen.Style {
	switch severity {
	case "warning":
		return screen.Warn
	case "error":
		return screen.Alarm
	}
	return screen.Plain
}
