package control

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/logbook"
)

// LogRecord is one thing that the daemon logged.
type LogRecord = logbook.Record

// Logs is the answer to GET /v1/logs.
type Logs struct {
	Version int `json:"version"`
	// Lost is how many of the records asked for are not kept any more, when that
	// is known.
	Lost    uint64       `json:"lost,omitempty"`
	Records []*LogRecord `json:"records"`
}

// LogQuery is which records of the log somebody wants.
type LogQuery struct {
	// Level is the least one wanted; empty is info.
	Level string
	// Since, when not zero, is when to begin.
	Since time.Time
	// Limit is how many of those that there are there may be, the latest ones;
	// negative for any number.
	Limit int
}

// Validate reports a level that does not exist.
func (q *LogQuery) Validate() error {
	if q.Level != "" && !slices.Contains(logbook.Levels(), q.Level) {
		return fmt.Errorf("there is no level %q: there are %s", q.Level, strings.Join(logbook.Levels(), ", "))
	}
	return nil
}

// Kept reports whether records of the level are kept: of less only those that
// come can be followed.
func (q *LogQuery) Kept() bool { return logbook.Kept(q.level()) }

func (q *LogQuery) level() logbook.Level { return logbook.ParseLevel(cmp.Or(q.Level, "info")) }

func (q *LogQuery) values() url.Values {
	v := url.Values{}
	if q.Level != "" {
		v.Set("level", q.Level)
	}
	if !q.Since.IsZero() {
		v.Set("since", q.Since.Format(time.RFC3339Nano))
	}
	if q.Limit >= 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	return v
}

// parseLogQuery reads the query of a request.
func parseLogQuery(v url.Values, now time.Time) (q LogQuery, follow bool, err error) {
	q.Limit = -1
	for key, list := range v {
		value := list[len(list)-1]
		switch key {
		case "level":
			q.Level = value
		case "since":
			q.Since, err = ParseLogSince(value, now)
		case "limit":
			if q.Limit, err = strconv.Atoi(value); err != nil || q.Limit < 0 {
				err = fmt.Errorf("limit is a whole number, not %q", value)
			}
		case "follow":
			if follow, err = strconv.ParseBool(value); err != nil {
				err = fmt.Errorf("follow is true or false, not %q", value)
			}
		default:
			err = fmt.Errorf("there is no parameter %q: there are level, since, limit and follow", key)
		}
		if err != nil {
			return q, false, err
		}
	}
	if follow && !v.Has("since") && !v.Has("limit") {
		q.Limit = 0
	}
	return q, follow, q.Validate()
}

// ParseLogSince reads a time in the forms that [ParseSince] knows, without the
// numbers of events.
func ParseLogSince(text string, now time.Time) (time.Time, error) {
	s, err := ParseSince(text, now)
	if err != nil || s.Time.IsZero() {
		return time.Time{}, fmt.Errorf(`%q is no time such as "10m", "03:00", "2006-01-02T15:04"`, text)
	}
	return s.Time, nil
}

// past chooses from the records that are kept.
func (q *LogQuery) past(kept []logbook.Entry) (list []logbook.Entry) {
	for _, e := range kept {
		if !e.Time.Before(q.Since) && logbook.ParseLevel(e.Level) >= q.level() {
			list = append(list, e)
		}
	}
	if q.Limit >= 0 && len(list) > q.Limit {
		list = list[len(list)-q.Limit:]
	}
	return list
}

// logs answers questions for the log, and streams it.
func (s *Server) logs(b *logbook.Book) http.Handler {
	all := s.ask(func(_ context.Context, r *http.Request) (any, error) {
		q, _, err := parseLogQuery(r.URL.Query(), time.Now())
		if err != nil {
			return nil, &Refused{err}
		}
		kept, lost := b.Kept()
		if !q.Since.IsZero() && (len(kept) == 0 || kept[0].Time.Before(q.Since)) {
			lost = 0
		}
		return encodeLogs(lost, q.past(kept))
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q, follow, err := parseLogQuery(r.URL.Query(), time.Now())
		if err == nil && (follow || wantsSSE(r)) {
			// An error means that nobody reads any more: there is nobody to tell.
			_ = followLogs(r.Context(), newStream(w, wantsSSE(r)), b, &q)
			return
		}
		all(w, r)
	})
}

func encodeLogs(lost uint64, list []logbook.Entry) (document, error) {
	lines := make([][]byte, len(list))
	for n, e := range list {
		lines[n] = e.JSON
	}
	return encodeList(Logs{Version: Version, Lost: lost}, lines)
}

// followLogs writes records as they come until the reader or the log ends.
func followLogs(ctx context.Context, out *stream, b *logbook.Book, q *LogQuery) error {
	f, kept, _ := b.Follow(q.level())
	defer f.Close()
	for _, e := range q.past(kept) {
		out.line(e.JSON)
	}
	if err := out.flush(); err != nil {
		return err
	}
	tick := time.NewTicker(keepAlive)
	defer tick.Stop()
	for {
		select {
		case <-f.More():
		case <-tick.C:
			out.nothing()
		case <-ctx.Done():
			return ctx.Err()
		}
		list, lost, ended := f.Take()
		for _, e := range list {
			out.line(e.JSON)
		}
		out.lost(lost)
		if err := out.flush(); err != nil || ended {
			return err
		}
	}
}

// LogFollower hears of records. What is nil is not told.
type LogFollower struct {
	// Record gets each record, in order, and the line of JSON that it came as.
	Record func(r *LogRecord, line []byte)
	// Lost, Gone and Back are those of [Follower].
	Lost func(n uint64)
	Gone func(err error)
	Back func()
}

// Logs asks for records that there are, with each of them as it came.
func (c *Client) Logs(ctx context.Context, q LogQuery) (list *Logs, lines [][]byte, err error) {
	list = &Logs{}
	raw, err := c.call(ctx, http.MethodGet, "/v1/logs?"+q.values().Encode(), list)
	if err != nil {
		return nil, nil, err
	}
	var as struct {
		Records []json.RawMessage `json:"records"`
	}
	if err := json.Unmarshal(raw, &as); err != nil {
		return nil, nil, fmt.Errorf("cannot read the log of the daemon on %s: %w", c.path, err)
	}
	for _, r := range as.Records {
		lines = append(lines, r)
	}
	return list, lines, nil
}

// FollowLogs hears of records, past and future, across restarts of the daemon
// until the context ends. Only the first connection must succeed.
func (c *Client) FollowLogs(ctx context.Context, q LogQuery, f LogFollower) error {
	open := func() (*http.Response, error) {
		v := q.values()
		v.Set("follow", "true")
		return c.stream(ctx, "/v1/logs?"+v.Encode())
	}
	resp, err := open()
	if err != nil {
		return err
	}
	for {
		err = c.readLogs(ctx, resp.Body, &q, f)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if f.Gone != nil {
			f.Gone(err)
		}
		if resp, err = reopen(ctx, open); err != nil {
			return err
		}
		if f.Back != nil {
			f.Back()
		}
	}
}

// readLogs reads to the end of the stream, and has the query go on there.
func (c *Client) readLogs(ctx context.Context, body io.ReadCloser, q *LogQuery, f LogFollower) error {
	defer body.Close()
	if q.Limit == 0 { // for the next connection
		q.Since, q.Limit = time.Now(), -1
	}
	return lines(ctx, body, func(line []byte) error {
		var e struct {
			LogRecord
			Lost
		}
		if err := json.Unmarshal(line, &e); err != nil {
			return fmt.Errorf("cannot read the log of the daemon on %s: %w", c.path, err)
		}
		if e.Lost.Lost > 0 {
			if f.Lost != nil {
				f.Lost(e.Lost.Lost)
			}
			return nil
		}
		q.Since, q.Limit = e.Time.Add(1), -1
		if f.Record != nil {
			f.Record(&e.LogRecord, bytes.Clone(line))
		}
		return nil
	})
}
