package notify

import (
	"context"
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
	p, err := start(argv, e.environment(), input)
	if err != nil {
		o.Err = err
		return o
	}
	timeout := time.NewTimer(c.Timeout)
	defer timeout.Stop()
	select {
	case <-p.exited:
		o.Output, o.Err = p.wait()
	case <-timeout.C:
		o.Output = abort(p, graceTime)
		o.Err = fmt.Errorf("timed out after %v", c.Timeout)
	case <-ctx.Done():
		why, grace := ErrClosed, graceTime
		if left(ctx) {
			why, grace = ErrLeft, leaveGrace
		}
		o.Output = abort(p, grace)
		o.Err = fmt.Errorf("killed: %w", why)
	}
	return o
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
