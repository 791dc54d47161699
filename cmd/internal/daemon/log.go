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

// logPatience is how long the end waits for a log that takes no more lines; a daemon
// that is followed by the next one has no such time.
const logPatience = 2 * time.Second

// asyncWriter takes log lines without ever waiting for the disk behind it: an
// advert must not be late because a log is. Lines beyond the backlog, and those that
// the log refuses, are counted, and the count is logged once it takes lines again.
type asyncWriter struct {
	to      io.Writer
	before  string // that line: the journal wants its priority
	lines   chan []byte
	lost    atomic.Uint64 // since that was last told
	all     atomic.Uint64 // since the start
	closing sync.Once
	ending  chan struct{} // closed by Close
	done    chan struct{}
}

func newAsyncWriter(w io.Writer, before string) *asyncWriter {
	a := &asyncWriter{to: w, before: before, lines: make(chan []byte, logBacklog), ending: make(chan struct{}), done: make(chan struct{})}
	go a.run()
	return a
}

// run writes until the end, and then what is left.
func (a *asyncWriter) run() {
	defer close(a.done)
	for {
		select {
		case line := <-a.lines:
			a.put(line)
		case <-a.ending:
			for len(a.lines) > 0 { // nobody else takes any
				a.put(<-a.lines)
			}
			return
		}
	}
}

// put writes a line, and before it how many were lost. That it fails can be told
// nowhere.
func (a *asyncWriter) put(line []byte) {
	if n := a.lost.Swap(0); n > 0 {
		if _, err := fmt.Fprintf(a.to, "%s%d log lines were lost here: the log did not take them\n", a.before, n); err != nil {
			a.lost.Add(n)
		}
	}
	if _, err := a.to.Write(line); err != nil {
		a.lost.Add(1)
		a.all.Add(1)
	}
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

// Close writes what is left, but a log that blocks holds the end up for so long only.
// What is written afterwards is lost.
func (a *asyncWriter) Close(patience time.Duration) error {
	a.closing.Do(func() { close(a.ending) })
	select {
	case <-a.done:
		return nil
	case <-time.After(patience):
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
