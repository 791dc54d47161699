package config

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Problem is one mistake in a configuration and where it is.
type Problem struct {
	File string
	// Line and Column count from 1; a column is one character.
	Line, Column int
	// Source is the text of the line, with passwords masked.
	Source  string
	Message string
	// Hint, when not empty, says what to write instead.
	Hint string
}

// Warning is something that is allowed but can hardly be meant.
type Warning Problem

// Errors is every mistake that was found, in the order of the file.
type Errors []Problem

// Error renders all problems, one after another, as a compiler does.
func (e Errors) Error() string {
	var b strings.Builder
	for i, p := range e {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(p.String())
	}
	return b.String()
}

// String renders the place, the message, the line with a caret and the hint.
func (p Problem) String() string { return p.render("") }

// String renders a warning as [Problem.String] does.
func (w Warning) String() string { return Problem(w).render("warning: ") }

func (p Problem) render(severity string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d:%d: %s%s", p.File, p.Line, p.Column, severity, p.Message)
	if strings.TrimSpace(p.Source) != "" {
		line, caret := excerpt(p.Source, p.Column)
		fmt.Fprintf(&b, "\n    %s\n    %s", line, caret)
	}
	if p.Hint != "" {
		fmt.Fprintf(&b, "\n  %s", p.Hint)
	}
	return b.String()
}

// Lines up to this many characters are shown whole.
const excerptWidth = 160

// excerpt returns the part of a line around a column, fit for a terminal, and
// the line with the caret below it.
func excerpt(line string, column int) (shown, caret string) {
	runes := []rune(strings.ToValidUTF8(line, "\uFFFD"))
	at := min(max(column-1, 0), len(runes))
	if len(runes) > excerptWidth {
		from := min(max(at-excerptWidth/2, 0), len(runes)-excerptWidth)
		runes, at = runes[from:from+excerptWidth], at-from
	}
	pad := make([]rune, at, at+1)
	for i, r := range runes {
		if r != '\t' && !unicode.IsPrint(r) {
			runes[i] = '\uFFFD' // an escape sequence must not reach a terminal
		}
		if i < at {
			pad[i] = ' '
			if r == '\t' {
				pad[i] = '\t'
			}
		}
	}
	return strings.TrimRight(string(runes), " \t"), string(append(pad, '^'))
}

// source is the text of a configuration, and what was found wrong with it.
type source struct {
	file     string
	text     string
	problems Errors
	warnings []Warning
	// placed is set when places are wanted. Finding them takes longer than all
	// else, and a file that is right needs none.
	placed bool
	// lines are the offsets at which lines begin, once they are needed.
	lines []int
	// hasGroup tells whether this host has a group.
	hasGroup func(name string) bool
}

// problem records a mistake at a byte offset.
func (s *source) problem(offset int, hint, format string, args ...any) {
	s.problems = append(s.problems, s.place(offset, hint, fmt.Sprintf(format, args...)))
}

// warn records a warning at a byte offset.
func (s *source) warn(offset int, hint, format string, args ...any) {
	s.warnings = append(s.warnings, Warning(s.place(offset, hint, fmt.Sprintf(format, args...))))
}

func (s *source) place(offset int, hint, message string) Problem {
	offset = min(max(offset, 0), len(s.text))
	number := s.line(offset)
	start := s.lines[number-1]
	line, _, _ := strings.Cut(s.text[start:], "\n")
	return Problem{
		File:    s.file,
		Line:    number,
		Column:  1 + utf8.RuneCountInString(s.text[start:offset]),
		Source:  mask(strings.TrimSuffix(line, "\r")),
		Message: message,
		Hint:    hint,
	}
}

// line returns the number of the line an offset is in.
func (s *source) line(offset int) int {
	if s.lines == nil {
		s.lines = []int{0}
		for i := range len(s.text) {
			if s.text[i] == '\n' {
				s.lines = append(s.lines, i+1)
			}
		}
	}
	n, _ := slices.BinarySearch(s.lines, offset+1)
	return n
}

// passwordValue finds a password in any form it may be written, right or wrong.
var passwordValue = regexp.MustCompile(
	`(?i)(password["']?[ \t]*=[ \t[{]*)("""[^"]*|'''[^']*|"(?:[^"\\]|\\.)*|'[^']*|[^\s"',}#]+)`)

// mask hides passwords: what is printed here ends in journals and tickets. Each
// character is replaced by one, so that columns stay.
func mask(line string) string {
	return passwordValue.ReplaceAllStringFunc(line, func(m string) string {
		value := passwordValue.FindStringSubmatch(m)[2]
		secret := strings.TrimLeft(value, `"'`)
		return strings.TrimSuffix(m, secret) + strings.Repeat("*", utf8.RuneCountInString(secret))
	})
}

// sorted returns the problems in the order of the file, each once.
func (s *source) sorted() Errors {
	slices.SortStableFunc(s.problems, inFileOrder)
	return slices.Compact(s.problems)
}

func (s *source) sortedWarnings() []Warning {
	slices.SortStableFunc(s.warnings, func(a, b Warning) int { return inFileOrder(Problem(a), Problem(b)) })
	return slices.Compact(s.warnings)
}

func inFileOrder(a, b Problem) int {
	return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
}
