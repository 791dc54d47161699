package control

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func modeOf(t *testing.T, path string) fs.FileMode {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode()
}

func TestListenPermissions(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sock")
	l, err := Listen(path, "")
	if err != nil {
		t.Fatal(err)
	}
	if m := modeOf(t, path); m != fs.ModeSocket|0o600 {
		t.Errorf("without a group the mode is %v, want 0600", m)
	}
	l.Close()
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the socket is still there after the end: %v", err)
	}

	if os.Geteuid() != 0 {
		t.Skip("the rest needs root, to give the socket to a group")
	}
	l, err = Listen(path, "adm")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if m := modeOf(t, path); m != fs.ModeSocket|0o660 {
		t.Errorf("with a group the mode is %v, want 0660", m)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if st := info.Sys().(*syscall.Stat_t); st.Gid != 4 || st.Uid != 0 {
		t.Errorf("it belongs to %d:%d, want 0:4 (adm)", st.Uid, st.Gid)
	}
}

func TestListenUmask(t *testing.T) {
	before := syscall.Umask(0o22)
	defer syscall.Umask(before)
	l, err := Listen(filepath.Join(t.TempDir(), "sock"), "")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if got := syscall.Umask(0o22); got != 0o22 {
		t.Errorf("the umask is %#o afterwards, want 022", got)
	}
}

// TestListenReplacesStale takes over what a daemon that was killed left.
func TestListenReplacesStale(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sock")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
	if _, err := os.Stat(path); err != nil {
		t.Fatal("there is no stale socket to replace")
	}
	l, err := Listen(path, "")
	if err != nil {
		t.Fatalf("with a stale socket: %v", err)
	}
	defer l.Close()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

// fillQueue makes a socket for which so many wait that the kernel queues no more.
func fillQueue(t *testing.T, path string) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrUnix{Name: path}), unix.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		c, err := net.Dial("unix", path)
		if errors.Is(err, unix.EAGAIN) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
	}
	t.Fatal("the kernel queues on and on")
}

// A group may be given by its number, whether or not it has a name.
func TestListenGroupNumber(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("HOLDFAST_REQUIRE") == "1" {
			t.Fatal("needs root")
		}
		t.Skip("needs root, which may give a socket to any group")
	}
	path := filepath.Join(t.TempDir(), "sock")
	l, err := Listen(path, "64321")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if gid := info.Sys().(*syscall.Stat_t).Gid; gid != 64321 || info.Mode().Perm() != 0o660 {
		t.Errorf("the socket is of group %d, %v", gid, info.Mode())
	}
}

func TestListenRefused(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	live := filepath.Join(dir, "live")
	l, err := net.Listen("unix", live)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	busy, datagrams := filepath.Join(dir, "busy"), filepath.Join(dir, "datagrams")
	fillQueue(t, busy)
	d, err := net.ListenPacket("unixgram", datagrams)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	tests := []struct{ name, path, group, want string }{
		{"a file", file, "", "there is something else of that name"},
		{"a folder", dir, "", "there is something else of that name"},
		{"a link", link, "", "there is something else of that name"},
		{"a socket that answers", live, "", "another holdfast is running"},
		{"a socket that too many wait for", busy, "", "another holdfast is running"},
		{"a socket of another kind", datagrams, "", "there is another socket of that name (protocol wrong type for socket)"},
		{"no folder", filepath.Join(dir, "none", "sock"), "", "no such file or directory"},
		{"below a file", filepath.Join(file, "sock"), "", "not a directory"},
		{"no such group", filepath.Join(dir, "new"), "no-such-group", `control group "no-such-group" does not exist`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l, err := Listen(tt.path, tt.group)
			if err == nil {
				l.Close()
				t.Fatal("it was opened")
			}
			if !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%q does not say %q in one line", err, tt.want)
			}
		})
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "precious" {
		t.Errorf("the file is %q now (%v)", text, err)
	}
	if c, err := net.Dial("unix", live); err != nil {
		t.Errorf("the live socket is gone: %v", err)
	} else {
		c.Close()
	}
	for _, path := range []string{busy, datagrams} {
		if _, err := os.Lstat(path); err != nil {
			t.Errorf("somebody's socket is gone: %v", err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "new")); !os.IsNotExist(err) {
		t.Errorf("a socket that was refused is left over (%v)", err)
	}
}
