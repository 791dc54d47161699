package healthcheck

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"
)

// A check whose program the kernel does not load fails, like any other that takes too
// long, holds up no other one, and passes as soon as the program can be loaded.
func TestCheckWhoseStartHangs(t *testing.T) {
	for _, user := range []string{"", "nobody"} {
		t.Run("user "+user, func(t *testing.T) {
			program := makeUnloadable(t)
			c := execCheck(program.path)
			c.Exec.User = user
			c.Timeout = 300 * ms
			p := newExec("hangs", c.Exec)
			results := make(chan Result)
			for n := range 3 {
				go func() { results <- probe(t.Context(), c, p) }()
				if n == 0 { // beside it
					if output, err := probeOnce(t, sh("echo fine")); output != "fine" || err != nil {
						t.Errorf("another check: %q, %v", output, err)
					}
				}
				r := awaitResult(t, results, program.answer)
				want := "timed out after 300ms: the kernel has not loaded " + program.path + " (a file server or a scanner of files that does not answer?)"
				if r.OK || !strings.HasPrefix(r.Output, want) {
					t.Errorf("got %+v", r)
				}
				t.Logf("reported after %v", r.Duration)
			}
			program.answer()
			if r := probe(t.Context(), c, p); !r.OK || r.Output != "fine" {
				t.Errorf("once the kernel can load it: %+v", r)
			}
		})
	}
}

// awaitResult waits for the result of a check whose start hangs, which must not hang too.
func awaitResult(t *testing.T, results <-chan Result, answer func()) Result {
	t.Helper()
	select {
	case r := <-results:
		return r
	case <-time.After(10 * time.Second):
		answer()
		<-results
		t.Fatal("no result for 10 s")
		panic("not reached")
	}
}

// However many hang, threads are left to end them, and for checks that can be started.
func TestManyWhoseStartsHang(t *testing.T) {
	program := makeUnloadable(t)
	c := execCheck(program.path)
	c.Timeout = 500 * ms
	results := make(chan Result)
	for range 2 * runtime.GOMAXPROCS(0) {
		go func() { results <- probe(t.Context(), c, newExec("hangs", c.Exec)) }()
	}
	for range 2 * runtime.GOMAXPROCS(0) {
		if r := awaitResult(t, results, program.answer); r.OK || !strings.HasPrefix(r.Output, "timed out after 500ms: ") {
			t.Errorf("got %+v", r)
		}
	}
	if output, err := probeOnce(t, sh("echo fine")); output != "fine" || err != nil {
		t.Errorf("another check: %q, %v", output, err)
	}
}

// One that cannot be killed either is told of, and no further one is started.
func TestCheckWhoseStartDoesNotEnd(t *testing.T) {
	var e execProber
	e.config, e.account = &Exec{Command: []string{"/bin/stuck"}}, &account{}
	release := make(chan struct{})
	ctx, cancel := context.WithTimeout(t.Context(), 10*ms)
	defer cancel()
	ended := make(chan struct{})
	_, err := launch(ctx, "/bin/stuck", func() { close(ended) }, func(*launching) (*process, error) {
		<-release
		return nil, errors.New("no longer there")
	})
	late, ok := errors.AsType[*lateError](err)
	if !ok || !strings.HasSuffix(late.why, ", and does not give it up") {
		t.Fatalf("error %v", err)
	}
	defer hung.Delete("/bin/stuck")
	output, err := e.tooLate(ctx, late)
	if output != late.why || err != context.DeadlineExceeded {
		t.Errorf("output %q, error %v", output, err)
	}
	next, cancel := context.WithTimeout(t.Context(), 10*ms)
	defer cancel()
	if _, err := e.Probe(next); text(err) != "the start of /bin/stuck by an earlier probe hangs in the kernel" {
		t.Errorf("the next probe: %v", err)
	}
	close(release)
	<-ended
	if err := e.awaitStuck(t.Context()); err != nil || e.stuck != nil {
		t.Errorf("once it is over: %v", err)
	}
}

// Nobody but the child that is no program yet is killed: not what the same thread
// started before.
func TestProgramsThatRunAreNotKilled(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.Command("/bin/sleep", "100")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	var l launching
	_ = l.fork(func() error {
		children, err := os.ReadFile("/proc/" + l.thread + "/children")
		if err != nil || !strings.Contains(" "+string(children), fmt.Sprintf(" %d ", cmd.Process.Pid)) {
			t.Errorf("the children of the thread are %q, %v, without %d", children, err, cmd.Process.Pid)
		}
		l.killChild()
		return nil
	})
	if l.killed || !alive(cmd.Process.Pid) {
		t.Error("it is dead")
	}
	if l.thread != "" {
		t.Errorf("afterwards thread %s is still taken to wait", l.thread)
	}
}
