package daemon

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holdfast-vrrp/holdfast/vip"
)

// notifySocket is the socket of a systemd, read without ever waiting, for a
// goroutine that waits for the kernel would stop the clock of a bubble.
type notifySocket struct {
	t  *testing.T
	fd int
}

func listenNotify(t *testing.T) *notifySocket {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	path := filepath.Join(t.TempDir(), "notify")
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	t.Setenv("NOTIFY_SOCKET", path)
	return &notifySocket{t, fd}
}

// read returns what was told since the last call.
func (s *notifySocket) read() (told []string) {
	s.t.Helper()
	buf := make([]byte, 4096)
	for {
		n, _, err := unix.Recvfrom(s.fd, buf, 0)
		if err == unix.EAGAIN {
			return told
		}
		if err != nil {
			s.t.Fatal(err)
		}
		told = append(told, string(buf[:n]))
	}
}

func count(list []string, part string) (n int) {
	for _, s := range list {
		if strings.Contains(s, part) {
			n++
		}
	}
	return n
}

// A daemon is ready once it could be killed without a loss. A reload meanwhile says
// nothing else.
func TestReadyOnceTheJournalIsWritten(t *testing.T) {
	systemd := listenNotify(t)
	inBubble(t, func(t *testing.T, lan *network) {
		a := newNode(t, lan, "a", 1, conf(150, "1s"))
		a.d.opts.Journal = t.TempDir()
		a.d.journalBusy = true // on a slow disk
		a.start()
		await(t, 5*time.Second, "a", a)
		if _, err := (backend{a.d}).Reload(t.Context(), "tester"); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if told := systemd.read(); count(told, "READY=1") != 0 {
			t.Errorf("before the journal is written systemd heard %q", told)
		}
		a.d.post(func() { a.d.journalWritten(nil, nil) })
		synctest.Wait()
		if told := systemd.read(); count(told, "READY=1\nSTATUS=1 master") != 1 {
			t.Errorf("once the journal is written systemd heard %q", told)
		}
	})
}

func TestSystemd(t *testing.T) {
	systemd := listenNotify(t)
	t.Setenv("WATCHDOG_USEC", "3000000")
	inBubble(t, func(t *testing.T, lan *network) {
		a := startNode(t, lan, "a", 1, conf(150, "1s"))
		synctest.Wait()
		told := systemd.read()
		if count(told, "READY=1\nSTATUS=1 backup") != 1 {
			t.Errorf("at the start systemd heard %q, want READY=1 with the status", told)
		}
		if v := os.Getenv("NOTIFY_SOCKET") + os.Getenv("WATCHDOG_USEC"); v != "" {
			t.Errorf("hooks would inherit %q", v)
		}
		await(t, 5*time.Second, "a", a)
		if told := systemd.read(); count(told, "STATUS=1 master") != 1 {
			t.Errorf("on becoming master systemd heard %q", told)
		}

		a.edit(conf(151, "1s"))
		if _, err := (backend{a.d}).Reload(t.Context(), "tester"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		told = systemd.read()
		if count(told, "RELOADING=1\nMONOTONIC_USEC=") != 1 || count(told, "READY=1") != 1 {
			t.Errorf("at the reload systemd heard %q", told)
		}

		a.stop()
		if told := systemd.read(); count(told, "STOPPING=1") != 1 {
			t.Errorf("at the stop systemd heard %q", told)
		}
	})
}

// TestWatchdog has the loop feed the watchdog, and only the loop: when it is
// stuck systemd hears nothing and ends the daemon.
func TestWatchdog(t *testing.T) {
	tests := []struct{ name, conf, pid string }{
		{"busy", conf(150, "10ms"), ""},
		{"idle", conf(150, "40s"), ""}, // nothing to do but to feed it
		{"for this process", conf(150, "1s"), "self"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			systemd := listenNotify(t)
			t.Setenv("WATCHDOG_USEC", "3000000")
			if tt.pid != "" {
				t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
			}
			inBubble(t, func(t *testing.T, lan *network) {
				a := startNode(t, lan, "a", 1, tt.conf)
				synctest.Wait()
				systemd.read()
				n := 0
				for range 30 { // the kernel queues ten messages only
					time.Sleep(time.Second)
					synctest.Wait()
					n += count(systemd.read(), "WATCHDOG=1")
				}
				if n < 29 || n > 31 {
					t.Errorf("fed %d times in 30 s, want once a second", n)
				}
				a.d.post(func() { time.Sleep(10 * time.Second) }) // the loop is stuck
				time.Sleep(9 * time.Second)
				if n := count(systemd.read(), "WATCHDOG=1"); n > 1 {
					t.Errorf("fed %d times by a loop that is stuck", n)
				}
				time.Sleep(5 * time.Second)
				if n := count(systemd.read(), "WATCHDOG=1"); n < 3 {
					t.Errorf("fed %d times after the loop got going again, want at least 3", n)
				}
				a.stop()
			})
		})
	}
	t.Run("for another process", func(t *testing.T) {
		systemd := listenNotify(t)
		t.Setenv("WATCHDOG_USEC", "3000000")
		t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()+1))
		inBubble(t, func(t *testing.T, lan *network) {
			a := startNode(t, lan, "a", 1, conf(150, "1s"))
			synctest.Wait()
			systemd.read()
			time.Sleep(30 * time.Second)
			if n := count(systemd.read(), "WATCHDOG=1"); n != 0 {
				t.Errorf("fed %d times the watchdog of another process", n)
			}
			a.stop()
		})
	})
}

// TestWatchdogWhileEnding has the last addresses take long to go, as hooks may take
// long to run: the watchdog, which was fed while the loop handed over, is fed on.
func TestWatchdogWhileEnding(t *testing.T) {
	systemd := listenNotify(t)
	t.Setenv("WATCHDOG_USEC", "3000000")
	inBubble(t, func(t *testing.T, lan *network) {
		a := startNode(t, lan, "a", 1, conf(150, "1s"))
		await(t, 5*time.Second, "a", a)
		a.kernel.Refuse(func(_ string, c vip.Change) error {
			if c.Verb == vip.Remove {
				time.Sleep(8 * time.Second)
			}
			return nil
		})
		systemd.read()
		a.cancel()
		fed, seconds := 0, 0
		for len(a.result) == 0 {
			time.Sleep(time.Second)
			synctest.Wait()
			fed += count(systemd.read(), "WATCHDOG=1")
			seconds++
		}
		if err := <-a.result; err != nil || seconds < 9 {
			t.Errorf("it ended after %d s, %v; want more than 8", seconds, err)
		}
		if fed < seconds-1 {
			t.Errorf("fed %d times in the last %d s, want once a second", fed, seconds)
		}
	})
}

// TestHooksAtTheEndGetTheirTime has a hook run at the end: systemd, which would kill
// the daemon under it, is asked for the time that hooks may take, and only then.
func TestHooksAtTheEndGetTheirTime(t *testing.T) {
	for _, c := range []struct{ name, hook, want string }{
		{"none", "", ""},
		{"not for the end", "[[notify]]\non = [\"fault\"]\nexec = [\"/bin/true\"]\n", ""},
		{"of 2 minutes", "[[notify]]\nexec = [\"/bin/sleep\", \"0.1\"]\ntimeout = \"2m\"\n", "EXTEND_TIMEOUT_USEC=140000000\nSTATUS=the addresses are handed over; hooks run, for at most 2m10s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			systemd := listenNotify(t)
			inBubble(t, func(t *testing.T, lan *network) {
				a := startNode(t, lan, "a", 1, conf(150, "1s", c.hook))
				await(t, 5*time.Second, "a", a)
				systemd.read()
				a.stop()
				told, want := systemd.read(), 1
				if c.want == "" {
					want = 0
				}
				if count(told, "EXTEND_TIMEOUT_USEC=") != want || c.want != "" && count(told, c.want) != 1 {
					t.Errorf("at the end systemd heard %q, want %q", told, c.want)
				}
			})
		})
	}
}

// TestSystemdDeaf fills the queue of a systemd that does not read.
func TestSystemdDeaf(t *testing.T) {
	listenNotify(t)
	t.Setenv("WATCHDOG_USEC", "30000")
	inBubble(t, func(t *testing.T, lan *network) {
		a := startNode(t, lan, "a", 1, conf(150, "1s"))
		time.Sleep(5 * time.Minute) // 30,000 messages that nobody reads
		punctual(t, lan, time.Second)
		a.stop()
	})
}

func TestNoSystemd(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "nobody"))
	inBubble(t, func(t *testing.T, lan *network) {
		a := startNode(t, lan, "a", 1, conf(150, "1s"))
		await(t, 5*time.Second, "a", a)
		if a.log.count("systemd will not hear of this daemon") != 1 {
			t.Errorf("log:\n%s", a.log)
		}
		a.stop()
	})
}
