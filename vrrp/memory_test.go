package vrrp

import (
	"runtime"
	"testing"
)

// An instance costs little memory: there may be thousands, and most of what a
// daemon keeps of each is the Engine's.
func TestMemoryOfInstances(t *testing.T) {
	const count, most = 2000, 2850 // bytes each; a map or a list of times more shows
	before := inUse()
	e, now := many(t, count)
	for range 20 {
		at, ok := e.Deadline()
		if !ok {
			t.Fatal("nothing is due")
		}
		now = at
		e.Step(now, &Tick{})
	}
	if states, _ := e.Census(); states[StateMaster] != count {
		t.Fatalf("states %v, want %d masters", states, count)
	}
	e.Step(now, &Tick{}) // the actions of the last one are not kept
	each := (inUse() - before) / count
	t.Logf("measured: %d bytes an instance", each)
	if each > most {
		t.Errorf("an instance takes %d bytes, want at most %d", each, most)
	}
	runtime.KeepAlive(e)
}

// inUse is how many bytes of memory are in use.
func inUse() int64 {
	runtime.GC()
	runtime.GC() // what pools had, too
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
