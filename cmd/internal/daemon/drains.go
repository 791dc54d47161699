package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/history"
	"github.com/holdfast-vrrp/holdfast/vrrp"
)

const (
	// drainsName, in the state directory, has the drains that are to survive a
	// restart. Where that directory survives a reboot, so do they.
	drainsName    = "drains.json"
	drainsVersion = 1
)

// drainsFile is drains.json. Its times are those of the wall clock: no other one
// goes on over a reboot.
type drainsFile struct {
	Version int         `json:"version"`
	Drains  []keptDrain `json:"drains"`
}

type keptDrain struct {
	Instance string     `json:"instance"`
	Since    time.Time  `json:"since"`
	Until    *time.Time `json:"until"`
	By       string     `json:"by"`
	Why      string     `json:"why"`
}

func (k keptDrain) same(o keptDrain) bool {
	sameUntil := (k.Until == nil) == (o.Until == nil) && (k.Until == nil || k.Until.Equal(*o.Until))
	return k.Instance == o.Instance && k.Since.Equal(o.Since) && sameUntil && k.By == o.By && k.Why == o.Why
}

// drainStore keeps the file.
type drainStore struct {
	path string

	last []keptDrain // of the loop: what was last given to write

	mu           sync.Mutex
	asked, wrote uint64
}

// StateDir is where what survives a reboot is kept: what systemd gives as the
// state directory, else the run directory, which survives a restart alone.
func StateDir(runDir string) string {
	for _, dir := range filepath.SplitList(os.Getenv("STATE_DIRECTORY")) {
		if filepath.IsAbs(dir) {
			return dir
		}
	}
	return runDir
}

// keptDrains lists the drains that are to survive a restart.
func (d *Daemon) keptDrains() (now []keptDrain) {
	drained := map[string]bool{}
	for i := range d.engine.Briefs() {
		if i.Drained {
			drained[i.Config.Name] = true
		}
	}
	if len(drained) == 0 {
		return nil
	}
	for _, i := range d.engine.Select(d.now, func(c *vrrp.Config) bool { return drained[c.Name] }) {
		if !i.Drain.Persist || i.Drain.Trying { // or it may yet be void
			continue
		}
		k := keptDrain{Instance: i.Config.Name, Since: i.Drain.Since.Round(0), By: i.Drain.By, Why: i.Drain.Why}
		if !i.Drain.Until.IsZero() {
			t := i.Drain.Until.Round(0)
			k.Until = &t
		}
		now = append(now, k)
	}
	return now
}

// drainsChanged has the file written when what belongs into it has changed. done,
// when not nil, hears on the loop how that went, once it is on the disk.
func (d *Daemon) drainsChanged(done func(error)) {
	d.drainsDue = false
	if done == nil {
		done = func(error) {}
	}
	if d.opts.State == "" {
		done(errors.New("there is no state directory"))
		return
	}
	now := d.keptDrains()
	s := d.drains
	if slices.EqualFunc(now, s.last, keptDrain.same) && !d.drainsFailed && !d.drainsUnread && d.drainsWriting == 0 {
		done(nil)
		return
	}
	s.last, d.drainsUnread = now, false
	s.asked++
	number := s.asked
	d.drainsWriting++
	d.workers.Go(func() {
		err := s.write(number, now)
		d.post(func() {
			d.drainsWriting--
			if d.drainsFailed = err != nil; err != nil {
				d.failure("drains will not survive a restart as they are", err)
			}
			done(err)
		})
	})
}

// write replaces the file at once, so that a kill leaves no half of it, and
// leaves out what is older than what was written. It may be slow.
func (s *drainStore) write(number uint64, list []keptDrain) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if number < s.wrote {
		return nil
	}
	err := s.replace(list)
	if err == nil {
		s.wrote = number
	}
	return err
}

func (s *drainStore) replace(list []keptDrain) error {
	if len(list) == 0 {
		if err := os.Remove(s.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("cannot forget drains that ended: %w", err)
		}
		return syncDir(filepath.Dir(s.path))
	}
	text, err := json.MarshalIndent(drainsFile{drainsVersion, list}, "", "  ")
	if err != nil {
		return fmt.Errorf("cannot encode drains: %w", err)
	}
	if err := writeSynced(s.path+".new", append(text, '\n')); err != nil {
		return fmt.Errorf("cannot remember drains: %w", err)
	}
	if err := os.Rename(s.path+".new", s.path); err != nil {
		return fmt.Errorf("cannot remember drains: %w", err)
	}
	return syncDir(filepath.Dir(s.path))
}

// writeSynced writes a file that a power failure does not lose.
func writeSynced(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Sync(), f.Close())
}

// syncDir makes a change of names in a folder last.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("cannot open the state directory: %w", err)
	}
	defer dir.Close()
	if err := dir.Sync(); err != nil {
		return fmt.Errorf("cannot write the state directory: %w", err)
	}
	return nil
}

// read returns what an earlier daemon left. What cannot be trusted is an error.
func (s *drainStore) read() ([]keptDrain, error) {
	text, err := os.ReadFile(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the drains of an earlier run: %w", err)
	}
	var f drainsFile
	if err := json.Unmarshal(text, &f); err != nil {
		return nil, fmt.Errorf("the file of drains %s is damaged: %w", s.path, err)
	}
	if f.Version != drainsVersion {
		return nil, fmt.Errorf("the file of drains %s has version %d instead of %d", s.path, f.Version, drainsVersion)
	}
	return f.Drains, nil
}

// restoreDrains drains what was drained to survive a restart, before any instance
// takes part.
func (d *Daemon) restoreDrains() {
	if d.opts.State == "" {
		return
	}
	d.drains = &drainStore{path: filepath.Join(d.opts.State, drainsName)}
	left, err := d.drains.read()
	if err != nil {
		d.failure("an instance may not be drained although it should be: drain it again, or 'holdfast undrain' to forget it", err)
		d.drainsUnread = true // the next order writes it anew
		return
	}
	d.drains.last = left
	for _, k := range left {
		ev := vrrp.Drain{Instance: k.Instance, Since: k.Since, By: k.By, Why: k.Why, Persist: true}
		args := []any{"instance", k.Instance, "asked-by", k.By, "since", k.Since.Format(time.RFC3339)}
		if !slices.ContainsFunc(d.cfg.Instances, func(c vrrp.Config) bool { return c.Name == k.Instance }) {
			e := operatorEvent(k.Instance, k.By, k.Instance+": its drain is forgotten, for the configuration has no such instance any more")
			e.Severity = history.Warning
			d.record(e, "drain forgotten, there is no such instance any more", args...)
			continue
		}
		if k.Until != nil {
			left := time.Until(*k.Until)
			if left <= 0 {
				d.record(operatorEvent(k.Instance, k.By, k.Instance+": the drain ended at its time, before this start"),
					"drain ended at its time, before this start", args...)
				continue
			}
			ev.Until = d.now.Add(left)
			args = append(args, "until", k.Until.Format(time.RFC3339))
		}
		d.step(&ev)
		d.record(operatorEvent(k.Instance, k.By, k.Instance+" is still drained, as ordered before the restart"),
			"still drained, as ordered before the restart", args...)
	}
	d.drainsChanged(nil)
}
