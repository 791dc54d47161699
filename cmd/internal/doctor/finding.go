package doctor

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// Severity is how bad a finding is.
type Severity uint8

const (
	// OK is that nothing is wrong.
	OK Severity = iota
	// Info is worth knowing and needs nobody.
	Info
	// Unseen is that something could not be looked at.
	Unseen
	// Warning is what makes the pair fail some day.
	Warning
	// Error is what keeps the pair from working now.
	Error
)

var severities = [...]string{OK: "ok", Info: "info", Unseen: "unseen", Warning: "warning", Error: "error"}

func (s Severity) String() string {
	if int(s) < len(severities) {
		return severities[s]
	}
	return fmt.Sprintf("Severity(%d)", uint8(s))
}

// MarshalText makes a severity one of ok, info, unseen, warning and error.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Finding is one thing that was found.
type Finding struct {
	Severity Severity `json:"severity"`
	// ID names this kind of finding, such as "firewall-drops-vrrp". It does not
	// change from one release to the next.
	ID string `json:"id"`
	// On is what it was found on: an interface, an instance, an address; empty
	// for the host as a whole.
	On string `json:"on,omitempty"`
	// Title says in one sentence what is wrong, without a full stop.
	Title string `json:"title"`
	// Why says what comes of it.
	Why string `json:"why,omitempty"`
	// Fix is what to paste: lines for a shell, or of the configuration. A line
	// that begins with # says where, or what to choose.
	Fix string `json:"fix,omitempty"`
}

// unseen tells that a test could not look at something, and why. Each such
// finding has the ID of its test.
func unseen(on, why string) Finding {
	return Finding{Severity: Unseen, On: on, Title: why}
}

// set is a line for an instance in the configuration. The instance may have one of
// the key already: two of them are an error.
func set(in *vrrp.Config, line string, values ...any) string {
	key, _, _ := strings.Cut(line, " ")
	return fmt.Sprintf("# in [[instance]] %q, in the place of any line of %s there\n%s", in.Name, key, fmt.Sprintf(line, values...))
}

// quoted writes a list as in the configuration.
func quoted[T fmt.Stringer](list []T) string {
	var words []string
	for _, one := range list {
		words = append(words, strconv.Quote(one.String()))
	}
	return strings.Join(words, ", ")
}
