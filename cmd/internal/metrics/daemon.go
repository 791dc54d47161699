package metrics

import (
	"runtime"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
)

// daemonMetrics are of the daemon as a whole.
func daemonMetrics() []metric {
	// value and count are a metric of one series.
	value := func(name, help string, of func(d *control.Daemon) float64) metric {
		return metric{name: "holdfast_" + name, kind: gauge, help: help, series: func(e *encoder, s *scrape) { e.sample(of(&s.st.Daemon)) }}
	}
	count := func(name, help string, of func(d *control.Daemon) uint64) metric {
		return metric{name: "holdfast_" + name, kind: counter, help: help, series: func(e *encoder, s *scrape) { e.count(of(&s.st.Daemon)) }}
	}
	return []metric{
		up("holdfast_up", "Whether the daemon's loop answered; without it there are no other metrics of holdfast."),
		{name: "holdfast_build_info", kind: gauge, help: "The version that runs, and the Go it was built with.", series: func(e *encoder, s *scrape) {
			e.sample(1, "goversion", runtime.Version(), "version", s.st.Daemon.Version)
		}},
		{name: "holdfast_node_info", kind: gauge, help: "The name of this node.", series: func(e *encoder, s *scrape) {
			e.sample(1, "node", s.st.Node)
		}},
		value("start_time_seconds", "When the daemon was started, in seconds since the epoch.", func(d *control.Daemon) float64 { return timestamp(d.Started) }),
		value("config_hash", "A number that tells one text of the configuration in force from another.", func(d *control.Daemon) float64 { return hashNumber(d.Telemetry.ConfigHash) }),
		count("config_loads_total", "How often a configuration was put in force since the start, the first one included.", func(d *control.Daemon) uint64 { return d.Telemetry.ConfigGeneration }),
		count("config_reloads_refused_total", "Reloads that were refused and changed nothing.", func(d *control.Daemon) uint64 { return d.Telemetry.ReloadsRefused }),
		value("config_last_reload_successful", "Whether the last reload was not refused.", func(d *control.Daemon) float64 { return truth(d.ReloadError == "") }),
		value("config_last_reload_success_timestamp_seconds", "When the configuration in force was put in force, in seconds since the epoch.", func(d *control.Daemon) float64 { return timestamp(d.Telemetry.ConfigLoaded) }),
		{name: "holdfast_hooks_total", kind: counter, help: "Notify hooks by what became of them: succeeded, failed, cut_off (by a restart; the next daemon runs them again) or dropped (too slow).", series: func(e *encoder, s *scrape) {
			d := &s.st.Daemon
			e.count(d.Telemetry.HooksCutOff, "result", "cut_off")
			e.count(d.HooksDropped, "result", "dropped")
			e.count(d.HooksFailed, "result", "failed")
			e.count(d.Telemetry.HooksSucceeded, "result", "succeeded")
		}},
		count("journal_errors_total", "Writes of the journal that failed: until one succeeds a restart will not be silent.", func(d *control.Daemon) uint64 { return d.Telemetry.JournalErrors }),
		count("address_errors_total", "Orders to the kernel about addresses that went wrong as a whole.", func(d *control.Daemon) uint64 { return d.Telemetry.AddressErrors }),
		count("log_lines_lost_total", "Log lines that were lost because the log could not keep up or refused them.", func(d *control.Daemon) uint64 { return d.Telemetry.LogLinesLost }),
		{name: "holdfast_loop_lateness_seconds", kind: histogram, help: "How late the loop woke, of all times it was to wake by itself. Adverts that leave later than three intervals cost the mastership.", series: func(e *encoder, s *scrape) {
			l := &s.st.Daemon.Telemetry.Lateness
			buckets := make([]bucket, 0, len(l.Buckets)+1)
			for _, b := range l.Buckets {
				buckets = append(buckets, bucket{seconds(b.UpToMS), b.Count})
			}
			e.histogram(buckets, l.Count, seconds(l.SumMS))
		}},
		{name: "holdfast_packets_dropped_total", kind: counter, help: "VRRP packets that belong to no instance here, by reason: vrid is another virtual router on the same network. A reason appears when it first happens.", series: func(e *encoder, s *scrape) {
			for _, reason := range s.sorted(s.st.Daemon.Dropped) {
				if n := s.st.Daemon.Dropped[reason]; n > 0 {
					e.count(n, "reason", reason)
				}
			}
		}},
	}
}

// checkStates are the states of a check.
var checkStates = []string{"failing", "healthy", "unknown"}

// checkMetrics are of each check.
func checkMetrics() []metric {
	each := func(name string, k kind, help string, series func(e *encoder, c *control.Check)) metric {
		return metric{name: "holdfast_check_" + name, kind: k, help: help, series: func(e *encoder, s *scrape) {
			for n := range s.st.Checks {
				series(e, &s.st.Checks[n])
			}
		}}
	}
	return []metric{
		each("state", gauge, "1 for the state that the check is in: unknown, healthy or failing.", func(e *encoder, c *control.Check) {
			for _, state := range checkStates {
				e.sample(truth(state == c.State), "check", c.Name, "state", state)
			}
		}),
		each("duration_seconds", gauge, "How long the last probe took.", func(e *encoder, c *control.Check) {
			if c.LastAt != nil {
				e.sample(seconds(c.LastDurationMS), "check", c.Name)
			}
		}),
		each("probes_total", counter, "Probes by what they found: passed or failed.", func(e *encoder, c *control.Check) {
			e.count(c.Failed, "check", c.Name, "result", "failed")
			e.count(c.Passed, "check", c.Name, "result", "passed")
		}),
		each("changes_total", counter, "How often the check came to another state.", func(e *encoder, c *control.Check) {
			e.count(c.Changes, "check", c.Name)
		}),
		each("last_probe_timestamp_seconds", gauge, "When the last probe ended, in seconds since the epoch.", func(e *encoder, c *control.Check) {
			if c.LastAt != nil {
				e.sample(timestamp(*c.LastAt), "check", c.Name)
			}
		}),
	}
}
