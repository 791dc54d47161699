package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The README shows the rehearsal of two of the examples; it must be what is
// printed today.
func TestReadmeRehearsal(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	const prompt = "$ holdfast rehearse "
	_, rest, found := strings.Cut(string(text), prompt)
	line, rest, _ := strings.Cut(rest, "\n")
	want, _, closed := strings.Cut(rest, "```\n")
	if !found || !closed {
		t.Fatal("the README rehearses nothing")
	}
	t.Chdir("../../examples")
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), append([]string{"rehearse"}, strings.Fields(line)...), &stdout, &stderr)
	if code != exitDone || stderr.Len() > 0 {
		t.Errorf("exit status %d: %s", code, stderr.String())
	}
	if diff := cmp.Diff(want, stdout.String()); diff != "" {
		t.Errorf("the README is not what is printed (-README +printed):\n%s", diff)
	}
}
