package config

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "rewrite the expected output of the cases in testdata")

const caseFile = "holdfast.toml"

// TestBad runs testdata/bad: a configuration and everything said about it.
func TestBad(t *testing.T) {
	runCases(t, "bad", func(t *testing.T, text []byte) string {
		c, warnings, err := Parse(caseFile, text)
		if err == nil {
			t.Fatal("Parse found nothing wrong")
		}
		if c != nil || warnings != nil {
			t.Errorf("Parse returned more than an error: %v, %v", c, warnings)
		}
		problems, ok := errors.AsType[Errors](err)
		if !ok {
			t.Fatalf("Parse returned a %T, want Errors", err)
		}
		checkPlaces(t, string(text), problems)
		return err.Error() + "\n"
	})
}

// TestWarn runs testdata/warn: a configuration that is good, but odd.
func TestWarn(t *testing.T) {
	runCases(t, "warn", func(t *testing.T, text []byte) string {
		_, warnings, err := Parse(caseFile, text)
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		for _, w := range warnings {
			b.WriteString(w.String() + "\n")
		}
		return b.String()
	})
}

func runCases(t *testing.T, dir string, run func(*testing.T, []byte) string) {
	paths, err := filepath.Glob(filepath.Join("testdata", dir, "*.txtar"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no cases in testdata/%s: %v", dir, err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if len(archive.Files) != 2 || archive.Files[0].Name != caseFile || archive.Files[1].Name != "want" {
				t.Fatalf("%s must hold %s and want", path, caseFile)
			}
			got := run(t, archive.Files[0].Data)
			if *update {
				archive.Files[1].Data = []byte(got)
				if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(archive.Files[1].Data), got); diff != "" {
				t.Errorf("output differs (-want +got):\n%s", diff)
			}
		})
	}
}

// checkPlaces demands that each problem is inside the text and says something,
// and that they come in order.
func checkPlaces(t *testing.T, text string, problems Errors) {
	t.Helper()
	if len(problems) == 0 {
		t.Fatal("an error without problems")
	}
	lines := strings.Split(text, "\n")
	for i, p := range problems {
		if p.Line < 1 || p.Line > len(lines) || p.Column < 1 {
			t.Errorf("%d:%d is not a place in a file of %d lines: %s", p.Line, p.Column, len(lines), p.Message)
			continue
		}
		if most := len([]rune(lines[p.Line-1])) + 1; p.Column > most {
			t.Errorf("column %d of line %d is beyond %d: %s", p.Column, p.Line, most, p.Message)
		}
		if p.Message == "" || p.File == "" {
			t.Errorf("problem %+v says nothing", p)
		}
		if i > 0 && inFileOrder(problems[i-1], p) > 0 {
			t.Errorf("problem %d is before problem %d", i, i-1)
		}
	}
}
