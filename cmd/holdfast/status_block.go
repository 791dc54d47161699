package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
	"github.com/holdfast-vrrp/holdfast/cmd/internal/screen"
)

// statusPrinter writes a state for people.
type statusPrinter struct {
	w     io.Writer
	now   time.Time
	width int // of the terminal; 0 for lines of any length
	ink   screen.Ink
	below []string // the checks whose output is told at the end
}

// blocks writes a block for each instance, then what fails.
func (p *statusPrinter) blocks(st *control.Status) {
	p.summary(st)
	for _, c := range st.Checks {
		if c.State != "healthy" && c.LastOutput != "" {
			p.below = append(p.below, c.Name)
		}
	}
	width := 0
	for _, i := range st.Instances {
		width = max(width, screen.Width(screen.Clean(i.Name)))
	}
	if p.width > 0 { // a longer name pushes its line to the right
		width = min(width, max(8, p.width/5))
	}
	for n := range st.Instances {
		fmt.Fprintln(p.w)
		p.block(&st.Instances[n], width)
	}
	p.checks(st.Checks)
}

// summary writes how many instances are in which state, and what is wrong with
// the daemon.
func (p *statusPrinter) summary(st *control.Status) {
	fmt.Fprintf(p.w, "%s: %s\n", screen.Clean(st.Node), sumUp(st.Instances))
	if st.Daemon.ReloadError != "" {
		p.lines("  ", "the last reload was refused: "+st.Daemon.ReloadError)
	}
	if e := st.Daemon.ListError; e != "" {
		p.lines("  ", "what becomes of interfaces is not seen, since they cannot be listed: "+e)
	}
	if e := st.Daemon.JournalError; e != "" {
		p.lines("  ", "a restart will not be silent: "+e)
	}
	if e := st.Daemon.Telemetry.ListenError; e != "" {
		p.lines("  ", "metrics and the status page are not served: "+e)
	}
	if d := st.Daemon; d.HooksFailed+d.HooksDropped > 0 {
		p.lines("  ", fmt.Sprintf("since the start %d hooks failed and %d events were dropped", d.HooksFailed, d.HooksDropped))
	}
}

func sumUp(list []control.Instance) string {
	count := map[string]int{}
	for _, i := range list {
		count[i.State]++
	}
	var parts []string
	for _, s := range []string{"master", "backup", "fault", "init"} {
		if count[s] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", count[s], s))
		}
	}
	return strings.Join(parts, ", ")
}

// block writes all that there is to say of an instance. names is how wide the
// column of the names is.
func (p *statusPrinter) block(i *control.Instance, names int) {
	state := strings.ToUpper(i.State)
	name := screen.Clean(i.Name)
	name = screen.Pad(name, max(names, screen.Width(name)))
	head := fmt.Sprintf("%s  %s for %s: %s", name, state, age(p.now.Sub(i.Since)), p.brief(i.Reason))
	margin := strings.Repeat(" ", names+2)
	for n, line := range p.wrapped(screen.Clean(head), margin) {
		if n == 0 {
			line = strings.Replace(line, "  "+state+" ", "  "+p.ink.Paint(stateStyle(i), state)+" ", 1)
		}
		fmt.Fprintln(p.w, line)
	}
	p.lines(margin, fmt.Sprintf("%s, vrid %d, priority %s%s", i.Interface, i.VRID, priority(i), group(i)))
	if m := i.Master; m != nil && !m.Self {
		p.lines(margin, fmt.Sprintf("master is %s, priority %d%s", m.Address, m.Priority, heardAgo(m, p.now)))
	}
	for _, r := range familyRemarks(i) {
		p.lines(margin, p.brief(r))
	}
	p.lines(margin, "addresses "+addresses(i)+lease(i))
	for _, r := range remarks(i, p.now) {
		p.lines(margin, p.brief(r))
	}
}

// longOutput is how long the output of a check is at least that is told but once.
const longOutput = 120

// brief leaves out of a reason what failing checks said at length, which comes at
// the end.
func (p *statusPrinter) brief(reason string) string {
	for _, name := range p.below {
		before, output, ok := strings.Cut(reason, "check "+name+" fails: ")
		if !ok {
			continue
		}
		output, more, another := strings.Cut(output, "; check ")
		if len(output) < longOutput {
			continue
		}
		reason = before + "check " + name + " fails (what it says is below)"
		if another {
			reason += "; check " + more
		}
	}
	return reason
}

// lines writes a text behind a margin: its further lines are indented.
func (p *statusPrinter) lines(margin, text string) {
	further := strings.Repeat(" ", max(4, len(margin)+2))
	for line := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		for _, l := range p.wrapped(margin+screen.Clean(line), further) {
			fmt.Fprintln(p.w, l)
		}
		margin = further
	}
}

// wrapped breaks a line at the width of the terminal, and puts a margin before
// what follows.
func (p *statusPrinter) wrapped(line, margin string) []string {
	if p.width == 0 || screen.Width(line) <= p.width {
		return []string{line}
	}
	body := strings.TrimLeft(line, " ")
	lead := len(line) - len(body)
	list := screen.Wrap(body, p.width-lead, p.width-len(margin))
	for n := range list {
		if n == 0 {
			list[n] = line[:lead] + list[n]
		} else {
			list[n] = margin + list[n]
		}
	}
	return list
}

// checks writes those that do not pass.
func (p *statusPrinter) checks(list []control.Check) {
	for _, c := range list {
		if c.State != "healthy" {
			p.lines("", checkSentence(&c, p.now))
		}
	}
}

func checkSentence(c *control.Check, now time.Time) string {
	text := fmt.Sprintf("check %s is %s%s", screen.Clean(c.Name), c.State, forHow(c.Since, now))
	if c.LastOutput != "" {
		text += ": " + c.LastOutput
	}
	return text
}

// familyRemarks tells of a family that is in another state than its instance.
func familyRemarks(i *control.Instance) (list []string) {
	for _, f := range i.Families {
		if f.State != i.State {
			list = append(list, fmt.Sprintf("%s is in %s: %s", f.Family, f.State, f.Reason))
		}
	}
	return list
}

// remarks tells what is out of the ordinary about an instance, a sentence each.
func remarks(i *control.Instance, now time.Time) (list []string) {
	say := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	for _, a := range i.Addresses {
		if a.Problem != "" {
			say("%s", a.Problem)
		}
	}
	if i.PortOf != "" {
		say("%s is a port of %s, which takes all that arrives: this node hears no peer; 'holdfast doctor' tells what to do", i.Interface, i.PortOf)
	}
	for iface, others := range onOthers(i) {
		if iface == i.Interface {
			say("%s put on %s by somebody else: this host answers for it although it is not master; 'holdfast doctor' tells how to take it off", shorten(others), iface)
			continue
		}
		say("%s also on %s, where this host may answer for it", shorten(others), iface)
	}
	if i.Demoted {
		say("demoted: %s", i.DemotedWhy)
	}
	if i.Drained {
		say("drained%s", drained(i.Drain, now))
	}
	if f := i.Failover; f != nil {
		say("stands back since a failover %s ago by %s: takes over only if no other node serves, or once 'holdfast undrain' was run", age(now.Sub(f.Since)), f.By)
	}
	if i.ConflictSince != nil {
		say("conflict for %s: %s", age(now.Sub(*i.ConflictSince)), otherMaster(i))
	}
	if d := i.AddressesDiffer; d != nil {
		say("%s advertises other addresses, %s; 'holdfast doctor' tells what to do", d.From, d.Why)
	}
	if r := i.Refused; r != nil {
		say("refuses what %s sends, the last %s ago: %s", r.From, age(now.Sub(r.At)), r.Why)
	}
	return list
}

// stateStyle is how the state of an instance looks.
func stateStyle(i *control.Instance) screen.Style {
	switch {
	case i.State == "fault":
		return screen.Alarm
	case !isWell(i):
		return screen.Warn
	case i.State == "master":
		return screen.Active
	}
	return screen.Plain
}
