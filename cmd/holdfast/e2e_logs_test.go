package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
	"github.com/holdfast-vrrp/holdfast/cmd/internal/lab"
)

// TestLogsFollow looks closer at a daemon that runs at level warn: it sees probes
// and adverts, which the daemon itself does not log, also over a restart.
func TestLogsFollow(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	lb1 := newNode(t, l, "lb1", "192.0.2.1/24")
	lb1.setFlag(true)
	lb1.run("[node]\nlog_level = \"info\"\n" + lifeTOML(150, flagCheckTOML()))
	lb1.state(5*time.Second, "web", "master")
	await := func(p *lab.Process, want string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := p.WaitOutput(ctx, want); err != nil {
			t.Fatalf("%s does not come: %v\n%s", want, err, p.Output()[:min(len(p.Output()), 4000)])
		}
	}
	end := func(p *lab.Process) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		must(t, p.Wait(ctx))
	}
	follow := func(args ...string) *lab.Process {
		t.Helper()
		p, err := lb1.Start(selfPath(), append([]string{"logs", "-f", "--config", "/run/holdfast.toml"}, args...)...)
		must(t, err)
		return p
	}
	closer, plain := follow("--level", "trace", "--json"), follow()
	for _, want := range []string{`"message":"probe","fields":{"check":"flag","ok":true,`, `"message":"advert sent","fields":{"interface":"eth0","from":"192.0.2.1","to":"224.0.0.18","version":3,"vrid":51,"priority":150,`} {
		await(closer, want)
	}
	await(plain, `[INFO]  state changed: instance=web from=backup to=master `)
	must(t, lb1.daemon.Signal(syscall.SIGUSR2))
	end(lb1.daemon)
	await(plain, "leaving the addresses to the next daemon")
	own := lb1.daemon.Output()
	lb1.start()
	await(plain, "holdfast: the daemon is back\n")
	eventually(t, 10*time.Second, "the follower hears the next daemon", func() bool { return strings.Count(plain.Output(), "starting: ") == 2 })
	if strings.Contains(own, "advert sent") || strings.Contains(own, "probe") {
		t.Errorf("the daemon logs at a level that only a follower asked for:\n%s", own)
	}
	for _, p := range []*lab.Process{closer, plain} {
		must(t, p.Signal(os.Interrupt))
		end(p)
	}
	records := 0
	for line := range strings.Lines(closer.Output()) {
		var r control.LogRecord
		if strings.HasPrefix(line, "holdfast: ") {
			continue
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil || r.Message == "" {
			t.Errorf("not a record a line: %q, %v", line, err)
		}
		records++
	}
	if text := plain.Output(); strings.Contains(text, "probe") || strings.Count(text, "leaving the addresses") != 1 || strings.Count(text, "starting: ") != 2 {
		t.Errorf("the plain follower saw\n%s", text)
	}
	t.Logf("measured: %d records at level trace", records)
}

// TestJournalLog runs a daemon as systemd does: each of its lines has a priority,
// and neither a time nor a level of its own.
func TestJournalLog(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	lb1 := newNode(t, l, "lb1", "192.0.2.1/24")
	lb1.setFlag(true)
	lb1.configure(lifeTOML(150, "[[check]]\nname = \"flag\"\nexec = [\"/bin/sh\", \"-c\", \"test -s /run/ok || { echo 'one line'; echo '<0>and another'; exit 1; }\"]\ninterval = \"100ms\"\n"))
	run := func(stream func(dev, ino uint64) string, config string, until ...string) (lines []string) {
		t.Helper()
		r, w, err := os.Pipe()
		must(t, err)
		defer r.Close()
		must(t, r.SetReadDeadline(time.Now().Add(10*time.Second)))
		var st unix.Stat_t
		must(t, unix.Fstat(int(w.Fd()), &st))
		c := lb1.Command(t.Context(), selfPath(), "run", "--config", config)
		c.Env = append(os.Environ(), "JOURNAL_STREAM="+stream(st.Dev, st.Ino))
		c.Stderr = w
		must(t, c.Start())
		w.Close()
		in := bufio.NewScanner(r)
		for in.Scan() {
			lines = append(lines, in.Text())
			if len(until) > 0 && strings.Contains(in.Text(), until[0]) {
				if until = until[1:]; len(until) == 0 {
					must(t, c.Process.Signal(syscall.SIGTERM))
				} else {
					lb1.setFlag(false)
				}
			}
		}
		must(t, in.Err())
		_ = c.Wait() // its status is told by the lines
		lb1.setFlag(true)
		return lines
	}
	ours := func(dev, ino uint64) string { return fmt.Sprintf("%d:%d", dev, ino) }
	others := func(dev, ino uint64) string { return fmt.Sprintf("%d:%d", dev, ino+1) }
	until := []string{"to=master", "check fails"}

	journal := run(ours, "/run/holdfast.toml", until...)
	form := regexp.MustCompile(`^<[3467]>[a-z]`)
	if n := slices.IndexFunc(journal, func(line string) bool { return !form.MatchString(line) }); n >= 0 {
		t.Errorf("%q is no line for the journal, of\n%s", journal[n], strings.Join(journal, "\n"))
	}
	for _, want := range []string{"<6>starting: version=", "<6>state changed: instance=web from=backup to=master ", `<4>check fails: check=flag took=`} {
		if !slices.ContainsFunc(journal, func(line string) bool { return strings.HasPrefix(line, want) }) {
			t.Errorf("there is no line %s in\n%s", want, strings.Join(journal, "\n"))
		}
	}
	if !slices.ContainsFunc(journal, func(line string) bool { return strings.Contains(line, `one line\n<0>and another`) }) {
		t.Errorf("the output of the check is not on one line:\n%s", strings.Join(journal, "\n"))
	}
	text := run(others, "/run/holdfast.toml", until...)
	form = regexp.MustCompile(`^20[0-9]{2}-[0-9-]+T[0-9:.]+(Z|[+-][0-9]{4}) \[[A-Z]+\] +holdfast: [a-z]`)
	if n := slices.IndexFunc(text, func(line string) bool { return !form.MatchString(line) }); n >= 0 || len(text) < 5 {
		t.Errorf("%q is no line of text, of\n%s", text[max(n, 0)], strings.Join(text, "\n"))
	}
	if refused := run(ours, "/run/missing.toml"); len(refused) != 1 || !strings.HasPrefix(refused[0], "<3>") {
		t.Errorf("what keeps it from starting is told as %q", refused)
	}
	t.Logf("measured: %d lines for the journal, such as %s", len(journal), journal[0])
}

// A daemon whose log nobody reads any more serves on, hears orders, and hands over
// at its end; what it starts is ended by a pipe that nobody reads, as ever.
func TestLogGone(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	lb1 := newNode(t, l, "lb1", "192.0.2.1/24")
	lb1.configure(lifeTOML(150, "[[check]]\nname = \"pipe\"\nexec = [\"/bin/bash\", \"-c\", \"yes | head -n 1; test ${PIPESTATUS[0]} = 141\"]\ninterval = \"100ms\"\ntimeout = \"2s\"\n"))
	r, w, err := os.Pipe()
	must(t, err)
	defer r.Close()
	must(t, r.SetReadDeadline(time.Now().Add(10*time.Second)))
	c := lb1.Command(t.Context(), selfPath(), "run", "--config", "/run/holdfast.toml")
	c.Stderr = w
	must(t, c.Start())
	must(t, w.Close())
	log := ""
	for in := bufio.NewScanner(r); !strings.Contains(log, "to=master") && in.Scan(); {
		log += in.Text() + "\n"
	}
	must(t, r.Close())
	if !strings.Contains(log, "to=master") {
		t.Fatalf("it does not become master:\n%s", log)
	}
	for range 3 { // each is logged
		if out, code := lb1.command("reload", "--config", "/run/holdfast.toml"); code != exitDone {
			t.Fatalf("reload: exit status %d\n%s", code, out)
		}
	}
	st := lb1.status()
	if got := st.Instances[0].State; got != "master" {
		t.Errorf("it is %s without its log, want master", got)
	}
	if got := st.Checks[0]; got.State != "healthy" {
		t.Errorf("a check whose pipe breaks is %s: %s", got.State, got.LastOutput)
	}
	must(t, c.Process.Signal(syscall.SIGTERM))
	if err := c.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	if lb1.has(lifeVIP) {
		t.Error("it left its address")
	}
}
