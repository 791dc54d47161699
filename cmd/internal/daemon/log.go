package daemon

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/logbook"
)

// logBacklog is how many log lines may wait for a slow disk or terminal.
const logBacklog = 4096

// logPatience is how long the end waits for a log that takes no more lines.
const logPatience = 2 * time.Second

// asyncWriter takes log lines without ever waiting for the disk behind it: an
// advert must not be late because a log is. Lines beyond the backlog are
// counted and the count is logged once there is room again.
type asyncWriter struct {
	before  string // that line: the journal wants its priority
	lines   chan []byte
	lost    atomic.Uint64 // since that was last told
	all     atomic.Uint64 // since the start
	closing sync.Once
	done    chan struct{}
}

func newAsyncWriter(w io.Writer, before string) *asyncWriter {
	a := &asyncWriter{before: before, lines: make(chan []byte, logBacklog), done: make(chan struct{})}
	go func() {
		defer close(a.done)
		for line := range a.lines {
			if n := a.lost.Swap(0); n > 0 {
				fmt.Fprintf(w, "%s%d log lines were lost here: the log could not keep up\n", a.before, n)
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

// newLogger makes the logger. Format auto is that of the journal when the log goes
// there, or else text.
func newLogger(w io.Writer, level, format string, journal bool) *logbook.Logger {
	as := logbook.Text
	switch {
	case format == "json":
		as = logbook.JSON
	case format == "auto" && journal:
		as = logbook.Journal
	}
	return logbook.New(w, level, as)
}
