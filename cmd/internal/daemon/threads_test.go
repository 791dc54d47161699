package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/config"
	"github.com/holdfast-vrrp/holdfast/healthcheck"
	"github.com/holdfast-vrrp/holdfast/notify"
	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// alone is a user whom no other process belongs to: the kernel counts by user.
const alone = 61987

// threadsChild serves until the instance is in fault. Then it may make no more
// threads and processes, and needs many.
func threadsChild() error {
	cfg, err := childConfig()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var starved error
	err = Serve(ctx, Setup{Config: cfg, Version: "test", Log: &atFault{func() {
		defer cancel()
		starved = starve()
	}}})
	return errors.Join(err, starved)
}

func starve() error {
	if err := unix.Setrlimit(unix.RLIMIT_NPROC, &unix.Rlimit{Cur: 1, Max: 1}); err != nil {
		return err
	}
	if err := exec.Command("/bin/true").Run(); !errors.Is(err, unix.EAGAIN) {
		return fmt.Errorf("starting a program: %w, want EAGAIN", err)
	}
	reserveThreads(ownThreads - 4) // a few wait in the kernel now and then
	_, err := fmt.Println("needed many threads")
	return err
}

// atFault calls a function when an instance is in fault.
type atFault struct{ call func() }

func (a *atFault) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte("to=fault")) {
		a.call()
	}
	return os.Stdout.Write(p)
}

// A host that gives no more threads, nor processes, does not end the daemon.
func TestServeWithoutMoreThreads(t *testing.T) {
	dir, err := os.MkdirTemp("", "hfserve")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chown(dir, alone, alone); err != nil && os.Geteuid() == 0 {
		t.Fatal(err)
	}
	attr := unprivileged(unix.CAP_NET_ADMIN, unix.CAP_NET_RAW, unix.CAP_CHOWN)
	attr.Credential = &syscall.Credential{Uid: alone, Gid: alone}
	out := runChild(t, "threads", attr, "HOLDFAST_TEST_DIR="+dir)
	for _, want := range []string{"needed many threads", "stopped: ran="} {
		if !strings.Contains(out, want) {
			t.Errorf("the log lacks %q:\n%s", want, out)
		}
	}
}

func TestThreadsFor(t *testing.T) {
	script := healthcheck.Config{Exec: &healthcheck.Exec{}}
	for name, c := range map[string]struct {
		cfg  config.Config
		want int
	}{
		"nothing is run":           {config.Config{Instances: make([]vrrp.Config, 3), Checks: []healthcheck.Config{{}}}, ownThreads},
		"a script":                 {config.Config{Checks: []healthcheck.Config{{}, script}}, ownThreads + 1},
		"hooks of three instances": {config.Config{Instances: make([]vrrp.Config, 3), Hooks: make([]notify.Config, 2)}, ownThreads + 3},
		"more than is kept":        {config.Config{Instances: make([]vrrp.Config, 4080), Hooks: make([]notify.Config, 1)}, ownThreads + childThreads},
	} {
		if got := threadsFor(&c.cfg); got != c.want {
			t.Errorf("%s: %d threads, want %d", name, got, c.want)
		}
	}
}
