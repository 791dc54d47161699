package main

import (
	"context"
	"flag"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
)

func drainCommand() command {
	return command{
		name: "drain", short: "hand over to a peer without loss, and stay behind",
		args: "[INSTANCE ...]", most: anyNumber,
		long: `
Hands the instances over, all when none is named, and keeps this node behind
every healthy one until 'holdfast undrain'. It goes on serving until the peer
has taken over, waits for that, and says who it is and how long it took. When
nobody takes over nothing changes: this node goes on as master, not drained.
With --force it stays drained, and serves until a healthy node does.

Instances of a group are drained together. A restart of the daemon ends a drain
unless --persist is given, and so does a reload that changes the instance's
interface, vrid or version.`,
		examples: []example{
			{"sudo holdfast drain", "before maintenance of this host"},
			{`sudo holdfast drain web --for 30m --why "new kernel"`, "one instance, for half an hour at most"},
			{"sudo holdfast drain --persist", "also over a restart and a reboot"},
		},
		exit: operateExit,
		setup: func(flags *flag.FlagSet) runner {
			o := &control.DrainOrder{}
			long := flags.Duration("for", 0, "end it by itself after `TIME`, such as 30m")
			flags.BoolVar(&o.Persist, "persist", false, "keep it over a restart of the daemon, and over a reboot where it has a state directory")
			flags.BoolVar(&o.Force, "force", false, "stay drained also when nobody takes over")
			flags.StringVar(&o.Why, "why", "", "a `REASON` that status shows")
			return operateFlags(flags, func(ctx context.Context, daemon *control.Client, instances []string) (*control.Operated, []byte, error) {
				o.Instances = instances
				if isSet(flags, "for") {
					o.For = long.String()
				}
				return daemon.Drain(ctx, o)
			})
		},
	}
}
