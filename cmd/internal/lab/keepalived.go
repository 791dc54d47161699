package lab

import (
	"fmt"
	"os"
)

// StartKeepalived runs keepalived on the host with the configuration given. Its
// log is the process's output; wait there for "Entering MASTER STATE".
func (h *Host) StartKeepalived(config string) (*Process, error) {
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
	return h.startPeer("keepalived", "--dont-fork", "--log-console", "--log-detail", "--vrrp",
		"--use-file", dir+"/keepalived.conf", "--pid", dir+"/keepalived.pid", "--vrrp_pid", dir+"/vrrp.pid")
}
