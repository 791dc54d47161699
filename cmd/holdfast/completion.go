package main

import (
	"embed"
	"flag"
	"strings"
)

// completionScripts are what the shells load; they ask __complete.
//
//go:embed completion
var completionScripts embed.FS

func completionCommand() command {
	c := command{
		name: "completion", args: "bash|zsh|fish", most: 1, short: "print what makes a shell complete commands",
		long: `
Prints a script that makes the shell complete commands, flags and the names of
instances: those of the running daemon, or of the configuration.`,
		examples: []example{
			{"source <(holdfast completion bash)", "in ~/.bashrc"},
			{"source <(holdfast completion zsh)", "in ~/.zshrc, after compinit"},
			{"holdfast completion fish | source", "in ~/.config/fish/config.fish"},
		},
		exit: "0 printed, 2 there is no script for that shell, or other wrong usage.",
	}
	c.setup = func(*flag.FlagSet) runner {
		return func(env *environment, args []string) int {
			script, err := completionScripts.ReadFile("completion/holdfast." + strings.Join(args, ""))
			if err != nil {
				c.misused(env, "name a shell: bash, zsh or fish")
				return exitUsage
			}
			env.stdout.Write(script)
			return exitDone
		}
	}
	return c
}
