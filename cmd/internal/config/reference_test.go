package config

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
	"github.com/google/go-cmp/cmp"
)

func TestReferenceAndMinimalParse(t *testing.T) {
	for name, text := range map[string][]byte{"reference.toml": Reference(), "minimal.toml": Minimal()} {
		if _, warnings, err := Parse(name, text); err != nil || len(warnings) > 0 {
			t.Errorf("Parse: %v, warnings %v", err, warnings)
		}
	}
}

func TestExamples(t *testing.T) {
	paths, err := filepath.Glob("../../../examples/*.toml")
	if err != nil || len(paths) < 6 {
		t.Fatalf("found %d examples: %v", len(paths), err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if _, warnings, err := Parse(path, text); err != nil || len(warnings) > 0 {
				t.Errorf("Parse: %v, warnings %v", err, warnings)
			}
		})
	}
}

// TestPair demands that the two nodes of the example differ in what they may.
func TestPair(t *testing.T) {
	var nodes [2]*Config
	for i, name := range []string{"lb1", "lb2"} {
		var err error
		if nodes[i], _, err = Load("../../../examples/nginx-pair-" + name + ".toml"); err != nil {
			t.Fatal(err)
		}
	}
	a, b := nodes[0].Instances[0], nodes[1].Instances[0]
	if a.Priority <= b.Priority {
		t.Errorf("lb1 has priority %d, lb2 %d: lb1 should win", a.Priority, b.Priority)
	}
	b.Priority = a.Priority
	if diff := cmp.Diff(a, b, compare); diff != "" {
		t.Errorf("lb1 and lb2 differ:\n%s", diff)
	}
}

var (
	optionalKey    = regexp.MustCompile(`^#[a-z]`)
	optionalHeader = regexp.MustCompile(`^#\[`)
)

// TestReferenceCoversSchema compares the keys in the reference, optional ones
// included, with those of the schema, in both directions.
func TestReferenceCoversSchema(t *testing.T) {
	got := map[string][]string{}
	add := func(name string, data map[string]any) {
		got[name] = append(got[name], slices.Collect(maps.Keys(data))...)
	}
	header := ""
	for line := range strings.Lines(string(Reference())) {
		line = strings.TrimSpace(line)
		if optionalKey.MatchString(line) || optionalHeader.MatchString(line) {
			line = line[1:]
		}
		if line == "" || line[0] == '#' {
			continue
		}
		if line[0] == '[' {
			header = strings.Trim(line, "[]")
			continue
		}
		var data map[string]any
		if _, err := toml.Decode(line, &data); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		add(header, data)
		for _, sub := range []*table{announceTable, authTable} {
			if inner, ok := data[sub.name].(map[string]any); ok {
				add(sub.within.name+"."+sub.name, inner)
			}
		}
	}
	for name := range got {
		slices.Sort(got[name])
		got[name] = slices.Compact(got[name])
	}
	want := map[string][]string{}
	for _, s := range schema {
		name := s.name
		if s.within != nil {
			name = s.within.name + "." + name
		}
		want[name] = slices.Sorted(slices.Values(s.keys))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("keys of the reference (-schema +reference):\n%s", diff)
	}
}

// TestReferenceTellsTheTruth takes the comment sign from one optional key at a
// time: one that shows its default changes nothing, an Example does, and what is
// not available yet is refused as just that.
func TestReferenceTellsTheTruth(t *testing.T) {
	lines := strings.Split(string(Reference()), "\n")
	base := mustParse(t, string(Reference()))
	about := "" // the comment above
	tested := map[string]int{}
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		switch {
		case line == "":
			about = ""
			continue
		case strings.HasPrefix(line, "# "):
			about += line + "\n"
			continue
		case !optionalKey.MatchString(line) && !optionalHeader.MatchString(line):
			continue
		}
		edited := slices.Clone(lines)
		edited[i] = line[1:]
		if optionalHeader.MatchString(line) { // with all its keys
			for ; i+1 < len(lines) && optionalKey.MatchString(lines[i+1]); i++ {
				edited[i+1] = lines[i+1][1:]
			}
		}
		c, _, err := Parse(caseFile, []byte(strings.Join(edited, "\n")))
		switch {
		case strings.Contains(about, "# Not available yet"):
			tested["not yet"]++
			errs, _ := errors.AsType[Errors](err)
			if len(errs) == 0 {
				t.Errorf("%s: is accepted", line)
			}
			for _, p := range errs {
				if !strings.Contains(p.Message, "not available yet") {
					t.Errorf("%s: %v", line, p)
				}
			}
		case err != nil:
			t.Errorf("%s: %v", line, err)
		case strings.Contains(about, "# Example"):
			tested["example"]++
			if cmp.Equal(base, c, compare) {
				t.Errorf("%s: the example changes nothing", line)
			}
		default:
			tested["default"]++
			if diff := cmp.Diff(base, c, compare); diff != "" {
				t.Errorf("%s: is not the default:\n%s", line, diff)
			}
		}
	}
	if tested["default"] < 20 || tested["example"] < 10 || tested["not yet"] < 7 {
		t.Errorf("looked at too little: %v", tested)
	}
}
