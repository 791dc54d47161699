// Command holdfast keeps a virtual IP address on exactly one healthy host.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/config"
)

// Exit statuses.
const (
	exitDone       = 0
	exitRefused    = 1 // refused, failed or unhealthy
	exitUsage      = 2
	exitNotRunning = 3 // no daemon answers
	// exitConfig is of a daemon that has no configuration to run with. systemd is told
	// not to try again then; it calls this status CONFIG (sysexits.h). Go's panics have 2.
	exitConfig = 78
)

// environment is what a command gets from outside.
type environment struct {
	ctx            context.Context
	stdout, stderr io.Writer
}

// command is a subcommand. Its help, the manual page and the completions of the
// shells are made from what is here.
type command struct {
	name, short string
	// args are the arguments beside flags, as the usage line shows them; most
	// is how many there may be.
	args string
	most int
	// long is what the help says before the flags, exit what it says of the
	// exit status.
	long, exit string
	examples   []example
	// setup registers the flags and returns what runs once they are parsed.
	setup func(flags *flag.FlagSet) runner
}

// example is a line that a person might type, and what it is good for.
type example struct{ line, what string }

// runner runs a command with the arguments that are no flags.
type runner func(env *environment, args []string) int

// commands are in the order in which a newcomer needs them.
func commands() []command {
	return []command{
		demoCommand(),
		checkCommand(),
		rehearseCommand(),
		runCommand(),
		statusCommand(),
		explainCommand(),
		eventsCommand(),
		watchCommand(),
		logsCommand(),
		drainCommand(),
		undrainCommand(),
		failoverCommand(),
		announceCommand(),
		reloadCommand(),
		doctorCommand(),
		sniffCommand(),
		versionCommand(),
	}
}

// hiddenCommands are for packages and for the shells; the list of commands
// leaves them out.
func hiddenCommands() []command { return []command{manCommand(), completionCommand()} }

// find returns a command by its name, nil when there is none.
func find(name string) *command {
	for _, c := range slices.Concat(commands(), hiddenCommands()) {
		if c.name == name {
			return &c
		}
	}
	return nil
}

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	env := &environment{ctx, stdout, stderr}
	if len(args) == 0 {
		usage(stderr)
		return exitUsage
	}
	name, args := args[0], args[1:]
	switch name {
	case "help", "-h", "-help", "--help":
		return help(env, args)
	case "-version", "--version":
		name = "version"
	case "__complete": // what the shells ask; its arguments are another command's
		return complete(env, args)
	}
	if c := find(name); c != nil {
		return c.call(env, args)
	}
	return env.noCommand(name)
}

// noCommand tells that there is no such command, and which one may be meant.
func (env *environment) noCommand(name string) int {
	names := []string{"help"}
	for _, c := range commands() {
		names = append(names, c.name)
	}
	meant := ";"
	if near := config.Nearest(name, names); near != "" {
		meant = fmt.Sprintf(": did you mean %q?", near)
	}
	fmt.Fprintf(env.stderr, "holdfast: there is no command %q%s 'holdfast help' lists them\n", name, meant)
	return exitUsage
}

// call parses the flags of a command and runs it. Flags may follow arguments.
func (c *command) call(env *environment, args []string) int {
	if i := indexOf(args, "-h", "-help", "--help"); i >= 0 {
		c.help(env.stdout)
		return exitDone
	}
	flags, run := c.prepare()
	rest, ok := c.parse(env, flags, args)
	if !ok {
		return exitUsage
	}
	return run(env, rest)
}

// prepare returns the flags of a command, silent ones, and what runs it.
func (c *command) prepare() (*flag.FlagSet, runner) {
	flags := flag.NewFlagSet(c.name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	return flags, c.setup(flags)
}

// parse reads flags wherever they stand and returns the other arguments. It
// complains and returns false when they are wrong.
func (c *command) parse(env *environment, flags *flag.FlagSet, args []string) ([]string, bool) {
	var rest []string
	for {
		if err := flags.Parse(args); err != nil {
			return nil, c.misused(env, "%s", flagProblem(flags, err))
		}
		if args = flags.Args(); len(args) == 0 {
			break
		}
		rest, args = append(rest, args[0]), args[1:]
	}
	if len(rest) > c.most {
		return nil, c.misused(env, "%q is one argument too many", rest[c.most])
	}
	return rest, true
}

// misused tells what is wrong with the use of a command; it returns false.
func (c *command) misused(env *environment, format string, args ...any) bool {
	fmt.Fprintf(env.stderr, "holdfast %s: %s; 'holdfast help %s' tells more\n", c.name, fmt.Sprintf(format, args...), c.name)
	return false
}

// flagProblem puts what package flag says into the words people typed: it
// writes every flag with one dash.
func flagProblem(flags *flag.FlagSet, err error) string {
	text := err.Error()
	if name, ok := strings.CutPrefix(text, "flag provided but not defined: -"); ok {
		return "there is no flag --" + strings.TrimPrefix(name, "-")
	}
	if name, ok := strings.CutPrefix(text, "flag needs an argument: -"); ok {
		return "flag --" + name + " needs a value"
	}
	var value, name string
	if n, _ := fmt.Sscanf(text, "invalid boolean value %q for -%s", &value, &name); n == 2 {
		name = strings.TrimSuffix(name, ":")
		if what := taken(flags.Lookup(name)); what != anotherValue { // or none
			return fmt.Sprintf("flag --%s takes %s, not %q", name, what, value)
		}
		return fmt.Sprintf("flag --%s is there or not: it takes no value such as %q", name, value)
	}
	if n, _ := fmt.Sscanf(text, "invalid value %q for flag -%s", &value, &name); n == 2 {
		name = strings.TrimSuffix(name, ":")
		return fmt.Sprintf("flag --%s takes %s, not %q", name, taken(flags.Lookup(name)), value)
	}
	return text
}

const anotherValue = "another value"

// taken says what values a flag takes.
func taken(f *flag.Flag) string {
	if g, ok := f.Value.(flag.Getter); ok {
		switch g.Get().(type) {
		case time.Duration:
			return `a duration such as "2s"`
		case uint, uint64:
			return "a whole number"
		}
	}
	return anotherValue
}

func indexOf(args []string, words ...string) int {
	for i, a := range args {
		for _, w := range words {
			if a == w {
				return i
			}
		}
	}
	return -1
}

func usage(w io.Writer) {
	fmt.Fprint(w, "holdfast keeps a virtual IP address on exactly one healthy host.\n\nusage: holdfast COMMAND [ARGUMENT ...]\n\n")
	for _, c := range commands() {
		fmt.Fprintf(w, "  %-9s %s\n", c.name, c.short)
	}
	fmt.Fprint(w, "  help      tell more about a command\n")
}

func help(env *environment, args []string) int {
	if len(args) == 0 || args[0] == "help" {
		usage(env.stdout)
		return exitDone
	}
	if c := find(args[0]); c != nil {
		c.help(env.stdout)
		return exitDone
	}
	return env.noCommand(args[0])
}

// help writes all that there is to say of a command.
func (c *command) help(w io.Writer) {
	fmt.Fprintf(w, "usage: %s\n\n%s\n", c.usage(), strings.TrimSpace(c.long))
	if list := c.flags(); len(list) > 0 {
		fmt.Fprintln(w)
		t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
		for _, f := range list {
			fmt.Fprintf(t, "  %s\t%s\n", f.form(), f.text)
		}
		t.Flush()
	}
	if len(c.examples) > 0 {
		fmt.Fprintln(w)
		t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
		for _, e := range c.examples {
			fmt.Fprintf(t, "  %s\t# %s\n", e.line, e.what)
		}
		t.Flush()
	}
	if c.exit != "" {
		fmt.Fprintf(w, "\nExit status: %s\n", strings.TrimSpace(c.exit))
	}
}

func (c *command) usage() string {
	line := "holdfast " + c.name
	if len(c.flags()) > 0 {
		line += " [FLAG ...]"
	}
	return strings.TrimSpace(line + " " + c.args)
}

// flagHelp is a flag as people see it.
type flagHelp struct {
	name, value, text string
}

// form is how the flag is written: one of a single letter with one dash.
func (f flagHelp) form() string {
	dashes := "--"
	if len(f.name) == 1 {
		dashes = "-"
	}
	return strings.TrimSpace(dashes + f.name + " " + f.value)
}

// flags lists the flags of a command by name, those that all have at the end.
func (c *command) flags() (list []flagHelp) {
	flags, _ := c.prepare()
	flags.VisitAll(func(f *flag.Flag) {
		value, text := flag.UnquoteUsage(f)
		if b, ok := f.Value.(interface{ IsBoolFlag() bool }); ok && b.IsBoolFlag() {
			value = ""
		}
		if d := f.DefValue; d != "" && d != "false" && d != "0" && d != "0s" {
			text += " (default " + d + ")"
		}
		list = append(list, flagHelp{f.Name, value, text})
	})
	slices.SortStableFunc(list, func(a, b flagHelp) int { return common(a.name) - common(b.name) })
	return list
}

// common is 1 for the flags that most commands have.
func common(name string) int {
	if name == "socket" || name == "config" {
		return 1
	}
	return 0
}

// fail tells an error and returns the exit status for a refusal.
func (env *environment) fail(err error) int {
	fmt.Fprintf(env.stderr, "holdfast: %v\n", err)
	return exitRefused
}

// failAll tells an error that has lines of its own, such as a configuration's.
func (env *environment) failAll(err error) int {
	fmt.Fprintln(env.stderr, strings.TrimRight(err.Error(), "\n"))
	return exitRefused
}
