package sniff

import "strings"

// noBreak stands for a space at which a line must not be broken.
const noBreak = "\x00"

// sentence joins words, and after them what follows with commas, so that lines
// are broken between those alone.
func sentence(words, rest []string) string {
	var all []string
	for _, w := range words {
		all = append(all, strings.ReplaceAll(w, " ", noBreak))
	}
	for i, w := range rest {
		w = strings.ReplaceAll(w, " ", noBreak)
		if i < len(rest)-1 {
			w += ","
		}
		all = append(all, w)
	}
	return strings.Join(all, " ")
}

// wrap breaks a line at the width of the terminal; further lines are indented.
func (t *Text) wrap(line string, indent int) string {
	var b strings.Builder
	column := 0
	body := strings.TrimLeft(line, " ")
	b.WriteString(line[:len(line)-len(body)])
	column += len(line) - len(body)
	for i, word := range strings.Split(body, " ") {
		width := columns(word)
		switch {
		case i == 0:
		case t.Width > 0 && column+1+width > t.Width && column > indent:
			b.WriteString("\n" + strings.Repeat(" ", indent))
			column = indent
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += width
	}
	return strings.ReplaceAll(b.String(), noBreak, " ") + "\n"
}

// columns is how wide a word is, without colours.
func columns(word string) (n int) {
	escape := false
	for _, r := range word {
		switch {
		case r == '\x1b':
			escape = true
		case escape:
			escape = r != 'm'
		default:
			n++
		}
	}
	return n
}
