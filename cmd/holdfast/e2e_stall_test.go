package main

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/lab"
)

// tellStalls is the test binary as a program that tells how long a processor ran
// nothing at all.
func tellStalls([]string) {
	fmt.Fprintln(os.Stderr, lab.TellStalls(os.Stdout))
	os.Exit(1)
}

// stalls watches the processors of the machine.
type stalls struct {
	t       *testing.T
	process *lab.Process
}

func watchStalls(t *testing.T, l *lab.Lab) *stalls {
	t.Helper()
	h, err := l.Host("stalls")
	must(t, err)
	self, err := os.Executable()
	must(t, err)
	p, err := h.Start(self, "tell-stalls")
	must(t, err)
	s := &stalls{t, p}
	eventually(t, settled, "the processors are watched", func() bool {
		_, watches := lab.ParseStalls(p.Output())
		return watches || s.failed()
	})
	return s
}

// failed tells whether nobody watches any more.
func (s *stalls) failed() bool {
	if isDone(s.process) {
		s.t.Fatalf("nobody watches the processors: %s", s.process.Output())
	}
	return false
}

// stallLeast is for how long a processor must stand still to make a backup take over
// that would not otherwise, while a master advertises each 10 ms: what is left of the
// 26 ms by which an advert may be late, once the sentinel has waited for 5 and the
// programs for their turn.
const stallLeast = 15 * time.Millisecond

// longest is for how long a processor stood still at most of those that did in a time:
// a timer on such a one does not ring, whatever the program.
func (s *stalls) longest(from, to time.Time) (longest time.Duration) {
	s.t.Helper()
	s.failed()
	all, _ := lab.ParseStalls(s.process.Output())
	for _, o := range all {
		if o.Began.Before(to) && o.Began.Add(o.Length).After(from) {
			longest = max(longest, o.Length)
		}
	}
	return longest
}
