package logbook

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"
)

// Format is what lines look like.
type Format string

// The formats.
const (
	Text Format = "text"
	JSON Format = "json"
	// Journal is for the systemd journal, which adds the time and the program by
	// itself: each line begins with its priority, as sd-daemon(3) has it.
	Journal Format = "journal"
)

// Logger writes lines to where the log goes, and records to a [Book].
type Logger struct {
	lines hclog.Logger
	book  *Book
}

// New returns a logger that writes lines of a level and above.
func New(w io.Writer, level string, format Format) *Logger {
	o := &hclog.LoggerOptions{
		Name: "holdfast", Level: hclog.LevelFromString(level), Output: w, JSONFormat: format == JSON,
		TimeFormat: "2006-01-02T15:04:05.000Z0700",
	}
	if format == Journal {
		o.Name, o.DisableTime, o.Output = "", true, journalWriter{w}
	}
	return &Logger{lines: hclog.New(o), book: newBook()}
}

// Book has the records.
func (l *Logger) Book() *Book { return l.book }

// SetLevel sets the level of the lines.
func (l *Logger) SetLevel(level string) { l.lines.SetLevel(hclog.LevelFromString(level)) }

// Verbose reports whether anybody wants records of level debug, or trace. What is
// costly to put together is only for those.
func (l *Logger) Verbose(level hclog.Level) bool {
	return l.book.wants(level) || level >= l.lines.GetLevel()
}

// Error, Warn, Info, Debug and Trace log a constant message with names and values
// in turns. None of these breaks the line, but an error, whose lines are marked.
func (l *Logger) Error(message string, args ...any) { l.log(hclog.Error, message, args) }

// Warn is for what the daemon can live with.
func (l *Logger) Warn(message string, args ...any) { l.log(hclog.Warn, message, args) }

// Info is for what happened.
func (l *Logger) Info(message string, args ...any) { l.log(hclog.Info, message, args) }

// Debug is for those who look for something.
func (l *Logger) Debug(message string, args ...any) { l.log(hclog.Debug, message, args) }

// Trace is for what happens all the time.
func (l *Logger) Trace(message string, args ...any) { l.log(hclog.Trace, message, args) }

func (l *Logger) log(level hclog.Level, message string, args []any) {
	if level >= l.lines.GetLevel() {
		l.lines.Log(level, message, oneLine(args)...)
	}
	if l.book.wants(level) {
		l.book.add(level, message, args)
	}
}

// The priorities of syslog(3) that others use.
const (
	PriorityError   = 3
	PriorityWarning = 4
)

// priorities are those of syslog(3).
var priorities = map[hclog.Level]int{hclog.Trace: 7, hclog.Debug: 7, hclog.Info: 6, hclog.Warn: 4, hclog.Error: 3}

// journalWriter puts the priority in the place of the level.
type journalWriter struct{ io.Writer }

// bracket is how long "[INFO]  " is, whatever the level.
const bracket = 8

// LevelWrite implements [hclog.LevelWriter].
func (w journalWriter) LevelWrite(level hclog.Level, line []byte) (int, error) {
	text := bytes.TrimRight(line[min(bracket, len(line)):], "\n ")
	_, err := Lines(w.Writer, priorities[level]).Write(text)
	return len(line), err
}

// Line returns one line for the journal. It stays one whatever the text is.
func Line(priority int, text string) []byte {
	return fmt.Appendf(nil, "<%d>%s\n", priority, bytes.ReplaceAll([]byte(text), []byte("\n"), []byte(`\n`)))
}

// Lines returns a writer that writes each line of what it is given for the journal.
// It must be given whole lines.
func Lines(w io.Writer, priority int) io.Writer { return lineWriter{w, priority} }

type lineWriter struct {
	w        io.Writer
	priority int
}

func (l lineWriter) Write(text []byte) (int, error) {
	for line := range bytes.Lines(text) {
		if _, err := l.w.Write(Line(l.priority, string(bytes.TrimRight(line, "\n")))); err != nil {
			return 0, err
		}
	}
	return len(text), nil
}

// ToJournal reports whether what is written to w goes to the systemd journal,
// which says so by the environment. It says nothing of other files than its own.
func ToJournal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	var dev, ino uint64
	if _, err := fmt.Sscanf(os.Getenv("JOURNAL_STREAM"), "%d:%d", &dev, &ino); err != nil {
		return false
	}
	var st unix.Stat_t
	return unix.Fstat(int(f.Fd()), &st) == nil && st.Dev == dev && st.Ino == ino
}

// Printer writes records as lines.
type Printer struct {
	lines hclog.Logger
	at    time.Time // of the record at hand
}

// NewPrinter returns one. Times are local.
func NewPrinter(w io.Writer, color bool) *Printer {
	p := &Printer{}
	o := &hclog.LoggerOptions{
		Level: hclog.Trace, Output: w, TimeFormat: "2006-01-02 15:04:05.000",
		TimeFn: func() time.Time { return p.at.Local() },
	}
	if color {
		o.Color, o.ColorHeaderOnly = hclog.ForceColor, true
	}
	p.lines = hclog.New(o)
	return p
}

// Print writes a record as people read it. The printer is made by [NewPrinter].
func (p *Printer) Print(r *Record) {
	p.at = r.Time
	p.lines.Log(hclog.LevelFromString(r.Level), r.Message, r.Fields.args()...)
}
