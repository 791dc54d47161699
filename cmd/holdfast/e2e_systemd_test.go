package main

// What systemd hears of the daemon (sd_notify(3)).

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// notified is a fake notification socket of systemd.
type notified struct {
	mu       sync.Mutex
	messages []message
}

type message struct {
	at   time.Time
	text string
	// rawSockets is whether the daemon listened for adverts when it sent this.
	rawSockets bool
}

// listenNotify opens the socket @name on a node. probe is asked at each
// message.
func listenNotify(t *testing.T, n *node, name string, probe func() bool) *notified {
	t.Helper()
	var conn *net.UnixConn
	err := n.Do(func() (err error) { // abstract sockets belong to the network namespace
		conn, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: "@" + name, Net: "unixgram"})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	s := &notified{}
	go func() {
		buf := make([]byte, 4096)
		for {
			k, err := conn.Read(buf)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			m := message{at: time.Now(), text: string(buf[:k]), rawSockets: probe()}
			s.mu.Lock()
			s.messages = append(s.messages, m)
			s.mu.Unlock()
		}
	}()
	return s
}

func (s *notified) all() []message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.messages)
}

// count counts the messages that have a line.
func (s *notified) count(line string) (n int) {
	for _, m := range s.all() {
		if slices.Contains(strings.Split(m.text, "\n"), line) {
			n++
		}
	}
	return n
}

func TestSystemdIsTold(t *testing.T) {
	n := newNode(t, newLab(t), "lb1", "192.0.2.1/24", "2001:db8::1/64")
	// The VRRP sockets of both families, as the kernel lists them.
	listening := func() bool {
		ok := true
		for _, table := range []string{"raw", "raw6"} {
			var text []byte
			err := n.Do(func() (err error) {
				text, err = os.ReadFile("/proc/thread-self/net/" + table)
				return err
			})
			ok = ok && err == nil && strings.Contains(string(text), ":0070 ")
		}
		return ok
	}
	systemd := listenNotify(t, n, "hf-notify", listening)

	const watchdog = 300 * time.Millisecond
	hook := "[[notify]]\nexec = [\"/bin/sh\", \"-c\", \"echo notify=$NOTIFY_SOCKET watchdog=$WATCHDOG_USEC > /run/hook-env\"]\n"
	n.setFlag(true)
	config := instanceTOML(150, "100ms", []string{lifeVIP + "/24", "2001:db8::100/64"}) + flagCheckTOML(`on_failure = "release"`) + hook
	n.configure(config)
	c := n.Command(t.Context(), selfPath(), "run", "--config", "/run/holdfast.toml")
	c.Env = append(selfEnv(), "NOTIFY_SOCKET=@hf-notify", fmt.Sprintf("WATCHDOG_USEC=%d", watchdog.Microseconds()), "WATCHDOG_PID=1")
	var err error
	if n.daemon, err = n.StartCommand(c); err != nil {
		t.Fatal(err)
	}
	eventually(t, 5*time.Second, "READY=1", func() bool { return systemd.count("READY=1") == 1 })
	for _, m := range systemd.all() {
		if strings.Contains(m.text, "READY=1") && !m.rawSockets {
			t.Error("READY=1 came before the sockets were open")
		}
	}
	told := func(line string) {
		t.Helper()
		eventually(t, 5*time.Second, line, func() bool { return systemd.count(line) > 0 })
	}
	told("STATUS=1 backup")
	told("STATUS=1 master")
	n.setFlag(false)
	told("STATUS=1 fault")
	n.setFlag(true)

	// A reload, good or bad, begins and ends.
	for k, text := range []string{config, "nonsense"} {
		n.configure(text)
		if err := n.daemon.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		eventually(t, 5*time.Second, "the reload begins and ends", func() bool {
			return systemd.count("RELOADING=1") == k+1 && systemd.count("READY=1") == k+2
		})
	}
	for _, m := range systemd.all() {
		if strings.Contains(m.text, "RELOADING=1") && !strings.Contains(m.text, "MONOTONIC_USEC=") {
			t.Errorf("systemd wants the time with %q", m.text)
		}
	}

	before := systemd.count("WATCHDOG=1")
	during(t, 2*watchdog, "the watchdog runs", func() bool { return systemd.count("STOPPING=1") == 0 })
	after := systemd.count("WATCHDOG=1")
	var longest time.Duration
	var last time.Time
	for _, m := range systemd.all() {
		if m.text == "WATCHDOG=1" {
			if !last.IsZero() {
				longest = max(longest, m.at.Sub(last))
			}
			last = m.at
		}
	}
	t.Logf("measured: %d times WATCHDOG=1, %d of them in the last %v; longest pause %v of %v", after, after-before, 2*watchdog, longest, watchdog)
	if after-before < 3 || longest > watchdog+room {
		t.Errorf("%d times WATCHDOG=1 in %v, longest pause %v", after-before, 2*watchdog, longest)
	}

	n.stop()
	told("STOPPING=1")
	env, err := n.ReadFile("/run/hook-env")
	if err != nil {
		t.Fatal(err)
	}
	if env != "notify= watchdog=\n" {
		t.Errorf("hooks could speak to systemd in the daemon's name: %q", env)
	}
	for _, m := range systemd.all() {
		t.Logf("systemd heard %q", m.text)
	}
}
