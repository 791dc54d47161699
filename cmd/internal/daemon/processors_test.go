package daemon

import (
	"strings"
	"testing"
)

func TestParseProcessors(t *testing.T) {
	for line, want := range map[string]struct {
		time processorTime
		err  string
	}{
		"cpu  10 20 30 400 50 6 7 8 9 10":         {processorTime{idle: 450, all: 531}, ""},
		"cpu  1 2 3 4 5 6 7 8":                    {processorTime{idle: 9, all: 36}, ""},
		"cpu  1 2 3 4 5 6 7":                      {processorTime{}, "begins with"},
		"cpu0 10 20 30 400 50 6 7 8 9 10":         {processorTime{}, "begins with"},
		"":                                        {processorTime{}, "begins with"},
		"cpu  1 2 3 many 5 6 7 8":                 {processorTime{}, "invalid syntax"},
		"cpu  1 2 3 99999999999999999999 6 7 8 9": {processorTime{}, "out of range"},
	} {
		got, err := parseProcessors(line)
		if want.err != "" {
			if err == nil || !strings.Contains(err.Error(), want.err) {
				t.Errorf("%q: error %v, want %q", line, err, want.err)
			}
			continue
		}
		if got != want.time || err != nil {
			t.Errorf("%q: %+v, %v; want %+v", line, got, err, want.time)
		}
	}
}

// The kernel counts on, and something of it is idle or not.
func TestReadProcessors(t *testing.T) {
	p, err := readProcessors()
	if err != nil {
		t.Fatal(err)
	}
	if p.all <= 0 || p.idle < 0 || p.idle > p.all {
		t.Errorf("%+v", p)
	}
}

func TestProcessorsAreBusy(t *testing.T) {
	for _, tt := range []struct {
		what  string
		after processorTime
		want  bool
	}{
		{"all idle", processorTime{1040, 2040}, false},
		{"a quarter idle", processorTime{1010, 2040}, false},
		{"less", processorTime{1009, 2040}, true},
		{"none idle", processorTime{1000, 2040}, true},
		{"even less than none, for what waits for disks may count back", processorTime{999, 2040}, true},
	} {
		if got := tt.after.since(processorTime{1000, 2000}).busy(); got != tt.want {
			t.Errorf("%s: busy %v", tt.what, got)
		}
	}
}
