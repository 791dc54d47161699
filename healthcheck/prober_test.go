package healthcheck

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

func TestNetworkReason(t *testing.T) {
	live := t.Context()
	cancelled, cancel := context.WithCancel(live)
	cancel()
	// As when a connection's timer is ahead of the context's.
	past := pastDeadline{live}
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	tests := []struct {
		name string
		ctx  context.Context
		err  error
		want string
	}{
		{"refused", live, fmt.Errorf("x: %w", refused), "connection refused"},
		{"cancelled", cancelled, refused, "context canceled"},
		{"late", past, &net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, "context deadline exceeded"},
		{"resolver", live, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "db", Server: "192.0.2.53:53"}}, "look up db: no such host"},
		{"end", live, io.ErrUnexpectedEOF, "closed by the peer before it had answered"},
		{"a file keeps its words", live, &fs.PathError{Op: "open", Path: "/ca", Err: syscall.ENOENT}, "open /ca: no such file or directory"},
		{"another", live, errors.New("tls: bad"), "tls: bad"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := networkReason(tt.ctx, tt.err).Error(); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

type pastDeadline struct{ context.Context }

func (pastDeadline) Deadline() (time.Time, bool) { return time.Now().Add(-time.Nanosecond), true }
