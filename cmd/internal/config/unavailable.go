package config

import (
	"fmt"
	"strings"
	"unicode"
)

// feature is a part of the schema that this version checks but cannot carry
// out. It is refused, since to ignore it would be worse. Delete the entry when
// the feature is there.
type feature struct {
	table *table
	key   string
	// is picks the values that are refused; nil refuses any. Of an array each
	// element is asked.
	is func(value any) bool
	// what names it in the message, instead says what to write in its place; %v in
	// that is the value.
	what, instead string
}

var unavailable = []feature{
	{instanceTable, "virtual_mac", equals(true), "virtual_mac", "remove it: the interface's own MAC address is announced"},
	{instanceTable, "accept", equals(false), "accept = false", "remove it: the master answers on the addresses"},
	{checkTable, "process", isString, "a process check", `write exec = ["/usr/bin/pidof", "%v"]`},
	{checkTable, "pid_file", isString, "a pid_file check", `write exec = ["/usr/bin/pgrep", "-F", "%v"]`},
	{checkTable, "systemd", isString, "a systemd check", `write exec = ["/usr/bin/systemctl", "is-active", "--quiet", "%v"]`},
	{checkTable, "interface", isString, "an interface check", `write exec = ["/usr/bin/grep", "-q", "1", "/sys/class/net/%v/carrier"]`},
	{checkTable, "file", isString, "a file check", `write exec = ["/usr/bin/test", "-e", "%v"], or with "!" before "-e" for a file that must be absent`},
	{notifyTable, "webhook", isString, "webhook", `write exec = ["/usr/bin/curl", "-sSf", "-d", "@-", "%v"]: the event is on its standard input, as JSON`},
	{notifyTable, "fifo", isString, "fifo", "write exec with a program that writes into it"},
}

func isString(v any) bool {
	_, ok := v.(string)
	return ok
}

func equals(want any) func(any) bool {
	return func(v any) bool { return v == want }
}

const notYet = "%s is not available yet in this version of holdfast"

// refuse reports what of a key's value is not available yet.
func (s *section) refuse(key string) {
	for _, f := range unavailable {
		if f.key != key || f.table != s.table {
			continue
		}
		if list, ok := s.data[key].([]any); ok {
			for i, v := range list {
				if f.is == nil || f.is(v) {
					s.src.problem(s.itemAt(key, i), f.hint(v), notYet, f.what)
				}
			}
		} else if f.is == nil || f.is(s.data[key]) {
			s.src.problem(s.keyAt(key), f.hint(s.data[key]), notYet, f.what)
		}
	}
}

// hint says what to write in the place of a value, unless that has what would need
// quoting.
func (f *feature) hint(value any) string {
	text := fmt.Sprint(value)
	if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsGraphic(r) || r == '"' || r == '\\' }) {
		return ""
	}
	return strings.ReplaceAll(f.instead, "%v", text)
}
