package daemon

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/history"
	"github.com/holdfast-vrrp/holdfast/healthcheck"
	"github.com/holdfast-vrrp/holdfast/notify"
	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// historyGrace is how long the end waits for the history to be written.
const historyGrace = 50 * time.Millisecond

// record tells people what happened, by the log and by the history: whatever one
// of them says, the other one says, too. It may be called from any goroutine.
func (d *Daemon) record(e history.Event, message string, args ...any) {
	if e.Severity == "" {
		e.Severity = history.Info
	}
	switch e.Severity {
	case history.Error:
		d.log.Error(message, args...)
	case history.Warning:
		d.log.Warn(message, args...)
	default:
		d.log.Info(message, args...)
	}
	d.events.Record(e)
}

// trouble records what the daemon can live with, failure what it cannot do.
func (d *Daemon) trouble(message string, err error) {
	d.record(history.Event{Kind: history.KindDaemon, Severity: history.Warning, Text: sentence(message, err), Reason: oneLine(err)}, message, "error", err)
}

func (d *Daemon) failure(message string, err error) {
	d.record(history.Event{Kind: history.KindDaemon, Severity: history.Error, Text: sentence(message, err), Reason: oneLine(err)}, message, "error", err)
}

func sentence(message string, err error) string { return message + ": " + oneLine(err) }

// oneLine renders an error, or an output, as one line.
func oneLine(v any) string {
	return strings.Join(strings.FieldsFunc(fmt.Sprint(v), func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}

// problems renders the problems of a configuration without what each quotes.
func problems(why string) string {
	var list []string
	for line := range strings.Lines(why) {
		if line = strings.TrimRight(line, "\n"); line != "" && line[0] != ' ' {
			list = append(list, line)
		}
	}
	return strings.Join(list, "; ")
}

// because appends a reason to a sentence, when there is one.
func because(text, reason string) string {
	if reason = oneLine(reason); reason == "" {
		return text
	}
	return text + ": " + reason
}

// historyKept hears of trouble with the file of the history, and of its end.
func (d *Daemon) historyKept(err error) {
	if err != nil {
		d.trouble("the history of events may not outlive the daemon", err)
		return
	}
	d.record(history.Event{Kind: history.KindDaemon, Text: "the history of events is written again"}, "the history of events is written again")
}

// transitionEvent is the event of a change of state.
func transitionEvent(t *vrrp.Transition) history.Event {
	e := history.Event{
		Kind: history.KindTransition, Severity: history.Info, Time: t.At, Instance: t.Instance, Interface: t.Interface,
		From: t.From.String(), To: t.To.String(), Reason: t.Reason, Priority: int(t.Priority),
		LastedMS: t.Lasted.Milliseconds(), Addresses: prefixStrings(t.Addresses[:min(len(t.Addresses), 16)]),
	}
	if t.Peer.IsValid() {
		e.Peer, e.PeerPriority = t.Peer.String(), int(t.PeerPriority)
	}
	verb := "is " + e.To + " now"
	if t.To == vrrp.StateFault {
		e.Severity, verb = history.Warning, "is in fault"
	}
	switch {
	case t.Adopted:
		e.Text = t.Instance + " goes on as " + e.To + " over a restart"
	case t.Stopping && t.Reason == "stopped":
		e.Text = t.Instance + " stopped"
	default:
		e.Text = because(t.Instance+" "+verb, t.Reason)
	}
	if t.From != vrrp.StateInit && !t.Adopted {
		e.Text += fmt.Sprintf(" (%s for %s)", wasIn(t.From), people(t.Lasted))
	}
	return e
}

func wasIn(s vrrp.State) string {
	if s == vrrp.StateFault {
		return "was in fault"
	}
	return "was " + s.String()
}

// people renders a duration for a sentence.
func people(t time.Duration) string {
	switch {
	case t < time.Second:
		return t.Round(time.Millisecond).String()
	case t < time.Minute:
		return t.Round(100 * time.Millisecond).String()
	case t < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(t.Minutes()), int(t.Seconds())%60)
	case t < 24*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(t.Hours()), int(t.Minutes())%60)
	}
	return fmt.Sprintf("%dd%02dh", int(t.Hours())/24, int(t.Hours())%24)
}

// noticeEvent is the event of a notice.
func noticeEvent(n *vrrp.Notice) history.Event {
	e := history.Event{
		Kind: history.KindNotice, Severity: history.Warning, Instance: n.Instance, Family: n.Family.String(), Interface: n.Interface,
		Reason: n.Detail,
	}
	if n.Peer.IsValid() {
		e.Peer = n.Peer.String()
	}
	switch n.Kind {
	case vrrp.NoticeRival, vrrp.NoticeTwoOwners:
		e.Kind = history.KindRival
	case vrrp.NoticeAddressFailed, vrrp.NoticeAddressRepaired, vrrp.NoticeAddressChanged, vrrp.NoticeAddressLapsed, vrrp.NoticeAddressGone:
		e.Kind = history.KindAddress
	}
	about := n.Interface
	if n.Instance != "" {
		about = n.Instance
	}
	e.Text = because(about+": "+n.Kind.String(), n.Detail)
	if e.Peer != "" && !strings.Contains(n.Detail, e.Peer) {
		e.Text += " (from " + e.Peer + ")"
	}
	return e
}

// hookEvent is an event about the hooks of a state. The format has the instance
// and the state.
func hookEvent(e *notify.Event, severity, format string) history.Event {
	return history.Event{
		Kind: history.KindHook, Severity: severity, Instance: e.Instance, Interface: e.Interface, To: e.State,
		Text: fmt.Sprintf(format, e.Instance, e.State),
	}
}

// hookNotRun records that the hooks of an event never will run.
func (d *Daemon) hookNotRun(e *notify.Event, err error) {
	h := hookEvent(e, history.Error, "%s: its hooks for %s were not run")
	h.Text, h.Reason = because(h.Text, err.Error()), oneLine(err)
	d.record(h, "hook was not run", "instance", e.Instance, "state", e.State, "error", err)
}

// addressEvent is an event about one address on an interface.
func addressEvent(severity, iface string, p netip.Prefix, text string) history.Event {
	return history.Event{Kind: history.KindAddress, Severity: severity, Interface: iface, Addresses: []string{p.String()}, Text: text}
}

// checkEvent is the event of a check that changed its mind.
func checkEvent(r healthcheck.Result) history.Event {
	e := history.Event{
		Kind: history.KindCheck, Severity: history.Info, Check: r.Check, From: "failing", To: "healthy",
		DurationMS: float64(r.Duration.Microseconds()) / 1000, Output: r.Output, Text: "check " + r.Check + " passes",
	}
	if !r.Healthy {
		e.Severity, e.From, e.To, e.Reason = history.Warning, "healthy", "failing", r.Output
		e.Text = because("check "+r.Check+" fails", r.Output)
	}
	return e
}
