package daemon

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/holdfast-vrrp/holdfast/vip"
	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// takeOver goes on where an earlier daemon ended: what may go on as master
// does, and what else that one left on the interfaces is removed.
func (d *Daemon) takeOver() error {
	var held map[string]map[netip.Prefix]bool
	if dir := d.opts.Journal; dir != "" {
		left, err := readJournal(dir)
		if err != nil {
			d.log.Warn("an earlier run's journal is not used", "reason", err)
		}
		if d.journal, err = openJournal(dir); err != nil {
			d.log.Warn("a restart will not be silent", "error", err)
		}
		present, err := d.opts.Kernel.Addresses()
		if err != nil {
			return fmt.Errorf("cannot list addresses: %w", err)
		}
		var adopt []vrrp.Adopted
		adopt, held = left.adoptable(present)
		d.step(&vrrp.Adopt{Routers: adopt})
	}
	wanted := d.wanted()
	left, err := d.addresses.CleanLeftovers(func(p vip.Present) bool {
		return held[p.Interface][p.Prefix] && wanted[p.Interface][p.Prefix]
	})
	for _, p := range left {
		d.log.Info("removed an address of an earlier run", "address", p.Prefix.String(), "interface", p.Interface)
	}
	if err != nil {
		return fmt.Errorf("cannot remove what an earlier run left: %w", err)
	}
	d.restoreSettings()
	return nil
}

// restoreSettings puts back what an earlier run had changed and could not.
func (d *Daemon) restoreSettings() {
	if d.opts.RestoreSettings == nil {
		return
	}
	restored, err := d.opts.RestoreSettings()
	for _, path := range restored {
		d.log.Info("restored a setting that an earlier run had changed", "setting", path)
	}
	if err != nil { // no reason not to serve
		d.log.Warn("cannot restore all settings that an earlier run changed", "error", err)
	}
}

// wanted is which addresses the configuration puts on which interface.
func (d *Daemon) wanted() map[string]map[netip.Prefix]bool {
	all := map[string]map[netip.Prefix]bool{}
	for n := range d.cfg.Instances {
		c := &d.cfg.Instances[n]
		if all[c.Interface] == nil {
			all[c.Interface] = map[netip.Prefix]bool{}
		}
		for _, p := range c.Addresses {
			all[c.Interface][p] = true
		}
	}
	return all
}

// journalGap is how long changes are gathered before the journal is written.
const journalGap = 50 * time.Millisecond

// journalChanged has the journal written soon, when anything in it changed.
func (d *Daemon) journalChanged() {
	if d.journal == nil || d.journalDue {
		return
	}
	d.journalDue = true
	d.later(journalGap, func() {
		d.journalDue = false
		f := d.journal.describe(d.engine.Snapshot(d.now))
		if f != nil {
			d.writeJournal(f)
		}
	})
}

// writeJournal writes on a goroutine of its own, one write at a time, and tries
// again later when the disk is full.
func (d *Daemon) writeJournal(f *journalFile) {
	if d.journalBusy {
		d.journalNext = f
		return
	}
	d.journalBusy = true
	go func() {
		err := d.journal.write(f)
		d.post(func() {
			d.journalBusy = false
			if err != nil && d.journalError == "" {
				d.log.Error("a restart will not be silent", "error", err)
			} else if err == nil && d.journalError != "" {
				d.log.Info("the journal is written again")
			}
			d.journalError = ""
			next := d.journalNext
			if d.journalNext = nil; next != nil {
				d.writeJournal(next)
			} else if err != nil {
				d.journalError = err.Error()
				d.later(journalRetry, func() {
					if !d.journalBusy {
						d.writeJournal(f)
					}
				})
			}
		})
	}()
}

// journalRetry is how long after a failure the journal is written again.
const journalRetry = 5 * time.Second
