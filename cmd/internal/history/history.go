package history

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"
)

const (
	// Size is how many events are kept.
	Size = 4096
	// spare is how many more there may be, so that not each event moves the others.
	spare = Size / 8
	// loadPatience is how long the history waits for what earlier daemons left.
	loadPatience = 2 * time.Second
	// writePatience is for how long an event is told to nobody because it is not
	// in the file yet: only then is a number that somebody was told never given
	// again, whenever the daemon is killed.
	writePatience = 200 * time.Millisecond
)

// Entry is an event in the history. It is never changed.
type Entry struct{ *Event }

// JSON is the event as one line. It is made when it is asked for: kept, it would
// take more room than the event.
func (e Entry) JSON() []byte {
	text, err := json.Marshal(e.Event)
	if err != nil { // a year beyond 9999: cannot happen
		return fmt.Appendf(nil, `{"sequence":%d}`, e.Sequence)
	}
	return text
}

// History is the events of a node. Its methods may be called from any goroutine.
// A nil History keeps nothing.
type History struct {
	disk *disk // nil when it is kept in memory alone
	tell func(error)
	hold func() // holds the disk up, in tests

	// What was recorded and waits for its number. Only the keeper contends for
	// this lock with those who record.
	in struct {
		sync.Mutex
		events []Event
		lost   int
	}
	arrived chan struct{} // has a token when there is something
	closing chan struct{}
	once    sync.Once
	started bool
	done    chan struct{}
	ready   chan struct{} // closed when what earlier daemons left is there

	mu      sync.RWMutex
	id      string
	entries []Entry // at most Size and spare, the last ones count
	last    uint64  // the last sequence that was given
	more    chan struct{}
	ended   bool
}

// New returns a history. It takes events at once; they are numbered once it was
// started. tell hears of trouble with the file, once, and of its end by nil.
func New(tell func(error)) *History {
	return &History{
		tell:    tell,
		arrived: make(chan struct{}, 1), closing: make(chan struct{}), done: make(chan struct{}),
		ready: make(chan struct{}), more: make(chan struct{}),
	}
}

// Start begins to number, keep and tell events. The file is kept in a directory;
// there is none when that is empty.
func (h *History) Start(dir string) {
	h.started = true
	if dir != "" {
		h.disk = newDisk(dir, h.tell, h.kept)
		h.disk.hold = h.hold
	}
	go h.keep()
}

// WriteAgain has the file written anew, which somebody deleted.
func (h *History) WriteAgain() {
	if h != nil {
		h.disk.writeAgain()
	}
}

// Record adds an event. It never blocks.
func (h *History) Record(e Event) {
	if h == nil {
		return
	}
	e.bound()
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	e.Time = e.Time.Round(0) // people's clock only
	h.in.Lock()
	if len(h.in.events) < Size {
		h.in.events = append(h.in.events, e)
	} else {
		h.in.lost++
	}
	h.in.Unlock()
	select {
	case h.arrived <- struct{}{}:
	default:
	}
}

// Close numbers and tells what was recorded until now, writes it unless the disk
// needs longer than patience, and ends what others read.
func (h *History) Close(patience time.Duration) {
	if h == nil {
		return
	}
	h.once.Do(func() { close(h.closing) })
	if !h.started {
		return
	}
	select {
	case <-h.done:
	case <-time.After(patience):
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.ended {
		h.ended = true
		close(h.more)
	}
}

// keep is the goroutine that gives the numbers.
func (h *History) keep() {
	defer close(h.done)
	h.load()
	close(h.ready)
	for {
		select {
		case <-h.arrived:
			h.take()
		case <-h.closing:
			h.take()
			h.disk.close()
			return
		}
	}
}

// load waits for what earlier daemons left, but not for ever.
func (h *History) load() {
	left := legacy{}
	if h.disk != nil {
		go h.disk.run()
		timer := time.NewTimer(loadPatience)
		defer timer.Stop()
		select {
		case left = <-h.disk.loaded:
		case <-timer.C:
		}
	}
	if left.id == "" {
		left = legacy{id: newID()}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.id, h.entries = left.id, left.entries
	if n := len(h.entries); n > 0 {
		h.last = h.entries[n-1].Sequence
	}
	h.disk.begin(h.id)
}

// newID tells this history from one that began anew.
func newID() string {
	b := make([]byte, 4)
	rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// take numbers what was recorded, has it written, and publishes it.
func (h *History) take() {
	h.in.Lock()
	events, lost := h.in.events, h.in.lost
	h.in.events, h.in.lost = nil, 0
	h.in.Unlock()
	if lost > 0 {
		events = append(events, Event{
			Time: time.Now().Round(0), Kind: KindDaemon, Severity: Warning,
			Text: fmt.Sprintf("%d events were lost here: too many came at once", lost),
		})
	}
	if len(events) == 0 {
		return
	}
	batch := make([]Entry, 0, len(events))
	for n := range events {
		e := events[n] // by itself, so that none keeps the others
		e.Sequence = h.last + uint64(n) + 1
		batch = append(batch, Entry{&e})
	}
	h.disk.put(batch, h.closing)

	h.mu.Lock()
	defer h.mu.Unlock()
	h.last += uint64(len(events))
	h.entries = append(h.entries, batch...)
	if len(h.entries) > Size+spare {
		h.entries = slices.Clone(h.entries[len(h.entries)-Size:])
	}
	if !h.ended { // else nobody waited for these, and the channel stays closed
		close(h.more)
		h.more = make(chan struct{})
	}
}

// kept returns the entries that count.
func (h *History) kept() []Entry {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.window()
}

// window is kept for those who hold the lock. What it returns is never changed.
func (h *History) window() []Entry {
	return h.entries[max(0, len(h.entries)-Size):]
}

// Batch is a part of the history.
type Batch struct {
	// Entries are in order, without a gap.
	Entries []Entry
	// Lost is how many events before these are not kept any more.
	Lost uint64
	// Last is the sequence of the latest event, whether it is in here or not.
	Last uint64
	// More is closed when there is more, or when the history has ended.
	More <-chan struct{}
	// Ended is set when there will be no more.
	Ended bool
}

// Ready is closed when the events of earlier daemons can be read.
func (h *History) Ready() <-chan struct{} { return h.ready }

// ID tells this history, which numbers its events from 1, from others of the
// same node. It is known once the history is ready.
func (h *History) ID() string {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.id
}

// Read returns the events that follow the one with a sequence, at most so many.
func (h *History) Read(after uint64, most int) Batch {
	h.mu.RLock()
	defer h.mu.RUnlock()
	list := h.window()
	b := Batch{Last: h.last, More: h.more, Ended: h.ended}
	n, _ := slices.BinarySearchFunc(list, after+1, func(e Entry, seq uint64) int {
		return int(int64(e.Sequence) - int64(seq))
	})
	list = list[n:]
	if len(list) == 0 {
		return b
	}
	b.Lost = list[0].Sequence - after - 1
	end := 1
	for end < min(len(list), most) && list[end].Sequence == list[end-1].Sequence+1 {
		end++
	}
	b.Entries = list[:end:end]
	return b
}
