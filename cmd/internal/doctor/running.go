package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
)

// testDaemon looks at the running daemon.
func testDaemon(_ context.Context, x *Examination) []Finding {
	if x.Status == nil {
		if !errors.Is(x.StatusError, control.ErrNotRunning) {
			return []Finding{unseen("", x.StatusError.Error())}
		}
		return x.answersNot()
	}
	found := x.loaded()
	if f := x.pauses(); f != nil {
		found = append(found, *f)
	}
	pid := strconv.Itoa(x.Status.Daemon.PID)
	if !slices.ContainsFunc(x.processes(), func(p process) bool { return p.pid == pid && isHoldfast(p) }) {
		return append(found, Finding{Severity: Info, ID: "daemon-in-container", Title: "the daemon has processes of its own, as in a container: its rights and limits were not looked at"})
	}
	return append(append(found, x.urgency(pid)...), x.rights(pid)...)
}

// loaded compares the file with what the daemon runs with.
func (x *Examination) loaded() (found []Finding) {
	d := &x.Status.Daemon
	if e := d.ReloadError; e != "" {
		found = append(found, Finding{
			Error, "reload-refused", x.Config.File, "the last reload was refused: " + firstLine(e),
			"The daemon goes on with the configuration before it.", "holdfast check " + d.Config + "\nholdfast reload",
		})
	}
	same := sameFile(d.Config, x.Config.File)
	if h := d.Telemetry.ConfigHash; same && h != "" && h != x.Config.Hash && d.ReloadError == "" {
		found = append(found, Finding{
			Warning, "not-reloaded", x.Config.File,
			fmt.Sprintf("the file is not what the daemon loaded at %s", d.Telemetry.ConfigLoaded.Local().Format(time.DateTime)),
			"What was changed since counts from the next restart on, perhaps in the middle of the night.",
			"holdfast check " + d.Config + " && holdfast reload",
		})
	}
	if !same {
		found = append(found, Finding{
			Info, "other-file", x.Config.File, fmt.Sprintf("the daemon runs with %s, not with this file", d.Config),
			"What is said here of the file is not what the daemon does.", "holdfast doctor --config " + d.Config,
		})
	}
	return found
}

// sameFile compares paths, of which one may be relative.
func sameFile(a, b string) bool {
	a, err1 := filepath.Abs(a)
	b, err2 := filepath.Abs(b)
	return err1 == nil && err2 == nil && a == b
}

// answersNot looks why no daemon answers: one may run that has another socket.
func (x *Examination) answersNot() (found []Finding) {
	why := "It has another run_dir or socket: the file it runs with is another one, or was changed since. Two daemons on one host must not have the same VRID."
	if errors.Is(x.StatusError, context.DeadlineExceeded) {
		why = "Whoever has the socket is stopped, hangs, or gets no CPU: a daemon that sends no adverts has lost its addresses to a peer."
	}
	for _, p := range x.processes() {
		if same, known := x.sameNetwork(p.pid); isHoldfast(p) && same && known {
			found = append(found, Finding{
				Warning, "daemon-does-not-answer", "pid " + p.pid,
				fmt.Sprintf("a holdfast runs on this host (%s), and does not answer on %s", strings.Join(p.args[1:], " "), x.Config.Control.Socket),
				why,
				"tr '\\0' ' ' < /proc/" + p.pid + "/cmdline; echo\nsystemctl status holdfast",
			})
		}
	}
	if len(found) == 0 {
		found = append(found, Finding{Severity: OK, ID: "daemon-not-running", Title: "no daemon runs with this configuration"})
	}
	return found
}

// urgency looks at what protects the daemon from waking late.
func (x *Examination) urgency(pid string) (found []Finding) {
	realtime := "mkdir -p /etc/systemd/system/holdfast.service.d\nprintf '[Service]\\nLimitRTPRIO=1\\nLimitMEMLOCK=infinity\\n' > /etc/systemd/system/holdfast.service.d/urgent.conf\nsystemctl daemon-reload\nsystemctl restart holdfast"
	if urgent, err := x.inRealtime(pid); err == nil && !urgent {
		found = append(found, Finding{
			Warning, "not-realtime", "pid " + pid, "the daemon cannot run in real time: it was not permitted to",
			"A busy host delays its adverts, and a peer takes over from a master that is alive.", realtime,
		})
	}
	status, _ := x.read("/proc/" + pid + "/status")
	if v := strings.Fields(colons(status)["VmLck"]); len(v) > 0 && v[0] == "0" {
		found = append(found, Finding{
			Warning, "memory-not-locked", "pid " + pid, "the memory of the daemon may be swapped out: locking it was not permitted",
			"A host that swaps delays its adverts, and a peer takes over from a master that is alive.", realtime,
		})
	}
	return found
}

// inRealtime tells whether a thread runs in real time: all do while the host is busy,
// and one, which sees to that, always does.
func (x *Examination) inRealtime(pid string) (bool, error) {
	threads, err := fs.ReadDir(x.Files, "proc/"+pid+"/task")
	if err != nil {
		return false, err
	}
	var unknown error = unix.ESRCH // all of another process namespace
	for _, entry := range threads {
		number, err := strconv.Atoi(entry.Name())
		if err != nil {
			return false, err
		}
		a, err := unix.SchedGetAttr(number, 0)
		switch {
		case errors.Is(err, unix.ESRCH): // it has ended
		case err != nil:
			return false, err
		case a.Policy == unix.SCHED_RR || a.Policy == unix.SCHED_FIFO:
			return true, nil
		default:
			unknown = nil
		}
	}
	return false, unknown
}

// remembered is how long a pause is a warning: so that one of the night is told in
// the morning.
const remembered = 24 * time.Hour

// pauses tells of wake-ups that were later than a peer waits for adverts.
func (x *Examination) pauses() *Finding {
	most := time.Duration(0)
	for _, in := range x.Instances {
		if down := 3 * in.AdvertInterval; most == 0 || down < most {
			most = down
		}
	}
	late := &x.Status.Daemon.Telemetry.Lateness
	var within control.LatenessBucket
	for _, b := range late.Buckets {
		if inBucket(b) <= most {
			within = b
		}
	}
	if within.UpToMS == 0 || late.Count == within.Count {
		return nil
	}
	last := ""
	f := &Finding{
		Severity: Warning, ID: "daemon-paused",
		Why: "This host or its virtual machine stood still for longer than peers wait: they took over, or would have.",
		Fix: "# on a virtual machine: no live migration, snapshots or overcommitted CPUs for it; else a longer advert_interval, the same on all nodes.\n# What this node did then:\nholdfast events --since 24h",
	}
	if at := within.LastBeyond; !at.IsZero() {
		last = ", last at " + at.Local().Format(time.DateTime)
		if time.Since(at) > remembered {
			f.Severity = Info
		}
	}
	f.Title = fmt.Sprintf("the daemon woke more than %v late %s since %s%s",
		inBucket(within), plural(int(late.Count-within.Count), "time"), x.Status.Daemon.Started.Local().Format(time.DateTime), last)
	return f
}

// inBucket is how late a wake-up of a bucket is at most.
func inBucket(b control.LatenessBucket) time.Duration {
	return time.Duration(b.UpToMS * float64(time.Millisecond))
}

// colons reads lines such as "Key: value".
func colons(text string) map[string]string {
	values := map[string]string{}
	for line := range strings.Lines(text) {
		if k, v, ok := strings.Cut(line, ":"); ok {
			values[k] = strings.TrimSpace(v)
		}
	}
	return values
}

// rights looks at the capabilities of the daemon.
func (x *Examination) rights(pid string) (found []Finding) {
	text, err := x.read("/proc/" + pid + "/status")
	if err != nil {
		return []Finding{unseen("pid "+pid, err.Error())}
	}
	have, err := strconv.ParseUint(colons(text)["CapEff"], 16, 64)
	if err != nil {
		return nil
	}
	need := []struct {
		bit  uint
		name string
		why  string
	}{{unix.CAP_NET_ADMIN, "CAP_NET_ADMIN", "sets addresses with it"}, {unix.CAP_NET_RAW, "CAP_NET_RAW", "sends adverts with it"}}
	for _, c := range x.Config.Checks {
		if c.Exec != nil && c.Exec.User != "" {
			need = append(need, struct {
				bit  uint
				name string
				why  string
			}{unix.CAP_SETUID, "CAP_SETUID", fmt.Sprintf("runs check %q as %s with it", c.Name, c.Exec.User)})
			break
		}
	}
	for _, n := range need {
		if have&(1<<n.bit) == 0 {
			fix := "# in the unit: CapabilityBoundingSet= and, unless it runs as root, AmbientCapabilities= with\n# " + n.name + "\nsystemctl edit holdfast"
			if n.bit == unix.CAP_SETUID { // which is not enough
				fix = x.asRoot()
			}
			found = append(found, Finding{
				Error, "daemon-lacks-capability", "pid " + pid, fmt.Sprintf("the daemon has no %s", n.name), "It " + n.why + ".", fix,
			})
		}
	}
	return found
}
