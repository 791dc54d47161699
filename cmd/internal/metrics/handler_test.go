package metrics

import (
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
)

func TestHandler(t *testing.T) {
	for _, tt := range []struct {
		accept string
		zipped bool
	}{{"", false}, {"gzip", true}, {"zstd;q=0.9, GZIP;q=0.5", true}, {"gzip;q=0", false}, {"br", false}} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "/metrics", nil)
		r.Header.Set("Accept-Encoding", tt.accept)
		h := Handler(fixed{st: many(100)}, false)
		for range 2 { // also with what the first one left
			w = httptest.NewRecorder()
			h.ServeHTTP(w, r)
		}
		if got := w.Header().Get("Content-Type"); w.Code != http.StatusOK || got != "text/plain; version=0.0.4; charset=utf-8" {
			t.Errorf("accept %q: answer %d of type %s", tt.accept, w.Code, got)
		}
		if got := w.Header().Get("Content-Encoding") == "gzip"; got != tt.zipped {
			t.Errorf("accept %q: compressed is %v", tt.accept, got)
			continue
		}
		body := io.Reader(w.Body)
		if tt.zipped {
			var err error
			if body, err = gzip.NewReader(body); err != nil {
				t.Fatal(err)
			}
		}
		text, err := io.ReadAll(body)
		if err != nil {
			t.Fatal(err)
		}
		parse(t, text)
		if !strings.Contains(string(text), `holdfast_instance_state{state="master",vrrp_instance="i99"} 1`+"\n") {
			t.Errorf("accept %q: answer\n%s", tt.accept, text)
		}
	}
}

// slow answers when it is told to.
type slow struct{ asked, answer chan struct{} }

func (s slow) Status(ctx context.Context) (*control.Status, error) {
	s.asked <- struct{}{}
	<-s.answer
	return sample(), nil
}

// Who scrapes while many do is told so at once.
func TestScrapesAtOnce(t *testing.T) {
	s := slow{make(chan struct{}), make(chan struct{})}
	h := Handler(s, false)
	ask := func() int {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		return w.Code
	}
	var all sync.WaitGroup
	for range scrapesAtOnce {
		all.Go(func() {
			if code := ask(); code != http.StatusOK {
				t.Errorf("answer %d, want 200", code)
			}
		})
		<-s.asked
	}
	if code := ask(); code != http.StatusServiceUnavailable {
		t.Errorf("answer %d to one too many, want 503", code)
	}
	close(s.answer)
	all.Wait()
}
