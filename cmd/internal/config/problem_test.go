package config

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestProblemString(t *testing.T) {
	tests := []struct {
		name string
		p    Problem
		want string
	}{
		{"whole", Problem{"f", 7, 3, "  prio = 1", "m", "h"}, "f:7:3: m\n      prio = 1\n      ^\n  h"},
		{"no hint", Problem{"f", 1, 1, "x", "m", ""}, "f:1:1: m\n    x\n    ^"},
		{"blank line", Problem{"f", 1, 1, " \t", "m", ""}, "f:1:1: m"},
		{"tabs", Problem{"f", 1, 4, "\ta\tb", "m", ""}, "f:1:4: m\n    \ta\tb\n    \t \t^"},
		{"end of line", Problem{"f", 1, 4, "abc", "m", ""}, "f:1:4: m\n    abc\n       ^"},
		{"beyond the line", Problem{"f", 1, 99, "abc", "m", ""}, "f:1:99: m\n    abc\n       ^"},
		{"no column", Problem{"f", 1, 0, "abc", "m", ""}, "f:1:0: m\n    abc\n    ^"},
		{"characters, not bytes", Problem{"f", 1, 3, "äöü", "m", ""}, "f:1:3: m\n    äöü\n      ^"},
		{"escape sequences", Problem{"f", 1, 2, "\x1b[31mx\u009b", "m", ""}, "f:1:2: m\n    \uFFFD[31mx\uFFFD\n     ^"},
		{"not UTF-8", Problem{"f", 1, 2, "a\xffb", "m", ""}, "f:1:2: m\n    a\uFFFDb\n     ^"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, tt.p.String()); diff != "" {
				t.Errorf("String (-want +got):\n%s", diff)
			}
		})
	}
}

func TestExcerptOfALongLine(t *testing.T) {
	line := strings.Repeat("a", 500) + "X" + strings.Repeat("b", 500)
	for _, column := range []int{1, 2, 80, 81, 501, 900, 1001, 1002} {
		shown, caret := excerpt(line, column)
		if n := utf8.RuneCountInString(shown); n != excerptWidth {
			t.Errorf("column %d: %d characters shown", column, n)
		}
		at := strings.IndexByte(caret, '^')
		if column <= len(line) && shown[at] != line[column-1] {
			t.Errorf("column %d: the caret points at %q, want %q", column, shown[at], line[column-1])
		}
	}
}

func TestMask(t *testing.T) {
	tests := []struct{ name, line, want string }{
		{"basic", `password = "secret"`, `password = "******"`},
		{"literal", `password='secret'`, `password='******'`},
		{"inline table", `auth = { type = "pass", password = "a b", x = "y" }`, `auth = { type = "pass", password = "***", x = "y" }`},
		{"quoted key", `"password" = "secret" # note`, `"password" = "******" # note`},
		{"other quotes inside", `password = "a'b"`, `password = "***"`},
		{"escaped quote", `password = "a\"b"`, `password = "****"`},
		{"hash inside", `password = "a#b"`, `password = "***"`},
		{"not closed", `password = "secret`, `password = "******`},
		{"no quotes", `password = secret }`, `password = ****** }`},
		{"number", `password = 1234`, `password = ****`},
		{"long string", `password = """secret"""`, `password = """******"""`},
		{"empty", `password = ""`, `password = ""`},
		{"wrong key", `PassWord = "secret"`, `PassWord = "******"`},
		{"suffix", `auth.password = "secret"`, `auth.password = "******"`},
		{"characters", `password = "äö"`, `password = "**"`},
		{"nothing to hide", `name = "password"`, `name = "password"`},
		{"two", `a = {password = "x"}, b = {password = "y"}`, `a = {password = "*"}, b = {password = "*"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := mask(tt.line); got != tt.want {
				t.Errorf("mask(%s) = %s, want %s", tt.line, got, tt.want)
			}
		})
	}
}

// TestNoPasswordAnywhere makes many mistakes around a password and looks for it
// in everything that is said.
func TestNoPasswordAnywhere(t *testing.T) {
	for _, line := range []string{
		`auth = { type = "pass", password = "Zq9secretZq9" }`,
		`auth = { type = "pass", password = Zq9secretZq9 }`,
		`auth = { type = "pass", password = 'Zq9secretZq9`,
		`auth = { type = pass, password = "Zq9" }`,
		`auth = { tipe = "x", password = "Zq9", password = "Zq9" }`,
		`auth.password = ["Zq9"]`,
		`auth.password = Zq9`,
		`password = "Zq9"`,
		`auth.password = "Zq9\q"`,
		"auth.password = \"Zq9\x01\"",
	} {
		_, _, err := Parse(caseFile, []byte(oneInstance+"version = 2\n"+line+"\n"))
		if err == nil {
			t.Errorf("%s: nothing is wrong", line)
		} else if strings.Contains(err.Error(), "Zq9") {
			t.Errorf("%s: the password is shown:\n%v", line, err)
		}
	}
}

func TestErrorsAreSortedAndOnce(t *testing.T) {
	s := &source{file: "f", text: "one\ntwo\nthree\n"}
	s.problem(9, "", "d")
	s.problem(0, "", "a")
	s.problem(4, "", "b")
	s.problem(4, "", "b")
	s.problem(5, "", "c")
	s.problem(99, "", "e")
	var got []string
	for _, p := range s.sorted() {
		got = append(got, p.Message)
	}
	if diff := cmp.Diff([]string{"a", "b", "c", "d", "e"}, got); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

func TestNearest(t *testing.T) {
	tests := []struct{ word, want string }{
		{"prioritty", "priority"},
		{"priority", "priority"},
		{"PRIORITY", "priority"},
		{"Prority", "priority"},
		{"pirority", "priority"},
		{"adresses", "addresses"},
		{"intreface", "interface"},
		{"vird", "vrid"},
		{"peer", "peers"},
		{"xyz", ""},
		{"", ""},
		{strings.Repeat("p", 1000), ""},
	}
	for _, tt := range tests {
		if got := Nearest(tt.word, instanceTable.keys); got != tt.want {
			t.Errorf("Nearest(%q) = %q, want %q", tt.word, got, tt.want)
		}
	}
}

func TestDistance(t *testing.T) {
	tests := []struct {
		a, b string
		want int
	}{
		{"", "", 0},
		{"a", "", 1},
		{"", "abc", 3},
		{"abc", "abc", 0},
		{"abc", "abd", 1},
		{"abc", "acb", 1},
		{"abcd", "badc", 2},
		{"kitten", "sitting", 3},
		{"vrid", "virid", 1},
	}
	for _, tt := range tests {
		if got := distance(tt.a, tt.b); got != tt.want {
			t.Errorf("distance(%q, %q) = %d, want %d", tt.a, tt.b, got, tt.want)
		}
		if got := distance(tt.b, tt.a); got != tt.want {
			t.Errorf("distance(%q, %q) = %d, want %d", tt.b, tt.a, got, tt.want)
		}
	}
}

// TestFamiliar demands that each answer is for a key that does not exist and
// for a table that does.
func TestFamiliar(t *testing.T) {
	for name := range familiar {
		table, key, ok := strings.Cut(name, ".")
		if !ok {
			key = table
		}
		for _, s := range schema {
			if s.name == table {
				ok = true
				for _, k := range s.keys {
					if k == key {
						t.Errorf("%s is a key of %v", key, s)
					}
				}
			} else if table == key && s.name == key {
				t.Errorf("%s is a table", key)
			}
		}
		_, _, err := Parse(caseFile, []byte("["+table+"]\n"+key+" = 1\n"))
		if err == nil || table != key && !strings.Contains(err.Error(), familiar[name]) && !strings.Contains(err.Error(), "there may be several") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestUnavailable demands that each entry is about something in the schema.
func TestUnavailable(t *testing.T) {
	for _, f := range unavailable {
		if !slices.Contains(f.table.keys, f.key) {
			t.Errorf("%v has no %s", f.table, f.key)
		}
	}
}
