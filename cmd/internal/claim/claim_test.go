package claim

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func make1(t *testing.T, dir string) *Claim {
	t.Helper()
	c, err := Make(dir, func() []byte { return []byte("told") })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Release)
	return c
}

// having lists those of the others that have a run directory.
func having(t *testing.T, c *Claim, dir string) []Holder {
	t.Helper()
	all, err := c.Others()
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(h Holder) bool { return !h.Has(dir) })
}

// A claim outlives its directory, is seen under every name of that, and ends with
// its holder even when a child has the socket.
func TestClaim(t *testing.T) {
	base := t.TempDir()
	dir, link := filepath.Join(base, "run"), filepath.Join(base, "link")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(base, link); err != nil {
		t.Fatal(err)
	}
	c := make1(t, dir)
	if l := having(t, c, dir); len(l) != 0 {
		t.Errorf("it finds itself: %+v", l)
	}
	for _, gone := range []bool{false, true} {
		if gone {
			os.Remove(dir)
		}
		for _, name := range []string{dir, filepath.Join(link, "run"), dir + "/"} {
			l := having(t, nil, name)
			if len(l) != 1 || l[0].PID != os.Getpid() || l[0].RunDir != resolve(dir) || string(l[0].Told) != "told" {
				t.Errorf("with the directory gone %t, %s is held by %+v", gone, name, l)
			}
		}
	}
	if l := having(t, nil, filepath.Join(base, "other")); len(l) != 0 {
		t.Errorf("another directory is held by %+v", l)
	}
	raw, err := c.listener.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	child := -1 // as a child has it whose exec hangs
	if err := raw.Control(func(fd uintptr) { child, err = unix.Dup(int(fd)) }); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(child)
	c.Release()
	if l := having(t, nil, dir); len(l) != 0 {
		t.Errorf("after its end it is held by %+v", l)
	}
}

// A path that is too long for a name is told from others all the same.
func TestClaimOfALongPath(t *testing.T) {
	long := filepath.Join(t.TempDir(), strings.Repeat("x", 200))
	make1(t, long)
	if l := having(t, nil, long); len(l) != 1 || l[0].RunDir != "" {
		t.Errorf("it is held by %+v", l)
	}
	if l := having(t, nil, long+"y"); len(l) != 0 {
		t.Errorf("another one is held by %+v", l)
	}
}

// Who cannot be a daemon keeps none from starting.
func TestClaimOfAStranger(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("HOLDFAST_REQUIRE") == "1" {
			t.Fatal("needs root")
		}
		t.Skip("needs root: whoever has its user may serve")
	}
	nobody := &unix.Ucred{Pid: 0, Uid: 65534}
	if mayServe(nobody) || !mayServe(&unix.Ucred{Uid: 0}) || !mayConfigure(os.Getpid()) {
		t.Error("the wrong ones may serve")
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: prefix + "no claim", Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	all, err := (*Claim)(nil).Others()
	if err != nil || slices.ContainsFunc(all, func(h Holder) bool { return h.key == "" }) {
		t.Errorf("found %+v, %v", all, err)
	}
}
