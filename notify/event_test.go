package notify

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func sample() Event {
	return Event{
		Sequence:  17,
		Instance:  "web",
		State:     StateMaster,
		Previous:  StateBackup,
		Reason:    "no advert from 192.0.2.1 for 3.4s",
		Priority:  150,
		Addresses: []string{"192.0.2.100/24", "2001:db8::100/128"},
		Interface: "eth0",
		Peer:      "192.0.2.1",
		Check:     "nginx",
		Change:    ChangeFailing,
		At:        time.Date(2026, 1, 2, 3, 4, 5, 600_000_000, time.UTC),
		Node:      "lb1",
	}
}

func TestEventJSON(t *testing.T) {
	tests := map[string]struct {
		event Event
		want  string
	}{
		"everything": {sample(), `{"version":1,"sequence":17,"node":"lb1","instance":"web","state":"master","previous":"backup",` +
			`"reason":"no advert from 192.0.2.1 for 3.4s","priority":150,"addresses":["192.0.2.100/24","2001:db8::100/128"],` +
			`"interface":"eth0","peer":"192.0.2.1","check":"nginx","change":"failing","at":"2026-01-02T03:04:05.6Z"}` + "\n"},
		"nothing is null or missing": {Event{}, `{"version":1,"sequence":0,"node":"","instance":"","state":"","previous":"","reason":"",` +
			`"priority":0,"addresses":[],"interface":"","peer":"","check":"","change":"","at":"0001-01-01T00:00:00Z"}` + "\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := tt.event.json()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, string(got)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestEventEnvironment(t *testing.T) {
	e := sample()
	e.Reason += "\x00!"
	want := []string{
		"PATH=" + defaultPath,
		"HOLDFAST_SEQUENCE=17",
		"HOLDFAST_NODE=lb1",
		"HOLDFAST_INSTANCE=web",
		"HOLDFAST_STATE=master",
		"HOLDFAST_PREVIOUS=backup",
		"HOLDFAST_REASON=no advert from 192.0.2.1 for 3.4s!",
		"HOLDFAST_PRIORITY=150",
		"HOLDFAST_ADDRESSES=192.0.2.100/24 2001:db8::100/128",
		"HOLDFAST_INTERFACE=eth0",
		"HOLDFAST_PEER=192.0.2.1",
		"HOLDFAST_CHECK=nginx",
		"HOLDFAST_CHANGE=failing",
	}
	if diff := cmp.Diff(want, e.environment()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestArguments(t *testing.T) {
	tests := []struct {
		name  string
		style Style
		state string
		want  []string
	}{
		{"holdfast", Holdfast, StateMaster, []string{"/x", "a b"}},
		{"keepalived master", Keepalived, StateMaster, []string{"/x", "a b", "INSTANCE", "web", "MASTER", "150"}},
		{"keepalived backup", Keepalived, StateBackup, []string{"/x", "a b", "INSTANCE", "web", "BACKUP", "150"}},
		{"keepalived fault", Keepalived, StateFault, []string{"/x", "a b", "INSTANCE", "web", "FAULT", "150"}},
		{"keepalived stop", Keepalived, StateStop, []string{"/x", "a b", "INSTANCE", "web", "STOP", "150"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			// Room behind the command must not be written to: events share it.
			argv := append(make([]string, 0, 10), "/x", "a b")
			c := Config{Exec: argv, Style: tt.style}
			e := sample()
			e.State = tt.state
			if diff := cmp.Diff(tt.want, c.arguments(&e)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if spare := argv[:3][2]; spare != "" {
				t.Errorf("wrote %q behind the command", spare)
			}
		})
	}
}

func TestCommandLine(t *testing.T) {
	tests := map[string][]string{
		`/etc/holdfast/notify.sh`:           {"/etc/holdfast/notify.sh"},
		`/x --fast -n=1 a:b@c`:              {"/x", "--fast", "-n=1", "a:b@c"},
		`/x "" "a b" "a\"b" "a\nb" "$HOME"`: {"/x", "", "a b", `a"b`, "a\nb", "$HOME"},
	}
	for want, argv := range tests {
		if got := commandLine(argv); got != want {
			t.Errorf("%q: got %s, want %s", argv, got, want)
		}
	}
}
