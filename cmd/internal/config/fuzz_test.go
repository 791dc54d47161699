package config

import (
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"testing"

	"github.com/BurntSushi/toml"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/holdfast-vrrp/holdfast/vrrp"
)

func sortedKeys(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }

// addConfigurations adds good configurations and bad ones to a fuzz test.
func addConfigurations(f *testing.F) {
	f.Helper()
	f.Add(Reference())
	f.Add(Minimal())
	for _, dir := range []string{"bad", "warn"} {
		paths, err := filepath.Glob(filepath.Join("testdata", dir, "*.txtar"))
		if err != nil || len(paths) == 0 {
			f.Fatalf("no seeds in %s: %v", dir, err)
		}
		for _, path := range paths {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(archive.Files[0].Data)
		}
	}
}

// FuzzParse demands of any input: no panic; a configuration that the protocol
// accepts, or problems that each have a place in the file; and that the index
// knows the place of every value the decoder found.
func FuzzParse(f *testing.F) {
	addConfigurations(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		c, _, err := Parse(caseFile, text)
		if err != nil {
			problems, ok := errors.AsType[Errors](err)
			if !ok {
				t.Fatalf("Parse returned a %T", err)
			}
			checkPlaces(t, string(text), problems)
		} else if err := vrrp.ValidateAll(c.Instances); err != nil {
			t.Fatalf("Parse accepted what the protocol does not: %v", err)
		}
		src := &source{file: caseFile, text: string(text), placed: true}
		if data, at, ok := src.decode(); ok {
			walk("", data, at, func(path string, n *node) {
				if n == nil {
					t.Errorf("%s has no place", path)
				}
			})
		}
	})
}

// FuzzIndex reads what is hardly ever TOML.
func FuzzIndex(f *testing.F) {
	f.Add("a.\"b\" = [{c = '''x''', d = \"\"\"\\\"\"\"\"}, 1]\n[[e.f]]\n")
	f.Fuzz(func(t *testing.T, text string) {
		root, deep := index(text)
		if deep >= len(text) && deep > 0 {
			t.Errorf("too deep at %d of %d", deep, len(text))
		}
		var visit func(n *node)
		visit = func(n *node) {
			if n.start < 0 || n.start > len(text) || n.value < 0 || n.value > len(text) {
				t.Errorf("place %d, %d is not within %d bytes", n.start, n.value, len(text))
			}
			for _, c := range n.keys {
				visit(c)
			}
			for _, c := range n.items {
				visit(c)
			}
		}
		visit(root)
	})
}

// TestWalkFindsWhatTheDecoderFinds guards the oracle of the fuzz test itself.
func TestWalkFindsWhatTheDecoderFinds(t *testing.T) {
	var data map[string]any
	if _, err := toml.Decode("a = [{b = 1}]\n[c]\nd = 2\n", &data); err != nil {
		t.Fatal(err)
	}
	missing := 0
	walk("", data, &node{}, func(_ string, n *node) {
		if n == nil {
			missing++
		}
	})
	if missing != 5 {
		t.Errorf("walk misses %d places in an empty index, want 5", missing)
	}
}
