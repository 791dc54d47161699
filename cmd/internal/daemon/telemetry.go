package daemon

import (
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/config"
	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
	"github.com/holdfast-vrrp/holdfast/healthcheck"
	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// telemetry counts what the daemon itself does. The loop owns it.
type telemetry struct {
	generation                  uint64
	loaded                      time.Time
	refused                     uint64 // reloads
	hooksSucceeded, hooksCutOff uint64
	journalErrors               uint64
	addressErrors               uint64
	late                        histogram
	probes                      map[string]*probes
	renewed                     map[uint64]time.Time // leases, by serial of the router
}

// probes counts the probes of a check, and knows the last ones.
type probes struct {
	passed, failed, changes uint64
	last                    time.Time
	recent                  [control.RecentProbes]control.Probe // a ring
}

// recently lists the last probes, the latest at the end.
func (p *probes) recently() []control.Probe {
	all := p.passed + p.failed
	list := make([]control.Probe, 0, len(p.recent))
	for n := all - min(all, uint64(len(p.recent))); n < all; n++ {
		list = append(list, p.recent[n%uint64(len(p.recent))])
	}
	return list
}

// latenessBounds are the upper ends of the buckets. At the shortest adverts, of
// 10 ms, a peer takes over after three of them: what is later than a few
// milliseconds counts there. The largest are for pauses at long intervals.
var latenessBounds = [...]time.Duration{
	100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond,
	10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 10 * time.Second,
}

// histogram is how late the loop woke. Its zero value has seen nothing.
type histogram struct {
	counts [len(latenessBounds) + 1]uint64 // the last one is beyond all bounds
	last   [len(latenessBounds) + 1]time.Time
	sum    time.Duration
}

// observe is called each time the loop wakes after it was to: it must cost nothing.
func (l *histogram) observe(late time.Duration, now time.Time) {
	n := 0
	for n < len(latenessBounds) && late > latenessBounds[n] {
		n++
	}
	l.counts[n]++
	l.last[n] = now
	l.sum += late
}

func (l *histogram) status() control.Lateness {
	s := control.Lateness{SumMS: milliseconds(l.sum)}
	for n, c := range l.counts {
		s.Count += c
		if n < len(latenessBounds) {
			s.Buckets = append(s.Buckets, control.LatenessBucket{UpToMS: milliseconds(latenessBounds[n]), Count: s.Count})
		}
	}
	var last time.Time
	for n := len(latenessBounds) - 1; n >= 0; n-- {
		if at := l.last[n+1]; at.After(last) {
			last = at
		}
		s.Buckets[n].LastBeyond = last.Round(0)
	}
	return s
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// inForce counts a configuration that was put in force.
func (t *telemetry) inForce(cfg *config.Config, now time.Time) {
	t.generation++
	t.loaded = now
	old := t.probes
	t.probes = map[string]*probes{}
	for n := range cfg.Checks {
		name := cfg.Checks[n].Name
		if t.probes[name] = old[name]; t.probes[name] == nil {
			t.probes[name] = &probes{}
		}
	}
}

// probed counts a probe.
func (t *telemetry) probed(r *healthcheck.Result) {
	p := t.probes[r.Check]
	if p == nil {
		return
	}
	p.last = r.At
	p.recent[(p.passed+p.failed)%uint64(len(p.recent))] = control.Probe{DurationMS: milliseconds(r.Duration), Passed: r.OK}
	if r.OK {
		p.passed++
	} else {
		p.failed++
	}
	if r.Changed {
		p.changes++
	}
}

// leased notes that addresses were given a lease now; 0 is none.
func (t *telemetry) leased(serial uint64, lease time.Duration, now time.Time) {
	if lease == 0 {
		t.released(serial) // a reload may have ended it
		return
	}
	if t.renewed == nil {
		t.renewed = map[uint64]time.Time{}
	}
	t.renewed[serial] = now.Add(lease)
}

// released forgets the lease of a router that has let go.
func (t *telemetry) released(serial uint64) { delete(t.renewed, serial) }

// telemetryStatus is what is told of all that; on the loop.
func (d *Daemon) telemetryStatus() control.Telemetry {
	t := &d.telemetry
	s := control.Telemetry{
		ConfigHash: d.cfg.Hash, ConfigGeneration: t.generation, ConfigLoaded: t.loaded, ReloadsRefused: t.refused,
		HooksSucceeded: t.hooksSucceeded, HooksCutOff: t.hooksCutOff,
		JournalErrors: t.journalErrors, AddressErrors: t.addressErrors, Lateness: t.late.status(),
	}
	s.ListenError = d.site.listener.Problem()
	if w, ok := d.opts.Log.(interface{ Lost() uint64 }); ok {
		s.LogLinesLost = w.Lost()
	}
	return s
}

// leaseLeft is for how long the kernel keeps the addresses of an instance if
// nothing more is heard of this node, by the family that loses them first; nil
// when they are not here or there is no lease.
func (d *Daemon) leaseLeft(i *vrrp.InstanceStatus) *int64 {
	var least *int64
	for n := range i.Routers {
		until, ok := d.telemetry.renewed[i.Routers[n].Serial]
		if !ok {
			continue
		}
		if left := max(0, until.Sub(d.now)).Milliseconds(); least == nil || left < *least {
			least = &left
		}
	}
	return least
}
