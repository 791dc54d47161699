// Package web is the listener of [metrics]: metrics for Prometheus, probes, and
// the status page on one port, for reading alone. Slow and abusive clients cost
// the daemon at most a snapshot now and then.
package web

import (
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/metrics"
	"github.com/holdfast-vrrp/holdfast/cmd/internal/page"
)

// Config is what is served, and where.
type Config struct {
	// Listen is host:port; empty for no listener.
	Listen string
	// Compat adds the metrics that dashboards for keepalived know.
	Compat bool
	// Node is the name of this node.
	Node string
}

// Handler answers all that is asked over HTTP. p is nil for no page.
func Handler(c Config, source *Shared, p *page.Page) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics.Handler(source, c.Compat))
	mux.HandleFunc("GET /healthz", healthz(source))
	mux.HandleFunc("GET /readyz", readyz(source))
	mux.Handle("GET /", guard(c, p))
	return harden(mux)
}

// harden sets what keeps an answer from being anything but what it is.
func harden(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		set := w.Header().Set
		set("X-Content-Type-Options", "nosniff")
		set("Cross-Origin-Resource-Policy", "same-origin")
		set("Referrer-Policy", "no-referrer")
		set("Cache-Control", "no-store")
		h.ServeHTTP(w, r)
	})
}

// guard lets through only requests that name this host. A browser that somebody
// else's page sends here by a name of theirs (DNS rebinding) would let that page
// read what comes back. Only the page and its events are guarded: Prometheus
// and probes are no browsers, and may have any name for this host.
func guard(c Config, h http.Handler) http.Handler {
	names := []string{"localhost", strings.ToLower(c.Node)}
	if host, err := os.Hostname(); err == nil {
		names = append(names, strings.ToLower(host))
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !ours(r.Host, names) {
			http.Error(w, "this page is only for those who ask for this host: open it by the host's IP address or name", http.StatusMisdirectedRequest)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// ours reports whether a Host header names this host: by an address, by a name
// of one word, by its whole name, or, where only its first word is known, by a
// name that begins with that.
func ours(host string, names []string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return true
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	first, _, dotted := strings.Cut(host, ".")
	return host != "" && (!dotted || slices.Contains(names, host) || first != "localhost" && slices.Contains(names, first))
}

// Limits of the server.
const (
	headerTimeout = 5 * time.Second
	readTimeout   = 10 * time.Second
	writeTimeout  = 30 * time.Second // the page's stream sets its own
	idleTimeout   = 2 * time.Minute  // longer than the usual scrape interval
	maxHeader     = 16 << 10
)

func newServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog: discard, // what strangers send is not for the log
	}
}
