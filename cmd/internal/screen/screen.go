package screen

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// Screen is a terminal that was taken over whole, until Close. One goroutine
// owns it; its channels are for that one to read.
type Screen struct {
	// Keys are the keys pressed. It is closed when the terminal is gone.
	Keys <-chan Key
	// Signals are for [Screen.Handle].
	Signals <-chan os.Signal

	in, out       *os.File
	signals       chan os.Signal
	before        *term.State
	width, height int
	shown         []string // what is on the screen; nil when that is not known
	buf           bytes.Buffer
}

const (
	// enter: the alternate screen, empty, without cursor and wrapping.
	enter = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J"
	leave = "\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l"
)

// Open takes the terminal over. The caller must see to it that Close is called
// in the end, also after a signal.
func Open(in, out *os.File) (*Screen, error) {
	s := &Screen{in: in, out: out, signals: make(chan os.Signal, 8)}
	if err := s.enter(); err != nil {
		return nil, err
	}
	signal.Notify(s.signals, syscall.SIGWINCH, syscall.SIGTSTP, syscall.SIGCONT)
	keys := make(chan Key)
	go readKeys(in, keys)
	s.Keys, s.Signals = keys, s.signals
	return s, nil
}

// enter sets the terminal as the screen needs it, and remembers how it was
// before the first time.
func (s *Screen) enter() error {
	state, err := term.MakeRaw(int(s.in.Fd()))
	if err != nil {
		return fmt.Errorf("cannot take the terminal over: %w", err)
	}
	if s.before == nil {
		s.before = state
	}
	s.shown = nil
	s.measure()
	if _, err := s.out.WriteString(enter); err != nil {
		return errors.Join(fmt.Errorf("cannot write to the terminal: %w", err), s.leave())
	}
	return nil
}

func (s *Screen) leave() error {
	_, err := s.out.WriteString(leave)
	return errors.Join(err, term.Restore(int(s.in.Fd()), s.before))
}

// Close gives the terminal back as it was. That fails when it is gone.
func (s *Screen) Close() error {
	signal.Stop(s.signals)
	return s.leave()
}

func (s *Screen) measure() {
	t := describe(s.out, os.Getenv)
	s.width, s.height = t.Width, t.Height
}

// Size is how many cells there are.
func (s *Screen) Size() (width, height int) { return s.width, s.height }

// Handle does what a signal asks for: another size, or to stop and go on. The
// screen is to be drawn after it.
func (s *Screen) Handle(sig os.Signal) error {
	switch sig {
	case syscall.SIGWINCH:
		s.measure()
		s.Redraw()
	case syscall.SIGTSTP:
		return s.Suspend()
	case syscall.SIGCONT:
		// It was stopped without a word. The shell has set the terminal since.
		return s.enter()
	}
	return nil
}

// Suspend gives the terminal back and stops this process, as Ctrl-Z does, until
// somebody has it go on.
func (s *Screen) Suspend() error {
	if err := s.leave(); err != nil {
		return err
	}
	// To this very thread, so that it is stopped before it goes on.
	runtime.LockOSThread()
	err := unix.Tgkill(os.Getpid(), unix.Gettid(), unix.SIGSTOP)
	runtime.UnlockOSThread()
	if err != nil {
		err = fmt.Errorf("cannot stop: %w", err)
	}
	return errors.Join(err, s.enter())
}

// Redraw has the next Draw write everything, as after somebody else wrote to
// the terminal.
func (s *Screen) Redraw() { s.shown = nil }

// Draw shows lines, from the top. They must not be wider than the screen; what
// is too many is left out. It writes what has changed, at once.
func (s *Screen) Draw(lines []string) error {
	s.buf.Reset()
	if s.shown == nil {
		s.buf.WriteString("\x1b[0m\x1b[2J")
	}
	s.shown = redraw(&s.buf, s.shown, lines, s.height)
	if s.buf.Len() == 0 {
		return nil
	}
	if _, err := s.out.Write(s.buf.Bytes()); err != nil {
		return fmt.Errorf("cannot write to the terminal: %w", err)
	}
	return nil
}

// redraw writes what makes of the old lines the new ones, and returns these.
func redraw(w *bytes.Buffer, old, lines []string, height int) []string {
	shown := make([]string, height)
	copy(shown, lines)
	for n, line := range shown {
		was := ""
		if n < len(old) {
			was = old[n]
		}
		if line != was {
			// Cleared first: in the last column clearing would take a character.
			fmt.Fprintf(w, "\x1b[%d;1H\x1b[2K%s", n+1, line)
		}
	}
	return shown
}

// readKeys reads until the terminal is gone. It goes on reading after Close:
// nobody can interrupt it, and the program ends then.
func readKeys(in *os.File, keys chan<- Key) {
	defer close(keys)
	var all []byte
	buf := make([]byte, 256)
	for {
		n, err := in.Read(buf)
		if err != nil {
			return
		}
		var list []Key
		list, all = parseKeys(append(all, buf[:n]...))
		for _, k := range list {
			keys <- k
		}
	}
}
