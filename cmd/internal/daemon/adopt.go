package daemon

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/history"
	"github.com/holdfast-vrrp/holdfast/vip"
	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// takeOver goes on where an earlier daemon ended: what may go on as master
// does, and what else that one left on the interfaces is removed.
func (d *Daemon) takeOver() error {
	var kept map[string]map[netip.Prefix]bool
	var earlier []journalRouter
	d.tellNeighbours()
	if dir := d.opts.Journal; dir != "" {
		left := d.openJournal(dir)
		earlier = left.Routers
		present, err := d.opts.Kernel.Addresses("")
		if err != nil {
			return fmt.Errorf("cannot list addresses: %w", err)
		}
		var adopt []vrrp.Adopted
		adopt, kept = d.configured(left.adoptable(present))
		for _, r := range left.refused {
			d.record(history.Event{
				Kind: history.KindDaemon, Interface: r.router.Interface, Family: r.router.Family.String(), Reason: r.reason,
				Text: fmt.Sprintf("%s vrid %d (%v) was master before, but starts anew: %s", r.router.Interface, r.router.VRID, r.router.Family, r.reason),
			}, "was master before, but starts anew", "interface", r.router.Interface, "vrid", int(r.router.VRID), "family", r.router.Family.String(), "reason", r.reason)
		}
		d.step(&vrrp.Adopt{Routers: adopt})
	}
	foreign := d.notOurs(earlier)
	left, err := d.addresses.CleanLeftovers(func(p vip.Present) bool { return kept[p.Interface][p.Prefix] || foreign(p) })
	for _, p := range left {
		d.record(addressEvent(history.Info, p.Interface, p.Prefix, fmt.Sprintf("%v, which an earlier run had left on %s, was removed", p.Prefix, p.Interface)),
			"removed an address of an earlier run", "address", p.Prefix.String(), "interface", p.Interface)
	}
	if err != nil {
		return fmt.Errorf("cannot remove what an earlier run left: %w", err)
	}
	d.restoreSettings(func(path string) bool {
		for iface := range kept {
			if strings.Contains(path, "/"+iface+"/") {
				return true // the addresses that stay need it
			}
		}
		return false
	})
	return nil
}

// openJournal begins a journal, and returns what an earlier run left in it. What
// goes wrong costs a silent restart, and nothing else.
func (d *Daemon) openJournal(dir string) (left legacy) {
	boot, err := bootID()
	if err == nil {
		if left, err = readJournal(dir, boot, d.opts.Boottime()); err != nil {
			d.record(history.Event{
				Kind: history.KindDaemon, Severity: history.Warning, Reason: oneLine(err), Text: sentence("an earlier run's journal is not used", err),
			}, "an earlier run's journal is not used", "reason", err)
		}
		d.journal, err = openJournal(dir, boot, d.opts.Boottime())
	}
	if err != nil {
		d.journalError = oneLine(err)
		d.trouble("a restart will not be silent; trying again", err)
	}
	return left
}

// restoreSettings puts back what an earlier run had changed and could not,
// except what is kept for now.
func (d *Daemon) restoreSettings(keep func(path string) bool) {
	if d.opts.RestoreSettings == nil {
		return
	}
	restored, err := d.opts.RestoreSettings(keep)
	for _, path := range restored {
		d.record(history.Event{Kind: history.KindDaemon, Text: "the setting " + path + ", which an earlier run had changed, was restored"},
			"restored a setting that an earlier run had changed", "setting", path)
	}
	if err != nil { // no reason not to serve
		d.trouble("cannot restore all settings that an earlier run changed", err)
	}
}

// configured returns what of the routers in a journal the configuration still
// has, and which of their addresses on which interface.
func (d *Daemon) configured(left []journalRouter) (list []vrrp.Adopted, kept map[string]map[netip.Prefix]bool) {
	kept = map[string]map[netip.Prefix]bool{}
	type place struct {
		iface string
		vrid  uint8
	}
	at := make(map[place]int, len(d.cfg.Instances))
	for n := range d.cfg.Instances {
		c := &d.cfg.Instances[n]
		if _, other := at[place{c.Interface, c.VRID}]; !other { // of the other family
			at[place{c.Interface, c.VRID}] = n
		}
	}
	for _, r := range left {
		n, ok := at[place{r.Interface, r.VRID}]
		if !ok || !slices.Contains(d.cfg.Instances[n].Families(), r.Family) {
			continue
		}
		list = append(list, vrrp.Adopted{Interface: r.Interface, VRID: r.VRID, Family: r.Family, PseudoHeader: r.PseudoHeader, Until: r.Until})
		for _, p := range r.Addresses {
			if !slices.Contains(d.cfg.Instances[n].Addresses, p) {
				continue
			}
			if kept[r.Interface] == nil {
				kept[r.Interface] = map[netip.Prefix]bool{}
			}
			kept[r.Interface][p] = true
		}
	}
	return list, kept
}

const (
	// journalGap is how long changes are gathered before the journal is written.
	journalGap = 50 * time.Millisecond
	// journalShare is the part of the loop's time, one in so many, that looking
	// for what to write may take where there are thousands of instances.
	journalShare = 50
	// journalMost is how long it waits at most for that: the look may have taken
	// long because the host was busy, or the daemon stopped.
	journalMost = 5 * time.Second
)

// journalChanged has the journal written soon, when anything in it changed.
func (d *Daemon) journalChanged() {
	if d.journal == nil || d.journalDue || !d.synced { // without its interface nobody goes on as master
		return
	}
	d.journalDue = true
	gap := min(max(journalGap, journalShare*d.journalTook), journalMost)
	if d.journal.last.Version == 0 { // at once, or who is killed just after a start leaves none
		gap = 0
	}
	d.later(gap, func() {
		d.journalDue = false
		d.journalNow()
	})
}

// journalNow has the journal written, when anything in it changed. What was
// written before holds no more from now on.
func (d *Daemon) journalNow() {
	if d.journal == nil || !d.synced {
		return
	}
	began := time.Now()
	defer func() { d.journalTook = time.Since(began) }()
	if f := d.journal.describe(d.engine.Routers(), d.journalIndexes); f != nil {
		d.journalNext = f
		d.writeJournal()
	}
}

// writeJournal writes what is to be written on a goroutine of its own, one
// write at a time.
func (d *Daemon) writeJournal() {
	f := d.journalNext
	if f == nil || d.journalBusy {
		return
	}
	d.journalNext, d.journalBusy = nil, true
	d.journalWrites.Add(1)
	j := d.journal // tend may put another in its place
	go func() {
		err := j.write(f)
		d.journalWrites.Done() // first: who waits for it takes no calls
		d.post(func() { d.journalWritten(f, err) })
	}()
}

// journalLast has all written that changed, when the next daemon is about to read it.
func (d *Daemon) journalLast() {
	d.journalNow()
	d.journalWrites.Wait()
	f := d.journalNext // which waited for that
	if d.journalNext = nil; f == nil {
		return
	}
	if err := d.journal.write(f); err != nil && !d.journalFailed {
		d.failure("a restart will not be silent", err)
	}
}

// journalRetry is how long after a failure the journal is written again.
const journalRetry = 5 * time.Second

// journalWritten goes on with what changed meanwhile, and tries again later
// when the disk is full. People hear of that once.
func (d *Daemon) journalWritten(f *journalFile, err error) {
	d.journalBusy = false
	d.becomeReady()
	d.journalError = ""
	if err != nil {
		d.telemetry.journalErrors++
		d.journalError = oneLine(err)
	}
	switch failed := d.journalFailed; {
	case err != nil && !failed:
		d.failure("a restart will not be silent", err)
	case err == nil && failed:
		d.record(history.Event{Kind: history.KindDaemon, Text: "the journal is written again: a restart will be silent"}, "the journal is written again")
	}
	if d.journalFailed = err != nil; !d.journalFailed {
		d.writeJournal()
		return
	}
	if d.journalNext == nil { // else that is newer
		d.journalNext = f
	}
	if !d.journalRetrying {
		d.journalRetrying = true
		d.later(journalRetry, func() {
			d.journalRetrying = false
			d.writeJournal()
		})
	}
}
