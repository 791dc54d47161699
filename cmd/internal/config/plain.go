package config

import (
	"strconv"
	"strings"
)

// plain reads the part of TOML that configurations are written in: tables with a
// header of one bare key, and pairs of a bare key and a string without escapes,
// a number, true or false, an array of these, or a table of these in one line. It
// does so in one pass, and several times as fast as the decoder, to which it leaves
// all else, mistakes included: ok tells that the text holds nothing else.
func plain(text string) (data map[string]any, ok bool) {
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' || r == 0x7f || r == '\uFEFF' }) {
		return nil, false
	}
	s := &plainScanner{scanner{text: text, tooDeep: -1}}
	data = map[string]any{}
	table := data
	for s.skipBlank(); s.at < len(text); s.skipBlank() {
		if s.peek() == '[' {
			table, ok = s.header(data)
		} else {
			ok = s.pair(table, 0)
		}
		if !ok || !s.lineEnds() {
			return nil, false
		}
	}
	return data, true
}

// plainScanner makes values of what it moves past.
type plainScanner struct{ scanner }

// lineEnds moves past a comment to the end of the line.
func (s *plainScanner) lineEnds() bool {
	s.skipSpace()
	if s.peek() == '#' {
		s.at += lengthUntil(s.text[s.at:], "\n")
	}
	return s.at == len(s.text) || s.text[s.at] == '\n'
}

// bareKey reads a key and the white space around it.
func (s *plainScanner) bareKey() string {
	s.skipSpace()
	from := s.at
	for s.at < len(s.text) && isBare(s.text[s.at]) {
		s.at++
	}
	key := s.text[from:s.at]
	s.skipSpace()
	return key
}

func isBare(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}

// header reads [a] or [[a]] and makes the table that it opens.
func (s *plainScanner) header(data map[string]any) (map[string]any, bool) {
	closing := "]"
	if s.at++; s.peek() == '[' {
		s.at++
		closing = "]]"
	}
	key := s.bareKey()
	if key == "" || !s.take(closing) {
		return nil, false
	}
	list, many := data[key].([]map[string]any)
	if _, taken := data[key]; taken && (closing == "]" || !many) {
		return nil, false
	}
	table := make(map[string]any, 8)
	if closing == "]" {
		data[key] = table
	} else {
		data[key] = append(list, table)
	}
	return table, true
}

// pair reads key = value into a table.
func (s *plainScanner) pair(table map[string]any, depth int) bool {
	key := s.bareKey()
	if key == "" || !s.take("=") {
		return false
	}
	if _, taken := table[key]; taken {
		return false
	}
	s.skipSpace()
	v, ok := s.value(depth)
	if ok {
		table[key] = v
	}
	return ok
}

// value reads a value. Within another it is no array and no table.
func (s *plainScanner) value(depth int) (any, bool) {
	switch c := s.peek(); {
	case c == '"' || c == '\'':
		return s.quotedLine(c)
	case c == '[' && depth == 0:
		return s.array()
	case c == '{' && depth == 0:
		return s.table()
	}
	from := s.at
	s.at += lengthUntil(s.text[s.at:], " \t\n,]}#")
	switch word := s.text[from:s.at]; word {
	case "true":
		return true, true
	case "false":
		return false, true
	default:
		return plainNumber(word)
	}
}

// plainNumber reads a decimal number as everybody writes it.
func plainNumber(word string) (any, bool) {
	digits := strings.TrimPrefix(word, "-")
	if digits == "" || digits[0] == '0' && word != "0" || strings.Trim(digits, "0123456789") != "" {
		return nil, false
	}
	v, err := strconv.ParseInt(word, 10, 64)
	return v, err == nil
}

// quotedLine reads a string of one line that stands for itself.
func (s *plainScanner) quotedLine(quote byte) (any, bool) {
	body := s.text[s.at+1:]
	end := strings.IndexByte(body, quote)
	if end < 0 {
		return nil, false
	}
	s.at += end + 2
	if s.peek() == quote { // a long string begins, or a mistake
		return nil, false
	}
	body = body[:end]
	if strings.IndexByte(body, '\n') >= 0 || quote == '"' && strings.IndexByte(body, '\\') >= 0 {
		return nil, false
	}
	return body, true
}

// array reads [a, b], which may have several lines.
func (s *plainScanner) array() (any, bool) {
	list := []any{}
	for s.at++; ; {
		s.skipBlank()
		if s.take("]") {
			return list, true
		}
		v, ok := s.value(1)
		if !ok {
			return nil, false
		}
		list = append(list, v)
		s.skipBlank()
		if !s.take(",") && s.peek() != ']' {
			return nil, false
		}
	}
}

// table reads { a = 1, b = 2 }.
func (s *plainScanner) table() (any, bool) {
	table := map[string]any{}
	for s.at++; ; {
		if !s.pair(table, 1) {
			return nil, false
		}
		s.skipSpace()
		if s.take("}") {
			return table, true
		}
		if !s.take(",") {
			return nil, false
		}
	}
}
