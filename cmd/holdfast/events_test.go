package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
)

// night is what happens at three in the morning.
func night() []*control.Event {
	at := func(day, hour, minute, second int) time.Time {
		return time.Date(2026, 11, day, hour, minute, second, 0, time.Local)
	}
	return []*control.Event{
		{Time: at(24, 23, 59, 58), Severity: "info", Text: "holdfast 1.0 starts"},
		{Time: at(25, 3, 12, 7), Severity: "warning", Text: "check nginx fails: connection\n  refused \x1b[2J"},
		{Time: at(25, 3, 12, 7), Severity: "warning", Instance: "web", Text: "web is demoted to priority 17 instead of 150: check nginx fails: connection refused"},
		{Time: at(25, 3, 12, 8), Severity: "info", Instance: "web", Text: "web is backup now: 192.0.2.2 took over (was master for 3h12m)"},
		{Time: at(25, 3, 12, 9), Severity: "error", Instance: "database", Text: "database: the hook for backup failed: exit status 1"},
		{Time: at(25, 3, 12, 10), Severity: "info", Instance: "web", Text: "website is something else"},
	}
}

func TestEventLines(t *testing.T) {
	var out bytes.Buffer
	p := newEventPrinter(&out)
	if p.width != 0 || bool(p.ink) {
		t.Error("a buffer is taken for a terminal")
	}
	for _, e := range night() {
		p.event(e, nil)
	}
	const want = `Tue 24 Nov 2026
23:59:58        holdfast 1.0 starts
Wed 25 Nov 2026
03:12:07        check nginx fails: connection refused ?[2J
03:12:07  web   is demoted to priority 17 instead of 150: check nginx fails: connection refused
03:12:08  web   is backup now: 192.0.2.2 took over (was master for 3h12m)
03:12:09  database  the hook for backup failed: exit status 1
03:12:10  web       website is something else
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("without a terminal (-want +got):\n%s", diff)
	}

	out.Reset()
	p = newEventPrinter(&out)
	p.width, p.ink = 60, true
	for _, e := range night()[1:4] {
		p.event(e, nil)
	}
	const narrow = `Wed 25 Nov 2026
03:12:07        Ycheck nginx fails: connection refused ?[2JE
03:12:07  web   Yis demoted to priority 17 instead of 150:E
                Ycheck nginx fails: connection refusedE
03:12:08  web   is backup now: 192.0.2.2 took over (was
                master for 3h12m)
`
	got := strings.NewReplacer("\x1b[33m", "Y", "\x1b[0m", "E").Replace(out.String())
	if diff := cmp.Diff(narrow, got); diff != "" {
		t.Errorf("on a narrow terminal (-want +got):\n%s", diff)
	}
	for line := range strings.Lines(strings.NewReplacer("Y", "", "E", "").Replace(narrow)) {
		if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > 60 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}

func TestEventsOptions(t *testing.T) {
	now := time.Now()
	for _, tt := range []struct {
		o     eventsOptions
		limit int
		ok    bool
	}{
		{eventsOptions{}, defaultEvents, true},
		{eventsOptions{last: 3}, 3, true},
		{eventsOptions{since: "1h"}, -1, true},
		{eventsOptions{since: "57", last: 2}, 2, true},
		{eventsOptions{since: "tomorrow"}, 0, false},
		{eventsOptions{kinds: "check,weather"}, 0, false},
		{eventsOptions{severity: "fatal"}, 0, false},
	} {
		q, err := tt.o.query(now)
		if (err == nil) != tt.ok || tt.ok && q.Limit != tt.limit {
			t.Errorf("%+v: limit %d, %v", tt.o, q.Limit, err)
		}
	}
}
