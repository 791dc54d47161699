package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// Peer is a program of somebody else that runs on hosts of the lab.
type Peer struct {
	Path string
	Env  []string // what its private libraries need, beside the usual
}

// ErrNoPeer is in the error of FindPeer when the program is nowhere.
var ErrNoPeer = errors.New("program not found")

// peerPaths are the programs known and where their packages, whose names begin
// the paths, have them.
var peerPaths = map[string]string{
	"keepalived":              "keepalived/usr/sbin/keepalived",
	"nginx":                   "nginx/usr/sbin/nginx",
	"zebra":                   "frr/usr/lib/frr/zebra",
	"vrrpd":                   "frr/usr/lib/frr/vrrpd",
	"nft":                     "nftables/usr/sbin/nft",
	"iptables-nft":            "iptables/usr/sbin/iptables-nft",
	"iptables-legacy":         "iptables/usr/sbin/iptables-legacy",
	"ip":                      "iproute2/bin/ip",
	"sysctl":                  "procps/sbin/sysctl",
	"promtool":                "prometheus/usr/bin/promtool",
	"chromium-headless-shell": "chromium/usr/lib/chromium/chromium-headless-shell",
	"mandoc":                  "shells/usr/bin/mandoc",
}

// FindPeer looks for one of these among the programs which .ci/peers unpacked
// under .peers, and then on the system.
func FindPeer(name string) (*Peer, error) {
	path, ok := peerPaths[name]
	if !ok {
		return nil, fmt.Errorf("%w: %s is not one of the lab's", ErrNoPeer, name)
	}
	pkg, inside, _ := strings.Cut(path, "/")
	for _, dir := range peerDirs() {
		root := filepath.Join(dir, pkg)
		if bin := filepath.Join(root, inside); isFile(bin) {
			return &Peer{Path: bin, Env: []string{"LD_LIBRARY_PATH=" + libraries(root)}}, nil
		}
	}
	if bin, err := exec.LookPath(name); err == nil {
		return &Peer{Path: bin}, nil
	}
	if bin := "/" + inside; isFile(bin) { // root's PATH need not have sbin, and nobody's has FRR's
		return &Peer{Path: bin}, nil
	}
	return nil, fmt.Errorf("%w: %s is neither in .peers (.ci/peers %s fetches it) nor installed", ErrNoPeer, name, pkg)
}

// peerDirs lists the .peers folders of the source trees around this program's
// file and around the working directory. Programs from there run as root, so
// the latter, which anybody may have prepared, counts only when it is our own.
func peerDirs() []string {
	var dirs []string
	if exe, err := os.Executable(); err == nil {
		if root, ok := sourceTree(filepath.Dir(exe)); ok {
			dirs = append(dirs, filepath.Join(root, ".peers"))
		}
	}
	if wd, err := os.Getwd(); err == nil {
		if root, ok := sourceTree(wd); ok && ownedByUs(filepath.Join(root, ".peers")) {
			dirs = append(dirs, filepath.Join(root, ".peers"))
		}
	}
	return dirs
}

// sourceTree finds the nearest folder from dir upwards that has a go.mod.
func sourceTree(dir string) (string, bool) {
	for {
		if isFile(filepath.Join(dir, "go.mod")) {
			return dir, true
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", false
		}
		dir = up
	}
}

func ownedByUs(dir string) bool {
	info, err := os.Lstat(dir)
	if err != nil || !info.IsDir() || info.Mode().Perm()&0o022 != 0 {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Geteuid()
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// libraries is the search path of the shared libraries below root.
func libraries(root string) string {
	var dirs []string
	// A folder that cannot be read shows when the program does not start.
	_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.Contains(d.Name(), ".so") {
			dirs = append(dirs, filepath.Dir(path))
		}
		return nil
	})
	slices.Sort(dirs)
	return strings.Join(slices.Compact(dirs), ":")
}

// PeerCommand prepares a peer program to run on the host.
func (h *Host) PeerCommand(ctx context.Context, p *Peer, args ...string) *Cmd {
	c := h.Command(ctx, p.Path, args...)
	c.Env = append(os.Environ(), p.Env...)
	return c
}

// startPeer finds a peer program and starts it on the host.
func (h *Host) startPeer(name string, args ...string) (*Process, error) {
	p, err := FindPeer(name)
	if err != nil {
		return nil, err
	}
	return h.StartCommand(h.PeerCommand(context.Background(), p, args...))
}
