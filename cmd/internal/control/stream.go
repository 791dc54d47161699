package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/history"
)

const (
	// batchSize is how many events a stream takes from the history at a time.
	batchSize = 256
	// keepAlive is how often a stream says something when there is nothing to say.
	keepAlive = 15 * time.Second
	// streamPatience is how long a reader of a stream may not read.
	streamPatience = 10 * time.Second
)

// HistoryHeader is the header of a stream that tells its history, and the latest
// event when it began: 6925a0f3-57.
const HistoryHeader = "Holdfast-History"

// events answers questions for the history, and streams it.
func (s *Server) events(h *history.History) http.Handler {
	all := s.ask(func(ctx context.Context, r *http.Request) (any, error) {
		q, _, err := parseEventQuery(r.URL.Query(), time.Now())
		if err != nil {
			return nil, &Refused{err}
		}
		if err := waitReady(ctx, h); err != nil {
			return nil, err
		}
		list, last, lost := q.past(h)
		return encodeEvents(Events{Version: Version, History: h.ID(), Last: max(last, h.Read(0, 0).Last), Lost: lost}, list)
	})
	stream := StreamEvents(h)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, follow, err := parseEventQuery(r.URL.Query(), time.Now()); err == nil && (follow || wantsSSE(r)) {
			stream.ServeHTTP(w, r)
			return
		}
		all(w, r)
	})
}

// encodeEvents renders a list of events as they are kept.
func encodeEvents(head Events, list []history.Entry) (document, error) {
	lines := make([][]byte, len(list))
	for n, e := range list {
		lines[n] = e.JSON()
	}
	return encodeList(head, lines)
}

// encodeList renders a document that ends with an empty list, and puts into that
// what is JSON already, one a line.
func encodeList(head any, list [][]byte) (document, error) {
	text, err := json.Marshal(head)
	if err != nil {
		return nil, err
	}
	text, ok := bytes.CutSuffix(text, []byte("null}"))
	if !ok {
		return nil, errors.New("the answer does not end with a list")
	}
	text = append(text, '[')
	for n, line := range list {
		if n > 0 {
			text = append(text, ',')
		}
		text = append(append(text, "\n  "...), line...)
	}
	return append(text, "\n]}\n"...), nil
}

func waitReady(ctx context.Context, h *history.History) error {
	select {
	case <-h.Ready():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func wantsSSE(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept"), "text/event-stream")
}

// StreamEvents returns a handler that sends the events asked for, first those
// that there are and then each as it happens, without a gap or a double. A
// reader that is too slow is told how many it missed, or cut off; nobody else
// waits for it. Each event is a line of JSON; a request that accepts
// text/event-stream gets server-sent events, and goes on after its
// Last-Event-ID.
func StreamEvents(h *history.History) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := r.URL.Query()
		sse := wantsSSE(r)
		if sse {
			v.Set("follow", "true")
			if id := r.Header.Get("Last-Event-ID"); place.MatchString(id) {
				v.Set("since", id)
				v.Del("limit") // it was for the first time
			}
		}
		q, _, err := parseEventQuery(v, time.Now())
		if err != nil {
			answer(w, http.StatusUnprocessableEntity, Error{err.Error()})
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
		defer cancel()
		if err := waitReady(ctx, h); err != nil {
			fail(w, err)
			return
		}
		// An error means that nobody reads any more: there is nobody to tell.
		_ = followEvents(r.Context(), newStream(w, sse), h, &q)
	})
}

// followEvents writes the events asked for until the reader or the history ends.
func followEvents(ctx context.Context, out *stream, h *history.History, q *EventQuery) error {
	past, last, lost := q.past(h)
	id := h.ID()
	out.w.Header().Set(HistoryHeader, Since{After: last, History: id}.String())
	out.lost(lost)
	for _, e := range past {
		out.event(id, e)
	}
	if err := out.flush(); err != nil {
		return err
	}
	tick := time.NewTicker(keepAlive)
	defer tick.Stop()
	for {
		b := h.Read(last, batchSize)
		if len(b.Entries) == 0 {
			if b.Ended {
				return nil
			}
			select {
			case <-b.More:
			case <-tick.C:
				out.nothing()
				if err := out.flush(); err != nil {
					return err
				}
			case <-ctx.Done():
				return ctx.Err()
			}
			continue
		}
		out.lost(b.Lost)
		for _, e := range b.Entries {
			if q.wants(e.Event) {
				out.event(id, e)
			}
			last = e.Sequence
		}
		if err := out.flush(); err != nil {
			return err
		}
	}
}

// stream is an answer that goes on.
type stream struct {
	w   http.ResponseWriter
	ctl *http.ResponseController
	sse bool
	buf []byte
}

// newStream begins an answer. Each flush sets the limit for writing anew.
func newStream(w http.ResponseWriter, sse bool) *stream {
	s := &stream{w: w, ctl: http.NewResponseController(w), sse: sse}
	kind := "application/x-ndjson"
	if sse {
		kind = "text/event-stream"
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Cache-Control", "no-store")
	return s
}

func (s *stream) event(id string, e history.Entry) {
	if s.sse {
		s.buf = fmt.Appendf(s.buf, "id: %s-%d\ndata: %s\n\n", id, e.Sequence, e.JSON())
		return
	}
	s.buf = append(append(s.buf, e.JSON()...), '\n')
}

// line is a line of JSON that has no number to go on after.
func (s *stream) line(text []byte) {
	if s.sse {
		s.buf = fmt.Appendf(s.buf, "data: %s\n\n", text)
		return
	}
	s.buf = append(append(s.buf, text...), '\n')
}

func (s *stream) lost(n uint64) {
	if n == 0 {
		return
	}
	text, _ := json.Marshal(Lost{n})
	if s.sse {
		s.buf = fmt.Appendf(s.buf, "event: lost\ndata: %s\n\n", text)
		return
	}
	s.buf = append(append(s.buf, text...), '\n')
}

// nothing shows that the stream is alive.
func (s *stream) nothing() {
	if s.sse {
		s.buf = append(s.buf, ":\n\n"...)
		return
	}
	s.buf = append(s.buf, '\n')
}

// flush sends what was put together. A reader that takes none of it for long is
// cut off.
func (s *stream) flush() error {
	_ = s.ctl.SetWriteDeadline(time.Now().Add(streamPatience)) // a recorder has none
	if _, err := s.w.Write(s.buf); err != nil {
		return err
	}
	if cap(s.buf) > 1<<16 {
		s.buf = nil
	}
	s.buf = s.buf[:0]
	return s.ctl.Flush()
}
