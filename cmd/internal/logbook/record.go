package logbook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
)

// Record is one thing that was logged.
type Record struct {
	Time time.Time `json:"time"`
	// Level is trace, debug, info, warn or error.
	Level   string `json:"level"`
	Message string `json:"message"`
	Fields  Fields `json:"fields"`
}

// Fields are names and values, in the order in which they were given. In JSON
// they are one object.
type Fields []Field

// Field is one of them. In JSON its value is a string, a number, or true or false.
type Field struct {
	Name  string
	Value any
}

// Entry is a record, and its JSON, which is one line.
type Entry struct {
	*Record
	JSON []byte
}

// maxValue is how many bytes of one value are kept.
const maxValue = 4 << 10

func encode(r *Record) Entry {
	text, err := json.Marshal(r)
	if err != nil { // a number that is none
		r.Fields = Fields{{"error", err.Error()}}
		text, _ = json.Marshal(r)
	}
	return Entry{r, text}
}

// fields takes names and values that stand in turns, as loggers have them.
func fields(args []any) Fields {
	list := make(Fields, 0, len(args)/2)
	for n := 0; n+1 < len(args); n += 2 {
		list = append(list, Field{fmt.Sprint(args[n]), value(args[n+1])})
	}
	return list
}

func value(v any) any {
	switch v := v.(type) {
	case string:
		return clip(v)
	case error:
		return clip(v.Error())
	case bool, int, int64, uint64, uint32, float64:
		return v
	}
	return clip(fmt.Sprint(v))
}

func clip(s string) string {
	if len(s) > maxValue {
		s = s[:maxValue] + "…"
	}
	return strings.ToValidUTF8(s, "?")
}

// MarshalJSON implements [json.Marshaler].
func (f Fields) MarshalJSON() ([]byte, error) {
	text := []byte{'{'}
	for n, one := range f {
		if n > 0 {
			text = append(text, ',')
		}
		name, err := json.Marshal(one.Name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(one.Value)
		if err != nil {
			return nil, err
		}
		text = append(append(append(text, name...), ':'), value...)
	}
	return append(text, '}'), nil
}

// UnmarshalJSON implements [json.Unmarshaler].
func (f *Fields) UnmarshalJSON(text []byte) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return errors.Join(errors.New("fields are no object"), err)
	}
	*f = nil
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		var v any
		if err := d.Decode(&v); err != nil {
			return err
		}
		*f = append(*f, Field{fmt.Sprint(name), v})
	}
	return nil
}

// args are the fields as loggers take them, none of which breaks a line.
func (f Fields) args() []any {
	list := make([]any, 0, 2*len(f))
	for _, one := range f {
		list = append(list, one.Name, one.Value)
	}
	return oneLine(list)
}

// oneLine quotes what has several lines, but for errors: those are for people, as
// of a configuration, and hclog marks each of their lines. It leaves args
// themselves alone.
func oneLine(args []any) []any {
	var list []any
	for n := 1; n < len(args); n += 2 {
		text, several := severalLines(args[n])
		if !several {
			continue
		}
		if list == nil {
			list = append([]any(nil), args...)
		}
		list[n] = hclog.Quote(text)
	}
	if list == nil {
		return args
	}
	return list
}

func severalLines(v any) (text string, several bool) {
	switch v := v.(type) {
	case string:
		text = v
	case error:
		return "", false
	case fmt.Stringer:
		text = v.String()
	default:
		if k := reflect.ValueOf(v).Kind(); k != reflect.Slice && k != reflect.Struct && k != reflect.Map {
			return "", false
		}
		text = fmt.Sprint(v)
	}
	return text, strings.ContainsAny(text, "\n\r\u0085\u2028\u2029")
}

// Level is how much a record matters.
type Level = hclog.Level

// The levels below info, of what is for those alone who look closer.
const (
	Trace = hclog.Trace
	Debug = hclog.Debug
)

// Levels are the levels' names, from the least one on.
func Levels() []string { return []string{"trace", "debug", "info", "warn", "error"} }

// ParseLevel returns the level of a name, or 0.
func ParseLevel(name string) Level { return hclog.LevelFromString(name) }

// Kept reports whether records of a level are kept, or else only handed to those
// who follow.
func Kept(l Level) bool { return l >= keepLevel }
