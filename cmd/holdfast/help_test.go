package main

import (
	"bytes"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestHelp wants that the help of each command has an example of it, fits 80
// columns but for the examples, and that the list of all fits a screen.
func TestHelp(t *testing.T) {
	var list bytes.Buffer
	usage(&list)
	if n := strings.Count(list.String(), "\n"); n > 24 {
		t.Errorf("the list of commands is %d lines long, a screen has 24", n)
	}
	for _, c := range slices.Concat(commands(), hiddenCommands()) {
		var help bytes.Buffer
		c.help(&help)
		if len(c.examples) == 0 {
			t.Errorf("%s has no example", c.name)
		}
		for _, e := range c.examples {
			if !strings.Contains(e.line, "holdfast "+c.name) {
				t.Errorf("an example of %s is of something else: %s", c.name, e.line)
			}
		}
		for line := range strings.Lines(c.long + "\n" + c.exit) {
			if len(strings.TrimRight(line, "\n")) > 80 {
				t.Errorf("%s: longer than 80 columns: %s", c.name, line)
			}
		}
		for _, f := range c.flags() {
			if f.text == "" {
				t.Errorf("%s --%s is not explained", c.name, f.name)
			}
		}
	}
}

// TestExitStatuses has each command end in the ways that need no daemon, and wants
// its help to name those and no others.
func TestExitStatuses(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	fails := map[string][]string{"rehearse": {missing, missing}, "sniff": {missing}, "man": {"8"}}
	t.Setenv("SOURCE_DATE_EPOCH", "yesterday") // fails man alone
	named := regexp.MustCompile(`(?:^|[,;]\s)([0-9]+)\s`)
	for _, c := range slices.Concat(commands(), hiddenCommands()) {
		var says, ends []int
		for _, m := range named.FindAllStringSubmatch(c.exit, -1) {
			status, _ := strconv.Atoi(m[1])
			says = append(says, status)
		}
		end := func(args ...string) {
			ends = append(ends, run(t.Context(), append([]string{c.name}, args...), io.Discard, io.Discard))
		}
		flags, _ := c.prepare()
		end("--help")
		if c.name == "run" {
			ends = append(ends, exitRefused) // a good configuration, which would run
		}
		switch {
		case flags.Lookup("config") != nil:
			end("--config", missing)
		case c.name == "demo":
			ends = append(ends, exitRefused) // only a demo that goes wrong does
		case fails[c.name] != nil:
			end(fails[c.name]...)
		}
		end("--nonsense")
		if flags.Lookup("socket") != nil {
			end("--socket", missing)
		}
		slices.Sort(ends)
		if !slices.Equal(says, ends) {
			t.Errorf("the help of %s names the exit statuses %v, it ends with %v: %s", c.name, says, ends, c.exit)
		}
	}
}
