package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
)

// healthz tells whether the loop turns.
func healthz(s *Shared) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if _, err := s.Status(r.Context()); err != nil {
			http.Error(w, "the daemon's loop does not answer: "+err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	}
}

// readiness is what readyz says as JSON.
type readiness struct {
	Ready bool `json:"ready"`
	// Waiting are the instances that take no part.
	Waiting []waiting `json:"waiting"`
}

type waiting struct {
	Instance string `json:"instance"`
	Family   string `json:"family,omitempty"`
	State    string `json:"state"`
	Reason   string `json:"reason"`
}

// readyz tells whether every instance takes part in its election, with those
// that do not: as JSON for who accepts that, else as lines.
func readyz(s *Shared) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		st, err := s.Status(r.Context())
		if err != nil {
			http.Error(w, "the daemon's loop does not answer: "+err.Error(), http.StatusServiceUnavailable)
			return
		}
		list := notReady(st)
		code := http.StatusOK
		if len(list) > 0 {
			code = http.StatusServiceUnavailable
		}
		if strings.Contains(r.Header.Get("Accept"), "application/json") {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(code)
			_ = json.NewEncoder(w).Encode(readiness{len(list) == 0, list}) // the client may be gone
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(code)
		if len(list) == 0 {
			fmt.Fprintln(w, "ready")
		}
		for _, l := range list {
			fmt.Fprintf(w, "%s %s is in %s: %s\n", l.Instance, l.Family, l.State, l.Reason)
		}
	}
}

// notReady lists the virtual routers that are neither master nor backup.
func notReady(st *control.Status) []waiting {
	list := []waiting{}
	for n := range st.Instances {
		i := &st.Instances[n]
		for _, f := range i.Families {
			if f.State != "master" && f.State != "backup" {
				list = append(list, waiting{i.Name, f.Family, f.State, f.Reason})
			}
		}
	}
	return list
}
