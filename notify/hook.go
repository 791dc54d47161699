package notify

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"
)

const (
	// graceTime is what a hook that took too long gets to clean up.
	graceTime = 500 * time.Millisecond
	// leaveGrace is the same when somebody waits to go on.
	leaveGrace = 50 * time.Millisecond
	// killTime is how long a killed hook is waited for. One that is stuck in
	// the kernel, on a dead disk or file server, dies later or never.
	killTime = 1 * time.Second
	// againFirst and againMost are the pauses before a start that the host had no
	// room for is tried again: they grow.
	againFirst, againMost = 50 * time.Millisecond, time.Second
)

// runHook runs one hook for one event, within its timeout and until ctx ends.
func runHook(ctx context.Context, c *Config, e *Event) (o Outcome) {
	argv := c.arguments(e)
	o = Outcome{Event: *e, Hook: commandLine(argv), Started: time.Now()}
	defer func() { o.Duration = time.Since(o.Started) }()

	input, err := e.json()
	if err != nil {
		o.Err = fmt.Errorf("encode the event: %w", err)
		return o
	}
	o.Output, o.Err = execute(ctx, c.Timeout, argv, e.environment(), input)
	return o
}

// execute runs a program from the time on when it is its turn.
func execute(ctx context.Context, timeout time.Duration, argv, env []string, input []byte) (output string, err error) {
	// For as long as another one may take that does not start.
	waiting, enough := context.WithTimeout(ctx, timeout+killTime)
	defer enough()
	end, err := turn(waiting, argv[0])
	if late, ok := errors.AsType[*lateError](err); ok {
		return late.why, cutShort(waiting, timeout)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	begin := func(l *launching) (*process, error) { return start(l, argv, env, input) }
	p, err := launch(ctx, argv[0], end, begin)
	for pause := againFirst; lacks(err); pause = min(2*pause, againMost) {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			if ctx.Err() == context.DeadlineExceeded && !left(ctx) {
				return "", fmt.Errorf("never ran, tried for %v: %w", timeout, err)
			}
			return "", cutShort(ctx, timeout)
		}
		if end, err = turn(ctx, argv[0]); err == nil {
			p, err = launch(ctx, argv[0], end, begin)
		}
	}
	if late, ok := errors.AsType[*lateError](err); ok {
		return late.why, cutShort(ctx, timeout)
	}
	if err != nil {
		return "", err
	}
	select {
	case <-p.exited:
		return p.wait()
	case <-ctx.Done():
		grace := graceTime
		if left(ctx) {
			grace = leaveGrace
		}
		return abort(p, grace), cutShort(ctx, timeout)
	}
}

// lacks reports whether a start failed for a want of the host, or of the daemon, that
// may be over soon: of processes, memory or file descriptors.
func lacks(err error) bool {
	for _, e := range []error{syscall.EAGAIN, syscall.ENOMEM, syscall.EMFILE, syscall.ENFILE} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// cutShort is why the end of ctx ended a hook.
func cutShort(ctx context.Context, timeout time.Duration) error {
	switch {
	case left(ctx):
		return fmt.Errorf("killed: %w", ErrLeft)
	case ctx.Err() == context.DeadlineExceeded:
		return fmt.Errorf("timed out after %v", timeout)
	}
	return fmt.Errorf("killed: %w", ErrClosed)
}

// abort ends a hook with all it started, the gentle way first, and returns its
// output.
func abort(p *process, grace time.Duration) string {
	p.signal(syscall.SIGTERM)
	exitsWithin(p, grace)
	// Also when the program itself is gone: what it started may be not.
	p.signal(syscall.SIGKILL)
	if exitsWithin(p, killTime) {
		output, _ := p.wait()
		return output
	}
	go p.wait() // reaps it whenever that is
	return fmt.Sprintf("process %d does not die", p.cmd.Process.Pid)
}

func exitsWithin(p *process, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-p.exited:
		return true
	case <-t.C:
		return false
	}
}
