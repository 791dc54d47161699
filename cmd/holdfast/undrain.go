package main

import (
	"context"
	"flag"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
)

func undrainCommand() command {
	return command{
		name: "undrain", short: "end a drain, or what a failover left",
		args: "[INSTANCE ...]", most: anyNumber,
		long: `
Lets the instances, all when none is named, compete again after a drain or a
failover, and says what follows: with preempt = true and the higher priority
this node takes over, without a loss.`,
		examples: []example{{"sudo holdfast undrain", "after maintenance of this host"}},
		exit:     operateExit,
		setup: func(flags *flag.FlagSet) runner {
			return operateFlags(flags, func(ctx context.Context, daemon *control.Client, instances []string) (*control.Operated, []byte, error) {
				return daemon.Undrain(ctx, &control.Selection{Instances: instances})
			})
		},
	}
}
