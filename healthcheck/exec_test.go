package healthcheck

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

func execCheck(argv ...string) Config {
	c := valid()
	c.Exec = &Exec{Command: argv}
	return c
}

// sh is a check that runs a shell with a script and its arguments.
func sh(script string, args ...string) Config {
	return execCheck(append([]string{"/bin/sh", "-c", script, "sh"}, args...)...)
}

func TestExec(t *testing.T) {
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
	tests := []struct {
		name      string
		config    Config
		want      string
		wantError string
	}{
		{"healthy", sh("echo fine"), "fine", ""},
		{"silent", execCheck("/bin/true"), "", ""},
		{"exit status", sh("echo half; echo broken >&2; exit 2"), "half\nbroken", "exit status 2"},
		{"signal", sh("kill -SEGV $$"), "", "signal: segmentation fault"},
		{"arguments as they are", sh(`echo "$1|$2"`, "a  b", "$HOME;*"), "a  b|$HOME;*", ""},
		{"no such program", execCheck("/no/such/program"), "", "start /no/such/program: no such file or directory"},
		{"no such interpreter", execCheck(lost), "", "start " + lost + ": the interpreter in its first line does not exist"},
		{"not executable", execCheck(plain), "", "start " + plain + ": permission denied"},
		{"a directory", execCheck(dir), "", "start " + dir + ": permission denied"},
		{"standard input is empty", sh("cat; echo end"), "end", ""},
		{"working directory", sh("pwd"), "/", ""},
		{"process group of its own", sh(`set -- $(cat /proc/$$/stat); [ $5 = $$ ]`), "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := probeOnce(t, tt.config)
			if got != tt.want || text(err) != tt.wantError {
				t.Errorf("got %q, error %q\nwant %q, error %q", got, text(err), tt.want, tt.wantError)
			}
		})
	}
}

func TestExecEnvironment(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "/run/systemd/notify") // must not leak
	c := execCheck("/usr/bin/env")
	c.Name = "database"
	c.Exec.Env = []string{"A=b c", "EMPTY="}
	got, err := probeOnce(t, c)
	want := "PATH=" + defaultPath + "\nHOLDFAST_CHECK=database\nA=b c\nEMPTY="
	if got != want || err != nil {
		t.Errorf("got\n%s\nerror %v, want\n%s", got, err, want)
	}
}

func TestExecUser(t *testing.T) {
	requireRoot(t)
	for _, user := range []string{"nobody", "65534"} {
		c := sh(`echo $(id -u) $(id -g) $(id -G) $USER $LOGNAME`)
		c.Exec.User = user
		if got, err := probeOnce(t, c); got != "65534 65534 65534 nobody nobody" || err != nil {
			t.Errorf("user %s: got %q, error %v", user, got, err)
		}
	}
}

func TestExecOwnUserNeedsNoPrivilege(t *testing.T) {
	a, err := lookupAccount(strconv.Itoa(os.Geteuid()))
	if err != nil {
		t.Skipf("the user of this test has no account: %v", err)
	}
	if a.credential != nil {
		t.Errorf("credential %+v, want none", a.credential)
	}
}

func TestExecUnknownUserFailsTheProbe(t *testing.T) {
	c := execCheck("/bin/true")
	c.Exec.User = "no-such-user"
	if _, err := probeOnce(t, c); text(err) != `find user "no-such-user": user: unknown user no-such-user` {
		t.Errorf("error %v", err)
	}
}

func TestExecOutputIsBounded(t *testing.T) {
	got, err := probeOnce(t, sh("echo first; head -c 3000000 /dev/zero | tr '\\0' x; echo; echo last; exit 1"))
	if err == nil || len(got) > maxOutput || !strings.HasPrefix(got, "first") || !strings.HasSuffix(got, "last") {
		t.Errorf("error %v, %d bytes: %.20q", err, len(got), got)
	}
}

func TestExecTimesOut(t *testing.T) {
	for name, script := range map[string]string{
		"sleeps":          "sleep 100",
		"ignores SIGTERM": "trap '' TERM; sleep 100 & wait; wait; wait",
		"is a grandchild": "sleep 100 & wait",
	} {
		t.Run(name, func(t *testing.T) {
			c := sh(script)
			c.Timeout = 100 * ms
			r := oneResult(t, c)
			if r.OK || r.Output != "timed out after 100ms" {
				t.Errorf("got %+v", r)
			}
		})
	}
}

// probeUntilReady probes with a script that gets a FIFO as its first argument;
// when something was written there, the probe is cut short. What was written
// is a process number.
func probeUntilReady(t *testing.T, p Prober, fifo string) (pid int, output string, err error) {
	t.Helper()
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
	output, err = p.Probe(ctx)
	pid, convErr := strconv.Atoi(<-ready)
	if convErr != nil {
		t.Fatal(convErr)
	}
	return pid, output, err
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
		time.Sleep(ms)
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

func TestExecKillsTheWholeGroup(t *testing.T) {
	fifo := makeFIFO(t)
	p, err := New(sh(`echo before; sleep 100 & echo $! >"$1"; wait`, fifo))
	if err != nil {
		t.Fatal(err)
	}
	pid, output, err := probeUntilReady(t, p, fifo)
	if !errors.Is(err, context.Canceled) || output != "before" {
		t.Errorf("output %q, error %v", output, err)
	}
	awaitDeath(t, pid)
}

// A check that leaves processes behind would leave one each second.
func TestExecKillsWhatIsLeftBehind(t *testing.T) {
	output, err := probeOnce(t, sh(`sleep 100 & echo $!`))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(output)
	if err != nil {
		t.Fatal(err)
	}
	awaitDeath(t, pid)
}

// One that has left the group is not killed, but it cannot hold the probe by
// keeping the output open.
func TestExecIsNotHeldByADaemon(t *testing.T) {
	fifo := makeFIFO(t)
	output, err := probeOnce(t, sh(`setsid sh -c 'echo started; echo $$ >"$1"; exec sleep 100' sh "$1" & cat "$1"`, fifo))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(output)
	if len(fields) != 2 || fields[0] != "started" {
		t.Fatalf("output %q", output)
	}
	pid, err := strconv.Atoi(fields[1])
	if err != nil {
		t.Fatal(err)
	}
	if !alive(pid) {
		t.Errorf("process %d, which left the group, is dead", pid)
	}
	syscall.Kill(pid, syscall.SIGKILL)
}

func TestExecDoesNotPileUp(t *testing.T) {
	fifo := makeFIFO(t)
	p := newExec("c", sh(`echo $$ >"$1"; [ -e "$1.second" ] || exec sleep 100`, fifo).Exec)
	p.kill = func(*process) {} // as if stuck in the kernel
	pid, output, err := probeUntilReady(t, p, fifo)
	if want := fmt.Sprintf("process %d does not die", pid); !errors.Is(err, context.Canceled) || output != want {
		t.Errorf("output %q, error %v", output, err)
	}

	ctx, cancel := context.WithTimeout(t.Context(), 10*ms)
	defer cancel()
	_, err = p.Probe(ctx)
	if want := fmt.Sprintf("process %d of an earlier probe does not die", pid); text(err) != want {
		t.Errorf("error %v, want %s", err, want)
	}

	if err := os.WriteFile(fifo+".second", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	syscall.Kill(pid, syscall.SIGKILL)
	p.kill = (*process).kill
	go os.ReadFile(fifo)
	ctx, cancel = context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := p.Probe(ctx); err != nil {
		t.Errorf("once it is dead: %v", err)
	}
}

// The number of open files stays what it was.
func TestExecLeaksNothing(t *testing.T) {
	p, err := New(sh("echo hello; exit 1"))
	if err != nil {
		t.Fatal(err)
	}
	count := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	p.Probe(t.Context())
	before := count()
	for range 10 {
		if _, err := p.Probe(t.Context()); text(err) != "exit status 1" {
			t.Fatal(err)
		}
	}
	if after := count(); after > before {
		t.Errorf("%d open files before, %d after", before, after)
	}
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

// A host without room for another process is told from one without the program.
func TestStartErrorNoRoom(t *testing.T) {
	err := startError("/bin/true", &os.PathError{Op: "fork/exec", Path: "/bin/true", Err: syscall.EAGAIN})
	want := "start /bin/true: resource temporarily unavailable: no room for another process (TasksMax= of the unit, or the host's limits)"
	if err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
}
