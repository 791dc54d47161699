package page

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"sync"
	"time"
)

const (
	// beat is how often those who watch hear of the daemon, also when nothing
	// changed: without it they could not tell that from a dead one.
	beat = time.Second
	// share is which part of the time making frames may take at most.
	share = 10
	// restMost bounds that: a frame that only waited for a loop that stood still is
	// not to make the page stale, as it is after 5 s without one.
	restMost = 3 * time.Second
	// watchersMost is how many pages may be open at a time.
	watchersMost = 32
	// sendTime is how long a slow browser may take for one message.
	sendTime = 10 * time.Second
)

// hub makes one frame for all who watch, while somebody does.
type hub struct {
	make func(context.Context) (*frame, error)

	mu       sync.Mutex
	watchers map[chan *frame]bool
	running  bool
}

func newHub(frames func(context.Context) (*frame, error)) *hub {
	return &hub{make: frames, watchers: map[chan *frame]bool{}}
}

// join returns a channel that has the latest frame; nil when too many watch. A
// nil frame is a daemon that does not answer.
func (h *hub) join() chan *frame {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.watchers) >= watchersMost {
		return nil
	}
	c := make(chan *frame, 1)
	h.watchers[c] = true
	if !h.running {
		h.running = true
		go h.run()
	}
	return c
}

func (h *hub) leave(c chan *frame) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.watchers, c)
}

// run makes frames until nobody watches.
func (h *hub) run() {
	for {
		began := time.Now()
		f, err := h.make(context.Background())
		if err != nil {
			f = nil
		}
		took := time.Since(began)
		h.mu.Lock()
		for c := range h.watchers {
			select { // who has not taken the last one needs only this one
			case <-c:
			default:
			}
			c <- f
		}
		if h.running = len(h.watchers) > 0; !h.running {
			h.mu.Unlock()
			return
		}
		h.mu.Unlock()
		time.Sleep(min(max(beat-took, (share-1)*took), restMost))
	}
}

// stream sends a browser first all of the page, then what changes, and a sign
// of life each time.
func (h *hub) stream(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodHead { // which asks for no stream
		w.Header().Set("Content-Type", "text/event-stream")
		return
	}
	c := h.join()
	if c == nil {
		http.Error(w, "too many status pages are open: close one and try again", http.StatusServiceUnavailable)
		return
	}
	defer h.leave(c)
	w.Header().Set("Content-Type", "text/event-stream")
	control := http.NewResponseController(w)
	var last *frame
	for {
		select {
		case <-r.Context().Done():
			return
		case f := <-c:
			_ = control.SetWriteDeadline(time.Now().Add(sendTime)) // a server of a test knows none
			if send(w, last, f) != nil || control.Flush() != nil {
				return
			}
			if f != nil {
				last = f
			}
		}
	}
}

// send writes what is in f and was not so in last.
func send(w http.ResponseWriter, last, f *frame) error {
	if f == nil {
		_, err := fmt.Fprint(w, "event: lost\ndata: {}\n\n")
		return err
	}
	news := *f
	if last != nil {
		news.Parts = map[string]string{}
		for id, html := range f.Parts {
			if last.Parts[id] != html {
				news.Parts[id] = html
			}
		}
		if len(news.Parts) == 0 && maps.Equal(last.Parts, f.Parts) {
			news.Order = nil // only a sign of life
		}
	}
	text, err := json.Marshal(news)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "event: state\ndata: %s\n\n", text)
	return err
}
