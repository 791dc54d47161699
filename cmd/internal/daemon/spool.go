package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/history"
	"github.com/holdfast-vrrp/holdfast/notify"
)

const (
	// hooksName, in the run directory, has the events whose hooks did not all
	// run: a daemon that is killed or restarted cannot run them, the next one can.
	hooksName    = "hooks.json"
	hooksVersion = 1
	// hooksGap is the least time between two writes of it.
	hooksGap = 5 * time.Millisecond
)

// hooksFile is hooks.json.
type hooksFile struct {
	Version int                 `json:"version"`
	Boot    string              `json:"boot"`
	Events  []notify.Unfinished `json:"events"`
}

// spool keeps that file for the hooks of the running daemon. A nil spool keeps
// none.
type spool struct {
	path, boot string
	queue      *notify.Queue
	changed    chan struct{} // has a token when the file is out of date
	quit, done chan struct{}
	failed     func(error) // hears how writing events went
}

// newSpool returns a spool that keeps what is unfinished in a queue, once it begins.
func newSpool(dir, boot string, q *notify.Queue, failed func(error)) *spool {
	s := &spool{
		path: filepath.Join(dir, hooksName), boot: boot, queue: q, failed: failed,
		changed: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{}),
	}
	q.OnChange(s.outdated)
	return s
}

// begin replaces what an earlier run left by what is in the queue, and keeps that.
func (s *spool) begin() {
	s.outdated()
	go s.run()
}

// outdated has the file written.
func (s *spool) outdated() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// run writes what changes, on a goroutine of its own: a disk may be slow.
func (s *spool) run() {
	defer close(s.done)
	for {
		select {
		case <-s.changed:
		case <-s.quit:
			return
		}
		if some, err := s.write(); some || err != nil {
			s.failed(err)
		}
		select {
		case <-time.After(hooksGap):
		case <-s.quit:
			return
		}
	}
}

// close ends that, and writes what is unfinished in the end.
func (s *spool) close() error {
	if s == nil {
		return nil
	}
	close(s.quit)
	<-s.done
	_, err := s.write()
	return err
}

// write replaces the file at once, so that a kill leaves no half of it; some
// tells whether there is anything in it, or else it is gone.
func (s *spool) write() (some bool, err error) {
	f := hooksFile{Version: hooksVersion, Boot: s.boot, Events: s.queue.Unfinished()}
	if len(f.Events) == 0 {
		if err := os.Remove(s.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, fmt.Errorf("cannot forget hooks that ran: %w", err)
		}
		return false, nil
	}
	text, err := json.Marshal(f)
	if err == nil {
		err = os.WriteFile(s.path+".new", text, 0o600)
	}
	if err == nil {
		err = os.Rename(s.path+".new", s.path)
	}
	if err != nil {
		return true, fmt.Errorf("cannot remember hooks to run: %w", err)
	}
	return true, nil
}

// readSpool reads what an earlier daemon did not finish on this boot. What cannot
// be trusted is an error.
func readSpool(dir, boot string) ([]notify.Unfinished, error) {
	text, err := os.ReadFile(filepath.Join(dir, hooksName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the hooks of an earlier run: %w", err)
	}
	var f hooksFile
	switch err := json.Unmarshal(text, &f); {
	case err != nil:
		return nil, fmt.Errorf("the file of unfinished hooks is damaged: %w", err)
	case f.Version != hooksVersion:
		return nil, fmt.Errorf("the file of unfinished hooks has version %d instead of %d", f.Version, hooksVersion)
	case f.Boot != boot:
		return nil, fmt.Errorf("%d hooks are of an earlier boot", len(f.Events))
	}
	return f.Events, nil
}

// openHooks makes the queue of hooks, and goes on with what an earlier daemon did
// not finish.
func (d *Daemon) openHooks() {
	d.hooks = notify.NewQueue(d.cfg.Hooks, d.hookDone)
	if d.opts.Journal == "" {
		return
	}
	boot, err := bootID()
	if err != nil {
		d.trouble("hooks will not survive a restart", err)
		return
	}
	left, err := readSpool(d.opts.Journal, boot)
	if err != nil {
		d.record(history.Event{
			Kind: history.KindHook, Severity: history.Warning, Reason: oneLine(err), Text: sentence("hooks of an earlier run are not run", err),
		}, "hooks of an earlier run are not run", "reason", err)
	}
	d.spool = newSpool(d.opts.Journal, boot, d.hooks, d.spooled)
	for _, u := range left {
		d.record(hookEvent(&u.Event, history.Info, "%s: its hooks for %s, which a restart cut off, run now"), "running hooks that a restart cut off", "instance", u.Event.Instance, "state", u.Event.State, "from", u.Event.At.Format(time.RFC3339))
		if err := d.hooks.Resume(u); err != nil {
			d.hookNotRun(&u.Event, err)
		}
	}
	d.spool.begin() // now that all of these are in the queue: a kill loses none
}

// spooled hears how writing the file went. People hear of a failure once. It runs
// on the spool's goroutine.
func (d *Daemon) spooled(err error) {
	switch failing := d.spoolFails.Swap(err != nil); {
	case err != nil && !failing:
		d.failure("hooks will not survive a restart", err)
	case err == nil && failing:
		d.record(history.Event{Kind: history.KindHook, Text: "hooks are remembered again: they will survive a restart"}, "hooks are remembered again")
	}
}

// leaveShare is for which part of an advert interval a daemon that leaves waits
// for running hooks, and leaveMost for how long at most: the next daemon must
// speak in time.
const (
	leaveShare = 4
	leaveMost  = 250 * time.Millisecond
)

// leaveGrace is how long a daemon that leaves waits for running hooks.
func (d *Daemon) leaveGrace() time.Duration {
	grace := leaveMost
	for n := range d.cfg.Instances {
		grace = min(grace, d.cfg.Instances[n].AdvertInterval/leaveShare)
	}
	return grace
}
