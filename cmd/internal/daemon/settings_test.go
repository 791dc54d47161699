package daemon

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-vrrp/holdfast/vip"
)

const (
	promote = "net/ipv4/conf/eth0/promote_secondaries"
	other   = "net/ipv4/conf/eth1/promote_secondaries"
)

// sysctls is a kernel that has settings alone.
type sysctls struct {
	vip.Kernel
	values map[string]string
}

func (k *sysctls) Sysctl(path string) (string, error) {
	v, ok := k.values[path]
	if !ok {
		return "", fmt.Errorf("%s: %w", path, fs.ErrNotExist)
	}
	return v, nil
}

func (k *sysctls) SetSysctl(path, value string) error {
	if _, err := k.Sysctl(path); err != nil {
		return err
	}
	k.values[path] = value
	return nil
}

// set changes a setting through a daemon's kernel.
func set(t *testing.T, s *settingsKernel, path, value string) {
	t.Helper()
	if err := s.SetSysctl(path, value); err != nil {
		t.Fatal(err)
	}
}

func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func none(string) bool { return false }

func TestSettingsRestore(t *testing.T) {
	for _, c := range []struct {
		name     string
		run      func(t *testing.T, k *sysctls, s *settingsKernel) // until the daemon is killed
		restored []string
		want     map[string]string
	}{
		{"nothing was changed", func(*testing.T, *sysctls, *settingsKernel) {}, nil, map[string]string{promote: "0", other: "0"}},
		{"changed and left", func(t *testing.T, _ *sysctls, s *settingsKernel) {
			set(t, s, promote, "1")
		}, []string{promote}, map[string]string{promote: "0", other: "0"}},
		{"changed twice", func(t *testing.T, _ *sysctls, s *settingsKernel) {
			set(t, s, promote, "1")
			set(t, s, promote, "2")
		}, []string{promote}, map[string]string{promote: "0", other: "0"}},
		{"changed and restored", func(t *testing.T, k *sysctls, s *settingsKernel) {
			set(t, s, promote, "1")
			set(t, s, promote, "0")
			k.values[promote] = "1" // somebody else's, later
		}, nil, map[string]string{promote: "1", other: "0"}},
		{"somebody changed it since", func(t *testing.T, k *sysctls, s *settingsKernel) {
			set(t, s, promote, "1")
			k.values[promote] = "7"
		}, nil, map[string]string{promote: "7", other: "0"}},
		{"the interface is gone", func(t *testing.T, k *sysctls, s *settingsKernel) {
			set(t, s, promote, "1")
			set(t, s, other, "1")
			delete(k.values, promote)
		}, []string{other}, map[string]string{other: "0"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			k := &sysctls{values: map[string]string{promote: "0", other: "0"}}
			c.run(t, k, rememberSettings(k, dir))
			next := rememberSettings(k, dir)
			restored, err := next.restore(none)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.restored, restored); diff != "" {
				t.Errorf("restored (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.want, k.values); diff != "" {
				t.Errorf("settings (-want +got):\n%s", diff)
			}
			if left := files(t, dir); len(left) > 0 {
				t.Errorf("files left: %v", left)
			}
		})
	}
}

func TestSettingsOfMissingInterface(t *testing.T) {
	dir := t.TempDir()
	k := &sysctls{values: map[string]string{}}
	if err := rememberSettings(k, dir).SetSysctl(promote, "1"); err == nil {
		t.Error("no error for a setting that does not exist")
	}
	if left := files(t, dir); len(left) > 0 {
		t.Errorf("files left: %v", left)
	}
}

// Whatever valid JSON the file of an earlier run has, a setting can be changed.
func TestSettingsOfNothing(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, settingsFile), []byte("null"), 0o600); err != nil {
		t.Fatal(err)
	}
	k := &sysctls{values: map[string]string{promote: "0"}}
	if err := rememberSettings(k, dir).SetSysctl(promote, "1"); err != nil || k.values[promote] != "1" {
		t.Errorf("error %v, value %q", err, k.values[promote])
	}
}

// A setting that cannot be remembered is not changed.
func TestSettingsCannotBeRemembered(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "gone")
	k := &sysctls{values: map[string]string{promote: "0"}}
	if err := rememberSettings(k, dir).SetSysctl(promote, "1"); err == nil || !strings.Contains(err.Error(), "cannot remember") {
		t.Errorf("error %v", err)
	}
	if k.values[promote] != "0" {
		t.Error("the setting was changed")
	}
}

// A broken file is told, and then a new one takes its place.
func TestSettingsFileIsBroken(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, settingsFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	k := &sysctls{values: map[string]string{promote: "0"}}
	s := rememberSettings(k, dir)
	if _, err := s.restore(none); err == nil || !strings.Contains(err.Error(), settingsFile) {
		t.Errorf("error %v", err)
	}
	set(t, s, promote, "1")
	if restored, err := rememberSettings(k, dir).restore(none); err != nil || len(restored) != 1 || k.values[promote] != "0" {
		t.Errorf("restored %v, error %v", restored, err)
	}
}

// What the addresses that stay over a restart need is not touched; the next one
// to use it sees it as it was before, changes it and puts it back.
func TestSettingsKept(t *testing.T) {
	dir := t.TempDir()
	k := &sysctls{values: map[string]string{promote: "0", other: "0"}}
	first := rememberSettings(k, dir)
	set(t, first, promote, "1")
	set(t, first, other, "1")
	s := rememberSettings(k, dir)
	restored, err := s.restore(func(path string) bool { return path == promote })
	if diff := cmp.Diff([]string{other}, restored); diff != "" || err != nil {
		t.Errorf("restored (-want +got):\n%s\nerror %v", diff, err)
	}
	if diff := cmp.Diff(map[string]string{promote: "1", other: "0"}, k.values); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
	if value, err := s.Sysctl(promote); err != nil || value != "0" {
		t.Errorf("the setting shows %q, error %v", value, err)
	}
	set(t, s, promote, "1")
	if value, err := s.Sysctl(promote); err != nil || value != "1" {
		t.Errorf("once it is changed the setting shows %q, error %v", value, err)
	}
	set(t, s, promote, "0")
	if left := files(t, dir); len(left) > 0 || k.values[promote] != "0" {
		t.Errorf("files left: %v, values %v", left, k.values)
	}
}
