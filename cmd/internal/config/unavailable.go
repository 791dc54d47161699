package config

// feature is a part of the schema that this version checks but cannot carry
// out. It is refused, since to ignore it would be worse. Delete the entry when
// the feature is there.
type feature struct {
	table *table
	key   string
	// is picks the values that are refused; nil refuses any. Of an array each
	// element is asked.
	is func(value any) bool
	// what names it in the message.
	what string
}

var unavailable = []feature{
	{instanceTable, "virtual_mac", equals(true), "virtual_mac"},
	{instanceTable, "accept", equals(false), "accept = false"},
	{checkTable, "process", isString, "a process check"},
	{checkTable, "pid_file", isString, "a pid_file check"},
	{checkTable, "systemd", isString, "a systemd check"},
	{checkTable, "interface", isString, "an interface check"},
	{checkTable, "file", isString, "a file check"},
	{notifyTable, "webhook", isString, "webhook"},
	{notifyTable, "fifo", isString, "fifo"},
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
					s.src.problem(s.itemAt(key, i), "", notYet, f.what)
				}
			}
		} else if f.is == nil || f.is(s.data[key]) {
			s.src.problem(s.keyAt(key), "", notYet, f.what)
		}
	}
}
