// Command holdfast keeps a virtual IP address on exactly one healthy host.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/config"
)

// Exit statuses.
const (
	exitDone       = 0
	exitRefused    = 1 // refused, failed or unhealthy
	exitUsage      = 2
	exitNotRunning = 3 // no daemon answers
)

// environment is what a command gets from outside.
type environment struct {
	ctx            context.Context
	stdout, stderr io.Writer
}

// command is a subcommand.
type command struct {
	name, args, short string
	long              string
	run               func(env *environment, flags *flag.FlagSet, args []string) int
}

// commands are in the order in which a newcomer needs them.
func commands() []command {
	return []command{
		demoCommand(),
		checkCommand(),
		rehearseCommand(),
		runCommand(),
		statusCommand(),
		reloadCommand(),
		versionCommand(),
	}
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
	}
	for _, c := range commands() {
		if c.name == name {
			return c.call(env, args)
		}
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
	flags := flag.NewFlagSet(c.name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	if i := indexOf(args, "-h", "-help", "--help"); i >= 0 {
		c.help(env.stdout)
		return exitDone
	}
	return c.run(env, flags, args)
}

// parse reads flags wherever they stand and returns the other arguments. It
// complains and returns false when they are wrong.
func (c *command) parse(env *environment, flags *flag.FlagSet, args []string, most int) ([]string, bool) {
	var rest []string
	for {
		if err := flags.Parse(args); err != nil {
			fmt.Fprintf(env.stderr, "holdfast %s: %s; 'holdfast help %s' tells more\n", c.name, flagProblem(flags, err), c.name)
			return nil, false
		}
		args = flags.Args()
		if len(args) == 0 {
			break
		}
		rest, args = append(rest, args[0]), args[1:]
	}
	if len(rest) > most {
		fmt.Fprintf(env.stderr, "holdfast %s: %q is one argument too many; 'holdfast help %s' tells more\n", c.name, rest[most], c.name)
		return nil, false
	}
	return rest, true
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
		return fmt.Sprintf("flag --%s is there or not: it takes no value such as %q", strings.TrimSuffix(name, ":"), value)
	}
	if n, _ := fmt.Sscanf(text, "invalid value %q for flag -%s", &value, &name); n == 2 {
		name = strings.TrimSuffix(name, ":")
		return fmt.Sprintf("flag --%s takes %s, not %q", name, taken(flags.Lookup(name)), value)
	}
	return text
}

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
	return "another value"
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
	for _, c := range commands() {
		if c.name == args[0] {
			c.help(env.stdout)
			return exitDone
		}
	}
	return env.noCommand(args[0])
}

func (c *command) help(w io.Writer) {
	fmt.Fprintf(w, "usage: %s\n\n%s\n", strings.TrimSpace("holdfast "+c.name+" "+c.args), strings.TrimSpace(c.long))
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
