package notify

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// TestMain also is the program that tells how it is scheduled.
func TestMain(m *testing.M) {
	if os.Getenv("HOLDFAST_TEST_CHILD") == "scheduling" {
		attr, err := unix.SchedGetAttr(0, 0)
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Printf("policy %d, priority %d, nice %d\n", attr.Policy, attr.Priority, attr.Nice)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func requireRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("HOLDFAST_REQUIRE") == "1" {
		t.Fatal("needs root")
	}
	t.Skip("needs root")
}

// scheduled calls f on a thread of its own that runs with attr; the thread ends
// with it.
func scheduled(t *testing.T, attr unix.SchedAttr, f func()) {
	t.Helper()
	attr.Size = unix.SizeofSchedAttr
	failed := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked
		err := unix.SchedSetAttr(0, &attr, 0)
		if err == nil {
			f()
		}
		failed <- err
	}()
	if err := <-failed; err != nil {
		if os.Getenv("HOLDFAST_REQUIRE") == "1" {
			t.Fatalf("this host permits no such scheduling: %v", err)
		}
		t.Skipf("this host permits no such scheduling: %v", err)
	}
}

// A hook runs like any other program, however urgent the thread that starts it
// is, which stays so.
func TestHookIsOrdinary(t *testing.T) {
	requireRoot(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		attr unix.SchedAttr
		want string
	}{
		{"round robin", unix.SchedAttr{Policy: unix.SCHED_RR, Priority: 1}, "policy 0, priority 0, nice 0"},
		{"first in, first out", unix.SchedAttr{Policy: unix.SCHED_FIFO, Priority: 7}, "policy 0, priority 0, nice 0"},
		{"favoured", unix.SchedAttr{Policy: unix.SCHED_NORMAL, Nice: -5}, "policy 0, priority 0, nice 0"},
		{"ordinary", unix.SchedAttr{Policy: unix.SCHED_NORMAL}, "policy 0, priority 0, nice 0"},
		{"held back by its user", unix.SchedAttr{Policy: unix.SCHED_NORMAL, Nice: 5}, "policy 0, priority 0, nice 5"},
	} {
		t.Run(c.name, func(t *testing.T) {
			scheduled(t, c.attr, func() {
				hook := sh("HOLDFAST_TEST_CHILD=scheduling exec \"$1\"", self)
				event := sample()
				p, err := start(&launching{}, hook.Exec, event.environment(), nil)
				if err != nil {
					t.Error(err)
					return
				}
				if output, err := p.wait(); output != c.want || err != nil {
					t.Errorf("the hook: %q, error %v, want %q", output, err, c.want)
				}
				after, err := unix.SchedGetAttr(0, 0)
				if err != nil || after.Policy != c.attr.Policy || after.Priority != c.attr.Priority || after.Nice != c.attr.Nice {
					t.Errorf("the thread has become %+v, error %v, was %+v", after, err, c.attr)
				}
			})
		})
	}
}

// A hook that was started by a thread that became urgent meanwhile does not stay so.
func TestDemote(t *testing.T) {
	requireRoot(t)
	scheduled(t, unix.SchedAttr{Policy: unix.SCHED_RR, Priority: 1}, func() {
		child := exec.Command("/bin/sleep", "60")
		if err := child.Start(); err != nil {
			t.Error(err)
			return
		}
		defer child.Wait()
		defer child.Process.Kill()
		for _, want := range []uint32{unix.SCHED_RR, unix.SCHED_NORMAL} {
			if attr, err := unix.SchedGetAttr(child.Process.Pid, 0); err != nil || attr.Policy != want {
				t.Errorf("the child has %+v, error %v, want policy %d", attr, err, want)
			}
			demote(child.Process.Pid)
		}
	})
}

// What goes wrong at the start leaves the thread as it was, and comes back.
func TestOrdinaryPassesErrors(t *testing.T) {
	requireRoot(t)
	want := errors.New("no such program")
	scheduled(t, unix.SchedAttr{Policy: unix.SCHED_RR, Priority: 1}, func() {
		if err := ordinary(func() error { return want }); err != want {
			t.Errorf("error %v", err)
		}
		if after, err := unix.SchedGetAttr(0, 0); err != nil || after.Policy != unix.SCHED_RR {
			t.Errorf("the thread has become %+v, error %v", after, err)
		}
	})
}
