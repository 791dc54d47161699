package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// A sentinel has the process run in real time from the moment that the loop is kept
// waiting until the host is calm. To run so all the time has its price: the kernel
// wakes such a thread on another processor than who wakes it, which on an idle host is
// much of what an advert costs, and a thread of ours that works for long is in the way
// of the loop for as much as 100 ms.
type sentinel struct {
	scheduling *scheduling
	overdue    func(by time.Duration) error // as of transport.Kernel
	processors func() (processorTime, error)
	trouble    func(error)     // is told why it cannot do its work, each reason once
	told       map[string]bool // these
	vigil      vigil
}

func newSentinel(s *scheduling, overdue func(time.Duration) error, trouble func(error)) *sentinel {
	return &sentinel{scheduling: s, overdue: overdue, processors: readProcessors, trouble: trouble, told: map[string]bool{}, vigil: vigil{length: vigilLeast}}
}

// run begins in real time, and ends with the network or ctx. Its own thread is always
// in real time.
func (s *sentinel) run(ctx context.Context) {
	runtime.LockOSThread() // for good
	for s.untilCalm(ctx) {
		if err := s.scheduling.ordinary(unix.Gettid()); err != nil {
			s.tell("take threads out of real time", err)
		} else if err := s.overdue(lateEnough); errors.Is(err, net.ErrClosed) {
			return
		} else {
			s.tell("hear whether the loop is late", err)
		}
		s.vigil.begin(time.Now())
		s.urge()
	}
}

func (s *sentinel) urge() { s.tell("put threads in real time", s.scheduling.realtime()) }

// tell passes on what it cannot do, and why; nil is nothing.
func (s *sentinel) tell(what string, err error) {
	if err == nil {
		return
	}
	if err = fmt.Errorf("cannot %s: %w", what, err); !s.told[err.Error()] {
		s.told[err.Error()] = true
		s.trouble(err)
	}
}

// untilCalm waits until the host is calm, and tells that ctx has not ended.
func (s *sentinel) untilCalm(ctx context.Context) bool {
	before, unknown := s.processors()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(s.vigil.length):
		}
		now, err := s.processors()
		busy := unknown != nil || err != nil || now.since(before).busy()
		if s.vigil.look(time.Now(), busy) {
			return true
		}
		before, unknown = now, err
		// Who started a program meanwhile may have put its thread back.
		s.urge()
	}
}

const (
	// vigilLeast and vigilMost are for how long the host must be calm.
	vigilLeast = 200 * time.Millisecond
	vigilMost  = 10 * time.Second
	// vigilPart of the time in between may be vigils, before these get longer.
	vigilPart = 10
)

// A vigil decides for how long the host must be calm: the longer, the more often it
// was busy.
type vigil struct {
	length time.Duration
	ended  time.Time // the last one
}

// begin is told that the process is urgent again.
func (v *vigil) begin(now time.Time) {
	if now.Sub(v.ended) < vigilPart*v.length {
		v.longer()
	} else {
		v.length = vigilLeast
	}
}

// look is told how the host was for the length of the vigil, and tells whether that is
// enough.
func (v *vigil) look(now time.Time, busy bool) bool {
	if busy {
		v.longer()
		return false
	}
	v.ended = now
	return true
}

func (v *vigil) longer() { v.length = min(2*v.length, vigilMost) }
