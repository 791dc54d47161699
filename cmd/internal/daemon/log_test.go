package daemon

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// blockedWriter takes nothing until it is opened.
type blockedWriter struct {
	open chan struct{}
	text logText
}

func newBlockedWriter() *blockedWriter { return &blockedWriter{open: make(chan struct{})} }

func (b *blockedWriter) Write(p []byte) (int, error) {
	<-b.open
	return b.text.Write(p)
}

func TestAsyncWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := newBlockedWriter()
		a := newAsyncWriter(slow, "")
		const lines = logBacklog + 1000
		line := make([]byte, 0, 32)
		for n := range lines {
			line = fmt.Appendf(line[:0], "line %d\n", n) // the writer must copy
			if _, err := a.Write(line); err != nil {
				t.Fatal(err)
			}
			if n == 0 {
				synctest.Wait() // the first line is in the hands of the slow writer
			}
		}
		close(slow.open)
		synctest.Wait()
		a.Write([]byte("later\n"))
		if err := a.Close(logPatience); err != nil {
			t.Fatal(err)
		}
		got := strings.Split(strings.TrimSuffix(slow.text.String(), "\n"), "\n")
		lost := lines - logBacklog - 1
		notice := fmt.Sprintf("%d log lines were lost here: the log did not take them", lost)
		if want := logBacklog + 3; len(got) != want {
			t.Fatalf("%d lines came out, want %d", len(got), want)
		}
		// The count stands with the first line that was written afterwards.
		if got[0] != "line 0" || got[1] != notice || got[2] != "line 1" || got[len(got)-1] != "later" {
			t.Errorf("the log begins %q and ends %q", got[:3], got[len(got)-2:])
		}
		if a.lost.Load() != 0 {
			t.Error("the count of lost lines was not reset")
		}
	})
}

func TestAsyncWriterGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := newBlockedWriter()
		a := newAsyncWriter(slow, "")
		a.Write([]byte("never read\n"))
		began := time.Now()
		if err := a.Close(logPatience); err == nil {
			t.Error("closing a log that blocks is no error")
		}
		if took := time.Since(began); took != logPatience {
			t.Errorf("closing took %v, want %v", took, logPatience)
		}
		close(slow.open)
	})
}

// A last word that comes after the end, as of a disk that is slow, does no harm.
func TestAsyncWriterAfterTheEnd(t *testing.T) {
	var text logText
	a := newAsyncWriter(&text, "")
	a.Write([]byte("in time\n"))
	if err := a.Close(logPatience); err != nil {
		t.Fatal(err)
	}
	a.Write([]byte("too late\n"))
	if got := text.String(); got != "in time\n" {
		t.Errorf("the log has %q", got)
	}
}

// brokenWriter takes nothing while it is broken.
type brokenWriter struct {
	broken bool
	text   logText
}

func (b *brokenWriter) Write(p []byte) (int, error) {
	if b.broken {
		return 0, syscall.ENOSPC
	}
	return b.text.Write(p)
}

// Lines that the log refuses, as a full disk does, count as lost, and the log says so
// once it takes lines again.
func TestAsyncWriterRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := &brokenWriter{broken: true}
		a := newAsyncWriter(disk, "")
		for range 3 {
			a.Write([]byte("refused\n"))
		}
		synctest.Wait()
		if n := a.Lost(); n != 3 {
			t.Errorf("%d lines were lost, want 3", n)
		}
		disk.broken = false
		a.Write([]byte("taken\n"))
		if err := a.Close(logPatience); err != nil {
			t.Fatal(err)
		}
		if got, want := disk.text.String(), "3 log lines were lost here: the log did not take them\ntaken\n"; got != want {
			t.Errorf("the log has %q, want %q", got, want)
		}
	})
}

// TestBlockedLog runs a node whose log has been full from the beginning: it is
// elected, sends every advert in time, yields, and stops.
func TestBlockedLog(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		slow := newBlockedWriter()
		log := newAsyncWriter(slow, "")
		a := newNode(t, lan, "a", 1, strings.Replace(conf(150, "100ms"), "[node]", "[node]\nlog_level = \"trace\"", 1))
		a.d.log = newLogger(log, "trace", "text", false)
		a.start()
		await(t, time.Second, "a", a)
		for range 10_000 { // far beyond the backlog
			a.d.post(func() { a.d.log.Info("a line of a talkative day") })
		}
		time.Sleep(10 * time.Minute)
		punctual(t, lan, 100*time.Millisecond)
		if n := len(lan.adverts("a", 51)); n < 6000 {
			t.Errorf("%d adverts in ten minutes, want 6000", n)
		}
		if a.instance().State != "master" {
			t.Error("the node is not master any more")
		}
		a.stop()
		if log.lost.Load() == 0 {
			t.Error("no line was lost: the log was not full, so nothing was tested")
		}
		close(slow.open)
		if err := log.Close(logPatience); err != nil {
			t.Error(err)
		}
	})
}
