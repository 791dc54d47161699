package daemon

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"sync"
	"syscall"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/config"
)

// runDir is the run directory in use: its lock and the control socket. What somebody
// deletes of it is put back.
type runDir struct {
	path    string
	control config.Control

	mu       sync.Mutex
	closed   bool
	is       fs.FileInfo // as it was made: of these rights and owners
	held     *os.File
	listener net.Listener
	socket   fs.FileInfo
}

// openRunDir makes sure that nobody else uses the directory and the socket.
func openRunDir(cfg *config.Config) (*runDir, error) {
	r := &runDir{path: cfg.Node.RunDir, control: cfg.Control}
	var err error
	if r.held, err = lock(r.path); err != nil {
		return nil, err
	}
	if r.is, err = os.Stat(r.path); err == nil {
		err = r.listen()
	}
	if err != nil {
		unlock(r.held)
		return nil, err
	}
	return r, nil
}

// missing reports whether an error says that there is nothing of that name.
func missing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

func (r *runDir) listen() error {
	l, err := listen(r.control)
	if err != nil {
		return err
	}
	socket, err := os.Lstat(r.control.Socket)
	if err != nil {
		l.Close()
		return err
	}
	if old, ok := r.listener.(*net.UnixListener); ok { // its path is the new one's
		old.SetUnlinkOnClose(false)
		old.Close()
	}
	r.listener, r.socket = l, socket
	return nil
}

func (r *runDir) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.listener.Close()
	unlock(r.held)
}

// mending is what became of a look at the run directory.
type mending struct {
	// gone names what was deleted since the last look, and what is still gone when
	// err is not nil.
	gone []string
	// control is another control socket, nil while there is the one before.
	control net.Listener
	err     error
}

// mend puts back what somebody deleted. It may be slow: not for the loop.
func (r *runDir) mend() (m mending) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return m
	}
	if _, err := os.Stat(r.path); missing(err) {
		m.gone = append(m.gone, "the run directory "+r.path)
	}
	if !r.locked() {
		m.gone = append(m.gone, "the lock in it")
		m.err = r.lockAgain()
	}
	if now, err := os.Lstat(r.control.Socket); missing(err) || err == nil && !os.SameFile(now, r.socket) {
		m.gone = append(m.gone, "the control socket "+r.control.Socket)
		if m.err == nil {
			if m.err = r.listen(); m.err == nil {
				m.control = r.listener
			}
		}
	}
	return m
}

// locked reports whether the file that is locked is still the one that others would
// lock. What cannot be told is not gone.
func (r *runDir) locked() bool {
	ours, err := r.held.Stat()
	if err != nil {
		return true
	}
	now, err := os.Stat(r.held.Name())
	return err == nil && os.SameFile(ours, now) || err != nil && !missing(err)
}

// lockAgain makes what was deleted, with the rights that it had.
func (r *runDir) lockAgain() error {
	_, err := os.Stat(r.path)
	remake := missing(err)
	held, err := lock(r.path)
	if err != nil {
		return err
	}
	if remake {
		if err = os.Chmod(r.path, r.is.Mode().Perm()); err == nil {
			was := r.is.Sys().(*syscall.Stat_t)
			err = os.Chown(r.path, int(was.Uid), int(was.Gid))
		}
		if err != nil {
			unlock(held)
			os.Remove(held.Name())
			os.Remove(r.path)
			return err
		}
	}
	unlock(r.held)
	r.held = held
	return nil
}
