package main

import (
	"flag"
	"io"
	"slices"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
	"github.com/holdfast-vrrp/holdfast/cmd/internal/screen"
)

func statusCommand() command {
	c := command{
		name: "status", short: "tell who is master and why",
		args: "[INSTANCE ...]", most: anyNumber,
		long: `
Asks the running daemon and tells for each instance, or for those named, its
state, since when and why, who is master, which addresses are here and which
checks fail. Several instances on a wide terminal are a table.`,
		examples: []example{
			{"holdfast status", "one glance"},
			{"holdfast status web --watch", "one instance, again on each change and every 2s"},
			{"holdfast status --json", "the whole state, for programs"},
		},
		exit: `0 all is well, 1 refused, or an instance is in fault or demoted, in
conflict with another master, master without an address, or refuses what another
router sends to it, or hears one with its VRID and none of its addresses, or its
interface is a port of a bridge or bond, or somebody else has put one of its
addresses on this host as well, or the interfaces of this host cannot be listed,
2 wrong usage, 3 no daemon answers. Instances that were not asked for do not
count. With --watch it tells of the last state.`,
	}
	c.setup = func(flags *flag.FlagSet) runner {
		var often every
		asJSON := flags.Bool("json", false, "print the whole state as JSON, for programs")
		flags.Var(&often, "watch", "tell it again on each change and every 2s, or as often as --watch=5s says")
		flags.Var(&often, "w", "short for --watch")
		socket := socketFlags(flags)
		return func(env *environment, args []string) int {
			if *asJSON && often > 0 {
				c.misused(env, "choose one of --json and --watch; 'holdfast events -f --json' is for programs that follow")
				return exitUsage
			}
			path, err := socket()
			switch {
			case err != nil:
				return env.failAll(err)
			case often > 0:
				return watchStatus(env, control.NewClient(path), args, time.Duration(often))
			}
			return status(env, path, args, *asJSON)
		}
	}
	return c
}

// status tells the state of some instances, or of all when none is named.
func status(env *environment, socket string, instances []string, asJSON bool) int {
	st, raw, err := control.NewClient(socket).Status(env.ctx)
	if err != nil {
		return env.unanswered(err)
	}
	if err := choose(st, instances); err != nil {
		return env.fail(err)
	}
	if !asJSON {
		tell(env.stdout, screen.Of(env.stdout), st, time.Now())
		return health(st)
	}
	if len(instances) > 0 {
		if raw, err = chooseJSON(raw, st); err != nil {
			return env.fail(err)
		}
	}
	env.stdout.Write(raw)
	return health(st)
}

const (
	// tableWidth and tableInstances are from when on a table is better to read
	// than blocks.
	tableWidth     = 100
	tableInstances = 3
)

// tell writes the one glance as suits where it goes.
func tell(w io.Writer, t screen.Terminal, st *control.Status, now time.Time) {
	p := &statusPrinter{w: w, now: now, width: t.Width, ink: screen.Ink(t.Colour)}
	if t.Width >= tableWidth && len(st.Instances) >= tableInstances {
		p.table(st)
		return
	}
	p.blocks(st)
}

// health is the exit status that a state deserves.
func health(st *control.Status) int {
	if st.Daemon.ListError != "" || slices.ContainsFunc(st.Instances, func(i control.Instance) bool { return !isWell(&i) }) {
		return exitRefused
	}
	return exitDone
}

// isWell reports an instance that is as it should be, or waits to be.
func isWell(i *control.Instance) bool {
	return i.State != "fault" && !i.Demoted && i.ConflictSince == nil && i.PortOf == "" && !refusesOthers(i) && !meetsStranger(i) && !lacksAddress(i) && !answersElsewhere(i) &&
		!slices.ContainsFunc(i.Families, func(f control.Family) bool { return f.State == "fault" })
}

// refusesOthers reports a router whose adverts are not heeded, nor perhaps those of
// this node by it: neither takes over when it should, or both are master. Nobody can
// help it when the network sends own packets back.
func refusesOthers(i *control.Instance) bool { return i.Refused != nil && !i.Refused.IsOwn() }

// meetsStranger reports a router with this VRID and none of these addresses: one of
// the two clusters serves nobody.
func meetsStranger(i *control.Instance) bool {
	return i.AddressesDiffer != nil && i.AddressesDiffer.Strange
}

// lacksAddress reports a master without one of its addresses.
func lacksAddress(i *control.Instance) bool {
	return i.State == "master" && slices.ContainsFunc(i.Addresses, func(a control.Address) bool { return !a.Present })
}

// answersElsewhere reports a VIP that somebody else has put on this host. On the loopback interface
// it is there on purpose: so does a host that serves behind a balancer.
func answersElsewhere(i *control.Instance) bool {
	return slices.ContainsFunc(i.Elsewhere, func(e control.Elsewhere) bool { return e.Interface != "lo" })
}
