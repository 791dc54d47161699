// Package metrics renders what the daemon knows for Prometheus: native names,
// and on request those that dashboards for keepalived know. It takes one
// snapshot a scrape and knows nothing of where that comes from.
package metrics

import (
	"context"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
)

// Source is where the snapshots come from.
type Source interface {
	Status(ctx context.Context) (*control.Status, error)
}

// patience is how long a scrape waits for the snapshot: less than Prometheus
// waits for the scrape, so that a stuck daemon is told rather than timed out.
const patience = 3 * time.Second

// collector makes the metrics of one snapshot.
type collector struct {
	source Source
	compat bool
	now    func() time.Time
	descs  []*prometheus.Desc
	daemon daemonDescs
	check  checkDescs
	of     instanceDescs
	old    compatDescs
}

// NewRegistry returns a registry of all metrics: the daemon's, and those of the
// Go runtime and the process.
func NewRegistry(source Source, compat bool) *prometheus.Registry {
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(
		newCollector(source, compat),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return r
}

func newCollector(source Source, compat bool) *collector {
	c := &collector{source: source, compat: compat, now: time.Now}
	c.daemon = c.newDaemonDescs()
	c.check = c.newCheckDescs()
	c.of = c.newInstanceDescs()
	if compat {
		c.old = c.newCompatDescs()
	}
	return c
}

// desc makes the description of a metric and keeps it.
func (c *collector) desc(name, help string, labels ...string) *prometheus.Desc {
	d := prometheus.NewDesc(name, help, labels, nil)
	c.descs = append(c.descs, d)
	return d
}

// Describe implements [prometheus.Collector].
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		ch <- d
	}
}

// Collect implements [prometheus.Collector]. Of a daemon that does not answer
// there is but one thing to say.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	st, err := c.source.Status(ctx)
	o := out{ch}
	o.gauge(c.daemon.up, truth(err == nil))
	if c.compat {
		o.gauge(c.old.up, truth(err == nil))
	}
	if err != nil {
		return
	}
	c.daemon.collect(o, st)
	for n := range st.Checks {
		c.check.collect(o, &st.Checks[n])
	}
	now := c.now()
	for n := range st.Instances {
		c.of.collect(o, &st.Instances[n], now)
	}
	if c.compat {
		c.old.collect(o, st)
	}
}

// out takes metrics.
type out struct{ ch chan<- prometheus.Metric }

func (o out) gauge(d *prometheus.Desc, v float64, labels ...string) {
	o.ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func (o out) counter(d *prometheus.Desc, v uint64, labels ...string) {
	o.ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
}

// each makes a series of each word, 1 for the one that is.
func (o out) each(d *prometheus.Desc, words []string, is string, labels ...string) {
	for _, w := range words {
		o.gauge(d, truth(w == is), append(labels[:len(labels):len(labels)], w)...)
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func seconds(ms float64) float64 { return ms / 1000 }

func timestamp(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

// hashNumber is a hash as a number that a float64 holds exactly.
func hashNumber(hash string) float64 {
	n, err := strconv.ParseUint(hash[:min(12, len(hash))], 16, 64)
	if err != nil {
		return 0
	}
	return float64(n)
}
