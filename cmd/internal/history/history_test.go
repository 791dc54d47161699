package history

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"
)

// open starts a history in a directory.
func open(t *testing.T, dir string) (*History, *complaints) {
	t.Helper()
	c := &complaints{}
	h := New(c.add)
	h.Start(dir)
	t.Cleanup(func() { h.Close(time.Second) })
	return h, c
}

// complaints are what a history told of its file.
type complaints struct {
	mu   sync.Mutex
	list []string
}

func (c *complaints) add(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = append(c.list, fmt.Sprint(err))
}

func (c *complaints) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(c.list, "\n")
}

func add(h *History, from, to int) {
	for n := from; n <= to; n++ {
		h.Record(Event{Kind: KindDaemon, Severity: Info, Text: fmt.Sprint("event ", n)})
	}
}

// settle waits until the events up to one are numbered.
func settle(t *testing.T, h *History, last uint64) {
	t.Helper()
	for until := time.Now().Add(10 * time.Second); h.Read(0, 0).Last < last; time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("%d events were numbered, want %d", h.Read(0, 0).Last, last)
		}
	}
}

// all reads everything, and renders it as ranges of numbers.
func all(t *testing.T, h *History) string {
	t.Helper()
	<-h.Ready()
	var b strings.Builder
	after, from := uint64(0), uint64(0)
	for {
		r := h.Read(after, 100)
		if len(r.Entries) == 0 || r.Lost > 0 && from > 0 {
			if from > 0 {
				fmt.Fprintf(&b, "%d-%d ", from, after)
			}
			from = 0
		}
		if len(r.Entries) == 0 {
			return strings.TrimSpace(b.String())
		}
		if from == 0 {
			from = r.Entries[0].Sequence
		}
		for _, e := range r.Entries {
			if want := fmt.Sprint("event ", e.Sequence); e.Text != want {
				t.Errorf("event %d is %q, want %q", e.Sequence, e.Text, want)
			}
			after = e.Sequence
		}
	}
}

func TestBounded(t *testing.T) {
	h, _ := open(t, "")
	for n := 1; n <= 3*Size; n += 100 {
		add(h, n, n+99)
		settle(t, h, uint64(n+99))
	}
	last := 3*Size - 3*Size%100 + 100
	if got, want := all(t, h), fmt.Sprintf("%d-%d", last-Size+1, last); got != want {
		t.Errorf("kept are %s, want %s", got, want)
	}
	if b := h.Read(10, 5); b.Lost != uint64(last-Size-10) || len(b.Entries) != 5 {
		t.Errorf("after 10 there are %d events and %d are lost", len(b.Entries), b.Lost)
	}
	if len(h.entries) > Size+spare {
		t.Errorf("%d entries are held", len(h.entries))
	}
}

// TestRestart goes on counting, and keeps what is kept.
func TestRestart(t *testing.T) {
	dir := t.TempDir()
	id, last := "", 0
	for run := range 12 { // through several rotations
		h, told := open(t, dir)
		add(h, last+1, last+1000)
		last += 1000
		h.Close(5 * time.Second)
		if run == 0 {
			id = h.ID()
		}
		if h.ID() != id || told.String() != "" {
			t.Errorf("run %d has history %s, want %s; it told %q", run, h.ID(), id, told)
		}
		if got, want := all(t, h), fmt.Sprintf("%d-%d", max(1, last-Size+1), last); got != want {
			t.Errorf("run %d: kept are %s, want %s", run, got, want)
		}
		size := int64(0)
		files, _ := os.ReadDir(dir)
		for _, f := range files {
			info, _ := f.Info()
			size += info.Size()
		}
		if len(files) > 2 || size > 2*(Size+1000)*200 {
			t.Errorf("run %d: %d files of %d bytes", run, len(files), size)
		}
	}
}

// TestKilled ends a history without a word: what anybody was told is in the file.
func TestKilled(t *testing.T) {
	dir := t.TempDir()
	h, _ := open(t, dir)
	add(h, 1, 50)
	settle(t, h, 50) // it is told to readers from now on
	again, told := open(t, dir)
	if got := all(t, again); got != "1-50" || told.String() != "" || again.ID() != h.ID() {
		t.Errorf("after a kill: %s, %q", got, told)
	}
}

func TestTornLine(t *testing.T) {
	for _, torn := range []string{`{"sequence":11,"ti`, "x", "{}", strings.Repeat("\x00", 100)} {
		dir := t.TempDir()
		h, _ := open(t, dir)
		add(h, 1, 10)
		h.Close(5 * time.Second)
		f, err := os.OpenFile(filepath.Join(dir, fileName), os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			t.Fatal(err)
		}
		f.WriteString(torn)
		f.Close()
		for run := 1; run <= 2; run++ {
			h, told := open(t, dir)
			add(h, 10*run+1, 10*run+10)
			h.Close(5 * time.Second)
			if got, want := all(t, h), fmt.Sprintf("1-%d", 10*run+10); got != want || told.String() != "" {
				t.Errorf("torn %q, run %d: %s, want %s; told %q", torn, run, got, want, told)
			}
		}
	}
}

// TestDamaged begins anew with one complaint, and then keeps again.
func TestDamaged(t *testing.T) {
	head := `{"holdfast_events":1,"history":"00c0ffee"}` + "\n"
	for name, text := range map[string]string{
		"no header":     "hello\n",
		"version":       `{"holdfast_events":2,"history":"00c0ffee"}` + "\n",
		"middle":        head + `{"sequence":1,"text":"event 1"}` + "\nxxx\n" + `{"sequence":2,"text":"event 2"}` + "\n",
		"order":         head + `{"sequence":2}` + "\n" + `{"sequence":1}` + "\n",
		"no number":     head + "{}\n",
		"not UTF-8 NUL": head + strings.Repeat("\x00", 50) + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, fileName), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			h, told := open(t, dir)
			add(h, 1, 3)
			h.Close(5 * time.Second)
			if got := all(t, h); got != "1-3" || h.ID() == "00c0ffee" {
				t.Errorf("%s of %s, want 1-3 of another history", got, h.ID())
			}
			if s := told.String(); strings.Count(s, "\n") != 0 || !strings.Contains(s, "is damaged and begins anew") {
				t.Errorf("told %q, want one complaint", s)
			}
			again, told := open(t, dir)
			if got := all(t, again); got != "1-3" || told.String() != "" || again.ID() != h.ID() {
				t.Errorf("afterwards %s, told %q", got, told)
			}
		})
	}
}

// TestDiskFails tells once that nothing can be written, goes on without, and
// writes all that is kept when it can again.
func TestDiskFails(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "run")
	h, told := open(t, dir) // which is not there
	add(h, 1, 10)
	settle(t, h, 10)
	add(h, 11, 20)
	settle(t, h, 20)
	if s := told.String(); strings.Count(s, "\n") != 0 || !strings.Contains(s, "cannot write the history of events") {
		t.Errorf("told %q, want one complaint", s)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	add(h, 21, 30)
	h.Close(5 * time.Second)
	if s := told.String(); !strings.HasSuffix(s, "\n<nil>") {
		t.Errorf("told %q, want that it works again", s)
	}
	again, _ := open(t, dir)
	if got := all(t, again); got != "1-30" {
		t.Errorf("kept are %s, want 1-30", got)
	}
}

// TestTooManyAtOnce has more recorded than anybody numbers: the rest is counted.
func TestTooManyAtOnce(t *testing.T) {
	h := New(nil)
	add(h, 1, Size+70)
	h.Start("")
	h.Close(time.Second)
	b := h.Read(uint64(Size), 10)
	if len(b.Entries) != 1 || b.Entries[0].Text != "70 events were lost here: too many came at once" || b.Entries[0].Severity != Warning {
		t.Errorf("after the last one kept there is %+v", b.Entries)
	}
}

// TestSlowDisk has a disk that takes nothing: recording never waits, readers
// wait once and not long, the end not longer than it may.
func TestSlowDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := make(chan struct{})
		defer func() {
			close(stuck)
			synctest.Wait()
		}()
		h := New(func(err error) { t.Error(err) })
		h.hold = func() { <-stuck }
		h.Start(t.TempDir())
		<-h.Ready()
		add(h, 1, 1)
		synctest.Wait()
		if len(h.Read(0, 1).Entries) > 0 {
			t.Error("an event was told before it was written")
		}
		began := time.Now()
		for n := 1; n <= 20; n++ {
			if n == 1 {
				time.Sleep(writePatience)
			} else {
				add(h, n, n)
			}
			synctest.Wait()
			if b := h.Read(uint64(n-1), 1); len(b.Entries) != 1 {
				t.Fatalf("event %d is not told %v after the first", n, time.Since(began))
			}
		}
		if took := time.Since(began); took != writePatience {
			t.Errorf("twenty events took %v, want %v", took, writePatience)
		}
		began = time.Now()
		h.Close(300 * time.Millisecond)
		if took := time.Since(began); took != 300*time.Millisecond {
			t.Errorf("the end took %v", took)
		}
		if !h.Read(20, 1).Ended {
			t.Error("the history has not ended")
		}
	})
}

// Events that are numbered only after the history was ended, for who ends does not
// wait for long, do no harm.
func TestNumberedAfterTheEnd(t *testing.T) {
	h := New(func(error) {})
	h.started = true // but its keeper has yet to have a turn
	h.Close(0)
	add(h, 1, 3)
	h.keep()
	b := h.Read(0, 10)
	if len(b.Entries) != 3 || !b.Ended {
		t.Errorf("%d events, ended %v; want 3 and true", len(b.Entries), b.Ended)
	}
	<-b.More
	h.Close(0)
}

func TestClip(t *testing.T) {
	for _, s := range []string{strings.Repeat("ä", maxText), strings.Repeat("x", maxText+1), strings.Repeat("日本", maxText), "a\xffb", strings.Repeat("\xff", 2*maxText)} {
		got := clip(s)
		if len(got) > maxText || !utf8.ValidString(got) || utf8.ValidString(s) && len(got) < maxText-8 {
			t.Errorf("%d bytes became %d, valid %t", len(s), len(got), utf8.ValidString(got))
		}
	}
	if got := clip("short"); got != "short" {
		t.Errorf("%q", got)
	}
}
