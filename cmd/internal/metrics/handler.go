package metrics

import (
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// patience is how long a scrape waits for the snapshot: less than Prometheus
	// waits for the scrape, so that a stuck daemon is told rather than timed out.
	patience = 3 * time.Second
	// scrapesAtOnce is how many answers may be under way; the next one is told to
	// come back later.
	scrapesAtOnce = 8
	// scrapeTime is how long an answer may take to be read.
	scrapeTime = 15 * time.Second
)

// handler answers scrapes.
type handler struct {
	source  Source
	metrics []metric
	now     func() time.Time
	turns   chan struct{}
	buffers sync.Pool // of *encoder
	zippers sync.Pool // of *gzip.Writer
}

// Handler answers scrapes with all metrics, those of the Go runtime and the process
// too; compat adds those that dashboards for keepalived know.
func Handler(source Source, compat bool) http.Handler { return newHandler(source, compat) }

func newHandler(source Source, compat bool) *handler {
	return &handler{source: source, metrics: described(compat), now: time.Now, turns: make(chan struct{}, scrapesAtOnce)}
}

// ServeHTTP implements [http.Handler].
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	select {
	case h.turns <- struct{}{}:
		defer func() { <-h.turns }()
	default:
		http.Error(w, "too many scrapes at a time: try again later", http.StatusServiceUnavailable)
		return
	}
	s := h.scrape(r.Context())
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(scrapeTime)) // or the server's holds
	w.Header().Set("Content-Type", contentType)
	if !wantsGzip(r) {
		_ = h.write(w, s) // who went away needs no answer
		return
	}
	w.Header().Set("Content-Encoding", "gzip")
	z, ok := h.zippers.Get().(*gzip.Writer)
	if !ok {
		z, _ = gzip.NewWriterLevel(nil, gzip.BestSpeed) // the level is valid
	}
	z.Reset(w)
	if h.write(z, s) == nil {
		_ = z.Close()
	}
	h.zippers.Put(z)
}

func (h *handler) scrape(ctx context.Context) *scrape {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	st, err := h.source.Status(ctx)
	if err != nil {
		st = nil // that is told, too
	}
	return &scrape{st: st, now: h.now()}
}

func (h *handler) write(w io.Writer, s *scrape) error {
	e, ok := h.buffers.Get().(*encoder)
	if !ok {
		e = &encoder{buf: make([]byte, 0, chunk+chunk/8)}
	}
	e.w, e.err = w, nil
	err := s.write(e, h.metrics)
	e.w = nil
	h.buffers.Put(e)
	return err
}

// wantsGzip reports whether the asker takes a compressed answer.
func wantsGzip(r *http.Request) bool {
	for _, header := range r.Header.Values("Accept-Encoding") {
		for coding := range strings.SplitSeq(header, ",") {
			name, weight, _ := strings.Cut(coding, ";")
			if !strings.EqualFold(strings.TrimSpace(name), "gzip") {
				continue
			}
			q, err := strconv.ParseFloat(strings.TrimPrefix(strings.TrimSpace(weight), "q="), 64)
			return err != nil || q > 0
		}
	}
	return false
}
