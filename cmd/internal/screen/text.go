package screen

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/width"
)

// Ellipsis stands for what was cut off.
const Ellipsis = "…"

// mostMarks is how many combining marks one character may have: no language
// needs more, and a pile of them covers the lines above.
const mostMarks = 4

// Clean makes text from outside harmless: whatever could drive the terminal, or
// make text seem to stand in another order, becomes a question mark, and each
// line break or tab a space.
func Clean(s string) string {
	marks := 0
	return strings.Map(func(r rune) rune {
		if unicode.In(r, unicode.Mn, unicode.Me) {
			if marks++; marks > mostMarks {
				return -1
			}
			return r
		}
		marks = 0
		switch {
		case r == '\n', r == '\t', r == '\u2028', r == '\u2029':
			return ' '
		case r == utf8.RuneError, unicode.IsControl(r):
			return '?'
		case r == '\u200c', r == '\u200d': // joiners, which some scripts and emoji need
			return r
		case unicode.Is(unicode.Cf, r):
			return '?'
		}
		return r
	}, s)
}

// Width is how many cells a clean text takes.
func Width(s string) (cells int) {
	for _, r := range s {
		cells += cellsOf(r)
	}
	return cells
}

func cellsOf(r rune) int {
	if r < 0x300 { // what is nearly all text
		return 1
	}
	if unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf) {
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// Cut shortens a clean text to a number of cells; an ellipsis ends what was longer.
func Cut(s string, cells int) string {
	if len(s) <= cells || Width(s) <= cells {
		return s
	}
	if cells <= 0 {
		return ""
	}
	left, end := cells-1, 0
	for at, r := range s {
		if left -= cellsOf(r); left < 0 {
			break
		}
		end = at + utf8.RuneLen(r)
	}
	return s[:end] + Ellipsis
}

// Clip is Cut for a line with colours in it, without an ellipsis.
func Clip(line string, cells int) string {
	colour := false // within the sequence of one
	for at, r := range line {
		switch {
		case r == '\x1b':
			colour = true
		case colour:
			colour = r != 'm'
		default:
			if cells -= cellsOf(r); cells < 0 {
				return line[:at] + "\x1b[0m"
			}
		}
	}
	return line
}

// Pad is Cut, filled up with spaces.
func Pad(s string, cells int) string {
	s = Cut(s, cells)
	return s + strings.Repeat(" ", max(0, cells-Width(s)))
}

// leastWrapped is how many cells text is wrapped to at least: below, wrapping
// makes nothing better.
const leastWrapped = 20

// Wrap breaks a clean text between words into lines: the first has so many
// cells, the rest so many. A word that is longer has a line of its own.
func Wrap(text string, first, rest int) []string {
	if min(first, rest) < leastWrapped {
		return []string{text}
	}
	var lines []string
	line, used, cells := "", 0, first
	for word := range strings.SplitSeq(text, " ") {
		n := Width(word)
		if line != "" && used+1+n > cells {
			lines = append(lines, line)
			line, used, cells = "", 0, rest
		}
		if line != "" {
			line, used = line+" ", used+1
		}
		line, used = line+word, used+n
	}
	return append(lines, line)
}
