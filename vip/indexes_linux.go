package vip

import "sync"

// indexes are those of interfaces, by name. They lag behind the kernel by as much
// as notifications do: in that time a renewal may go to an interface that has just
// got another name, and has the addresses still.
type indexes struct {
	mu sync.Mutex
	by map[string]int
}

// note takes in what a watcher delivers.
func (x *indexes) note(states []LinkState) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.by == nil {
		x.by = map[string]int{}
	}
	for i := range states {
		if x.by[states[i].Name] = states[i].Index; states[i].Index == 0 {
			delete(x.by, states[i].Name)
		}
	}
}

// of returns the index of an interface, 0 when it is not known.
func (x *indexes) of(name string) int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.by[name]
}

func (x *indexes) forget() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.by = nil
}
