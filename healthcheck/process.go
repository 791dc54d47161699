package healthcheck

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// defaultPath is where programs find other programs.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// drainTime is how long output is awaited after the program has exited, when
// a process that it left behind keeps the pipe open.
const drainTime = 100 * time.Millisecond

// process is a program in a process group of its own.
type process struct {
	cmd *exec.Cmd
	// exited is closed once the program has exited. Until wait reaps it, its
	// number, and so its group's, cannot belong to anybody else.
	exited chan struct{}

	out     output
	pipe    *os.File
	drained chan struct{}
}

// start starts a program. It is the one place where the daemon's children come
// from: what they must not inherit is taken from them here.
func start(l *launching, argv, env []string, as *syscall.Credential) (*process, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", argv[0], err)
	}
	defer w.Close()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = "/"
	cmd.Env = env
	cmd.Stdout, cmd.Stderr = w, w // standard input is /dev/null
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: as}
	if err := ordinary(func() error { return l.fork(cmd.Start) }); err != nil {
		r.Close()
		return nil, startError(argv[0], err)
	}
	demote(cmd.Process.Pid)
	p := &process{cmd: cmd, exited: make(chan struct{}), pipe: r, drained: make(chan struct{})}
	go func() {
		defer close(p.drained)
		io.Copy(&p.out, r)
	}()
	go func() {
		defer close(p.exited)
		awaitExit(cmd.Process.Pid)
	}()
	return p, nil
}

// startError says what the kernel's "no such file or directory" and "resource
// temporarily unavailable" are about.
func startError(program string, err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = e.Err
	}
	if errors.Is(err, fs.ErrNotExist) {
		if _, statErr := os.Stat(program); statErr == nil {
			return fmt.Errorf("start %s: the interpreter in its first line does not exist", program)
		}
	}
	if errors.Is(err, syscall.EAGAIN) {
		return fmt.Errorf("start %s: %w: no room for another process (TasksMax= of the unit, or the host's limits)", program, err)
	}
	return fmt.Errorf("start %s: %w", program, err)
}

// awaitExit returns when the child has exited, and leaves it unreaped.
func awaitExit(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			return
		}
	}
}

// kill kills the whole group. It must not be called after wait.
func (p *process) kill() {
	// The only error is that nobody is left.
	syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
}

// wait waits for the program to exit, kills what it left behind, and returns
// the output and the error of the exit status.
func (p *process) wait() (string, error) {
	<-p.exited
	p.kill()
	err := p.cmd.Wait()
	p.pipe.SetReadDeadline(time.Now().Add(drainTime))
	<-p.drained
	p.pipe.Close()
	return p.out.String(), err
}
