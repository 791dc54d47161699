package control

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// Explained is the answer to GET /v1/explain.
type Explained struct {
	Version int    `json:"version"`
	Node    string `json:"node"`
	// Instances are in the order of the configuration.
	Instances []Explanation `json:"instances"`
}

// Explanation is why this node is or is not master of an instance.
type Explanation struct {
	Name string `json:"name"`
	// At is the time of it.
	At time.Time `json:"at"`
	// Group is the group that the instance moves together with, when there is one.
	Group string    `json:"group,omitempty"`
	State string    `json:"state"`
	Since time.Time `json:"since"`
	// Sentences say it to people, in the order in which they are to be read.
	Sentences []Sentence `json:"sentences"`
	Priority  Sum        `json:"priority"`
	// Families explains the virtual routers of the instance.
	Families []FamilyExplanation `json:"families"`
}

// Sentence is a part of an explanation, for people.
type Sentence struct {
	// About is state (who is master and why this node is or is not), preempt (what
	// it would do about a weaker master), drain, failover, or silence (what would
	// happen if the master, or this one, fell silent now).
	About string `json:"about"`
	// Family is set where the families of the instance differ.
	Family string `json:"family,omitempty"`
	Text   string `json:"text"`
}

// Sum is how the effective priority comes about: the changes of the terms make it.
type Sum struct {
	Base      int    `json:"base"`
	Effective int    `json:"effective"`
	Terms     []Term `json:"terms"`
}

// Term is one part of the sum.
type Term struct {
	// Kind is base, check, bounds, demoted, demoted_and_drained, handover, drained
	// or stands_back.
	Kind   string `json:"kind"`
	Change int    `json:"change"`
	Text   string `json:"text"`
	// Check is the name of a check, CheckState unknown, healthy or failing,
	// OnFailure what it does when it fails: demote, release or weight, which Weight
	// is then. They are absent of the other kinds.
	Check      string `json:"check,omitempty"`
	CheckState string `json:"check_state,omitempty"`
	OnFailure  string `json:"on_failure,omitempty"`
	Weight     int    `json:"weight,omitempty"`
}

// FamilyExplanation is why the virtual router of one address family is or is not
// master.
type FamilyExplanation struct {
	Family string `json:"family"`
	State  string `json:"state"`
	// Verdict is master, handing_over, listening (it slept), no_master, released,
	// outranked, equal, taking_over, held_back, init or fault.
	Verdict string `json:"verdict"`
	Text    string `json:"text"`
	// Preemption is why a backup takes over from a weaker master (owner, healthy,
	// group, configured) or does not (stands_back, off, delayed); else absent.
	Preemption string `json:"preemption,omitempty"`
	// PreemptAt is when a running preempt delay ends.
	PreemptAt *time.Time `json:"preempt_at,omitempty"`
	// Heard is the other router that was last heard, with priority 0 when it let go
	// of the mastership; null when none was.
	Heard *Master `json:"heard"`
	// IntervalMS is the advert interval in force, SkewMS the skew of this node's
	// effective priority, and DownMS how long it waits after an advert of the
	// master: three intervals and the skew. All are milliseconds.
	IntervalMS float64 `json:"interval_ms"`
	SkewMS     float64 `json:"skew_ms"`
	DownMS     float64 `json:"down_ms"`
	Silence    Silence `json:"silence"`
}

// Silence is what becomes of this node if nobody else is heard from now on, and
// nothing else happens.
type Silence struct {
	Text string `json:"text"`
	// Master is set when this node is master in the end, At when it becomes so, and
	// InMS that in milliseconds from now; both are null when it is master all along
	// or does not become it.
	Master bool       `json:"master"`
	At     *time.Time `json:"at"`
	InMS   *float64   `json:"in_ms"`
	// Changes are the changes of state on the way.
	Changes []Ahead `json:"changes"`
}

// Ahead is a change of state that lies ahead.
type Ahead struct {
	At    time.Time `json:"at"`
	InMS  float64   `json:"in_ms"`
	State string    `json:"state"`
	Text  string    `json:"text"`
}

// explain answers for one instance, or for all.
func (s *Server) explain(ctx context.Context, r *http.Request) (any, error) {
	for key, list := range r.URL.Query() {
		if key != "instance" || len(list) > 1 {
			return nil, &Refused{fmt.Errorf("there is one parameter, instance, once: not %s", url.Values{key: list}.Encode())}
		}
	}
	return s.backend.Explain(ctx, r.URL.Query().Get("instance"))
}

// Explain asks why this node is or is not master of an instance, or of each when
// the name is empty. raw is the document as it came.
func (c *Client) Explain(ctx context.Context, instance string) (done *Explained, raw []byte, err error) {
	path := "/v1/explain"
	if instance != "" {
		path += "?" + url.Values{"instance": {instance}}.Encode()
	}
	done = &Explained{}
	raw, err = c.call(ctx, http.MethodGet, path, done)
	if err == nil && done.Version != Version {
		return nil, raw, fmt.Errorf("the daemon speaks version %d, this program version %d: use the holdfast of the same release", done.Version, Version)
	}
	return done, raw, err
}
