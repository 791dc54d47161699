package notify

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// noFiles leaves this process no file descriptor until the function is called.
func noFiles(t *testing.T) (enough func()) {
	t.Helper()
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open("/dev/null") // the lowest that is free
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(f.Fd()), Max: was.Max}); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
			t.Error(err)
		}
	}
}

// A hook that the host has no room for runs once there is some, within its timeout.
func TestHookIsStartedLater(t *testing.T) {
	c := sh("echo ran")
	c.Timeout = 20 * time.Second
	enough := noFiles(t)
	time.AfterFunc(300*time.Millisecond, enough)
	o := runHook(t.Context(), &c, &Event{Instance: "web", State: "master"})
	if o.Err != nil || o.Output != "ran" || o.Duration < 250*time.Millisecond {
		t.Errorf("after %v: %q, %v", o.Duration, o.Output, o.Err)
	}
}

// When there is none all the while, the outcome says that it never ran.
func TestHookNeverRan(t *testing.T) {
	c := sh("echo ran")
	c.Timeout = 300 * time.Millisecond
	defer noFiles(t)()
	o := runHook(t.Context(), &c, &Event{Instance: "web", State: "master"})
	if !errors.Is(o.Err, syscall.EMFILE) || !strings.HasPrefix(text(o.Err), "never ran, tried for 300ms: start /bin/sh: ") {
		t.Errorf("%q, %v", o.Output, o.Err)
	}
}

// What no time mends is told at once.
func TestHookThatCannotBeStartedAtAll(t *testing.T) {
	c := Config{Exec: []string{"/nonexistent/hook"}, Timeout: 10 * time.Second}
	if o := runHook(t.Context(), &c, &Event{}); o.Err == nil || o.Duration > 5*time.Second {
		t.Errorf("after %v: %v", o.Duration, o.Err)
	}
}
