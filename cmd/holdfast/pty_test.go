package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/lab"
	"github.com/holdfast-vrrp/holdfast/cmd/internal/screen"
)

// glance is how long a person looks for something on a screen at most. How fast
// it comes is not what these tests are about.
const glance = 15 * time.Second

// pty is a terminal with a program on it, and what a person would see there.
type pty struct {
	t             *testing.T
	master, slave *os.File
	before        unix.Termios
	cmd           *lab.Cmd
	done          chan error

	mu          sync.Mutex
	cells       [][]rune
	row, column int
	modes       map[string]bool // such as ?1049, the alternate screen
	rest        []byte
	written     int
}

// onTerminal starts a program on a node, on a terminal of its own.
func (n *node) onTerminal(t *testing.T, width, height int, args ...string) *pty {
	t.Helper()
	_, err := os.Stat("/dev/ptmx")
	require(t, err == nil, "pseudo-terminals")
	p := &pty{t: t, modes: map[string]bool{"?25": true, "?7": true}, done: make(chan error, 1)}
	if p.master, err = os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetUint32(int(p.master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(p.master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		p.slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	p.resize(width, height)
	p.before = p.termios()
	p.cmd = n.Command(t.Context(), selfPath(), args...)
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = p.slave, p.slave, p.slave
	p.cmd.Env = append(os.Environ(), "TERM=xterm-256color", "LANG=C.UTF-8", "LC_ALL=", "NO_COLOR=")
	p.cmd.SysProcAttr.Setsid, p.cmd.SysProcAttr.Setctty = true, true
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		buf := make([]byte, 4096)
		for {
			n, err := p.master.Read(buf)
			if err != nil {
				return
			}
			p.show(buf[:n])
		}
	}()
	go func() { p.done <- p.cmd.Wait() }()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it has ended if all went well
		p.slave.Close()
		<-read // without a slave reading fails
		p.master.Close()
	})
	return p
}

func (p *pty) termios() unix.Termios {
	p.t.Helper()
	state, err := unix.IoctlGetTermios(int(p.slave.Fd()), unix.TCGETS)
	if err != nil {
		p.t.Fatal(err)
	}
	return *state
}

func (p *pty) resize(width, height int) {
	p.t.Helper()
	p.mu.Lock()
	p.cells = make([][]rune, height)
	for n := range p.cells {
		p.cells[n] = blank(width)
	}
	p.mu.Unlock()
	if err := unix.IoctlSetWinsize(int(p.master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: uint16(height), Col: uint16(width)}); err != nil {
		p.t.Fatal(err)
	}
}

func blank(width int) []rune { return []rune(strings.Repeat(" ", width)) }

// press types keys.
func (p *pty) press(keys string) {
	p.t.Helper()
	if _, err := p.master.WriteString(keys); err != nil {
		p.t.Fatal(err)
	}
}

// text is what is on the screen.
func (p *pty) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var b strings.Builder
	for _, row := range p.cells {
		b.WriteString(strings.TrimRight(strings.ReplaceAll(string(row), "\x00", ""), " ") + "\n")
	}
	return b.String()
}

// sees waits until a text is on the screen.
func (p *pty) sees(text string) time.Duration {
	p.t.Helper()
	return p.seesThat(fmt.Sprintf("%q", text), func(s string) bool { return strings.Contains(s, text) })
}

func (p *pty) seesThat(what string, ok func(text string) bool) time.Duration {
	p.t.Helper()
	defer func() {
		if p.t.Failed() {
			p.t.Logf("on the screen is:\n%s", p.text())
		}
	}()
	return eventually(p.t, glance, "on the screen: "+what, func() bool { return ok(p.text()) })
}

// ends waits until the program has ended, and checks that the terminal is as it
// was.
func (p *pty) ends(status int) {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(glance):
		p.t.Fatalf("it does not end; on the screen is:\n%s", p.text())
	}
	if got := p.cmd.ProcessState.ExitCode(); got != status {
		p.t.Errorf("exit status %d (%v), want %d; on the screen is:\n%s", got, p.cmd.ProcessState, status, p.text())
	}
	p.restored()
}

func (p *pty) restored() {
	p.t.Helper()
	eventually(p.t, glance, "the terminal as it was", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return !p.modes["?1049"] && p.modes["?25"] && p.modes["?7"] && p.termios() == p.before
	})
}

// show does what a terminal does with what is written to it. What this program
// has no business to write fails the test.
func (p *pty) show(b []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.written += len(b)
	b = append(p.rest, b...)
	for len(b) > 0 {
		n := p.one(b)
		if n == 0 {
			break
		}
		b = b[n:]
	}
	p.rest = bytes.Clone(b)
}

// one takes one character or sequence; 0 when it is not there whole.
func (p *pty) one(b []byte) int {
	switch b[0] {
	case 0x1b:
		end := bytes.IndexFunc(b, func(r rune) bool { return r >= '@' && r <= '~' && r != '[' })
		if end < 0 {
			return 0
		}
		p.sequence(string(b[1:end]), b[end])
		return end + 1
	case '\r':
		p.column = 0
		return 1
	case '\n':
		p.row++
		return 1
	}
	if !utf8.FullRune(b) {
		return 0
	}
	r, n := utf8.DecodeRune(b)
	if r < ' ' {
		p.t.Errorf("it writes a control character: %q", b[:1])
	}
	width := screen.Width(string(r))
	if p.row < len(p.cells) && p.column+width <= len(p.cells[p.row]) && width > 0 {
		p.cells[p.row][p.column] = r
		if width == 2 {
			p.cells[p.row][p.column+1] = 0
		}
		p.column += width
	}
	return n
}

func (p *pty) clear() {
	for n := range p.cells {
		p.cells[n] = blank(len(p.cells[n]))
	}
}

func (p *pty) sequence(params string, final byte) {
	params = strings.TrimPrefix(params, "[")
	switch final {
	case 'H':
		row, column, _ := strings.Cut(params, ";")
		p.row, _ = strconv.Atoi(row)
		p.column, _ = strconv.Atoi(column)
		p.row, p.column = p.row-1, p.column-1
	case 'J':
		p.clear()
	case 'K':
		if p.row < len(p.cells) {
			p.cells[p.row] = blank(len(p.cells[p.row]))
		}
	case 'h', 'l':
		p.modes[params] = final == 'h'
		if params == "?1049" { // another screen
			p.clear()
		}
	case 'm':
	default:
		p.t.Errorf("it writes a sequence that is not known here: ESC [ %s %c", params, final)
	}
}
