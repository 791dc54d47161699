package sim

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the traces of the scenario files")

// Each scenario file holds a history and, after a line of four dashes, what
// happened in it. No invariant may break.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenario files: %v", err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			head, want, _ := strings.Cut(string(text), "----\n")
			h, err := ParseHistory(head)
			if err != nil {
				t.Fatal(err)
			}
			if h.Comment == "" {
				t.Error("no comment says what the scenario shows")
			}
			r := Run(h, Options{Trace: true})
			if r.Violation != nil {
				t.Error(r.Violation)
			}
			for n, line := range r.Trace { // a trace of milliseconds outlives small changes
				at := strings.Index(line, "s ")
				r.Trace[n] = line[:at-3] + line[at:]
			}
			got := strings.Join(r.Trace, "\n") + "\n"
			if *update {
				if err := os.WriteFile(name, []byte(head+"----\n"+got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != want {
				t.Errorf("another trace; if that is right, run go test -update:\n%s", difference(want, got))
			}
		})
	}
}

// difference shows where two texts begin to differ.
func difference(want, got string) string {
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return "want:\n" + strings.Join(a[n:min(n+8, len(a))], "\n") + "\ngot:\n" + strings.Join(b[n:min(n+8, len(b))], "\n")
}

// The same history gives the same run, also after it was written and read.
func TestHistoriesAreTexts(t *testing.T) {
	for _, mix := range Mixes() {
		for seed := range uint64(20) {
			h := Generate(mix, seed)
			text := h.Format()
			again, err := ParseHistory(text)
			if err != nil {
				t.Fatalf("%s %d: %v\n%s", mix, seed, err, text)
			}
			if back := again.Format(); back != text {
				t.Fatalf("%s %d: %s", mix, seed, difference(text, back))
			}
			a, b := Run(h, Options{Trace: true}), Run(again, Options{Trace: true})
			if !slices.Equal(a.Trace, b.Trace) {
				t.Fatalf("%s %d differs after reading: %s", mix, seed, difference(strings.Join(a.Trace, "\n"), strings.Join(b.Trace, "\n")))
			}
		}
	}
}

func TestParseHistoryRefuses(t *testing.T) {
	node := "node a\nport eth0 lan 192.0.2.1/24\ninstance web eth0 vrid=1 priority=100 addresses=192.0.2.9/32\n"
	for _, text := range []string{
		"at 1s crash a", "at 1s", "at x crash a", node + "at 1s explode a", node + "at 1s start a config=1",
		node + "at 1s link a b loss=3", "port eth0 lan", "node a\n", node + node, "seed x", "end x", node + "at 1s clock a speed=3",
		"node a\nport eth0 lan\ninstance web eth0 vrid=0 addresses=192.0.2.9/32", "node a\ninstance web eth0 vrid=1 color=red",
	} {
		if _, err := ParseHistory(text); err == nil {
			t.Errorf("no error for %q", text)
		}
	}
}

// The client is served from the first election on, and the spans say so.
func TestSpansAddUp(t *testing.T) {
	h, err := ParseHistory(threeNodes + "at 10s poweroff a\n")
	if err != nil {
		t.Fatal(err)
	}
	h.End = time.Minute
	r := Run(h, Options{Spans: true})
	var who []string
	var last time.Duration
	for _, s := range r.Spans {
		if s.From != last {
			t.Errorf("span from %v after one to %v", s.From, last)
		}
		last = s.To
		who = append(who, s.By)
	}
	if want := []string{"", "a", "", "b"}; !slices.Equal(who, want) || last != h.End {
		t.Errorf("served by %q until %v, want %q until %v", who, last, want, h.End)
	}
}
