package control

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

// say logs a record of each level.
func (f *fake) say(n int) {
	f.log.Trace(fmt.Sprint("trace ", n))
	f.log.Debug(fmt.Sprint("debug ", n), "n", n)
	f.log.Info(fmt.Sprint("info ", n), "output", "two\nlines")
	f.log.Warn(fmt.Sprint("warn ", n))
	f.log.Error(fmt.Sprint("error ", n))
}

func logTexts(list []*LogRecord) string {
	var words []string
	for _, r := range list {
		words = append(words, r.Message)
	}
	return strings.Join(words, ", ")
}

func TestLogs(t *testing.T) {
	f := sample()
	f.say(1)
	middle := time.Now()
	time.Sleep(time.Millisecond)
	f.say(2)
	path, _ := serve(t, f)
	for _, tt := range []struct {
		q    LogQuery
		want string
	}{
		{LogQuery{Limit: -1}, "info 1, warn 1, error 1, info 2, warn 2, error 2"},
		{LogQuery{Level: "debug", Limit: -1}, "info 1, warn 1, error 1, info 2, warn 2, error 2"},
		{LogQuery{Level: "error", Limit: -1}, "error 1, error 2"},
		{LogQuery{Limit: 2}, "warn 2, error 2"},
		{LogQuery{Level: "warn", Since: middle, Limit: -1}, "warn 2, error 2"},
		{LogQuery{Since: middle.Add(time.Hour), Limit: -1}, ""},
	} {
		list, lines, err := NewClient(path).Logs(t.Context(), tt.q)
		if err != nil || logTexts(list.Records) != tt.want || len(lines) != len(list.Records) {
			t.Errorf("%+v: %q, %v, want %q", tt.q, logTexts(list.Records), err, tt.want)
		}
	}
	for query, want := range map[string]string{
		"level=loud":       `there is no level \"loud\": there are trace, debug, info, warn, error`,
		"since=5":          `\"5\" is no time such as`,
		"kind=check":       `there is no parameter \"kind\"`,
		"follow=perhaps":   "follow is true or false",
		"follow=1&limit=x": "limit is a whole number",
	} {
		if resp, body := get(t, path, "GET", "/v1/logs?"+query); resp.StatusCode != 422 || !contains(body, want) || !json.Valid(body) {
			t.Errorf("%s: %s\n%s", query, resp.Status, body)
		}
	}
}

// TestFollowLogs hears of a level that the daemon does not log, each record once.
func TestFollowLogs(t *testing.T) {
	f := sample()
	f.say(1)
	path, _ := serve(t, f)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var heard []string
	said := make(chan struct{})
	err := NewClient(path).FollowLogs(ctx, LogQuery{Level: "debug", Limit: 1}, LogFollower{
		Lost: func(n uint64) { t.Errorf("%d lost", n) },
		Record: func(r *LogRecord, line []byte) {
			if heard = append(heard, r.Message); len(heard) == 1 {
				go func() { defer close(said); f.say(2) }() // it follows now
			}
			if !json.Valid(line) {
				t.Errorf("no JSON: %s", line)
			}
			if r.Message == "error 2" {
				cancel()
			}
		},
	})
	if got := strings.Join(heard, ", "); got != "error 1, debug 2, info 2, warn 2, error 2" {
		t.Errorf("heard %q, %v", got, err)
	}
	<-said
}

// TestSlowLogFollower reads nothing for a while: it is told how much it missed, and
// who logs does not wait.
func TestSlowLogFollower(t *testing.T) {
	f := sample()
	path, _ := serve(t, f)
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "GET /v1/logs?follow=true HTTP/1.0\r\n\r\n")
	head := make([]byte, 512) // so that it follows
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if n, err := c.Read(head); err != nil || !strings.HasPrefix(string(head[:n]), "HTTP/1.0 200 ") {
		t.Fatalf("%s, %v", head, err)
	}
	const count = 5000
	began := time.Now()
	for n := range count {
		f.log.Info("talkative", "n", n, "text", strings.Repeat("x", 1000))
	}
	t.Logf("measured: %d records that nobody takes in %v", count, time.Since(began).Round(time.Millisecond))
	var heard, lost uint64
	d := json.NewDecoder(c)
	for heard+lost < count {
		var line struct {
			LogRecord
			Lost
		}
		if err := d.Decode(&line); err != nil {
			t.Fatalf("after %d records and %d lost: %v", heard, lost, err)
		}
		if line.Lost.Lost > 0 {
			lost += line.Lost.Lost
		} else if line.Message == "talkative" {
			heard++
		}
	}
	if lost == 0 || heard == 0 || heard+lost != count {
		t.Errorf("%d heard and %d lost of %d", heard, lost, count)
	}
}
