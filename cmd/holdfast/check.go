package main

import (
	"flag"
	"fmt"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/config"
)

func checkCommand() command {
	c := command{
		name: "check", args: "[FILE]", most: 1, short: "check a configuration file",
		long: `
Checks a configuration file and prints every error with its place, without
touching anything; it needs no root. FILE is ` + config.DefaultPath + ` when
none is named.`,
		examples: []example{
			{"holdfast check", "the installed configuration"},
			{"holdfast check ./holdfast.toml", "before installing it"},
			{"holdfast check --reference", "every key with its documentation"},
		},
		exit: "0 the file is good, 1 it is not, 2 wrong usage.",
	}
	c.setup = func(flags *flag.FlagSet) runner {
		path := flags.String("config", config.DefaultPath, "check `FILE`")
		reference := flags.Bool("reference", false, "print the reference configuration")
		return func(env *environment, args []string) int {
			switch {
			case *reference:
				env.stdout.Write(config.Reference())
				return exitDone
			case len(args) == 1 && isSet(flags, "config"):
				c.misused(env, "name one file, with --config or without")
				return exitUsage
			case len(args) == 1:
				*path = args[0]
			}
			return check(env, *path)
		}
	}
	return c
}

// isSet reports whether a flag was given.
func isSet(flags *flag.FlagSet, name string) (set bool) {
	flags.Visit(func(f *flag.Flag) { set = set || f.Name == name })
	return set
}

func check(env *environment, path string) int {
	cfg, warnings, err := load(path)
	for _, w := range warnings {
		fmt.Fprintf(env.stderr, "%s\n", w)
	}
	if err != nil {
		return env.failAll(err)
	}
	fmt.Fprintf(env.stdout, "%s is good: %s, %s, %s\n", path,
		count(len(cfg.Instances), "instance"), count(len(cfg.Checks), "check"), count(len(cfg.Hooks), "hook"))
	return exitDone
}

// load reads a configuration with its warnings.
func load(path string) (*config.Config, []string, error) {
	cfg, warnings, err := config.Load(path)
	lines := make([]string, len(warnings))
	for n, w := range warnings {
		lines[n] = w.String()
	}
	return cfg, lines, err
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
