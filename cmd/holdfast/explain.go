package main

import (
	"cmp"
	"flag"
	"fmt"
	"io"
	"strings"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
	"github.com/holdfast-vrrp/holdfast/cmd/internal/screen"
)

func explainCommand() command {
	return command{
		name: "explain", short: "tell why this node is or is not master, as a sum",
		args: "[INSTANCE]", most: 1,
		long: `
Tells of the instance, of each when none is named, who is master and why this
node is or is not, how its priority comes about, and what would happen, and
when, if the master fell silent now. What is foretold is what the daemon would
do if it heard nothing from now on; an advert in the next moment changes it.
The two families of an instance are told apart only where they differ.`,
		examples: []example{
			{"holdfast explain web", "one instance"},
			{"holdfast explain --json", "all, for programs: also each term and each timer"},
		},
		exit: "0 told, 1 refused, 2 wrong usage, 3 no daemon answers.",
		setup: func(flags *flag.FlagSet) runner {
			asJSON := flags.Bool("json", false, "print the explanation as JSON, for programs")
			socket := socketFlags(flags)
			return func(env *environment, args []string) int {
				path, err := socket()
				if err != nil {
					return env.failAll(err)
				}
				return explain(env, path, strings.Join(args, ""), *asJSON)
			}
		},
	}
}

func explain(env *environment, socket, instance string, asJSON bool) int {
	done, raw, err := control.NewClient(socket).Explain(env.ctx, instance)
	if err != nil {
		return env.unanswered(err)
	}
	if asJSON {
		env.stdout.Write(raw)
		return exitDone
	}
	width := cmp.Or(screen.Of(env.stdout).Width, unseenWidth)
	for n := range done.Instances {
		if n > 0 {
			fmt.Fprintln(env.stdout)
		}
		printExplanation(env.stdout, &done.Instances[n], width)
	}
	return exitDone
}

// unseenWidth is how many columns sentences take where there is no terminal.
const unseenWidth = 100

// printExplanation writes an explanation: who is master, the sum, and what else
// there is to say.
func printExplanation(w io.Writer, x *control.Explanation, width int) {
	fmt.Fprintf(w, "%s: %s for %s", x.Name, strings.ToUpper(x.State), age(x.At.Sub(x.Since)))
	if x.Group != "" {
		fmt.Fprintf(w, ", moves with group %s", x.Group)
	}
	fmt.Fprintln(w)
	var rest []control.Sentence
	for _, s := range x.Sentences {
		if s.About != "state" {
			rest = append(rest, s)
			continue
		}
		printSentence(w, s, width)
	}
	printSum(w, &x.Priority, width)
	for _, s := range rest {
		printSentence(w, s, width)
	}
}

func printSentence(w io.Writer, s control.Sentence, width int) {
	text := s.Text
	if s.Family != "" {
		text = s.Family + ": " + text
	}
	hang(w, "  ", text, width)
}

// printSum writes the terms below each other as on paper.
func printSum(w io.Writer, sum *control.Sum, width int) {
	fmt.Fprintln(w)
	for n, t := range sum.Terms {
		change := fmt.Sprintf("%+d", t.Change)
		if n == 0 || t.Change == 0 {
			change = fmt.Sprint(t.Change)
		}
		hang(w, fmt.Sprintf("  %4s  ", change), t.Text, width)
	}
	fmt.Fprintf(w, "  ----\n  %4d  effective priority\n\n", sum.Effective)
}

// hang writes a text behind what leads it, in as many lines as the terminal needs.
func hang(w io.Writer, lead, text string, width int) {
	text = screen.Clean(strings.Join(strings.Fields(text), " "))
	room := width - len(lead)
	for _, line := range screen.Wrap(text, room, room) {
		fmt.Fprintf(w, "%s%s\n", lead, line)
		lead = strings.Repeat(" ", len(lead))
	}
}
