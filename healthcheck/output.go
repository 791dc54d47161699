package healthcheck

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxOutput bounds what is kept of an output, in bytes.
const maxOutput = 4 << 10

// output keeps the beginning and the end of what is written to it. Writing
// never fails.
type output struct {
	head, tail []byte
	cut        int // bytes left out between them
}

const (
	keepHead = 1 << 10
	keepTail = 2 << 10
)

func (o *output) Write(b []byte) (int, error) {
	n := len(b)
	room := min(keepHead-len(o.head), len(b))
	o.head = append(o.head, b[:room]...)
	o.tail = append(o.tail, b[room:]...)
	if over := len(o.tail) - keepTail; over > 0 {
		o.cut += over
		o.tail = append(o.tail[:0], o.tail[over:]...)
	}
	return n, nil
}

func (o *output) String() string {
	if o.cut == 0 {
		return tidy(string(o.head) + string(o.tail))
	}
	return tidy(fmt.Sprintf("%s\n[%d bytes left out]\n%s", o.head, o.cut, o.tail))
}

// tidy makes text of a stranger safe to hand on: valid UTF-8, without white
// space around it, at most [maxOutput] bytes.
func tidy(s string) string {
	s = strings.TrimSpace(strings.ToValidUTF8(s, "?"))
	if len(s) <= maxOutput {
		return s
	}
	cut := maxOutput
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut]
}
