package main

// Whether a pair of daemons that runs for long keeps its size.

import (
	"math"
	"os"
	"testing"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/history"
)

const (
	// flatGrowth is how much more memory a minute is none: what is kept for
	// each advert, were it one byte, is 1500 KB.
	flatGrowth = 4.0 // KB
	flatLooks  = 60
)

// TestMemoryFlat looks at the resident size of master and backup of 255
// instances with adverts each 10 ms for HOLDFAST_FLAT, 60 times. Before, all change
// their states to and fro until the history of events of both is full: what that takes,
// it keeps. The first twelfth of the time is not counted: the memory is then still laid
// out.
func TestMemoryFlat(t *testing.T) {
	long, err := time.ParseDuration(os.Getenv("HOLDFAST_FLAT"))
	if err != nil {
		t.Skip("takes as long as HOLDFAST_FLAT says, such as 1h (make flat)")
	}
	s := scene{interval: 10 * time.Millisecond, instances: perPort}
	l := newLab(t)
	bd := newCostBed(t, l, &s, programs[0])
	bd.start()
	bd.settle(costSettle)
	for told := s.instances; told < history.Size+history.Size/4; told += 2 * s.instances {
		failOver(t, bd)
	}
	masters := becameMaster(bd.first, bd.second)
	var minutes []float64
	sizes := map[*node][]float64{}
	began := time.Now()
	for look := 1; look <= flatLooks; look++ {
		time.Sleep(time.Until(began.Add(time.Duration(look) * long / flatLooks)))
		at := time.Since(began).Minutes()
		minutes = append(minutes, at)
		for _, n := range []*node{bd.first, bd.second} {
			sizes[n] = append(sizes[n], float64(n.used().memory)/1000)
		}
		t.Logf("measured: after %.1f min the master has %.0f KB, the backup %.0f KB", at, sizes[bd.first][look-1], sizes[bd.second][look-1])
	}
	const skip = flatLooks / 12
	for n, name := range map[*node]string{bd.first: "master", bd.second: "backup"} {
		slope, doubt := trend(minutes[skip:], sizes[n][skip:])
		t.Logf("measured: the %s grows by %.2f KB a minute, give or take %.2f", name, slope, doubt)
		if slope-2*doubt > flatGrowth {
			t.Errorf("the %s grows by %.1f KB a minute", name, slope)
		}
	}
	// A machine that is busy with other things for 30 ms makes some: no matter of
	// memory, but worth knowing.
	t.Logf("measured: %d false transitions", becameMaster(bd.first, bd.second)-masters)
}

// becameMaster counts how often instances of the nodes did. The log, of which the end
// alone is kept, does not tell after so long.
func becameMaster(nodes ...*node) (count uint64) {
	for _, n := range nodes {
		for _, i := range n.status().Instances {
			count += i.Counters.BecameMaster
		}
	}
	return count
}

// failOver drains the master, until the backup has all addresses, and lets them come
// back: each node tells at least two events of each instance.
func failOver(t *testing.T, bd *costBed) {
	t.Helper()
	for _, step := range []struct {
		order      string
		holds, not *node
	}{{"drain", bd.second, bd.first}, {"undrain", bd.first, bd.second}} {
		if out, code := bd.first.command(step.order); code != exitDone {
			t.Fatalf("%s: exit status %d\n%s", step.order, code, out)
		}
		eventually(t, settled, "the addresses are where they belong", func() bool {
			return bd.held(step.holds) == bd.scene.instances && bd.held(step.not) == 0
		})
	}
}

// trend is the slope of a line through points, and its standard error.
func trend(x, y []float64) (slope, doubt float64) {
	var mx, my float64
	for k := range x {
		mx, my = mx+x[k]/float64(len(x)), my+y[k]/float64(len(x))
	}
	var xx, xy float64
	for k := range x {
		xx, xy = xx+(x[k]-mx)*(x[k]-mx), xy+(x[k]-mx)*(y[k]-my)
	}
	slope = xy / xx
	var rest float64
	for k := range x {
		d := y[k] - my - slope*(x[k]-mx)
		rest += d * d
	}
	return slope, math.Sqrt(rest / float64(len(x)-2) / xx)
}

func TestTrend(t *testing.T) {
	x := []float64{1, 2, 3, 4}
	if slope, doubt := trend(x, []float64{5, 7, 9, 11}); math.Abs(slope-2) > 1e-9 || doubt > 1e-9 {
		t.Errorf("slope %v, doubt %v, want 2 and 0", slope, doubt)
	}
	if slope, doubt := trend(x, []float64{5, 6, 6, 5}); math.Abs(slope) > 1e-9 || doubt < 0.1 {
		t.Errorf("slope %v, doubt %v, want 0 and much", slope, doubt)
	}
}
