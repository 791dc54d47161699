package healthcheck

import (
	"context"
	"sync"
	"time"
)

// From fork to exec each program that is being started keeps one of the few threads
// that may run Go code. Were all of them kept, nothing else would run any more, not
// even what ends a start that hangs: so there is room for two at a time. Programs that
// hung the last time have one place among them, and so keep up only each other.
var room, roomForHung = make(chan struct{}, 1), make(chan struct{}, 1)

// hung holds the programs whose last start hung.
var hung sync.Map

// starting is taken by the one whose start begins: they begin one after the other. Go
// learns by a pipe that a child has become the program, and every child forked
// meanwhile has that pipe too, for as long as it hangs.
var starting = make(chan struct{}, 1)

// startPatience is how long one that is stuck, on a dead file server for instance,
// keeps the next one waiting, and hungPatience how long one that hung the last time:
// it has been forked by then.
const (
	startPatience = 250 * time.Millisecond
	hungPatience  = 20 * time.Millisecond
)

// turn waits for the turn to start a program; the function ends it. The error is a
// [lateError].
func turn(ctx context.Context, program string) (end func(), err error) {
	mine, patience := room, startPatience
	if _, again := hung.Load(program); again {
		mine, patience = nil, hungPatience
	}
	select {
	case mine <- struct{}{}:
	case roomForHung <- struct{}{}:
		mine = roomForHung
	case <-ctx.Done():
		return nil, errTurn()
	}
	select {
	case starting <- struct{}{}:
	case <-ctx.Done():
		<-mine
		return nil, errTurn()
	}
	next := sync.OnceFunc(func() { <-starting })
	t := time.AfterFunc(patience, next)
	return func() {
		t.Stop()
		next()
		<-mine
	}, nil
}

func errTurn() error {
	return &lateError{why: "not started, for the kernel does not get done with starting others"}
}
