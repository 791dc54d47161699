package healthcheck

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"
)

// Prober probes once. The output is what was seen, for people; the error is
// why the service is not healthy. Probe returns when the context ends, with
// the context's error when that is what cut it short. It is not called again
// before it has returned.
type Prober interface {
	Probe(ctx context.Context) (output string, err error)
}

// New returns the prober of a check. It fails only where [Config.Validate]
// does, and touches nothing of the host.
func New(c Config) (Prober, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	switch {
	case c.HTTP != nil:
		return newHTTP(c.HTTP), nil
	case c.TCP != nil:
		return newTCP(c.TCP), nil
	default:
		return newExec(c.Name, c.Exec), nil
	}
}

// networkReason makes an error of the net packages short: people know what
// they configured, so "connection refused" says it all. When the context cut
// the work short, it is the context's error.
func networkReason(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	// Connections heed the deadline on their own, and may be first.
	if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) {
		return context.DeadlineExceeded
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return fmt.Errorf("look up %s: %s", dns.Name, dns.Err)
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		if errno, ok := errors.AsType[syscall.Errno](op); ok {
			return errno
		}
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("closed by the peer before it had answered")
	}
	return err
}
