package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/config"
	"github.com/holdfast-vrrp/holdfast/cmd/internal/manual"
)

func manCommand() command {
	c := command{
		name: "man", args: "8|5", most: 1, short: "print a manual page",
		long: `
Prints the manual page holdfast(8) or holdfast.toml(5), for man. Its date is the
present day, or that of the seconds in SOURCE_DATE_EPOCH, so that packages can
be built again, byte for byte.`,
		examples: []example{{"holdfast man 5 | man -l -", "read about the configuration where no page is installed"}},
		exit: `0 printed, 1 SOURCE_DATE_EPOCH is no time, 2 there is no such page, or other
wrong usage.`,
	}
	c.setup = func(*flag.FlagSet) runner {
		return func(env *environment, args []string) int {
			date, err := editionDate()
			if err != nil {
				return env.fail(err)
			}
			e := manual.Edition{Version: versionString(), Date: date}
			switch strings.Join(args, "") {
			case "8":
				io.WriteString(env.stdout, manual.Program(manualCommands(), e))
			case "5":
				io.WriteString(env.stdout, manual.Configuration(config.Reference(), e))
			default:
				c.misused(env, "there is page 8, of the program, and page 5, of its configuration")
				return exitUsage
			}
			return exitDone
		}
	}
	return c
}

// editionDate is the day that a page shows.
func editionDate() (time.Time, error) {
	text := os.Getenv("SOURCE_DATE_EPOCH")
	if text == "" {
		return time.Now(), nil
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH must be seconds since 1970, not %q", text)
	}
	return time.Unix(seconds, 0), nil
}

// manualCommands is the table of commands as the manual shows it.
func manualCommands() (list []manual.Command) {
	for _, c := range commands() {
		m := manual.Command{Name: c.name, Short: c.short, Usage: c.usage(), Long: c.long, Exit: c.exit}
		for _, f := range c.flags() {
			m.Flags = append(m.Flags, manual.Term{Form: f.form(), Text: f.text})
		}
		for _, e := range c.examples {
			m.Examples = append(m.Examples, manual.Term{Form: e.line, Text: e.what})
		}
		list = append(list, m)
	}
	return append(list, manual.Command{
		Name: "help", Usage: "holdfast help [COMMAND]",
		Long: "Lists the commands, or tells of one what is above.",
	})
}
