package config

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxDepth is how deep tables and arrays may nest. The schema needs 4; without
// a bound a hostile file could exhaust the stack of the TOML decoder.
const maxDepth = 32

// node is the place of a key, a table or an array element in the text, in the
// same tree as the decoded values. The TOML decoder tells no positions.
type node struct {
	// start is the byte offset of the key, of the bracket of a table header, or
	// of an element; value is the offset of what stands behind the "=".
	start, value int
	keys         map[string]*node
	items        []*node
}

// child returns the node of a key, made at offset when it is new.
func (n *node) child(key string, offset int) *node {
	if c, ok := n.keys[key]; ok {
		return c
	}
	c := &node{start: offset, value: offset}
	if n.keys == nil {
		n.keys = map[string]*node{}
	}
	n.keys[key] = c
	return c
}

// last returns the newest element of an array of tables, or the node itself.
func (n *node) last() *node {
	if len(n.items) > 0 {
		return n.items[len(n.items)-1]
	}
	return n
}

// index finds the place of everything in a text. What is not TOML ends it
// early: the decoder reports that better. tooDeep is the offset where the text
// nests beyond maxDepth, or -1.
func index(text string) (root *node, tooDeep int) {
	s := &scanner{text: text, at: len(text) - len(strings.TrimPrefix(text, "\uFEFF")), tooDeep: -1}
	root = &node{}
	table := root
	for s.skipBlank(); s.at < len(s.text); s.skipBlank() {
		ok := false
		if s.peek() == '[' {
			table, ok = s.header(root)
		} else {
			ok = s.pair(table, 0)
		}
		if !ok {
			break
		}
	}
	return root, s.tooDeep
}

type scanner struct {
	text    string
	at      int
	tooDeep int
}

// peek returns the next byte, 0 at the end.
func (s *scanner) peek() byte {
	if s.at < len(s.text) {
		return s.text[s.at]
	}
	return 0
}

// take moves past prefix when it is next.
func (s *scanner) take(prefix string) bool {
	if !strings.HasPrefix(s.text[s.at:], prefix) {
		return false
	}
	s.at += len(prefix)
	return true
}

// skipBlank moves past white space, line ends and comments.
func (s *scanner) skipBlank() {
	for s.at < len(s.text) {
		switch s.text[s.at] {
		case ' ', '\t', '\r', '\n':
			s.at++
		case '#':
			s.at += lengthUntil(s.text[s.at:], "\n")
		default:
			return
		}
	}
}

func (s *scanner) skipSpace() {
	for s.peek() == ' ' || s.peek() == '\t' {
		s.at++
	}
}

// header reads [a.b] or [[a.b]] and returns the table it opens.
func (s *scanner) header(root *node) (*node, bool) {
	start := s.at
	array := s.take("[[")
	if !array {
		s.at++
	}
	parts, ok := s.key()
	if !ok || !s.take("]") || array && !s.take("]") {
		return root, false
	}
	n := root
	for i, p := range parts {
		n = n.last()
		_, seen := n.keys[p.text]
		n = n.child(p.text, start)
		if i < len(parts)-1 {
			continue
		}
		if array {
			n.items = append(n.items, &node{start: start, value: start})
		} else if !seen || n.start > start {
			n.start, n.value = start, start
		}
	}
	return n.last(), true
}

// pair reads key = value into table.
func (s *scanner) pair(table *node, depth int) bool {
	parts, ok := s.key()
	if !ok || !s.take("=") {
		return false
	}
	s.skipSpace()
	n := table
	for _, p := range parts {
		n = n.child(p.text, p.offset)
	}
	n.value = s.at
	return s.value(n, depth+len(parts))
}

type keyPart struct {
	text   string
	offset int
}

// key reads a dotted key and the white space around it.
func (s *scanner) key() (parts []keyPart, ok bool) {
	for {
		s.skipSpace()
		p := keyPart{offset: s.at}
		if c := s.peek(); c == '"' || c == '\'' {
			if !s.quoted() {
				return nil, false
			}
			p.text = unquote(s.text[p.offset:s.at])
		} else {
			s.at += lengthUntil(s.text[s.at:], " \t\r\n.=[]{}\"'#,")
			if p.text = s.text[p.offset:s.at]; p.text == "" {
				return nil, false
			}
		}
		if parts = append(parts, p); len(parts) > maxDepth {
			return nil, s.deep(p.offset)
		}
		s.skipSpace()
		if !s.take(".") {
			return parts, true
		}
	}
}

func (s *scanner) deep(offset int) bool {
	if s.tooDeep < 0 {
		s.tooDeep = offset
	}
	return false
}

// value moves past a value and records what is inside of it.
func (s *scanner) value(n *node, depth int) bool {
	if depth > maxDepth {
		return s.deep(s.at)
	}
	switch s.peek() {
	case '"', '\'':
		return s.quoted()
	case '[':
		s.at++
		return s.list(']', func() bool {
			item := &node{start: s.at, value: s.at}
			n.items = append(n.items, item)
			return s.value(item, depth+1)
		})
	case '{':
		s.at++
		return s.list('}', func() bool { return s.pair(n, depth+1) })
	}
	from := s.at
	s.at += lengthUntil(s.text[s.at:], ",]}#\r\n")
	return s.at > from
}

// list reads elements separated by commas up to the closing bracket.
func (s *scanner) list(closing byte, element func() bool) bool {
	for {
		s.skipBlank()
		if s.peek() == closing {
			s.at++
			return true
		}
		if s.peek() == 0 || !element() {
			return false
		}
		s.skipBlank()
		if !s.take(",") && s.peek() != closing {
			return false
		}
	}
}

// quoted moves past a string of any of the four kinds.
func (s *scanner) quoted() bool {
	quote := s.text[s.at : s.at+1]
	if long := strings.Repeat(quote, 3); s.take(long) {
		return s.until(long, quote == `"`) && s.closingQuotes(quote)
	}
	s.at++
	return s.until(quote, quote == `"`)
}

// closingQuotes moves past the one or two quotes that may end the content of a
// long string just before its delimiter.
func (s *scanner) closingQuotes(quote string) bool {
	for range 2 {
		s.take(quote)
	}
	return true
}

// until moves past the next delimiter that is not escaped.
func (s *scanner) until(delimiter string, escapes bool) bool {
	for s.at < len(s.text) {
		if escapes && s.text[s.at] == '\\' {
			s.at = min(s.at+2, len(s.text))
			continue
		}
		if s.take(delimiter) {
			return true
		}
		s.at++
	}
	return false
}

// unquote returns what a quoted key stands for.
func unquote(s string) string {
	body := s[1 : len(s)-1]
	if s[0] == '\'' || !strings.Contains(body, `\`) {
		return body
	}
	var b strings.Builder
	for i := 0; i < len(body); i++ {
		if body[i] != '\\' || i+1 == len(body) {
			b.WriteByte(body[i])
			continue
		}
		i++
		r, digits := escape(body[i])
		if digits > 0 && i+digits < len(body) {
			if v, err := strconv.ParseUint(body[i+1:i+1+digits], 16, 32); err == nil {
				r = rune(v)
			}
			i += digits
		}
		b.WriteRune(r)
	}
	return b.String()
}

// escape returns what the character after a backslash stands for, or how many
// hexadecimal digits follow it.
func escape(c byte) (r rune, digits int) {
	switch c {
	case 'b':
		return '\b', 0
	case 't':
		return '\t', 0
	case 'n':
		return '\n', 0
	case 'f':
		return '\f', 0
	case 'r':
		return '\r', 0
	case 'e':
		return 0x1b, 0
	case 'x':
		return utf8.RuneError, 2
	case 'u':
		return utf8.RuneError, 4
	case 'U':
		return utf8.RuneError, 8
	}
	return rune(c), 0
}

func lengthUntil(s, any string) int {
	if i := strings.IndexAny(s, any); i >= 0 {
		return i
	}
	return len(s)
}
