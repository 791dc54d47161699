package lab

import (
	"fmt"
	"os"
)

// StartKeepalived runs keepalived on the host with the configuration given. Its
// log, with every detail, is the process's output; wait there for "Entering
// MASTER STATE".
func (h *Host) StartKeepalived(config string) (*Process, error) {
	return h.startKeepalived(config, "--log-detail")
}

// StartTerseKeepalived is StartKeepalived with the log that keepalived writes
// by default: a line for each announcement would slow it down.
func (h *Host) StartTerseKeepalived(config string) (*Process, error) {
	return h.startKeepalived(config)
}

func (h *Host) startKeepalived(config string, options ...string) (*Process, error) {
	const dir = "/run/keepalived"
	// One that was killed leaves PID files which name process 1, and every
	// keepalived of the lab is that: the next would think it runs already.
	if err := h.keep.do(func() error { return os.RemoveAll(dir) }); err != nil {
		return nil, fmt.Errorf("start keepalived on %s: %w", h.name, err)
	}
	if err := h.MkdirAll(dir); err != nil {
		return nil, fmt.Errorf("start keepalived on %s: %w", h.name, err)
	}
	if err := h.WriteFile(dir+"/keepalived.conf", config, 0o644); err != nil {
		return nil, fmt.Errorf("start keepalived on %s: %w", h.name, err)
	}
	// Without a system log it would log to the machine's console as well, and
	// wait for that.
	return h.startPeer("keepalived", append(options, "--dont-fork", "--log-console", "--no-syslog", "--vrrp",
		"--use-file", dir+"/keepalived.conf", "--pid", dir+"/keepalived.pid", "--vrrp_pid", dir+"/vrrp.pid")...)
}
