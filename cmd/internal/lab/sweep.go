package lab

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Sweep asks many addresses in turn, each once in a while, and keeps who
// answered what and when. It pings them, so that the kernel of the host asked
// answers, with frames of its own making: the kernel of the client would know a
// thousand neighbours at most. Its neighbours are those that answered at the
// start and what was announced since; it never asks again who has an address.
type Sweep struct {
	every   time.Duration
	targets []*sweepTarget
	index   map[netip.Addr]int
	servers map[[6]byte]string

	ip, arp *os.File
	source  netip.Addr
	mac     net.HardwareAddr
	id      uint16

	stop    atomic.Bool
	running sync.WaitGroup
	close   func() error
}

// sweepTarget is one of the addresses.
type sweepTarget struct {
	addr netip.Addr
	rec  *record
	mac  atomic.Pointer[[6]byte] // nil while unknown
}

const (
	// sweepBatch is how often what is due is sent.
	sweepBatch = time.Millisecond
	// sweepPatience is longer than that of a Probe: so many answers come late on
	// a busy machine, and each would count for a whole turn.
	sweepPatience = time.Second
)

// Sweep starts pinging IPv4 addresses from eth0 of this host, each once in
// every, spread evenly over it. The servers are those who may answer. When it
// has returned each address has a neighbour. It ends with Close or with the
// lab.
func (h *Host) Sweep(addrs []netip.Addr, every time.Duration, servers ...*Host) (*Sweep, error) {
	s := &Sweep{every: every, index: map[netip.Addr]int{}, servers: map[[6]byte]string{}, id: uint16(rand.Uint32())}
	start := time.Now()
	for n, a := range addrs {
		if !a.Is4() {
			return nil, fmt.Errorf("start sweep on %s: %v is not an IPv4 address", h.name, a)
		}
		s.targets = append(s.targets, &sweepTarget{addr: a, rec: newRecord(start, sweepPatience)})
		s.index[a] = n
	}
	if err := s.open(h, servers); err != nil {
		return nil, fmt.Errorf("start sweep on %s: %w", h.name, err)
	}
	s.running.Go(func() { s.first(s.learn) })
	s.running.Go(func() { s.first(s.receive) })
	if err := s.resolve(); err != nil {
		return nil, errors.Join(fmt.Errorf("start sweep on %s: %w", h.name, err), s.close())
	}
	s.running.Go(func() { s.first(s.run) })
	return s, h.onClose(s)
}

func (s *Sweep) open(h *Host, servers []*Host) error {
	for _, server := range servers {
		p, err := server.Port("eth0")
		if err != nil {
			return err
		}
		s.servers[[6]byte(p.MAC())] = server.name
	}
	p, err := h.Port("eth0")
	if err != nil {
		return err
	}
	s.mac = p.MAC()
	own, err := h.Addresses("eth0")
	if err != nil {
		return err
	}
	for _, prefix := range own {
		if len(s.targets) > 0 && prefix.Contains(s.targets[0].addr) {
			s.source = prefix.Addr()
		}
	}
	if !s.source.IsValid() {
		return errors.New("no address in the network of those to be asked")
	}
	if s.ip, err = h.packetSocket("eth0", unix.ETH_P_IP); err != nil {
		return err
	}
	if s.arp, err = h.packetSocket("eth0", unix.ETH_P_ARP); err != nil {
		return errors.Join(err, s.ip.Close())
	}
	s.close = sync.OnceValue(func() error {
		s.stop.Store(true)
		err := errors.Join(s.ip.Close(), s.arp.Close())
		s.running.Wait()
		return err
	})
	return nil
}

// Close ends the sweep; it can still report. It may be called again.
func (s *Sweep) Close() error { return s.close() }

// Between reports on the questions sent in a stretch of time, for each address;
// those still under way it waits for. A gap is right to the time in which each
// address is asked once.
func (s *Sweep) Between(from, to time.Time) []Report {
	reports := make([]Report, len(s.targets))
	for n, t := range s.targets {
		for !t.rec.settled(to, time.Now()) {
			time.Sleep(time.Millisecond)
		}
		reports[n] = t.rec.report(from, to)
	}
	return reports
}

// first runs f before all else on the machine: the client would be another one,
// with a processor of its own. The thread ends with f, as it stays locked.
func (s *Sweep) first(f func()) {
	runtime.LockOSThread()
	_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), -15) // without, reports tell how late it was
	f()
}

// resolve asks who has the addresses until all are known.
func (s *Sweep) resolve() error {
	return poll(10*time.Second, "some addresses have no neighbour", func() (bool, error) {
		unknown := 0
		for _, t := range s.targets {
			if t.mac.Load() != nil {
				continue
			}
			if _, err := s.arp.Write(s.whoHas(t.addr)); err != nil {
				return false, err
			}
			if unknown++; unknown == 200 { // those who answer must keep up
				break
			}
		}
		return unknown == 0, nil
	})
}

// whoHas is an ARP request.
func (s *Sweep) whoHas(a netip.Addr) []byte {
	f := append(bytes.Repeat([]byte{0xff}, 6), s.mac...)
	f = append(f, 0x08, 0x06, 0, 1, 0x08, 0x00, 6, 4, 0, 1)
	f = append(append(f, s.mac...), s.source.AsSlice()...)
	return append(append(f, make([]byte, 6)...), a.AsSlice()...)
}

// learn takes the neighbour from every ARP packet of an address, as the kernel
// does for those it knows.
func (s *Sweep) learn() {
	buf := make([]byte, 2048)
	for {
		n, err := s.arp.Read(buf)
		if errors.Is(err, os.ErrClosed) {
			return
		}
		if err != nil || n < 42 {
			continue // the interface was down, or somebody else's packet
		}
		if k, ok := s.index[netip.AddrFrom4([4]byte(buf[28:32]))]; ok {
			mac := [6]byte(buf[22:28])
			s.targets[k].mac.Store(&mac)
		}
	}
}

// run sends the questions when they are due, some together.
func (s *Sweep) run() {
	raw, err := s.ip.SyscallConn()
	if err != nil {
		return // closed already
	}
	start := time.Now()
	for n := 0; !s.stop.Load(); {
		now := time.Now()
		_ = raw.Control(func(fd uintptr) { // fails when closed, which ends it
			for ; !s.dueAt(start, n).After(now); n++ {
				s.ask(int(fd), n, s.dueAt(start, n))
			}
		})
		ts := unix.NsecToTimespec(int64(max(0, time.Until(now.Add(sweepBatch)))))
		_ = unix.ClockNanosleep(unix.CLOCK_MONOTONIC, 0, &ts, nil) // cut short by a signal it is only early
	}
}

// dueAt is when the nth question of all is due.
func (s *Sweep) dueAt(start time.Time, n int) time.Time {
	return start.Add(time.Duration(n) * s.every / time.Duration(len(s.targets)))
}

// ask sends the nth question of all.
func (s *Sweep) ask(fd, n int, due time.Time) {
	t := s.targets[n%len(s.targets)]
	frame := s.ping(t, t.rec.ask(due, time.Now()))
	// What cannot be sent stays unanswered: lost.
	_, _ = unix.Write(fd, frame)
}

// ping is an ICMP echo request. The number of the question is in its data, as
// the sequence number is short.
func (s *Sweep) ping(t *sweepTarget, number int) []byte {
	f := make([]byte, 0, 64)
	f = append(append(append(f, t.mac.Load()[:]...), s.mac...), 0x08, 0x00)
	ip := append(make([]byte, 0, 20), 0x45, 0, 0, 36, 0, 0, 0x40, 0, 64, unix.IPPROTO_ICMP, 0, 0)
	ip = append(append(ip, s.source.AsSlice()...), t.addr.AsSlice()...)
	binary.BigEndian.PutUint16(ip[10:], internetSum(ip))
	icmp := []byte{8, 0, 0, 0}
	icmp = binary.BigEndian.AppendUint16(icmp, s.id)
	icmp = binary.BigEndian.AppendUint16(icmp, uint16(number))
	icmp = binary.BigEndian.AppendUint64(icmp, uint64(number))
	binary.BigEndian.PutUint16(icmp[2:], internetSum(icmp))
	return append(append(f, ip...), icmp...)
}

// internetSum is the checksum of RFC 1071 of an even number of bytes.
func internetSum(b []byte) uint16 {
	var sum uint32
	for k := 0; k+1 < len(b); k += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[k:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// receive notes the answers. Who gave one tells its hardware address.
func (s *Sweep) receive() {
	buf := make([]byte, 2048)
	for {
		n, err := s.ip.Read(buf)
		if errors.Is(err, os.ErrClosed) {
			return
		}
		now := time.Now()
		if err != nil || n < 50 || buf[14] != 0x45 || buf[23] != unix.IPPROTO_ICMP || buf[34] != 0 || binary.BigEndian.Uint16(buf[38:]) != s.id {
			continue
		}
		k, ok := s.index[netip.AddrFrom4([4]byte(buf[26:30]))]
		server := s.servers[[6]byte(buf[6:12])]
		if ok && server != "" {
			s.targets[k].rec.answer(int(binary.BigEndian.Uint64(buf[42:])), server, now)
		}
	}
}
