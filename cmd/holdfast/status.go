package main

import (
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
)

func statusCommand() command {
	return command{
		name: "status", short: "tell who is master and why",
		long: `
Asks the running daemon and tells for each instance its state, since when and
why, who is master, which addresses are here and which checks fail.`,
		examples: []example{
			{"holdfast status", "one glance"},
			{"holdfast status --json", "the whole state, for programs"},
		},
		exit: `0 all is well, 1 an instance is in fault or demoted, in conflict
with another master, master without an address, or one of its addresses is on
another interface of this host as well, 3 no daemon answers.`,
		setup: func(flags *flag.FlagSet) runner {
			asJSON := flags.Bool("json", false, "print the whole state as JSON, for programs")
			socket := socketFlags(flags)
			return func(env *environment, _ []string) int {
				path, err := socket()
				if err != nil {
					return env.failAll(err)
				}
				return status(env, path, *asJSON)
			}
		},
	}
}

func status(env *environment, socket string, asJSON bool) int {
	st, raw, err := control.NewClient(socket).Status(env.ctx)
	if err != nil {
		return env.unanswered(err)
	}
	if asJSON {
		env.stdout.Write(raw)
	} else {
		printStatus(env.stdout, st, time.Now())
	}
	return health(st)
}

// health is the exit status that a state deserves.
func health(st *control.Status) int {
	for _, i := range st.Instances {
		if i.State == "fault" || i.Demoted || i.ConflictSince != nil || lacksAddress(&i) || answersElsewhere(&i) {
			return exitRefused
		}
		for _, f := range i.Families {
			if f.State == "fault" {
				return exitRefused
			}
		}
	}
	return exitDone
}

// lacksAddress reports a master without one of its addresses.
func lacksAddress(i *control.Instance) bool {
	return i.State == "master" && slices.ContainsFunc(i.Addresses, func(a control.Address) bool { return !a.Present })
}

// printStatus writes the one glance: a block for each instance, then what
// fails.
func printStatus(w io.Writer, st *control.Status, now time.Time) {
	fmt.Fprintf(w, "%s: %s\n", st.Node, sumUp(st.Instances))
	if st.Daemon.ReloadError != "" {
		fmt.Fprintf(w, "  the last reload was refused: %s\n", indent(st.Daemon.ReloadError))
	}
	if e := st.Daemon.Telemetry.ListenError; e != "" {
		fmt.Fprintf(w, "  metrics and the status page are not served: %s\n", e)
	}
	if d := st.Daemon; d.HooksFailed+d.HooksDropped > 0 {
		fmt.Fprintf(w, "  since the start %d hooks failed and %d events were dropped\n", d.HooksFailed, d.HooksDropped)
	}
	width := 0
	for _, i := range st.Instances {
		width = max(width, len(i.Name))
	}
	for n := range st.Instances {
		printInstance(w, &st.Instances[n], width, now)
	}
	for _, c := range st.Checks {
		if c.State != "healthy" {
			fmt.Fprintf(w, "check %s is %s%s", c.Name, c.State, forHow(c.Since, now))
			if c.LastOutput != "" {
				fmt.Fprintf(w, ": %s", indent(c.LastOutput))
			}
			fmt.Fprintln(w)
		}
	}
}

func sumUp(list []control.Instance) string {
	count := map[string]int{}
	for _, i := range list {
		count[i.State]++
	}
	var parts []string
	for _, s := range []string{"master", "backup", "fault", "init"} {
		if count[s] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", count[s], s))
		}
	}
	return strings.Join(parts, ", ")
}

func printInstance(w io.Writer, i *control.Instance, width int, now time.Time) {
	fmt.Fprintf(w, "\n%-*s  %s for %s: %s\n", width, i.Name, strings.ToUpper(i.State), age(now.Sub(i.Since)), i.Reason)
	line := func(format string, args ...any) {
		fmt.Fprintf(w, "%*s  %s\n", width, "", fmt.Sprintf(format, args...))
	}
	line("%s, vrid %d, priority %s%s", i.Interface, i.VRID, priority(i), group(i))
	if m := i.Master; m != nil && !m.Self {
		line("master is %s, priority %d, heard %s ago", m.Address, m.Priority, age(now.Sub(*m.LastHeard)))
	}
	for _, f := range i.Families {
		if f.State != i.State {
			line("%s is in %s: %s", f.Family, f.State, f.Reason)
		}
	}
	line("addresses %s%s", addresses(i), lease(i))
	for _, a := range i.Addresses {
		if a.Problem != "" {
			line("%s", a.Problem)
		}
	}
	for iface, list := range onOthers(i) {
		line("%s also on %s, where this host may answer for it", shorten(list), iface)
	}
	if i.Demoted {
		line("demoted: %s", indent(i.DemotedWhy))
	}
	if i.Drained {
		line("drained%s", drained(i.Drain, now))
	}
	if f := i.Failover; f != nil {
		line("stands back since a failover %s ago by %s: takes over only if no other node serves", age(now.Sub(f.Since)), f.By)
	}
	if i.ConflictSince != nil {
		line("conflict for %s: another master is heard", age(now.Sub(*i.ConflictSince)))
	}
}

// drained tells by whom, since when and for how long.
func drained(d *control.Drain, now time.Time) string {
	if d == nil {
		return " by the operator"
	}
	text := fmt.Sprintf(" for %s by %s", age(now.Sub(d.Since)), d.By)
	if d.Until != nil {
		text += ", ends in " + age(d.Until.Sub(now))
	}
	if d.Why != "" {
		text += ": " + d.Why
	}
	return text
}

func group(i *control.Instance) string {
	if i.Group == "" {
		return ""
	}
	return ", group " + i.Group
}

func priority(i *control.Instance) string {
	if i.Priority.Base == i.Priority.Effective {
		return fmt.Sprint(i.Priority.Base)
	}
	return fmt.Sprintf("%d (base %d)", i.Priority.Effective, i.Priority.Base)
}

// lease says what becomes of the addresses when this node dies.
func lease(i *control.Instance) string {
	switch {
	case i.State != "master":
		return ""
	case i.LeaseMS == 0:
		return ", no lease"
	}
	return fmt.Sprintf(", lease %ds", i.LeaseMS/1000)
}

// addresses lists the VIPs; when some but not all are here it says which.
func addresses(i *control.Instance) string {
	var here, gone []string
	for _, a := range i.Addresses {
		if a.Present {
			here = append(here, a.Address)
		} else {
			gone = append(gone, a.Address)
		}
	}
	switch {
	case len(gone) == 0:
		return shorten(here) + " (here)"
	case len(here) == 0:
		return shorten(gone) + " (not here)"
	}
	return shorten(here) + " (here), " + shorten(gone) + " (not here)"
}

// onOthers yields the other interfaces that have addresses of an instance.
func onOthers(i *control.Instance) func(yield func(string, []string) bool) {
	return func(yield func(string, []string) bool) {
		for rest := i.Elsewhere; len(rest) > 0; {
			iface, n := rest[0].Interface, 0
			var list []string
			for ; n < len(rest) && rest[n].Interface == iface; n++ {
				list = append(list, rest[n].Address)
			}
			if !yield(iface, list) {
				return
			}
			rest = rest[n:]
		}
	}
}

// answersElsewhere reports a VIP on another interface. On the loopback interface
// it is there on purpose: so does a host that serves behind a balancer.
func answersElsewhere(i *control.Instance) bool {
	return slices.ContainsFunc(i.Elsewhere, func(e control.Elsewhere) bool { return e.Interface != "lo" })
}

func shorten(list []string) string {
	if len(list) > 6 {
		return fmt.Sprintf("%s and %d more", strings.Join(list[:5], " "), len(list)-5)
	}
	return strings.Join(list, " ")
}

func forHow(since *time.Time, now time.Time) string {
	if since == nil {
		return ""
	}
	return " for " + age(now.Sub(*since))
}

// age renders a duration as a person would say it.
func age(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d < time.Minute:
		return d.Truncate(time.Second).String()
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd%02dh", int(d.Hours())/24, int(d.Hours())%24)
}

// indent keeps the further lines of an output below its first one.
func indent(s string) string {
	return strings.ReplaceAll(strings.TrimSpace(s), "\n", "\n    ")
}
