package daemon

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/history"
	"github.com/holdfast-vrrp/holdfast/healthcheck"
	"github.com/holdfast-vrrp/holdfast/vrrp"
	"github.com/holdfast-vrrp/holdfast/vrrp/transport"
)

// loop owns the Engine. Each turn reads the clock once, takes in what is ready,
// lets timers expire, sends all adverts, and only then orders the slower work.
func (d *Daemon) loop() error {
	d.apply(d.cfg)
	d.restoreDrains()
	prepare := d.nearTakeOver // a value for all turns
	for until, silence := d.now, false; ; until, silence = d.due() {
		ready, err := d.wait(until, silence, prepare)
		d.awake()
		if err != nil && d.failed == nil { // deaf, so better somebody else serves
			d.fail(fmt.Errorf("cannot wait for packets: %w", err))
		}
		for _, place := range ready {
			d.receive(place)
		}
		d.watchCrowds()
		d.takeCalls()
		if d.left {
			d.dropOperations(errors.New("the daemon is restarting: the order is void, give it again"))
			return errLeft
		}
		d.step(&vrrp.Tick{})
		d.flush()
		if d.stopping && d.engine.Stopped() {
			return d.failed
		}
		d.surveyMore()
		d.supervise()
		d.auditAll()
		d.garbage.turn(d.now)
	}
}

// wait waits until then for packets and calls; the end of a silence to the microsecond.
func (d *Daemon) wait(until time.Time, silence bool, prepare func()) ([]transport.Place, error) {
	if !silence {
		prepare = nil
	}
	return d.opts.Network.Wait(until, prepare)
}

// heed tells the loop what it is asked for from outside.
func (d *Daemon) heed(stop <-chan struct{}, reload <-chan os.Signal, watchErr <-chan error) {
	for {
		select {
		case <-stop:
			stop = nil
			d.post(d.stop)
		case <-d.opts.Leave:
			d.post(func() { d.left = true })
			return
		case <-reload:
			d.post(func() { d.startReload("signal", nil) })
		case err := <-watchErr: // blind, so better somebody else serves
			watchErr = nil
			d.post(func() { d.fail(fmt.Errorf("cannot watch interfaces: %w", err)) })
		case <-d.ended:
			return
		}
	}
}

// fail begins to hand everything over, because this daemon cannot do its work.
func (d *Daemon) fail(err error) {
	d.failed = err
	d.failure("cannot go on", err)
	d.stop()
}

// lateEnough is how late a wake-up must be to be told to the Engine, which judges
// it by the intervals in force, and for the process to run in real time.
const lateEnough = 5 * time.Millisecond

// awake reads the clock, once a turn. A process that was stopped, starved or
// suspended notices here, before it does anything.
func (d *Daemon) awake() {
	now, boot := d.now, d.boot
	d.now, d.boot = time.Now(), d.opts.Boottime()
	// The loop's own clock stood still for that long, also when nothing was due.
	asleep := d.boot - boot - d.now.Sub(now)
	if asleep < lateEnough {
		asleep = 0
	}
	late := asleep
	if d.wake != 0 {
		late = max(asleep, d.boot-d.wake)
		if d.boot >= d.wake {
			d.telemetry.late.observe(d.boot-d.wake, d.now)
		}
	}
	if late >= lateEnough {
		if late >= time.Second {
			d.record(history.Event{
				Kind: history.KindDaemon, Severity: history.Warning, DurationMS: float64(late.Milliseconds()),
				Text: "the daemon woke " + people(late) + " late: it was stopped, starved or suspended",
			}, "the daemon could not run for a while", "late", round(late).String())
		}
		d.step(&vrrp.Late{By: late, Asleep: asleep})
	}
}

// takeCalls carries out what others ask of the loop, as much as may wait at once.
func (d *Daemon) takeCalls() {
	for range callBacklog {
		select {
		case f := <-d.calls:
			f()
		default:
			return
		}
	}
}

// due returns when the loop is to wake although nothing happens; zero for never. It
// tells whether a backup takes over then.
func (d *Daemon) due() (until time.Time, silence bool) {
	if len(d.calls) > 0 || d.survey.due() { // more than one turn takes
		d.wake = d.boot
		return d.now, false
	}
	next, ok := d.engine.Deadline()
	silence = ok && d.engine.EndsSilence()
	if w := d.supervisor.watchdog; w > 0 {
		if t := d.fed.Add(w); !ok || t.Before(next) {
			next, ok, silence = t, true, false
		}
	}
	if t := d.auditAt; !t.IsZero() && !d.stopping && (!ok || t.Before(next)) {
		next, ok, silence = t, true, false
	}
	if d.wake = 0; !ok {
		return time.Time{}, false
	}
	// From the beginning of this turn, so that a pause since then counts.
	d.wake = d.boot + max(0, next.Sub(d.now))
	return next, silence
}

// step tells the Engine what happened and queues what it wants done.
func (d *Daemon) step(ev vrrp.Event) {
	for _, a := range d.engine.Step(d.now, ev) {
		if s, ok := a.(*vrrp.SendAdvert); ok {
			d.send(s)
			continue
		}
		d.work = append(d.work, a)
	}
}

// flush ends the turn: adverts first, then the rest in order.
func (d *Daemon) flush() {
	d.flushSockets()
	for n := 0; n < len(d.work); n++ { // acting may add work
		d.act(d.work[n])
		d.work[n] = nil
	}
	d.work = d.work[:0]
	if d.tellDue {
		d.tellDue = false
		d.garbage.soon(d.now)
		d.tellChanges()
	}
	if d.drainsDue {
		d.drainsChanged(nil)
	}
}

// post hands a closure to the loop. It may wait for the loop, which never waits
// for it; after the end it does nothing.
func (d *Daemon) post(f func()) {
	select {
	case d.calls <- f:
		d.opts.Network.Wake()
	case <-d.ended:
	}
}

// later posts a closure after a while.
func (d *Daemon) later(after time.Duration, f func()) {
	time.AfterFunc(after, func() { d.post(f) })
}

// stop begins to hand everything over.
func (d *Daemon) stop() {
	if d.stopping {
		return
	}
	d.record(history.Event{Kind: history.KindDaemon, Text: "holdfast stops: it hands over"}, "stopping")
	d.supervisor.tell("STOPPING=1")
	d.stopping = true
	d.dropOperations(errors.New("the daemon is stopping: it hands over what it has"))
	d.step(&vrrp.Stop{})
}

// supervise feeds the watchdog, from here so that a stuck loop is noticed, and
// keeps the status line of systemd current.
func (d *Daemon) supervise() {
	if w := d.supervisor.watchdog; w > 0 && d.now.Sub(d.fed) >= w {
		d.fed = d.now
		d.supervisor.tell("WATCHDOG=1")
	}
	if d.tellStatus {
		d.tellStatus = false
		d.supervisor.tell("STATUS=" + d.summary())
	}
}

// summary counts the instances by state, and tells what keeps the daemon from knowing
// them, in one line.
func (d *Daemon) summary() string {
	count, drained := d.engine.Census()
	line := ""
	for _, s := range []vrrp.State{vrrp.StateMaster, vrrp.StateBackup, vrrp.StateFault, vrrp.StateInit} {
		if count[s] == 0 {
			continue
		}
		if line != "" {
			line += ", "
		}
		line += fmt.Sprintf("%d %v", count[s], s)
	}
	if drained > 0 {
		line += fmt.Sprintf("; %d drained by the operator", drained)
	}
	if d.mendError != "" {
		line += "; somebody deleted " + d.mendError
	}
	if d.listError != "" {
		line += "; interfaces cannot be listed: " + d.listError
	}
	return line
}

// checkDone hears the result of a probe. It runs on the goroutine of the check.
func (d *Daemon) checkDone(r healthcheck.Result) {
	d.post(func() {
		if d.stopping {
			return
		}
		known := false
		for n := range d.cfg.Checks {
			known = known || d.cfg.Checks[n].Name == r.Check
		}
		if !known {
			return // the last result of a check that a reload removed
		}
		was, before := d.results[r.Check]
		d.results[r.Check] = r
		d.telemetry.probed(&r)
		d.debugProbe(&r)
		if !r.Changed {
			return
		}
		args := []any{"check", r.Check, "took", round(r.Duration).String()}
		if r.Output != "" {
			args = append(args, "output", r.Output)
		}
		if e := checkEvent(r); r.Healthy {
			d.record(e, "check passes", args...)
		} else {
			d.record(e, "check fails", args...)
		}
		if !before || was.Healthy != r.Healthy { // else a reload has begun it anew
			d.checkHook(r, !before)
		}
		d.step(&vrrp.CheckChanged{Check: r.Check, Healthy: r.Healthy, Reason: r.Output})
		d.tellDue = true
	})
}
