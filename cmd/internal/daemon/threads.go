package daemon

import (
	"runtime"
	"sync"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/config"
)

// Go's runtime makes a thread when it needs one, and ends the process when the
// kernel gives none: when a hook that leaves processes behind has filled the
// unit's TasksMax=, or a program gone wild has used up the host's. It ends none,
// however, so those that the daemon may need are made at the start.
const (
	// ownThreads is how many the daemon needs: leastParallel that run, the
	// runtime's own two, the sentinel's, and those that wait for the kernel, disks and
	// the log.
	ownThreads = 17
	// childThreads is how many more there are at most for programs, each of which
	// keeps one while it runs.
	childThreads = 32
)

// threadsFor is how many threads a daemon with a configuration needs.
func threadsFor(c *config.Config) int {
	programs := 0
	for i := range c.Checks {
		if c.Checks[i].Exec != nil {
			programs++
		}
	}
	if len(c.Hooks) > 0 {
		programs += len(c.Instances)
	}
	return ownThreads + min(childThreads, programs)
}

// reserveThreads makes threads until there are so many that can run Go code.
func reserveThreads(count int) {
	var all sync.WaitGroup
	all.Add(count)
	var ended sync.WaitGroup
	for range count {
		ended.Go(func() {
			runtime.LockOSThread() // so that each waits on a thread of its own
			defer runtime.UnlockOSThread()
			all.Done()
			all.Wait()
		})
	}
	ended.Wait()
}
