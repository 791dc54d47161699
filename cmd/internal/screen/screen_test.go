package screen

import (
	"bytes"
	"testing"
)

// TestRedraw wants that what did not change is not written.
func TestRedraw(t *testing.T) {
	var b bytes.Buffer
	shown := redraw(&b, nil, []string{"one", "two", "", "four"}, 3)
	if got, want := b.String(), "\x1b[1;1H\x1b[2Kone\x1b[2;1H\x1b[2Ktwo"; got != want {
		t.Errorf("at first %q, want %q", got, want)
	}
	b.Reset()
	shown = redraw(&b, shown, []string{"one", "2", "three"}, 3)
	if got, want := b.String(), "\x1b[2;1H\x1b[2K2\x1b[3;1H\x1b[2Kthree"; got != want {
		t.Errorf("then %q, want %q", got, want)
	}
	b.Reset()
	shown = redraw(&b, shown, []string{"one", "2", "three"}, 3)
	if b.Len() > 0 {
		t.Errorf("nothing changed, and yet it writes %q", b.String())
	}
	redraw(&b, shown, []string{"one"}, 3)
	if got, want := b.String(), "\x1b[2;1H\x1b[2K\x1b[3;1H\x1b[2K"; got != want {
		t.Errorf("less: %q, want %q", got, want)
	}
}
