package notify

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// sh is a hook that runs a shell with a script and its arguments.
func sh(script string, args ...string) Config {
	return Config{Exec: append([]string{"/bin/sh", "-c", script, "sh"}, args...), Timeout: 10 * time.Second}
}

func run(t *testing.T, c Config) Outcome {
	t.Helper()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	e := sample()
	return runHook(t.Context(), &c, &e)
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestHook(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	plain := write("plain", "#!/bin/sh\n", 0o644)
	lost := write("lost", "#!/no/such/interpreter\n", 0o755)
	program := func(argv ...string) Config { return Config{Exec: argv, Timeout: 10 * time.Second} }
	keepalived := sh(`echo "$@"`)
	keepalived.Style = Keepalived
	tests := []struct {
		name      string
		hook      Config
		want      string
		wantError string
	}{
		{"good", sh("echo out; echo err >&2"), "out\nerr", ""},
		{"exit status", sh("echo no such volume; exit 3"), "no such volume", "exit status 3"},
		{"signal", sh("kill -KILL $$"), "", "signal: killed"},
		{"environment", sh(`echo $HOLDFAST_INSTANCE $HOLDFAST_STATE "$HOLDFAST_ADDRESSES"`), "web master 192.0.2.100/24 2001:db8::100/128", ""},
		{"standard input", sh(`head -c 47`), `{"version":1,"sequence":17,"node":"lb1","instan`, ""},
		{"standard input ends", sh(`cat >/dev/null; echo end`), "end", ""},
		{"does not read", program("/bin/true"), "", ""},
		{"closes standard input", sh("exec <&-; echo fine"), "fine", ""},
		{"arguments of keepalived", keepalived, "INSTANCE web MASTER 150", ""},
		{"working directory", sh("pwd"), "/", ""},
		{"no such program", program("/no/such/program"), "", "start /no/such/program: no such file or directory"},
		{"no such interpreter", program(lost), "", "start " + lost + ": the interpreter in its first line does not exist"},
		{"not executable", program(plain), "", "start " + plain + ": permission denied"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := run(t, tt.hook)
			if o.Output != tt.want || text(o.Err) != tt.wantError {
				t.Errorf("got %q, error %q\nwant %q, error %q", o.Output, text(o.Err), tt.want, tt.wantError)
			}
			if o.Event.Sequence != 17 || o.Started.IsZero() || o.Duration <= 0 {
				t.Errorf("outcome %+v lacks something", o)
			}
			e := sample()
			if want := commandLine(tt.hook.arguments(&e)); o.Hook != want {
				t.Errorf("hook %q, want %q", o.Hook, want)
			}
		})
	}
}

// A hook runs however many addresses there are: the environment has as many as it may,
// standard input all.
func TestHookOfManyAddresses(t *testing.T) {
	e := sample()
	e.Addresses = nil
	for n := range 5000 {
		e.Addresses = append(e.Addresses, fmt.Sprintf("2001:db8:1111:2222:3333:4444:5555:%x/128", 0x1000+n))
	}
	c := sh(`set -- $HOLDFAST_ADDRESSES; echo $#; eval "echo \${$#}"; tr , '\n' | grep -c /128`)
	o := runHook(t.Context(), &c, &e)
	var count, all int
	var last string
	if _, err := fmt.Sscan(o.Output, &count, &last, &all); err != nil || o.Err != nil {
		t.Fatalf("%q, %v, %v", o.Output, o.Err, err)
	}
	if room := maxVariable / len(" "+e.Addresses[0]); count < room-1 || count > room || last != e.Addresses[count-1] || all != len(e.Addresses) {
		t.Errorf("the environment has %d addresses up to %s, standard input %d; want about %d and %d", count, last, all, room, len(e.Addresses))
	}
}

func TestHookInheritsNoEnvironment(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "/run/systemd/notify")
	o := run(t, Config{Exec: []string{"/usr/bin/env"}, Timeout: 10 * time.Second})
	e := sample()
	if want := strings.Join(e.environment(), "\n"); o.Output != want {
		t.Errorf("got\n%s\nwant\n%s", o.Output, want)
	}
}

// A message that does not fit into a pipe is no reason to wait for a hook that
// does not read it.
func TestHookNeedNotReadMuch(t *testing.T) {
	for name, script := range map[string]string{"exits": "exit 0", "leaves one that holds it": "sleep 100 & exec >/dev/null 2>&1; exit 0"} {
		t.Run(name, func(t *testing.T) {
			input := make([]byte, 1<<20)
			p, err := start(&launching{}, sh(script).Exec, nil, input)
			if err != nil {
				t.Fatal(err)
			}
			_, err = p.wait()
			if err != nil {
				t.Error(err)
			}
			syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		})
	}
}

func TestHookOutputIsBounded(t *testing.T) {
	o := run(t, sh("echo first; head -c 3000000 /dev/zero | tr '\\0' x; echo; echo last; exit 1"))
	if len(o.Output) > maxOutput || !strings.HasPrefix(o.Output, "first") || !strings.HasSuffix(o.Output, "last") {
		t.Errorf("%d bytes: %.20q", len(o.Output), o.Output)
	}
}

func TestHookTimesOut(t *testing.T) {
	for name, script := range map[string]string{
		"sleeps":                 "sleep 100",
		"waits for a grandchild": "sleep 100 & wait",
		"ignores SIGTERM":        "trap '' TERM; sleep 100",
	} {
		t.Run(name, func(t *testing.T) {
			c := sh(script)
			c.Timeout = 50 * time.Millisecond
			if o := run(t, c); text(o.Err) != "timed out after 50ms" || o.Output != "" {
				t.Errorf("output %q, error %v", o.Output, o.Err)
			}
		})
	}
}

// runUntilReady runs a hook that gets a FIFO as its first argument; when
// something was written there, the hook is killed. What was written is the
// number of a process.
func runUntilReady(t *testing.T, script string) (pid int, o Outcome) {
	t.Helper()
	fifo := makeFIFO(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ready := make(chan string, 1)
	go func() {
		defer cancel()
		b, err := os.ReadFile(fifo)
		if err != nil {
			t.Error(err)
		}
		ready <- strings.TrimSpace(string(b))
	}()
	c, e := sh(script, fifo), sample()
	o = runHook(ctx, &c, &e)
	pid, err := strconv.Atoi(<-ready)
	if err != nil {
		t.Fatal(err)
	}
	return pid, o
}

func makeFIFO(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// awaitDeath waits until a process is gone, or a zombie that nobody reaps.
func awaitDeath(t *testing.T, pid int) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for alive(pid) {
		if time.Now().After(deadline) {
			t.Fatalf("process %d is still alive", pid)
		}
		time.Sleep(time.Millisecond)
	}
}

func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return !strings.HasPrefix(rest, "Z") && !strings.HasPrefix(rest, "X")
}

func TestHookIsKilledWithAllItStarted(t *testing.T) {
	tests := map[string]struct{ script, output string }{
		"grandchild":                       {`echo before; sleep 100 & echo $! >"$1"; wait`, "before"},
		"grandchild that ignores SIGTERM":  {`(trap '' TERM; exec sleep 100) & echo $! >"$1"; wait`, ""},
		"program that ignores it":          {`trap '' TERM; sleep 100 & echo $$ >"$1"; wait`, ""},
		"program that cleans up":           {`trap 'echo bye; exit 0' TERM; sleep 100 & echo $! >"$1"; wait`, "bye"},
		"grandchild without its parent":    {`sleep 100 & echo $! >"$1"; exec sleep 100`, ""},
		"program that is stopped":          {`sleep 100 & echo $! >"$1"; kill -STOP $$`, ""},
		"program that reads and then some": {`cat >/dev/null; echo $$ >"$1"; exec sleep 100`, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			pid, o := runUntilReady(t, tt.script)
			if !errors.Is(o.Err, ErrClosed) || o.Output != tt.output {
				t.Errorf("output %q, error %v", o.Output, o.Err)
			}
			awaitDeath(t, pid)
		})
	}
}

// One that is stuck in the kernel does not hold the line.
func TestHookThatDoesNotDie(t *testing.T) {
	p, err := start(&launching{}, []string{"/bin/sleep", "100"}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	stuck := *p
	stuck.exited = make(chan struct{})
	if got, want := abort(&stuck, graceTime), fmt.Sprintf("process %d does not die", p.cmd.Process.Pid); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	close(stuck.exited)
	awaitDeath(t, p.cmd.Process.Pid)
}

// A hook may start a daemon, even one that keeps its output open: the hook is
// done when it exits, and the daemon lives.
func TestHookMayLeaveADaemon(t *testing.T) {
	for name, script := range map[string]string{
		"in its group": `sleep 100 & echo $!`,
		"in a session": `setsid sleep 100 & echo $!`,
	} {
		t.Run(name, func(t *testing.T) {
			o := run(t, sh(script))
			if o.Err != nil {
				t.Fatal(o.Err)
			}
			pid, err := strconv.Atoi(o.Output)
			if err != nil {
				t.Fatal(err)
			}
			if !alive(pid) {
				t.Error("the daemon is dead")
			}
			syscall.Kill(pid, syscall.SIGKILL)
		})
	}
}

func TestHookLeaksNothing(t *testing.T) {
	count := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	run(t, sh("exit 0"))
	before := count()
	for range 10 {
		if o := run(t, sh("echo hello; exit 1")); text(o.Err) != "exit status 1" {
			t.Fatal(o.Err)
		}
		if o := run(t, Config{Exec: []string{"/no/such/program"}, Timeout: time.Second}); o.Err == nil {
			t.Fatal("started what does not exist")
		}
	}
	if after := count(); after > before {
		t.Errorf("%d open files before, %d after", before, after)
	}
}

// A host without room for another process is told from one without the program.
func TestStartErrorNoRoom(t *testing.T) {
	err := startError("/bin/true", &os.PathError{Op: "fork/exec", Path: "/bin/true", Err: syscall.EAGAIN})
	want := "start /bin/true: resource temporarily unavailable: no room for another process (TasksMax= of the unit, or the host's limits)"
	if err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
}
