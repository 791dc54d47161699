package control

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// caller is a user who connects. Few may, so none is forgotten.
type caller struct {
	open   int
	arrive *pace
}

// line lets a connection in when it is its user's turn.
func (g *guard) line(c net.Conn, cred *unix.Ucred) {
	switch g.place(c, cred) {
	case enters:
		g.enter(c, cred)
	case cutOff:
		c.Close()
		time.Sleep(g.cuts.next(time.Now()))
	}
}

// What becomes of a connection that comes.
const (
	enters = iota
	waits
	cutOff
)

// place gives a connection its turn.
func (g *guard) place(c net.Conn, cred *unix.Ucred) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	u := g.user(cred)
	long := u.arrive.next(time.Now())
	switch {
	case g.closed:
		return cutOff
	case long == 0:
		return enters
	case len(g.wait) >= g.mostWait:
		u.arrive.giveBack()
		return cutOff
	}
	g.wait[c] = time.AfterFunc(long, func() {
		if g.called(c) {
			g.enter(c, cred)
		}
	})
	return waits
}

// called ends the wait of a connection. It reports whether it still waited.
func (g *guard) called(c net.Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	_, waited := g.wait[c]
	delete(g.wait, c)
	return waited
}

// user returns who somebody is. It needs the lock.
func (g *guard) user(cred *unix.Ucred) *caller {
	uid, gap := userOf(cred), acceptGap
	if mayChange(cred) {
		gap = trustedAcceptGap
	}
	if g.users[uid] == nil {
		g.users[uid] = &caller{arrive: newPace(gap, acceptBurst)}
	}
	return g.users[uid]
}

// enter hands a connection to the server, or tells why there is no room for it.
func (g *guard) enter(c net.Conn, cred *unix.Ucred) {
	if why := g.admit(cred); why != "" {
		g.refuse(c, why)
		return
	}
	a := &admitted{Conn: c, cred: cred, gone: func() { g.leave(cred) }}
	select {
	case g.ready <- a:
	case <-g.over:
		a.Close()
	}
}
