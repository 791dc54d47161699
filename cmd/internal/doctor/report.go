package doctor

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/screen"
)

// Version is that of the JSON document. It changes only when a reader of an
// earlier one could misunderstand.
const Version = 1

// Report is what an examination found.
type Report struct {
	Version int    `json:"version"`
	Config  string `json:"config"`
	// Daemon tells whether the daemon of this configuration answered.
	Daemon bool `json:"daemon"`
	// Worst is the highest severity of all.
	Worst Severity `json:"worst"`
	// Findings are ordered by severity, the worst first.
	Findings []Finding `json:"findings"`
}

// Report wraps what was found.
func (x *Examination) Report(found []Finding) *Report {
	return &Report{Version: Version, Config: x.Config.File, Daemon: x.Status != nil, Worst: Worst(found), Findings: found}
}

// WriteJSON writes the report for programs.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// Text writes reports for people.
type Text struct {
	W io.Writer
	// Width is how many columns there are; 0 for no end.
	Width int
	Color bool
	// Verbose lists also what is all right.
	Verbose bool
}

// paint are the colours of severities.
var paint = map[Severity]string{OK: "32", Info: "36", Unseen: "35", Warning: "33", Error: "31;1"}

// Write writes a report.
func (t *Text) Write(r *Report) error {
	var b strings.Builder
	count := map[Severity]int{}
	for _, f := range r.Findings {
		if count[f.Severity]++; f.Severity != OK {
			t.finding(&b, f)
		}
	}
	if count[OK] > 0 {
		fmt.Fprintf(&b, "%s  %s\n", t.paint(OK, "ok"), plural(count[OK], "thing")+" looked at, nothing wrong")
	}
	if t.Verbose {
		for _, f := range r.Findings {
			if f.Severity == OK {
				t.hang(&b, "    ", f.Title, 6)
			}
		}
	}
	fmt.Fprintf(&b, "\n%s\n", t.sum(r, count))
	_, err := io.WriteString(t.W, b.String())
	return err
}

// finding writes one with what to do, and an empty line behind.
func (t *Text) finding(b *strings.Builder, f Finding) {
	on := ""
	if f.On != "" {
		on = f.On + ": "
	}
	var head strings.Builder
	t.hang(&head, f.Severity.String()+"  ", on+f.Title, 4)
	b.WriteString(t.paint(f.Severity, f.Severity.String()) + strings.TrimPrefix(head.String(), f.Severity.String()))
	if f.Why != "" {
		t.hang(b, "    ", f.Why, 4)
	}
	for line := range strings.Lines(f.Fix) {
		t.fix(b, strings.TrimRight(line, "\n"))
	}
	b.WriteString("\n")
}

// fix writes a line to paste as it is, and breaks one that only says something.
func (t *Text) fix(b *strings.Builder, line string) {
	const margin, mark = "        ", "# "
	if said, ok := strings.CutPrefix(line, mark); ok {
		room := t.Width - len(margin+mark)
		line = mark + strings.Join(screen.Wrap(screen.Clean(said), room, room), "\n"+margin+mark)
	} else {
		line = screen.Clean(line)
	}
	b.WriteString(margin + line + "\n")
}

// sum is the last line.
func (t *Text) sum(r *Report, count map[Severity]int) string {
	var parts []string
	for _, s := range []Severity{Error, Warning, Unseen} {
		switch n := count[s]; {
		case n == 0:
		case s == Unseen:
			parts = append(parts, plural(n, "thing")+" could not be looked at")
		default:
			parts = append(parts, plural(n, s.String()))
		}
	}
	if r.Worst < Warning {
		parts = append([]string{"nothing wrong was found"}, parts...)
	}
	if !r.Daemon {
		parts = append(parts, r.absent())
	}
	return fmt.Sprintf("%s: %s", r.Config, strings.Join(parts, ", "))
}

// absent says how there is no daemon.
func (r *Report) absent() string {
	for _, f := range r.Findings {
		if f.ID == "daemon" && f.Severity == Unseen || f.ID == "daemon-does-not-answer" {
			return "the daemon was not reached"
		}
	}
	return "the daemon does not run"
}

func (t *Text) paint(s Severity, text string) string {
	if !t.Color {
		return text
	}
	return "\x1b[" + paint[s] + "m" + text + "\x1b[0m"
}

// hang writes text behind what leads it; further lines are indented. Some of it is
// from others, such as the arguments of their processes.
func (t *Text) hang(b *strings.Builder, lead, text string, indent int) {
	lines := screen.Wrap(screen.Clean(text), t.Width-len(lead), t.Width-indent)
	b.WriteString(lead + strings.Join(lines, "\n"+strings.Repeat(" ", indent)) + "\n")
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
