package control

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// sampleExplained has a value in every field that is always there.
func sampleExplained() *Explained {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	then, in := at.Add(3*time.Second), 3000.0
	return &Explained{Version: Version, Node: "lb2", Instances: []Explanation{{
		Name: "web", At: at, State: "backup", Since: at, Sentences: []Sentence{{About: "state", Text: "192.0.2.1 is master."}},
		Priority: Sum{Base: 100, Effective: 80, Terms: []Term{
			{Kind: "base", Change: 100, Text: "base priority"},
			{Kind: "check", Change: -20, Text: "check disk fails", Check: "disk", CheckState: "failing", OnFailure: "weight", Weight: -20},
		}},
		Families: []FamilyExplanation{{
			Family: "ipv4", State: "backup", Verdict: "outranked", Text: "192.0.2.1 is master.",
			Heard:      &Master{Address: "192.0.2.1", Priority: 150, LastHeard: &at},
			IntervalMS: 1000, SkewMS: 687.5, DownMS: 3687.5,
			Silence: Silence{Text: "It would be master in 3s.", Master: true, At: &then, InMS: &in, Changes: []Ahead{{then, in, "master", "no advert"}}},
		}},
	}}}
}

const sampleExplainedJSON = `{
  "version": 1,
  "node": "lb2",
  "instances": [
    {
      "name": "web",
      "at": "2026-03-01T12:00:00Z",
      "state": "backup",
      "since": "2026-03-01T12:00:00Z",
      "sentences": [
        {
          "about": "state",
          "text": "192.0.2.1 is master."
        }
      ],
      "priority": {
        "base": 100,
        "effective": 80,
        "terms": [
          {
            "kind": "base",
            "change": 100,
            "text": "base priority"
          },
          {
            "kind": "check",
            "change": -20,
            "text": "check disk fails",
            "check": "disk",
            "check_state": "failing",
            "on_failure": "weight",
            "weight": -20
          }
        ]
      },
      "families": [
        {
          "family": "ipv4",
          "state": "backup",
          "verdict": "outranked",
          "text": "192.0.2.1 is master.",
          "heard": {
            "address": "192.0.2.1",
            "priority": 150,
            "self": false,
            "last_heard": "2026-03-01T12:00:00Z"
          },
          "interval_ms": 1000,
          "skew_ms": 687.5,
          "down_ms": 3687.5,
          "silence": {
            "text": "It would be master in 3s.",
            "master": true,
            "at": "2026-03-01T12:00:03Z",
            "in_ms": 3000,
            "changes": [
              {
                "at": "2026-03-01T12:00:03Z",
                "in_ms": 3000,
                "state": "master",
                "text": "no advert"
              }
            ]
          }
        }
      ]
    }
  ]
}
`

// TestExplainDocument holds the document against what programs rely on.
func TestExplainDocument(t *testing.T) {
	path, _ := serve(t, sample())
	got, raw, err := NewClient(path).Explain(t.Context(), "web")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sampleExplainedJSON, string(raw)); diff != "" {
		t.Errorf("document (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(sampleExplained(), got); diff != "" {
		t.Errorf("as read (-want +got):\n%s", diff)
	}
}

// Names may be anything: they are asked for as they are.
func TestExplainEscapesNames(t *testing.T) {
	path, _ := serve(t, sample())
	for _, name := range []string{"web", "a b", "a&instance=b", "ü/#?%"} {
		got, _, err := NewClient(path).Explain(t.Context(), name)
		if err != nil || got.Instances[0].Name != name {
			t.Errorf("of %q: %+v, %v", name, got, err)
		}
	}
	if _, _, err := NewClient(path).Explain(t.Context(), "wep"); err == nil || err.Error() != "there is no instance" {
		t.Errorf("of one that is not there: %v", err)
	}
}
