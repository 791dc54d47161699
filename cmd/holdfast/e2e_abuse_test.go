package main

import (
	"context"
	"fmt"
	"net"
	"os/user"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/lab"
)

// TestAbusedControlSocket has a thousand clients of a user who may read do all
// that they can to the control socket of a master that advertises every 10 ms.
// Its peer does not notice, and root is answered.
func TestAbusedControlSocket(t *testing.T) {
	l := newLab(t)
	lb1, lb2 := newPair(t, l)
	lb1.run(instanceTOML(150, busyInterval.String(), []string{lifeVIP + "/24"}))
	only(t, settled, lifeVIP, lb1, lb2)
	lb2.run(instanceTOML(100, busyInterval.String(), []string{lifeVIP + "/24"}))
	dial := dialAsReader(t, lb1)

	w := watchSteady(t, l, lb1, lb2)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var abuse lab.Abuse
	var wg sync.WaitGroup
	wg.Go(func() { abuse.Run(ctx, 1000, dial) })
	answeredToRoot(t, lb1, func() bool { return abuse.Refused.Load() > 0 && abuse.Answered.Load() > 0 })
	cancel()
	wg.Wait()
	t.Logf("measured: %d connections by others, %d told that they are refused, %d requests answered",
		abuse.Connected.Load(), abuse.Refused.Load(), abuse.Answered.Load())
	w.end()
	if abuse.Refused.Load() == 0 || abuse.Answered.Load() == 0 {
		t.Errorf("there was no abuse to speak of")
	}
}

// dialAsReader returns what connects to the control socket of a node as a user who
// may read.
func dialAsReader(t *testing.T, n *node) func() (net.Conn, error) {
	t.Helper()
	adm, err := user.LookupGroup("adm")
	require(t, err == nil, "the group adm")
	gid, err := strconv.Atoi(adm.Gid)
	must(t, err)
	dir, err := unix.Open(fmt.Sprintf("/proc/%d/root/run/holdfast", n.daemon.PID()), unix.O_PATH|unix.O_CLOEXEC, 0)
	must(t, err)
	t.Cleanup(func() { must(t, unix.Close(dir)) })
	socket := fmt.Sprintf("/proc/self/fd/%d/holdfast.sock", dir)
	return func() (c net.Conn, err error) {
		err = lab.AsUser(65534, gid, func() (err error) {
			c, err = net.Dial("unix", socket)
			return err
		})
		return c, err
	}
}

// answeredToRoot asks for the status for 5 seconds, and if need be for as much as 20
// until others are served as well.
func answeredToRoot(t *testing.T, n *node, others func() bool) {
	t.Helper()
	const long = 5 * time.Second
	used, began, answered, slowest := cpuTime(t, n), time.Now(), 0, time.Duration(0)
	for time.Since(began) < long || !others() && time.Since(began) < 4*long {
		start := time.Now()
		// Of another master the end of the watch judges.
		if out, code := n.command("status"); code != exitDone && !strings.Contains(out, " conflict for ") {
			t.Errorf("root's status ended with %d: %s", code, out)
		}
		slowest = max(slowest, time.Since(start))
		answered++
		time.Sleep(100 * time.Millisecond)
	}
	took := time.Since(began)
	t.Logf("measured: in %v root was answered %d times, after %v at most; the daemon used %.0f %% of a processor",
		took.Round(time.Second), answered, slowest.Round(time.Millisecond), 100*(cpuTime(t, n)-used).Seconds()/took.Seconds())
}

// cpuTime is the processor time that the daemon of a node has used.
func cpuTime(t *testing.T, n *node) time.Duration {
	t.Helper()
	const schedClock = 2 // what clock_getcpuclockid(3) makes of a process
	var used unix.Timespec
	must(t, unix.ClockGettime(int32(^n.daemon.PID()<<3|schedClock), &used))
	return time.Duration(used.Nano())
}
