package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/config"
	"github.com/holdfast-vrrp/holdfast/cmd/internal/rehearsal"
)

func rehearseCommand() command {
	c := command{
		name: "rehearse", args: "FILE FILE ...", most: math.MaxInt, short: "play every failure with these configurations",
		long: `
Takes the configurations of all nodes of a pair or group, puts the nodes on a
simulated network, and plays every failure: each node dies, freezes, is
unplugged, is heard or hears no more, each check fails, each planned stop and
return; then every two of them one after the other. Prints who serves before,
during and after, how long nobody or two serve, and what will surprise. Nothing
on this machine is touched; it needs no root and takes seconds.`,
		examples: []example{
			{"holdfast rehearse lb1.toml lb2.toml", "each failure, and each two of them"},
			{"holdfast rehearse lb1.toml lb2.toml --trace 'lb1 loses power'", "one of them as a story"},
		},
		exit: `0 after everything exactly one node serves, 1 it does not or a
configuration is wrong, 2 wrong usage.`,
	}
	c.setup = func(flags *flag.FlagSet) runner {
		var o rehearsal.Options
		singles := flags.Bool("singles", false, "leave the pairs of failures out")
		asJSON := flags.Bool("json", false, "print the whole report as JSON, for programs")
		flags.Uint64Var(&o.Seed, "seed", 1, "let chance decide by seed `N`")
		flags.DurationVar(&o.Stall, "pause", 0, "nodes may stand still for `TIME`, such as 2s, as virtual machines do")
		flags.StringVar(&o.Trace, "trace", "", "tell the story of the failures whose name contains `TEXT`")
		return func(env *environment, files []string) int {
			switch {
			case len(files) < 2:
				c.misused(env, "name the configuration files of at least two nodes")
				return exitUsage
			case o.Stall < 0 || o.Stall > time.Hour:
				c.misused(env, "--pause must be from 0s to 1h")
				return exitUsage
			}
			o.Pairs = !*singles
			return rehearse(env, files, o, *asJSON)
		}
	}
	return c
}

func rehearse(env *environment, files []string, o rehearsal.Options, asJSON bool) int {
	nodes, err := rehearsed(env, files)
	if err != nil {
		return env.failAll(err)
	}
	r, err := rehearsal.Run(nodes, o)
	if err != nil {
		return env.fail(err)
	}
	if o.Trace != "" && !told(r) {
		return env.fail(fmt.Errorf("no failure has %q in its name; without --trace all are listed", o.Trace))
	}
	if asJSON {
		e := json.NewEncoder(env.stdout)
		e.SetIndent("", "  ")
		if err := e.Encode(r); err != nil {
			return env.fail(err)
		}
	} else {
		printRehearsal(env.stdout, r)
	}
	if r.Bad {
		return exitRefused
	}
	return exitDone
}

// rehearsed reads the files. A node without a name is called after its file.
func rehearsed(env *environment, files []string) ([]rehearsal.Node, error) {
	var nodes []rehearsal.Node
	var errs []error
	used := map[string]bool{}
	for _, path := range files {
		text, err := config.Read(path)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		cfg, warnings, err := config.Parse(path, text)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, w := range warnings {
			fmt.Fprintln(env.stderr, w.String())
		}
		name := cfg.Node.Name
		if base := strings.TrimSuffix(filepath.Base(path), ".toml"); name == "" || used[name] {
			name = base
		}
		for n := 2; used[name]; n++ {
			name = fmt.Sprintf("%s-%d", strings.TrimSuffix(filepath.Base(path), ".toml"), n)
		}
		used[name] = true
		nodes = append(nodes, rehearsal.Node{Name: name, Instances: cfg.Instances})
	}
	return nodes, errors.Join(errs...)
}

// told reports whether any scenario has its story.
func told(r *rehearsal.Report) bool {
	for _, list := range [][]rehearsal.Scenario{r.Failures, r.Pairs} {
		for _, s := range list {
			if len(s.Trace) > 0 {
				return true
			}
		}
	}
	return false
}

func printRehearsal(w io.Writer, r *rehearsal.Report) {
	for _, i := range r.Instances {
		fmt.Fprintf(w, "%s: %s, vrid %d, on %s\n", i.Name, shorten(i.Addresses), i.VRID, andList(i.Nodes))
	}
	fmt.Fprintln(w)
	printScenarios(w, r, r.Failures)
	if r.PairsTried > 0 {
		fmt.Fprintf(w, "\nOf %d pairs of failures ", r.PairsTried)
		if len(r.Pairs) == 0 {
			fmt.Fprintln(w, "none ends or goes worse than each alone.")
		} else {
			fmt.Fprintf(w, "%s worse than each alone:\n", isAre(len(r.Pairs)))
			printScenarios(w, r, r.Pairs)
		}
	}
	printFindings(w, r.Findings)
	printStories(w, r)
}

func printScenarios(w io.Writer, r *rehearsal.Report, list []rehearsal.Scenario) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	several := len(r.Instances) > 1
	column := func(s string) string {
		if several {
			return s + "\t"
		}
		return ""
	}
	fmt.Fprintf(t, "what happens\t%sbefore\tduring\tafter\tnobody serves\ttwo serve\n", column("instance"))
	for _, s := range list {
		name := s.Name
		for _, row := range s.Rows {
			fmt.Fprintf(t, "%s\t%s%s\t%s\t%s\t%s\t%s\n", name, column(row.Instance), orDash(row.Before), orDash(row.During), row.After,
				lasting(row.Unserved, s.Lasts, row.After == rehearsal.Nobody), lasting(row.Two, s.Lasts, strings.Contains(row.After, " + ")))
			name = ""
		}
	}
	t.Flush()
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// lasting writes a duration of a table, a dash for none. What goes on for most of
// a failure goes on for as long as that does; what is so at the end goes on for
// ever.
func lasting(d, failure time.Duration, atEnd bool) string {
	switch {
	case atEnd && d > 0:
		return "to the end"
	case failure > 0 && d > failure*3/4:
		return "while it lasts"
	case d <= 0:
		return "-"
	case d < time.Millisecond:
		return "<1ms"
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	}
	return d.Round(10 * time.Millisecond).String()
}

func printFindings(w io.Writer, list []rehearsal.Finding) {
	for _, notes := range []bool{false, true} {
		title := "\nWhat will surprise:\n"
		if notes {
			title = "\nGood to know:\n"
		}
		for _, f := range list {
			if f.Note != notes {
				continue
			}
			fmt.Fprintf(w, "%s- %s: %s\n", title, f.Instance, f.Text)
			title = ""
			if f.Scenario != "" {
				fmt.Fprintf(w, "    when %s%s\n", f.Scenario, more(f.More))
			}
			if f.Hint != "" {
				fmt.Fprintf(w, "    %s\n", f.Hint)
			}
		}
	}
}

// more tells how many other scenarios show the same.
func more(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(", and in %d more of these", n)
}

func printStories(w io.Writer, r *rehearsal.Report) {
	for _, list := range [][]rehearsal.Scenario{r.Failures, r.Pairs} {
		for _, s := range list {
			if len(s.Trace) > 0 {
				fmt.Fprintf(w, "\n# %s\n%s\n", s.Name, strings.Join(s.Trace, "\n"))
			}
		}
	}
}

func andList(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " and " + words[last]
}

func isAre(n int) string {
	if n == 1 {
		return "1 is"
	}
	return fmt.Sprintf("%d are", n)
}
