package notify

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

// A hook that the kernel does not load times out like any other, and the queue goes on
// beside it and behind it.
func TestHookWhoseStartHangs(t *testing.T) {
	program := makeUnloadable(t)
	outcomes := make(chan Outcome, 10)
	hangs, fine := Config{Exec: []string{program.path}, Timeout: 300 * time.Millisecond}, sh("echo fine")
	hangs.Instances, hangs.On = []string{"a"}, []string{"master"}
	q := NewQueue([]Config{hangs, fine}, func(o Outcome) { outcomes <- o })
	next := func() Outcome {
		t.Helper()
		select {
		case o := <-outcomes:
			return o
		case <-time.After(10 * time.Second):
			program.answer()
			t.Fatal("no outcome for 10 s")
			panic("not reached")
		}
	}
	isFine := func(o Outcome, instance string, state string) {
		t.Helper()
		if o.Event.Instance != instance || o.Event.State != state || o.Err != nil || o.Output != "fine" {
			t.Errorf("got %+v, want that of %s for %s", o, instance, state)
		}
	}
	for _, instance := range []string{"a", "b"} {
		e := sample()
		e.Instance, e.State = instance, "master"
		if err := q.Post(e); err != nil {
			t.Fatal(err)
		}
	}
	isFine(next(), "b", "master")
	o := next()
	want := "the kernel has not loaded " + program.path + " (a file server or a scanner of files that does not answer?)"
	if o.Event.Instance != "a" || text(o.Err) != "timed out after 300ms" || !strings.HasPrefix(o.Output, want) {
		t.Errorf("got %+v", o)
	}
	t.Logf("reported after %v", o.Duration)
	isFine(next(), "a", "master")

	program.answer()
	e := sample()
	e.Instance, e.State = "a", "master"
	if err := q.Post(e); err != nil {
		t.Fatal(err)
	}
	isFine(next(), "a", "master")
	isFine(next(), "a", "master")
	if err := q.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// Who leaves does not wait for the kernel to load a hook, which is left to the next one.
func TestLeaveWhileAStartHangs(t *testing.T) {
	program := makeUnloadable(t)
	outcomes := make(chan Outcome, 10)
	q := NewQueue([]Config{{Exec: []string{program.path}, Timeout: time.Minute}}, func(o Outcome) { outcomes <- o })
	if err := q.Post(sample()); err != nil {
		t.Fatal(err)
	}
	program.await()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	left := q.Leave(ctx)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
	if o := <-outcomes; !errors.Is(o.Err, ErrLeft) || len(left) != 1 || len(left[0].Ran) != 0 {
		t.Errorf("got %+v, left %+v", o, left)
	}
}

// One that cannot be killed either holds nobody up for long.
func TestHookWhoseStartDoesNotEnd(t *testing.T) {
	defer hung.Delete("/bin/stuck")
	release, ended := make(chan struct{}), make(chan struct{})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, err := launch(ctx, "/bin/stuck", func() { close(ended) }, func(*launching) (*process, error) {
		<-release
		return nil, errors.New("no longer there")
	})
	late, ok := errors.AsType[*lateError](err)
	if !ok || !strings.HasSuffix(late.why, ", and does not give it up") {
		t.Fatalf("error %v", err)
	}
	close(release)
	<-ended
	<-late.gone
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
