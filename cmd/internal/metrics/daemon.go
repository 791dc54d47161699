package metrics

import (
	"runtime"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
)

// daemonDescs describe what is of the daemon as a whole.
type daemonDescs struct {
	up, build, node, started          *prometheus.Desc
	hash, loads, refused, good, since *prometheus.Desc
	hooks, journal, addresses, log    *prometheus.Desc
	lateness, foreign                 *prometheus.Desc
}

func (c *collector) newDaemonDescs() daemonDescs {
	return daemonDescs{
		up:        c.desc("holdfast_up", "Whether the daemon's loop answered; without it there are no other metrics of holdfast."),
		build:     c.desc("holdfast_build_info", "The version that runs, and the Go it was built with.", "version", "goversion"),
		node:      c.desc("holdfast_node_info", "The name of this node.", "node"),
		started:   c.desc("holdfast_start_time_seconds", "When the daemon was started, in seconds since the epoch."),
		hash:      c.desc("holdfast_config_hash", "A number that tells one text of the configuration in force from another."),
		loads:     c.desc("holdfast_config_loads_total", "How often a configuration was put in force since the start, the first one included."),
		refused:   c.desc("holdfast_config_reloads_refused_total", "Reloads that were refused and changed nothing."),
		good:      c.desc("holdfast_config_last_reload_successful", "Whether the last reload was not refused."),
		since:     c.desc("holdfast_config_last_reload_success_timestamp_seconds", "When the configuration in force was put in force, in seconds since the epoch."),
		hooks:     c.desc("holdfast_hooks_total", "Notify hooks by what became of them: succeeded, failed, cut_off (by a restart; the next daemon runs them again) or dropped (too slow).", "result"),
		journal:   c.desc("holdfast_journal_errors_total", "Writes of the journal that failed: until one succeeds a restart will not be silent."),
		addresses: c.desc("holdfast_address_errors_total", "Orders to the kernel about addresses that went wrong as a whole."),
		log:       c.desc("holdfast_log_lines_lost_total", "Log lines that were lost because the log could not keep up."),
		lateness:  c.desc("holdfast_loop_lateness_seconds", "How late the loop woke, of all times it was to wake by itself. Adverts that leave later than three intervals cost the mastership."),
		foreign:   c.desc("holdfast_packets_dropped_total", "VRRP packets that belong to no instance here, by reason: vrid is another virtual router on the same network. A reason appears when it first happens.", "reason"),
	}
}

func (d *daemonDescs) collect(o out, st *control.Status) {
	m := &st.Daemon
	o.gauge(d.build, 1, m.Version, runtime.Version())
	o.gauge(d.node, 1, st.Node)
	o.gauge(d.started, timestamp(m.Started))
	t := &m.Telemetry
	o.gauge(d.hash, hashNumber(t.ConfigHash))
	o.counter(d.loads, t.ConfigGeneration)
	o.counter(d.refused, t.ReloadsRefused)
	o.gauge(d.good, truth(m.ReloadError == ""))
	o.gauge(d.since, timestamp(t.ConfigLoaded))
	o.counter(d.hooks, t.HooksSucceeded, "succeeded")
	o.counter(d.hooks, m.HooksFailed, "failed")
	o.counter(d.hooks, t.HooksCutOff, "cut_off")
	o.counter(d.hooks, m.HooksDropped, "dropped")
	o.counter(d.journal, t.JournalErrors)
	o.counter(d.addresses, t.AddressErrors)
	o.counter(d.log, t.LogLinesLost)
	o.lateness(d.lateness, &t.Lateness)
	o.reasons(d.foreign, m.Dropped)
}

func (o out) lateness(d *prometheus.Desc, l *control.Lateness) {
	buckets := make(map[float64]uint64, len(l.Buckets))
	for _, b := range l.Buckets {
		buckets[seconds(b.UpToMS)] = b.Count
	}
	o.ch <- prometheus.MustNewConstHistogram(d, l.Count, seconds(l.SumMS), buckets)
}

// reasons makes a series of each reason that has happened: most never do, and
// with many instances all the zeros would be most of the answer.
func (o out) reasons(d *prometheus.Desc, counts map[string]uint64, labels ...string) {
	for reason, n := range counts {
		if n > 0 {
			o.counter(d, n, append(labels[:len(labels):len(labels)], reason)...)
		}
	}
}

// checkDescs describe a check.
type checkDescs struct{ state, duration, probes, changes, last *prometheus.Desc }

// checkStates are the states of a check.
var checkStates = []string{"unknown", "healthy", "failing"}

func (c *collector) newCheckDescs() checkDescs {
	return checkDescs{
		state:    c.desc("holdfast_check_state", "1 for the state that the check is in: unknown, healthy or failing.", "check", "state"),
		duration: c.desc("holdfast_check_duration_seconds", "How long the last probe took.", "check"),
		probes:   c.desc("holdfast_check_probes_total", "Probes by what they found: passed or failed.", "check", "result"),
		changes:  c.desc("holdfast_check_changes_total", "How often the check came to another state.", "check"),
		last:     c.desc("holdfast_check_last_probe_timestamp_seconds", "When the last probe ended, in seconds since the epoch.", "check"),
	}
}

func (d *checkDescs) collect(o out, c *control.Check) {
	o.each(d.state, checkStates, c.State, c.Name)
	o.counter(d.probes, c.Passed, c.Name, "passed")
	o.counter(d.probes, c.Failed, c.Name, "failed")
	o.counter(d.changes, c.Changes, c.Name)
	if c.LastAt != nil {
		o.gauge(d.duration, seconds(c.LastDurationMS), c.Name)
		o.gauge(d.last, timestamp(*c.LastAt), c.Name)
	}
}
