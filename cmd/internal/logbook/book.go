// Package logbook is the daemon's log: lines for people, the journal or programs,
// the latest records in memory, and streams of records for those who follow, at
// whatever level they want.
//
// Whoever logs never waits for those who read, and records that nobody wants cost
// one look at a number.
package logbook

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
)

const (
	// keepBytes is how much is kept in memory, and queueBytes how much may wait
	// for one who follows: beyond that records are lost to them.
	keepBytes  = 256 << 10
	queueBytes = 256 << 10
	// keepLevel is the level from which on records are kept.
	keepLevel = hclog.Info
)

// Book keeps records and hands them out. Its methods may be called from any
// goroutine.
type Book struct {
	least atomic.Int32 // the level from which on anybody wants records

	mu        sync.Mutex
	kept      []Entry
	bytes     int
	lost      uint64 // records that were kept once
	followers map[*Follower]bool
	ended     bool
}

func newBook() *Book {
	b := &Book{followers: map[*Follower]bool{}}
	b.least.Store(int32(keepLevel))
	return b
}

// wants reports whether anybody reads records of a level.
func (b *Book) wants(l hclog.Level) bool { return int32(l) >= b.least.Load() }

// add hands a record to all who want it.
func (b *Book) add(l hclog.Level, message string, args []any) {
	e := encode(&Record{Time: time.Now(), Level: l.String(), Message: message, Fields: fields(args)})
	b.mu.Lock()
	defer b.mu.Unlock()
	if l >= keepLevel {
		b.keep(e)
	}
	for f := range b.followers {
		if l >= f.level {
			f.put(e)
		}
	}
}

func (b *Book) keep(e Entry) {
	b.kept = append(b.kept, e)
	b.bytes += len(e.JSON)
	for b.bytes > keepBytes {
		b.bytes -= len(b.kept[0].JSON)
		b.kept[0] = Entry{}
		b.kept = b.kept[1:]
		b.lost++
	}
}

// Kept returns the records that are kept, the latest last, and how many were
// before these.
func (b *Book) Kept() (list []Entry, lost uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]Entry(nil), b.kept...), b.lost
}

// Follow begins to hand out records of a level and above. kept are those that
// there are; the follower goes on after them, without a gap or a double.
func (b *Book) Follow(level hclog.Level) (f *Follower, kept []Entry, lost uint64) {
	f = &Follower{book: b, level: level, more: make(chan struct{}, 1)}
	b.mu.Lock()
	defer b.mu.Unlock()
	f.ended = b.ended
	b.followers[f] = true
	b.setLeast()
	f.wake()
	return f, append([]Entry(nil), b.kept...), b.lost
}

func (b *Book) setLeast() {
	least := keepLevel
	for f := range b.followers {
		least = min(least, f.level)
	}
	b.least.Store(int32(least))
}

// Close ends what others follow, once they have read what there is.
func (b *Book) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended = true
	for f := range b.followers {
		f.mu.Lock()
		f.ended = true
		f.mu.Unlock()
		f.wake()
	}
}

// Follower hears of records.
type Follower struct {
	book  *Book
	level hclog.Level
	more  chan struct{} // has a token when there is something to take

	mu    sync.Mutex
	queue []Entry
	bytes int
	lost  uint64 // after those in the queue
	ended bool
}

func (f *Follower) put(e Entry) {
	f.mu.Lock()
	if f.lost > 0 || f.bytes+len(e.JSON) > queueBytes {
		f.lost++
	} else {
		f.queue = append(f.queue, e)
		f.bytes += len(e.JSON)
	}
	f.mu.Unlock()
	f.wake()
}

func (f *Follower) wake() {
	select {
	case f.more <- struct{}{}:
	default:
	}
}

// More delivers when there is something to take.
func (f *Follower) More() <-chan struct{} { return f.more }

// Take returns what has come, and how many records were lost after that because
// it was not taken in time. ended is set when nothing more will come.
func (f *Follower) Take() (list []Entry, lost uint64, ended bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	list, lost, ended = f.queue, f.lost, f.ended
	f.queue, f.bytes, f.lost = nil, 0, 0
	return list, lost, ended
}

// Close ends it.
func (f *Follower) Close() {
	f.book.mu.Lock()
	defer f.book.mu.Unlock()
	delete(f.book.followers, f)
	f.book.setLeast()
}
