package daemon

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/config"
	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
	"github.com/holdfast-vrrp/holdfast/cmd/internal/history"
	"github.com/holdfast-vrrp/holdfast/healthcheck"
	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// startReload reads the configuration on another goroutine, for a disk may be
// slow, and applies it on the loop. done, when not nil, hears how it went.
func (d *Daemon) startReload(who string, done func(*control.Reloaded, error)) {
	if done == nil {
		done = func(*control.Reloaded, error) {}
	}
	if d.stopping {
		done(nil, errStopping)
		return
	}
	d.tend()         // somebody is about, who may have mended something
	if d.reloading { // one after the other, so that the last one asked for wins
		d.reloads = append(d.reloads, func() { d.startReload(who, done) })
		return
	}
	d.reloading = true
	d.garbage.later(d.now) // apply has it look soon
	if d.ready {
		d.supervisor.reloading()
	}
	go func() { // nobody waits for it in the end: a disk may be very slow
		next, warnings, err := d.opts.Load()
		d.post(func() {
			d.reloading = false
			done(d.finishReload(who, next, warnings, err))
			for len(d.reloads) > 0 && !d.reloading { // when stopping, none is begun
				again := d.reloads[0]
				d.reloads = d.reloads[1:]
				again()
			}
		})
	}()
}

// finishReload applies a configuration that was read, or says why not.
func (d *Daemon) finishReload(who string, next *config.Config, warnings []string, err error) (*control.Reloaded, error) {
	if d.stopping {
		return nil, errStopping
	}
	if err == nil {
		err = d.changeable(next)
	}
	if d.ready { // else the daemon still starts
		d.supervisor.tell("READY=1")
	}
	if err != nil {
		d.reloadError = err.Error()
		d.telemetry.refused++
		why := strings.TrimSpace(err.Error())
		d.record(history.Event{
			Kind: history.KindReload, Severity: history.Error, Who: who, Reason: why,
			Text: because("the configuration was refused, the running one goes on", problems(why)),
		}, "configuration refused, the running one goes on", "asked-by", who, "error", errors.New(why)) // with its lines
		return nil, &control.Refused{Err: err}
	}
	d.reloadError = ""
	d.record(history.Event{Kind: history.KindReload, Who: who, Text: fmt.Sprintf("the configuration was reloaded, asked for by %s", who)},
		"configuration reloaded", "asked-by", who, "instances", len(next.Instances), "checks", len(next.Checks))
	for _, w := range warnings {
		d.record(history.Event{Kind: history.KindReload, Severity: history.Warning, Text: because("the configuration has a warning", w)}, "configuration", "warning", w)
	}
	d.apply(next)
	return &control.Reloaded{Version: control.Version, Warnings: warnings}, nil
}

// changeable refuses what a running daemon cannot take over.
func (d *Daemon) changeable(next *config.Config) error {
	var errs []error
	for _, c := range []struct{ key, now, then string }{
		{"node.run_dir", d.cfg.Node.RunDir, next.Node.RunDir},
		{"node.log_format", d.cfg.Node.LogFormat, next.Node.LogFormat},
		{"control.socket", d.cfg.Control.Socket, next.Control.Socket},
		{"control.group", d.cfg.Control.Group, next.Control.Group},
	} {
		if c.now != c.then {
			errs = append(errs, fmt.Errorf("%s: changing %s from %q to %q needs a restart", next.File, c.key, c.now, c.then))
		}
	}
	return errors.Join(errs...)
}

// apply makes cfg the configuration. The checks come first, so that their
// results are on the way when instances that wait for them are made.
func (d *Daemon) apply(cfg *config.Config) {
	changed := changes(d.cfg, cfg)
	d.cfg = cfg
	if d.opts.InForce != nil {
		d.opts.InForce(cfg)
	}
	d.telemetry.inForce(cfg, d.now)
	d.setSite(cfg)
	d.log.SetLevel(cfg.Node.LogLevel)
	if err := d.checks.Set(cfg.Checks); err != nil {
		d.failure("checks were not changed", err) // validated: cannot happen
	}
	maps.DeleteFunc(d.results, func(name string, _ healthcheck.Result) bool { return d.telemetry.probes[name] == nil })
	d.hooks.Set(cfg.Hooks)
	d.step(&vrrp.Configure{Instances: cfg.Instances})
	d.setOwners()
	for _, r := range d.results { // an instance may have begun to use a known check
		d.step(&vrrp.CheckChanged{Check: r.Check, Healthy: r.Healthy, Reason: r.Output})
	}
	if d.synced {
		for _, name := range changedInterfaces(changed) {
			d.linkChanged(name)
		}
	}
	d.tellDue, d.tellStatus = true, true
	if hurries(changed) { // peers are told in this turn, and wait no longer than that
		d.journalNow()
	}
	d.journalChanged()
	if d.drains != nil && !d.drainsUnread { // it may have removed or renamed a drained instance
		d.drainsChanged(nil)
	}
}

// change is an instance that is not the same in two configurations: as it was and
// as it is to be, nil where there is none of its name.
type change struct{ old, now *vrrp.Config }

// changes lists the instances that are not the same. Most are, of which there may be
// thousands: only between the first and the last that are not is anything looked up.
func changes(old, cfg *config.Config) (list []change) {
	a, b := old.Instances, cfg.Instances
	for len(a) > 0 && len(b) > 0 && a[0].Same(&b[0]) {
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1].Same(&b[len(b)-1]) {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	before := make(map[string]*vrrp.Config, len(a))
	for n := range a {
		before[a[n].Name] = &a[n]
	}
	for n := range b {
		was := before[b[n].Name]
		delete(before, b[n].Name)
		if was == nil || !was.Same(&b[n]) {
			list = append(list, change{was, &b[n]})
		}
	}
	for n := range a {
		if was := before[a[n].Name]; was != nil {
			list = append(list, change{old: was})
		}
	}
	return list
}

// hurries reports whether an instance is to advertise more often.
func hurries(changed []change) bool {
	return slices.ContainsFunc(changed, func(c change) bool {
		return c.old != nil && c.now != nil && c.now.AdvertInterval < c.old.AdvertInterval
	})
}

// changedInterfaces lists the interfaces that instances were on or are on now.
func changedInterfaces(changed []change) (names []string) {
	for _, c := range changed {
		for _, i := range []*vrrp.Config{c.old, c.now} {
			if i != nil {
				names = append(names, i.Interface)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// interfaces lists the interfaces of a configuration, each once.
func interfaces(cfg *config.Config) (names []string) {
	seen := map[string]bool{}
	for n := range cfg.Instances {
		if name := cfg.Instances[n].Interface; !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	return names
}

// configuredNames is the set of the instances' names.
func (d *Daemon) configuredNames() map[string]bool {
	names := make(map[string]bool, len(d.cfg.Instances))
	for n := range d.cfg.Instances {
		names[d.cfg.Instances[n].Name] = true
	}
	return names
}
