package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
	"github.com/holdfast-vrrp/holdfast/cmd/internal/screen"
)

// watchOfEventful is a view of the eventful state, some events later.
func watchOfEventful(t *testing.T) *watchView {
	t.Helper()
	local := time.Local
	time.Local = time.UTC // what is shown to people
	t.Cleanup(func() { time.Local = local })
	st := eventful()
	for n := range control.RecentProbes {
		st.Checks[0].Recent = append(st.Checks[0].Recent, control.Probe{DurationMS: float64(n%9) + 0.5, Passed: true})
		st.Checks[1].Recent = append(st.Checks[1].Recent, control.Probe{DurationMS: 1, Passed: n < 26})
	}
	st.Checks[0].LastAt, st.Checks[0].LastDurationMS = agoPtr(time.Second), 3.5
	st.Checks[1].LastAt, st.Checks[1].LastDurationMS = agoPtr(time.Second), 1200
	v := &watchView{watchModel: &watchModel{}, blocks: true}
	v.take(news{at: statusNow, state: st})
	for n, e := range night() {
		e.Time = ago(time.Hour - time.Duration(n)*time.Second)
		v.take(news{at: statusNow, event: e})
	}
	return v
}

// checkFrame checks what holds for all that is drawn.
func checkFrame(t *testing.T, lines []string, width, height int) {
	t.Helper()
	if len(lines) != height {
		t.Errorf("%d lines on a screen of %d", len(lines), height)
	}
	for _, line := range lines {
		if screen.Clean(line) != line {
			t.Errorf("not clean: %q", line)
		}
		if n := screen.Width(line); n > width {
			t.Errorf("%d cells at width %d: %s", n, width, line)
		}
	}
}

// noReset leaves out what ends a colour where a line was clipped.
var noReset = strings.NewReplacer("\x1b[0m", "")

func frame(v *watchView, width, height int, now time.Time) []string {
	lines := v.render(width, height, now)
	for n := range lines {
		lines[n] = noReset.Replace(lines[n])
	}
	return lines
}

// TestWatchWidths compares what a live view draws with testdata/watch;
// UPDATE_GOLDEN=1 writes these anew.
func TestWatchWidths(t *testing.T) {
	for _, size := range [][2]int{{40, 30}, {80, 24}, {100, 30}, {160, 40}} {
		t.Run(fmt.Sprint(size[0]), func(t *testing.T) {
			v := watchOfEventful(t)
			v.move("j", 4)
			lines := frame(v, size[0], size[1], statusNow)
			checkFrame(t, lines, size[0], size[1])
			golden(t, fmt.Sprintf("watch/%d.txt", size[0]), strings.Join(lines, "\n")+"\n")
		})
	}
}

// TestWatchSizes wants a whole screen at any size, however small.
func TestWatchSizes(t *testing.T) {
	v := watchOfEventful(t)
	v.take(news{at: statusNow, err: errors.New("no daemon answers")})
	for width := 1; width < 130; width += 3 {
		for height := 1; height < 50; height++ {
			checkFrame(t, frame(v, width, height, statusNow), width, height)
		}
	}
	v.state = &control.Status{Node: "lb1"} // nothing is configured
	checkFrame(t, frame(v, 80, 24, statusNow), 80, 24)
	v.move("j", 3)
}

// TestWatchScrolls wants each of 255 instances reached by the keys, and always
// the selected one on the screen, marked, with its details.
func TestWatchScrolls(t *testing.T) {
	v := watchOfEventful(t)
	st := &control.Status{Node: "lb1"}
	for n := range 255 {
		i := eventful().Instances[0]
		i.Name, i.VRID = fmt.Sprintf("web-%d", n+1), n+1
		st.Instances = append(st.Instances, i)
	}
	v.take(news{at: statusNow, state: st})
	want := func(name string) {
		t.Helper()
		lines := frame(v, 100, 24, statusNow)
		checkFrame(t, lines, 100, 24)
		text := strings.Join(lines, "\n") + "\n"
		marked := strings.Count(text, "\n> ")
		if v.chosen != name || marked != 1 || !strings.Contains(text, "\n> "+name+" ") || !strings.Contains(text, "\n"+name+"  MASTER for") {
			t.Fatalf("%s is selected, want %s; %d lines are marked:\n%s", v.chosen, name, marked, text)
		}
	}
	want("web-1")
	if v.rows < 4 {
		t.Errorf("only %d instances are shown", v.rows)
	}
	for n := 2; n <= 255; n++ {
		v.press(screen.KeyDown)
		want(fmt.Sprintf("web-%d", n))
	}
	v.press("j")
	want("web-255")
	v.press(screen.KeyPageUp)
	want(fmt.Sprintf("web-%d", 255-(v.rows-1)))
	v.press("g")
	want("web-1")
	v.press("k")
	want("web-1")
	v.press("G")
	want("web-255")
	v.press("x") // it watches only
	want("web-255")

	// The selected one goes with a reload.
	st2 := *st
	st2.Instances = st.Instances[:3]
	v.take(news{at: statusNow, state: &st2})
	want("web-1")
}

// TestWatchOld wants that what is old is shown as such, and when it is not any
// more.
func TestWatchOld(t *testing.T) {
	v := watchOfEventful(t)
	v.take(news{at: statusNow.Add(time.Second), err: errors.New("no daemon answers on x")})
	v.take(news{at: statusNow.Add(2 * time.Second), err: errors.New("no daemon answers on x")})
	text := strings.Join(frame(v, 100, 30, statusNow.Add(65*time.Second)), "\n")
	if !strings.Contains(text, "NO ANSWER for 1m05s: this is how it was at 12:00:00") {
		t.Errorf("an old state looks like a new one:\n%s", text)
	}
	if strings.Count(text, "no daemon answers on x") != 1 {
		t.Errorf("not told once that it is gone:\n%s", text)
	}
	st := eventful()
	st.Daemon.Started = statusNow
	v.take(news{at: statusNow.Add(70 * time.Second), state: st})
	text = strings.Join(frame(v, 100, 30, statusNow.Add(70*time.Second)), "\n")
	if strings.Contains(text, "NO ANSWER") || !strings.Contains(text, "the daemon answers again: it was started anew") {
		t.Errorf("it is back:\n%s", text)
	}
}

func TestSparkline(t *testing.T) {
	probes := func(ms ...float64) (list []control.Probe) {
		for _, d := range ms {
			list = append(list, control.Probe{DurationMS: d, Passed: d >= 0})
		}
		return list
	}
	v := &watchView{blocks: true}
	for _, tt := range []struct {
		probes []control.Probe
		want   string
	}{
		{nil, ""},
		{probes(0), "▁"},
		{probes(0, 0), "▁▁"},
		{probes(0, 1, 2, 3, 4, 5, 6, 7, 8), "▁▂▃▄▅▆▇██"},
		{probes(1, -1, 1000), "▁x█"},
		{probes(-1), "x"},
	} {
		if got := v.sparkline(tt.probes); got != tt.want {
			t.Errorf("%v: %q, want %q", tt.probes, got, tt.want)
		}
	}
	v.blocks = false
	if got, want := v.sparkline(probes(0, 2, 8, -1)), "_-#x"; got != want {
		t.Errorf("without block characters %q, want %q", got, want)
	}
}
