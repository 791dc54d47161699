package main

// Interoperation with an unmodified keepalived, whichever of the two is the
// stronger. One pair of hosts has many virtual routers, each of which speaks in
// a way of its own, so that all ways are tried at once.

import (
	"strings"
	"syscall"
	"testing"
	"time"
)

// Ways to speak version 2, which has whole seconds only.
var version2 = mix{interval: time.Second, dialects: []dialect{
	{name: "plain", version: 2, vips: []string{"192.0.2.101"}},
	{name: "pass", version: 2, vips: []string{"192.0.2.102"}, password: "sesame"},
	{name: "unicast", version: 2, vips: []string{"192.0.2.103"}, unicast: true},
	{name: "unicast-pass", version: 2, vips: []string{"192.0.2.104", "192.0.2.204"}, unicast: true, password: "12345678"},
}}

// Ways to speak version 3. What keepalived 2.2.7 makes of checksums needs the
// pseudo-header over IPv4; see TestKeepalivedChecksumAuto.
var version3 = mix{interval: 200 * time.Millisecond, dialects: []dialect{
	{name: "v4", version: 3, vips: []string{"192.0.2.111"}, checksum: "pseudo-header"},
	{name: "v4-unicast", version: 3, vips: []string{"192.0.2.112"}, checksum: "pseudo-header", unicast: true},
	{name: "v6", version: 3, vips: []string{"2001:db8::113"}},
	{name: "v6-unicast", version: 3, vips: []string{"2001:db8::114"}, unicast: true},
	{name: "dual", version: 3, vips: []string{"192.0.2.115", "2001:db8::115"}, checksum: "pseudo-header"},
}}

func TestKeepalivedAsBackup(t *testing.T) {
	t.Parallel()
	for name, mix := range map[string]mix{"version 2": version2, "version 3": version3} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMatch(t, mix)
			m.ours.run(m.holdfast(strong))
			m.startKeepalived(m.keepalived(weak))
			m.only("both started: ours alone is master", m.ours, m.theirs, m.down(strong))
			m.stays(m.ours, m.theirs)
			if strings.Contains(m.daemon.Output(), "MASTER") {
				t.Error("keepalived became master although ours is stronger")
			}

			must(t, m.ours.Isolate(true))
			m.takes("ours cut off: keepalived took over", m.theirs, m.down(weak))
			must(t, m.ours.Isolate(false))
			m.only("ours back: keepalived yielded", m.ours, m.theirs, m.interval)
			m.stays(m.ours, m.theirs)

			must(t, m.ours.Unplug())
			m.only("ours unplugged: keepalived alone is master", m.theirs, m.ours, m.down(weak))
			must(t, m.ours.PlugIn())
			m.only("ours plugged in: it alone is master", m.ours, m.theirs, m.down(strong))

			must(t, m.ours.daemon.Signal(syscall.SIGTERM))
			m.only("ours stopped: keepalived took over", m.theirs, m.ours, m.skew(weak))
			must(t, m.ours.daemon.Wait(t.Context()))
			m.ours.start()
			m.only("ours started again: it alone is master", m.ours, m.theirs, m.down(strong))
			m.stays(m.ours, m.theirs)
			m.noComplaint()
		})
	}
}

func TestKeepalivedAsMaster(t *testing.T) {
	t.Parallel()
	for name, mix := range map[string]mix{"version 2": version2, "version 3": version3} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMatch(t, mix)
			m.startKeepalived(m.keepalived(strong))
			m.only("keepalived started: it is master", m.theirs, m.ours, m.down(strong))
			m.ours.run(m.holdfast(weak))
			m.stays(m.theirs, m.ours)
			m.knowsMaster(strong)

			// A killed keepalived leaves its addresses behind; a restart of the
			// host takes them away.
			must(t, m.daemon.Kill())
			began := time.Now()
			t.Logf("measured: the killed keepalived left %d addresses behind", m.clear())
			m.takesSince(began, "keepalived killed: ours took over", m.ours, m.down(weak))
			m.startKeepalived(m.keepalived(strong))
			m.only("keepalived started again: ours yielded", m.theirs, m.ours, m.down(strong))
			m.stays(m.theirs, m.ours)
			m.knowsMaster(strong)

			must(t, m.theirs.Isolate(true))
			m.takes("keepalived cut off: ours took over", m.ours, m.down(weak))
			must(t, m.theirs.Isolate(false))
			m.only("keepalived back: ours yielded", m.theirs, m.ours, m.interval)
			m.stays(m.theirs, m.ours)

			must(t, m.daemon.Signal(syscall.SIGTERM))
			m.only("keepalived stopped: ours took over", m.ours, m.theirs, m.skew(weak))
			must(t, m.daemon.Wait(t.Context()))
			m.noComplaint()
			if n := strings.Count(m.ours.daemon.Output(), "[WARN]"); n > 0 {
				t.Errorf("ours gave %d warnings in a network where all is well", n)
			}
		})
	}
}
