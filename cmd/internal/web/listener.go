package web

import (
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

var discard = log.New(io.Discard, "", 0)

const (
	// retryAfter is how long after an address could not be listened on it is
	// tried again: another program may let go of it, or the address may come.
	retryAfter = 2 * time.Second
	// connections is how many there may be at a time, and fromOne from one address.
	connections = 256
	fromOne     = 64
)

// Listener serves HTTP where the configuration wants it. Its methods do not
// wait for the network.
type Listener struct {
	tell func(listening bool, on string, err error)

	mu      sync.Mutex
	closed  bool
	current *serving // nil when nothing is to be served
	last    *serving // the one begun last, which may be ending
	problem string   // of the current one
}

// serving is one address that is served, or tried.
type serving struct {
	on      string
	handler atomic.Pointer[http.Handler]
	quit    chan struct{}
	done    chan struct{}
}

// NewListener returns one that serves nothing. tell hears, from goroutines of its
// own, that an address is served, or why not; not again for the same reason.
func NewListener(tell func(listening bool, on string, err error)) *Listener {
	return &Listener{tell: tell}
}

// Set serves h on an address from now on, in place of what was before; no
// address is nothing. Requests on the same address go on undisturbed.
func (l *Listener) Set(on string, h http.Handler) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	if l.current != nil && l.current.on == on {
		l.current.handler.Store(&h)
		return
	}
	if l.current != nil {
		close(l.current.quit)
	}
	l.current, l.problem = nil, ""
	if on == "" {
		return
	}
	s := &serving{on: on, quit: make(chan struct{}), done: make(chan struct{})}
	s.handler.Store(&h)
	before := l.last
	l.current, l.last = s, s
	go l.run(s, before)
}

// Problem is why nothing is served although something should be.
func (l *Listener) Problem() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.problem
}

// trouble notes why s is not served, or by nothing that it is, unless it is not
// wanted any more.
func (l *Listener) trouble(s *serving, why string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.current == s {
		l.problem = why
	}
}

// Close ends the listener and its connections.
func (l *Listener) Close() {
	l.mu.Lock()
	current, last := l.current, l.last
	l.closed, l.current = true, nil
	l.mu.Unlock()
	if current != nil {
		close(current.quit)
	}
	if last != nil {
		<-last.done
	}
}

// run serves one address until it is to end. The one before it ends first: the
// two may be the same port.
func (l *Listener) run(s, before *serving) {
	defer close(s.done)
	if before != nil {
		<-before.done
	}
	told := ""
	for {
		lis, err := net.Listen("tcp", s.on)
		if err == nil {
			l.trouble(s, "")
			l.tell(true, s.on, nil)
			if err = s.serve(lis); err == nil {
				return
			}
		}
		err = plain(err)
		text := err.Error()
		l.trouble(s, text)
		if told != text {
			told = text
			l.tell(false, s.on, err)
		}
		select {
		case <-s.quit:
			return
		case <-time.After(retryAfter):
		}
	}
}

// serve answers until it is to end, which is no error.
func (s *serving) serve(lis net.Listener) error {
	srv := newServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*s.handler.Load()).ServeHTTP(w, r) }))
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(&limited{Listener: lis, from: map[string]int{}}) }()
	select {
	case err := <-failed:
		srv.Close()
		return err
	case <-s.quit:
		srv.Close()
		<-failed
		return nil
	}
}

// plain strips the operation and address from an error told with both.
func plain(err error) error {
	if e, ok := errors.AsType[*os.SyscallError](err); ok {
		return e.Err
	}
	return err
}

// limited closes connections beyond the limits at once, so that whoever opens
// many keeps nobody else out for long.
type limited struct {
	net.Listener
	mu   sync.Mutex
	all  int
	from map[string]int
}

func (l *limited) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		host, _, _ := net.SplitHostPort(c.RemoteAddr().String()) // empty is one host too
		l.mu.Lock()
		full := l.all >= connections || l.from[host] >= fromOne
		if !full {
			l.all++
			l.from[host]++
		}
		l.mu.Unlock()
		if full {
			c.Close()
			continue
		}
		return &counted{Conn: c, gone: func() { l.gone(host) }}, nil
	}
}

func (l *limited) gone(host string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all--
	if l.from[host]--; l.from[host] == 0 {
		delete(l.from, host)
	}
}

// counted is a connection that tells once when it is closed.
type counted struct {
	net.Conn
	once sync.Once
	gone func()
}

func (c *counted) Close() error {
	c.once.Do(c.gone)
	return c.Conn.Close()
}
