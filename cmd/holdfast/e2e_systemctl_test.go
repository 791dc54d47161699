package main

// The unit under a real systemd: process 1 of a host of the lab.

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

const systemdPath = "/lib/systemd/systemd"

// bootScript makes a control group of a name the root of what systemd sees, and
// becomes systemd, with no units but those in /run/units.
const bootScript = `
mount --make-rprivate / &&
mount -t proc proc /proc &&
mount -t cgroup2 cgroup2 /sys/fs/cgroup &&
mkdir /sys/fs/cgroup/$0 &&
echo 0 > /sys/fs/cgroup/$0/cgroup.procs &&
umount /sys/fs/cgroup &&
exec unshare --cgroup sh -c '
	mount -t cgroup2 cgroup2 /sys/fs/cgroup &&
	exec ` + systemdPath + ` --system --unit=boot.target --log-target=console'
`

// cgroupScript does something to the control group of a name, outside of any
// host.
func cgroupScript(name, script string) ([]byte, error) {
	c := exec.Command("unshare", "--mount", "--cgroup", "sh", "-c",
		"mount --make-rprivate / && mount -t cgroup2 cgroup2 /mnt && cd /mnt && "+script, name)
	return c.CombinedOutput()
}

// bootable skips the test where systemd cannot be run, and returns the name of a
// control group for it, which goes with the test. Call it before newLab.
func bootable(t *testing.T) string {
	t.Helper()
	require(t, os.Geteuid() == 0, "root")
	for _, path := range []string{systemdPath, "/usr/bin/systemctl"} {
		_, err := os.Stat(path)
		require(t, err == nil, "systemd: "+path)
	}
	name := fmt.Sprintf("holdfast-test-%d-%s", os.Getpid(), strings.ToLower(t.Name()))
	if out, err := cgroupScript(name, `mkdir "$0" && rmdir "$0"`); err != nil {
		t.Skipf("this test needs control groups of its own: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := cgroupScript(name, `[ ! -e "$0" ] || find "$0" -depth -type d -exec rmdir {} +`); err != nil {
			t.Errorf("control group %s stays: %v: %s", name, err, out)
		}
	})
	return name
}

// unitText is the unit of the examples as make install changes it, for a program
// and a configuration elsewhere.
func unitText(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile("../../examples/holdfast.service")
	if err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer("/usr/local/bin/holdfast", selfPath(), "/etc/holdfast/holdfast.toml", "/run/holdfast.toml").Replace(string(text))
}

// boot starts systemd on the node, and the unit with it.
func (n *node) boot(cgroup, config string) {
	n.t.Helper()
	n.configure(config)
	if err := n.MkdirAll("/run/units/holdfast.service.d"); err != nil {
		n.t.Fatal(err)
	}
	files := map[string]string{
		"holdfast.service":             unitText(n.t),
		"holdfast.service.d/test.conf": "[Service]\nEnvironment=" + beHoldfast + "=1\nStandardOutput=append:/run/log\nStandardError=append:/run/log\n",
		"boot.target":                  "[Unit]\nWants=holdfast.service\n",
	}
	for _, target := range []string{"sysinit", "basic", "shutdown", "network-pre"} {
		files[target+".target"] = "[Unit]\nDefaultDependencies=no\n"
	}
	for name, text := range files {
		if err := n.WriteFile("/run/units/"+name, text, 0o644); err != nil {
			n.t.Fatal(err)
		}
	}
	c := n.Command(n.t.Context(), "unshare", "--mount", "--ipc", "sh", "-c", bootScript, cgroup)
	c.Env = append(os.Environ(), "SYSTEMD_UNIT_PATH=/run/units", "container=holdfast-lab")
	var err error
	if n.daemon, err = n.StartCommand(c); err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() {
		if n.t.Failed() {
			out, err := n.systemctl("status", "holdfast")
			n.t.Logf("systemctl status: %v: %s", err, out)
			n.t.Logf("log of the daemon on %s:\n%s", n.Name(), n.log())
		}
	})
	eventually(n.t, settled, "the unit is active", func() bool {
		out, _ := n.systemctl("is-active", "holdfast")
		return strings.TrimSpace(out) == "active"
	})
}

// log is what all daemons of the unit wrote.
func (n *node) log() string { text, _ := n.ReadFile("/run/log"); return text }

// systemctl is run where systemd is.
func (n *node) systemctl(args ...string) (string, error) {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	enter := []string{"--target", strconv.Itoa(n.daemon.PID()), "--mount", "--pid", "--cgroup", "--ipc", "systemctl"}
	out, err := n.Command(ctx, "nsenter", append(enter, args...)...).CombinedOutput()
	return string(out), err
}

// mustSystemctl is systemctl that succeeds, and how long it took.
func (n *node) mustSystemctl(args ...string) time.Duration {
	n.t.Helper()
	began := time.Now()
	if out, err := n.systemctl(args...); err != nil {
		n.t.Fatalf("systemctl %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return time.Since(began)
}

// TestUnitUnderSystemd has systemd restart the unit, start it again after a kill,
// reload and stop it, with the peer watching: only the stop moves the addresses,
// and nothing is lost.
func TestUnitUnderSystemd(t *testing.T) {
	t.Parallel()
	const interval = time.Second
	cgroup := bootable(t)
	l := newLab(t)
	n := nodes(t, l, 2)
	d := &duo{a: n[0], b: n[1], client: newClient(t, l)}
	d.a.boot(cgroup, bothTOML(highest, interval.String()))
	for _, vip := range []string{vipFour, vipSix} {
		eventually(t, settled, "a has "+vip, func() bool { return d.a.has(vip) })
	}
	d.b.run(duoTOML(lower, interval))
	for _, vip := range []string{vipFour, vipSix} {
		p, err := d.client.Probe(addrOf(vip), 2000)
		if err != nil {
			t.Fatal(err)
		}
		served(t, p, d.a)
		d.probes = append(d.probes, p)
	}
	hooksRan(t, d.b, 2)
	peer := d.b.story()
	held := d.watchBoth(t)
	began := time.Now()
	for round, c := range []struct{ name, verb, option string }{
		{"restart", "restart", ""}, {"killed", "kill", "--signal=KILL"},
	} {
		args := []string{c.verb, "holdfast"}
		if c.option != "" {
			args = append(args, c.option)
		}
		at := time.Now()
		took := d.a.mustSystemctl(args...)
		eventually(t, detection(interval, lower), "both instances went on", func() bool {
			return strings.Count(d.a.log(), "went on as master") == 2*(round+1)
		})
		t.Logf("measured: %s: systemctl took %s, went on as master after %s", c.name, ms(took), ms(time.Since(at)))
		// Until the peer would have noticed, and the lease have run out.
		during(t, detection(interval, lower)-time.Since(at)+room, "a alone has the addresses", func() bool {
			return d.a.has(vipFour) && d.a.has(vipSix) && !d.b.has(vipFour) && !d.b.has(vipSix)
		})
	}
	d.a.mustSystemctl("reload", "holdfast")
	if out, _ := d.a.systemctl("show", "holdfast", "--property=ActiveState,NRestarts,StatusText"); !strings.Contains(out, "ActiveState=active") ||
		!strings.Contains(out, "NRestarts=1") || !strings.Contains(out, "StatusText=2 master") {
		t.Errorf("systemd says %s", out)
	}
	if strings.Contains(d.a.log(), "went wrong") || strings.Contains(d.a.log(), "[ERROR]") {
		t.Error("the daemon has something to tell")
	}
	for _, h := range held {
		h.wantAlways(t, "a")
	}
	sameStory(t, d.b, peer)
	took := d.a.mustSystemctl("stop", "holdfast")
	for n, vip := range []string{vipFour, vipSix} {
		only(t, room, vip, d.b, d.a)
		served(t, d.probes[n], d.b)
	}
	t.Logf("measured: the stop took %s", ms(took))
	if text, err := d.a.ReadFile("/run/holdfast/journal.json"); err == nil {
		t.Errorf("after the stop there is a journal: %s", text)
	}
	d.lossless(t, began)
}
