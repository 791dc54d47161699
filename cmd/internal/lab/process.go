package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Cmd is an exec.Cmd which runs on a host.
type Cmd struct {
	*exec.Cmd
	host *Host

	// SharePIDs has StartCommand start the process in the machine's process
	// namespace rather than as process 1 of one of its own: for programs whose
	// process number others must know, as from a PID file. Then only the process
	// itself is killed with the lab, not what it forked.
	SharePIDs bool
}

// Command prepares a program to run on the host. Its Start, Run, Output and
// CombinedOutput are those of exec.Cmd. The program dies with this process.
func (h *Host) Command(ctx context.Context, name string, args ...string) *Cmd {
	c := exec.CommandContext(ctx, name, args...)
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	c.WaitDelay = time.Second
	return &Cmd{Cmd: c, host: h}
}

// Start starts the program and does not wait for it.
func (c *Cmd) Start() error { return c.host.keep.do(c.Cmd.Start) }

// Run starts the program and waits for its end.
func (c *Cmd) Run() error {
	if err := c.Start(); err != nil {
		return err
	}
	return c.Wait()
}

// Output runs the program and returns its standard output. The text of an
// error includes the standard error.
func (c *Cmd) Output() ([]byte, error) {
	var out, errOut bytes.Buffer
	c.Stdout = &out
	if c.Stderr == nil {
		c.Stderr = &errOut
	}
	err := c.Run()
	if err != nil && errOut.Len() > 0 {
		err = fmt.Errorf("%w: %s", err, bytes.TrimSpace(errOut.Bytes()))
	}
	return out.Bytes(), err
}

// CombinedOutput runs the program and returns what it wrote to both outputs.
func (c *Cmd) CombinedOutput() ([]byte, error) {
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	err := c.Run()
	return out.Bytes(), err
}

// Process is a long-running program on a host, killed with the lab. It is
// process 1 of a process namespace, so that all that it forks goes with it,
// also when this process is killed. As such it does not see a signal for which
// it has no handler, except KILL and STOP.
type Process struct {
	cmd  *Cmd
	out  tail
	done chan struct{}
	err  error // of Wait; read after done
}

// Start starts a long-running program on the host.
func (h *Host) Start(name string, args ...string) (*Process, error) {
	return h.StartCommand(h.Command(context.Background(), name, args...))
}

// StartCommand is Start for a prepared command, whose Env, Dir or SharePIDs
// were set. A Stdout that is set receives a copy of all output.
func (h *Host) StartCommand(c *Cmd) (*Process, error) {
	p := &Process{cmd: c, done: make(chan struct{})}
	p.out.also = c.Stdout
	c.Stdout, c.Stderr = &p.out, &p.out
	if !c.SharePIDs {
		c.SysProcAttr.Cloneflags |= syscall.CLONE_NEWPID
	}
	// Registered before it runs, under the lock that close takes: none escapes.
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, errClosed
	}
	if err := c.Start(); err != nil {
		return nil, fmt.Errorf("start %s on %s: %w", c.Path, h.name, err)
	}
	h.processes = append(h.processes, p)
	go func() {
		p.err = c.Wait()
		close(p.done)
	}()
	return p, nil
}

// PID is the process number as the machine sees it.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Output is what the program has written so far to both outputs; only the last
// megabyte is kept.
func (p *Process) Output() string { return p.out.String() }

// Done is closed when the program has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Signal sends a signal to the program.
func (p *Process) Signal(sig os.Signal) error {
	if err := p.cmd.Process.Signal(sig); err != nil {
		return fmt.Errorf("send %v to %s: %w", sig, p.cmd.Path, err)
	}
	return nil
}

// Wait waits until the program has ended and returns how, as exec.Cmd.Wait
// does, or the error of ctx.
func (p *Process) Wait(ctx context.Context) error {
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
		return fmt.Errorf("wait for %s: %w", p.cmd.Path, ctx.Err())
	}
}

// WaitOutput waits until the program has written text. It fails when the
// program ends without, or with the error of ctx.
func (p *Process) WaitOutput(ctx context.Context, text string) error {
	for {
		changed := p.out.changed()
		if strings.Contains(p.Output(), text) {
			return nil
		}
		select {
		case <-changed:
		case <-p.done:
			if strings.Contains(p.Output(), text) {
				return nil
			}
			return fmt.Errorf("%s ended (%v) without writing %q; it wrote:\n%s", p.cmd.Path, p.err, text, p.Output())
		case <-ctx.Done():
			return fmt.Errorf("wait for %s to write %q: %w; it wrote:\n%s", p.cmd.Path, text, ctx.Err(), p.Output())
		}
	}
}

// Stop ends the program with TERM and waits. What has not ended within 10
// seconds is killed, which is an error. How the program ended tells Wait.
func (p *Process) Stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", p.cmd.Path, err)
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(10 * time.Second):
		return errors.Join(fmt.Errorf("stop %s: it took no notice of TERM for 10s; it wrote:\n%s", p.cmd.Path, p.Output()), p.Kill())
	}
}

// Kill ends the program with KILL and waits for the end.
func (p *Process) Kill() error {
	if err := p.kill(); err != nil {
		return err
	}
	<-p.done
	return nil
}

func (p *Process) kill() error {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill %s: %w", p.cmd.Path, err)
	}
	return nil
}

// tailSize is how much output of a process is kept, in bytes.
const tailSize = 1 << 20

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	buf  []byte
	also interface{ Write([]byte) (int, error) }
	note chan struct{} // closed at the next write, if anybody waits
}

// Write takes all of b and never fails for b's sake.
func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, b...)
	// Cut only now and then, so that long outputs are not copied at each line.
	if len(t.buf) > 2*tailSize {
		t.buf = append(t.buf[:0], t.buf[len(t.buf)-tailSize:]...)
	}
	if t.note != nil {
		close(t.note)
		t.note = nil
	}
	if t.also != nil {
		return t.also.Write(b)
	}
	return len(b), nil
}

// changed returns a channel that is closed at the next write.
func (t *tail) changed() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.note == nil {
		t.note = make(chan struct{})
	}
	return t.note
}

// String is the last megabyte written.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.buf[max(0, len(t.buf)-tailSize):])
}
