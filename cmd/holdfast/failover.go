package main

import (
	"context"
	"flag"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
)

func failoverCommand() command {
	return command{
		name: "failover", short: "let a healthy peer take over once, without loss",
		args: "[INSTANCE ...]", most: anyNumber,
		long: `
Moves the mastership of the instances, all when none is named, to a healthy
peer now, waits until it has taken over, and says who it is and how long it
took. Run it on the master. This node takes part as before, but does not take
back by preemption: only when the peer dies, releases or is demoted, or after
'holdfast undrain' or a restart of the daemon. When no healthy peer takes over
this node goes on as master; nothing can force it to leave nobody serving.`,
		examples: []example{
			{"sudo holdfast failover web", "try that the peer serves"},
			{"sudo holdfast failover && sudo holdfast undrain", "and take it back"},
		},
		exit: operateExit,
		setup: func(flags *flag.FlagSet) runner {
			return operateFlags(flags, func(ctx context.Context, daemon *control.Client, instances []string) (*control.Operated, []byte, error) {
				return daemon.Failover(ctx, &control.Selection{Instances: instances})
			})
		},
	}
}
