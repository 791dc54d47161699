package control

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"syscall"
	"time"
)

// Events asks for events that there are. raw is the document as it came.
func (c *Client) Events(ctx context.Context, q EventQuery) (list *Events, raw []byte, err error) {
	list = &Events{}
	raw, err = c.call(ctx, http.MethodGet, "/v1/events?"+q.values().Encode(), list)
	return list, raw, err
}

// EventLines is an answer with each of its events as it came, on one line.
type EventLines struct {
	Answer *Events
	Lines  [][]byte
}

// EventLines asks for events that there are, and keeps of each also the fields
// that this program does not know.
func (c *Client) EventLines(ctx context.Context, q EventQuery) (*EventLines, error) {
	list, raw, err := c.Events(ctx, q)
	if err != nil {
		return nil, err
	}
	var as struct {
		Events []json.RawMessage `json:"events"`
	}
	if err := json.Unmarshal(raw, &as); err != nil {
		return nil, fmt.Errorf("cannot read the events of the daemon on %s: %w", c.path, err)
	}
	all := &EventLines{Answer: list}
	for _, e := range as.Events {
		var line bytes.Buffer
		if err := json.Compact(&line, e); err != nil {
			return nil, fmt.Errorf("cannot read the events of the daemon on %s: %w", c.path, err)
		}
		all.Lines = append(all.Lines, line.Bytes())
	}
	return all, nil
}

// Follower hears of events. What is nil is not told.
type Follower struct {
	// Event gets each event, in order, and the line of JSON that it came as.
	Event func(e *Event, line []byte)
	// Lost is told how many events were missed.
	Lost func(n uint64)
	// Gone is told that the daemon does not answer any more, once.
	Gone func(err error)
	// Back is told that it does again; anew is set when its history is another
	// one, as after a boot.
	Back func(anew bool)
}

// maxLine is far above any honest event.
const maxLine = 1 << 20

// Follow hears of the events asked for, past and future, until the context or
// the daemon ends.
func (c *Client) Follow(ctx context.Context, q EventQuery, f Follower) error {
	s, err := c.openEvents(ctx, q)
	if err == nil {
		_, err = s.read(ctx, q, f)
	}
	return err
}

// FollowOn is Follow across restarts of the daemon, without a gap or a double,
// until the context ends. Only the first connection must succeed.
func (c *Client) FollowOn(ctx context.Context, q EventQuery, f Follower) error {
	s, err := c.openEvents(ctx, q)
	if err != nil {
		return err
	}
	for {
		q, err = s.read(ctx, q, f)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if f.Gone != nil {
			f.Gone(err)
		}
		old := s.at.History
		s, err = reopen(ctx, func() (*eventStream, error) { return c.openEvents(ctx, q) })
		if err != nil {
			return err
		}
		if f.Back != nil {
			f.Back(s.at.History != old)
		}
	}
}

// reconnectAfter is how often a daemon that is gone is tried again.
const reconnectAfter = 200 * time.Millisecond

// reopen opens a stream again, however long that takes: whatever is wrong now may be
// right soon.
func reopen[S any](ctx context.Context, open func() (S, error)) (s S, err error) {
	for {
		select {
		case <-time.After(reconnectAfter):
		case <-ctx.Done():
			return s, ctx.Err()
		}
		if s, err = open(); err == nil {
			return s, nil
		}
	}
}

// eventStream is an open stream of events.
type eventStream struct {
	c    *Client
	body io.ReadCloser
	at   Since // the latest event when it was opened
}

func (c *Client) openEvents(ctx context.Context, q EventQuery) (*eventStream, error) {
	v := q.values()
	v.Set("follow", "true")
	resp, err := c.stream(ctx, "/v1/events?"+v.Encode())
	if err != nil {
		return nil, err
	}
	at, err := ParseSince(resp.Header.Get(HistoryHeader), time.Time{})
	if err != nil || at.History == "" {
		resp.Body.Close()
		return nil, fmt.Errorf("the daemon on %s does not tell which history it streams", c.path)
	}
	return &eventStream{c, resp.Body, at}, nil
}

// read reads to the end of the stream, and returns the query that goes on there.
func (s *eventStream) read(ctx context.Context, q EventQuery, f Follower) (EventQuery, error) {
	defer s.body.Close()
	if q.Limit == 0 {
		q.Since, q.Limit = s.at, -1
	}
	err := lines(ctx, s.body, func(line []byte) error {
		var e struct {
			Event
			Lost
		}
		if err := json.Unmarshal(line, &e); err != nil {
			return fmt.Errorf("cannot read the events of the daemon on %s: %w", s.c.path, err)
		}
		if e.Lost.Lost > 0 {
			if f.Lost != nil {
				f.Lost(e.Lost.Lost)
			}
			return nil
		}
		q.Since, q.Limit = Since{After: e.Sequence, History: s.at.History}, -1
		if f.Event != nil {
			f.Event(&e.Event, bytes.Clone(line))
		}
		return nil
	})
	return q, err
}

// lines reads a stream line by line to its end. A stream that says nothing for
// several keep-alives is dead.
func lines(ctx context.Context, body io.ReadCloser, each func([]byte) error) error {
	dead := time.AfterFunc(4*keepAlive, func() { body.Close() })
	defer dead.Stop()
	in := bufio.NewScanner(body)
	in.Buffer(nil, maxLine)
	for in.Scan() {
		dead.Reset(4 * keepAlive)
		if line := bytes.TrimSpace(in.Bytes()); len(line) > 0 {
			if err := each(line); err != nil {
				return err
			}
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	switch err := in.Err(); {
	case !dead.Stop():
		return fmt.Errorf("the daemon has said nothing for %v", 4*keepAlive)
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return errors.New("the daemon was killed, or this reader was too slow for it")
	case err != nil:
		return fmt.Errorf("cannot read what the daemon says: %w", err)
	}
	return errors.New("the daemon ended")
}

// stream opens an answer that goes on.
func (c *Client) stream(ctx context.Context, path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://holdfast"+path, nil)
	if err != nil {
		return nil, err
	}
	endless := http.Client{Transport: c.http.Transport}
	resp, err := endless.Do(req)
	if err != nil {
		return nil, c.explain(err)
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		raw, err := io.ReadAll(io.LimitReader(resp.Body, maxLine))
		if err != nil {
			return nil, c.explain(err)
		}
		return nil, refusal(resp, raw)
	}
	return resp, nil
}

// refusal is the error that an answer tells.
func refusal(resp *http.Response, raw []byte) error {
	var e Error
	if json.Unmarshal(raw, &e) != nil || e.Error == "" {
		e.Error = "the daemon answered " + resp.Status
	}
	return errors.New(e.Error)
}
