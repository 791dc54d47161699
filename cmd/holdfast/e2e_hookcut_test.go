package main

// A restart that cuts hooks off: the next daemon runs them.

import (
	"strings"
	"syscall"
	"testing"
	"time"
)

// cutHook takes a while as long as /run/slow has something in it.
const cutHook = `#!/bin/sh
echo "$HOLDFAST_STATE begins" >> /run/cut
[ ! -s /run/slow ] || sleep 30
echo "$HOLDFAST_STATE ends" >> /run/cut
`

// TestHooksOverRestart restarts a daemon while a hook runs and another event
// waits: the next daemon runs the one again and the other after it. Nothing of
// this delays the restart.
func TestHooksOverRestart(t *testing.T) {
	for _, c := range []struct {
		name string
		how  syscall.Signal
		told string // by the daemon that ends
	}{
		{"left to the next", syscall.SIGUSR2, "hook was cut off by the restart: instance=web state=master"},
		{"killed", syscall.SIGKILL, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			lb1 := newNode(t, newLab(t), "lb1", "192.0.2.1/24")
			const interval = time.Second
			for path, text := range map[string]string{"/run/cut.sh": cutHook, "/run/slow": "yes\n"} {
				if err := lb1.WriteFile(path, text, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			hooks := "[[notify]]\nexec = [\"/run/cut.sh\"]\ntimeout = \"60s\"\non = [\"master\", \"fault\"]\n"
			lb1.run(instanceTOML(150, interval.String(), []string{lifeVIP + "/24"}) + hooks)
			wrote := func(want string) func() bool {
				return func() bool { text, _ := lb1.ReadFile("/run/cut"); return text == want }
			}
			eventually(t, settled, "the hook begins", wrote("master begins\n"))
			// While that one runs something else happens.
			lb1.linkDown("eth0")
			lb1.state(linkMost, "web", "fault")
			lb1.linkUp("eth0")
			lb1.state(linkMost, "web", "backup")

			before := lb1.daemon.Output()
			began := time.Now()
			if err := lb1.daemon.Signal(c.how); err != nil {
				t.Fatal(err)
			}
			<-lb1.daemon.Done()
			ended := time.Since(began)
			said := strings.TrimPrefix(lb1.daemon.Output(), before)
			if c.told != "" && (!strings.Contains(said, c.told) || !strings.Contains(said, "hooks are left to the next daemon: instance=web state=fault")) {
				t.Errorf("the daemon that ended said\n%s", said)
			}
			if most := interval/2 + room; ended > most { // it must be replaced in time
				t.Errorf("it ended after %v, want at most %v", ended, most)
			}
			if err := lb1.WriteFile("/run/slow", "", 0o644); err != nil {
				t.Fatal(err)
			}
			lb1.start()
			eventually(t, settled, "the next daemon runs what was cut off", wrote("master begins\nmaster begins\nmaster ends\nfault begins\nfault ends\n"))
			if n := strings.Count(lb1.daemon.Output(), "running hooks that a restart cut off: instance=web"); n != 2 {
				t.Errorf("told %d times:\n%s", n, lb1.daemon.Output())
			}
			t.Logf("measured: ended %s after the signal; the hooks it did not finish ran after the restart", ms(ended))
			lb1.stop()
			if text, err := lb1.ReadFile("/run/holdfast/hooks.json"); err == nil {
				t.Errorf("after the stop there is %s", text)
			}
		})
	}
}
