package daemon

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"
)

// logBacklog is how many log lines may wait for a slow disk or terminal.
const logBacklog = 4096

// logPatience is how long the end waits for a log that takes no more lines.
const logPatience = 2 * time.Second

// asyncWriter takes log lines without ever waiting for the disk behind it: an
// advert must not be late because a log is. Lines beyond the backlog are
// counted and the count is logged once there is room again.
type asyncWriter struct {
	lines   chan []byte
	lost    atomic.Uint64 // since that was last told
	all     atomic.Uint64 // since the start
	closing sync.Once
	done    chan struct{}
}

func newAsyncWriter(w io.Writer) *asyncWriter {
	a := &asyncWriter{lines: make(chan []byte, logBacklog), done: make(chan struct{})}
	go func() {
		defer close(a.done)
		for line := range a.lines {
			if n := a.lost.Swap(0); n > 0 {
				fmt.Fprintf(w, "%d log lines were lost here: the log could not keep up\n", n)
			}
			w.Write(line) //nolint:errcheck // there is nowhere to tell it
		}
	}()
	return a
}

func (a *asyncWriter) Write(line []byte) (int, error) {
	select {
	case a.lines <- append([]byte(nil), line...):
	default:
		a.lost.Add(1)
		a.all.Add(1)
	}
	return len(line), nil
}

// Lost is how many lines were lost so far.
func (a *asyncWriter) Lost() uint64 { return a.all.Load() }

// Close writes what is left, but a log that blocks cannot hold the end up.
// Nothing may be written afterwards.
func (a *asyncWriter) Close() error {
	a.closing.Do(func() { close(a.lines) })
	select {
	case <-a.done:
		return nil
	case <-time.After(logPatience):
		return errors.New("the log takes no more lines: the last ones are lost")
	}
}

// newLogger makes the logger. Format auto is text, with times unless the
// journal adds its own.
func newLogger(w io.Writer, level, format string) hclog.Logger {
	return hclog.New(&hclog.LoggerOptions{
		Name:        "holdfast",
		Level:       hclog.LevelFromString(level),
		Output:      w,
		JSONFormat:  format == "json",
		DisableTime: format == "auto" && underJournal(),
		TimeFormat:  "2006-01-02T15:04:05.000Z0700",
	})
}

// underJournal reports whether standard error goes to the systemd journal.
func underJournal() bool {
	var dev, ino uint64
	if _, err := fmt.Sscanf(os.Getenv("JOURNAL_STREAM"), "%d:%d", &dev, &ino); err != nil {
		return false
	}
	var st unix.Stat_t
	return unix.Fstat(int(os.Stderr.Fd()), &st) == nil && st.Dev == dev && st.Ino == ino
}
