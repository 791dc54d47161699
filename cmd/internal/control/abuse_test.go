package control

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/lab"
)

const nobody = 65534

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("HOLDFAST_REQUIRE") != "" {
		t.Fatal("this test needs root, to become somebody else")
	}
	t.Skip("needs root, to become somebody else")
}

// dialAs connects as another user.
func dialAs(uid int, path string) func() (net.Conn, error) {
	return func() (c net.Conn, err error) {
		err = lab.AsUser(uid, uid, func() (err error) {
			c, err = net.Dial("unix", path)
			return err
		})
		return c, err
	}
}

// TestAbuse has a thousand clients of another user do all that they can. Root is
// answered all the time, and the daemon is asked so often at most.
func TestAbuse(t *testing.T) {
	needRoot(t)
	f := sample()
	record(f.events, 1, 500)
	settled(t, f.events, 500)
	var asked, changed, at, most atomic.Int64
	f.status = func(context.Context) (*Status, error) {
		most.Store(max(most.Load(), at.Add(1)))
		defer at.Add(-1)
		asked.Add(1)
		return sampleStatus(), nil
	}
	f.order = func(said) (*Operated, error) { changed.Add(1); return &Operated{}, nil }
	path, _ := serve(t, f)
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	before := runtime.NumGoroutine()
	ctx, cancel := context.WithCancel(t.Context())
	var abuse lab.Abuse
	var wg sync.WaitGroup
	wg.Go(func() { abuse.Run(ctx, 1000, dialAs(nobody, path)) })

	const long = 2 * time.Second
	began, answered, slowest := time.Now(), 0, time.Duration(0)
	abused := func() bool { return abuse.Refused.Load() > 0 && abuse.Answered.Load() > 0 }
	for time.Since(began) < long || !abused() && time.Since(began) < 10*long {
		start := time.Now()
		if _, _, err := NewClient(path).Status(t.Context()); err != nil {
			t.Errorf("root is not answered: %v", err)
		}
		slowest = max(slowest, time.Since(start))
		answered++
	}
	took := time.Since(began)
	cancel()
	wg.Wait()
	t.Logf("measured: in %v %d connections, %d told that they are refused, %d requests answered; root was answered %d times, after %v at most; the daemon was asked %d times",
		took.Round(time.Millisecond), abuse.Connected.Load(), abuse.Refused.Load(), abuse.Answered.Load(), answered, slowest.Round(time.Millisecond), asked.Load())
	if limit := int64(took/shareGap) + 2; asked.Load() > limit {
		t.Errorf("the daemon was asked %d times in %v, want %d at most", asked.Load(), took, limit)
	}
	if most.Load() > 1 {
		t.Errorf("the daemon was asked %d questions at a time", most.Load())
	}
	if changed.Load() > 0 {
		t.Errorf("somebody who may not changed something")
	}
	if abuse.Refused.Load() == 0 || abuse.Answered.Load() == 0 {
		t.Errorf("%d were refused and %d answered, want some of both", abuse.Refused.Load(), abuse.Answered.Load())
	}
	for deadline := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before+10; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines are left, there were %d", runtime.NumGoroutine(), before)
		}
	}
}

// TestShares opens as many connections as it gets, as others and as root.
func TestShares(t *testing.T) {
	needRoot(t)
	path, _ := serve(t, sample())
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	connect := func(uid int) net.Conn {
		t.Helper()
		c, err := dialAs(uid, path)()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	refusal := func(uid int) string {
		t.Helper()
		c := connect(uid)
		fmt.Fprint(c, "GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n")
		c.SetReadDeadline(time.Now().Add(10 * time.Second))
		b := make([]byte, 4096)
		n, _ := c.Read(b)
		return string(b[:n])
	}
	open := func(n, uid int) { // in the order in which they are taken
		t.Helper()
		for range n {
			connect(uid)
		}
	}
	ask := func() error {
		_, _, err := NewClient(path).Status(t.Context())
		return err
	}
	open(fromOne-1, nobody)
	if got := refusal(nobody); !strings.HasPrefix(got, "HTTP/1.1 200 ") {
		t.Fatalf("within the limit of one user: %s", got)
	}
	want := fmt.Sprintf(`{"error":"the daemon is busy: user %d has %d connections to it, which is the most; end some, or try again"}`, nobody, fromOne)
	if got := refusal(nobody); !strings.HasPrefix(got, "HTTP/1.1 503 ") || !strings.HasSuffix(got, "\r\n\r\n"+want+"\n") {
		t.Errorf("beyond the limit of one user: %s", got)
	}
	for uid := 60001; uid <= 60002; uid++ {
		open(fromOne, uid)
	}
	if got := refusal(60003); !strings.Contains(got, fmt.Sprintf("it has %d connections, which is the most", connections-reserved)) {
		t.Errorf("beyond what all others may have: %s", got)
	}
	if err := ask(); err != nil {
		t.Errorf("root, beside those: %v", err)
	}
	open(reserved, 0)
	if err := ask(); err == nil || err.Error() != fmt.Sprintf("the daemon is busy: it has %d connections, which is the most; end some, or try again", connections) {
		t.Errorf("beyond all: %v", err)
	}
}

// TestNoDescriptors takes clients again once there are descriptors again.
func TestNoDescriptors(t *testing.T) {
	path := filepath.Join(openDir(t), "sock")
	l, err := Listen(path, "")
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan string, 100)
	s := NewServer(sample())
	s.Trouble = func(message string) { told <- message }
	c, err := net.Dial("unix", path) // it waits in the queue
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	defer unix.Setrlimit(unix.RLIMIT_NOFILE, &before)
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.Serve(l); err != nil {
			t.Error(err)
		}
	})
	defer wg.Wait()
	defer s.Close()
	if got := <-told; got != "the control socket takes no clients at the moment: too many open files" {
		t.Errorf("told %q", got)
	}
	time.Sleep(3 * acceptRetry) // it goes on without another word
	unix.Setrlimit(unix.RLIMIT_NOFILE, &before)
	fmt.Fprint(c, "GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n")
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	b := make([]byte, 64)
	if n, err := c.Read(b); !strings.HasPrefix(string(b[:n]), "HTTP/1.1 200 OK") {
		t.Errorf("who waited got %q, %v", b[:n], err)
	}
	if n := len(told); n > 0 {
		t.Errorf("%d more words about it, such as %q", n, <-told)
	}
}

// TestShared has many ask at a time, and wants each answer to be later than its
// question.
func TestShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const long = 5 * time.Millisecond
		asked := 0
		s := newShared(func() time.Duration { return time.Second }, func(context.Context) (time.Time, error) {
			asked++
			began := time.Now()
			time.Sleep(long)
			return began, nil
		})
		began := time.Now()
		var wg sync.WaitGroup
		for n := range 1000 {
			wg.Go(func() {
				time.Sleep(time.Duration(n) * time.Millisecond)
				start := time.Now()
				at, err := s.get(t.Context())
				if err != nil || at.Before(start) {
					t.Errorf("asked at %v it was answered what was at %v, %v", start.Sub(began), at.Sub(began), err)
				}
			})
		}
		wg.Wait()
		// It rests ten times as long as it was asked.
		if want := int(time.Second/(shareRest*long)) + 2; asked > want {
			t.Errorf("1000 questions in a second became %d, want %d at most", asked, want)
		}
		start := time.Now().Add(time.Minute)
		time.Sleep(time.Until(start))
		if _, err := s.get(t.Context()); err != nil || time.Since(start) != long {
			t.Errorf("somebody alone waits %v, %v", time.Since(start), err)
		}
	})
}

func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPace(10*time.Millisecond, 5)
		for _, want := range []time.Duration{0, 10 * time.Millisecond} {
			began := time.Now()
			for range 5 { // 5 that were saved, then each after 10 ms
				if err := p.wait(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if got := time.Since(began); got != 5*want {
				t.Errorf("5 take %v, want %v", got, 5*want)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := p.wait(ctx); err != context.Canceled {
			t.Errorf("who does not wait: %v", err)
		}
		if err := (*pace)(nil).wait(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestPaceOfThoseWhoGo has very many come and go at once, who hold up nobody.
func TestPaceOfThoseWhoGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const gap = 10 * time.Millisecond
		p := newPace(gap, 5)
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		for range 10_000 {
			_ = p.wait(gone)
		}
		began := time.Now()
		if err := p.wait(t.Context()); err != nil || time.Since(began) > gap {
			t.Errorf("who stays waits %v, want %v at most (%v)", time.Since(began), gap, err)
		}
	})
}
