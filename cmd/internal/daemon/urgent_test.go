package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/config"
	"github.com/holdfast-vrrp/holdfast/healthcheck"
	"github.com/holdfast-vrrp/holdfast/notify"
)

// childMode, in the environment, makes the test program do something else: what
// concerns a whole process is tested in one of its own.
const childMode = "HOLDFAST_TEST_CHILD"

// nobody is a user without any privilege.
const nobody = 65534

func TestMain(m *testing.M) {
	mode := os.Getenv(childMode)
	if mode == "" {
		os.Exit(m.Run())
	}
	child := map[string]func() error{
		"urgent": urgentChild, "limited": limitedChild, "scheduling": schedulingChild, "serve": serveChild, "leave": leaveChild,
		"threads": threadsChild, "chosen": chosenChild, "sentinel": sentinelChild, "flagged": flaggedChild,
	}[mode]
	err := limitMemory()
	if err == nil {
		err = child()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// runChild runs this program in a mode, with the attributes and environment, and
// returns what it printed.
func runChild(t *testing.T, mode string, attr *syscall.SysProcAttr, env ...string) string {
	t.Helper()
	needsRoot(t)
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe") // which others may execute, wherever it is
	cmd.Env = append([]string{childMode + "=" + mode, "GORACE=atexit_sleep_ms=0"}, env...)
	cmd.SysProcAttr = attr
	var out, errors bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errors
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s%.2000s", mode, err, out.String(), errors.String())
	}
	return out.String()
}

func needsRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("HOLDFAST_REQUIRE") == "1" {
		t.Fatal("needs root")
	}
	t.Skip("needs root")
}

// mustPermit skips the test, or has it fail where none may be skipped, if a child told
// why it may not be urgent.
func mustPermit(t *testing.T, reason string) {
	t.Helper()
	switch {
	case reason == "":
	case os.Getenv("HOLDFAST_REQUIRE") == "1":
		t.Fatal(reason)
	default:
		t.Skipf("this host does not permit it: %s", reason)
	}
}

// unprivileged runs a child as nobody with the capabilities alone, in a network
// of its own.
func unprivileged(capabilities ...uintptr) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Credential: &syscall.Credential{Uid: nobody, Gid: nobody}, AmbientCaps: capabilities,
		Cloneflags: unix.CLONE_NEWNET,
	}
}

// memoryLimit, in the environment of a child, bounds how many bytes it may lock.
const memoryLimit = "HOLDFAST_TEST_MEMLOCK"

func limitMemory() error {
	text := os.Getenv(memoryLimit)
	if text == "" {
		return nil
	}
	bytes, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return err
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit); err != nil {
		return err
	}
	limit.Max = min(limit.Max, bytes) // to raise it takes a privilege
	limit.Cur = limit.Max
	return unix.Setrlimit(unix.RLIMIT_MEMLOCK, &limit)
}

// urgency is what a child tells of itself.
type urgency struct {
	Error    string
	Threads  []string // how each is scheduled
	LockedKB int
	Check    string // how a check and a hook are scheduled
	Hook     string
}

func scheduled(tid int) string {
	attr, err := unix.SchedGetAttr(tid, 0)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("policy %d, priority %d, nice %d", attr.Policy, attr.Priority, attr.Nice)
}

func schedulingChild() error {
	_, err := fmt.Print(scheduled(0))
	return err
}

// holdThreads makes threads that stay until release is closed.
func holdThreads(count int, release <-chan struct{}) {
	var up sync.WaitGroup
	up.Add(count)
	for range count {
		go func() {
			runtime.LockOSThread()
			up.Done()
			<-release
		}()
	}
	up.Wait()
}

// urgentChild becomes urgent, while it makes threads, and tells what came of it.
func urgentChild() error {
	release := make(chan struct{})
	defer close(release)
	holdThreads(8, release)
	var meanwhile sync.WaitGroup
	meanwhile.Go(func() { holdThreads(8, release) })
	var u urgency
	if _, err := makeUrgent(); err != nil {
		u.Error = err.Error()
	}
	meanwhile.Wait()
	holdThreads(8, release)
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, task := range tasks {
		tid, _ := strconv.Atoi(task.Name())
		u.Threads = append(u.Threads, scheduled(tid))
	}
	if u.LockedKB, err = lockedKB(); err != nil {
		return err
	}
	if u.Check, err = checkScheduling(); err != nil {
		return err
	}
	if u.Hook, err = hookScheduling(); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(u)
}

// chosenChild was started in real time, as far as it can tell, and tells how its
// threads are scheduled once it is urgent.
func chosenChild() error {
	if err := scheduleThreads(unix.SchedAttr{Policy: unix.SCHED_FIFO, Priority: 7}, 0); err != nil {
		return json.NewEncoder(os.Stdout).Encode(urgency{Error: err.Error()})
	}
	s, err := makeUrgent()
	if err != nil {
		return err
	}
	u := urgency{Threads: threadsBut(0)}
	if !s.chosen() {
		u.Threads = append(u.Threads, "and a sentinel")
	}
	return json.NewEncoder(os.Stdout).Encode(u)
}

func lockedKB() (int, error) {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	_, after, _ := strings.Cut(string(text), "VmLck:")
	return strconv.Atoi(strings.Fields(after)[0])
}

// checkScheduling runs this program as a check.
func checkScheduling() (string, error) {
	p, err := healthcheck.New(healthcheck.Config{
		Name: "scheduling", Interval: time.Minute, Timeout: time.Minute, Retry: time.Second, Rise: 1, Fall: 1,
		Exec: &healthcheck.Exec{Command: []string{"/bin/sh", "-c", "/proc/" + strconv.Itoa(os.Getpid()) + "/exe"}, Env: []string{childMode + "=scheduling"}},
	})
	if err != nil {
		return "", err
	}
	return p.Probe(context.Background())
}

// hookScheduling runs this program as a hook.
func hookScheduling() (string, error) {
	done := make(chan notify.Outcome, 1)
	script := fmt.Sprintf("%s=scheduling /proc/%d/exe", childMode, os.Getpid())
	q := notify.NewQueue([]notify.Config{{Exec: []string{"/bin/sh", "-c", script}, Timeout: time.Minute}}, func(o notify.Outcome) { done <- o })
	if err := q.Post(notify.Event{Sequence: 1, Instance: "web", State: "master", At: time.Now()}); err != nil {
		return "", err
	}
	o := <-done
	return o.Output, o.Err
}

// All threads are urgent, also those made meanwhile and later; what the daemon
// starts is not.
func TestUrgent(t *testing.T) {
	var u urgency
	if out := runChild(t, "urgent", nil); json.Unmarshal([]byte(out), &u) != nil {
		t.Fatalf("the child said %q", out)
	}
	mustPermit(t, u.Error)
	if len(u.Threads) < 24 {
		t.Errorf("only %d threads", len(u.Threads))
	}
	for n, got := range u.Threads {
		if want := "policy 2, priority 1, nice 0"; got != want { // SCHED_RR
			t.Errorf("thread %d has %s, want %s", n, got, want)
		}
	}
	if u.LockedKB == 0 {
		t.Error("no memory is locked")
	}
	want := "policy 0, priority 0, nice 0"
	if u.Check != want || u.Hook != want {
		t.Errorf("a check has %s, a hook %s, want %s", u.Check, u.Hook, want)
	}
}

// Whoever starts the process in real time has it as he wants.
func TestUrgentAsChosen(t *testing.T) {
	var u urgency
	if out := runChild(t, "chosen", nil); json.Unmarshal([]byte(out), &u) != nil {
		t.Fatalf("the child said %q", out)
	}
	mustPermit(t, u.Error)
	if got, want := fmt.Sprint(u.Threads), "[policy 1, priority 7, nice 0]"; got != want { // SCHED_FIFO
		t.Errorf("threads have %s, want %s", got, want)
	}
}

// Who may not be urgent hears why, and nothing is changed.
func TestUrgentIsNotPermitted(t *testing.T) {
	var u urgency
	if out := runChild(t, "urgent", unprivileged(), memoryLimit+"=65536"); json.Unmarshal([]byte(out), &u) != nil {
		t.Fatalf("the child said %q", out)
	}
	for _, want := range []string{"real-time scheduling: operation not permitted", "locked memory: "} {
		if !strings.Contains(u.Error, want) {
			t.Errorf("error %q, want %q", u.Error, want)
		}
	}
	want := scheduled(0) // as these tests
	for n, got := range u.Threads {
		if got != want {
			t.Errorf("thread %d has %s, want %s", n, got, want)
		}
	}
	if u.LockedKB != 0 {
		t.Errorf("%d kB are locked", u.LockedKB)
	}
}

// limitedChild has its memory locked, as far as its limit goes, and then wants
// much more, without using it.
func limitedChild() error {
	err := unix.Mlockall(unix.MCL_FUTURE | unix.MCL_ONFAULT)
	if err != nil {
		return err
	}
	err = unlockLimited()
	var hold [][]byte
	for range 48 {
		hold = append(hold, make([]byte, 128<<20))
	}
	runtime.KeepAlive(hold)
	_, err = fmt.Printf("alive after %v", err)
	return err
}

// A limit that is large enough at first does not kill the process later: behind
// it the kernel would give no memory at all.
func TestUrgentWithLimitedMemory(t *testing.T) {
	out := runChild(t, "limited", unprivileged(), memoryLimit+"=8388608")
	if want := "alive after only 8 MiB are permitted"; out != want {
		t.Errorf("the child said %q, want %q", out, want)
	}
}

// childConfig is a configuration for a network without its interface.
func childConfig() (*config.Config, error) {
	dir := os.Getenv("HOLDFAST_TEST_DIR")
	cfg, _, err := config.Parse("test.toml", fmt.Appendf(nil, `[node]
run_dir = %q
[control]
socket = %q
[[instance]]
name = "web"
interface = "hfnone"
vrid = 51
addresses = ["192.0.2.100/24"]
`, dir, filepath.Join(dir, "socket")))
	return cfg, err
}

// serveChild serves, in a network of its own, until the instance is in fault for
// lack of its interface.
func serveChild() error {
	cfg, err := childConfig()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return Serve(ctx, Setup{Config: cfg, Version: "test", Log: &untilFault{cancel: cancel}})
}

// leaveChild serves as well, but then its log takes nothing any more, and it is told
// to leave. It tells how long that took.
func leaveChild() error {
	cfg, err := childConfig()
	if err != nil {
		return err
	}
	log := &stuckLog{leave: make(chan struct{})}
	if err := Serve(context.Background(), Setup{Config: cfg, Version: "test", Log: log, Leave: log.leave}); err != nil {
		return err
	}
	_, err = fmt.Print(time.Since(log.at))
	return err
}

// stuckLog takes lines until the instance is in fault, and then asks to leave.
type stuckLog struct {
	leave chan struct{}
	at    time.Time
}

func (l *stuckLog) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte("to=fault")) {
		l.at = time.Now()
		close(l.leave)
		select {}
	}
	return len(p), nil
}

// untilFault passes the log on, and ends the daemon when that has an instance in
// fault.
type untilFault struct{ cancel func() }

func (u *untilFault) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte("to=fault")) {
		defer u.cancel()
	}
	return os.Stdout.Write(p)
}

// A daemon that is not permitted to be urgent says so in one line and goes on.
func TestServeWithoutUrgency(t *testing.T) {
	dir, err := os.MkdirTemp("", "hfserve")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chown(dir, nobody, nobody); err != nil && os.Geteuid() == 0 {
		t.Fatal(err)
	}
	out := runChild(t, "serve", unprivileged(unix.CAP_NET_ADMIN, unix.CAP_NET_RAW, unix.CAP_CHOWN), memoryLimit+"=65536", "HOLDFAST_TEST_DIR="+dir)
	for text, want := range map[string]int{
		"a busy host can delay adverts": 1, "[WARN]": 2, "[ERROR]": 0, "real-time scheduling": 1, "locked memory": 1,
		"interface hfnone does not exist": 1, "stopped: ran=": 1,
	} {
		if got := strings.Count(out, text); got != want {
			t.Errorf("%q is in the log %d times, want %d", text, got, want)
		}
	}
	if t.Failed() {
		t.Logf("log:\n%s", out)
	}
}

// A log that takes nothing any more does not hold up the next daemon, which has the
// addresses renewed and speaks in time.
func TestServeLeavesAStuckLog(t *testing.T) {
	out := runChild(t, "leave", &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}, "HOLDFAST_TEST_DIR="+t.TempDir())
	took, err := time.ParseDuration(out)
	if err != nil {
		t.Fatalf("the child said %q", out)
	}
	t.Logf("measured: left after %v", took)
	if took > logPatience/2 {
		t.Errorf("leaving took %v", took)
	}
}
