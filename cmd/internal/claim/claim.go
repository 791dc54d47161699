// Package claim lets the daemons of one network namespace know of each other by
// something that nobody can delete. Addresses belong to a network namespace, and so
// do the names of abstract unix sockets: a daemon has one for as long as it lives,
// whatever becomes of its run directory and in whichever container it is.
package claim

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// prefix begins the names; a part that differs for each claim follows, so that
	// nobody can take a name before a daemon does, and the run directory.
	prefix = "@holdfast:"
	// longest is the longest such name, in bytes.
	longest = 107
	// acceptGap keeps those who look again and again from costing anything.
	acceptGap = time.Millisecond
)

// Claim is the claim of the running daemon.
type Claim struct {
	listener *net.UnixListener
	name     string
	tell     func() []byte
}

// Make claims a run directory for this process, as long as it lives. Other daemons
// are told what tell returns, unless it is nil.
func Make(runDir string, tell func() []byte) (*Claim, error) {
	var number [4]byte
	_, _ = rand.Read(number[:]) // never fails
	name := prefix + hex.EncodeToString(number[:]) + ":" + key(runDir)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: name, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("cannot claim the run directory: %w", err)
	}
	c := &Claim{l, name, tell}
	go c.accept()
	return c, nil
}

// accept has whoever looks see that somebody lives: the connection is all they want,
// but for other daemons.
func (c *Claim) accept() {
	for {
		conn, err := c.listener.AcceptUnix()
		switch {
		case err == nil:
			if cred, err := peer(conn); err == nil && c.tell != nil && mayServe(cred) {
				_ = conn.SetWriteDeadline(time.Now().Add(askPatience))
				_, _ = conn.Write(c.tell())
			}
			conn.Close()
		case errors.Is(err, net.ErrClosed):
			return
		}
		time.Sleep(acceptGap)
	}
}

// Release ends the claim, even when a child that never became a program has the
// socket, too. A nil claim is none.
func (c *Claim) Release() {
	if c == nil {
		return
	}
	if raw, err := c.listener.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { _ = unix.Shutdown(int(fd), unix.SHUT_RDWR) })
	}
	c.listener.Close()
}

// key is a run directory as names have it: by what it is, not by how it is called,
// and shortened where it does not fit.
func key(dir string) string {
	dir = resolve(dir)
	if len(prefix)+2*4+1+len(dir) <= longest {
		return dir
	}
	sum := sha256.Sum256([]byte(dir))
	return "sha256=" + hex.EncodeToString(sum[:])
}

// resolve follows the links in a path as far as it exists.
func resolve(path string) string {
	path = filepath.Clean(path)
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	if parent := filepath.Dir(path); parent != path {
		return filepath.Join(resolve(parent), filepath.Base(path))
	}
	return path
}

// Holder is a daemon that lives.
type Holder struct {
	// PID is 0 when it is of another process namespace.
	PID int
	// RunDir is its run directory, as it sees it; empty when the path is too long.
	RunDir string
	// Told is what it tells other daemons.
	Told []byte
	key  string
}

// Has reports whether it has this run directory.
func (h *Holder) Has(runDir string) bool { return h.key == key(runDir) }

// String names its process.
func (h *Holder) String() string {
	if h.PID == 0 {
		return "pid unknown"
	}
	return "pid " + strconv.Itoa(h.PID)
}

// mayServe reports whether a process can be a daemon that holds addresses. Anybody
// may claim, and must not keep a daemon from starting.
func mayServe(cred *unix.Ucred) bool {
	return cred.Uid == 0 || int(cred.Uid) == os.Geteuid() || mayConfigure(int(cred.Pid))
}
