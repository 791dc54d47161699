package notify

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// launching is a program that is being started, which may take for ever: the
// kernel waits for a file server that is dead, or for a scanner of files that has
// stopped. Meanwhile a thread of ours waits in the kernel for the child to become
// the program, and only then does Go tell who it is. When the child dies instead,
// the wait ends as well.
type launching struct {
	done    chan struct{} // closed once process and err are there
	process *process
	err     error

	mu     sync.Mutex
	thread string // the one that waits, below /proc; empty before and after
	killed bool   // the child, before it was the program
}

// lateError is why a program is not there although the context has ended.
type lateError struct {
	why  string
	gone <-chan struct{} // closed when nothing is left of it; nil if nothing is
}

func (e *lateError) Error() string { return e.why }

// launch starts a program by start, whose turn ends then. When the context ends
// before, the error is a [lateError], unless it has just become the program.
func launch(ctx context.Context, program string, end func(), start func(*launching) (*process, error)) (*process, error) {
	l := &launching{done: make(chan struct{})}
	go func() {
		defer close(l.done)
		defer end()
		l.process, l.err = start(l)
	}()
	select {
	case <-l.done:
		hung.Delete(program)
		return l.process, l.err
	case <-ctx.Done():
		return l.giveUp(program)
	}
}

// giveUp kills the child, unless it has become the program meanwhile, which is for
// the caller to end.
func (l *launching) giveUp(program string) (*process, error) {
	go l.abort()
	why := fmt.Sprintf("the kernel has not loaded %s (a file server or a scanner of files that does not answer?)", program)
	late := time.NewTimer(killTime)
	defer late.Stop()
	select {
	case <-l.done:
		if l.err != nil || !l.killed {
			return l.process, l.err
		}
		l.process.wait()
		hung.Store(program, true)
		return nil, &lateError{why: why}
	case <-late.C:
	}
	hung.Store(program, true)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		<-l.done
		if l.err == nil {
			l.process.signal(syscall.SIGKILL)
			l.process.wait()
		}
	}()
	return nil, &lateError{why + ", and does not give it up", gone}
}

// abort has the start end, one way or the other: it may not have got far enough
// yet, or not let itself be ended.
func (l *launching) abort() {
	for pause := time.Millisecond; ; pause = min(2*pause, time.Second) {
		l.killChild()
		select {
		case <-l.done:
			return
		case <-time.After(pause):
		}
	}
}

// fork calls start, on a thread that does nothing else until it is over.
func (l *launching) fork(start func() error) error {
	// Where /proc belongs to an outer process namespace its numbers are others, and
	// nobody is killed.
	thread, err := os.Readlink("/proc/thread-self")
	if err == nil && strings.HasPrefix(thread, strconv.Itoa(os.Getpid())+"/") {
		l.waits(thread)
		defer l.waits("")
	}
	return start()
}

func (l *launching) waits(thread string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.thread = thread
}

// killChild kills the child that the thread waits for. The thread may have others,
// which are programs that run, and as the first process of a container even what
// these left behind. Until it becomes a program, a child's memory is ours, and so is
// its command line. Kernels without CONFIG_PROC_CHILDREN do not tell.
func (l *launching) killChild() {
	l.mu.Lock() // the thread stays as long
	defer l.mu.Unlock()
	if l.thread == "" {
		return
	}
	ours, err := os.ReadFile("/proc/self/cmdline")
	if err != nil || len(ours) == 0 { // as that of the dead is
		return
	}
	children, err := os.ReadFile("/proc/" + l.thread + "/children")
	if err != nil {
		return
	}
	for pid := range strings.FieldsSeq(string(children)) {
		number, err := strconv.Atoi(pid)
		if err != nil {
			continue
		}
		child, err := os.FindProcess(number) // the same one to the end, from Linux 5.4 on
		if err != nil {
			continue
		}
		if line, err := os.ReadFile("/proc/" + pid + "/cmdline"); err == nil && bytes.Equal(line, ours) {
			l.killed = child.Kill() == nil || l.killed
		}
		child.Release()
	}
}
