package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Limits on connections. What somebody opens beyond them is refused at once, in
// one sentence, so that one user keeps neither the daemon busy nor others out.
const (
	// connections is how many there may be, where that many descriptors do not
	// matter; reserved of them are for root and the owner of the daemon.
	connections = 128
	reserved    = 32
	// fromOne is how many another user may have.
	fromOne = 32
	// refusals is how many may be told at a time that they are refused, and
	// refusalPatience is how long that may take.
	refusals        = 32
	refusalPatience = 250 * time.Millisecond
	// acceptGap is the time between two connections of one user, beyond the first
	// acceptBurst: those who come faster wait, so that a user in a hurry keeps
	// nobody else waiting. trustedAcceptGap is that of root and the owner.
	acceptGap        = 5 * time.Millisecond
	trustedAcceptGap = time.Millisecond
	acceptBurst      = 250
	// waiters is how many may wait; those beyond are cut off without a word, one
	// each cutGap.
	waiters            = 1024
	cutGap, cutsAtOnce = 50 * time.Microsecond, 20
	// acceptRetry is when a connection that could not be taken is tried again.
	acceptRetry = 100 * time.Millisecond
)

// guard is a listener that keeps the limits. It takes each connection as it comes
// and looks whose it is: who waits in the kernel's queue waits behind everybody.
type guard struct {
	net.Listener
	most, mostWait int
	trouble        func(string)  // hears why connections cannot be taken, once in a row
	telling        chan struct{} // has room for each one who is told
	cuts           *pace
	ready          chan net.Conn
	over           chan struct{} // closed by Close
	ended          chan struct{} // closed once err is why no more come
	err            error

	mu     sync.Mutex
	closed bool
	all    int
	others int // of those that are neither root nor the owner
	users  map[uint32]*caller
	wait   map[net.Conn]*time.Timer
}

func newGuard(l net.Listener, trouble func(string)) *guard {
	g := &guard{
		Listener: l, most: affordable(connections), mostWait: affordable(waiters), trouble: trouble,
		telling: make(chan struct{}, refusals), cuts: newPace(cutGap, cutsAtOnce),
		ready: make(chan net.Conn), over: make(chan struct{}), ended: make(chan struct{}),
		users: map[uint32]*caller{}, wait: map[net.Conn]*time.Timer{},
	}
	go g.take()
	return g
}

// affordable is how many of so many connections leave the rest of the daemon
// enough file descriptors.
func affordable(n int) int {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return n
	}
	return int(min(uint64(n), max(2, limit.Cur/4)))
}

// Accept implements [net.Listener].
func (g *guard) Accept() (net.Conn, error) {
	select {
	case c := <-g.ready:
		return c, nil
	case <-g.ended:
		return nil, g.err
	}
}

// Close implements [net.Listener]. Who waits does so no longer.
func (g *guard) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed {
		g.closed = true
		close(g.over)
		for c, turn := range g.wait {
			turn.Stop()
			c.Close()
		}
		g.wait = nil
	}
	return g.Listener.Close()
}

// take takes what comes until the end.
func (g *guard) take() {
	defer close(g.ended)
	troubled := false
	for {
		c, err := g.Listener.Accept()
		if passes(err) {
			if !troubled {
				g.trouble(reasonOf(err))
			}
			troubled = true
			time.Sleep(acceptRetry)
			continue
		}
		if err != nil {
			g.err = err
			return
		}
		troubled = false
		g.line(c, peer(c))
	}
}

// passes reports a want of the host that may be over soon. The connection waits.
func passes(err error) bool {
	for _, e := range []error{unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM, unix.ECONNABORTED} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func reasonOf(err error) string {
	if e, ok := errors.AsType[*os.SyscallError](err); ok {
		err = e.Err
	}
	return err.Error()
}

// unknown is the user that a connection counts for when the kernel tells none.
const unknown = ^uint32(0)

func userOf(cred *unix.Ucred) uint32 {
	if cred == nil {
		return unknown
	}
	return cred.Uid
}

// admit counts a connection, or says why there is no room for it.
func (g *guard) admit(cred *unix.Ucred) (refusal string) {
	trusted := mayChange(cred)
	// A small limit is shared out in the same proportions.
	share := func(n int) int { return max(1, n*g.most/connections) }
	g.mu.Lock()
	defer g.mu.Unlock()
	u := g.user(cred)
	switch {
	case !trusted && u.open >= share(fromOne):
		return fmt.Sprintf("the daemon is busy: user %d has %d connections to it, which is the most; end some, or try again", userOf(cred), u.open)
	case g.all >= g.most || !trusted && g.others >= g.most-share(reserved):
		return fmt.Sprintf("the daemon is busy: it has %d connections, which is the most; end some, or try again", g.all)
	}
	g.all++
	u.open++
	if !trusted {
		g.others++
	}
	return ""
}

func (g *guard) leave(cred *unix.Ucred) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.all--
	g.user(cred).open--
	if !mayChange(cred) {
		g.others--
	}
}

// refuse tells why, unless too many are being told, and ends the connection.
func (g *guard) refuse(c net.Conn, why string) {
	select {
	case g.telling <- struct{}{}:
	default:
		c.Close()
		return
	}
	go func() {
		defer func() { <-g.telling }()
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(refusalPatience))
		// A client takes an answer for one only after its request, and reads none
		// when it cannot write that.
		_, _ = c.Read(make([]byte, 512))
		_ = c.SetDeadline(time.Now().Add(refusalPatience))
		text, _ := json.Marshal(Error{why})
		fmt.Fprintf(c, "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s\n", len(text)+1, text)
		if u, ok := c.(*net.UnixConn); ok {
			_ = u.CloseWrite()
		}
		_, _ = io.Copy(io.Discard, io.LimitReader(c, maxHeader))
	}()
}

// admitted is a connection that counts until it is closed.
type admitted struct {
	net.Conn
	cred *unix.Ucred
	once sync.Once
	gone func()
}

// Close implements [net.Conn].
func (a *admitted) Close() error {
	defer a.once.Do(a.gone) // once its descriptor is free
	return a.Conn.Close()
}
