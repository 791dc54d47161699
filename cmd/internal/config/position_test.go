package config

import (
	"fmt"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
	"github.com/google/go-cmp/cmp"
)

// TestIndex marks each key with its line:column and that of its value.
func TestIndex(t *testing.T) {
	tests := []struct {
		name string
		text string
		want string
	}{
		{"pairs", "a = 1\n  b=2 # c = 3\n", "a 1:1 1:5\nb 2:3 2:5"},
		{"no line end", "a = 1", "a 1:1 1:5"},
		{"carriage returns", "a = 1\r\nb = 2\r\n", "a 1:1 1:5\nb 2:1 2:5"},
		{"byte order mark", "\uFEFFa = 1", "a 1:2 1:6"},
		{"table", "x = 0\n[t]\na = 1\n", "t 2:1 2:1\nt.a 3:1 3:5\nx 1:1 1:5"},
		{"table with blanks", "[ t . u ] # note\na = 1\n", "t 1:1 1:1\nt.u 1:1 1:1\nt.u.a 2:1 2:5"},
		{"parent after child", "[t.u]\n[t]\n", "t 1:1 1:1\nt.u 1:1 1:1"},
		{"tables", "[[t]]\na = 1\n[[t]]\na = 2\n", "t 1:1 1:1\nt[0] 1:1 1:1\nt[0].a 2:1 2:5\nt[1] 3:1 3:1\nt[1].a 4:1 4:5"},
		{"table in the newest of tables", "[[t]]\n[[t]]\n[t.u]\na = 1\n", "t 1:1 1:1\nt[0] 1:1 1:1\nt[1] 2:1 2:1\nt[1].u 3:1 3:1\nt[1].u.a 4:1 4:5"},
		{"tables in tables", "[[t]]\n[[t.u]]\n[[t.u]]\na = 1", "t 1:1 1:1\nt[0] 1:1 1:1\nt[0].u 2:1 2:1\nt[0].u[0] 2:1 2:1\nt[0].u[1] 3:1 3:1\nt[0].u[1].a 4:1 4:5"},
		{"dotted", "a . b.\"c\" = 1", "a 1:1 1:1\na.b 1:5 1:5\na.b.c 1:7 1:13"},
		{"quoted", `"a b" = 1` + "\n'c' = 2\n" + `"\u0064\x65\t" = 3`, "a b 1:1 1:9\nc 2:1 2:7\nde\t 3:1 3:18"},
		{"array", "a = [1, [2, \"]\"], # ]\n 3,\n]\nb = 1", "a 1:1 1:5\na[0] 1:6 1:6\na[1] 1:9 1:9\na[1][0] 1:10 1:10\na[1][1] 1:13 1:13\na[2] 2:2 2:2\nb 4:1 4:5"},
		{"inline table", "a = { b = 1, c.d = { e = \"}\" } }\nf = 1", "a 1:1 1:5\na.b 1:7 1:11\na.c 1:14 1:14\na.c.d 1:16 1:20\na.c.d.e 1:22 1:26\nf 2:1 2:5"},
		{"inline table over lines", "a = {\n  b = 1, # }\n  c = 2,\n}\nd = 3", "a 1:1 1:5\na.b 2:3 2:7\na.c 3:3 3:7\nd 5:1 5:5"},
		{"array of inline tables", "a = [ {b = 1}, {} ]", "a 1:1 1:5\na[0] 1:7 1:7\na[0].b 1:8 1:12\na[1] 1:16 1:16"},
		{"escapes", `a = "\"#\\" # "` + "\nb = '\\'\nc = 1", "a 1:1 1:5\nb 2:1 2:5\nc 3:1 3:5"},
		{"long strings", "a = \"\"\"x\n\"y\"\" \\\"\"\"\"\"\"\nb = '''\n'z''''\nc = 1", "a 1:1 1:5\nb 3:1 3:5\nc 5:1 5:5"},
		{"empty strings", "a = \"\"\nb = ''\nc = \"\"\"\"\"\"\nd = 1", "a 1:1 1:5\nb 2:1 2:5\nc 3:1 3:5\nd 4:1 4:5"},
		{"dates and floats", "a = 1979-05-27 07:32:00Z\nb = 1.5e3\nc = +inf", "a 1:1 1:5\nb 2:1 2:5\nc 3:1 3:5"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var data map[string]any
			if _, err := toml.Decode(tt.text, &data); err != nil {
				t.Fatalf("the case is not TOML: %v", err)
			}
			root, deep := index(tt.text)
			if deep >= 0 {
				t.Errorf("index finds it too deep at %d", deep)
			}
			src := &source{text: tt.text}
			var got []string
			walk("", data, root, func(path string, n *node) {
				if n == nil {
					t.Errorf("%s has no place", path)
					return
				}
				a, b := src.place(n.start, "", ""), src.place(n.value, "", "")
				got = append(got, fmt.Sprintf("%s %d:%d %d:%d", path, a.Line, a.Column, b.Line, b.Column))
			})
			if diff := cmp.Diff(tt.want, strings.Join(got, "\n")); diff != "" {
				t.Errorf("places (-want +got):\n%s", diff)
			}
		})
	}
}

// TestIndexBroken feeds what is no TOML: the index ends early, that is all.
func TestIndexBroken(t *testing.T) {
	for _, text := range []string{
		"", "\n", "#", "[", "[[", "[]", "[[]]", "[[a]", "[a", "[a.", "=", "a", "a.", "a =", "a = \n", "a = [", "a = [1", "a = [,]", "a = {", "a = {b",
		"a = {b}", "a = {b = }", `a = "`, `a = "\`, `a = """`, `a = """"`, `"`, `'a`, `"a\`, `"\u12" = 1`, `"\U0011FFFFF" = 1`, "a = [1 2]", "a = {b=1 c=2}", "\x00", "]", "a = ]",
	} {
		if root, _ := index(text); root == nil {
			t.Errorf("index(%q) has no root", text)
		}
	}
}

func TestIndexDepth(t *testing.T) {
	tests := []struct {
		name, text string
		deep       bool
	}{
		{"arrays within", "a = " + strings.Repeat("[", 30) + strings.Repeat("]", 30), false},
		{"arrays beyond", "a = " + strings.Repeat("[", 33) + strings.Repeat("]", 33), true},
		{"arrays hostile", "a = " + strings.Repeat("[", 1<<20), true},
		{"inline tables", "a = " + strings.Repeat("{a=", 40) + "1" + strings.Repeat("}", 40), true},
		{"dotted key", strings.Repeat("a.", 40) + "a = 1", true},
		{"dotted header", "[" + strings.Repeat("a.", 40) + "a]", true},
		{"brackets in a string", `a = "` + strings.Repeat("[", 100) + `"`, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, at := index(tt.text); at >= 0 != tt.deep {
				t.Errorf("too deep at %d, want %v", at, tt.deep)
			}
			_, _, err := Parse(caseFile, []byte(tt.text))
			if got := strings.Contains(err.Error(), "nest deeper"); got != tt.deep {
				t.Errorf("Parse: %v", err)
			}
		})
	}
}

// walk visits decoded values with their places, in the order of their paths.
func walk(path string, v any, n *node, visit func(string, *node)) {
	switch v := tables(v).(type) {
	case map[string]any:
		for _, key := range sortedKeys(v) {
			var c *node
			if n != nil {
				c = n.keys[key]
			}
			p := strings.TrimPrefix(path+"."+key, ".")
			visit(p, c)
			walk(p, v[key], c, visit)
		}
	case []map[string]any:
		for i := range v {
			walkItem(path, i, v[i], n, visit)
		}
	case []any:
		for i := range v {
			walkItem(path, i, v[i], n, visit)
		}
	}
}

func walkItem(path string, i int, v any, n *node, visit func(string, *node)) {
	var c *node
	if n != nil && i < len(n.items) {
		c = n.items[i]
	}
	p := fmt.Sprintf("%s[%d]", path, i)
	visit(p, c)
	walk(p, v, c, visit)
}
