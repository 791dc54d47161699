package main

import (
	"context"
	"flag"
	"os"
	"slices"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
	"github.com/holdfast-vrrp/holdfast/cmd/internal/screen"
)

func watchCommand() command {
	return command{
		name: "watch", short: "see states, checks and events live",
		args: "[INSTANCE ...]", most: anyNumber,
		long: `
Shows the instances, or those named, live on the whole terminal: their states,
who is master and when it was last heard, the selected one in full, how long the
last probes of each check took, and what happens as it happens. It goes on over
a restart of the daemon; while none answers it says since when what it shows is
old. It watches only: no key gives an order.

  q, Ctrl-C             end
  up, down, k, j        select an instance
  page up, page down    a page of them
  home, end, g, G       the first, the last
  Ctrl-L                draw all anew

Without a terminal it writes a line for each event, and one for an instance
whenever its state is another.`,
		examples: []example{
			{"holdfast watch", "this node, live"},
			{"holdfast watch web", "one instance"},
			{"holdfast watch | tee night.log", "a line for whatever happens"},
		},
		exit: "0 you ended it, 1 refused, 2 wrong usage, 3 no daemon answers at first.",
		setup: func(flags *flag.FlagSet) runner {
			socket := socketFlags(flags)
			return func(env *environment, args []string) int {
				path, err := socket()
				if err != nil {
					return env.failAll(err)
				}
				return watchNode(env, control.NewClient(path), args)
			}
		},
	}
}

// pastEvents is with how many events a live view begins.
const pastEvents = 50

// watchNode shows the daemon live until somebody ends it.
func watchNode(env *environment, daemon *control.Client, instances []string) int {
	ctx, stop := untilEnd(env.ctx)
	defer stop()
	st, err := daemon.StatusWithProbes(ctx)
	if err != nil {
		return env.unanswered(err)
	}
	if err := choose(st, instances); err != nil {
		return env.fail(err)
	}
	t := screen.Of(env.stdout)
	full := takesScreen(t)
	query := control.EventQuery{}
	if full {
		query.Limit = pastEvents
	}
	f := &feed{
		every: time.Second,
		state: func(ctx context.Context) (*control.Status, error) {
			st, err := daemon.StatusWithProbes(ctx)
			if err == nil {
				chooseFrom(st, instances)
			}
			return st, err
		},
		events: func(ctx context.Context, to control.Follower) error {
			return daemon.FollowOn(ctx, query, onlyOf(instances, to))
		},
	}
	first := news{at: time.Now(), state: st}
	if !full {
		p := newWatchPrinter(env.stdout)
		p.take(first)
		for n := range f.run(ctx) {
			p.take(n)
		}
		return exitDone
	}
	v := &watchView{watchModel: &watchModel{}, ink: screen.Ink(t.Colour), blocks: t.Blocks}
	v.take(first)
	if err := live(ctx, f.run(ctx), v); err != nil {
		return env.fail(err)
	}
	return exitDone
}

// takesScreen reports whether a live view can have the whole terminal.
func takesScreen(t screen.Terminal) bool {
	return t.Is() && !t.Dumb && screen.Of(os.Stdin).Is()
}

// onlyOf passes on the events of some instances, and those of none in particular.
func onlyOf(instances []string, to control.Follower) control.Follower {
	if len(instances) == 0 {
		return to
	}
	event := to.Event
	to.Event = func(e *control.Event, line []byte) {
		if e.Instance == "" || slices.Contains(instances, e.Instance) {
			event(e, line)
		}
	}
	return to
}
