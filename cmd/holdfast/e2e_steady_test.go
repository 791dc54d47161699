package main

import (
	"net/netip"
	"testing"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
	"github.com/holdfast-vrrp/holdfast/cmd/internal/lab"
)

// steadyWatch watches that the instance web of two nodes, a master and a backup that
// advertise every 10 ms, stays as it is, but where the machine itself stands still.
type steadyWatch struct {
	t        *testing.T
	nodes    [2]*node
	captures [2]advertCapture
	before   [2]control.Instance
	stalls   *stalls
}

// watchSteady begins once they are master and backup.
func watchSteady(t *testing.T, l *lab.Lab, master, backup *node) *steadyWatch {
	t.Helper()
	w := &steadyWatch{t: t, nodes: [2]*node{master, backup}, stalls: watchStalls(t, l)}
	eventually(t, settled, backup.Name()+" hears "+master.Name(), func() bool {
		i := backup.instance("web")
		return master.instance("web").State == "master" && i.State == "backup" && i.Master != nil
	})
	for k, n := range w.nodes {
		w.before[k] = n.instance("web")
		w.captures[k] = captureAdverts(t, n.Host, "eth0", 51)
	}
	return w
}

// end tells what changed.
func (w *steadyWatch) end() {
	w.t.Helper()
	master, excused := netip.MustParseAddr("192.0.2.1"), 0
	for k, what := range []string{"sent", "heard"} {
		longest, sources := w.captures[k].result(w.t)
		frames := w.captures[k].Frames()
		steps := gaps(frames)
		w.t.Logf("measured: %d adverts %s, median gap %s, 99 %% %s, longest %s (takeover at %s)", len(frames), what,
			ms(percentile(steps, 50)), ms(percentile(steps, 99)), ms(longest), ms(detection(busyInterval, 100)))
		all, some := w.takeovers(frames, master)
		if len(sources) == 0 || sources[0] != master || some < all {
			w.t.Errorf("adverts %s are from %v, want %v alone", what, sources, master)
		}
		excused = max(excused, some)
	}
	for k, n := range w.nodes {
		was, is := w.before[k], n.instance("web")
		if is.State != was.State || excused == 0 && !is.Since.Equal(was.Since) {
			w.t.Errorf("%s changed: %s since %v (%s), want %s since %v", n.Name(), is.State, is.Since, is.Reason, was.State, was.Since)
		}
		if heard := is.Counters.Rivals - was.Counters.Rivals; heard > 0 && excused == 0 {
			w.t.Errorf("%s heard %d rivals", n.Name(), heard)
		}
	}
}

// takeovers counts how often somebody took over from the master, and how often of these
// because a processor stood still since the last advert. Who spoke a moment ago is not
// silent yet: two masters tell each other so.
func (w *steadyWatch) takeovers(frames []lab.Frame, master netip.Addr) (all, excused int) {
	w.t.Helper()
	var spoke time.Time
	for k, f := range frames {
		if source(f) == master {
			continue
		}
		if k > 0 && f.Time.Sub(spoke) > 2*busyInterval {
			if all++; w.excused(frames[k-1], f) {
				excused++
			}
		}
		spoke = f.Time
	}
	return all, excused
}

// excused tells whether a processor stood still between the last advert of a master
// and the first one of another.
func (w *steadyWatch) excused(last, first lab.Frame) bool {
	w.t.Helper()
	stood := w.stalls.longest(last.Time, first.Time)
	w.t.Logf("measured: %v took over at %s, %s after the last advert; the longest that a processor of the machine stood still meanwhile is %s",
		source(first), first.Time.Format("15:04:05.000"), ms(first.Time.Sub(last.Time)), ms(stood))
	return stood >= stallLeast
}
