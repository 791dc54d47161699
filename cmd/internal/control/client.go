package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/claim"
)

// ErrNotRunning is why a call fails when no daemon answers on the socket.
var ErrNotRunning = errors.New("no daemon answers")

// Client talks to the daemon behind a socket.
type Client struct {
	path string
	http http.Client
}

// NewClient returns a client of the socket at path. It connects on each call.
func NewClient(path string) *Client {
	return &Client{path: path, http: http.Client{
		Timeout: 40 * time.Second,
		Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return dial(ctx, path)
			},
		},
	}}
}

// maxPath is the longest path of a unix socket, in bytes.
const maxPath = 107

// dialPatience is how long a client waits to get into the queue of the socket.
const dialPatience = 5 * time.Second

func dial(ctx context.Context, path string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialPatience)
	defer cancel()
	for {
		c, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
		if !errors.Is(err, syscall.EAGAIN) {
			return c, err
		}
		select { // the queue is full
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return nil, err
		}
	}
}

// Status asks for the state of the daemon. raw is the document as it came.
func (c *Client) Status(ctx context.Context) (st *Status, raw []byte, err error) {
	return c.status(ctx, "/v1/status")
}

// StatusWithProbes is Status with the last probes of each check.
func (c *Client) StatusWithProbes(ctx context.Context) (*Status, error) {
	st, _, err := c.status(ctx, "/v1/status?recent=true")
	return st, err
}

func (c *Client) status(ctx context.Context, path string) (st *Status, raw []byte, err error) {
	st = &Status{}
	raw, err = c.call(ctx, http.MethodGet, path, st)
	if err == nil && st.Version != Version {
		return nil, raw, fmt.Errorf("the daemon speaks version %d, this program version %d: use the holdfast of the same release", st.Version, Version)
	}
	return st, raw, err
}

// Reload makes the daemon read its configuration again.
func (c *Client) Reload(ctx context.Context) (*Reloaded, error) {
	done := &Reloaded{}
	_, err := c.call(ctx, http.MethodPost, "/v1/reload", done)
	return done, err
}

func (c *Client) call(ctx context.Context, method, path string, into any) ([]byte, error) {
	return c.send(ctx, method, path, nil, into)
}

// send is call with a body.
func (c *Client) send(ctx context.Context, method, path string, body io.Reader, into any) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://holdfast"+path, body)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.explain(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil {
		return nil, c.explain(err)
	}
	if resp.StatusCode != http.StatusOK {
		return raw, refusal(resp, raw)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return raw, fmt.Errorf("cannot read the answer of the daemon on %s: %w", c.path, err)
	}
	return raw, nil
}

// alive returns the daemon that has the directory of a socket, if one lives.
func alive(socket string) *claim.Holder {
	path, err := filepath.Abs(socket)
	if err != nil {
		return nil
	}
	all, _ := (*claim.Claim)(nil).Others() // without /proc nobody is known
	for n := range all {
		if all[n].Has(filepath.Dir(path)) {
			return &all[n]
		}
	}
	return nil
}

// explain turns a failed connection into a sentence that says what to do.
func (c *Client) explain(err error) error {
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		if h := alive(c.path); h != nil {
			return fmt.Errorf("%w on %s, but it runs (%v): somebody deleted its socket, which it puts back within a minute; have it do so at once with a SIGHUP, and do not start another one", ErrNotRunning, c.path, h)
		}
		return fmt.Errorf("%w on %s: start it, or name its socket with --socket", ErrNotRunning, c.path)
	case errors.Is(err, syscall.EINVAL) && len(c.path) > maxPath:
		return fmt.Errorf("%w on %s: no socket can have a path of more than %d bytes; name the daemon's with --socket", ErrNotRunning, c.path, maxPath)
	case errors.Is(err, syscall.ECONNREFUSED):
		if info, serr := os.Stat(c.path); serr == nil && info.Mode().Type() != os.ModeSocket {
			return fmt.Errorf("%w on %s: it is no socket; name the daemon's with --socket", ErrNotRunning, c.path)
		}
		return fmt.Errorf("%w on %s: the socket is left over from a daemon that died; start it again", ErrNotRunning, c.path)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("may not open %s: use sudo, or, to read only, join the group set in [control]", c.path)
	case errors.Is(err, syscall.EAGAIN): // more wait to be let in than the kernel queues
		return fmt.Errorf("the daemon on %s is busy: too many clients wait for it; try again", c.path)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return fmt.Errorf("%w on %s any more: it ended before it had answered; 'holdfast status' tells how things are now", ErrNotRunning, c.path)
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err // the rest is how the socket is asked, which helps nobody
	}
	return fmt.Errorf("%w on %s: %w", ErrNotRunning, c.path, err)
}
