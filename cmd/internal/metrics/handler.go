package metrics

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
)

const (
	// gatherGap is the least time between two gatherings: who asks sooner gets
	// what the last one found.
	gatherGap = 250 * time.Millisecond
	// gatherShare is which part of the time gathering may take at most.
	gatherShare = 5
	// gatherGapMost bounds that: a gathering that only waited for a loop that
	// stood still is not to be told for long.
	gatherGapMost = 2 * time.Second
	// scrapesAtOnce is how many answers may be under way; the next one is told to
	// come back later.
	scrapesAtOnce = 8
	// scrapeTime is how long an answer may take.
	scrapeTime = 15 * time.Second
)

// Handler answers scrapes of a registry, however many come.
func Handler(g prometheus.Gatherer) http.Handler {
	return promhttp.HandlerFor(newShared(g), promhttp.HandlerOpts{
		ErrorHandling:       promhttp.HTTPErrorOnError,
		MaxRequestsInFlight: scrapesAtOnce,
		Timeout:             scrapeTime,
	})
}

// sharedGatherer gathers for all who ask at a time once.
type sharedGatherer struct {
	gatherer prometheus.Gatherer

	turn chan struct{} // has room for the one whose turn it is
	next time.Time     // not before
	last []*dto.MetricFamily
	err  error
}

func newShared(g prometheus.Gatherer) *sharedGatherer {
	return &sharedGatherer{gatherer: g, turn: make(chan struct{}, 1)}
}

// Gather implements [prometheus.Gatherer]. What it returns is not to be changed.
func (s *sharedGatherer) Gather() ([]*dto.MetricFamily, error) {
	s.turn <- struct{}{} // the others wait for what this one finds
	defer func() { <-s.turn }()
	began := time.Now()
	if began.Before(s.next) {
		return s.last, s.err
	}
	s.last, s.err = s.gatherer.Gather()
	ended := time.Now()
	gap := min(max(gatherGap, (gatherShare-1)*ended.Sub(began)), gatherGapMost)
	s.next = ended.Add(gap)
	time.AfterFunc(gap, s.forget)
	return s.last, s.err
}

// forget lets go of what nobody will be given any more: with thousands of
// instances it is large.
func (s *sharedGatherer) forget() {
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	if !time.Now().Before(s.next) {
		s.last, s.err = nil, nil
	}
}
