package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The sooner the loop is kept waiting again, the longer the process stays in real
// time.
func TestVigil(t *testing.T) {
	v := vigil{length: vigilLeast}
	now := time.Unix(1_000_000, 0)
	for _, step := range []struct {
		what  string
		after time.Duration
		busy  bool // of a look
		begin bool // else a look
		want  time.Duration
	}{
		{"calm at the start", vigilLeast, false, false, vigilLeast},
		{"kept waiting soon", time.Second, false, true, 2 * vigilLeast},
		{"the host is busy", 2 * vigilLeast, true, false, 4 * vigilLeast},
		{"still busy", 4 * vigilLeast, true, false, 8 * vigilLeast},
		{"calm", 8 * vigilLeast, false, false, 8 * vigilLeast},
		{"kept waiting soon, for such a long time", vigilPart*8*vigilLeast - 1, false, true, 16 * vigilLeast},
		{"calm", 16 * vigilLeast, false, false, 16 * vigilLeast},
		{"kept waiting after a while", vigilPart * 16 * vigilLeast, false, true, vigilLeast},
	} {
		now = now.Add(step.after)
		if step.begin {
			v.begin(now)
		} else if over := v.look(now, step.busy); over == step.busy {
			t.Errorf("%s: over %v", step.what, over)
		}
		if v.length != step.want {
			t.Fatalf("%s: %v long, want %v", step.what, v.length, step.want)
		}
	}
	for range 20 {
		v.look(now, true)
	}
	if v.length != vigilMost {
		t.Errorf("at most %v, want %v", v.length, vigilMost)
	}
}

// sentinelChild has a sentinel watch a loop that is kept waiting twice, on a host that
// is calm and busy as it is told, and tells how its threads are scheduled meanwhile.
func sentinelChild() error {
	scheduling, err := makeUrgent()
	if scheduling == nil {
		return json.NewEncoder(os.Stdout).Encode(watch{Error: err.Error()})
	}
	release := make(chan struct{})
	defer close(release)
	holdThreads(8, release)
	var w watch
	calls := 0
	s := newSentinel(scheduling, func(by time.Duration) error {
		calls++
		w.Ordinary = append(w.Ordinary, threadsBut(unix.Gettid()))
		w.Own = append(w.Own, scheduled(0))
		if calls == 3 {
			return net.ErrClosed
		}
		return nil
	}, func(err error) { w.Error = err.Error() })
	s.vigil.length /= 50
	looks := 0
	s.processors = func() (processorTime, error) {
		if looks++; looks > 1 {
			w.Urgent = append(w.Urgent, threadsBut(0))
		}
		// The first is to compare with, and at the second it has been busy.
		return processorTime{idle: int64(max(0, looks-2)) * 100, all: int64(looks) * 100}, nil
	}
	s.run(context.Background())
	return json.NewEncoder(os.Stdout).Encode(w)
}

// watch is what a child tells of its sentinel.
type watch struct {
	Error            string
	Ordinary, Urgent [][]string // how the threads are scheduled, when it is calm and at each look
	Own              []string   // how the sentinel's is, when it is calm
}

// threadsBut tells how all threads but one are scheduled, each way once.
func threadsBut(but int) (ways []string) {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return []string{err.Error()}
	}
	for _, task := range tasks {
		tid, err := threadID("/proc/self/task/" + task.Name() + "/status")
		if err != nil || tid == but {
			continue
		}
		if way := scheduled(tid); way != unix.ESRCH.Error() {
			ways = append(ways, way)
		}
	}
	slices.Sort(ways)
	return slices.Compact(ways)
}

// The process is in real time from the moment that its loop is kept waiting until the
// host is calm; its sentinel always is.
func TestSentinel(t *testing.T) {
	var w watch
	if out := runChild(t, "sentinel", nil); json.Unmarshal([]byte(out), &w) != nil {
		t.Fatalf("the child said %q", out)
	}
	mustPermit(t, w.Error)
	const urgent = "policy 2, priority 1, nice 0" // SCHED_RR
	want := watch{Own: []string{urgent, urgent, urgent}}
	for range 3 {
		want.Ordinary = append(want.Ordinary, []string{scheduled(0)}) // as these tests
	}
	for range 3 + 1 + 2 { // when it is calm, when it is busy, and two to compare with
		want.Urgent = append(want.Urgent, []string{urgent})
	}
	if got, want := fmt.Sprintf("%+v", w), fmt.Sprintf("%+v", want); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// flaggedChild has threads in real time, one of which starts programs, and then is
// without the privilege that it had for that. It tells how they are scheduled when
// they are to be ordinary, and what comes of being urgent again.
func flaggedChild() error {
	var w watch
	scheduling, err := newScheduling()
	if err == nil {
		err = scheduling.realtime()
	}
	if err != nil {
		return json.NewEncoder(os.Stdout).Encode(watch{Error: err.Error()})
	}
	release := make(chan struct{})
	defer close(release)
	holdThreads(4, release)
	runtime.LockOSThread()
	attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: realtimePriority, Flags: unix.SCHED_FLAG_RESET_ON_FORK}
	if err := unix.SchedSetAttr(0, &attr, 0); err != nil {
		return err
	}
	if err := syscall.Setresuid(nobody, nobody, nobody); err != nil { // of all threads
		return err
	}
	if err := scheduling.ordinary(0); err != nil {
		return err
	}
	w.Ordinary = [][]string{threadsBut(0)}
	if after, err := unix.SchedGetAttr(0, 0); err != nil || after.Flags&unix.SCHED_FLAG_RESET_ON_FORK == 0 {
		return fmt.Errorf("the thread that starts programs has become %+v, %v", after, err)
	}
	s := newSentinel(scheduling, nil, func(err error) { w.Error += err.Error() })
	s.urge()
	s.tell("do something else", errors.ErrUnsupported)
	s.urge()
	return json.NewEncoder(os.Stdout).Encode(w)
}

// A thread whose children are to be ordinary, which only the privileged may undo, does
// not keep the others from changing; and that threads cannot be changed is told.
func TestScheduleWithoutPrivilege(t *testing.T) {
	var w watch
	if out := runChild(t, "flagged", nil); json.Unmarshal([]byte(out), &w) != nil {
		t.Fatalf("the child said %q", out)
	}
	if len(w.Ordinary) == 0 {
		mustPermit(t, w.Error)
	}
	want := watch{Error: "cannot put threads in real time: operation not permittedcannot do something else: unsupported operation", Ordinary: [][]string{{scheduled(0)}}}
	if got, want := fmt.Sprintf("%+v", w), fmt.Sprintf("%+v", want); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
