package control

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
)

// Operator is what the operator may order of the daemon. who is the asking user,
// for the log and the status. An order stands when the context ends before the
// answer.
type Operator interface {
	// Drain hands instances over and keeps them behind.
	Drain(ctx context.Context, who string, o *DrainOrder) (*Operated, error)
	// Undrain lets them compete again.
	Undrain(ctx context.Context, who string, s *Selection) (*Operated, error)
	// Failover hands instances over once.
	Failover(ctx context.Context, who string, s *Selection) (*Operated, error)
	// Announce makes the network know the addresses of masters again.
	Announce(ctx context.Context, who string, s *Selection) (*Operated, error)
}

// Selection is the body of POST /v1/undrain, /v1/failover and /v1/announce.
type Selection struct {
	// Instances are their names; none means all.
	Instances []string `json:"instances,omitempty"`
}

// DrainOrder is the body of POST /v1/drain.
type DrainOrder struct {
	Selection
	// For ends the drain by itself, after a duration such as "30m".
	For string `json:"for,omitempty"`
	// Persist keeps it over a restart of the daemon.
	Persist bool `json:"persist,omitempty"`
	// Force keeps it also when nobody takes over.
	Force bool `json:"force,omitempty"`
	// Why is a reason for people to read.
	Why string `json:"why,omitempty"`
}

// Operated is the answer to an order of the operator.
type Operated struct {
	Version int `json:"version"`
	// Done is set when all of it was done.
	Done bool `json:"done"`
	// Results are in the order of the configuration. Instances of one group move
	// together: naming one has results of all.
	Results []Result `json:"results"`
	// Note is what else is to be known, such as what ends a drain.
	Note string `json:"note,omitempty"`
	// Warning is what went wrong beside.
	Warning string `json:"warning,omitempty"`
}

// Result is what came of an order for one instance.
type Result struct {
	Instance string `json:"instance"`
	Done     bool   `json:"done"`
	// Text says it in one clause, for people.
	Text string `json:"text"`
	// State is that of the instance now.
	State string `json:"state"`
	// Moved is set when Peer took over from this node, TookMS milliseconds after
	// the order; else Peer is who is master anyway.
	Moved        bool    `json:"moved"`
	Peer         string  `json:"peer,omitempty"`
	PeerPriority int     `json:"peer_priority,omitempty"`
	TookMS       float64 `json:"took_ms,omitempty"`
}

// operate adds the orders to the requests that are answered.
func (s *Server) operate(mux *http.ServeMux) {
	b := s.backend
	mux.HandleFunc("POST /v1/drain", s.change(func(ctx context.Context, who string, r *http.Request) (any, error) {
		var o DrainOrder
		if err := body(r, &o); err != nil {
			return nil, err
		}
		return b.Drain(ctx, who, &o)
	}))
	for path, do := range map[string]func(context.Context, string, *Selection) (*Operated, error){
		"undrain": b.Undrain, "failover": b.Failover, "announce": b.Announce,
	} {
		mux.HandleFunc("POST /v1/"+path, s.change(func(ctx context.Context, who string, r *http.Request) (any, error) {
			var o Selection
			if err := body(r, &o); err != nil {
				return nil, err
			}
			return do(ctx, who, &o)
		}))
	}
}

// Drain hands instances over and keeps them behind every healthy node. It waits
// until a peer has taken over.
func (c *Client) Drain(ctx context.Context, o *DrainOrder) (*Operated, []byte, error) {
	return c.order(ctx, "drain", o)
}

// Undrain lets instances compete again.
func (c *Client) Undrain(ctx context.Context, s *Selection) (*Operated, []byte, error) {
	return c.order(ctx, "undrain", s)
}

// Failover hands instances over once. It waits until a peer has taken over.
func (c *Client) Failover(ctx context.Context, s *Selection) (*Operated, []byte, error) {
	return c.order(ctx, "failover", s)
}

// Announce makes the network know the addresses of masters again.
func (c *Client) Announce(ctx context.Context, s *Selection) (*Operated, []byte, error) {
	return c.order(ctx, "announce", s)
}

// order sends an order. raw is the document as it came.
func (c *Client) order(ctx context.Context, what string, o any) (done *Operated, raw []byte, err error) {
	text, err := json.Marshal(o)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot encode the order: %w", err)
	}
	done = &Operated{}
	raw, err = c.send(ctx, http.MethodPost, "/v1/"+what, bytes.NewReader(text), done)
	return done, raw, err
}
