package history

import (
	"sync"
	"time"
)

// retryAfter is how long after a failure the file is written again.
const retryAfter = 5 * time.Second

// disk writes the file of a history, on a goroutine of its own. A nil disk writes
// none.
type disk struct {
	file   file
	tell   func(error)
	kept   func() []Entry
	hold   func() // when not nil, comes before each write
	loaded chan legacy
	changed,
	written chan struct{} // have a token
	quit, done chan struct{}
	slow       bool // of the keeper: the last write took too long

	mu      sync.Mutex
	id      string
	pending []Entry
	// whole is set when the file lacks something: it is written anew.
	whole bool
	last  uint64 // the last sequence in the file
}

// newDisk returns a disk that asks for the entries kept when it must write all of
// them.
func newDisk(dir string, tell func(error), kept func() []Entry) *disk {
	return &disk{
		file: file{dir: dir}, tell: tell, kept: kept, loaded: make(chan legacy, 1),
		changed: make(chan struct{}, 1), written: make(chan struct{}, 1),
		quit: make(chan struct{}), done: make(chan struct{}),
	}
}

// begin sets the history that is written. Entries may be put from then on.
func (d *disk) begin(id string) {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.id = id
}

// writeAgain has the whole file written anew.
func (d *disk) writeAgain() {
	if d == nil {
		return
	}
	d.mu.Lock()
	d.whole = true
	d.mu.Unlock()
	token(d.changed)
}

// put has entries written. It waits until they are, but for a disk that is slow
// only once and not long.
func (d *disk) put(batch []Entry, closing <-chan struct{}) {
	if d == nil || len(batch) == 0 {
		return
	}
	last := batch[len(batch)-1].Sequence
	d.mu.Lock()
	if len(d.pending)+len(batch) > Size { // the history itself has them as long as any
		d.pending, d.whole = nil, true
	}
	d.pending = append(d.pending, batch...)
	d.mu.Unlock()
	token(d.changed)
	if d.slow && !d.has(batch[0].Sequence-1) {
		return
	}
	timer := time.NewTimer(writePatience)
	defer timer.Stop()
	for d.slow = false; !d.has(last); {
		select {
		case <-d.written:
		case <-timer.C:
			d.slow = true
			return
		case <-closing:
			return
		}
	}
}

// has reports whether the file has all up to a sequence, or will never have.
func (d *disk) has(seq uint64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.last >= seq
}

func token(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// close ends the goroutine when all is written.
func (d *disk) close() {
	if d == nil {
		return
	}
	close(d.quit)
	<-d.done
}

// run reads what earlier daemons left, and then writes.
func (d *disk) run() {
	defer close(d.done)
	left, err := d.file.load()
	if err != nil {
		d.tell(err)
	}
	d.loaded <- left
	for failing, ending := false, false; !ending; {
		var retry <-chan time.Time
		if failing {
			retry = time.After(retryAfter)
		}
		select {
		case <-d.changed:
		case <-retry:
		case <-d.quit:
			ending = true
		}
		err := d.write()
		if (err != nil) != failing {
			failing = err != nil
			d.tell(err)
		}
		token(d.written)
	}
	d.file.close()
}

// write brings the file up to date.
func (d *disk) write() error {
	d.mu.Lock()
	batch, id := d.pending, d.id
	whole := d.whole || d.file.id != id
	d.pending, d.whole = nil, false
	d.mu.Unlock()
	if id == "" || len(batch) == 0 && !whole {
		return nil
	}
	if d.hold != nil {
		d.hold()
	}
	var err error
	if whole {
		err = d.file.rewrite(id, join(d.kept(), batch))
	} else {
		err = d.file.append(batch)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.whole = d.whole || err != nil
	if len(batch) > 0 { // also after a failure, for nobody is to wait for that
		d.last = max(d.last, batch[len(batch)-1].Sequence)
	}
	return err
}

// join returns entries and those of a batch that follow them.
func join(entries, batch []Entry) []Entry {
	all := entries[:len(entries):len(entries)]
	for _, e := range batch {
		if n := len(all); n == 0 || e.Sequence > all[n-1].Sequence {
			all = append(all, e)
		}
	}
	return all
}
