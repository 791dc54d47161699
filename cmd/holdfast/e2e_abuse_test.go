package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os/user"
	"slices"
	"strconv"
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
	adm, err := user.LookupGroup("adm")
	require(t, err == nil, "the group adm")
	gid, err := strconv.Atoi(adm.Gid)
	must(t, err)
	lb1, lb2 := newPair(t, l)
	lb1.run(instanceTOML(150, busyInterval.String(), []string{lifeVIP + "/24"}))
	only(t, settled, lifeVIP, lb1, lb2)
	lb2.run(instanceTOML(100, busyInterval.String(), []string{lifeVIP + "/24"}))
	eventually(t, settled, "lb2 hears lb1", func() bool { i := lb2.instance("web"); return i.State == "backup" && i.Master != nil })
	before := []time.Time{lb1.instance("web").Since, lb2.instance("web").Since}

	dir, err := unix.Open(fmt.Sprintf("/proc/%d/root/run/holdfast", lb1.daemon.PID()), unix.O_PATH|unix.O_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(dir)
	socket := fmt.Sprintf("/proc/self/fd/%d/holdfast.sock", dir)
	dial := func() (c net.Conn, err error) {
		err = lab.AsUser(65534, gid, func() (err error) {
			c, err = net.Dial("unix", socket)
			return err
		})
		return c, err
	}
	sent, heard := captureAdverts(t, lb1.Host, "eth0", 51), captureAdverts(t, lb2.Host, "eth0", 51)
	used := cpuTime(t, lb1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var abuse lab.Abuse
	var wg sync.WaitGroup
	wg.Go(func() { abuse.Run(ctx, 1000, dial) })
	const long = 5 * time.Second
	began, answered, slowest := time.Now(), 0, time.Duration(0)
	abused := func() bool { return abuse.Refused.Load() > 0 && abuse.Answered.Load() > 0 }
	for time.Since(began) < long || !abused() && time.Since(began) < 4*long {
		start := time.Now()
		if out, code := lb1.command("status"); code != exitDone {
			t.Errorf("root's status ended with %d: %s", code, out)
		}
		slowest = max(slowest, time.Since(start))
		answered++
		time.Sleep(100 * time.Millisecond)
	}
	took := time.Since(began)
	used = cpuTime(t, lb1) - used
	cancel()
	wg.Wait()
	t.Logf("measured: in %v %d connections by others, %d told that they are refused, %d requests answered; root was answered %d times, after %v at most; the daemon used %.0f %% of a processor",
		took.Round(time.Second), abuse.Connected.Load(), abuse.Refused.Load(), abuse.Answered.Load(), answered, slowest.Round(time.Millisecond), 100*used.Seconds()/took.Seconds())
	for what, c := range map[string]advertCapture{"sent": sent, "heard": heard} {
		longest, sources := c.result(t)
		t.Logf("measured: %d adverts %s, longest gap %s (takeover at %s)", c.count(), what, ms(longest), ms(detection(busyInterval, 100)))
		if want := []netip.Addr{netip.MustParseAddr("192.0.2.1")}; !slices.Equal(sources, want) {
			t.Errorf("adverts %s are from %v, want %v alone", what, sources, want)
		}
	}
	if abuse.Refused.Load() == 0 || abuse.Answered.Load() == 0 {
		t.Errorf("there was no abuse to speak of")
	}
	for k, n := range []*node{lb1, lb2} {
		i := n.instance("web")
		if want := []string{"master", "backup"}[k]; i.State != want || !i.Since.Equal(before[k]) {
			t.Errorf("%s changed: %s since %v (%s), want %s since %v", n.Name(), i.State, i.Since, i.Reason, want, before[k])
		}
	}
}

// cpuTime is the processor time that the daemon of a node has used.
func cpuTime(t *testing.T, n *node) time.Duration {
	t.Helper()
	const schedClock = 2 // what clock_getcpuclockid(3) makes of a process
	var used unix.Timespec
	must(t, unix.ClockGettime(int32(^n.daemon.PID()<<3|schedClock), &used))
	return time.Duration(used.Nano())
}
