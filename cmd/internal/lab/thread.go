package lab

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// errClosed is what a host answers when its lab is closed.
var errClosed = errors.New("the lab is closed")

// keeper is an operating system thread that lives in namespaces of its own. It
// keeps them alive, and it is the parent of the processes started there: the
// kernel's parent death signal is bound to the thread, not to the process.
type keeper struct {
	calls chan func()
	quit  chan struct{}
	netns *os.File
}

// newKeeper starts a keeper in a new network namespace. With mounts it also
// gets a private view of the file system, in which setup may mount.
func newKeeper(mounts bool, setup func() error) (*keeper, error) {
	k := &keeper{calls: make(chan func()), quit: make(chan struct{})}
	ready := make(chan error)
	onFreshThread(func() {
		// Never unlocked: the thread ends with this goroutine, and with it its
		// namespaces.
		err := k.enter(mounts, setup)
		ready <- err
		if err != nil {
			return
		}
		for {
			select {
			case f := <-k.calls:
				f()
			case <-k.quit:
				return
			}
		}
	})
	if err := <-ready; err != nil {
		return nil, err
	}
	return k, nil
}

func (k *keeper) enter(mounts bool, setup func() error) error {
	flags := unix.CLONE_NEWNET
	if mounts {
		flags |= unix.CLONE_NEWNS
	}
	if err := unix.Unshare(flags); err != nil {
		return fmt.Errorf("make namespaces (root is needed): %w", err)
	}
	if mounts {
		// Nothing mounted here may travel back to the machine.
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return fmt.Errorf("make mounts private: %w", err)
		}
	}
	ns, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return fmt.Errorf("hold network namespace: %w", err)
	}
	if err := setup(); err != nil {
		return errors.Join(err, ns.Close())
	}
	k.netns = ns
	return nil
}

// do runs f on the keeper's thread.
func (k *keeper) do(f func() error) error {
	done := make(chan error, 1)
	select {
	case k.calls <- func() { done <- f() }:
		return <-done
	case <-k.quit:
		return errClosed
	}
}

// close ends the thread. The namespaces go when the last descriptor and the
// last process in them have gone.
func (k *keeper) close() error {
	close(k.quit)
	return k.netns.Close()
}

// within runs f in a goroutine of its own on a thread in network namespace ns
// and waits for it. A panic or a runtime.Goexit of f (t.FailNow, for one) goes
// on in the caller.
func within(ns *os.File, f func() error) error {
	const (
		exited = iota
		returned
		panicked
	)
	var (
		err   error
		cause any
		how   = exited
		done  = make(chan struct{})
	)
	onFreshThread(func() {
		defer close(done)
		home, e := os.Open("/proc/thread-self/ns/net")
		if e != nil {
			err, how = fmt.Errorf("hold network namespace: %w", e), returned
			return
		}
		defer home.Close()
		if e := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); e != nil {
			err, how = fmt.Errorf("enter network namespace: %w", e), returned
			return
		}
		defer func() {
			if how == exited {
				if cause = recover(); cause != nil {
					how = panicked
				}
			}
			// A thread that cannot go home stays locked and ends here.
			if unix.Setns(int(home.Fd()), unix.CLONE_NEWNET) == nil {
				runtime.UnlockOSThread()
			}
		}()
		err = f()
		how = returned
	})
	<-done
	switch how {
	case exited:
		runtime.Goexit()
	case panicked:
		panic(cause)
	}
	return err
}

// onFreshThread runs f in a new goroutine, locked to a thread which is not the
// main thread of the process: that one cannot end, and /proc/self shows its
// namespaces as those of the whole process.
func onFreshThread(f func()) {
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() != unix.Getpid() {
			f()
			return
		}
		locked := make(chan struct{})
		go func() {
			runtime.LockOSThread()
			close(locked)
			f()
		}()
		<-locked
		runtime.UnlockOSThread()
	}()
}
