package sniff

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// shown is what a printer shows of frames.
func shown(t *testing.T, frames []Frame, printer func(b *bytes.Buffer) Printer) string {
	t.Helper()
	var b bytes.Buffer
	s := &Session{Watch: NewWatch(), Printer: printer(&b), Announcements: true}
	for _, f := range frames {
		if err := s.Frame(f); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Printer.Summary(s.Watch.Summary()); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// No width loses a word or has a line longer than it, where words allow.
func TestTextWidth(t *testing.T) {
	frames := slices.Concat(failover(), twoMasters(), allFaults(), versionTwo(), announcements())
	words := func(s string) string { return strings.Join(strings.Fields(s), " ") }
	wide := words(shown(t, frames, func(b *bytes.Buffer) Printer { return &Text{W: b, Location: time.UTC} }))
	for _, width := range []int{60, 80, 100, 200} {
		out := shown(t, frames, func(b *bytes.Buffer) Printer { return &Text{W: b, Width: width, Location: time.UTC} })
		if diff := cmp.Diff(wide, words(out)); diff != "" {
			t.Errorf("width %d has other words:\n%s", width, diff)
		}
		for line := range strings.Lines(out) {
			if n := len([]rune(strings.TrimRight(line, "\n"))); n > width {
				t.Errorf("%d columns where there are %d: %s", n, width, line)
			}
		}
	}
}

// Colours change nothing but the colour, and each ends on its line.
func TestTextColor(t *testing.T) {
	frames := slices.Concat(failover(), twoMasters())
	plain := shown(t, frames, func(b *bytes.Buffer) Printer { return &Text{W: b, Width: 80, Location: time.UTC} })
	out := shown(t, frames, func(b *bytes.Buffer) Printer { return &Text{W: b, Width: 80, Color: true, Location: time.UTC} })
	if !strings.Contains(out, "\x1b[31mfault:\x1b[0m") || !strings.Contains(out, "\x1b[33mwarning:\x1b[0m") {
		t.Errorf("no colours in\n%s", out)
	}
	for line := range strings.Lines(out) {
		if strings.Count(line, "\x1b[") != 2*strings.Count(line, "\x1b[0m") {
			t.Errorf("a colour goes on: %q", line)
		}
	}
	for _, code := range []string{"0", bold, red, yellow, cyan} {
		out = strings.ReplaceAll(out, "\x1b["+code+"m", "")
	}
	if diff := cmp.Diff(plain, out); diff != "" {
		t.Errorf("-plain +coloured:\n%s", diff)
	}
}

// Of what goes on in the same way nothing is shown, not even faults.
func TestChanges(t *testing.T) {
	news := func(frames []Frame) (list []string) {
		out := shown(t, frames, func(b *bytes.Buffer) Printer { return &Changes{Printer: &Text{W: b, Location: time.UTC}} })
		out, _, _ = strings.Cut(out, "\n\n") // the summary
		for _, line := range strings.Split(out, "\n")[1:] {
			_, what, _ := strings.Cut(strings.NewReplacer("fault: ", "* ", "warning: ", "* ").Replace(line), " * ")
			what, _, _ = strings.Cut(what, ",")
			list = append(list, line[6:12]+" "+what)
		}
		return list
	}
	want := []string{
		"00.000 first heard", "07.010 192.0.2.1", "07.609 takes over from 192.0.2.1", "10.909 takes over from 192.0.2.2",
		"14.909 2s after the one before instead of 1s: 1 lost or late", "17.309 advert interval was 1s",
		"17.309 gives up the addresses; a quick release: a backup takes over within 10ms", "17.315 takes over from 192.0.2.1",
	}
	if diff := cmp.Diff(want, news(failover())); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	want = []string{
		"00.500 first heard", "00.500 first heard", "01.000 checksum rfc9568", "01.000 same priority as fe80::1: the higher address decides who is master  * takes over from fe80::1",
		"01.500 two masters: fe80::2 is one as well",
		"07.010 one master again: 192.0.2.2 gave way to 192.0.2.1; there were two for 3s", "07.010 fe80::2", "07.510 fe80::1",
	}
	if diff := cmp.Diff(want, news(twoMasters())); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 123 * time.Microsecond: "100µs", 4563 * time.Microsecond: "4.6ms", 12345 * time.Microsecond: "12ms",
		time.Second: "1s", 3609 * time.Millisecond: "3.61s", 12340 * time.Millisecond: "12.3s", 100 * time.Second: "1m40s",
	} {
		if got := short(d); got != want {
			t.Errorf("%v is shown as %s, want %s", d, got, want)
		}
	}
}
