// Package page is the status page: the glance of holdfast status and the history
// of events as HTML, which follows the daemon by server-sent events where the
// browser runs scripts. Nothing can be changed there, and nothing comes from
// anywhere else.
package page

import (
	"context"
	"embed"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
)

//go:embed page.css page.js
var files embed.FS

// Source is what the page shows.
type Source interface {
	Status(ctx context.Context) (*control.Status, error)
}

// Page answers with the page, its parts, and the stream that keeps it current.
type Page struct {
	source Source
	recent func(most int) []*control.Event
	mux    *http.ServeMux
	hub    *hub
}

// New returns the page of a source. recent returns the latest events, the last
// one last; nil for none.
func New(s Source, recent func(most int) []*control.Event) *Page {
	p := &Page{source: s, recent: recent, mux: http.NewServeMux()}
	p.hub = newHub(p.frame)
	p.mux.HandleFunc("GET /{$}", p.whole)
	p.mux.HandleFunc("GET /live", p.hub.stream)
	for name, kind := range map[string]string{"page.css": "text/css; charset=utf-8", "page.js": "text/javascript; charset=utf-8"} {
		text, err := files.ReadFile(name)
		if err != nil {
			panic(err) // it is embedded
		}
		p.mux.HandleFunc("GET /"+name, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.Write(text)
		})
	}
	return p
}

// policy lets the page have its own style and script, its stream, and nothing
// else; no other page may show it in a frame.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// ServeHTTP implements [http.Handler].
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Security-Policy", policy)
	p.mux.ServeHTTP(w, r)
}

// whole answers with all of the page.
func (p *Page) whole(w http.ResponseWriter, r *http.Request) {
	f, err := p.frame(r.Context())
	if err != nil {
		http.Error(w, "the daemon does not answer: "+err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprint(w, f.whole())
}

// frame is the page at one moment: its parts as HTML, by their id, with nothing
// in them that changes by itself.
type frame struct {
	At    time.Time         `json:"at"`
	Title string            `json:"title"`
	Order []string          `json:"order"` // of the instances
	Parts map[string]string `json:"parts"`
}

// eventsShown is how many events the page shows.
const eventsShown = 50

func (p *Page) frame(ctx context.Context) (*frame, error) {
	st, err := p.source.Status(ctx)
	if err != nil {
		return nil, err
	}
	f := &frame{At: time.Now(), Title: title(st), Parts: map[string]string{
		"summary": summaryPart(st), "daemon": daemonPart(st), "checks": checksPart(st.Checks),
	}}
	if p.recent != nil {
		f.Parts["events"] = eventsPart(p.recent(eventsShown))
	}
	for n := range st.Instances {
		id := "instance-" + st.Instances[n].Name
		f.Order = append(f.Order, id)
		f.Parts[id] = instancePart(&st.Instances[n])
	}
	return f, nil
}

// title says it all in a browser's tab.
func title(st *control.Status) string {
	return fmt.Sprintf("%s: %s", st.Node, counts(st))
}

func counts(st *control.Status) string {
	count := map[string]int{}
	for n := range st.Instances {
		count[st.Instances[n].State]++
	}
	var parts []string
	for _, s := range []string{"master", "backup", "fault", "init"} {
		if count[s] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", count[s], s))
		}
	}
	return strings.Join(parts, ", ")
}
