package control

import (
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/lab"
)

// hurry connects as a user so often that the last has to wait for some seconds.
func hurry(t *testing.T, uid int, path string) (last net.Conn) {
	t.Helper()
	err := lab.AsUser(uid, uid, func() error {
		for range acceptBurst + int(3*time.Second/acceptGap) {
			c, err := net.Dial("unix", path)
			if err != nil {
				return err
			}
			t.Cleanup(func() { c.Close() })
			last = c
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return last
}

// TestHurry has a user connect too often: root and others are answered before the
// last of those has its turn, and the end waits for none of them.
func TestHurry(t *testing.T) {
	needRoot(t)
	path, s := serve(t, sample())
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	last := hurry(t, nobody, path)
	ended := make(chan error, 1)
	go func() {
		_, err := last.Read(make([]byte, 1))
		ended <- err
	}()
	if _, _, err := NewClient(path).Status(t.Context()); err != nil {
		t.Errorf("root: %v", err)
	}
	other, err := dialAs(60001, path)()
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	fmt.Fprint(other, "GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n")
	b := make([]byte, 64)
	if n, err := other.Read(b); !strings.HasPrefix(string(b[:n]), "HTTP/1.1 200 ") {
		t.Errorf("another user: %q, %v", b[:n], err)
	}
	select {
	case err := <-ended:
		t.Fatalf("the last of those in a hurry had its turn before the others (%v)", err)
	default:
	}
	began := time.Now()
	s.Close()
	<-ended
	if took := time.Since(began); took > time.Second {
		t.Errorf("it waited %v after the end", took)
	}
}

// TestPlaces has a user come too often, more often than may wait, and then root.
func TestPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, err := Listen(filepath.Join(t.TempDir(), "sock"), "")
		if err != nil {
			t.Fatal(err)
		}
		g := newGuard(l, func(string) {})
		g.mostWait = 10
		got := map[int]int{}
		for range acceptBurst + 2*g.mostWait {
			c, _ := net.Pipe()
			got[g.place(c, &unix.Ucred{Uid: nobody})]++
		}
		if want := map[int]int{enters: acceptBurst, waits: g.mostWait, cutOff: g.mostWait}; !maps.Equal(got, want) {
			t.Errorf("of one user %v, want %v", got, want)
		}
		for _, uid := range []uint32{0, 60001} {
			c, _ := net.Pipe()
			if got := g.place(c, &unix.Ucred{Uid: uid}); got != enters {
				t.Errorf("user %d beside that: %d", uid, got)
			}
		}
		g.Close()
		if c, _ := net.Pipe(); g.place(c, nil) != cutOff || len(g.wait) > 0 {
			t.Errorf("after the end %d wait, and who comes is not cut off", len(g.wait))
		}
		<-g.ended
	})
}
