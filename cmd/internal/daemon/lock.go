package daemon

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/claim"
)

// lock keeps a second daemon from using the same run directory. The kernel
// drops it when the process ends, however that happens.
func lock(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("cannot make the run directory: %w", err)
	}
	path := filepath.Join(dir, "holdfast.pid")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("cannot use the run directory: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("cannot lock %s: %w", path, err)
		}
		text, _ := io.ReadAll(io.LimitReader(f, 32))
		pid := strings.TrimSpace(string(text))
		if pid == "" {
			pid = "unknown"
		}
		return nil, occupied("pid "+pid, dir)
	}
	// For the sentence above alone: on a full disk nothing is lost without it.
	if f.Truncate(0) == nil {
		_, _ = fmt.Fprintf(f, "%d\n", os.Getpid())
	}
	return f, nil
}

// occupied is why a daemon does not start beside another one.
func occupied(by, dir string) error {
	return fmt.Errorf("another holdfast (%s) is running with run directory %s: stop it first, or set another node.run_dir", by, dir)
}

// claimRunDir keeps a second daemon out whatever becomes of the files, in this and
// in other containers, but not in other network namespaces: whose addresses this one
// cannot touch.
func claimRunDir(dir string, tell func() []byte) (*claim.Claim, error) {
	c, err := claim.Make(dir, tell) // before it looks, so that of two at once none misses the other
	if err != nil {
		return nil, err
	}
	others, err := c.Others()
	if err != nil {
		return c, nil // without /proc the file must do
	}
	for n := range others {
		if o := &others[n]; o.Has(dir) {
			c.Release()
			return nil, occupied(o.String(), dir)
		}
	}
	return c, nil
}

// unlock lets the next daemon go ahead, even when a child that never became a program
// has the file, too.
func unlock(f *os.File) {
	_ = unix.Flock(int(f.Fd()), unix.LOCK_UN) // closing it does the same otherwise
	f.Close()
}

// privileges tells in one sentence what the process lacks to do its work.
func privileges() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return nil // the first refused action will tell
	}
	var missing []string
	for _, c := range []struct {
		bit  uint
		name string
	}{{unix.CAP_NET_ADMIN, "CAP_NET_ADMIN"}, {unix.CAP_NET_RAW, "CAP_NET_RAW"}} {
		if data[0].Effective&(1<<c.bit) == 0 {
			missing = append(missing, c.name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("the daemon needs %s to set addresses and send adverts: run it as root or grant it in the systemd unit", strings.Join(missing, " and "))
}
