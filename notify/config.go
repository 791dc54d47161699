package notify

import "time"

// Config describes one hook.
type Config struct {
	// On lists the states whose entry runs the hook: "master", "backup",
	// "fault" and "stop"; none means all. What is no state must be asked for:
	// "rival" runs it when a master hears another one, "check" when a check of
	// the instance passes or fails from now on, "address" when somebody else
	// meddled with an address. With [Keepalived] there are states alone.
	On []string
	// Instances lists the instances whose events run the hook; none means all.
	Instances []string
	// Exec is the program, as an absolute path, and its arguments. There is
	// no shell.
	Exec []string
	// Timeout is how long the program may run before it is killed, more than 0. The
	// time that the kernel takes to load it is part of that.
	Timeout time.Duration
	// Style is how the program is told about the event.
	Style Style
}

// Style is how a hook is told about an event.
type Style uint8

const (
	// Holdfast tells it by the environment and by JSON on standard input. Of very many
	// addresses the environment has but the first 128 KiB.
	Holdfast Style = iota
	// Keepalived also appends the arguments that keepalived's notify scripts
	// get: INSTANCE, name, state in capitals, priority.
	Keepalived
)

func (s Style) String() string {
	switch s {
	case Holdfast:
		return "holdfast"
	case Keepalived:
		return "keepalived"
	}
	return "invalid"
}
