package main

import (
	"bytes"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/lab"
)

// manualPage prints a page as of a fixed day.
func manualPage(t *testing.T, section string) string {
	t.Helper()
	t.Setenv("SOURCE_DATE_EPOCH", "1766620800")
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"man", section}, &stdout, &stderr); code != exitDone || stderr.Len() > 0 {
		t.Fatalf("man %s: exit status %d: %s", section, code, &stderr)
	}
	return stdout.String()
}

// TestManualPages has mandoc read the pages: it must find nothing to complain
// about, and all commands and flags in what a reader sees.
func TestManualPages(t *testing.T) {
	mandoc, err := lab.FindPeer("mandoc")
	require(t, err == nil, "mandoc, which .ci/peers shells fetches")
	read := func(page string, args ...string) string {
		c := exec.Command(mandoc.Path, args...)
		c.Env = append(os.Environ(), mandoc.Env...)
		c.Stdin = strings.NewReader(page)
		out, err := c.CombinedOutput()
		if err != nil {
			t.Errorf("mandoc %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	for _, section := range []string{"8", "5"} {
		page := manualPage(t, section)
		if out := read(page, "-T", "lint", "-W", "warning"); out != "" {
			t.Errorf("page %s: %s", section, out)
		}
		text := read(page, "-T", "utf8", "-O", "width=90")
		if !strings.Contains(text, "2025-12-25") {
			t.Errorf("page %s has another date than SOURCE_DATE_EPOCH:\n%s", section, text)
		}
		if section == "5" {
			continue
		}
		for _, c := range commands() {
			if !strings.Contains(page, escaped(c.usage())) {
				t.Errorf("page 8 lacks %s", c.usage())
			}
			for _, f := range c.flags() {
				if !strings.Contains(page, escaped(f.form())) {
					t.Errorf("page 8 lacks %s %s", c.name, f.form())
				}
			}
		}
	}
}

// escaped is how a page has text with hyphens.
func escaped(text string) string { return strings.ReplaceAll(text, "-", `\-`) }

func TestCompletions(t *testing.T) {
	words := func(line string) (list []string) {
		for _, c := range completions(t.Context(), strings.Split(line, " ")) {
			list = append(list, c.line)
		}
		return list
	}
	var all []string
	for _, c := range commands() {
		all = append(all, c.name)
	}
	all = append(all, "help")
	const nothing = "--config /nowhere --socket /nowhere "
	for _, c := range []struct {
		line string
		want []string
	}{
		{"", all},
		{"dr", all}, // the shell chooses
		{"help ", all},
		{"help drain ", nil},
		{"nonsense ", nil},
		{"check ", []string{onlyFiles}},
		{"check file ", nil},
		{"rehearse a b ", []string{onlyFiles}},
		{"status --socket ", []string{onlyFiles}},
		{"status --socket=", []string{onlyFiles}},
		{"status --socket = /run", []string{onlyFiles}},
		{"drain --for ", nil},
		{"drain " + nothing, nil},
		{"completion ", []string{"bash", "zsh", "fish"}},
		{"man ", []string{"8", "5"}},
		{"reload -", []string{"--config", "--socket"}},
	} {
		if got := words(c.line); !slices.Equal(got, c.want) {
			t.Errorf("after %q: %q, want %q", c.line, got, c.want)
		}
	}
	// What every command has is offered, whoever adds it.
	for _, c := range commands() {
		got := words(c.name + " -")
		for _, f := range c.flags() {
			if dashed, _, _ := strings.Cut(f.form(), " "); !slices.Contains(got, dashed) {
				t.Errorf("%s: %s is not offered", c.name, dashed)
			}
		}
	}
}

func TestCompletionScripts(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		var stdout, stderr bytes.Buffer
		if code := run(t.Context(), []string{"completion", shell}, &stdout, &stderr); code != exitDone || !strings.Contains(stdout.String(), "__complete") {
			t.Errorf("%s: exit status %d, %s%s", shell, code, &stdout, &stderr)
		}
	}
	for _, args := range [][]string{{"completion"}, {"completion", "csh"}, {"man"}, {"man", "1"}} {
		var stdout, stderr bytes.Buffer
		if code := run(t.Context(), args, &stdout, &stderr); code != exitUsage || stdout.Len() > 0 || strings.Count(stderr.String(), "\n") != 1 {
			t.Errorf("%q: exit status %d, %s%s", args, code, &stdout, &stderr)
		}
	}
}
