package main

import (
	"context"
	"flag"
	"fmt"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
)

// anyNumber is how many instances a command may name.
const anyNumber = 1 << 20

// operateExit is the exit status of the orders of the operator.
const operateExit = `0 done, 1 refused or not done for each instance, 2 wrong usage,
3 no daemon answers.`

// orderTo gives an order to a daemon.
type orderTo func(ctx context.Context, daemon *control.Client, instances []string) (*control.Operated, []byte, error)

// operateFlags adds what the orders of the operator have in common.
func operateFlags(flags *flag.FlagSet, order orderTo) runner {
	asJSON := flags.Bool("json", false, "print the answer as JSON, for programs")
	socket := socketFlags(flags)
	return func(env *environment, args []string) int {
		path, err := socket()
		if err != nil {
			return env.failAll(err)
		}
		done, raw, err := order(env.ctx, control.NewClient(path), args)
		if err != nil {
			return env.unanswered(err)
		}
		if *asJSON {
			env.stdout.Write(raw)
		} else {
			printOperated(env, done)
		}
		if !done.Done {
			return exitRefused
		}
		return exitDone
	}
}

// printOperated writes a line for each instance: what was done to standard
// output, what was not to standard error.
func printOperated(env *environment, done *control.Operated) {
	for _, r := range done.Results {
		to := env.stdout
		if !r.Done {
			to = env.stderr
		}
		fmt.Fprintf(to, "%s: %s\n", r.Instance, r.Text)
	}
	if done.Note != "" {
		fmt.Fprintln(env.stdout, done.Note)
	}
	if done.Warning != "" {
		fmt.Fprintf(env.stderr, "holdfast: %s\n", done.Warning)
	}
}
