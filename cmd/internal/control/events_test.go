package control

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/history"
)

// record adds events numbered in their texts, of several kinds and instances.
func record(h *history.History, from, to int) {
	for n := from; n <= to; n++ {
		e := Event{Kind: history.KindTransition, Severity: history.Info, Instance: "web", Text: fmt.Sprint("event ", n)}
		switch n % 4 {
		case 1:
			e.Kind, e.Severity, e.Instance = history.KindCheck, history.Warning, ""
		case 2:
			e.Instance = "db"
		case 3:
			e.Kind, e.Severity = history.KindReload, history.Error
		}
		h.Record(e)
	}
}

// settled waits until events have their numbers.
func settled(t *testing.T, h *history.History, last uint64) {
	t.Helper()
	for until := time.Now().Add(10 * time.Second); h.Read(0, 0).Last < last; time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("%d events were numbered, want %d", h.Read(0, 0).Last, last)
		}
	}
}

func texts(list []*Event) string {
	var all []string
	for _, e := range list {
		all = append(all, strings.TrimPrefix(e.Text, "event "))
	}
	return strings.Join(all, " ")
}

func TestEventsQueries(t *testing.T) {
	f := sample()
	record(f.events, 1, 12)
	settled(t, f.events, 12)
	path, _ := serve(t, f)
	id := f.events.ID()
	for query, want := range map[string]string{
		"":                                   "1 2 3 4 5 6 7 8 9 10 11 12",
		"limit=3":                            "10 11 12",
		"limit=0":                            "",
		"since=9":                            "10 11 12",
		"since=" + id + "-10":                "11 12",
		"since=00000000-10&limit=2":          "11 12", // another history: all of this one
		"since=99":                           "1 2 3 4 5 6 7 8 9 10 11 12",
		"instance=db":                        "2 6 10",
		"instance=db&instance=web&limit=2":   "11 12",
		"kind=check,reload&limit=4":          "5 7 9 11",
		"severity=warning&since=4":           "5 7 9 11",
		"severity=error&since=1h":            "3 7 11",
		"since=2000-01-01T00:00:00Z&limit=1": "12",
		"since=2100-01-01":                   "",
	} {
		resp, body := get(t, path, "GET", "/v1/events?"+query)
		var doc Events
		if err := json.Unmarshal(body, &doc); err != nil || resp.StatusCode != 200 || texts(doc.Events) != want {
			t.Errorf("?%s: %s, %v: events %q, want %q", query, resp.Status, err, texts(doc.Events), want)
		}
		if doc.Last != 12 || doc.History != id || doc.Version != Version {
			t.Errorf("?%s: history %q up to %d, version %d", query, doc.History, doc.Last, doc.Version)
		}
	}
	for query, want := range map[string]string{
		"since=yesterday": `"yesterday\" is no time such as`, "limit=-1": "limit is a whole number", "limit=x": "limit is a whole number",
		"kind=weather": `there is no kind \"weather\": there are transition`, "severity=fatal": "there are info, warning, error",
		"follow=maybe": "follow is true or false", "sincee=1": `there is no parameter \"sincee\"`,
		"since=99999999999999999999": "is no number of an event", "follow=true&kind=weather": "there is no kind",
	} {
		if resp, body := get(t, path, "GET", "/v1/events?"+query); resp.StatusCode != 422 || !contains(body, want) {
			t.Errorf("?%s: %s %s, want 422 with %q", query, resp.Status, body, want)
		}
	}
}

func TestParseSince(t *testing.T) {
	zone := time.FixedZone("", 3600)
	now := time.Date(2026, 11, 25, 3, 7, 0, 0, zone)
	for text, want := range map[string]Since{
		"57":                   {After: 57},
		"6925a0f3-57":          {After: 57, History: "6925a0f3"},
		"90s":                  {Time: now.Add(-90 * time.Second)},
		"2d":                   {Time: now.Add(-48 * time.Hour)},
		"1d12h":                {Time: now.Add(-36 * time.Hour)},
		"2026-11-25T03:00":     {Time: time.Date(2026, 11, 25, 3, 0, 0, 0, zone)},
		"2026-11-25 03:00:01":  {Time: time.Date(2026, 11, 25, 3, 0, 1, 0, zone)},
		"2026-11-24":           {Time: time.Date(2026, 11, 24, 0, 0, 0, 0, zone)},
		"2026-11-25T02:00:00Z": {Time: time.Date(2026, 11, 25, 3, 0, 0, 0, zone)},
		"03:00":                {Time: time.Date(2026, 11, 25, 3, 0, 0, 0, zone)},
		"23:30":                {Time: time.Date(2026, 11, 24, 23, 30, 0, 0, zone)},
	} {
		got, err := ParseSince(text, now)
		if err != nil || got.After != want.After || got.History != want.History || !got.Time.Equal(want.Time) {
			t.Errorf("%q is %+v, %v; want %+v", text, got, err, want)
			continue
		}
		again, err := ParseSince(got.String(), now)
		if err != nil || again.After != want.After || again.History != want.History || !again.Time.Equal(want.Time) {
			t.Errorf("%q written as %q is %+v, %v", text, got, again, err)
		}
	}
	for _, text := range []string{"", "-5", "-1h", "x", "6925A0F3-57", "2026-13-01", "25:00", "d", "1dx"} {
		if got, err := ParseSince(text, now); err == nil {
			t.Errorf("%q is %+v", text, got)
		}
	}
}

// TestFollow wants the past ones asked for and then the live ones, each once.
func TestFollow(t *testing.T) {
	f := sample()
	record(f.events, 1, 1000)
	settled(t, f.events, 1000)
	path, _ := serve(t, f)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	const last = 3000
	go record(f.events, 1001, last) // while it connects and reads
	next := 991
	err := NewClient(path).Follow(ctx, EventQuery{Limit: -1, Since: Since{After: 990}}, Follower{
		Lost: func(n uint64) { t.Errorf("%d events lost", n) },
		Event: func(e *Event, line []byte) {
			if e.Text != fmt.Sprint("event ", next) || e.Sequence != uint64(next) || !json.Valid(line) {
				t.Fatalf("%d is %q, want event %d", e.Sequence, e.Text, next)
			}
			if next++; next > last {
				cancel()
			}
		},
	})
	if next != last+1 || ctx.Err() == nil {
		t.Errorf("it ended before event %d: %v", next, err)
	}
}

// TestFollowOutlastsRequests goes on for longer than any other request may.
func TestFollowOutlastsRequests(t *testing.T) {
	f := sample()
	const limit = 50 * time.Millisecond
	path, _ := serve(t, f, func(s *Server) { s.http.ReadTimeout, s.http.WriteTimeout, s.http.IdleTimeout = limit, limit, limit })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	time.AfterFunc(6*limit, func() { record(f.events, 1, 1) })
	heard := 0
	err := NewClient(path).Follow(ctx, EventQuery{Limit: -1}, Follower{Event: func(*Event, []byte) {
		heard++
		cancel()
	}})
	if heard != 1 {
		t.Errorf("the stream ended before the event: %v", err)
	}
}

// TestFollowEnds hears the last event before the stream ends.
func TestFollowEnds(t *testing.T) {
	f := sample()
	path, _ := serve(t, f)
	got := make(chan string, 10)
	ended := make(chan error, 1)
	go func() {
		ended <- NewClient(path).Follow(t.Context(), EventQuery{Limit: -1}, Follower{Event: func(e *Event, _ []byte) { got <- e.Text }})
	}()
	record(f.events, 1, 1)
	if text := <-got; text != "event 1" {
		t.Errorf("first %q", text)
	}
	record(f.events, 2, 2)
	f.events.Close(time.Second)
	if err := <-ended; err == nil || err.Error() != "the daemon ended" {
		t.Errorf("the end was told as %v", err)
	}
	if text := <-got; text != "event 2" {
		t.Errorf("last %q", text)
	}
}

// TestFollowersHearTheEnd closes the server as soon as the history has ended: all
// who follow it hear the last event, and that it was the last.
func TestFollowersHearTheEnd(t *testing.T) {
	const followers = 60
	for range 5 {
		f := sample()
		path, s := serve(t, f)
		began := make(chan bool, followers)
		ended := make(chan string, followers)
		for range followers {
			go func() {
				last := ""
				err := NewClient(path).Follow(t.Context(), EventQuery{Limit: -1}, Follower{Event: func(e *Event, _ []byte) {
					if last = e.Text; last == "event 1" {
						began <- true
					}
				}})
				ended <- fmt.Sprintf("%s, %v", last, err)
			}()
		}
		record(f.events, 1, 1)
		for range followers {
			<-began
		}
		record(f.events, 2, 2)
		f.events.Close(time.Second)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		for range followers {
			if got, want := <-ended, "event 2, the daemon ended"; got != want {
				t.Fatalf("the end was %q, want %q", got, want)
			}
		}
	}
}

// TestFollowBreaksOff tells that a daemon was killed in plain words.
func TestFollowBreaksOff(t *testing.T) {
	path := answering(t, "HTTP/1.1 200 OK\r\n"+HistoryHeader+": 6925a0f3-57\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n\n\r\n")
	err := NewClient(path).Follow(t.Context(), EventQuery{}, Follower{})
	if want := "the daemon was killed, or this reader was too slow for it"; err == nil || err.Error() != want {
		t.Errorf("a stream that breaks off is told as %v, want %s", err, want)
	}
}

// TestServerSentEvents resumes by the id of the last event.
func TestServerSentEvents(t *testing.T) {
	f := sample()
	record(f.events, 1, 5)
	settled(t, f.events, 5)
	path, _ := serve(t, f)
	f.events.Close(time.Second) // so that the stream ends
	ask := func(query, id string) string {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), "GET", "http://holdfast/v1/events?"+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept", "text/event-stream")
		if id != "" {
			req.Header.Set("Last-Event-ID", id)
		}
		resp, body := do(t, path, req)
		if ct := resp.Header.Get("Content-Type"); ct != "text/event-stream" {
			t.Errorf("content type %q", ct)
		}
		var ids []string
		for line := range strings.Lines(string(body)) {
			if at, ok := strings.CutPrefix(strings.TrimSpace(line), "id: "+f.events.ID()+"-"); ok {
				ids = append(ids, at)
			} else if data, ok := strings.CutPrefix(line, "data: "); ok && !json.Valid([]byte(data)) {
				t.Errorf("data is no JSON: %s", line)
			}
		}
		return strings.Join(ids, " ")
	}
	for _, tt := range []struct{ query, id, want string }{
		{"", "", ""},
		{"limit=2", "", "4 5"},
		{"limit=2", f.events.ID() + "-1", "2 3 4 5"},
		{"limit=2", "ffffffff-1", "1 2 3 4 5"},
		{"limit=1", "nonsense", "5"},
	} {
		if got := ask(tt.query, tt.id); got != tt.want {
			t.Errorf("?%s after %q: %q, want %q", tt.query, tt.id, got, tt.want)
		}
	}
}
