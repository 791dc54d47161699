package notify

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// Event is one change of an instance's state, or something else that hooks want
// to hear of.
type Event struct {
	// Sequence counts the transitions of this node from 1; it is 0 in an event
	// that is none.
	Sequence uint64
	Instance string
	// State is the new state: master, backup, fault or stop; or what is told
	// beside these: rival, check or address. Previous is the one before, or with
	// what is no state the one at that time.
	State, Previous string
	// Check is the name of the check that it is about.
	Check string
	// Change is what happened to that check or to an address: see the constants.
	Change string
	// Reason is one plain clause, such as "no advert from 192.0.2.1 for 3.4s".
	Reason string
	// Priority is the effective priority of this node.
	Priority int
	// Addresses are the instance's, with their prefix lengths.
	Addresses []string
	Interface string
	// Peer is the address of the other router of the story; empty for none.
	Peer string
	At   time.Time
	// Node is the name of this node.
	Node string
}

// message is an event as hooks read it on standard input. Fields may be added;
// anything else needs a new version.
type message struct {
	Version   int       `json:"version"`
	Sequence  uint64    `json:"sequence"`
	Node      string    `json:"node"`
	Instance  string    `json:"instance"`
	State     string    `json:"state"`
	Previous  string    `json:"previous"`
	Reason    string    `json:"reason"`
	Priority  int       `json:"priority"`
	Addresses []string  `json:"addresses"`
	Interface string    `json:"interface"`
	Peer      string    `json:"peer"`
	Check     string    `json:"check"`
	Change    string    `json:"change"`
	At        time.Time `json:"at"`
}

// json returns the event as one line of JSON.
func (e *Event) json() ([]byte, error) {
	b, err := json.Marshal(message{
		Version:   1,
		Sequence:  e.Sequence,
		Node:      e.Node,
		Instance:  e.Instance,
		State:     e.State,
		Previous:  e.Previous,
		Reason:    e.Reason,
		Priority:  e.Priority,
		Addresses: append([]string{}, e.Addresses...), // never null
		Interface: e.Interface,
		Peer:      e.Peer,
		Check:     e.Check,
		Change:    e.Change,
		At:        e.At,
	})
	return append(b, '\n'), err
}

// environment is all the environment a hook gets: nothing of the daemon's own,
// such as its systemd sockets, leaks.
func (e *Event) environment() []string {
	env := []string{
		"PATH=" + defaultPath,
		"HOLDFAST_SEQUENCE=" + strconv.FormatUint(e.Sequence, 10),
		"HOLDFAST_NODE=" + e.Node,
		"HOLDFAST_INSTANCE=" + e.Instance,
		"HOLDFAST_STATE=" + e.State,
		"HOLDFAST_PREVIOUS=" + e.Previous,
		"HOLDFAST_REASON=" + e.Reason,
		"HOLDFAST_PRIORITY=" + strconv.Itoa(e.Priority),
		variable("HOLDFAST_ADDRESSES", e.Addresses),
		"HOLDFAST_INTERFACE=" + e.Interface,
		"HOLDFAST_PEER=" + e.Peer,
		"HOLDFAST_CHECK=" + e.Check,
		"HOLDFAST_CHANGE=" + e.Change,
	}
	for i := range env {
		env[i] = withoutNUL(env[i])
	}
	return env
}

// maxVariable is how long a variable may be with its name, in bytes: with a longer one
// the kernel starts no program (MAX_ARG_STRLEN, less the zero at the end).
const maxVariable = 128<<10 - 1

// variable is one that has as many of the words as there is room for.
func variable(name string, words []string) string {
	text := name + "=" + strings.Join(words, " ")
	if len(text) <= maxVariable {
		return text
	}
	return text[:strings.LastIndexByte(text[:maxVariable+1], ' ')]
}

// arguments returns the command of a hook for the event.
func (c *Config) arguments(e *Event) []string {
	argv := c.Exec
	if c.Style == Keepalived {
		argv = append(argv[:len(argv):len(argv)],
			"INSTANCE", withoutNUL(e.Instance), strings.ToUpper(withoutNUL(e.State)), strconv.Itoa(e.Priority))
	}
	return argv
}

// withoutNUL drops NUL bytes, with which the kernel would not start a program.
func withoutNUL(s string) string { return strings.ReplaceAll(s, "\x00", "") }

// commandLine shows a command to people.
func commandLine(argv []string) string {
	words := make([]string, len(argv))
	for i, s := range argv {
		words[i] = s
		if s == "" || strconv.Quote(s) != `"`+s+`"` || strings.ContainsAny(s, " '$&|;<>()*?`#~") {
			words[i] = strconv.Quote(s)
		}
	}
	return strings.Join(words, " ")
}
