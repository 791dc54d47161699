package daemon

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestHooks runs real programs, in order.
func TestHooks(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "out")
	script := filepath.Join(dir, "hook")
	text := fmt.Sprintf("#!/bin/sh\necho \"$1 $2 $3 $4\" >>%s\n", out)
	if err := os.WriteFile(script, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	hook := fmt.Sprintf("[[notify]]\nexec = [%q]\nstyle = \"keepalived\"", script)
	inBubble(t, func(t *testing.T, lan *network) {
		a := startNode(t, lan, "a", 1, conf(150, "1s", hook))
		await(t, 5*time.Second, "a", a)
		a.kernel.SetCarrier("eth0", false)
		await(t, time.Second, "", a)
		a.kernel.SetCarrier("eth0", true)
		await(t, 5*time.Second, "a", a)
		a.stop()
		got, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		want := `INSTANCE web BACKUP 150
INSTANCE web MASTER 150
INSTANCE web FAULT 150
INSTANCE web BACKUP 150
INSTANCE web MASTER 150
INSTANCE web STOP 150
`
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("hooks (-want +got):\n%s", diff)
		}
	})
}

// TestHookFails counts and tells a hook that fails.
func TestHookFails(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		hook := "[[notify]]\non = [\"master\"]\nexec = [\"/bin/sh\", \"-c\", \"echo what a pity; exit 3\"]"
		a := startNode(t, lan, "a", 1, conf(150, "1s", hook))
		await(t, 5*time.Second, "a", a)
		time.Sleep(time.Second)
		if n := a.status().Daemon.HooksFailed; n != 1 {
			t.Errorf("%d failed hooks counted, want 1", n)
		}
		if !strings.Contains(a.log.String(), "what a pity") || a.log.count("hook failed") != 1 {
			t.Errorf("log:\n%s", a.log)
		}
		a.stop()
	})
}

// TestHookCheck tells of a check that fails, and not of one that a reload begins
// anew and that is as it was.
func TestHookCheck(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	inBubble(t, func(t *testing.T, lan *network) {
		service := listener(t, "127.0.0.1:0")
		with := func(interval string) string {
			return conf(150, "1s", fmt.Sprintf("[[check]]\nname = \"service\"\ntcp = %q\ninterval = %q\nretry = \"10ms\"\n[[notify]]\non = [\"check\"]\nexec = [\"/bin/sh\", \"-c\", \"echo $HOLDFAST_CHANGE >>%s\"]",
				service.Addr(), interval, out))
		}
		told := func(when, want string) {
			t.Helper()
			time.Sleep(3 * time.Second)
			if got, _ := os.ReadFile(out); string(got) != want {
				t.Errorf("%s the hook was told %q, want %q", when, got, want)
			}
		}
		a := startNode(t, lan, "a", 1, with("100ms"))
		await(t, 5*time.Second, "a", a)
		told("at the start", "")
		a.edit(with("200ms"))
		if _, err := (backend{a.d}).Reload(t.Context(), "tester"); err != nil {
			t.Fatal(err)
		}
		told("after a reload", "")
		service.Close()
		told("when it fails", "failing\n")
		a.stop()
	})
}

// TestHookStorm changes the state of many instances at once, each with a hook
// that hangs, by the real clock: while forty programs start and are killed no
// backup would have noticed anything.
func TestHookStorm(t *testing.T) {
	const instances = 40
	var b strings.Builder
	b.WriteString("[node]\nname = \"test\"\n[[notify]]\nexec = [\"/bin/sleep\", \"60\"]\ntimeout = \"300ms\"\n")
	for n := 1; n <= instances; n++ {
		fmt.Fprintf(&b, "[[instance]]\nname = \"i%d\"\ninterface = \"eth0\"\nvrid = %d\naddresses = [\"198.51.100.%d\"]\nadvert_interval = \"100ms\"\n", n, n, n)
	}
	lan := newNetwork()
	late := lateness(t)
	a := startNode(t, lan, "a", 1, b.String())
	masters := func() (n int) {
		for _, i := range a.status().Instances {
			if i.State == "master" {
				n++
			}
		}
		return n
	}
	for deadline := time.Now().Add(10 * time.Second); masters() < instances; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d instances became master", masters(), instances)
		}
	}
	// Each has its backup hook running and its master hook waiting by now.
	killed := func() uint64 { return a.status().Daemon.HooksFailed }
	for began := time.Now(); time.Since(began) < 1500*time.Millisecond || killed() < instances; time.Sleep(20 * time.Millisecond) {
		if n := masters(); n != instances {
			t.Fatalf("%d of %d instances are master", n, instances)
		}
		if time.Since(began) > 30*time.Second {
			t.Fatalf("%d hooks were killed, want at least %d: there was no storm", killed(), instances)
		}
	}
	failed := killed()
	a.stop()
	machine := late()
	worst, lost := time.Duration(0), time.Duration(0) // the longest pause, and what the machine took of it
	for vrid := range instances {
		list := lan.adverts("a", byte(vrid+1))
		for n := 1; n < len(list); n++ {
			from, to := list[n-1].at, list[n].at
			if took := machine(from, to); to.Sub(from)-took > worst-lost {
				worst, lost = to.Sub(from), took
			}
		}
	}
	t.Logf("measured: longest pause between two adverts %v at 100ms, of which the machine itself took %v; %d hooks killed", worst, lost, failed)
	if most := down(100*time.Millisecond, 100); worst-lost > most {
		t.Errorf("an advert was so late (%v, the machine %v) that a backup would have taken over (%v)", worst, lost, most)
	}
}

// lateness measures by how much this machine, busy with other things, wakes a
// goroutine too late that has nothing to do with the daemon. The function it
// returns ends that, and gives another that adds up what was lost in a time.
func lateness(t *testing.T) (stop func() func(from, to time.Time) time.Duration) {
	t.Helper()
	type delay struct {
		due  time.Time
		late time.Duration
	}
	end, all := make(chan struct{}), make(chan []delay, 1)
	go func() {
		var list []delay
		const step = 5 * time.Millisecond
		for {
			due := time.Now().Add(step)
			select {
			case <-end:
				all <- list
				return
			case <-time.After(step):
				if late := time.Since(due); late > time.Millisecond {
					list = append(list, delay{due, late})
				}
			}
		}
	}()
	return func() func(from, to time.Time) time.Duration {
		close(end)
		list := <-all
		return func(from, to time.Time) (lost time.Duration) {
			for _, d := range list {
				begin, until := d.due, d.due.Add(d.late)
				if begin.Before(from) {
					begin = from
				}
				if until.After(to) {
					until = to
				}
				lost += max(0, until.Sub(begin))
			}
			return lost
		}
	}
}

// Who asks for the state while the last hooks run is told: it may be one of them,
// which would wait for its own end.
func TestStateIsToldWhileHooksEnd(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		a := startNode(t, lan, "a", 1, conf(150, "1s", ""))
		await(t, 5*time.Second, "a", a)
		a.stop()
		a.d.ended = make(chan struct{}) // as when the loop has just ended
		quit := a.d.standIn()
		defer quit()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		st, err := backend{a.d}.Status(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if got := st.Instances[0].State; got != "init" {
			t.Errorf("the state is %s, want init", got)
		}
	})
}
