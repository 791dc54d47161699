package daemon

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/config"
)

// runDirIn opens the run directory below a folder, for members of group 4.
func runDirIn(t *testing.T, base string) (*runDir, string) {
	t.Helper()
	dir := filepath.Join(base, "run")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	r, err := openRunDir(&config.Config{Node: config.Node{RunDir: dir}, Control: config.Control{Socket: filepath.Join(dir, "s"), Group: "4"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.close)
	return r, dir
}

// unserved mends a directory, but nobody answers on its socket: that waits for no
// clock of a bubble.
func unserved(r *runDir) func() mending {
	return func() mending {
		m := r.mend()
		m.control = nil
		return m
	}
}

// Whatever is deleted of the run directory is put back as it was.
func TestRunDirIsPutBack(t *testing.T) {
	needsRoot(t)
	r, dir := runDirIn(t, t.TempDir())
	if err := os.Chown(dir, 0, 5); err != nil {
		t.Fatal(err)
	}
	r.is, _ = os.Stat(dir)
	socket := filepath.Join(dir, "s")
	for _, tt := range []struct {
		path, told string
		socket     bool
	}{
		{"", "", false},
		{socket, "the control socket " + socket, true},
		{filepath.Join(dir, "holdfast.pid"), "the lock in it", false},
		{dir, "the run directory " + dir + ", the lock in it, the control socket " + socket, true},
	} {
		if tt.path != "" {
			if err := os.RemoveAll(tt.path); err != nil {
				t.Fatal(err)
			}
		}
		m := r.mend()
		if got := strings.Join(m.gone, ", "); got != tt.told || m.err != nil || (m.control != nil) != tt.socket {
			t.Errorf("without %q: %q is gone, another socket %t, error %v", tt.path, got, m.control != nil, m.err)
		}
		if second, err := lock(dir); err == nil {
			second.Close()
			t.Errorf("without %q: it was locked twice", tt.path)
		}
		for path, want := range map[string]struct {
			mode os.FileMode
			gid  uint32
		}{dir: {os.ModeDir | 0o750, 5}, socket: {os.ModeSocket | 0o660, 4}} {
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if gid := info.Sys().(*syscall.Stat_t).Gid; info.Mode() != want.mode || gid != want.gid {
				t.Errorf("without %q: %s is %v of group %d", tt.path, path, info.Mode(), gid)
			}
		}
		c, err := net.Dial("unix", socket)
		if err != nil {
			t.Errorf("without %q: %v", tt.path, err)
			continue
		}
		c.Close()
	}
	if m := r.mend(); len(m.gone) > 0 || m.err != nil {
		t.Errorf("in the end: %+v", m)
	}
	r.close()
	if _, err := os.Lstat(socket); !os.IsNotExist(err) {
		t.Errorf("the socket is left: %v", err)
	}
	os.RemoveAll(dir)
	if m := r.mend(); len(m.gone) > 0 {
		t.Errorf("after the end: %+v", m)
	}
}

// While the directory cannot be made again that is tried on and told once, and so is
// that it could.
func TestRunDirCannotBePutBack(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		base := t.TempDir()
		r, dir := runDirIn(t, base)
		a := newNode(t, lan, "a", 1, conf(150, "1s")).journaling(dir)
		a.d.opts.Mend = unserved(r)
		a.start()
		await(t, 5*time.Second, "a", a)
		time.Sleep(3 * auditEvery)
		if n := a.log.count("somebody deleted"); n != 0 {
			t.Errorf("told %d times that nothing is gone", n)
		}
		os.RemoveAll(dir)
		if err := os.WriteFile(dir, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * auditEvery)
		synctest.Wait()
		if n := a.log.count("which cannot be made again: it serves on"); n != 1 || a.status().Daemon.JournalError == "" {
			t.Errorf("told %d times, status says %q", n, a.status().Daemon.JournalError)
		}
		os.Remove(dir)
		time.Sleep(2 * auditEvery)
		synctest.Wait()
		if n := a.log.count("which are there again"); n != 1 || a.status().Daemon.JournalError != "" {
			t.Errorf("told %d times, status says %q", n, a.status().Daemon.JournalError)
		}
		a.kill()
		l, err := a.leftIn(t, dir)
		if err != nil || len(l.Routers) != 1 || l.ages[0] < 0 {
			t.Errorf("the journal has %+v, error %v", l, err)
		}
	})
}

// After the run directory was deleted a restart goes unnoticed all the same, once it
// is there again.
func TestRestartAfterTheRunDirWasDeleted(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		r, dir := runDirIn(t, t.TempDir())
		a := newNode(t, lan, "a", 1, conf(150, "1s")).journaling(dir)
		a.d.opts.Mend = unserved(r)
		a.start()
		await(t, 5*time.Second, "a", a)
		for _, what := range []string{dir, filepath.Join(dir, stampsName), filepath.Join(dir, journalName)} {
			os.RemoveAll(what)
			a.reload <- os.Interrupt // as an operator would who cannot ask it
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
			l, err := readJournal(dir, thisBootID(t), a.boottime())
			if err != nil || len(l.Routers) != 1 || l.ages[0] < 0 || l.ages[0] > time.Second {
				t.Errorf("without %s the journal has %+v, error %v", what, l, err)
			}
			if _, err := os.Stat(filepath.Join(dir, "events.jsonl")); err != nil {
				t.Errorf("without %s: %v", what, err)
			}
		}
		if n := a.log.count("which are there again"); n != 3 {
			t.Errorf("told %d times", n)
		}
		a.stop()
	})
}

func thisBootID(t *testing.T) string {
	t.Helper()
	boot, err := bootID()
	if err != nil {
		t.Fatal(err)
	}
	return boot
}
