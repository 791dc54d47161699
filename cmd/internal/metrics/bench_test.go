package metrics

import (
	"fmt"
	"io"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

// BenchmarkScrape is one scrape of as many instances as there can be, beside what
// Prometheus's own library takes for the same series.
func BenchmarkScrape(b *testing.B) {
	for _, n := range []int{1, 255, 4080} {
		st := many(n)
		b.Run(fmt.Sprintf("holdfast/%d", n), func(b *testing.B) {
			h := newHandler(fixed{st: st}, false)
			b.ReportAllocs()
			for b.Loop() {
				if err := h.write(io.Discard, h.scrape(b.Context())); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("client_golang/%d", n), func(b *testing.B) {
			r := prometheus.NewRegistry()
			r.MustRegister(library(parse(b, text(b, fixed{st: st}, false))))
			b.ReportAllocs()
			for b.Loop() {
				families, err := r.Gather()
				if err != nil {
					b.Fatal(err)
				}
				for _, f := range families {
					if _, err := expfmt.MetricFamilyToText(io.Discard, f); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

// library is a collector of the same gauges and counters.
type library []*dto.MetricFamily

func (library) Describe(chan<- *prometheus.Desc) {}

func (l library) Collect(ch chan<- prometheus.Metric) {
	for _, f := range l {
		if f.GetType() == dto.MetricType_HISTOGRAM {
			continue
		}
		var names []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			names = append(names, l.GetName())
		}
		desc := prometheus.NewDesc(f.GetName(), f.GetHelp(), names, nil)
		values := make([]string, len(names))
		for _, m := range f.GetMetric() {
			for n, l := range m.GetLabel() {
				values[n] = l.GetValue()
			}
			kind, v := prometheus.GaugeValue, m.GetGauge().GetValue()
			if m.Counter != nil {
				kind, v = prometheus.CounterValue, m.GetCounter().GetValue()
			}
			ch <- prometheus.MustNewConstMetric(desc, kind, v, values...)
		}
	}
}
