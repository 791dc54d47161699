package main

import (
	"bytes"
	"slices"
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
