package page

import (
	"fmt"
	"html"
	"strings"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
)

// The page is written by hand rather than by html/template, which would make
// the program larger by a third. Whatever is not from here goes through put,
// which escapes it.

// writer writes HTML.
type writer struct{ strings.Builder }

// put writes a format of ours with values of anybody (%v), escaped for text and for
// attributes in quotes.
func (w *writer) put(format string, values ...any) {
	for n, v := range values {
		values[n] = html.EscapeString(fmt.Sprint(v))
	}
	fmt.Fprintf(w, format, values...)
}

// age writes a time that a script makes an age of.
func (w *writer) age(t time.Time) {
	w.put(`<time class="age" datetime="%v" title="%v">since %v</time>`, clock(t), moment(t), moment(t))
}

// whole is the page around its parts, which are HTML already.
func (f *frame) whole() string {
	w := &writer{}
	w.put(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>%v</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="page.css">
<noscript><meta http-equiv="refresh" content="5"></noscript>
<script src="page.js" defer></script>
</head>
<body>
<a class="skip" href="#instances">Skip to the instances</a>
`, f.Title)
	w.WriteString(`<header id="summary">` + f.Parts["summary"] + "</header>\n")
	w.put(`<p id="fresh">As of <time id="at" datetime="%v">%v</time><noscript>; this page loads again every 5 seconds</noscript></p>
<p id="stale" role="alert" hidden></p>
<p id="said" class="unseen" role="status" aria-live="polite"></p>
<main>
<section aria-labelledby="instances-title">
<h2 id="instances-title" class="unseen">Instances</h2>
<div id="instances" tabindex="-1">
`, clock(f.At), moment(f.At))
	for _, id := range f.Order {
		w.put(`<article id="%v">`, id)
		w.WriteString(f.Parts[id] + "</article>\n")
	}
	w.WriteString("</div>\n</section>\n")
	w.WriteString(`<section id="checks" aria-label="Checks">` + f.Parts["checks"] + "</section>\n")
	w.WriteString(`<section id="events" aria-label="Events">` + f.Parts["events"] + "</section>\n</main>\n")
	w.WriteString(`<footer id="daemon">` + f.Parts["daemon"] + "</footer>\n</body>\n</html>\n")
	return w.String()
}

func summaryPart(st *control.Status) string {
	w := &writer{}
	w.put("<h1>%v</h1>", st.Node)
	if e := st.Daemon.ReloadError; e != "" {
		w.put("\n<p class=\"trouble\">The last reload was refused, and the configuration before it goes on: <code>%v</code></p>", e)
	}
	if e := st.Daemon.ListError; e != "" {
		w.put("\n<p class=\"trouble\">What becomes of interfaces is not seen, since they cannot be listed: <code>%v</code></p>", e)
	}
	if e := st.Daemon.JournalError; e != "" {
		w.put("\n<p class=\"trouble\">A restart will not be silent: <code>%v</code></p>", e)
	}
	if d := st.Daemon; d.HooksFailed+d.HooksDropped > 0 {
		w.put("\n<p class=\"note\">Since the start %v hooks failed and %v events were dropped</p>", d.HooksFailed, d.HooksDropped)
	}
	return w.String()
}

func instancePart(i *control.Instance) string {
	w := &writer{}
	w.put(`<h3><span class="name">%v</span> <strong class="state %v" data-name="%v">%v</strong> `, i.Name, i.State, i.Name, strings.ToUpper(i.State))
	w.age(i.Since)
	w.put("</h3>\n<p>%v</p>\n", i.Reason)
	if i.Drained {
		w.drained(i.Drain)
	}
	if f := i.Failover; f != nil {
		w.put(`<p class="note">Stands back since a failover by %v `, f.By)
		w.age(f.Since)
		w.WriteString(": takes over only if no other node serves, or after holdfast undrain</p>\n")
	}
	if i.Demoted {
		w.put("<p class=\"trouble\">Demoted: %v</p>\n", i.DemotedWhy)
	}
	if i.ConflictSince != nil {
		w.put(`<p class="trouble">Another master, %v, is heard `, strings.Join(i.Rivals(), " and "))
		w.age(*i.ConflictSince)
		w.WriteString("</p>\n")
	}
	if r := i.Refused; r != nil {
		w.put("<p class=\"trouble\">Refuses what %v sends: %v</p>\n", r.From, r.Why)
	}
	if d := i.AddressesDiffer; d != nil {
		w.put("<p class=\"trouble\">%v advertises other addresses, %v</p>\n", d.From, d.Why)
	}
	if i.PortOf != "" {
		w.put("<p class=\"trouble\">%v is a port of %v, which takes all that arrives: this node hears no peer</p>\n", i.Interface, i.PortOf)
	}
	for _, e := range i.Elsewhere {
		if e.Interface == i.Interface {
			w.put("<p class=\"trouble\">%v was put on %v by somebody else: this host answers for it although it is not master</p>\n", e.Address, e.Interface)
			continue
		}
		w.put("<p class=\"trouble\">%v is also on %v, where this host may answer for it</p>\n", e.Address, e.Interface)
	}
	w.facts(i)
	for _, f := range i.Families {
		if f.State != i.State {
			w.put("<p class=\"note\">%v is in %v: %v</p>\n", f.Family, f.State, f.Reason)
		}
	}
	return w.String()
}

// drained tells by whom and why, since when and until when.
func (w *writer) drained(d *control.Drain) {
	if d == nil {
		w.WriteString("<p class=\"note\">Drained by the operator</p>\n")
		return
	}
	w.put(`<p class="note">Drained by %v `, d.By)
	w.age(d.Since)
	if d.Until != nil {
		w.put(", until %v", d.Until.Format(time.DateTime+" MST"))
	}
	if d.Why != "" {
		w.put(": %v", d.Why)
	}
	w.WriteString("</p>\n")
}

func (w *writer) facts(i *control.Instance) {
	w.WriteString("<dl>\n<div><dt>Master</dt><dd>")
	switch m := i.Master; {
	case m == nil:
		w.WriteString("not known")
	case m.Self:
		w.WriteString("this node")
	default:
		w.put("%v, priority %v", m.Address, m.Priority)
	}
	w.put("</dd></div>\n<div><dt>Priority</dt><dd>%v", i.Priority.Effective)
	if i.Priority.Effective != i.Priority.Base {
		w.put(" (base %v)", i.Priority.Base)
	}
	w.put("</dd></div>\n<div><dt>Interface</dt><dd>%v, VRID %v", i.Interface, i.VRID)
	if i.Group != "" {
		w.put(", group %v", i.Group)
	}
	w.WriteString("</dd></div>\n<div><dt>Addresses</dt><dd><ul>")
	for _, a := range i.Addresses {
		here := "not here"
		if a.Present {
			here = "here"
		}
		w.put("<li>%v %v", a.Address, here)
		if a.Problem != "" {
			w.put(": %v", a.Problem)
		}
		w.WriteString("</li>")
	}
	w.WriteString("</ul></dd></div>\n</dl>\n")
}

func checksPart(list []control.Check) string {
	if len(list) == 0 {
		return ""
	}
	w := &writer{}
	w.WriteString("<h2>Checks</h2>\n<ul>")
	for _, c := range list {
		w.put(`<li><strong class="state %v">%v</strong> %v `, c.State, c.State, c.Name)
		if c.Since != nil {
			w.age(*c.Since)
		}
		if c.LastOutput != "" {
			w.put("<br><code>%v</code>", c.LastOutput)
		}
		w.WriteString("</li>\n")
	}
	w.WriteString("</ul>")
	return w.String()
}

func eventsPart(list []*control.Event) string {
	w := &writer{}
	w.WriteString("<h2>Events</h2>\n")
	if len(list) == 0 {
		return w.String() + "<p>Nothing has happened yet.</p>"
	}
	w.WriteString("<ol>")
	for n := len(list) - 1; n >= 0; n-- { // the newest first
		e := list[n]
		w.put(`<li class="%v"><time datetime="%v">%v</time> `, e.Severity, clock(e.Time), moment(e.Time))
		if severity := fmt.Sprint(e.Severity); severity != "info" {
			w.put("<strong>%v</strong> ", severity)
		}
		w.put("%v</li>\n", e.Text)
	}
	w.WriteString("</ol>")
	return w.String()
}

func daemonPart(st *control.Status) string {
	w := &writer{}
	w.put(`<p>holdfast %v, started %v, <code>%v</code></p>
<p><a href="metrics">Metrics</a> <a href="healthz">Health</a> <a href="readyz">Readiness</a></p>`,
		st.Daemon.Version, moment(st.Daemon.Started), st.Daemon.Config)
	return w.String()
}

// moment is a time as people read it where no script makes an age of it.
func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// clock is a time as a script reads it.
func clock(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
