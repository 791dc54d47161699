package healthcheck

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestOutputKeepsBothEnds(t *testing.T) {
	tests := map[string]struct {
		written    []string
		head, tail string
		all        bool
	}{
		"nothing":       {nil, "", "", true},
		"a line":        {[]string{"hello\n"}, "hello", "hello", true},
		"in pieces":     {[]string{"he", "", "llo"}, "hello", "hello", true},
		"just fits":     {[]string{strings.Repeat("x", keepHead+keepTail)}, "xxx", "xxx", true},
		"one too many":  {[]string{"first", strings.Repeat("x", keepHead+keepTail-9), "last"}, "first", "last", true},
		"far too many":  {[]string{"first", strings.Repeat("x", 1<<20), "last"}, "first", "last", false},
		"byte by byte":  {strings.Split("first"+strings.Repeat("x", 10000)+"last", ""), "first", "last", false},
		"cut in a rune": {[]string{strings.Repeat("é", 5000)}, "é", "é", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var o output
			for _, s := range tt.written {
				if n, err := o.Write([]byte(s)); n != len(s) || err != nil {
					t.Fatalf("Write = %d, %v", n, err)
				}
			}
			got := o.String()
			if !strings.HasPrefix(got, tt.head) || !strings.HasSuffix(got, tt.tail) {
				t.Errorf("got %q", got)
			}
			whole := strings.TrimSpace(strings.Join(tt.written, ""))
			if (got == whole) != tt.all {
				t.Errorf("kept whole: %v, want %v", got == whole, tt.all)
			}
			if !tt.all && !strings.Contains(got, "bytes left out") {
				t.Error("does not say that something is missing")
			}
		})
	}
}

func TestOutputIsBoundedAndValid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var o output
		for _, b := range rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 3000), 0, 8).Draw(t, "writes") {
			o.Write(b)
		}
		s := o.String()
		if len(s) > maxOutput || !utf8.ValidString(s) {
			t.Fatalf("%d bytes, valid %v", len(s), utf8.ValidString(s))
		}
	})
}

func TestTidy(t *testing.T) {
	tests := map[string]struct{ in, want string }{
		"white space":  {"\n a b \n\n", "a b"},
		"broken UTF-8": {"a\xffb", "a?b"},
		"whole runes":  {strings.Repeat("€", 2000), strings.Repeat("€", maxOutput/3)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := tidy(tt.in); got != tt.want {
				t.Errorf("tidy(%.20q) = %.20q (%d bytes), want %d bytes", tt.in, got, len(got), len(tt.want))
			}
		})
	}
}
