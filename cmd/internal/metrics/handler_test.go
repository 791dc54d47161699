package metrics

import (
	"errors"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// counting is a gatherer that takes its time.
type counting struct {
	takes time.Duration
	asked atomic.Int64
	err   error
}

func (c *counting) Gather() ([]*dto.MetricFamily, error) {
	c.asked.Add(1)
	time.Sleep(c.takes)
	return []*dto.MetricFamily{}, c.err
}

// However many scrape at a time, and however often, few gatherings are made.
func TestScrapesAreShared(t *testing.T) {
	for _, takes := range []time.Duration{time.Millisecond, time.Second} {
		synctest.Test(t, func(t *testing.T) {
			c := &counting{takes: takes}
			s := newShared(c)
			var all sync.WaitGroup
			for range 100 {
				all.Go(func() {
					for began := time.Now(); time.Since(began) < 10*time.Second; time.Sleep(10 * time.Millisecond) {
						if got, err := s.Gather(); got == nil || err != nil {
							t.Errorf("got %v, %v", got, err)
						}
					}
				})
			}
			all.Wait()
			most := int64(10*time.Second/max(gatherGap+takes, gatherShare*takes)) + 2
			if n := c.asked.Load(); n > most || n < 2 {
				t.Errorf("gathered %d times in 10 s, each taking %v: want at most %d", n, takes, most)
			}
			time.Sleep(time.Minute)
			s.turn <- struct{}{}
			if s.last != nil {
				t.Error("what nobody asks for is still kept")
			}
			<-s.turn
		})
	}
}

func TestHandler(t *testing.T) {
	w := httptest.NewRecorder()
	Handler(registry(sample(), false)).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if body := w.Body.String(); w.Code != 200 || !strings.Contains(body, `holdfast_instance_state{state="master",vrrp_instance="web"} 1`) {
		t.Errorf("answer %d:\n%s", w.Code, body)
	}
	w = httptest.NewRecorder()
	Handler(prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { return nil, errors.New("broken") })).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 500 || !strings.Contains(w.Body.String(), "broken") {
		t.Errorf("answer %d: %s", w.Code, w.Body)
	}
}
