package control

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/history"
	"github.com/holdfast-vrrp/holdfast/cmd/internal/logbook"
)

// beClient makes the test binary a client that asks for a reload, for tests
// that need a process of another user. Its value is the socket.
const beClient = "HOLDFAST_TEST_RELOAD_SOCKET"

func TestMain(m *testing.M) {
	if path := os.Getenv(beClient); path != "" {
		if _, err := NewClient(path).Reload(context.Background()); err != nil {
			os.Stdout.WriteString(err.Error())
			os.Exit(1)
		}
		os.Stdout.WriteString("reloaded")
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// fake is a daemon.
type fake struct {
	status func(ctx context.Context) (*Status, error)
	reload func(ctx context.Context, who string) (*Reloaded, error)
	events *history.History
	log    *logbook.Logger
	order  func(said) (*Operated, error)
}

func (f *fake) Events() *history.History { return f.events }

func (f *fake) Logs() *logbook.Book { return f.log.Book() }

func (f *fake) Status(ctx context.Context) (*Status, error) { return f.status(ctx) }

func (f *fake) Reload(ctx context.Context, who string) (*Reloaded, error) { return f.reload(ctx, who) }

func (f *fake) Explain(_ context.Context, instance string) (*Explained, error) {
	if instance == "wep" {
		return nil, &Refused{errors.New("there is no instance")}
	}
	x := sampleExplained()
	x.Instances[0].Name = cmp.Or(instance, "web")
	return x, nil
}

// sample answers at once.
func sample() *fake {
	h := history.New(nil)
	h.Start("")
	return &fake{
		events: h, log: logbook.New(io.Discard, "info", logbook.Text),
		status: func(context.Context) (*Status, error) { return sampleStatus(), nil },
		reload: func(context.Context, string) (*Reloaded, error) { return &Reloaded{Version: Version}, nil },
	}
}

// openDir returns a folder that every user can look into.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "hfcontrol")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// serve runs a server, changed by what is given, until the end of the test.
func serve(t *testing.T, b Backend, change ...func(*Server)) (path string, s *Server) {
	t.Helper()
	path = filepath.Join(openDir(t), "sock")
	l, err := Listen(path, "")
	if err != nil {
		t.Fatal(err)
	}
	s = NewServer(b)
	for _, f := range change {
		f(s)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.Serve(l); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		s.Close()
		wg.Wait()
	})
	return path, s
}

func TestReload(t *testing.T) {
	f := sample()
	var who string
	f.reload = func(_ context.Context, w string) (*Reloaded, error) {
		who = w
		return &Reloaded{Version: Version, Warnings: []string{"one", "two"}}, nil
	}
	path, _ := serve(t, f)
	done, err := NewClient(path).Reload(t.Context())
	if err != nil || strings.Join(done.Warnings, " ") != "one two" {
		t.Errorf("reload: %+v, %v", done, err)
	}
	if !strings.HasPrefix(who, "root (uid 0, pid ") && os.Geteuid() == 0 {
		t.Errorf("the daemon was told that %q asked", who)
	}

	const problem = "a.toml:1:1: bad\n    x\n    ^\na.toml:2:1: worse"
	f.reload = func(context.Context, string) (*Reloaded, error) { return nil, &Refused{errors.New(problem)} }
	if _, err := NewClient(path).Reload(t.Context()); err == nil || err.Error() != problem {
		t.Errorf("a refusal came over as %q, want %q", err, problem)
	}
}

// TestReloadByOthers has a process of another user ask, first without the right
// to open the socket, then with it.
func TestReloadByOthers(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("HOLDFAST_REQUIRE") != "" {
			t.Fatal("this test needs root, to become somebody else")
		}
		t.Skip("needs root, to become somebody else")
	}
	f := sample()
	var asked atomic.Int32
	f.reload = func(context.Context, string) (*Reloaded, error) {
		asked.Add(1)
		return &Reloaded{Version: Version}, nil
	}
	path, _ := serve(t, f)
	as := func(uid uint32) (string, int) {
		c := exec.Command("/proc/self/exe")
		c.Env = append(os.Environ(), beClient+"="+path)
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		out, err := c.Output()
		if c.ProcessState == nil {
			t.Fatal(err)
		}
		return string(out), c.ProcessState.ExitCode()
	}
	if out, code := as(65534); code != 1 || !strings.HasPrefix(out, "may not open "+path) {
		t.Errorf("without the right to connect: %q, exit status %d", out, code)
	}
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	if out, code := as(65534); code != 1 || out != "only root and the user that runs the daemon may change anything" {
		t.Errorf("somebody who may connect: %q, exit status %d", out, code)
	}
	if asked.Load() != 0 {
		t.Errorf("the daemon was asked %d times by somebody who may not", asked.Load())
	}
	if out, code := as(0); code != 0 || out != "reloaded" || asked.Load() != 1 {
		t.Errorf("root: %q, exit status %d, asked %d times", out, code, asked.Load())
	}
}

func TestErrors(t *testing.T) {
	f := sample()
	path, server := serve(t, f)
	f.status = func(context.Context) (*Status, error) { return nil, errors.New("the daemon is stopping") }
	if _, _, err := NewClient(path).Status(t.Context()); err == nil || err.Error() != "the daemon is stopping" {
		t.Errorf("an error of the daemon: %v", err)
	}
	f.status = func(context.Context) (*Status, error) { return &Status{Version: 99}, nil }
	if _, _, err := NewClient(path).Status(t.Context()); err == nil || !strings.Contains(err.Error(), "the daemon speaks version 99, this program version 1") {
		t.Errorf("another version: %v", err)
	}
	server.Close()
	missing := filepath.Join(t.TempDir(), "missing")
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	long := "/" + strings.Repeat("x", 200)
	for p, want := range map[string]string{
		missing:     "start it, or name its socket with --socket",
		file:        "it is no socket; name the daemon's with --socket",
		file + "/x": "start it, or name its socket with --socket",
		long:        "no socket can have a path of more than 107 bytes; name the daemon's with --socket",
	} {
		if _, _, err := NewClient(p).Status(t.Context()); !errors.Is(err, ErrNotRunning) || err.Error() != "no daemon answers on "+p+": "+want {
			t.Errorf("%s: %v", p, err)
		}
	}
	for _, p := range []string{path, missing} {
		if _, _, err := NewClient(p).Status(t.Context()); !errors.Is(err, ErrNotRunning) || !strings.Contains(err.Error(), p) {
			t.Errorf("no daemon on %s: %v, want %v", p, err, ErrNotRunning)
		}
	}
}

// answering is a socket where the first request gets an answer, whatever it is,
// and the connection ends.
func answering(t *testing.T, answer string) (path string) {
	t.Helper()
	path = filepath.Join(openDir(t), "sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		c.Read(make([]byte, 4096))
		c.Write([]byte(answer))
		c.Close()
	}()
	return path
}

// TestGarbage talks to something that is no holdfast.
func TestGarbage(t *testing.T) {
	for name, answer := range map[string]string{
		"not HTTP": "220 smtp.example ESMTP\r\n",
		"not JSON": "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
		"an error": "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n",
		"nothing":  "",
	} {
		t.Run(name, func(t *testing.T) {
			path := answering(t, answer)
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			if _, _, err := NewClient(path).Status(ctx); err == nil || strings.Contains(err.Error(), "\n") {
				t.Errorf("the client said %v, want one line", err)
			}
		})
	}
}
