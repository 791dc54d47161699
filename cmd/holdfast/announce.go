package main

import (
	"context"
	"flag"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
)

func announceCommand() command {
	return command{
		name: "announce", short: "tell the network again where the addresses are",
		args: "[INSTANCE ...]", most: anyNumber,
		long: `
Sends gratuitous ARP and unsolicited neighbour advertisements for the addresses
that this node is master of, as after a take-over. It helps when a switch or a
neighbour keeps a stale entry. Run it on the master.`,
		examples: []example{{"sudo holdfast announce web", "after somebody replaced the switch"}},
		exit:     operateExit,
		setup: func(flags *flag.FlagSet) runner {
			return operateFlags(flags, func(ctx context.Context, daemon *control.Client, instances []string) (*control.Operated, []byte, error) {
				return daemon.Announce(ctx, &control.Selection{Instances: instances})
			})
		},
	}
}
