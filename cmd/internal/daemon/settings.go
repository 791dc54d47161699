package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"sync"

	"github.com/holdfast-vrrp/holdfast/vip"
)

// settingsFile, in the run directory, has the kernel settings that are changed
// at the moment: a daemon that is killed cannot restore them, but the next one
// can.
const settingsFile = "settings.json"

// setting is what a kernel setting was before the daemon changed it, and what
// it made of it.
type setting struct {
	Was string `json:"was"`
	Is  string `json:"is"`
}

// settingsKernel is a kernel that keeps the file.
type settingsKernel struct {
	vip.Kernel
	path string

	mu      sync.Mutex
	changed map[string]setting // by the path below /proc/sys
	kept    map[string]bool    // those that an earlier run changed, and that stay
	unknown error              // why the file of an earlier run could not be read
}

// rememberSettings returns a kernel that remembers the settings changed through
// it in a run directory, with what an earlier run left there.
func rememberSettings(k vip.Kernel, dir string) *settingsKernel {
	s := &settingsKernel{Kernel: k, path: filepath.Join(dir, settingsFile), changed: map[string]setting{}, kept: map[string]bool{}}
	text, err := os.ReadFile(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return s
	}
	if err == nil {
		err = json.Unmarshal(text, &s.changed)
	}
	if err != nil {
		s.unknown = fmt.Errorf("read %s: %w", s.path, err)
	}
	if err != nil || s.changed == nil { // "null" is no error
		s.changed = map[string]setting{}
	}
	return s
}

// Sysctl implements [vip.Kernel]. A setting that stays over a restart still
// shows what it was, so that it comes to be changed and put back as ever.
func (s *settingsKernel) Sysctl(path string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, err := s.Kernel.Sysctl(path)
	if c := s.changed[path]; err == nil && s.kept[path] && now == c.Is {
		return c.Was, nil
	}
	return now, err
}

// SetSysctl implements [vip.Kernel]. What was there before is on record before
// anything changes, and off again once it is back.
func (s *settingsKernel) SetSysctl(path, value string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	known, ok := s.changed[path]
	if !ok {
		was, err := s.Kernel.Sysctl(path)
		if err != nil {
			return err
		}
		known.Was = was
	}
	delete(s.kept, path)
	known.Is = value
	s.changed[path] = known
	if err := s.save(); err != nil {
		return err
	}
	err := s.Kernel.SetSysctl(path, value)
	if err == nil && value == known.Was || errors.Is(err, fs.ErrNotExist) {
		delete(s.changed, path)
		return errors.Join(err, s.save())
	}
	return err
}

// restore puts the settings back that an earlier run left changed, unless
// somebody has changed them since or they are to be kept, and returns which
// those were.
func (s *settingsKernel) restore(keep func(path string) bool) (restored []string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	errs := []error{s.unknown}
	for path, c := range s.changed {
		if s.kept[path] = keep(path); s.kept[path] {
			continue
		}
		now, err := s.Kernel.Sysctl(path)
		if err == nil && now == c.Is {
			if err = s.Kernel.SetSysctl(path, c.Was); err == nil {
				restored = append(restored, path)
			}
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // else it went with its interface
			errs = append(errs, err)
		}
	}
	maps.DeleteFunc(s.changed, func(path string, _ setting) bool { return !s.kept[path] })
	return restored, errors.Join(append(errs, s.save())...)
}

// writeAgain writes the file anew, which somebody deleted. What fails here is made
// good by the next change.
func (s *settingsKernel) writeAgain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.save()
}

// save replaces the file at once, so that a kill leaves no half of it.
func (s *settingsKernel) save() error {
	if len(s.changed) == 0 {
		if err := os.Remove(s.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	text, err := json.Marshal(s.changed)
	if err == nil {
		err = os.WriteFile(s.path+".new", append(text, '\n'), 0o600)
	}
	if err == nil {
		err = os.Rename(s.path+".new", s.path)
	}
	if err != nil {
		return fmt.Errorf("cannot remember a setting before changing it: %w", err)
	}
	return nil
}
