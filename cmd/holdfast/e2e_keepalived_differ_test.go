package main

// Interoperation with a keepalived that is configured otherwise than ours.

import (
	"strings"
	"testing"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/lab"
)

// lines counts the lines of our log that have all of some texts.
func (m *match) lines(texts ...string) (n int) {
	for line := range strings.Lines(m.ours.daemon.Output()) {
		has := true
		for _, text := range texts {
			has = has && strings.Contains(line, text)
		}
		if has {
			n++
		}
	}
	return n
}

// adverts starts keeping what theirs sends over IPv4.
func (m *match) adverts() *lab.Capture {
	m.t.Helper()
	const etherType, protocol, vrrp = 12, 14 + 9, 112
	c, err := m.ours.Capture("eth0", func(f lab.Frame) bool {
		return !f.Outgoing && len(f.Data) > protocol && f.Data[etherType] == 8 && f.Data[etherType+1] == 0 && f.Data[protocol] == vrrp
	})
	must(m.t, err)
	return c
}

// keepalived 2.2.7 takes only checksums with the pseudo-header. Until it was
// heard ours sends those of RFC 9568; from then on it does as keepalived does.
func TestKeepalivedChecksumAuto(t *testing.T) {
	t.Parallel()
	x := mix{interval: 200 * time.Millisecond, dialects: []dialect{{name: "auto", version: 3, vips: []string{"192.0.2.121"}}}}
	t.Run("ours first", func(t *testing.T) {
		t.Parallel()
		m := newMatch(t, x)
		m.ours.run(m.holdfast(strong))
		m.only("ours is master", m.ours, m.theirs, m.down(strong))
		heard := m.adverts()
		m.startKeepalived(m.keepalived(weak))
		// That moment is too short to be seen on the interfaces.
		m.await(time.Now(), "keepalived, which refused our adverts, became master too", m.down(weak), theirRoom, func() string {
			if !strings.Contains(m.daemon.Output(), "Entering MASTER STATE") {
				return "it did not"
			}
			return ""
		})
		// Its address comes a moment after its log line, so the end is awaited in
		// the log, too: the first time is at its start.
		m.await(time.Now(), "keepalived heard ours and became backup again", m.interval, theirRoom, func() string {
			if strings.Count(m.daemon.Output(), "Entering BACKUP STATE") < 2 {
				return "it did not"
			}
			return ""
		})
		m.only("keepalived yielded", m.ours, m.theirs, m.interval)
		frames := heard.Frames()
		if len(frames) == 0 {
			t.Fatal("keepalived sent no advert")
		}
		t.Logf("measured: keepalived sent %d adverts in %v", len(frames), frames[len(frames)-1].Time.Sub(frames[0].Time))
		m.stays(m.ours, m.theirs)
		if len(heard.Frames()) != len(frames) {
			t.Error("keepalived spoke again")
		}
		if n := m.lines("[WARN]", "another master is heard", "peer=192.0.2.2"); n != 1 {
			t.Errorf("the rival is in the log %d times, want once", n)
		}
		// From now on ours knows.
		must(t, m.ours.Isolate(true))
		m.takes("ours cut off: keepalived took over", m.theirs, m.down(weak))
		must(t, m.ours.Isolate(false))
		m.only("ours back: keepalived yielded", m.ours, m.theirs, m.interval)
		m.stays(m.ours, m.theirs)
	})
	t.Run("theirs first", func(t *testing.T) {
		t.Parallel()
		m := newMatch(t, x)
		m.startKeepalived(m.keepalived(weak))
		m.only("keepalived is master", m.theirs, m.ours, m.down(weak))
		m.ours.run(m.holdfast(strong))
		m.only("ours preempted", m.ours, m.theirs, m.down(strong))
		m.stays(m.ours, m.theirs)
		m.noComplaint()
	})
}

// In version 2 a wrong password or another interval makes two masters of two
// routers; the operator must see why, and mending it must help.
func TestKeepalivedVersion2Mismatch(t *testing.T) {
	t.Parallel()
	wrong := mix{interval: time.Second, dialects: []dialect{
		{name: "password", version: 2, vips: []string{"192.0.2.131"}, password: "sesame", theirPassword: "mustard"},
		{name: "none", version: 2, vips: []string{"192.0.2.132"}, theirPassword: "mustard"},
		{name: "interval", version: 2, vips: []string{"192.0.2.133"}, theirInterval: 2 * time.Second},
	}}
	m := newMatch(t, wrong)
	config := m.keepalived(weak)
	// An instance without password has no authentication block to begin with.
	config = strings.Replace(config, "virtual_router_id 132\n", "virtual_router_id 132\n authentication {\n  auth_type PASS\n  auth_pass mustard\n }\n", 1)
	m.startKeepalived(config)
	m.ours.run(m.holdfast(strong))
	m.takes("keepalived became master", m.theirs, 3*2*time.Second+m.skew(weak))
	m.takes("ours became master too", m.ours, m.down(strong))

	reasons := map[string]string{"password": "auth_data", "none": "auth_type", "interval": "interval"}
	said := map[string]string{
		"password": "wrong password", "none": "authentication type 1, this instance uses no authentication",
		"interval": "it advertises every 2s, this instance every 1s: version 2 needs the same on all routers",
	}
	// keepalived sends but one: each bad advert it receives winds its timer up.
	m.await(time.Now(), "all three were dropped", m.interval, theirRoom, func() string {
		for _, i := range m.ours.status().Instances {
			if i.Counters.Dropped[reasons[i.Name]] == 0 {
				return i.Name + " has dropped no advert for " + reasons[i.Name]
			}
		}
		return ""
	})
	for _, i := range m.ours.status().Instances {
		t.Logf("measured: %s: %d dropped for %s", i.Name, i.Counters.Dropped[reasons[i.Name]], reasons[i.Name])
		if n := m.lines("[WARN]", "dropped a packet", "instance="+i.Name+" ", "peer=192.0.2.2", said[i.Name]); n != 1 {
			t.Errorf("%s: the log says it %d times, want once", i.Name, n)
		}
	}

	// Mended on our side.
	config = strings.NewReplacer("sesame", "mustard").Replace(m.holdfast(strong))
	config = strings.Replace(config, "vrid = 132\n", "vrid = 132\nauth = { type = \"pass\", password = \"mustard\" }\n", 1)
	config = strings.Replace(config, "vrid = 133\npriority = 200\nversion = 2\nadvert_interval = \"1s\"", "vrid = 133\npriority = 200\nversion = 2\nadvert_interval = \"2s\"", 1)
	m.ours.configure(config)
	if out, code := m.ours.command("reload", "--config", "/run/holdfast.toml"); code != 0 {
		t.Fatalf("reload: exit status %d: %s", code, out)
	}
	m.only("mended: keepalived yielded", m.ours, m.theirs, 2*time.Second)
	m.stays(m.ours, m.theirs)
}

// In version 3 the backup goes by the interval of the master.
func TestKeepalivedVersion3Interval(t *testing.T) {
	t.Parallel()
	m := newMatch(t, mix{interval: 200 * time.Millisecond, dialects: []dialect{
		{name: "slow", version: 3, vips: []string{"2001:db8::141"}, theirInterval: 500 * time.Millisecond},
	}})
	slow := mix{interval: 500 * time.Millisecond}
	m.startKeepalived(m.keepalived(strong))
	m.only("keepalived is master", m.theirs, m.ours, 2*m.down(strong)+slow.downV3(strong))
	m.ours.run(m.holdfast(weak))
	m.await(time.Now(), "ours goes by the slow interval", 500*time.Millisecond, theirRoom, func() string {
		if got := m.ours.instance("slow").AdvertIntervalMS; got != 500 {
			return "it does not"
		}
		return ""
	})
	m.stays(m.theirs, m.ours)
	if n := m.lines("[WARN]", "another advert interval", "it advertises every 500ms, this node would every 200ms"); n != 1 {
		t.Errorf("the log says it %d times, want once", n)
	}
	must(t, m.daemon.Kill())
	began := time.Now()
	m.clear()
	m.takesSince(began, "keepalived killed: ours took over", m.ours, slow.downV3(weak))

	// The other way round: ours is the quick master of a slow backup.
	m.startKeepalived(m.keepalived(weak - 1))
	m.stays(m.ours, m.theirs)
	must(t, m.ours.daemon.Kill())
	must(t, m.ours.RemoveAddress("eth0", "2001:db8::141/128"))
	must(t, m.ours.RemoveAddress("eth0", m.dialects[0].linkLocal()+"/128"))
	m.only("ours killed: keepalived took over by our interval", m.theirs, m.ours, m.down(weak-1))
}

func (x *mix) downV3(priority int) time.Duration { return detection(x.interval, priority) }

// keepalived that does not preempt takes over from a node whose service died,
// because that one releases; and ours, that is healthy again, preempts.
func TestKeepalivedNopreemptTakesOverFromDemoted(t *testing.T) {
	t.Parallel()
	_, err := lab.FindPeer("nginx")
	require(t, err == nil, "nginx (run .ci/peers)")
	m := newMatch(t, mix{interval: 200 * time.Millisecond, dialects: []dialect{
		{name: "web", version: 3, vips: []string{"192.0.2.161"}, checksum: "pseudo-header"},
	}})
	nginx, err := m.ours.StartNginx()
	must(t, err)
	m.ours.run(m.holdfast(strong) + `
[[check]]
name = "nginx"
http = "http://127.0.0.1/healthz"
interval = "200ms"
`)
	m.startKeepalived(m.keepalived(weak, "nopreempt"))
	m.only("ours is master", m.ours, m.theirs, 200*time.Millisecond+m.down(strong))

	must(t, nginx.Kill())
	// Two failed checks, the second soon after the first, and the release.
	m.only("nginx killed: keepalived took over", m.theirs, m.ours, 400*time.Millisecond+m.skew(weak))
	m.stays(m.theirs, m.ours)
	if i := m.ours.instance("web"); i.State != "backup" || !i.Demoted || i.Priority.Effective > 31 {
		t.Errorf("ours is %s, demoted %v, priority %+v", i.State, i.Demoted, i.Priority)
	}
	_, err = m.ours.StartNginx()
	must(t, err)
	m.only("nginx back: ours preempted", m.ours, m.theirs, 400*time.Millisecond+m.down(strong))
	m.stays(m.ours, m.theirs)
	m.noComplaint()
}

// keepalived that lowers its own priority loses to a healthy node.
func TestKeepalivedTrackScript(t *testing.T) {
	t.Parallel()
	m := newMatch(t, mix{interval: 200 * time.Millisecond, dialects: []dialect{
		{name: "web", version: 3, vips: []string{"192.0.2.171", "2001:db8::171"}, checksum: "pseudo-header"},
	}})
	must(t, m.theirs.WriteFile("/run/well", "yes", 0o600))
	script := `global_defs { script_user root }
vrrp_script well {
 script "/usr/bin/test -s /run/well"
 interval 1
 weight -150
 fall 1
 rise 1
}
`
	m.startKeepalived(script + m.keepalived(strong, "track_script { well }"))
	m.only("keepalived is master", m.theirs, m.ours, time.Second+m.down(strong))
	m.ours.run(m.holdfast(weak))
	m.stays(m.theirs, m.ours)
	m.knowsMaster(strong)
	must(t, m.theirs.WriteFile("/run/well", "", 0o600))
	m.only("keepalived's script fails: ours took over", m.ours, m.theirs, time.Second+m.down(weak))
	m.stays(m.ours, m.theirs)
	must(t, m.theirs.WriteFile("/run/well", "yes", 0o600))
	m.only("keepalived's script passes: it took over", m.theirs, m.ours, time.Second+m.down(strong))
	m.stays(m.theirs, m.ours)
}
