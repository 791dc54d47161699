package screen

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseKeys(t *testing.T) {
	tests := []struct {
		name, in string
		want     []Key
		rest     string
	}{
		{"letters", "qj", []Key{"q", "j"}, ""},
		{"not of ASCII", "ä", []Key{"ä"}, ""},
		{"half a character", "q\xc3", []Key{"q"}, "\xc3"},
		{"no character", "\xffq", []Key{"q"}, ""},
		{"arrows", "\x1b[A\x1b[B\x1bOA\x1bOB", []Key{KeyUp, KeyDown, KeyUp, KeyDown}, ""},
		{"pages and ends", "\x1b[5~\x1b[6~\x1b[H\x1b[4~", []Key{KeyPageUp, KeyPageDown, KeyHome, KeyEnd}, ""},
		{"control", "\x03\x0c\x1a\x00\x7f", []Key{KeyCtrlC, KeyCtrlL, KeyCtrlZ}, ""},
		{"unknown sequences", "\x1b[1;5Cq\x1b[200~q", []Key{"q", "q"}, ""},
		{"a mouse", "\x1b[<0;1;1Mq", []Key{"q"}, ""},
		{"in two parts", "j\x1b[", []Key{"j"}, "\x1b["},
		{"escape alone, so far", "\x1b", nil, "\x1b"},
		{"escape, then a letter", "\x1bq", []Key{"q"}, ""},
		{"escape twice", "\x1b\x1b[A", []Key{KeyUp}, ""},
		{"broken off", "\x1b[1\nq", []Key{"q"}, ""},
		{"endless", "\x1b[1111111111111111111111111111111111111111q", []Key{"1", "1", "1", "1", "1", "1", "1", "1", "1", "q"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, rest := parseKeys([]byte(tt.in))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("keys (-want +got):\n%s", diff)
			}
			if string(rest) != tt.rest {
				t.Errorf("rest %q, want %q", rest, tt.rest)
			}
		})
	}
}
