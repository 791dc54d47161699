package logbook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"
)

var nasty = []any{
	"instance", "web", "output", "first\nlevel=error second\r\n<0>third",
	"error", "a.toml:1:1: bad\n  x = 1\n  ^", "esc", "\x1b[2J", "list",
	[]string{"a\nb"},
	"count", 3, "ok", true, "empty", "",
}

// Each record is one line in each format, whatever its values are.
func TestOneLine(t *testing.T) {
	for _, format := range []Format{Text, JSON, Journal} {
		var out bytes.Buffer
		l := New(&out, "info", format)
		l.Info("state changed", nasty...)
		text := out.String()
		if strings.Count(text, "\n") != 1 || strings.ContainsAny(strings.TrimSuffix(text, "\n"), "\r\x1b") {
			t.Errorf("%s: not one plain line: %q", format, text)
		}
		if format == JSON && !json.Valid(out.Bytes()) {
			t.Errorf("no JSON: %s", text)
		}
	}
}

// An error has lines of its own, as a refused configuration does, and none of them
// passes for another record.
func TestErrorLines(t *testing.T) {
	for format, marks := range map[Format][]string{Text: {"  error=", "  | "}, Journal: {"<3>  error=", "<3>  | "}} {
		var out bytes.Buffer
		New(&out, "info", format).Error("configuration refused", "error", errors.New("a.toml:1:1: bad\r\n<0>[ERROR] x = 1\x1b[2J\n  ^"))
		_, rest, _ := strings.Cut(out.String(), "\n")
		for line := range strings.Lines(rest) {
			if strings.TrimSpace(strings.TrimPrefix(line, "<3>")) == "" {
				continue
			}
			if !strings.HasPrefix(line, marks[0]) && !strings.HasPrefix(line, marks[1]) || strings.ContainsAny(line, "\r\x1b") {
				t.Errorf("%s: a line of an error is not marked, or not plain: %q of\n%s", format, line, out.String())
			}
		}
	}
}

func TestJournalLines(t *testing.T) {
	var out bytes.Buffer
	l := New(&out, "trace", Journal)
	l.Error("cannot go on", "error", errors.New("no\nway"))
	l.Warn("rival")
	l.Info("state changed", "instance", "web", "reason", "no advert")
	l.Debug("hook ran")
	l.Trace("advert sent")
	want := "<3>cannot go on:\n<3>  error=\n<3>  | no\n<3>  | way\n<4>rival\n<6>state changed: instance=web reason=\"no advert\"\n<7>hook ran\n<7>advert sent\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if got := string(Line(4, "a\n<0>b")); got != "<4>a\\n<0>b\n" {
		t.Errorf("a line that breaks out: %q", got)
	}
	out.Reset()
	fmt.Fprint(Lines(&out, PriorityError), "one\n  two\n")
	if got := out.String(); got != "<3>one\n<3>  two\n" {
		t.Errorf("lines: %q", got)
	}
}

// Only the journal's own stream counts: a program that systemd started may have
// its standard error elsewhere.
func TestToJournal(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(w.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	for stream, want := range map[string]bool{
		fmt.Sprintf("%d:%d", st.Dev, st.Ino):   true,
		fmt.Sprintf("%d:%d", st.Dev, st.Ino+1): false,
		fmt.Sprintf("%d:%d", st.Dev+1, st.Ino): false,
		"":                                     false,
		"nonsense":                             false,
		fmt.Sprint(st.Dev):                     false,
	} {
		t.Setenv("JOURNAL_STREAM", stream)
		if got := ToJournal(w); got != want {
			t.Errorf("JOURNAL_STREAM=%q: %v, want %v", stream, got, want)
		}
		if ToJournal(&bytes.Buffer{}) {
			t.Error("a buffer is no file")
		}
	}
}

func messages(list []Entry) string {
	var words []string
	for _, e := range list {
		words = append(words, e.Message)
	}
	return strings.Join(words, " ")
}

// What is kept and what is followed, at levels of their own.
func TestLevels(t *testing.T) {
	var out bytes.Buffer
	l := New(&out, "error", Text)
	say := func(n int) {
		for _, s := range []struct {
			log  func(string, ...any)
			word string
		}{{l.Trace, "trace"}, {l.Debug, "debug"}, {l.Info, "info"}, {l.Warn, "warn"}, {l.Error, "error"}} {
			s.log(fmt.Sprint(s.word, n))
		}
	}
	say(1)
	if l.Verbose(hclog.Debug) {
		t.Error("nobody wants records of level debug, yet they are made")
	}
	debug, kept, lost := l.Book().Follow(hclog.Debug)
	if got := messages(kept); got != "info1 warn1 error1" || lost != 0 {
		t.Errorf("kept: %s, lost %d", got, lost)
	}
	if !l.Verbose(hclog.Debug) || l.Verbose(hclog.Trace) {
		t.Error("records of level debug alone are wanted")
	}
	warn, _, _ := l.Book().Follow(hclog.Warn)
	say(2)
	for f, want := range map[*Follower]string{debug: "debug2 info2 warn2 error2", warn: "warn2 error2"} {
		<-f.More()
		list, lost, ended := f.Take()
		if got := messages(list); got != want || lost != 0 || ended {
			t.Errorf("followed: %s, lost %d, ended %v, want %s", got, lost, ended, want)
		}
	}
	debug.Close()
	if l.Verbose(hclog.Debug) {
		t.Error("records of level debug are still made")
	}
	say(3)
	l.Book().Close()
	list, _, ended := warn.Take()
	if got := messages(list); got != "warn3 error3" || !ended {
		t.Errorf("at the end: %s, %v", got, ended)
	}
	if got := out.String(); strings.Count(got, "\n") != 3 || strings.Contains(got, "[WARN]") {
		t.Errorf("the lines are\n%s", got)
	}
}

// What nobody wants costs nothing.
func TestUnwantedCostsNothing(t *testing.T) {
	l := New(&bytes.Buffer{}, "info", Text)
	if n := testing.AllocsPerRun(1000, func() {
		if l.Verbose(hclog.Trace) {
			l.Trace("advert sent", "vrid", 51)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// A follower that takes nothing loses records, which it is told; what is kept has
// its bounds, too.
func TestBounds(t *testing.T) {
	l := New(&bytes.Buffer{}, "error", Text)
	f, _, _ := l.Book().Follow(hclog.Info)
	const size, count = 1000, 2000
	for n := range count {
		l.Info("message", "n", n, "text", strings.Repeat("x", size))
	}
	list, lost, _ := f.Take()
	if len(list) == 0 || uint64(len(list))+lost != count || len(list)*size > queueBytes {
		t.Errorf("%d taken, %d lost of %d", len(list), lost, count)
	}
	if got := list[0].Fields[0].Value; got != 0 {
		t.Errorf("it begins with %v", got)
	}
	kept, before := l.Book().Kept()
	if uint64(len(kept))+before != count || len(kept)*size > keepBytes || len(kept)*size < keepBytes/2 {
		t.Errorf("%d are kept, %d were before", len(kept), before)
	}
	l.Info("later")
	if list, lost, _ := f.Take(); messages(list) != "later" || lost != 0 {
		t.Errorf("afterwards %s, lost %d", messages(list), lost)
	}
}

// A record goes over the wire and is printed as the daemon does.
func TestRoundTrip(t *testing.T) {
	l := New(&bytes.Buffer{}, "info", Text)
	l.Info("state changed", nasty...)
	kept, _ := l.Book().Kept()
	var r Record
	if err := json.Unmarshal(kept[0].JSON, &r); err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(r)
	if err != nil || !bytes.Equal(again, kept[0].JSON) {
		t.Errorf("%s became %s, %v", kept[0].JSON, again, err)
	}
	r.Time = time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.Local)
	var out bytes.Buffer
	NewPrinter(&out, false).Print(&r)
	const begin = `2026-01-02 03:04:05.006 [INFO]  state changed: instance=web output="first\nlevel=error second\r\n<0>third" error="a.toml:1:1: bad\n  x = 1\n  ^" `
	if got := out.String(); !strings.HasPrefix(got, begin) || strings.Count(got, "\n") != 1 {
		t.Errorf("printed\n%s", got)
	}
}

// TestJournalSocket has what systemd passes: a stream socket.
func TestJournalSocket(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "journal"), os.NewFile(uintptr(fds[1]), "stderr")
	defer ours.Close()
	defer theirs.Close()
	var st unix.Stat_t
	if err := unix.Fstat(fds[1], &st); err != nil {
		t.Fatal(err)
	}
	t.Setenv("JOURNAL_STREAM", fmt.Sprintf("%d:%d", st.Dev, st.Ino))
	if !ToJournal(theirs) || ToJournal(ours) {
		t.Error("the socket of the journal is not told from its other end")
	}
}
