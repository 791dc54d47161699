package notify

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

	in      *os.File // the pipe that is its standard input
	out     output
	pipe    *os.File
	drained chan struct{}
}

// start starts a program that may read input. It is the one place where the
// daemon's children come from: what they must not inherit is taken from them
// here.
func start(l *launching, argv, env []string, input []byte) (*process, error) {
	var files pipes
	if err := files.open(); err != nil {
		return nil, fmt.Errorf("start %s: %w", argv[0], err)
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = "/"
	cmd.Env = env
	cmd.Stdin = files.inRead
	cmd.Stdout, cmd.Stderr = files.outWrite, files.outWrite
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	err := ordinary(func() error { return l.fork(cmd.Start) })
	files.inRead.Close()
	files.outWrite.Close()
	if err != nil {
		files.inWrite.Close()
		files.outRead.Close()
		return nil, startError(argv[0], err)
	}
	demote(cmd.Process.Pid)
	p := &process{
		cmd:     cmd,
		exited:  make(chan struct{}),
		in:      files.inWrite,
		pipe:    files.outRead,
		drained: make(chan struct{}),
	}
	go func() {
		p.in.Write(input) // fails when nobody reads it, as nobody must
		p.in.Close()
	}()
	go func() {
		defer close(p.drained)
		io.Copy(&p.out, p.pipe)
	}()
	go func() {
		defer close(p.exited)
		awaitExit(cmd.Process.Pid)
	}()
	return p, nil
}

// pipes are the two ends of standard input and of the output.
type pipes struct{ inRead, inWrite, outRead, outWrite *os.File }

func (p *pipes) open() (err error) {
	if p.inRead, p.inWrite, err = os.Pipe(); err != nil {
		return err
	}
	if p.outRead, p.outWrite, err = os.Pipe(); err != nil {
		p.inRead.Close()
		p.inWrite.Close()
	}
	return err
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

// signal signals the whole group. It must not be called after wait.
func (p *process) signal(s syscall.Signal) {
	// The only error is that nobody is left.
	syscall.Kill(-p.cmd.Process.Pid, s)
}

// wait waits for the program to exit, and returns the output and the error of
// the exit status. What the program left behind goes on, but from now on
// nobody reads its output.
func (p *process) wait() (string, error) {
	<-p.exited
	err := p.cmd.Wait()
	p.in.Close()
	p.pipe.SetReadDeadline(time.Now().Add(drainTime))
	<-p.drained
	p.pipe.Close()
	return p.out.String(), err
}
