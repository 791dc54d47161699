package main

// A machine that is busy with other things: no advert comes so late that
// somebody takes over.

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
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

	w := watchSteady(t, l, lb1, lb2)
	load := startLoad(t, l, lb1, lb2)
	during(t, long, "the daemons run", func() bool {
		return !isDone(lb1.daemon) && !isDone(lb2.daemon)
	})
	load.stop()
	t.Logf("measured: meanwhile %d busy loops, %d syncs, %d hooks", busyLoops, load.syncs, hooksRun(t, lb1)+hooksRun(t, lb2))
	w.end()
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
