package screen

import (
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// Terminal is what is known of a terminal. The zero value is none, such as a
// file or a pipe.
type Terminal struct {
	// Width and Height are in cells; a terminal that does not know has 80 by 24.
	Width, Height int
	// Colour is set when colours are wanted.
	Colour bool
	// Dumb is set when it can only write line after line.
	Dumb bool
	// Blocks is set when it shows block characters, as sparklines need.
	Blocks bool
}

// Is reports whether it is a terminal at all.
func (t Terminal) Is() bool { return t.Width > 0 }

// Of tells of the terminal behind a writer.
func Of(w io.Writer) Terminal {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return Terminal{}
	}
	return describe(f, os.Getenv)
}

func describe(f *os.File, getenv func(string) string) Terminal {
	kind := getenv("TERM")
	t := Terminal{Width: 80, Height: 24, Dumb: kind == "dumb" || kind == ""}
	t.Colour = !t.Dumb && getenv("NO_COLOR") == ""
	t.Blocks = !t.Dumb && kind != "linux" && utf8Locale(getenv)
	if w, h, err := term.GetSize(int(f.Fd())); err == nil && w > 0 && h > 0 {
		t.Width, t.Height = w, h
	}
	return t
}

// utf8Locale reports whether the locale in force writes UTF-8.
func utf8Locale(getenv func(string) string) bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := getenv(name); v != "" {
			v = strings.ToLower(v)
			return strings.Contains(v, "utf-8") || strings.Contains(v, "utf8")
		}
	}
	return false
}

// Style is how text looks.
type Style string

// The styles.
const (
	Plain  Style = ""
	Bold   Style = "1"
	Dim    Style = "2"
	Good   Style = "32"
	Warn   Style = "33"
	Active Style = "1;32"
	Alarm  Style = "1;31"
)

// Ink is whether there are colours.
type Ink bool

// Paint gives a text a style.
func (i Ink) Paint(s Style, text string) string {
	if !i || s == Plain || text == "" {
		return text
	}
	return "\x1b[" + string(s) + "m" + text + "\x1b[0m"
}
