package main

// Reloading: only what differs is touched, and what is wrong changes nothing.

import (
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"
)

// otherTOML is one more instance.
func otherTOML(name string, vrid, priority int, addresses string) string {
	return fmt.Sprintf("[[instance]]\nname = %q\ninterface = \"eth0\"\nvrid = %d\npriority = %d\naddresses = [%s]\nadvert_interval = \"100ms\"\n\n",
		name, vrid, priority, addresses)
}

// reload changes the configuration and has the daemon read it.
func (n *node) reload(config string) {
	n.t.Helper()
	n.configure(config)
	if out, code := n.command("reload", "--config", "/run/holdfast.toml"); code != exitDone || !strings.Contains(out, "reloaded") {
		n.t.Fatalf("reload on %s: exit status %d: %s", n.Name(), code, out)
	}
}

// Instances come, change and go; another one notices nothing.
func TestReloadDisturbsNothing(t *testing.T) {
	l := newLab(t)
	lb1, lb2 := newPair(t, l)
	web := lifeTOML(150)
	lb1.run(web)
	lb2.run(lifeTOML(100))
	only(t, 5*time.Second, lifeVIP, lb1, lb2)
	before := lb1.instance("web")
	adverts := captureAdverts(t, lb2.Host, "eth0", 51)
	gone := make(chan int)
	watch := make(chan struct{})
	go func() { // the address must stay all the while
		missing := 0
		for {
			select {
			case <-watch:
				gone <- missing
				return
			case <-time.After(time.Millisecond):
				if !lb1.has(lifeVIP) {
					missing++
				}
			}
		}
	}()

	const settle = 3 * time.Second
	for round := range 3 {
		// Added, before and behind the other one.
		lb1.reload(otherTOML("db", 52, 150, `"192.0.2.101/24"`) + web + otherTOML("mail", 53, 120, `"192.0.2.102/24"`))
		eventually(t, settle, "the new instances serve", func() bool { return lb1.has("192.0.2.101") && lb1.has("192.0.2.102") })
		// One changed: another priority, an address more and one less.
		lb1.reload(web + otherTOML("mail", 53, 110, `"192.0.2.103/24", "192.0.2.104/32"`) + otherTOML("db", 52, 150, `"192.0.2.101/24"`))
		eventually(t, settle, "the addresses follow", func() bool {
			return lb1.has("192.0.2.103") && lb1.has("192.0.2.104") && !lb1.has("192.0.2.102") && lb1.has("192.0.2.101")
		})
		if p := lb1.instance("mail").Priority.Base; p != 110 {
			t.Errorf("round %d: priority %d after the reload, want 110", round, p)
		}
		// Removed.
		lb1.reload(web)
		eventually(t, settle, "the addresses are gone", func() bool {
			return !lb1.has("192.0.2.101") && !lb1.has("192.0.2.103") && !lb1.has("192.0.2.104")
		})
	}
	close(watch)
	missing := <-gone
	longest, sources := adverts.result(t)
	count := adverts.count()
	after := lb1.instance("web")
	t.Logf("measured: during 9 reloads %d adverts of web, longest gap %v, from %v; address missing %d times", count, longest, sources, missing)
	if longest > lifeInterval+room {
		t.Errorf("longest gap between adverts %v, want at most %v", longest, lifeInterval+room)
	}
	if len(sources) != 1 || sources[0] != netip.MustParseAddr("192.0.2.1") {
		t.Errorf("adverts came from %v, want 192.0.2.1 alone", sources)
	}
	if missing > 0 || after.Counters.BecameMaster != before.Counters.BecameMaster || !after.Since.Equal(before.Since) {
		t.Errorf("reloads disturbed web: missing %d times, master since %v before and %v after", missing, before.Since, after.Since)
	}
	if after.Counters.AddressesRepaired != 0 {
		t.Errorf("%d addresses were repaired", after.Counters.AddressesRepaired)
	}
}

// A file with errors is refused as a whole, and all of them are told.
func TestReloadRefusesBadFile(t *testing.T) {
	l := newLab(t)
	lb1 := newNode(t, l, "lb1", "192.0.2.1/24")
	good := lifeTOML(150)
	lb1.run(good)
	eventually(t, 5*time.Second, "lb1 serves", func() bool { return lb1.has(lifeVIP) })
	before := lb1.instance("web")

	bad := strings.Replace(good, "priority = 150", "priority = 400\ncolour = \"red\"", 1) + otherTOML("db", 52, 100, `"192.0.2.300/24"`)
	lb1.configure(bad)
	errors := []string{
		"/run/holdfast.toml:5:12: priority", "/run/holdfast.toml:6:1: unknown key \"colour\"",
		`15:14: address "192.0.2.300/24" is not an IP address`,
	}
	out, code := lb1.command("reload", "--socket", "/run/holdfast/holdfast.sock")
	if code != exitRefused {
		t.Errorf("holdfast reload: exit status %d, want %d", code, exitRefused)
	}
	for _, e := range errors {
		if !strings.Contains(out, e) {
			t.Errorf("holdfast reload does not tell %q:\n%s", e, out)
		}
	}
	st, code := lb1.command("status", "--socket", "/run/holdfast/holdfast.sock")
	if code != exitDone || !strings.Contains(st, "the last reload was refused") || !strings.Contains(st, errors[1]) {
		t.Errorf("status after the refused reload: exit status %d:\n%s", code, st)
	}

	// The signal: the same in the log.
	refusals := func() int {
		return strings.Count(lb1.daemon.Output(), "configuration refused, the running one goes on")
	}
	if n := refusals(); n != 1 {
		t.Errorf("the log tells %d refusals, want 1", n)
	}
	if err := lb1.daemon.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, 3*time.Second, "the second refusal is in the log", func() bool { return refusals() == 2 })
	for _, e := range errors {
		if n := strings.Count(lb1.daemon.Output(), e); n != 2 {
			t.Errorf("the log tells %q %d times, want 2", e, n)
		}
	}

	// What a running daemon cannot change is refused as well.
	lb1.configure("[node]\nrun_dir = \"/run/elsewhere\"\n" + good)
	out, code = lb1.command("reload", "--socket", "/run/holdfast/holdfast.sock")
	if code != exitRefused || !strings.Contains(out, "node.run_dir") || !strings.Contains(out, "needs a restart") {
		t.Errorf("reload with another run_dir: exit status %d: %s", code, out)
	}

	lb1.configure(good)
	after := lb1.instance("web")
	if !after.Since.Equal(before.Since) || after.Priority != before.Priority || len(lb1.status().Instances) != 1 || !lb1.has(lifeVIP) {
		t.Errorf("a refused file changed something:\n%+v\n%+v", before, after)
	}
	lb1.reload(good)
	if e := lb1.status().Daemon.ReloadError; e != "" {
		t.Errorf("after a good reload status still tells %q", e)
	}
}

// The log level follows a reload by signal.
func TestReloadLogLevel(t *testing.T) {
	l := newLab(t)
	lb1 := newNode(t, l, "lb1", "192.0.2.1/24")
	lb1.setFlag(true)
	level := func(word string) string {
		check := flagCheckTOML(`on_failure = "release"`)
		return fmt.Sprintf("[node]\nlog_level = %q\n", word) + lifeTOML(150, check, "[[notify]]\nexec = [\"/usr/bin/true\"]\n")
	}
	lb1.run(level("info"))
	lb1.state(5*time.Second, "web", "master")
	cycle := func() string { // what the log gets while the state goes round once
		before := len(lb1.daemon.Output())
		lb1.setFlag(false)
		lb1.state(2*time.Second, "web", "fault")
		lb1.setFlag(true)
		lb1.state(2*time.Second, "web", "master")
		return lb1.daemon.Output()[before:]
	}
	hup := func(word, told string) {
		lb1.configure(level(word))
		before := strings.Count(lb1.daemon.Output(), told)
		if err := lb1.daemon.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		eventually(t, 3*time.Second, "the reload is in the log", func() bool { return strings.Count(lb1.daemon.Output(), told) > before })
	}
	if text := cycle(); !strings.Contains(text, "to=master") || strings.Contains(text, "[DEBUG]") {
		t.Errorf("log at level info:\n%s", text)
	}
	hup("debug", "configuration reloaded")
	text := cycle()
	if !strings.Contains(text, "[DEBUG]") || !strings.Contains(text, "hook ran") {
		t.Errorf("log at level debug:\n%s", text)
	}
	t.Logf("measured: %d log lines of one round at level debug", strings.Count(text, "\n"))
	hup("warn", "configuration reloaded")
	if text := cycle(); strings.Contains(text, "[INFO]") || strings.Contains(text, "[DEBUG]") || !strings.Contains(text, "to=fault") {
		t.Errorf("log at level warn:\n%s", text)
	}
}
