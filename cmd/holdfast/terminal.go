package main

import (
	"io"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/screen"
)

// terminal tells how wide a terminal is, 0 for anything else, and whether it is
// to have colours.
func terminal(w io.Writer) (width int, color bool) {
	t := screen.Of(w)
	if t.Is() {
		t.Width = max(40, t.Width)
	}
	return t.Width, t.Colour
}
