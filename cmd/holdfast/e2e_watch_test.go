package main

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestWatch has a person look at a live pair: the master dies, the terminal
// changes its size, the daemon is started anew, and in the end the terminal is
// as it was.
func TestWatch(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	lb1 := newNode(t, l, "lb1", "192.0.2.1/24")
	lb2 := newNode(t, l, "lb2", "192.0.2.2/24")
	check := "\n[[check]]\nname = \"up\"\nexec = [\"/bin/true\"]\ninterval = \"200ms\"\n"
	lb1.run(instanceTOML(150, "100ms", []string{"192.0.2.100/24"}) + check)
	lb2.run(instanceTOML(100, "100ms", []string{"192.0.2.100/24"}) + check)
	only(t, 5*time.Second, "192.0.2.100", lb1, lb2)

	began := time.Now()
	p := lb2.onTerminal(t, 120, 30, "watch", "--config", "/run/holdfast.toml")
	p.sees("> web       BACKUP")
	p.sees("192.0.2.1 (150)")
	p.sees("q quits")
	p.seesThat("a sparkline", func(s string) bool {
		_, line, _ := strings.Cut(s, "\nup ")
		line, _, _ = strings.Cut(line, "\n")
		return strings.Contains(line, "healthy") && len([]rune(strings.TrimRight(line, "▁▂▃▄▅▆▇█"))) < len([]rune(line))-2
	})
	if p.termios() == p.before {
		t.Error("the terminal is not in raw mode")
	}

	if err := lb1.daemon.Kill(); err != nil {
		t.Fatal(err)
	}
	// After 3 adverts and the skew, the state is asked for within a second.
	took := p.sees("> web       MASTER")
	t.Logf("the screen shows the new master %v after the old one was killed", took.Round(time.Millisecond))
	p.sees("is master now: no advert from 192.0.2.1 for ")

	p.resize(60, 16)
	p.seesThat("16 lines of 60 columns", func(s string) bool {
		lines := strings.Split(s, "\n")
		return strings.HasPrefix(lines[0], "lb2: 1 master ") && len(lines[0]) == 60 && strings.HasPrefix(lines[15], "q quits")
	})
	p.resize(120, 30)

	// Ctrl-Z gives the terminal back until it goes on.
	p.press("\x1a")
	p.restored()
	if err := p.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	p.sees("q quits")

	if err := lb2.daemon.Kill(); err != nil {
		t.Fatal(err)
	}
	p.sees("NO ANSWER for ")
	p.sees("no daemon answers on ")
	lb2.start()
	p.sees("the daemon answers again: it was started anew")
	p.seesThat("no warning any more", func(s string) bool { return !strings.Contains(s, "NO ANSWER") })

	p.press("q")
	p.ends(exitDone)
	p.mu.Lock()
	t.Logf("%d bytes were written to the terminal in %v", p.written, time.Since(began).Round(time.Millisecond))
	p.mu.Unlock()

	for _, sig := range []os.Signal{syscall.SIGTERM, syscall.SIGHUP, os.Interrupt} {
		p = lb2.onTerminal(t, 80, 24, "watch", "--config", "/run/holdfast.toml")
		p.sees("q quits")
		if err := p.cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		p.ends(exitDone)
	}

	p = lb2.onTerminal(t, 80, 24, "status", "--watch=200ms", "--config", "/run/holdfast.toml")
	p.sees("q quits")
	p.sees("web  MASTER for ")
	lb2.stop()
	p.sees("NO ANSWER for ")
	p.press("q")
	p.ends(exitNotRunning)
}
