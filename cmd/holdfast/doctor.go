package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os/signal"
	"syscall"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/config"
	"github.com/holdfast-vrrp/holdfast/cmd/internal/doctor"
)

func doctorCommand() command {
	c := command{
		name: "doctor", args: "[INSTANCE ...]", most: anyNumber, short: "find what makes pairs fail, and say what to do",
		long: `
Looks for what makes pairs fail in the field, at this host and at the wire, and
says what to do about each thing it finds, in lines to paste. Run it before the
first start, after one, and when something is strange: it changes nothing, and
works with and without a running daemon. Without root it says what it could not
look at. On the wire it listens, and asks who has the addresses (ARP probes,
neighbour solicitations); it sends no adverts.

  error    the pair cannot work like this
  warning  it will fail some day
  unseen   something could not be looked at, and why
  info     worth knowing`,
		examples: []example{
			{"sudo holdfast doctor", "everything in the installed configuration"},
			{"sudo holdfast doctor --config ./holdfast.toml", "before installing it"},
			{"sudo holdfast doctor --wait 0s web", "one instance, without listening to the wire"},
			{"sudo holdfast doctor --json", "for programs"},
		},
		exit: `0 nothing wrong was found, 1 an error or a warning was found or the
configuration is refused, 2 wrong usage.`,
	}
	c.setup = func(flags *flag.FlagSet) runner {
		path := flags.String("config", config.DefaultPath, "the configuration is `FILE`")
		asJSON := flags.Bool("json", false, "print JSON, for programs")
		verbose := flags.Bool("v", false, "list also what is all right")
		wait := flags.Duration("wait", 5*time.Second, "listen to the wire for `TIME`")
		return func(env *environment, args []string) int {
			if *wait < 0 || *wait > time.Hour {
				c.misused(env, "--wait must be from 0s to 1h")
				return exitUsage
			}
			cfg, warnings, err := load(*path)
			for _, w := range warnings {
				fmt.Fprintln(env.stderr, w)
			}
			if err != nil {
				return env.failAll(err)
			}
			ctx, stop := signal.NotifyContext(env.ctx, syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			x, err := doctor.New(ctx, cfg, args, *wait)
			if unknown, ok := errors.AsType[*doctor.UnknownError](err); ok {
				c.misused(env, "%v", unknown)
				return exitUsage
			}
			if err != nil {
				return env.fail(err)
			}
			return examine(ctx, env, x, *asJSON, *verbose)
		}
	}
	return c
}

// examine makes all tests and tells what they found.
func examine(ctx context.Context, env *environment, x *doctor.Examination, asJSON, verbose bool) int {
	end := progress(env.stderr, x)
	r := x.Report(x.Run(ctx))
	end()
	if ctx.Err() != nil {
		return env.fail(errors.New("interrupted before everything was looked at"))
	}
	var err error
	if asJSON {
		err = r.WriteJSON(env.stdout)
	} else {
		width, color := terminal(env.stdout)
		err = (&doctor.Text{W: env.stdout, Width: width, Color: color, Verbose: verbose}).Write(r)
	}
	if err != nil {
		return env.fail(err)
	}
	if r.Worst >= doctor.Warning {
		return exitRefused
	}
	return exitDone
}
