package main

// A machine that is busy with other things: no advert comes so late that
// somebody takes over.

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/lab"
)

// busyInterval is the shortest that version 3 has.
const busyInterval = 10 * time.Millisecond

// stormHook is a hook that works for a while.
const stormHook = `#!/bin/sh
n=0
while [ $n -lt 2000 ]; do n=$((n+1)); done
echo "$HOLDFAST_STATE" >> /run/storm
`

// stormTOML is a second instance that comes and goes, with hooks at each turn.
const stormTOML = `checks = []
[[instance]]
name = "storm"
interface = "eth0"
vrid = 60
priority = %d
addresses = ["192.0.2.160/24"]
advert_interval = "100ms"
checks = ["flag"]
[[check]]
name = "flag"
exec = ["/usr/bin/test", "-s", "/run/ok"]
interval = "20ms"
timeout = "5s"
fall = 1
rise = 1
on_failure = "release"
[[notify]]
exec = ["/run/storm.sh"]
`

// TestBusyMachine loads the machine with busy loops, a writer that syncs, and
// hooks, for 15 seconds or as long as HOLDFAST_BUSY says, while two nodes
// advertise every 10 ms. Neither may change its state. Both nodes, the load and
// the test share the processors.
func TestBusyMachine(t *testing.T) {
	long := 15 * time.Second
	if s := os.Getenv("HOLDFAST_BUSY"); s != "" {
		var err error
		if long, err = time.ParseDuration(s); err != nil || long <= 0 {
			t.Fatalf("HOLDFAST_BUSY is %q: want a duration such as 60s", s)
		}
	}
	l := newLab(t)
	lb1, lb2 := newPair(t, l)
	for n, priority := range map[*node]int{lb1: 150, lb2: 100} {
		n.setFlag(true)
		must(t, n.WriteFile("/run/storm.sh", stormHook, 0o755))
		n.configure(instanceTOML(priority, busyInterval.String(), []string{lifeVIP + "/24"}, fmt.Sprintf(stormTOML, priority)))
	}
	lb1.start()
	only(t, settled, lifeVIP, lb1, lb2)
	lb2.start()
	eventually(t, settled, "lb2 hears lb1", func() bool { i := lb2.instance("web"); return i.State == "backup" && i.Master != nil })
	before := []time.Time{lb1.instance("web").Since, lb2.instance("web").Since}

	sent, heard := captureAdverts(t, lb1.Host, "eth0", 51), captureAdverts(t, lb2.Host, "eth0", 51)
	load := startLoad(t, l, lb1, lb2)
	began, stolenBefore := time.Now(), stolen(t)
	during(t, long, "the daemons run", func() bool {
		return !isDone(lb1.daemon) && !isDone(lb2.daemon)
	})
	took := time.Since(began)
	load.stop()
	for what, c := range map[string]advertCapture{"sent": sent, "heard": heard} {
		longest, sources := c.result(t)
		steps := gaps(c.Frames())
		t.Logf("measured: in %v %d adverts %s, median gap %s, 99 %% %s, longest %s (takeover at %s)", took.Round(time.Second),
			c.count(), what, ms(percentile(steps, 50)), ms(percentile(steps, 99)), ms(longest), ms(detection(busyInterval, 100)))
		if want := []netip.Addr{netip.MustParseAddr("192.0.2.1")}; !slices.Equal(sources, want) {
			t.Errorf("adverts %s are from %v, want %v alone", what, sources, want)
		}
	}
	t.Logf("measured: meanwhile %d busy loops, %d syncs, %d hooks; the hypervisor took %v of processor time",
		busyLoops, load.syncs, hooksRun(t, lb1)+hooksRun(t, lb2), stolen(t)-stolenBefore)
	for k, n := range []*node{lb1, lb2} {
		i := n.instance("web")
		if want := []string{"master", "backup"}[k]; i.State != want || !i.Since.Equal(before[k]) {
			t.Errorf("%s changed: %s since %v (%s), want %s since %v", n.Name(), i.State, i.Since, i.Reason, want, before[k])
		}
		if i.Counters.Rivals > 0 {
			t.Errorf("%s heard %d rivals", n.Name(), i.Counters.Rivals)
		}
	}
	if load.syncs == 0 || hooksRun(t, lb1) < 5 {
		t.Error("there was no load to speak of")
	}
}

// busyLoops is how many processes do nothing but use the processors.
var busyLoops = 4 * runtime.NumCPU()

// busyLoad is what keeps the machine busy.
type busyLoad struct {
	t     *testing.T
	loops []*lab.Process
	end   chan struct{}
	wg    sync.WaitGroup
	syncs int
	err   error
}

// startLoad begins the load. Each node's flag turns all the time, so that its
// hooks run.
func startLoad(t *testing.T, l *lab.Lab, flagged ...*node) *busyLoad {
	t.Helper()
	idler, err := l.Host("load")
	must(t, err)
	ld := &busyLoad{t: t, end: make(chan struct{})}
	for range busyLoops {
		p, err := idler.Start("/bin/sh", "-c", "while :; do :; done")
		must(t, err)
		ld.loops = append(ld.loops, p)
	}
	path := filepath.Join(t.TempDir(), "written")
	ld.wg.Go(func() { ld.err = ld.write(path) })
	ld.wg.Go(func() {
		for ok := false; ; ok = !ok {
			for _, n := range flagged {
				n.setFlag(ok)
			}
			select {
			case <-ld.end:
				return
			case <-time.After(150 * time.Millisecond):
			}
		}
	})
	return ld
}

// write writes a megabyte over and over, and has it reach the disk each time.
func (ld *busyLoad) write(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	block := make([]byte, 1<<20)
	for {
		select {
		case <-ld.end:
			return nil
		default:
		}
		_, err := f.WriteAt(block, int64(ld.syncs%64)<<20)
		if err := errors.Join(err, f.Sync()); err != nil {
			return err
		}
		ld.syncs++
	}
}

func (ld *busyLoad) stop() {
	ld.t.Helper()
	close(ld.end)
	for _, p := range ld.loops {
		must(ld.t, p.Kill())
	}
	ld.wg.Wait()
	must(ld.t, ld.err)
}

func isDone(p *lab.Process) bool {
	select {
	case <-p.Done():
		return true
	default:
		return false
	}
}

// hooksRun counts the hooks that came to their end.
func hooksRun(t *testing.T, n *node) int {
	t.Helper()
	text, err := n.ReadFile("/run/storm")
	must(t, err)
	return strings.Count(text, "\n")
}

// gaps lists the times between frames, in order of length.
func gaps(frames []lab.Frame) (list []time.Duration) {
	for k := 1; k < len(frames); k++ {
		list = append(list, frames[k].Time.Sub(frames[k-1].Time))
	}
	slices.Sort(list)
	return list
}

func percentile(sorted []time.Duration, percent int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[(len(sorted)-1)*percent/100]
}

// stolen is how long processors were ready to run but those of the machine
// below were not, since boot. No priority helps against that.
func stolen(t *testing.T) time.Duration {
	t.Helper()
	text, err := os.ReadFile("/proc/stat")
	must(t, err)
	const steal, tick = 8, 10 * time.Millisecond // proc_stat(5); USER_HZ is 100
	count, err := strconv.Atoi(strings.Fields(string(text))[steal])
	must(t, err)
	return time.Duration(count) * tick
}
