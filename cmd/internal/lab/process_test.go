package lab

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if os.Getenv("HOLDFAST_LAB_VICTIM") != "" {
		if err := victim(); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// victim makes a lab with processes, tells about them and waits to be killed.
func victim() error {
	l, err := New()
	if err != nil {
		return err
	}
	h, err := l.Host("victim", "192.0.2.1/24")
	if err != nil {
		return err
	}
	if _, err := h.Echo(); err != nil {
		return err
	}
	// A child that survives its parent, as the workers of a daemon would.
	p, err := h.Start("sh", "-c", "trap '' TERM HUP INT; setsid sleep 1000 & sleep 1000 & echo ready; wait")
	if err != nil {
		return err
	}
	c := h.Command(context.Background(), "sleep", "1000")
	if err := c.Start(); err != nil {
		return err
	}
	if err := p.WaitOutput(context.Background(), "ready"); err != nil {
		return err
	}
	ns, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", p.PID()))
	if err != nil {
		return err
	}
	fmt.Println("victim", ns)
	select {}
}

func TestInterruptedProcessLeavesNothing(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGINT, syscall.SIGABRT} {
		t.Run(sig.String(), func(t *testing.T) {
			needRoot(t)
			exe, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(exe)
			cmd.Env = append(os.Environ(), "HOLDFAST_LAB_VICTIM=1")
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			line, err := bufio.NewReader(out).ReadString('\n')
			ns, ok := strings.CutPrefix(strings.TrimSpace(line), "victim ")
			if err != nil || !ok {
				t.Fatalf("victim said %q, %v", line, err)
			}
			children := processesIn(t, ns)
			if len(children) != 4 {
				t.Fatalf("processes %v on the host; want sh and three of sleep", children)
			}

			if err := cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			var exit *exec.ExitError
			if err := cmd.Wait(); !errors.As(err, &exit) {
				t.Fatalf("victim ended with %v", err)
			}
			// Its threads and descriptors went with the victim itself, so when these
			// have gone nothing holds the namespaces.
			err = poll(10*time.Second, "processes stay", func() (bool, error) { return !slices.ContainsFunc(children, alive), nil })
			if err != nil {
				t.Errorf("%v: %v", err, children)
			}
		})
	}
}

// process is a process, not only its number, which may be used again.
type process struct {
	pid   int
	start string // since boot, in ticks
}

// alive tells whether p still runs; a zombie does not.
func alive(p process) bool {
	state, start := procStat(p.pid)
	return start == p.start && state != 'Z'
}

// procStat reads state and start time of a process, or nothing if it has gone.
func procStat(pid int) (state byte, start string) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, ""
	}
	// The name, in brackets, may have anything in it.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	return fields[0][0], fields[19]
}

// processesIn lists the other processes in a network namespace that exists.
func processesIn(t *testing.T, ns string) []process {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	var found []process
	for _, path := range paths {
		if target, err := os.Readlink(path); err == nil && target == ns {
			pid, err := strconv.Atoi(strings.Split(path, "/")[2])
			if err != nil {
				t.Fatal(err)
			}
			_, start := procStat(pid)
			found = append(found, process{pid, start})
		}
	}
	return found
}

func TestProcess(t *testing.T) {
	l := newLab(t)
	h := addHost(t, l, "a", "192.0.2.1/24")

	t.Run("stop", func(t *testing.T) {
		p, err := h.Start("sh", "-c", "trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.01; done")
		if err != nil {
			t.Fatal(err)
		}
		if err := p.WaitOutput(within5s(t), "ready\n"); err != nil {
			t.Fatal(err)
		}
		if err := p.Stop(); err != nil {
			t.Fatal(err)
		}
		var exit *exec.ExitError
		if err := p.Wait(t.Context()); !errors.As(err, &exit) || exit.ExitCode() != 3 {
			t.Errorf("ended with %v, want exit status 3", err)
		}
		if got := p.Output(); got != "ready\nbye\n" {
			t.Errorf("output %q", got)
		}
		if err := p.Stop(); err != nil {
			t.Errorf("second stop: %v", err)
		}
		if err := p.WaitOutput(t.Context(), "bye"); err != nil {
			t.Errorf("output after the end: %v", err)
		}
		if err := p.WaitOutput(t.Context(), "never"); err == nil {
			t.Error("waited for output that cannot come")
		}
	})

	t.Run("kill takes children along", func(t *testing.T) {
		p, err := h.Start("sh", "-c", "sleep 1000 & echo ready; wait")
		if err != nil {
			t.Fatal(err)
		}
		if err := p.WaitOutput(within5s(t), "ready"); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := p.Wait(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("wait for a running process: %v", err)
		}
		ns := namespaceOf(t, h.keep)
		if got := processesIn(t, ns); len(got) != 2 {
			t.Errorf("processes %v, want sh and sleep", got)
		}
		if err := p.Kill(); err != nil {
			t.Fatal(err)
		}
		err = poll(5*time.Second, "processes stay", func() (bool, error) { return len(processesIn(t, ns)) == 0, nil })
		if err != nil {
			t.Errorf("%v: %v", err, processesIn(t, ns))
		}
	})

	t.Run("freeze", func(t *testing.T) {
		p, err := h.Start("sh", "-c", "while :; do echo tick; sleep 0.01; done")
		if err != nil {
			t.Fatal(err)
		}
		defer p.Kill()
		state := func(want byte) func() (bool, error) {
			return func() (bool, error) {
				got, _ := procStat(p.PID())
				return got != 0 && (got == 'T') == (want == 'T'), nil
			}
		}
		for _, step := range []struct {
			sig  syscall.Signal
			want byte
		}{{syscall.SIGSTOP, 'T'}, {syscall.SIGCONT, 'S'}} {
			if err := p.Signal(step.sig); err != nil {
				t.Fatal(err)
			}
			if err := poll(5*time.Second, "state is not "+string(step.want), state(step.want)); err != nil {
				t.Error(err)
			}
		}
	})

	t.Run("shared process numbers", func(t *testing.T) {
		c := h.Command(t.Context(), "sh", "-c", "echo $$; exec sleep 1000")
		c.SharePIDs = true
		p, err := h.StartCommand(c)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Kill()
		if err := p.WaitOutput(within5s(t), fmt.Sprintf("%d\n", p.PID())); err != nil {
			t.Error(err)
		}
	})

	t.Run("no such program", func(t *testing.T) {
		if _, err := h.Start("/nonexistent/program"); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("start: %v", err)
		}
		_, err := h.Command(t.Context(), "sh", "-c", "echo why >&2; exit 1").Output()
		if err == nil || !strings.Contains(err.Error(), "why") {
			t.Errorf("error %v does not tell what the program said", err)
		}
	})
}

func TestTail(t *testing.T) {
	var out tail
	var copied bytes.Buffer
	out.also = &copied
	var all strings.Builder
	line := strings.Repeat("x", 1000)
	for i := range 4 * tailSize / 1000 {
		text := fmt.Sprintf("%d%s\n", i, line)
		all.WriteString(text)
		changed := out.changed()
		if n, err := out.Write([]byte(text)); n != len(text) || err != nil {
			t.Fatalf("write: %d, %v", n, err)
		}
		select {
		case <-changed:
		default:
			t.Fatal("nobody was told about a write")
		}
		if len(out.buf) > 2*tailSize {
			t.Fatalf("kept %d bytes", len(out.buf))
		}
	}
	want := all.String()
	if got := out.String(); got != want[len(want)-tailSize:] {
		t.Errorf("kept %d bytes that are not the last %d written", len(got), tailSize)
	}
	if copied.String() != want {
		t.Errorf("the copy has %d bytes, want %d", copied.Len(), len(want))
	}
}
