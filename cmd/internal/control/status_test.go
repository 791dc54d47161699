package control

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// sampleStatus has a value in every field that is always there.
func sampleStatus() *Status {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	self := &Master{Address: "192.0.2.1", Priority: 150, Self: true}
	return &Status{
		Version: Version, Node: "lb1",
		Daemon: Daemon{Version: "1.0.0", PID: 42, Started: at, Config: "/etc/holdfast/holdfast.toml", Dropped: map[string]uint64{"vrid": 7}, Telemetry: sampleTelemetry(at)},
		Instances: []Instance{{
			Name: "web", State: "master", Since: at, Reason: "no master heard for 3.41s", Interface: "eth0", VRID: 51, Protocol: 3,
			Priority: Priority{150, 150}, Master: self, Addresses: []Address{{Address: "192.0.2.100/24", Present: true}},
			Checks: []string{"nginx"}, AdvertIntervalMS: 1000, LeaseMS: 2000,
			Counters: Counters{AdvertsSent: 3, BecameMaster: 1, Transitions: map[string]uint64{"no_master": 1}, Dropped: map[string]uint64{"ttl": 0}},
			Families: []Family{{Family: "ipv4", State: "master", Since: at, Reason: "no master heard for 3.41s", Source: "192.0.2.1", Master: self}},
		}},
		Checks: []Check{{Name: "nginx", State: "healthy", Since: &at, LastDurationMS: 0.3, Passed: 9, Failed: 1, Changes: 1}},
	}
}

func sampleTelemetry(at time.Time) Telemetry {
	return Telemetry{
		ConfigHash: "0123456789abcdef", ConfigGeneration: 2, ConfigLoaded: at, ReloadsRefused: 1, HooksSucceeded: 4,
		Lateness: Lateness{Count: 3, SumMS: 0.9, Buckets: []LatenessBucket{{UpToMS: 0.1, Count: 1}, {UpToMS: 0.5, Count: 3}}},
	}
}

// sampleJSON is what programs rely on. A field may be added; one that changes
// or goes away breaks somebody's dashboard and needs another [Version].
const sampleJSON = `{
  "version": 1,
  "node": "lb1",
  "daemon": {
    "version": "1.0.0",
    "pid": 42,
    "started": "2026-03-01T12:00:00Z",
    "config": "/etc/holdfast/holdfast.toml",
    "hooks_failed": 0,
    "hooks_dropped": 0,
    "dropped": {
      "vrid": 7
    },
    "telemetry": {
      "config_hash": "0123456789abcdef",
      "config_generation": 2,
      "config_loaded": "2026-03-01T12:00:00Z",
      "reloads_refused": 1,
      "hooks_succeeded": 4,
      "hooks_cut_off": 0,
      "journal_errors": 0,
      "address_errors": 0,
      "log_lines_lost": 0,
      "lateness": {
        "count": 3,
        "sum_ms": 0.9,
        "buckets": [
          {
            "up_to_ms": 0.1,
            "count": 1
          },
          {
            "up_to_ms": 0.5,
            "count": 3
          }
        ]
      }
    }
  },
  "instances": [
    {
      "name": "web",
      "state": "master",
      "since": "2026-03-01T12:00:00Z",
      "reason": "no master heard for 3.41s",
      "interface": "eth0",
      "vrid": 51,
      "protocol": 3,
      "priority": {
        "base": 150,
        "effective": 150
      },
      "demoted": false,
      "drained": false,
      "drain": null,
      "master": {
        "address": "192.0.2.1",
        "priority": 150,
        "self": true
      },
      "addresses": [
        {
          "address": "192.0.2.100/24",
          "present": true
        }
      ],
      "checks": [
        "nginx"
      ],
      "advert_interval_ms": 1000,
      "lease_ms": 2000,
      "handing_over": false,
      "counters": {
        "adverts_sent": 3,
        "adverts_received": 0,
        "releases_sent": 0,
        "releases_received": 0,
        "send_errors": 0,
        "became_master": 1,
        "left_master": 0,
        "announcements": 0,
        "addresses_repaired": 0,
        "addresses_lapsed": 0,
        "addresses_elsewhere": 0,
        "rivals": 0,
        "transitions": {
          "no_master": 1
        },
        "dropped": {
          "ttl": 0
        }
      },
      "families": [
        {
          "family": "ipv4",
          "state": "master",
          "since": "2026-03-01T12:00:00Z",
          "reason": "no master heard for 3.41s",
          "source": "192.0.2.1",
          "master": {
            "address": "192.0.2.1",
            "priority": 150,
            "self": true
          }
        }
      ]
    }
  ],
  "checks": [
    {
      "name": "nginx",
      "state": "healthy",
      "since": "2026-03-01T12:00:00Z",
      "last_duration_ms": 0.3,
      "last_output": "",
      "passed": 9,
      "failed": 1,
      "changes": 1
    }
  ]
}
`

func TestStatusRoundTrip(t *testing.T) {
	path, _ := serve(t, sample())
	st, raw, err := NewClient(path).Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sampleJSON, string(raw)); diff != "" {
		t.Errorf("the document (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(sampleStatus(), st); diff != "" {
		t.Errorf("what the client makes of it (-want +got):\n%s", diff)
	}
}

// TestRecent wants the last probes only where they were asked for.
func TestRecent(t *testing.T) {
	f := sample()
	f.status = func(context.Context) (*Status, error) {
		st := sampleStatus()
		st.Checks[0].Recent = []Probe{{0.3, true}, {1000, false}}
		return st, nil
	}
	path, _ := serve(t, f)
	st, err := NewClient(path).StatusWithProbes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Probe{{0.3, true}, {1000, false}}, st.Checks[0].Recent); diff != "" {
		t.Errorf("asked for (-want +got):\n%s", diff)
	}
	if _, raw, err := NewClient(path).Status(t.Context()); err != nil || string(raw) != sampleJSON {
		t.Errorf("not asked for: %v\n%s", err, raw)
	}
}

// TestEmptyFields wants what there is not to be null or absent, as documented.
func TestEmptyFields(t *testing.T) {
	f := sample()
	f.status = func(context.Context) (*Status, error) {
		st := sampleStatus()
		st.Instances[0].Master = nil
		st.Checks = []Check{}
		return st, nil
	}
	path, _ := serve(t, f)
	_, raw := get(t, path, "GET", "/v1/status")
	for _, absent := range []string{"reload_error", "list_error", "demoted_why", "conflict_since", "last_heard", "problem", "lease_left_ms", "last_at"} {
		if contains(raw, `"`+absent+`"`) {
			t.Errorf("%s is there, though there is none", absent)
		}
	}
	for _, want := range []string{`"master": null`, `"checks": []`} {
		if !contains(raw, want) {
			t.Errorf("%s is not in\n%s", want, raw)
		}
	}
}
