package main

import (
	"testing"

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
	excused := 0
	for k, what := range []string{"sent", "heard"} {
		longest, sources := w.captures[k].result(w.t)
		frames := w.captures[k].Frames()
		steps := gaps(frames)
		w.t.Logf("measured: %d adverts %s, median gap %s, 99 %% %s, longest %s (takeover at %s)", len(frames), what,
			ms(percentile(steps, 50)), ms(percentile(steps, 99)), ms(longest), ms(detection(busyInterval, 100)))
		takeovers := len(sources) / 2
		excused = max(excused, w.excused(frames))
		if takeovers > excused {
			w.t.Errorf("adverts %s are from %v, want %v alone", what, sources, sources[0])
		}
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

// excused counts who took over while a processor stood still.
func (w *steadyWatch) excused(frames []lab.Frame) (count int) {
	w.t.Helper()
	for k, f := range frames {
		if k == 0 || source(f) == source(frames[k-1]) || source(f) == source(frames[0]) {
			continue
		}
		if s, ok := w.stalls.during(f.Time); ok {
			count++
			w.t.Logf("measured: %v took over at %s, while processor %d of the machine stood still for %s from %s on",
				source(f), f.Time.Format(stampMillis), s.Processor, ms(s.Length), s.Began.Format(stampMillis))
		}
	}
	return count
}

const stampMillis = "15:04:05.000"
