package screen

import "unicode/utf8"

// Key is a key that was pressed: the character that it writes, or a name.
type Key string

// The keys that have names.
const (
	KeyUp       Key = "up"
	KeyDown     Key = "down"
	KeyPageUp   Key = "page up"
	KeyPageDown Key = "page down"
	KeyHome     Key = "home"
	KeyEnd      Key = "end"
	KeyCtrlC    Key = "ctrl-c"
	KeyCtrlL    Key = "ctrl-l"
	KeyCtrlZ    Key = "ctrl-z"
)

// controls are keys that write one byte.
var controls = map[byte]Key{3: KeyCtrlC, 12: KeyCtrlL, 26: KeyCtrlZ}

// sequences are what follows ESC [ or ESC O.
var sequences = map[string]Key{
	"A": KeyUp, "B": KeyDown, "H": KeyHome, "F": KeyEnd,
	"1~": KeyHome, "7~": KeyHome, "4~": KeyEnd, "8~": KeyEnd, "5~": KeyPageUp, "6~": KeyPageDown,
}

// longestSequence bounds what is taken for the beginning of one.
const longestSequence = 32

// parseKeys reads what a terminal sent. Sequences that nobody needs are left
// out; rest is the beginning of one that has not come whole.
func parseKeys(b []byte) (keys []Key, rest []byte) {
	for len(b) > 0 {
		if b[0] == 0x1b {
			key, n := parseSequence(b)
			if n == 0 {
				return keys, b
			}
			if key != "" {
				keys = append(keys, key)
			}
			b = b[n:]
			continue
		}
		if key, ok := controls[b[0]]; ok {
			keys = append(keys, key)
		} else if b[0] >= ' ' && b[0] != 0x7f {
			if !utf8.FullRune(b) {
				return keys, b
			}
			if r, n := utf8.DecodeRune(b); r != utf8.RuneError {
				keys = append(keys, Key(r))
				b = b[n:]
				continue
			}
		}
		b = b[1:]
	}
	return keys, nil
}

// parseSequence reads what begins with ESC. n is 0 when there is more to come. A
// second ESC begins anew, so that one that was pressed alone costs no key.
func parseSequence(b []byte) (key Key, n int) {
	switch {
	case len(b) == 1:
		return "", 0
	case b[1] != '[' && b[1] != 'O':
		return "", 1
	}
	for n = 2; n < len(b); n++ {
		if c := b[n]; c >= 0x40 && c <= 0x7e {
			return sequences[string(b[2:n+1])], n + 1
		} else if c < ' ' || c > 0x7e || n > longestSequence {
			return "", n
		}
	}
	return "", 0
}
