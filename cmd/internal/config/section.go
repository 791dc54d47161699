package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// section is one table of the file: its decoded values, their places, and the
// table of the schema it must follow. The readers below report what is wrong
// with a value themselves; ok tells that the key is there and good.
type section struct {
	src   *source
	table *table
	data  map[string]any
	at    *node
}

// placed is a value and the byte offset where it was written.
type placed[T any] struct {
	value T
	at    int
}

// open checks the keys of a table before its values are read.
func (s *source) open(t *table, data map[string]any, at *node) *section {
	sec := &section{src: s, table: t, data: data, at: at}
	for key := range data { // in any order: problems are told in that of the file
		if slices.Contains(t.keys, key) {
			sec.refuse(key)
		} else {
			s.problem(sec.keyAt(key), hintForKey(t, key), "unknown key %q in %v", key, t)
		}
	}
	return sec
}

func (s *section) has(key string) bool {
	_, ok := s.data[key]
	return ok
}

// node returns the place of a key; that of the table when the key is absent.
func (s *section) node(key string) *node {
	if n, ok := s.at.keys[key]; ok {
		return n
	}
	return s.at
}

func (s *section) keyAt(key string) int { return s.node(key).start }

func (s *section) valueAt(key string) int { return s.node(key).value }

func (s *section) itemAt(key string, i int) int {
	n := s.node(key)
	if i < len(n.items) {
		return n.items[i].start
	}
	return n.value
}

// bad reports a value.
func (s *section) bad(key, hint, format string, args ...any) {
	s.src.problem(s.valueAt(key), hint, format, args...)
}

// missing reports a key that must be there.
func (s *section) missing(key, example string) {
	s.src.problem(s.at.start, fmt.Sprintf("add %s = %s", key, example), "%v has no %s", s.table, key)
}

// wrongType reports a value that is not what the key wants.
func (s *section) wrongType(key, wanted, hint string) {
	s.bad(key, hint, "%s must be %s, not %s", key, wanted, describe(s.data[key]))
}

// describe names a decoded value in a message.
func describe(v any) string {
	switch v := v.(type) {
	case string:
		return "a string"
	case int64:
		return fmt.Sprintf("the number %d", v)
	case float64:
		return fmt.Sprintf("the number %v", v)
	case bool:
		return fmt.Sprint(v)
	case time.Time:
		return "a date or time"
	case []any, []map[string]any:
		return "an array"
	case map[string]any:
		return "a table"
	}
	return fmt.Sprintf("%T", v)
}

func (s *section) str(key string) (string, bool) {
	if !s.has(key) {
		return "", false
	}
	v, ok := s.data[key].(string)
	if !ok {
		s.wrongType(key, "a string", quoteHint(key, s.data[key]))
		return "", false
	}
	return strings.Clone(v), true // else the whole text would be kept
}

// text reads a string that may not be empty nor hold control characters.
func (s *section) text(key string) (string, bool) {
	v, ok := s.str(key)
	if !ok {
		return "", false
	}
	if reason := textFault(v); reason != "" {
		s.bad(key, "", "%s %s", key, reason)
		return "", false
	}
	return v, true
}

func textFault(v string) string {
	switch {
	case v == "":
		return "is empty"
	case strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return "holds a control character"
	}
	return ""
}

func quoteHint(key string, v any) string {
	switch v.(type) {
	case int64, float64, bool:
		return fmt.Sprintf(`write %s = "%v"`, key, v)
	}
	return ""
}

// choice reads one of a few words.
func (s *section) choice(key string, words ...string) (string, bool) {
	v, ok := s.str(key)
	if !ok {
		return "", false
	}
	if !slices.Contains(words, v) {
		s.bad(key, didYouMean(v, words), "%s %q must be %s", key, v, orList(words))
		return "", false
	}
	return v, true
}

// orList writes words as a choice: "a", "b" or "c".
func orList(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = strconv.Quote(w)
	}
	if len(quoted) == 1 {
		return quoted[0]
	}
	last := len(quoted) - 1
	return strings.Join(quoted[:last], ", ") + " or " + quoted[last]
}

// integer reads a whole number from lo to hi.
func (s *section) integer(key string, lo, hi int) (int, bool) {
	if !s.has(key) {
		return 0, false
	}
	v, ok := s.data[key].(int64)
	if !ok {
		hint := ""
		if text, isText := s.data[key].(string); isText {
			if _, err := strconv.Atoi(text); err == nil {
				hint = fmt.Sprintf("write %s = %s without the quotes", key, text)
			}
		}
		s.wrongType(key, "a whole number", hint)
		return 0, false
	}
	if v < int64(lo) || v > int64(hi) {
		between := "from %d to %d"
		if hi == lo+1 {
			between = "%d or %d"
		}
		s.bad(key, "", "%s %d must be "+between, key, v, lo, hi)
		return 0, false
	}
	return int(v), true
}

func (s *section) boolean(key string) (value, ok bool) {
	if !s.has(key) {
		return false, false
	}
	value, ok = s.data[key].(bool)
	if !ok {
		hint := ""
		if text := fmt.Sprint(s.data[key]); text == "true" || text == "false" {
			hint = fmt.Sprintf("write %s = %s without the quotes", key, text)
		}
		s.wrongType(key, "true or false", hint)
	}
	return value, ok
}

// interval reads a duration of any length.
func (s *section) interval(key string) (time.Duration, bool) {
	if !s.has(key) {
		return 0, false
	}
	text, ok := s.data[key].(string)
	if !ok {
		hint := `a duration looks like "1s", "200ms" or "1m30s"`
		switch v := s.data[key].(type) {
		case int64, float64:
			hint = fmt.Sprintf(`write "%vs"`, v)
		}
		s.wrongType(key, "a duration with a unit", hint)
		return 0, false
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		hint := `a duration looks like "1s", "200ms" or "1m30s"`
		if _, numeric := strconv.ParseFloat(text, 64); numeric == nil {
			hint = fmt.Sprintf("write %q", text+"s")
		}
		s.bad(key, hint, "%s %q is not a duration with a unit", key, text)
		return 0, false
	}
	return d, true
}

// duration reads a duration from lo to hi.
func (s *section) duration(key string, lo, hi time.Duration) (time.Duration, bool) {
	d, ok := s.interval(key)
	if ok && (d < lo || d > hi) {
		s.bad(key, "", "%s %s must be from %s to %s", key, human(d), human(lo), human(hi))
		return 0, false
	}
	return d, ok
}

// human writes a duration as a person would: 1m, not 1m0s.
func human(d time.Duration) string {
	text := d.String()
	if d != 0 && strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// strings reads an array of strings; example is shown when it is something else.
// Elements that are no strings are reported and left out.
func (s *section) strings(key, example string) ([]placed[string], bool) {
	if !s.has(key) {
		return nil, false
	}
	list, ok := s.data[key].([]any)
	if !ok {
		hint := ""
		if text, isText := s.data[key].(string); isText {
			hint = fmt.Sprintf("write %s = [%q]", key, text)
		} else if example != "" {
			hint = fmt.Sprintf("write %s = %s", key, example)
		}
		s.wrongType(key, "an array of strings", hint)
		return nil, false
	}
	items := make([]placed[string], 0, len(list))
	for i, v := range list {
		text, isText := v.(string)
		if !isText {
			s.src.problem(s.itemAt(key, i), "", "%s must hold strings only, not %s", key, describe(v))
			ok = false
			continue
		}
		items = append(items, placed[string]{strings.Clone(text), s.itemAt(key, i)})
	}
	return items, ok
}

// stringsNotEmpty is strings for a key that makes no sense with an empty array.
func (s *section) stringsNotEmpty(key, example, hint string) ([]placed[string], bool) {
	items, ok := s.strings(key, example)
	if ok && len(items) == 0 {
		s.bad(key, hint, "%s is empty", key)
		return nil, false
	}
	return items, ok
}

// unique reports the elements that stand in a list twice.
func (s *section) unique(key string, items []placed[string]) {
	seen := map[string]bool{}
	for _, it := range items {
		if seen[it.value] {
			s.src.problem(it.at, "", "%s has %q twice", key, it.value)
		}
		seen[it.value] = true
	}
}

// values drops the places.
func values[T any](items []placed[T]) []T {
	if items == nil {
		return nil
	}
	out := make([]T, len(items))
	for i, it := range items {
		out[i] = it.value
	}
	return out
}

// sub opens a table that is the value of a key; nil when it is absent or
// something else.
func (s *section) sub(t *table, example string) *section {
	if !s.has(t.name) {
		return nil
	}
	data, ok := s.data[t.name].(map[string]any)
	if !ok {
		s.wrongType(t.name, "a table", "write "+t.name+" = "+example)
		return nil
	}
	return s.src.open(t, data, s.node(t.name))
}
