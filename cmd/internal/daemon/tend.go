package daemon

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/history"
)

// tend looks whether what the daemon needs on the disk is still there, and puts back
// what is not, on a goroutine of its own: a disk may be slow. It comes with the
// audits and with each reload.
func (d *Daemon) tend() {
	if d.tending || d.stopping || d.opts.Mend == nil && d.opts.Journal == "" {
		return
	}
	d.tending = true
	j, now := d.journal, d.boot
	go func() {
		var m mending
		if d.opts.Mend != nil {
			m = d.opts.Mend()
		}
		next, err := replaceJournal(j, d.opts.Journal, now)
		if j != nil && (next != nil || err != nil) {
			m.gone = append(m.gone, "the journal")
			if m.err == nil {
				m.err = err
			}
		}
		d.post(func() {
			d.tending = false
			if d.stopping { // what there is goes soon
				next.close()
				return
			}
			d.mended(m)
			d.journalReplaced(next, err)
		})
	}()
}

// replaceJournal begins another journal when there is none, or none any more.
func replaceJournal(j *journal, dir string, now time.Duration) (*journal, error) {
	if dir == "" || j != nil && !j.gone() {
		return nil, nil
	}
	boot, err := bootID()
	if err != nil {
		return nil, err
	}
	if j != nil { // whose stamps are written meanwhile, and must not be cut off under it
		if err := os.Remove(filepath.Join(dir, stampsName)); err != nil && !missing(err) {
			return nil, fmt.Errorf("cannot replace the journal: %w", err)
		}
	}
	return openJournal(dir, boot, now)
}

// journalReplaced goes on with another journal, if there is one.
func (d *Daemon) journalReplaced(next *journal, err error) {
	switch {
	case err != nil:
		d.journalError = oneLine(err)
		return
	case next == nil:
		return
	}
	next.inherit(d.journal)
	d.journal.close()
	d.journal = next
	if d.journalError != "" {
		d.journalError = ""
		d.record(history.Event{Kind: history.KindDaemon, Text: "the journal is written again: a restart will be silent"}, "the journal is written again")
	}
	d.journalChanged()
}

// mended tells once of what was gone, and goes on with what is there again.
func (d *Daemon) mended(m mending) {
	gone := strings.Join(m.gone, ", ")
	failing := d.mendError != ""
	d.mendError = ""
	switch {
	case m.err != nil:
		d.mendError = gone + ", which cannot be made again: " + oneLine(m.err)
		if !failing {
			d.record(history.Event{
				Kind: history.KindDaemon, Severity: history.Error, Reason: oneLine(m.err),
				Text: "somebody deleted " + d.mendError + "; trying again. The daemon serves on, but may not hear commands, and a restart will not be silent",
			}, "somebody deleted files of the running daemon, which cannot be made again: it serves on, but may not hear commands; trying again", "deleted", gone, "error", m.err)
		}
	case gone != "":
		d.record(history.Event{
			Kind: history.KindDaemon, Severity: history.Warning,
			Text: "somebody deleted " + gone + ": all is there again; find out who did (a rule of tmpfiles.d, another unit's RuntimeDirectory=, an rm), or it happens again",
		}, "somebody deleted files of the running daemon, which are there again; find out who did (a rule of tmpfiles.d, another unit's RuntimeDirectory=, an rm)", "deleted", gone)
	}
	d.tellStatus = d.tellStatus || failing || m.err != nil
	if m.control != nil {
		d.serveOn(m.control)
	}
	if gone != "" && m.err == nil {
		d.writeAgain()
	}
}

// writeAgain has everything written that was in the directory.
func (d *Daemon) writeAgain() {
	d.events.WriteAgain()
	if d.spool != nil {
		d.spool.outdated()
	}
	if d.opts.State == d.opts.Journal && d.drains != nil && !d.drainsUnread {
		d.drains.last, d.drainsDue = nil, true
	}
}
