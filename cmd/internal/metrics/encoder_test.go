package metrics

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"pgregory.net/rapid"
)

// again is what Prometheus's own writer makes of what its reader finds in a text.
func again(t interface{ Fatal(args ...any) }, text []byte) string {
	var b bytes.Buffer
	for _, f := range parse(t, text) {
		if _, err := expfmt.MetricFamilyToText(&b, f); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

// What Prometheus reads in an answer and writes again is the same to the byte.
func TestReadBack(t *testing.T) {
	for _, source := range []Source{fixed{st: sample()}, fixed{st: many(300)}, fixed{err: errors.New("stuck")}} {
		for _, compat := range []bool{false, true} {
			got := text(t, source, compat)
			if want := again(t, got); want != string(got) {
				t.Errorf("compat %v: Prometheus would write:\n%.2000s\ninstead of:\n%.2000s", compat, want, got)
			}
		}
	}
}

// drawnSeries is a series by chance.
type drawnSeries struct {
	labels []string // names and values in turn
	value  float64
}

// Whatever the texts and numbers are: Prometheus reads what was meant.
func TestReadBackAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		texts := rapid.OneOf(rapid.StringMatching(`[a-z"\\\n{}=,# \t]{0,9}`), rapid.String())
		numbers := rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{0, 1, -1, 999999, 1e6, 1e6 + 1, 1e21, 0.1, math.Inf(1), math.Inf(-1), math.NaN(), math.Copysign(0, -1)}))
		names := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z_][a-z0-9_]{0,5}`), 0, 3, rapid.ID[string]).Draw(t, "labels")
		slices.Sort(names)
		help := "h" + texts.Draw(t, "help") // a metric has one
		values := rapid.SliceOfN(numbers, 1, 5).Draw(t, "values")
		all := make([]drawnSeries, len(values))
		for n := range all {
			all[n].value = values[n]
			for _, name := range names {
				all[n].labels = append(all[n].labels, name, texts.Draw(t, "value"))
			}
		}
		var b bytes.Buffer
		e := &encoder{w: &b}
		m := metric{"some_metric", gauge, help, func(e *encoder, _ *scrape) {
			for _, s := range all {
				e.sample(s.value, s.labels...)
			}
		}, true}
		e.encode(&m, &scrape{})
		if err := e.flush(); err != nil {
			t.Fatal(err)
		}
		families := parse(t, b.Bytes())
		if len(families) != 1 || families[0].GetHelp() != help || len(families[0].GetMetric()) != len(all) {
			t.Fatalf("%v read in:\n%s", families, &b)
		}
		for n, got := range families[0].GetMetric() {
			want := all[n]
			if v := got.GetGauge().GetValue(); v != want.value && !(math.IsNaN(v) && math.IsNaN(want.value)) {
				t.Errorf("value %v, want %v", v, want.value)
			}
			var labels []string
			for _, l := range got.GetLabel() {
				labels = append(labels, l.GetName(), l.GetValue())
			}
			if !slices.Equal(labels, want.labels) {
				t.Errorf("labels %q, want %q", labels, want.labels)
			}
		}
		if want := again(t, b.Bytes()); want != b.String() {
			t.Errorf("Prometheus would write:\n%s\ninstead of:\n%s", want, &b)
		}
	})
}

// What is no UTF-8 would make Prometheus refuse the whole answer.
func TestInvalidText(t *testing.T) {
	var b bytes.Buffer
	e := &encoder{w: &b, of: &metric{name: "m", kind: gauge}}
	e.sample(1, "l", "a\xffb")
	if err := e.flush(); err != nil {
		t.Fatal(err)
	}
	if got := parse(t, b.Bytes())[0].GetMetric()[0].GetLabel()[0].GetValue(); got != "a\ufffdb" {
		t.Errorf("read %q", got)
	}
}

func TestHistogram(t *testing.T) {
	var b bytes.Buffer
	e := &encoder{w: &b, of: &metric{name: "m", kind: histogram, help: "h"}}
	e.histogram([]bucket{{0.25, 3}, {2, 4}}, 5, 61.5)
	if err := e.flush(); err != nil {
		t.Fatal(err)
	}
	const want = `# HELP m h
# TYPE m histogram
m_bucket{le="0.25"} 3
m_bucket{le="2"} 4
m_bucket{le="+Inf"} 5
m_sum 61.5
m_count 5
`
	if b.String() != want {
		t.Errorf("got:\n%swant:\n%s", &b, want)
	}
	if got := again(t, b.Bytes()); got != want {
		t.Errorf("Prometheus would write:\n%s", got)
	}
}

// broken takes some writes, then no more.
type broken struct{ writes, largest int }

func (b *broken) Write(p []byte) (int, error) {
	b.largest = max(b.largest, len(p))
	if b.writes--; b.writes < 0 {
		return 0, errors.New("gone")
	}
	return len(p), nil
}

// Of an answer of any size little is in memory, and who hangs up is written
// nothing more.
func TestAnswerInParts(t *testing.T) {
	h := newHandler(fixed{st: many(2000)}, false)
	w := &broken{writes: 3}
	if err := h.write(w, h.scrape(t.Context())); err == nil {
		t.Error("a failed write is no error")
	}
	if w.writes != -1 {
		t.Errorf("%d writes after the one that failed", -1-w.writes)
	}
	if w.largest > chunk+chunk/8 {
		t.Errorf("%d bytes at a time, want about %d", w.largest, chunk)
	}
}

// However many instances there are, a scrape allocates the same.
func TestAllocations(t *testing.T) {
	allocations := func(instances int) float64 {
		h := newHandler(fixed{st: many(instances)}, true)
		s := h.scrape(t.Context())
		return testing.AllocsPerRun(5, func() {
			if err := h.write(io.Discard, s); err != nil {
				t.Fatal(err)
			}
		})
	}
	few, many := allocations(10), allocations(1000)
	t.Logf("measured: %v allocations with 10 instances, %v with 1000", few, many)
	if many > few+100 {
		t.Errorf("%v allocations with 10 instances, %v with 1000", few, many)
	}
}

// The labels of a series are in the order of their names, as all writers have
// them, and no series is there twice.
func TestLabelsInOrder(t *testing.T) {
	for _, f := range parse(t, text(t, fixed{st: sample()}, true)) {
		seen := map[string]bool{}
		for _, m := range f.GetMetric() {
			names, key := []string{}, ""
			for _, l := range m.GetLabel() {
				names = append(names, l.GetName())
				key += fmt.Sprintf("%s=%q ", l.GetName(), l.GetValue())
			}
			if !slices.IsSorted(names) {
				t.Errorf("%s has %s", f.GetName(), strings.Join(names, ", "))
			}
			if seen[key] {
				t.Errorf("%s is there twice with %s", f.GetName(), key)
			}
			seen[key] = true
		}
	}
}
