package screen

import (
	"bytes"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOf(t *testing.T) {
	if got := Of(&bytes.Buffer{}); got.Is() {
		t.Errorf("a buffer is taken for a terminal: %+v", got)
	}
	f, err := os.Create(t.TempDir() + "/file")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got := Of(f); got.Is() {
		t.Errorf("a file is taken for a terminal: %+v", got)
	}
}

func TestDescribe(t *testing.T) {
	f, err := os.Open(os.DevNull) // a terminal that does not know its size
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	tests := []struct {
		name string
		env  map[string]string
		want Terminal
	}{
		{"usual", map[string]string{"TERM": "xterm-256color", "LANG": "en_US.UTF-8"}, Terminal{Width: 80, Height: 24, Colour: true, Blocks: true}},
		{"no colour", map[string]string{"TERM": "xterm", "LANG": "C.utf8", "NO_COLOR": "1"}, Terminal{Width: 80, Height: 24, Blocks: true}},
		{"dumb", map[string]string{"TERM": "dumb", "LANG": "C.UTF-8"}, Terminal{Width: 80, Height: 24, Dumb: true}},
		{"none named", nil, Terminal{Width: 80, Height: 24, Dumb: true}},
		{"console", map[string]string{"TERM": "linux", "LANG": "C.UTF-8"}, Terminal{Width: 80, Height: 24, Colour: true}},
		{"not UTF-8", map[string]string{"TERM": "xterm", "LANG": "C.UTF-8", "LC_ALL": "C"}, Terminal{Width: 80, Height: 24, Colour: true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := describe(f, func(name string) string { return tt.env[name] })
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("terminal (-want +got):\n%s", diff)
			}
		})
	}
}
