package main

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/config"
	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
)

// completionPatience is how long a person who typed TAB waits for a daemon.
const completionPatience = 500 * time.Millisecond

// onlyFiles tells the shell to complete names of files by itself.
const onlyFiles = ":files"

// complete answers the scripts of the shells: it prints what may stand in place
// of the last of the words of a command line, one a line with what it is after a
// tab. The shells choose what fits. It is silent where there is nothing to say.
func complete(env *environment, words []string) int {
	for _, t := range completions(env.ctx, words) {
		if t.what == "" {
			fmt.Fprintln(env.stdout, t.line)
		} else {
			fmt.Fprintf(env.stdout, "%s\t%s\n", t.line, t.what)
		}
	}
	return exitDone
}

func completions(ctx context.Context, words []string) (list []example) {
	names := func() []example {
		for _, c := range commands() {
			list = append(list, example{c.name, c.short})
		}
		return append(list, example{"help", "tell more about a command"})
	}
	switch {
	case len(words) < 2:
		return names()
	case words[0] == "help" && len(words) == 2:
		return names()
	}
	c := find(words[0])
	if c == nil {
		return nil
	}
	l := c.read(words[1:])
	switch current := words[len(words)-1]; {
	case l.value != "":
		return l.of(ctx, l.value)
	case strings.HasPrefix(current, "-"):
		for _, f := range c.flags() {
			dashed, _, _ := strings.Cut(f.form(), " ")
			list = append(list, example{dashed, f.text})
		}
		return list
	case len(l.arguments) >= c.most:
		return nil
	}
	return l.of(ctx, c.args)
}

// commandLine is a command line that is not complete yet.
type commandLine struct {
	socket, config string
	// arguments are those before the word at the cursor.
	arguments []string
	// value is the name of what that word is to be, when it is a flag's.
	value string
}

// read takes the words after the name of a command apart; the last one is at the
// cursor.
func (c *command) read(words []string) (l commandLine) {
	takes := map[string]string{}
	for _, f := range c.flags() {
		takes[f.name] = f.value
	}
	// Bash makes words of --flag=value's parts.
	words = slices.DeleteFunc(slices.Clone(words), func(w string) bool { return w == "=" })
	words = append(words, "")[:max(len(words), 1)]
	before, current := words[:len(words)-1], words[len(words)-1]
	pending := ""
	for _, w := range before {
		name, value, given := strings.Cut(strings.TrimLeft(w, "-"), "=")
		switch {
		case pending != "":
			l.set(pending, w)
			pending = ""
		case !strings.HasPrefix(w, "-"):
			l.arguments = append(l.arguments, w)
		case given:
			l.set(name, value)
		case takes[name] != "":
			pending = name
		}
	}
	if name, _, given := strings.Cut(strings.TrimLeft(current, "-"), "="); given && strings.HasPrefix(current, "-") {
		pending = name
	}
	if pending != "" {
		l.value = takes[pending]
		if pending == "instance" {
			l.value = "INSTANCE"
		}
	}
	return l
}

func (l *commandLine) set(flag, value string) {
	switch flag {
	case "socket":
		l.socket = value
	case "config":
		l.config = value
	}
}

// of lists what there is of a kind, by the name that stands for it in the help.
func (l *commandLine) of(ctx context.Context, kind string) (list []example) {
	switch {
	case strings.Contains(kind, "INSTANCE"):
		for _, e := range l.instances(ctx) {
			if !slices.Contains(l.arguments, e.line) {
				list = append(list, e)
			}
		}
	case strings.Contains(kind, "FILE"), kind == "PATH":
		return []example{{line: onlyFiles}}
	case kind == "IF":
		interfaces, _ := net.Interfaces() // as silent as the rest
		for _, i := range interfaces {
			list = append(list, example{line: i.Name})
		}
	case strings.Contains(kind, "|"):
		for word := range strings.SplitSeq(strings.Trim(kind, "[]"), "|") {
			list = append(list, example{line: word})
		}
	}
	return list
}

// instances are those of the running daemon, or of the configuration, or none.
func (l *commandLine) instances(ctx context.Context) (list []example) {
	file := l.config
	if file == "" {
		file = config.DefaultPath
	}
	cfg, _, err := config.Load(file)
	socket := config.DefaultSocket
	switch {
	case l.socket != "":
		socket = l.socket
	case err == nil:
		socket = cfg.Control.Socket
	}
	ctx, cancel := context.WithTimeout(ctx, completionPatience)
	defer cancel()
	if st, _, e := control.NewClient(socket).Status(ctx); e == nil {
		for _, i := range st.Instances {
			list = append(list, example{i.Name, fmt.Sprintf("%s, vrid %d, %s", i.Interface, i.VRID, i.State)})
		}
		return list
	}
	if err == nil {
		for _, i := range cfg.Instances {
			list = append(list, example{i.Name, fmt.Sprintf("%s, vrid %d", i.Interface, i.VRID)})
		}
	}
	return list
}
