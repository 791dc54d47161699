package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
	"github.com/holdfast-vrrp/holdfast/cmd/internal/screen"
)

// eventful is a state with something of everything, and names that nobody wants.
func eventful() *control.Status {
	return &control.Status{Node: "lb1", Instances: []control.Instance{
		{
			Name: "web", State: "master", Since: ago(26*time.Hour + 5*time.Minute), Reason: "no master heard for 3.41s",
			Interface: "eth0", VRID: 51, Priority: control.Priority{Base: 150, Effective: 150}, LeaseMS: 2000, Checks: []string{"nginx"},
			Master:    &control.Master{Address: "192.0.2.1", Priority: 150, Self: true},
			Addresses: []control.Address{{Address: "192.0.2.100/24", Present: true}, {Address: "2001:db8::100/128", Present: true}},
		}, {
			Name: "网站服务", State: "backup", Since: ago(75 * time.Second), Reason: "handed over to 192.0.2.2, which has priority 100: check haproxy fails: connection refused",
			Interface: "eth0", VRID: 52, Priority: control.Priority{Base: 150, Effective: 17}, LeaseMS: 2000, Checks: []string{"nginx", "haproxy"},
			Demoted: true, DemotedWhy: "check haproxy fails: connection refused",
			Master:    &control.Master{Address: "192.0.2.2", Priority: 100, LastHeard: agoPtr(420 * time.Millisecond)},
			Addresses: []control.Address{{Address: "192.0.2.101/24"}},
		}, {
			Name: "evil\x1b[2J\u202ename\nsecond line", State: "fault", Since: ago(3 * time.Second), Reason: "interface eth1 has no carrier: plug it in \x1b]0;title\x07",
			Interface: "eth1", VRID: 53, Priority: control.Priority{Base: 100, Effective: 100},
			Addresses: []control.Address{{Address: "192.0.2.102/24", Problem: "192.0.2.102/24: no buffer space"}},
			Families:  []control.Family{{Family: "ipv4", State: "fault"}, {Family: "ipv6", State: "init", Reason: "waiting"}},
		}, {
			Name: "inside", State: "master", Since: ago(3 * time.Hour), Reason: "priority 100 beats 90 of fe80::48:46ff:fe00:2", Interface: "eth2", VRID: 54,
			Priority: control.Priority{Base: 100, Effective: 30}, Drained: true, ConflictSince: agoPtr(12 * time.Second), Group: "edge",
			Drain:  &control.Drain{Since: ago(time.Minute), By: "root (uid 0, pid 7)", Why: "new kernel"},
			Master: &control.Master{Address: "fe80::48:46ff:fe00:1", Priority: 30, Self: true},
			Addresses: []control.Address{
				{Address: "2001:db8::1/64", Present: true},
				{Address: "2001:db8::2/64"},
			},
		},
	}, Checks: []control.Check{
		{Name: "nginx", State: "healthy"},
		{Name: "haproxy", State: "failing", Since: agoPtr(76 * time.Second), LastOutput: "dial tcp 127.0.0.1:80: connection refused\n\x1b[31msecond line\x1b[0m"},
	}}
}

// TestStatusWidths compares what a person sees on terminals of several widths
// with testdata/status; UPDATE_GOLDEN=1 writes these anew. 0 is a pipe.
func TestStatusWidths(t *testing.T) {
	for _, width := range []int{0, 40, 80, 100, 120, 160} {
		t.Run(fmt.Sprint(width), func(t *testing.T) {
			var b bytes.Buffer
			tell(&b, screen.Terminal{Width: width}, eventful(), statusNow)
			golden(t, fmt.Sprintf("status/%d.txt", width), b.String())
			for line := range strings.Lines(b.String()) {
				line = strings.TrimSuffix(line, "\n")
				if screen.Clean(line) != line {
					t.Errorf("not clean: %q", line)
				}
				if width > 0 && screen.Width(line) > width {
					t.Errorf("%d cells: %s", screen.Width(line), line)
				}
			}
		})
	}
}

// golden compares a text with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// TestStatusForm wants a table where it is better to read, and blocks elsewhere.
func TestStatusForm(t *testing.T) {
	for _, tt := range []struct {
		width, instances int
		table            bool
	}{
		{0, 4, false},
		{99, 4, false},
		{100, 4, true},
		{100, 3, true},
		{200, 2, false},
		{200, 1, false},
	} {
		st := eventful()
		st.Instances = st.Instances[:tt.instances]
		var b bytes.Buffer
		tell(&b, screen.Terminal{Width: tt.width}, st, statusNow)
		if got := strings.Contains(b.String(), "INSTANCE"); got != tt.table {
			t.Errorf("%d instances at width %d: table is %v\n%s", tt.instances, tt.width, got, b.String())
		}
	}
}

// TestStatusColours wants the state alone coloured, and the columns where they
// are without.
func TestStatusColours(t *testing.T) {
	var plain, coloured bytes.Buffer
	tell(&plain, screen.Terminal{Width: 120}, eventful(), statusNow)
	tell(&coloured, screen.Terminal{Width: 120, Colour: true}, eventful(), statusNow)
	if !strings.Contains(coloured.String(), "\x1b[1;31mFAULT") {
		t.Errorf("a fault is not red:\n%q", coloured.String())
	}
	got := coloured.String()
	for _, s := range []screen.Style{screen.Active, screen.Warn, screen.Alarm, screen.Bold, ""} {
		got = strings.ReplaceAll(got, "\x1b["+string(s)+"m", "")
	}
	got = strings.ReplaceAll(got, "\x1b[0m", "")
	if diff := cmp.Diff(plain.String(), got); diff != "" {
		t.Errorf("without the colours (-want +got):\n%s", diff)
	}
}

func TestChoose(t *testing.T) {
	for _, tt := range []struct {
		names   []string
		want    string
		checks  int
		problem string
	}{
		{nil, "web db inside", 2, ""},
		{[]string{"db", "web"}, "web db", 2, ""},
		{[]string{"web"}, "web", 1, ""},
		{[]string{"inside"}, "inside", 0, ""},
		{[]string{"web", "insde"}, "", 0, `there is no instance "insde": did you mean "inside"?`},
		{[]string{"nothing"}, "", 0, `there is no instance "nothing": there is web, db and inside`},
	} {
		st := &control.Status{
			Instances: []control.Instance{{Name: "web", Checks: []string{"nginx"}}, {Name: "db", Checks: []string{"mysql"}}, {Name: "inside"}},
			Checks:    []control.Check{{Name: "nginx"}, {Name: "mysql"}},
		}
		err := choose(st, tt.names)
		if (err == nil) != (tt.problem == "") || err != nil && err.Error() != tt.problem {
			t.Errorf("%q: %v, want %q", tt.names, err, tt.problem)
		}
		if err != nil {
			continue
		}
		var got []string
		for _, i := range st.Instances {
			got = append(got, i.Name)
		}
		if strings.Join(got, " ") != tt.want || len(st.Checks) != tt.checks {
			t.Errorf("%q leaves %q and %d checks, want %q and %d", tt.names, got, len(st.Checks), tt.want, tt.checks)
		}
	}
}

// TestChooseJSON wants what was chosen as it came, with what this program does
// not know, and the rest of the document.
func TestChooseJSON(t *testing.T) {
	const raw = `{"version": 1, "new": {"b": 1, "a": 2}, "instances": [
		{"name": "web", "novel": [1, 2]}, {"name": "db"}], "checks": [{"name": "nginx"}]}`
	got, err := chooseJSON([]byte(raw), &control.Status{Instances: []control.Instance{{Name: "web"}}})
	if err != nil {
		t.Fatal(err)
	}
	const want = `{
  "version": 1,
  "new": {
    "b": 1,
    "a": 2
  },
  "instances": [
    {
      "name": "web",
      "novel": [
        1,
        2
      ]
    }
  ],
  "checks": []
}
`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("document (-want +got):\n%s", diff)
	}
	// All of it chosen, it is what the daemon sent.
	whole, err := json.MarshalIndent(eventful(), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if got, err = chooseJSON(whole, eventful()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(whole)+"\n", string(got)); diff != "" {
		t.Errorf("whole document (-want +got):\n%s", diff)
	}
}
