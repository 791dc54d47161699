package screen

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestClean(t *testing.T) {
	tests := map[string]string{
		"web":                           "web",
		"größer, 网站 и":                  "größer, 网站 и",
		"a\x1b[2Jb":                     "a?[2Jb",
		"a\u009b2Jb":                    "a?2Jb", // CSI in one character
		"a\x00\x07\x08\x7f":             "a????",
		"two\nlines\tand\u2028more":     "two lines and more",
		"not \xff UTF-8":                "not ? UTF-8",
		"user\u202egnp.exe":             "user?gnp.exe", // right to left from here
		"zero\u200bwidth\ufeff":         "zero?width?",
		"👩\u200d🔧":                      "👩\u200d🔧",
		"e" + strings.Repeat("́", 1000): "e" + strings.Repeat("́", mostMarks),
		"a\U000e0041b":                  "a?b", // an invisible tag
	}
	for in, want := range tests {
		if got := Clean(in); got != want {
			t.Errorf("Clean(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestWidth(t *testing.T) {
	tests := map[string]int{"": 0, "web": 3, "größer": 6, "网站": 4, "e\u0301": 1, "ａ": 2, "👍": 2, "▁█…": 3, "데이터": 6}
	for in, want := range tests {
		if got := Width(in); got != want {
			t.Errorf("Width(%q) = %d, want %d", in, got, want)
		}
	}
}

func TestCut(t *testing.T) {
	tests := []struct {
		in    string
		cells int
		want  string
	}{
		{"web", 3, "web"},
		{"website", 4, "web…"},
		{"website", 1, "…"},
		{"website", 0, ""},
		{"website", -1, ""},
		{"网站服务", 8, "网站服务"},
		{"网站服务", 7, "网站服…"},
		{"网站服务", 6, "网站…"}, // half of a character is none
		{"网站服务", 2, "…"},
		{"e\u0301e\u0301e\u0301", 2, "e\u0301…"},
	}
	for _, tt := range tests {
		if got := Cut(tt.in, tt.cells); got != tt.want {
			t.Errorf("Cut(%q, %d) = %q, want %q", tt.in, tt.cells, got, tt.want)
		}
	}
}

// TestFits holds for any text: what was cleaned drives no terminal, and what was
// cut or filled up is as wide as it should be.
func TestFits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Clean(rapid.String().Draw(t, "text"))
		if Clean(s) != s {
			t.Fatalf("cleaning %q again changes it", s)
		}
		if strings.ContainsAny(s, "\x1b\u009b\n\r\x00\u202e") {
			t.Fatalf("%q is not clean", s)
		}
		cells := rapid.IntRange(0, 60).Draw(t, "cells")
		if got := Width(Cut(s, cells)); got > cells {
			t.Fatalf("Cut(%q, %d) takes %d cells", s, cells, got)
		}
		if got := Width(Pad(s, cells)); got != cells {
			t.Fatalf("Pad(%q, %d) takes %d cells", s, cells, got)
		}
		if cells >= leastWrapped {
			for _, line := range Wrap(s, cells, cells) {
				if Width(line) > cells && strings.Contains(line, " ") {
					t.Fatalf("Wrap(%q, %d) has %q", s, cells, line)
				}
			}
		}
	})
}

func TestWrap(t *testing.T) {
	got := Wrap("one two three four and 五五五五五 six seventeenlettersword eight", 25, 20)
	want := []string{"one two three four and", "五五五五五 six", "seventeenlettersword", "eight"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}
