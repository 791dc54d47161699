package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
	"github.com/holdfast-vrrp/holdfast/cmd/internal/logbook"
)

func logsCommand() command {
	return command{
		name: "logs", short: "show the daemon's log, at any level without a restart",
		long: `
Shows the latest lines of the running daemon's log: info and above, 256 KiB of
them, also those that its log_level leaves out. With -f it goes on with what
comes, and then also at level debug (each probe, each hook, each change of
addresses) or trace (each advert). Times are local.`,
		examples: []example{
			{"holdfast logs", "what the daemon still has"},
			{"holdfast logs -f --level debug", "look closer, without a restart"},
			{"holdfast logs --since 10m --level warn", "what went wrong in the last ten minutes"},
			{"holdfast logs -f --json", "one object a line, for programs"},
		},
		exit: "0 told, 1 refused, 2 wrong usage, 3 no daemon answers.",
		setup: func(flags *flag.FlagSet) runner {
			var o logsOptions
			flags.BoolVar(&o.follow, "f", false, "go on with each line as it comes")
			flags.UintVar(&o.last, "n", 0, "show at most the last `N` lines (default all; with -f 10)")
			flags.StringVar(&o.level, "level", "info", "show lines of `LEVEL` and above: trace, debug, info, warn or error")
			flags.StringVar(&o.since, "since", "", "begin at `TIME`, or at a time ago such as 10m")
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
				return logs(env, control.NewClient(path), q, o)
			}
		},
	}
}

// logsOptions are the flags of the command.
type logsOptions struct {
	follow, json bool
	last         uint
	level, since string
}

// followedLines is how many lines are shown before those to come.
const followedLines = 10

func (o *logsOptions) query(now time.Time) (q control.LogQuery, err error) {
	q = control.LogQuery{Level: o.level, Limit: -1}
	switch {
	case o.last > 0:
		q.Limit = int(min(o.last, 1<<20))
	case o.follow && o.since == "":
		q.Limit = followedLines
	}
	if o.since != "" {
		if q.Since, err = control.ParseLogSince(o.since, now); err != nil {
			return q, err
		}
	}
	if err := q.Validate(); err != nil {
		return q, err
	}
	if !q.Kept() && !o.follow {
		return q, errors.New("lines below level info are not kept: add -f to see them as they come")
	}
	return q, nil
}

func logs(env *environment, daemon *control.Client, q control.LogQuery, o logsOptions) int {
	_, color := terminal(env.stdout)
	out := logbook.NewPrinter(env.stdout, color)
	show := func(r *control.LogRecord, _ []byte) { out.Print(r) }
	if o.json {
		show = func(_ *control.LogRecord, line []byte) { env.stdout.Write(append(bytes.TrimSpace(line), '\n')) }
	}
	if o.follow {
		return followLogs(env, daemon, q, show)
	}
	got, lines, err := daemon.Logs(env.ctx, q)
	if err != nil {
		return env.unanswered(err)
	}
	if got.Lost > 0 && o.last == 0 {
		fmt.Fprintf(env.stderr, "holdfast: %s before these are not kept any more; the journal may have them\n", several(got.Lost, "line"))
	}
	for n, r := range got.Records {
		show(r, lines[n])
	}
	if len(lines) == 0 && !o.json {
		fmt.Fprintln(env.stderr, "no such line")
	}
	return exitDone
}

// followLogs shows lines until somebody interrupts it.
func followLogs(env *environment, daemon *control.Client, q control.LogQuery, show func(*control.LogRecord, []byte)) int {
	ctx, stop := signal.NotifyContext(env.ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	note := func(format string, args ...any) { fmt.Fprintf(env.stderr, "holdfast: "+format+"\n", args...) }
	err := daemon.FollowLogs(ctx, q, control.LogFollower{
		Record: show,
		Lost:   func(n uint64) { note("%s lost: this reader was too slow", several(n, "line")) },
		Gone:   func(err error) { note("%v; waiting for it to come back", err) },
		Back:   func() { note("the daemon is back") },
	})
	if ctx.Err() != nil {
		return exitDone
	}
	return env.unanswered(err)
}
