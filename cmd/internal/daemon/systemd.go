package daemon

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// supervisor tells systemd how the daemon fares (sd_notify(3)). The zero value
// tells nobody.
type supervisor struct {
	conn     *net.UnixConn
	watchdog time.Duration // how often it wants to hear of us; 0 for never
}

func newSupervisor() (*supervisor, error) {
	s := &supervisor{}
	name := os.Getenv("NOTIFY_SOCKET")
	if name == "" {
		return s, nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return s, fmt.Errorf("cannot tell systemd on %s: %w", name, err)
	}
	s.conn = conn
	if usec, err := strconv.ParseInt(os.Getenv("WATCHDOG_USEC"), 10, 64); err == nil && usec > 0 {
		if pid := os.Getenv("WATCHDOG_PID"); pid == "" || pid == strconv.Itoa(os.Getpid()) {
			s.watchdog = time.Duration(usec) * time.Microsecond / 3
		}
	}
	// Hooks and checks are not to speak in our name.
	os.Unsetenv("NOTIFY_SOCKET")
	os.Unsetenv("WATCHDOG_USEC")
	os.Unsetenv("WATCHDOG_PID")
	return s, nil
}

// tell sends states such as "READY=1". It never blocks: systemd that does not
// listen is no reason to be late.
func (s *supervisor) tell(state string) {
	if s.conn == nil {
		return
	}
	raw, err := s.conn.SyscallConn()
	if err != nil {
		return
	}
	// A lost state is not worth a word: the next one replaces it.
	_ = raw.Control(func(fd uintptr) {
		_ = unix.Send(int(fd), []byte(state), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	})
}

// becomeReady tells that the start is over, if it is.
func (d *Daemon) becomeReady() {
	if d.ready || !d.synced || d.journalBusy {
		return
	}
	d.ready = true
	d.supervisor.tell("READY=1\nSTATUS=" + d.summary())
}

// reloading tells that a reload begins; "READY=1" ends it.
func (s *supervisor) reloading() {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) == nil {
		s.tell(fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d", ts.Nano()/1000))
	}
}

// extend asks that the end may take so much longer from now on: systemd knows how
// long it may take in all, not that hooks have times of their own. Before version 236
// it does not listen to this.
func (s *supervisor) extend(by time.Duration, status string) {
	s.tell(fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d\nSTATUS=%s", by.Microseconds(), status))
}

// feeding delivers when the watchdog is to be fed, if there is one, until stop.
func (s *supervisor) feeding() (feed <-chan time.Time, stop func()) {
	if s.watchdog == 0 {
		return nil, func() {}
	}
	t := time.NewTicker(s.watchdog)
	return t.C, t.Stop
}
