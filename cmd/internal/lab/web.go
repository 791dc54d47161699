package lab

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Web is a web server built into this process: it answers GET / on port 80 with
// the host's name, and so it does GET /healthz.
type Web struct {
	sick  atomic.Bool
	close func() error
}

// Web starts a web server on the host, on all its addresses. It ends with Close
// or with the lab.
func (h *Host) Web() (*Web, error) {
	var ln net.Listener
	err := h.Do(func() (err error) {
		ln, err = net.Listen("tcp", ":80")
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("start web server on %s: %w", h.name, err)
	}
	w := &Web{}
	srv := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		if w.sick.Load() {
			rw.WriteHeader(http.StatusServiceUnavailable)
		}
		fmt.Fprintln(rw, h.name) // a client that has gone needs no answer
	})}
	var wg sync.WaitGroup
	var served error
	wg.Go(func() { served = srv.Serve(ln) })
	w.close = sync.OnceValue(func() error {
		err := srv.Close()
		wg.Wait()
		if !errors.Is(served, http.ErrServerClosed) {
			err = errors.Join(err, served)
		}
		return err
	})
	return w, h.onClose(w)
}

// SetHealthy has the server answer with status 503 from now on, or with 200
// again.
func (w *Web) SetHealthy(healthy bool) { w.sick.Store(!healthy) }

// Close ends the server: connecting is then refused. It may be called again.
func (w *Web) Close() error { return w.close() }
