package history

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// The file has a header and then one event a line. When it has as many events
// as are kept, or is large, it becomes the old file and a new one is begun: both
// together have all that is kept, and never more than twice that.

const (
	fileName    = "events.jsonl"
	oldFileName = "events.old.jsonl"
	fileVersion = 1
	maxFile     = 4 << 20 // bytes
)

// header is the first line.
type header struct {
	Version int    `json:"holdfast_events"`
	History string `json:"history"`
}

// legacy is what earlier daemons left; an empty id says that it is nothing.
type legacy struct {
	id      string
	entries []Entry
}

// file is the pair of files. Only one goroutine uses it.
type file struct {
	dir   string
	id    string // of the history that the open file belongs to
	open  *os.File
	lines int
	size  int64
}

func (f *file) path(name string) string { return filepath.Join(f.dir, name) }

// load reads both files, and goes on with the newer one. What cannot be trusted
// is an error, and as if it were not there.
func (f *file) load() (legacy, error) {
	now, whole, err := read(f.path(fileName))
	if err != nil || now.id == "" && whole == 0 && !exists(f.path(oldFileName)) {
		return legacy{}, err
	}
	old, _, err := read(f.path(oldFileName))
	if err != nil {
		return legacy{}, err
	}
	left, lines := now, len(now.entries)
	switch {
	case now.id == "": // killed between the two
		left = old
	case old.id == now.id && len(old.entries) > 0:
		if lines > 0 && old.entries[len(old.entries)-1].Sequence >= now.entries[0].Sequence {
			return legacy{}, errors.New("the history of events is damaged and begins anew: its two files overlap")
		}
		left.entries = append(old.entries, now.entries...)
	}
	left.entries = left.entries[max(0, len(left.entries)-Size):]
	if now.id == "" {
		return left, nil // the first write makes the file
	}
	// Whatever a kill left of the last line goes.
	w, err := os.OpenFile(f.path(fileName), os.O_WRONLY|os.O_APPEND, 0o600)
	if err == nil {
		err = w.Truncate(whole)
	}
	if err != nil {
		return left, fmt.Errorf("cannot go on with the history of events: %w", err)
	}
	f.open, f.id, f.lines, f.size = w, now.id, lines, whole
	return left, nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// read reads one file; whole is how much of it is whole lines. A file that is not
// there is empty.
func read(path string) (l legacy, whole int64, err error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return l, 0, nil
	}
	if err == nil && info.Size() > 16*maxFile {
		return l, 0, fmt.Errorf("the history of events is damaged and begins anew: %s has %d MiB", path, info.Size()>>20)
	}
	var text []byte
	if err == nil {
		text, err = os.ReadFile(path)
	}
	if err != nil {
		return l, 0, fmt.Errorf("cannot read the history of events: %w", err)
	}
	damaged := func(line int, what any) (legacy, int64, error) {
		return legacy{}, 0, fmt.Errorf("the history of events is damaged and begins anew: %s:%d: %v", path, line, what)
	}
	for line := 1; ; line++ {
		row, rest, ok := bytes.Cut(text, []byte("\n"))
		if !ok { // what is left was torn
			return l, whole, nil
		}
		if line == 1 {
			var h header
			if err := json.Unmarshal(row, &h); err != nil {
				return damaged(line, err)
			}
			if h.Version != fileVersion || h.History == "" {
				return damaged(line, fmt.Sprintf("version %d instead of %d", h.Version, fileVersion))
			}
			l.id = h.History
		} else {
			e := &Event{}
			if err := json.Unmarshal(row, e); err != nil {
				return damaged(line, err)
			}
			if n := len(l.entries); e.Sequence == 0 || n > 0 && e.Sequence <= l.entries[n-1].Sequence {
				return damaged(line, fmt.Sprintf("sequence %d is out of order", e.Sequence))
			}
			l.entries = append(l.entries, Entry{e})
		}
		whole += int64(len(row)) + 1
		text = rest
	}
}

// render returns entries as lines.
func render(b []byte, entries []Entry) []byte {
	for _, e := range entries {
		b = append(append(b, e.JSON()...), '\n')
	}
	return b
}

// append adds entries. After an error the file must be written anew.
func (f *file) append(entries []Entry) error {
	if f.lines >= Size || f.size >= maxFile {
		if err := os.Rename(f.path(fileName), f.path(oldFileName)); err != nil {
			return fmt.Errorf("cannot write the history of events: %w", err)
		}
		return f.begin(f.id, entries)
	}
	text := render(nil, entries)
	n, err := f.open.Write(text)
	f.lines += len(entries)
	f.size += int64(n)
	if err != nil {
		return fmt.Errorf("cannot write the history of events: %w", err)
	}
	return nil
}

// rewrite replaces all there is by these entries.
func (f *file) rewrite(id string, entries []Entry) error {
	if err := f.begin(id, entries); err != nil {
		return err
	}
	if err := os.Remove(f.path(oldFileName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot remove an old history of events: %w", err)
	}
	return nil
}

// begin makes a new file, in one step, with entries.
func (f *file) begin(id string, entries []Entry) error {
	f.close()
	head, err := json.Marshal(header{fileVersion, id})
	if err != nil {
		return fmt.Errorf("cannot encode the history of events: %w", err)
	}
	text := render(append(head, '\n'), entries)
	fresh := f.path(fileName + ".new")
	w, err := os.OpenFile(fresh, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|os.O_APPEND, 0o600)
	if err == nil {
		if _, err = w.Write(text); err == nil {
			err = os.Rename(fresh, f.path(fileName))
		}
		if err != nil {
			w.Close()
		}
	}
	if err != nil {
		return fmt.Errorf("cannot write the history of events: %w", err)
	}
	f.open, f.id, f.lines, f.size = w, id, len(entries), int64(len(text))
	return nil
}

func (f *file) close() {
	if f.open != nil {
		f.open.Close()
	}
	f.open, f.id = nil, ""
}
