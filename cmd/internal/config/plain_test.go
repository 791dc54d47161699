package config

import (
	"testing"

	"github.com/BurntSushi/toml"
	"github.com/google/go-cmp/cmp"
)

// plainSeeds are near the border of what is read plainly.
var plainSeeds = []string{
	"a = 1\n[b]\nc = \"d\" # e\n[[f]]\ng = [\"h\", 'i',\n # j\n 2, true,]\n[[f]]\nk = { l = false, m = [] }",
	"a=-1\nb=0\nc='\"'\n\td\t=\t\"#\"",
	"a = 01", "a = -0", "a = +1", "a = 1_0", "a = 1.5", "a = 9223372036854775808", "a = -", "a =", "a", "= 1", "a = 1 b = 2",
	"a = \"\"", "a = \"\"\"x\"\"\"", "a = ", "a = \"b\"\"c\"", "a = \"\\n\"", "a = \"b\nc\"", "a = tru", "a = truefalse",
	"a = 1\na = 2", "[a]\n[a]", "[a]\n[[a]]", "[[a]]\n[a]", "a = []\n[[a]]", "a = 1\n[a]", "[a.b]", "[ a ]", "[[ a ]]", "[[a] ]", "[a", "[]",
	"a.b = 1", "\"a\" = 1", "a = [1 2]", "a = [,]", "a = [1,,2]", "a = [[1]]", "a = [{b = 1}]", "a = {}", "a = {b = 1,}", "a = {b = 1\n}", "a = {b = 1, b = 2}",
	"a = {b = {c = 1}}", "a = { b = [1,\n2] }", "a = [1] # b\r\nc = 2", "\uFEFFa = 1", "a = \"\x00\"", "a = \"\x7f\"", "# \x01", "a = 1979-05-27", "a = inf",
	"a = \"é\u00a0\"", "é = 1", "a = 1\u00a0",
}

// FuzzPlain demands that what is read plainly is what the decoder reads, and that
// the index has a place for each value.
func FuzzPlain(f *testing.F) {
	for _, s := range plainSeeds {
		f.Add([]byte(s))
	}
	addConfigurations(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		if firstInvalid(string(text)) >= 0 {
			return
		}
		got, ok := plain(string(text))
		if !ok {
			return
		}
		want := map[string]any{}
		if _, err := toml.Decode(string(text), &want); err != nil {
			t.Fatalf("read, but the decoder says: %v", err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("values (-decoder +plain):\n%s", diff)
		}
		root, tooDeep := index(string(text))
		if tooDeep >= 0 {
			t.Errorf("too deep at %d", tooDeep)
		}
		walk("", got, root, func(path string, n *node) {
			if n == nil {
				t.Errorf("%s has no place", path)
			}
		})
	})
}

// What configurations are written in is read plainly, or nothing would be gained.
func TestPlainReadsConfigurations(t *testing.T) {
	for name, text := range map[string][]byte{"minimal.toml": Minimal(), "reference.toml": Reference()} {
		if _, ok := plain(string(text)); !ok {
			t.Errorf("%s is not read plainly", name)
		}
	}
}
