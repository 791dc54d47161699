// Package history keeps what happened on a node: a bounded list of events in
// memory and, so that it outlives the daemon, in a file.
//
// Whoever records an event never waits: not for a disk, not for those who
// follow, not for those who ask.
package history

import (
	"strings"
	"time"
	"unicode/utf8"
)

// Event is one thing that happened, kept in the history and told to those who
// follow it.
type Event struct {
	// Sequence counts the events of this node, also across restarts of the
	// daemon.
	Sequence uint64    `json:"sequence"`
	Time     time.Time `json:"time"`
	// Kind is what it is about, one of [Kinds].
	Kind string `json:"kind"`
	// Severity is info, warning or error.
	Severity string `json:"severity"`
	// Text is one plain sentence, without a full stop, that says it all. That
	// of an event of an instance begins with the instance's name.
	Text string `json:"text"`

	Instance  string `json:"instance,omitempty"`
	Family    string `json:"family,omitempty"`
	Interface string `json:"interface,omitempty"`
	Check     string `json:"check,omitempty"`
	// Hook is the command line of a hook.
	Hook string `json:"hook,omitempty"`
	// Addresses are those that it is about, or the first few of many.
	Addresses []string `json:"addresses,omitempty"`
	// From and To are the states of a transition or of a check, or the
	// priorities of a change of these.
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
	// Reason is why, as the state itself would tell it.
	Reason string `json:"reason,omitempty"`
	// Peer is the other router of the story.
	Peer         string `json:"peer,omitempty"`
	PeerPriority int    `json:"peer_priority,omitempty"`
	Priority     int    `json:"priority,omitempty"`
	// LastedMS is how long the state before it lasted, in milliseconds.
	LastedMS int64 `json:"lasted_ms,omitempty"`
	// DurationMS is how long a probe or a hook took, or a pause was, in
	// milliseconds.
	DurationMS float64 `json:"duration_ms,omitempty"`
	// Output is what a check or a hook wrote, or the first part of that.
	Output string `json:"output,omitempty"`
	// Who asked for it, when somebody did.
	Who string `json:"who,omitempty"`
}

// The kinds of event.
const (
	KindTransition = "transition" // an instance changed its state
	KindPriority   = "priority"   // it elects with another priority: demoted, or not any more
	KindCheck      = "check"      // a check passes or fails
	KindRival      = "rival"      // another master is heard
	KindAddress    = "address"    // a VIP was repaired, refused, or found elsewhere
	KindInterface  = "interface"  // it came up, went down, or became a port of another
	KindHook       = "hook"       // how a notify hook ended
	KindReload     = "reload"     // a configuration was taken or refused
	KindOperator   = "operator"   // somebody gave an order
	KindNotice     = "notice"     // what else people may have to mend
	KindDaemon     = "daemon"     // it started, stopped, or could not run for a while
)

// Kinds lists the kinds of event.
func Kinds() []string {
	return []string{
		KindTransition, KindPriority, KindCheck, KindRival, KindAddress, KindInterface,
		KindHook, KindReload, KindOperator, KindNotice, KindDaemon,
	}
}

// The severities.
const (
	Info    = "info"
	Warning = "warning"
	Error   = "error"
)

// Severities lists the severities from the mildest on.
func Severities() []string { return []string{Info, Warning, Error} }

const (
	maxText      = 1 << 10 // bytes of one string in an event
	maxAddresses = 16
)

// bound keeps one event from taking more room than is its due.
func (e *Event) bound() {
	for _, s := range []*string{
		&e.Kind, &e.Severity, &e.Text, &e.Instance, &e.Family, &e.Interface, &e.Check, &e.Hook,
		&e.From, &e.To, &e.Reason, &e.Peer, &e.Output, &e.Who,
	} {
		*s = clip(*s)
	}
	if len(e.Addresses) > maxAddresses {
		e.Addresses = e.Addresses[:maxAddresses]
	}
	e.Addresses = append([]string(nil), e.Addresses...)
}

// clip shortens a text to whole characters of valid UTF-8.
func clip(s string) string {
	const more = "…"
	if len(s) > maxText {
		s = s[:maxText-len(more)]
		for len(s) > 0 && !utf8.RuneStart(s[len(s)-1]) {
			s = s[:len(s)-1]
		}
		if r, n := utf8.DecodeLastRuneInString(s); r == utf8.RuneError && n == 1 {
			s = s[:len(s)-1]
		}
		s += more
	}
	return strings.ToValidUTF8(s, "?")
}
