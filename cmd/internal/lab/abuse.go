package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Abuse is what many clients did that mean a server of HTTP no good.
type Abuse struct {
	// Connected counts connections that were made, Refused those that were told
	// so, Answered the answers that came to what was asked.
	Connected, Refused, Answered atomic.Int64
}

// abuses are the kinds of client. Each gets a connection, and once it returns
// another one.
var abuses = []func(ctx context.Context, a *Abuse, c net.Conn){
	idle, loris, halfOpen, garbage, neverRead, neverRead, endlessHeader, askOn, askNonsense,
}

// abuseAgain is how soon a client comes back once its connection is gone.
const abuseAgain = 20 * time.Millisecond

// Run has n clients abuse a server until the context ends. They are as many of
// each kind, and come back when they are thrown out.
func (a *Abuse) Run(ctx context.Context, n int, dial func() (net.Conn, error)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			for ctx.Err() == nil {
				if c, err := dial(); err == nil {
					a.Connected.Add(1)
					end := context.AfterFunc(ctx, func() { c.Close() })
					abuses[i%len(abuses)](ctx, a, c)
					end()
					c.Close()
				}
				pause(ctx, abuseAgain)
			}
		})
	}
	wg.Wait()
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// hear reads what comes to the end.
func (a *Abuse) hear(c net.Conn) {
	text, _ := io.ReadAll(io.LimitReader(c, 1<<20))
	if strings.HasPrefix(string(text), "HTTP/1.1 503 ") {
		a.Refused.Add(1)
	}
}

// idle says nothing.
func idle(_ context.Context, a *Abuse, c net.Conn) { a.hear(c) }

// loris never comes to the end of its request.
func loris(ctx context.Context, _ *Abuse, c net.Conn) {
	for _, b := range []byte("GET /v1/status HTTP/1.1\r\nX-Header: " + strings.Repeat("x", 8000)) {
		if _, err := c.Write([]byte{b}); err != nil {
			return
		}
		pause(ctx, 50*time.Millisecond)
	}
}

// halfOpen ends in the middle of a request and waits for more.
func halfOpen(_ context.Context, a *Abuse, c net.Conn) {
	fmt.Fprint(c, "POST /v1/drain HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n{")
	if u, ok := c.(*net.UnixConn); ok {
		_ = u.CloseWrite()
	}
	a.hear(c)
}

func garbage(_ context.Context, a *Abuse, c net.Conn) {
	fmt.Fprint(c, "\x16\x03\x01\x02\x00\x01\xff\r\n\r\n\x00\x00")
	a.hear(c)
}

// neverRead asks for all that goes on, and reads none of it.
func neverRead(ctx context.Context, _ *Abuse, c net.Conn) {
	fmt.Fprint(c, "GET /v1/events?follow=true&since=0 HTTP/1.1\r\nHost: x\r\n\r\n")
	pause(ctx, 5*time.Second)
}

// endlessHeader sends a header without an end.
func endlessHeader(_ context.Context, _ *Abuse, c net.Conn) {
	fmt.Fprint(c, "GET /v1/status?", strings.Repeat("x", 1<<20), " HTTP/1.1\r\n")
}

// askOn asks for the status as fast as it is answered.
func askOn(_ context.Context, a *Abuse, c net.Conn) { a.ask(c, "/v1/status") }

// askNonsense asks for what there is not.
func askNonsense(_ context.Context, a *Abuse, c net.Conn) { a.ask(c, "/v1/nonsense") }

func (a *Abuse) ask(c net.Conn, path string) {
	client := http.Client{Transport: &http.Transport{
		DialContext: func(context.Context, string, string) (net.Conn, error) { return c, nil },
	}}
	defer client.CloseIdleConnections()
	for {
		resp, err := client.Get("http://abuse" + path)
		if err != nil {
			return
		}
		_, err = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if resp.StatusCode == http.StatusServiceUnavailable {
			a.Refused.Add(1)
			return
		}
		if err != nil {
			return
		}
		a.Answered.Add(1)
	}
}

// AsUser runs f on a thread that is of another user and group, as those see it
// to whom f connects. It needs root.
func AsUser(uid, gid int, f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and end it with the goroutine
		_, _, gerr := unix.RawSyscall(unix.SYS_SETRESGID, ^uintptr(0), uintptr(gid), ^uintptr(0))
		_, _, uerr := unix.RawSyscall(unix.SYS_SETRESUID, ^uintptr(0), uintptr(uid), ^uintptr(0))
		if gerr != 0 || uerr != 0 {
			done <- errors.Join(fmt.Errorf("become user %d of group %d", uid, gid), gerr, uerr)
			return
		}
		done <- f()
	}()
	return <-done
}
