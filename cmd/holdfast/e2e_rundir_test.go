package main

// Somebody deletes the run directory of a daemon that serves.

import (
	"strings"
	"syscall"
	"testing"
)

// TestRunDirIsDeleted deletes it: nobody is told to start another daemon, none that is
// started all the same goes on, with this run directory or with another one, and the
// first one puts its own back.
func TestRunDirIsDeleted(t *testing.T) {
	t.Parallel()
	b := newJournalBed(t)
	config := wireTOML(highest, "198.51.100.100/24")
	b.run(config)
	eventually(t, settled, "the address is there", func() bool { return b.has("198.51.100.100") })
	if out, err := b.Command(t.Context(), "/bin/rm", "-rf", "/run/holdfast").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := b.WriteFile("/run/other.toml", config+"\n[node]\nrun_dir = \"/run/other\"\n", 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		exit int
		want string
	}{
		{[]string{"status", "--config", "/run/holdfast.toml"}, exitNotRunning, ", but it runs (pid "},
		{[]string{"run", "--config", "/run/holdfast.toml"}, exitRefused, "is running with run directory /run/holdfast: stop it first"},
		{[]string{"run", "--config", "/run/other.toml"}, exitRefused, "is vrid 51 (ipv4) on eth1, which another holdfast on this host"},
	} {
		out, exit := b.command(c.args...)
		if exit != c.exit || !strings.Contains(out, c.want) {
			t.Errorf("%v ends with %d, want %d, and says %q, want %q", c.args, exit, c.exit, out, c.want)
		}
	}
	if !b.has("198.51.100.100") || strings.Contains(b.daemon.Output(), "was removed by somebody else") {
		t.Error("the address was removed")
	}
	if err := b.daemon.Signal(syscall.SIGHUP); err != nil { // or it would take as long as an audit
		t.Fatal(err)
	}
	if err := b.daemon.WaitOutput(t.Context(), "which are there again"); err != nil {
		t.Fatal(err)
	}
	b.state(settled, "web", "master") // it answers
	eventually(t, settled, "the journal is written", func() bool {
		text, err := b.ReadFile(journalPath)
		return err == nil && strings.Contains(text, "198.51.100.100/24")
	})
}
