// Package metrics renders what the daemon knows for Prometheus: native names,
// and on request those that dashboards for keepalived know. It takes one
// snapshot a scrape and knows nothing of where that comes from.
package metrics

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
)

// Source is where the snapshots come from.
type Source interface {
	Status(ctx context.Context) (*control.Status, error)
}

// kind is the type of a metric.
type kind string

const (
	gauge     kind = "gauge"
	counter   kind = "counter"
	histogram kind = "histogram"
)

// metric is a metric, and what writes its series.
type metric struct {
	name   string
	kind   kind
	help   string
	series func(e *encoder, s *scrape)
	// always is set when there are series without a snapshot, too.
	always bool
}

// scrape is what the series of an answer are made of.
type scrape struct {
	st  *control.Status // nil of a daemon that does not answer
	now time.Time
	// reasons are the keys of the map sorted last.
	reasons []string
}

// described lists all metrics, in the order of their names.
func described(compat bool) []metric {
	all := slices.Concat(processMetrics(), daemonMetrics(), checkMetrics(), instanceMetrics())
	if compat {
		all = append(all, compatMetrics()...)
	}
	slices.SortFunc(all, func(a, b metric) int { return strings.Compare(a.name, b.name) })
	return all
}

// up is a metric that tells whether there is a snapshot.
func up(name, help string) metric {
	return metric{name, gauge, help, func(e *encoder, s *scrape) { e.sample(truth(s.st != nil)) }, true}
}

// write writes what there is to say; of a daemon that does not answer that is
// little.
func (s *scrape) write(e *encoder, all []metric) error {
	for n := range all {
		if s.st != nil || all[n].always {
			e.encode(&all[n], s)
		}
	}
	return e.flush()
}

// sorted lists the keys of m in order: nearly always those of the map before.
func (s *scrape) sorted(m map[string]uint64) []string {
	same := len(m) == len(s.reasons)
	for n := 0; same && n < len(s.reasons); n++ {
		_, same = m[s.reasons[n]]
	}
	if !same {
		s.reasons = slices.AppendSeq(s.reasons[:0], maps.Keys(m))
		slices.Sort(s.reasons)
	}
	return s.reasons
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
