// Package config turns a TOML file into the typed configuration of holdfast.
//
// Nothing is guessed and nothing is ignored: an unknown key, a wrong type, a
// value out of range and an impossible combination are each an error with its
// line and column, and all of them are reported together.
package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/holdfast-vrrp/holdfast/healthcheck"
	"github.com/holdfast-vrrp/holdfast/notify"
	"github.com/holdfast-vrrp/holdfast/vip"
	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// Defaults that other parts of the program need to know.
const (
	// DefaultPath is the file read when none is named.
	DefaultPath = "/etc/holdfast/holdfast.toml"
	// DefaultRunDir is the default of node.run_dir.
	DefaultRunDir = "/run/holdfast"
	// DefaultSocket is the default of control.socket with [DefaultRunDir].
	DefaultSocket = DefaultRunDir + "/" + socketName
	// DefaultGroup is the default of control.group. Unlike a group that was
	// asked for, it need not exist.
	DefaultGroup = "adm"

	socketName = "holdfast.sock"
	// maxSize is far above any honest configuration: 2,000 instances written
	// out in full take a quarter of it.
	maxSize = 4 << 20
)

// Config is one whole configuration, checked.
type Config struct {
	// File is the name the configuration was read from.
	File string
	// Hash tells one text from another.
	Hash    string
	Node    Node
	Control Control
	Metrics Metrics
	// Instances and the lists below are in the order of the file.
	Instances []vrrp.Config
	// VIP says by instance name how its addresses are put on the interface.
	VIP    map[string]vip.Config
	Checks []healthcheck.Config
	Hooks  []notify.Config
}

// Node is what concerns this host as a whole.
type Node struct {
	// Name is what other people see; [Load] fills in the host name when the
	// file has none, [Parse] leaves it empty.
	Name string
	// LogLevel is trace, debug, info, warn or error.
	LogLevel string
	// LogFormat is auto, text or json.
	LogFormat string
	// RunDir holds the journal and, by default, the control socket.
	RunDir string
}

// Control is the socket that the other commands talk to.
type Control struct {
	// Socket is the absolute path of the unix socket.
	Socket string
	// Group may read the state over the socket; empty for root and the owner
	// alone.
	Group string
}

// Metrics is the listener for Prometheus, probes and the status page.
type Metrics struct {
	// Listen is host:port, the host an IP address, localhost or empty for all
	// addresses; empty for no listener.
	Listen string
	// Compat adds the metrics that dashboards for keepalived know.
	Compat bool
}

// Defaults of single values; reference.toml tells them to people.
const (
	defaultInterval     = time.Second
	defaultRepeat       = 5
	defaultRepeatGap    = 200 * time.Millisecond
	defaultRefresh      = time.Minute
	defaultCheckEvery   = time.Second
	defaultCheckRetry   = 50 * time.Millisecond
	defaultFall         = 2
	defaultRise         = 2
	defaultHookTimeout  = 30 * time.Second
	defaultLogLevel     = "info"
	defaultLogFormat    = "auto"
	maxDelay            = time.Hour
	maxProbeInterval    = time.Hour
	maxProbeTimeout     = 10 * time.Minute
	minProbeInterval    = 10 * time.Millisecond
	maxAnnounceRefresh  = 24 * time.Hour
	maxAnnounceRepeat   = 100
	maxLease            = 3600 // seconds
	maxAddressesEach    = 4096 // of a family; adverts carry fewer, see vrrp
	maxPeers            = 254  // of a group that could share a /24
	maxRounds           = 100  // of fall and rise
	maxInterfaceNameLen = 15
	maxNameLen          = 64
	maxSocketLen        = 107
)

// Load reads and checks the configuration in a file, and warns of what this host
// lacks. Mistakes leave no room for warnings: those are about a configuration that
// can be used.
func Load(path string) (*Config, []Warning, error) {
	text, err := Read(path)
	if err != nil {
		return nil, nil, err
	}
	c, warnings, err := parse(path, text, hostHasGroup)
	if err != nil {
		return nil, warnings, err
	}
	if c.Node.Name == "" {
		if c.Node.Name, err = os.Hostname(); err != nil {
			return nil, warnings, fmt.Errorf("node.name is not set and the host name is not known: %w", err)
		}
	}
	return c, warnings, nil
}

// Read returns the text of a configuration file.
func Read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, readError(path, err)
	}
	defer f.Close()
	// A byte more than allowed tells too large from just fitting.
	text, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return nil, readError(path, err)
	}
	if len(text) > maxSize {
		return nil, fmt.Errorf("configuration %s is larger than %d MiB: is it the right file?", path, maxSize>>20)
	}
	return text, nil
}

func readError(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if dir := filepath.Dir(path); dir != "." {
			if _, statErr := os.Stat(dir); errors.Is(statErr, fs.ErrNotExist) {
				return fmt.Errorf("configuration %s cannot be read: there is no folder %s: %w", path, dir, fs.ErrNotExist)
			}
		}
		return fmt.Errorf("configuration %s cannot be read: %w", path, fs.ErrNotExist)
	case errors.Is(err, syscall.EISDIR):
		return fmt.Errorf("configuration %s cannot be read: %w", path, syscall.EISDIR)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("configuration %s cannot be read: %w", path, fs.ErrPermission)
	}
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = e.Err // the path is in the sentence already
	}
	return fmt.Errorf("configuration %s cannot be read: %w", path, err)
}
