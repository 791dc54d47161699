package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// asker is one way of asking a server who it is.
type asker interface {
	// ask sends question n and does not wait for the answer; it must be quick.
	ask(n int)
	// close gives up what is unanswered and waits for the asker's goroutines.
	close() error
}

// Probe asks an address at a steady rate and keeps who answered what and when.
type Probe struct {
	rec   *record
	every time.Duration
	asker asker

	stop    atomic.Bool
	running sync.WaitGroup
	ended   time.Time
	end     sync.Once
	endErr  error

	mu    sync.Mutex
	marks []Mark
}

// DefaultPatience is how long a probe waits before an answer counts as lost.
const DefaultPatience = 250 * time.Millisecond

// Probe starts asking the echo responders behind target, a virtual address,
// from this host: rate datagrams a second, 1 to 10000. It ends with Stop or
// with the lab.
func (h *Host) Probe(target netip.Addr, rate int) (*Probe, error) {
	return h.probe(rate, func(rec *record) (asker, error) { return newUDPAsker(h, target, rec) })
}

func (h *Host) probe(rate int, open func(*record) (asker, error)) (*Probe, error) {
	if rate < 1 || rate > 10000 {
		return nil, fmt.Errorf("start probe: rate %d is not from 1 to 10000 a second", rate)
	}
	p := &Probe{rec: newRecord(time.Now(), DefaultPatience), every: time.Second / time.Duration(rate)}
	var err error
	if p.asker, err = open(p.rec); err != nil {
		return nil, fmt.Errorf("start probe on %s: %w", h.name, err)
	}
	p.running.Add(1)
	go p.run()
	return p, h.onClose(p)
}

// run sends the questions when they are due. One that the machine was too busy
// to send in time is sent as soon as possible; the record keeps how late.
func (p *Probe) run() {
	defer p.running.Done()
	// A thread of its own, and the kernel's sleep: the runtime's timers are only
	// good to a millisecond.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for due := time.Now(); !p.stop.Load(); due = due.Add(p.every) {
		if wait := time.Until(due); wait > 0 {
			ts := unix.NsecToTimespec(int64(wait))
			_ = unix.ClockNanosleep(unix.CLOCK_MONOTONIC, 0, &ts, nil) // cut short by a signal it is only early
		}
		p.asker.ask(p.rec.ask(due, time.Now()))
	}
}

// Mark names this moment, for Since.
func (p *Probe) Mark(name string) Mark {
	m := Mark{Name: name, At: time.Now()}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.marks = append(p.marks, m)
	return m
}

// Marks lists all marks made so far.
func (p *Probe) Marks() []Mark {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Mark(nil), p.marks...)
}

// Since reports on all questions sent from the mark until now. For those still
// under way it waits, for at most the probe's patience.
func (p *Probe) Since(m Mark) Report { return p.Between(m.At, time.Now()) }

// Between reports on the questions sent in a stretch of time; those still under
// way it waits for.
func (p *Probe) Between(from, to time.Time) Report {
	for !p.rec.settled(to, time.Now()) {
		time.Sleep(time.Millisecond)
	}
	return p.rec.report(from, to)
}

// Forget drops what was asked before a moment, so that a probe which runs for
// hours does not fill the memory. Reports know nothing of it any more.
func (p *Probe) Forget(before time.Time) { p.rec.forget(before) }

// Stop ends the probe, waits for what is under way and reports on all of it.
// It may be called again.
func (p *Probe) Stop() (Report, error) {
	p.end.Do(func() {
		p.stop.Store(true)
		p.running.Wait()
		p.ended = time.Now()
		p.Between(p.rec.start, p.ended)
		p.endErr = p.asker.close()
	})
	return p.rec.report(p.rec.start, p.ended), p.endErr
}

// Close is Stop without the report.
func (p *Probe) Close() error {
	_, err := p.Stop()
	return err
}

// A datagram of the probe: a number that tells probes apart, and the number of
// the question. The answer has the server's name behind it.
const datagramSize = 16

type udpAsker struct {
	rec  *record
	id   uint64
	fd   int      // of file; for sending from the probe's thread
	file *os.File // the socket
	to   unix.Sockaddr
	wg   sync.WaitGroup
}

func newUDPAsker(h *Host, target netip.Addr, rec *record) (*udpAsker, error) {
	u := &udpAsker{rec: rec, id: rand.Uint64()}
	family := unix.AF_INET6
	if target.Is4() {
		family = unix.AF_INET
		u.to = &unix.SockaddrInet4{Port: EchoPort, Addr: target.As4()}
	} else {
		u.to = &unix.SockaddrInet6{Port: EchoPort, Addr: target.As16()}
	}
	err := h.Do(func() (err error) {
		u.fd, err = unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		return os.NewSyscallError("socket", err)
	})
	if err != nil {
		return nil, err
	}
	// While a neighbour is unknown the kernel queues what we send: the queue must
	// not fill the socket, or sending would stop.
	for _, opt := range []int{unix.SO_SNDBUFFORCE, unix.SO_RCVBUFFORCE} {
		if err := unix.SetsockoptInt(u.fd, unix.SOL_SOCKET, opt, 4<<20); err != nil {
			return nil, errors.Join(os.NewSyscallError("setsockopt", err), unix.Close(u.fd))
		}
	}
	u.file = os.NewFile(uintptr(u.fd), "probe")
	u.wg.Go(u.receive)
	return u, nil
}

func (u *udpAsker) ask(n int) {
	var b [datagramSize]byte
	binary.BigEndian.PutUint64(b[0:], u.id)
	binary.BigEndian.PutUint64(b[8:], uint64(n))
	// What cannot be sent (no route, say) stays unanswered: lost.
	_ = unix.Sendto(u.fd, b[:], unix.MSG_DONTWAIT, u.to)
}

func (u *udpAsker) receive() {
	buf := make([]byte, 2048)
	for {
		n, err := u.file.Read(buf)
		if errors.Is(err, os.ErrClosed) {
			return
		}
		if err != nil || n < datagramSize || binary.BigEndian.Uint64(buf) != u.id {
			continue // an ICMP error, or somebody else's datagram
		}
		u.rec.answer(int(binary.BigEndian.Uint64(buf[8:])), string(buf[datagramSize:n]), time.Now())
	}
}

func (u *udpAsker) close() error {
	err := u.file.Close()
	u.wg.Wait()
	return err
}
