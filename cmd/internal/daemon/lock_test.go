package daemon

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestLock(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run", "holdfast")
	first, err := lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "holdfast.pid"))
	if want := strconv.Itoa(os.Getpid()) + "\n"; err != nil || string(text) != want {
		t.Errorf("the file has %q (%v), want %q", text, err, want)
	}
	second, err := lock(dir)
	if err == nil {
		second.Close()
		t.Fatal("the directory was locked twice")
	}
	for _, want := range []string{"another holdfast (pid " + strconv.Itoa(os.Getpid()) + ")", dir, "stop it first"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
	if text, _ := os.ReadFile(filepath.Join(dir, "holdfast.pid")); len(text) == 0 {
		t.Error("the one that was refused emptied the file")
	}
	child, err := unix.Dup(int(first.Fd())) // as a child has it whose exec hangs
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(child)
	unlock(first)
	again, err := lock(dir)
	if err != nil {
		t.Fatalf("after the first one ended: %v", err)
	}
	again.Close()
}

// A run directory that is deleted still belongs to the daemon that uses it, and a
// second one leaves no trace there.
func TestClaimRunDir(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	first, err := claimRunDir(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	second, err := claimRunDir(dir, nil)
	if err == nil {
		second.Release()
		t.Fatal("the directory was claimed twice")
	}
	if want := occupied("pid "+strconv.Itoa(os.Getpid()), dir); err.Error() != want.Error() {
		t.Errorf("the second one hears %q, want %q", err, want)
	}
	if _, err := os.Lstat(dir); !os.IsNotExist(err) {
		t.Errorf("the directory was made: %v", err)
	}
	other, err := claimRunDir(dir+"2", nil)
	if err != nil {
		t.Fatalf("another directory: %v", err)
	}
	other.Release()
	first.Release()
	again, err := claimRunDir(dir, nil)
	if err != nil {
		t.Fatalf("after the first one ended: %v", err)
	}
	again.Release()
}

// A full disk, as /run may be after a journal gone wild, keeps no daemon from
// starting.
func TestLockOnFullDisk(t *testing.T) {
	needsRoot(t)
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=4k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	if err := os.WriteFile(filepath.Join(dir, "fill"), make([]byte, 4096), 0o600); err != nil {
		t.Fatal(err)
	}
	held, err := lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if second, err := lock(dir); err == nil {
		second.Close()
		t.Error("the directory was locked twice")
	} else if !strings.Contains(err.Error(), "another holdfast (pid unknown) is running") {
		t.Errorf("the second one says %q", err)
	}
}

func TestLockRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := lock(filepath.Join(file, "run")); err == nil || !strings.Contains(err.Error(), "cannot make the run directory") {
		t.Errorf("below a file: %v", err)
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "holdfast.pid"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := lock(dir); err == nil || !strings.Contains(err.Error(), "cannot use the run directory") {
		t.Errorf("with a folder in place of the file: %v", err)
	}
}
