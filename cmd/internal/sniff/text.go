package sniff

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// A Printer tells what was seen.
type Printer interface {
	Advert(a *Advert) error
	Announcement(n *Announcement) error
	Event(e Event) error
	Summary(s Summary) error
}

// Text tells people. Each packet and each event is one write.
type Text struct {
	W io.Writer
	// Width is how many columns there are. 0 keeps a packet and what there is to
	// say of it on one line, as is best for grep.
	Width int
	Color bool
	// Verbose shows all addresses of a packet, however many.
	Verbose bool
	// Password shows passwords of version 2.
	Password bool
	// Location is whose times are shown; nil for this host's.
	Location *time.Location

	day string // of the last line
}

// most is how many addresses are shown of a packet.
const most = 4

// Advert writes a packet with all that is to say of it.
func (t *Text) Advert(a *Advert) error {
	head := []string{t.clock(a.Time)}
	if p := placed(a.Interface, a.VLANs); p != "" {
		head = append(head, p)
	}
	head = append(head, fmt.Sprintf("%v > %v", a.Source, a.Destination))
	var rest []string
	switch {
	case a.has(KindCARP):
		head = append(head, "CARP", fmt.Sprintf("vhid %d", a.VRID))
	case a.Decoded:
		head = append(head, fmt.Sprintf("v%d", a.Version), fmt.Sprintf("vrid %d", a.VRID), "prio "+sayPriority(a.Priority), "every "+short(a.Interval))
		rest = t.details(a)
	}
	rest = append(rest, fmt.Sprintf("ttl %d", a.TTL))
	if a.Decoded && !a.has(KindCARP) {
		rest = append(rest, fmt.Sprintf("checksum %v", a.Checksum))
	}
	switch {
	case a.VirtualMAC():
		rest = append(rest, "virtual mac")
	case a.SourceMAC != MAC{}:
		rest = append(rest, fmt.Sprintf("mac %v", a.SourceMAC))
	}
	if a.Outgoing {
		rest = append(rest, "sent here")
	}
	return t.write(a.Time, head, rest, a.Findings)
}

func (t *Text) details(a *Advert) (list []string) {
	addrs := a.Addresses
	if len(addrs) > most && !t.Verbose {
		addrs = addrs[:most-1]
	}
	for _, x := range addrs {
		list = append(list, x.String())
	}
	if n := len(a.Addresses) - len(addrs); n > 0 {
		list = append(list, fmt.Sprintf("and %d more", n))
	}
	if a.Version != vrrp.Version2 || a.AuthType == vrrp.AuthNone {
		return list
	}
	switch {
	case a.AuthType != vrrp.AuthSimple:
		return append(list, fmt.Sprintf("auth type %d", a.AuthType))
	case t.Password:
		return append(list, "password "+strconv.Quote(password(a)))
	}
	return append(list, "password hidden")
}

// password is that of version 2 without its padding.
func password(a *Advert) string { return strings.TrimRight(string(a.Auth[:]), "\x00") }

func sayPriority(p uint8) string {
	switch p {
	case vrrp.PriorityRelease:
		return "0 (release)"
	case vrrp.PriorityOwner:
		return "255 (owner)"
	}
	return strconv.Itoa(int(p))
}

// Announcement writes an announcement.
func (t *Text) Announcement(n *Announcement) error {
	head := []string{t.clock(n.Time)}
	if p := placed(n.Interface, n.VLANs); p != "" {
		head = append(head, p)
	}
	head = append(head, n.Form.String()+":")
	if n.Form == ARPProbe {
		head = append(head, fmt.Sprintf("who has %v?", n.Address), fmt.Sprintf("asked by %v", n.MAC))
	} else {
		head = append(head, fmt.Sprintf("%v is at %v", n.Address, n.MAC))
	}
	if n.To.IsValid() {
		head = append(head, fmt.Sprintf("to %v", n.To))
	}
	var rest []string
	if n.SourceMAC != n.MAC && n.SourceMAC != (MAC{}) {
		rest = append(rest, fmt.Sprintf("frame from %v", n.SourceMAC))
	}
	return t.write(n.Time, head, rest, n.Findings)
}

// Event writes an event.
func (t *Text) Event(e Event) error {
	head := []string{t.clock(e.Time)}
	if p := placed(e.Interface, e.VLANs); p != "" {
		head = append(head, p)
	}
	head = append(head, fmt.Sprintf("vrid %d", e.VRID))
	line := sentence(head, nil)
	var b strings.Builder
	t.newDay(&b, e.Time)
	b.WriteString(t.wrap(line+" "+t.finding(e.Finding), len(t.clock(e.Time))+1))
	return t.flush(&b)
}

// Summary writes what was seen in all.
func (t *Text) Summary(s Summary) error {
	var b strings.Builder
	var adverts, releases, routers int
	for _, r := range s.Routers {
		adverts, releases = adverts+r.Adverts, releases+r.Releases
		if !r.Stray {
			routers++
		}
	}
	if len(s.Routers) == 0 {
		b.WriteString("no VRRP was seen\n")
		return t.flush(&b)
	}
	fmt.Fprintf(&b, "\n%s and %s of %s in %s\n", count(adverts, "advert"), count(releases, "release"), count(routers, "router"), short(s.Last.Sub(s.First)))
	if s.Untracked > 0 {
		fmt.Fprintf(&b, "%s of further routers were not counted: somebody floods this network?\n", count(s.Untracked, "packet"))
	}
	if s.Forgotten > 0 {
		fmt.Fprintf(&b, "%s, heard last long ago, made room for others\n", count(s.Forgotten, "router"))
	}
	title := ""
	for _, r := range s.Routers {
		if h := heading(&r); h != title {
			title = h
			fmt.Fprintf(&b, "\n%s\n", t.paint(bold, h))
		}
		t.router(&b, &r)
	}
	return t.flush(&b)
}

func heading(r *RouterSummary) string {
	p := placed(r.Interface, r.VLANs)
	if p != "" {
		p += " "
	}
	if r.Stray && r.VRID == 0 {
		return fmt.Sprintf("%sno vrid %v", p, r.Family)
	}
	return fmt.Sprintf("%svrid %d %v", p, r.VRID, r.Family)
}

// router writes the lines about one router.
func (t *Text) router(b *strings.Builder, r *RouterSummary) {
	name := r.Source.String()
	if len(r.Destinations) > 0 && !r.Destinations[0].IsMulticast() {
		name += " > " + listAddrs(r.Destinations)
	}
	when := fmt.Sprintf("%s to %s", t.clock(r.First), t.clock(r.Last))
	if r.First.Equal(r.Last) {
		when = "at " + t.clock(r.First)
	}
	if r.Stray {
		b.WriteString(t.wrap("  "+name+": "+sentence(nil, []string{countOf(r.Packets, "packet that is no advert", "packets that are no adverts"), when}), 4))
	} else {
		list := []string{r.State}
		if r.State == stateConflict {
			list[0] = "master beside a better one"
		}
		if r.Adverts > 0 {
			list = append(list, "priority "+sayPriority(r.Priority))
		}
		list = append(list, fmt.Sprintf("version %d", r.Version), count(r.Adverts, "advert"))
		if r.Releases > 0 {
			list = append(list, count(r.Releases, "release"))
		}
		list = append(list, when)
		b.WriteString(t.wrap("  "+name+": "+sentence(nil, list), 4))
	}
	if rate := r.Rate(); rate > 0 {
		list := []string{fmt.Sprintf("%.3g a second", rate)}
		if r.Mean > 0 {
			list = append(list, fmt.Sprintf("one every %s (announced: %s)", fine(r.Mean), short(r.Interval)),
				"jitter "+fine(r.Jitter), "longest "+fine(r.Longest))
		}
		b.WriteString(t.wrap("    "+sentence(nil, list), 6))
	}
	var list []string
	for _, k := range slices.SortedFunc(maps.Keys(r.Counts), func(a, b Kind) int {
		return cmp.Or(r.Counts[b]-r.Counts[a], cmp.Compare(a, b))
	}) {
		list = append(list, fmt.Sprintf("%s %d", k, r.Counts[k]))
	}
	if len(list) > 0 {
		b.WriteString(t.wrap("    "+t.paint(colors[r.Worst], r.Worst.String()+"s: ")+sentence(nil, list), 6))
	}
}

// write writes a packet, and what there is to say of it. On a terminal that is
// too narrow for the packet, what is of less interest gets a line of its own.
func (t *Text) write(at time.Time, head, rest []string, findings []Finding) error {
	var b strings.Builder
	t.newDay(&b, at)
	indent := len(t.clock(at)) + 1
	margin := strings.Repeat(" ", indent)
	line := sentence(head, rest)
	if t.Width == 0 {
		for _, f := range findings {
			line += "  " + t.finding(f)
		}
		b.WriteString(t.wrap(line, indent))
		return t.flush(&b)
	}
	if columns(line) > t.Width && len(rest) > 0 {
		b.WriteString(t.wrap(sentence(head, nil), indent))
		line = margin + sentence(nil, rest)
	}
	b.WriteString(t.wrap(line, indent))
	for _, f := range findings {
		b.WriteString(t.wrap(margin+t.finding(f), indent+2))
	}
	return t.flush(&b)
}

func (t *Text) flush(b *strings.Builder) error {
	_, err := io.WriteString(t.W, b.String())
	return err
}

// newDay tells the date when it is another than that of the last line.
func (t *Text) newDay(b *strings.Builder, at time.Time) {
	if day := t.local(at).Format("Monday, 2006-01-02 MST"); day != t.day {
		t.day = day
		fmt.Fprintf(b, "%s\n", t.paint(bold, "-- "+day))
	}
}

func (t *Text) local(at time.Time) time.Time {
	if t.Location != nil {
		return at.In(t.Location)
	}
	return at.Local()
}

func (t *Text) clock(at time.Time) string { return t.local(at).Format("15:04:05.000") }

// The colours of a terminal.
const (
	bold   = "1"
	red    = "31"
	yellow = "33"
	cyan   = "36"
)

var colors = []string{News: cyan, Warning: yellow, Fault: red}

func (t *Text) paint(color, s string) string {
	if !t.Color {
		return s
	}
	return "\x1b[" + color + "m" + s + "\x1b[0m"
}

func (t *Text) finding(f Finding) string {
	mark := "*"
	if f.Severity > News {
		mark = f.Severity.String() + ":"
	}
	return t.paint(colors[f.Severity], mark) + " " + f.Text
}

// placed names a link.
func placed(iface string, vlans []uint16) string {
	words := []string{}
	if iface != "" {
		words = append(words, iface)
	}
	for _, v := range vlans {
		words = append(words, fmt.Sprintf("vlan %d", v))
	}
	return strings.Join(words, " ")
}

func listAddrs(list []netip.Addr) string {
	if len(list) == 0 {
		return "none"
	}
	var words []string
	for _, a := range list[:min(len(list), most)] {
		words = append(words, a.String())
	}
	if n := len(list) - most; n > 0 {
		words = append(words, fmt.Sprintf("and %d more", n))
	}
	return strings.Join(words, " ")
}

func count(n int, what string) string { return countOf(n, what, what+"s") }

func countOf(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// short writes a duration as exactly as people read it.
func short(d time.Duration) string {
	switch {
	case d >= time.Minute:
		d = d.Round(time.Second)
	case d >= 10*time.Second:
		d = d.Round(100 * time.Millisecond)
	case d >= time.Second:
		d = d.Round(10 * time.Millisecond)
	case d >= 10*time.Millisecond:
		d = d.Round(time.Millisecond)
	default:
		d = d.Round(100 * time.Microsecond)
	}
	return d.String()
}

// fine writes a duration that was measured.
func fine(d time.Duration) string {
	if d >= 10*time.Millisecond {
		return d.Round(100 * time.Microsecond).String()
	}
	return d.Round(time.Microsecond).String()
}
