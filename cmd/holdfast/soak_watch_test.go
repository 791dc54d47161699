package main

// What the soak test looks with: the kernels' addresses, the adverts on the
// wire, the daemons' logs, and how late the machine itself is.

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/lab"
)

// holdings follows who has which address, as the hosts' kernels tell of each
// change. Asking them over and over would take the processor from the daemons.
type holdings struct {
	mu      sync.Mutex
	base    map[netip.Addr]map[string]bool // before the first change
	now     map[netip.Addr]map[string]bool
	changes []holdingChange
	broken  error
	over    atomic.Bool
}

type holdingChange struct {
	at   time.Time
	vip  netip.Addr
	node string
	has  bool
}

func newHoldings(vips []netip.Addr) *holdings {
	h := &holdings{base: map[netip.Addr]map[string]bool{}, now: map[netip.Addr]map[string]bool{}}
	for _, v := range vips {
		h.base[v], h.now[v] = map[string]bool{}, map[string]bool{}
	}
	return h
}

// follow begins to listen on a host that has none of the addresses.
func (h *holdings) follow(t *testing.T, host *lab.Host) {
	t.Helper()
	updates, stop := make(chan netlink.AddrUpdate, 1024), make(chan struct{})
	must(t, host.Do(func() error {
		return netlink.AddrSubscribeWithOptions(updates, stop, netlink.AddrSubscribeOptions{
			ReceiveBufferSize: 4 << 20, ReceiveBufferForceSize: true, ErrorCallback: h.fail,
		})
	}))
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case u, ok := <-updates:
				if !ok {
					return
				}
				h.change(host.Name(), u)
			case <-stop:
				return
			}
		}
	})
	t.Cleanup(func() {
		h.over.Store(true)
		close(stop)
		wg.Wait()
	})
}

// fail notes that changes may have been missed.
func (h *holdings) fail(err error) {
	if h.over.Load() {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.broken = err
}

func (h *holdings) change(node string, u netlink.AddrUpdate) {
	addr, _ := netip.AddrFromSlice(u.LinkAddress.IP)
	addr = addr.Unmap()
	h.mu.Lock()
	defer h.mu.Unlock()
	has, ours := h.now[addr]
	if !ours || has[node] == u.NewAddr { // a renewal
		return
	}
	has[node] = u.NewAddr
	h.changes = append(h.changes, holdingChange{time.Now(), addr, node, u.NewAddr})
}

// has tells whether a node has an address now.
func (h *holdings) has(node string, vip netip.Addr) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now[vip][node]
}

// lost tells whether a node has lost an address since a moment.
func (h *holdings) lost(node string, vip netip.Addr, since time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.ContainsFunc(h.changes, func(c holdingChange) bool {
		return c.node == node && c.vip == vip && !c.has && !c.at.Before(since)
	})
}

// err tells why what is known may be wrong.
func (h *holdings) err() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.broken
}

// forget keeps only what is so now.
func (h *holdings) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.changes {
		h.base[c.vip][c.node] = c.has
	}
	h.changes = nil
}

// excuse is a time in which a node may have what another one has too.
type excuse struct {
	node     string
	from, to time.Time
}

// overlap is the longest time from one moment to another in which more than one
// of the nodes without an excuse had an address.
func (h *holdings) overlap(vip netip.Addr, nodes []string, from, to time.Time, excuses []excuse) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	edges := []time.Time{from, to}
	for _, c := range h.changes {
		edges = append(edges, c.at)
	}
	for _, e := range excuses {
		edges = append(edges, e.from, e.to)
	}
	edges = slices.DeleteFunc(edges, func(t time.Time) bool { return t.Before(from) || t.After(to) })
	slices.SortFunc(edges, time.Time.Compare)
	longest, stretch := time.Duration(0), time.Duration(0)
	for k := 1; k < len(edges); k++ {
		holders := 0
		for _, n := range nodes {
			if h.had(vip, n, edges[k-1]) && !slices.ContainsFunc(excuses, func(e excuse) bool {
				return e.node == n && !e.from.After(edges[k-1]) && e.to.After(edges[k-1])
			}) {
				holders++
			}
		}
		if stretch += edges[k].Sub(edges[k-1]); holders < 2 {
			stretch = 0
		}
		longest = max(longest, stretch)
	}
	return longest
}

// had tells whether a node had an address at a moment.
func (h *holdings) had(vip netip.Addr, node string, at time.Time) bool {
	has := h.base[vip][node]
	for _, c := range h.changes {
		if c.vip == vip && c.node == node && !c.at.After(at) {
			has = c.has
		}
	}
	return has
}

// everHad tells whether a node had any address since the last forget.
func (h *holdings) everHad(node string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, has := range h.base {
		if has[node] {
			return true
		}
	}
	return slices.ContainsFunc(h.changes, func(c holdingChange) bool { return c.node == node && c.has })
}

// story tells who had an address from a moment on.
func (h *holdings) story(vip netip.Addr, from time.Time) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var b strings.Builder
	for _, c := range h.changes {
		if c.vip == vip && !c.at.Before(from) {
			fmt.Fprintf(&b, " %s:%s%s", ms(c.at.Sub(from)), map[bool]string{true: "+", false: "-"}[c.has], c.node)
		}
	}
	return strings.TrimSpace(b.String())
}

// wire keeps the adverts seen since it last forgot, and the last frames of all
// kinds but the probe's.
type wire struct {
	mu      sync.Mutex
	names   map[string]string // by MAC address
	adverts []wireAdvert
	frames  []lab.Frame // a ring
	next    int
}

type wireAdvert struct {
	at       time.Time
	node     string
	vrid     byte
	six      bool
	priority byte
}

// wireFrames is how many frames are kept for the capture file.
const wireFrames = 1 << 14

// keep takes a frame; the capture itself need not keep it.
func (w *wire) keep(f lab.Frame) bool {
	p, ip := readPacket(f.Data)
	if ip && p.protocol == unix.IPPROTO_UDP {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.frames) < wireFrames {
		w.frames = append(w.frames, f)
	} else {
		w.frames[w.next] = f
		w.next = (w.next + 1) % wireFrames
	}
	if ip && p.protocol == 112 && len(p.payload) >= 8 {
		if node := w.names[p.srcMAC.String()]; node != "" {
			w.adverts = append(w.adverts, wireAdvert{f.Time, node, p.payload[1], p.src.Is6(), p.payload[2]})
		}
	}
	return false
}

func (w *wire) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.adverts = nil
}

// speakers counts the adverts of each node for a virtual router in a stretch of
// time, releases left out.
func (w *wire) speakers(vrid byte, from, to time.Time) map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	count := map[string]int{}
	for _, a := range w.adverts {
		if a.vrid == vrid && a.priority > 0 && !a.at.Before(from) && a.at.Before(to) {
			count[a.node]++
		}
	}
	return count
}

// masters is the longest time in which the adverts of two nodes without an
// excuse took turns, so that both thought themselves master.
func (w *wire) masters(vrid byte, nodes []string, from, to time.Time, excuses []excuse, silence time.Duration) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	var list []wireAdvert
	for _, a := range w.adverts {
		excused := slices.ContainsFunc(excuses, func(e excuse) bool { return e.node == a.node && !a.at.Before(e.from) && a.at.Before(e.to) })
		if a.vrid == vrid && a.priority > 0 && !excused && slices.Contains(nodes, a.node) && !a.at.Before(from) && a.at.Before(to) {
			list = append(list, a)
		}
	}
	longest := time.Duration(0)
	last := map[string]time.Time{}
	var began, ended time.Time
	for k, a := range list {
		if k > 0 && list[k-1].node != a.node && a.at.Sub(last[a.node]) < silence {
			other := list[k-1]
			if ended.IsZero() || other.at.Sub(ended) > silence {
				began = other.at
			}
			ended = a.at
			longest = max(longest, ended.Sub(began))
		}
		last[a.node] = a.at
	}
	return longest
}

// writePcap writes the frames kept, for tcpdump and Wireshark.
func (w *wire) writePcap(path string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var b bytes.Buffer
	// The format of libpcap with microseconds, version 2.4, Ethernet.
	for _, v := range []any{uint32(0xa1b2c3d4), uint16(2), uint16(4), int32(0), uint32(0), uint32(1 << 16), uint32(1)} {
		_ = binary.Write(&b, binary.LittleEndian, v) // a buffer takes all
	}
	for _, f := range append(slices.Clone(w.frames[w.next:]), w.frames[:w.next]...) {
		for _, v := range []uint32{uint32(f.Time.Unix()), uint32(f.Time.Nanosecond() / 1000), uint32(len(f.Data)), uint32(len(f.Data))} {
			_ = binary.Write(&b, binary.LittleEndian, v)
		}
		b.Write(f.Data)
	}
	return os.WriteFile(path, b.Bytes(), 0o644)
}

// starvation notes how much too late an ordinary thread of this machine runs. It
// tells a machine that is too busy from a daemon that is too slow.
type starvation struct {
	mu   sync.Mutex
	late []lateness
}

type lateness struct {
	at time.Time
	by time.Duration
}

// starvedLeast is what is worth noting.
const starvedLeast = 5 * time.Millisecond

func watchStarvation(t *testing.T) *starvation {
	s := &starvation{}
	var stop atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		const every = 2 * time.Millisecond
		for !stop.Load() {
			began := time.Now()
			ts := unix.NsecToTimespec(int64(every))
			_ = unix.ClockNanosleep(unix.CLOCK_MONOTONIC, 0, &ts, nil) // cut short it is only early
			if by := time.Since(began) - every; by >= starvedLeast {
				s.mu.Lock()
				s.late = append(s.late, lateness{began.Add(every), by})
				s.mu.Unlock()
			}
		}
	})
	t.Cleanup(func() {
		stop.Store(true)
		wg.Wait()
	})
	return s
}

// worst is the worst lateness in a stretch of time.
func (s *starvation) worst(from, to time.Time) (worst time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.late {
		if l.at.Before(to) && l.at.Add(l.by).After(from) {
			worst = max(worst, l.by)
		}
	}
	return worst
}

func (s *starvation) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.late = nil
}

// logWatch is where a daemon logs to: a file, and a reader that looks for what
// must not be there.
type logWatch struct {
	file *os.File

	mu       sync.Mutex
	partial  []byte
	explains string // an error line with this in it has its reason
	deaf     bool   // what comes now is asked for
	problems []string
	lines    int
}

// fatalWords begin what a Go program writes when it ends badly.
var fatalWords = []string{"[ERROR]", "panic:", "fatal error:", "DATA RACE"}

// Write implements io.Writer.
func (w *logWatch) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.partial = append(w.partial, b...)
	for {
		line, rest, whole := bytes.Cut(w.partial, []byte("\n"))
		if !whole {
			break
		}
		w.look(string(line))
		w.partial = append([]byte(nil), rest...)
	}
	return w.file.Write(b)
}

func (w *logWatch) look(line string) {
	w.lines++
	bad := slices.ContainsFunc(fatalWords, func(f string) bool { return strings.Contains(line, f) })
	if bad && !w.deaf && (w.explains == "" || !strings.Contains(line, w.explains)) {
		w.problems = append(w.problems, line)
	}
}

// explain says with which words an error line is expected from now on.
func (w *logWatch) explain(words string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.explains = words
}

// silence ends the looking.
func (w *logWatch) silence() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deaf = true
}

func (w *logWatch) trouble() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.problems)
}

// resources is what a process uses, from /proc.
type resources struct {
	rss              int // kB
	threads, descrip int
}

// use reads it; descriptors that are open only for a moment are not counted.
func use(pid int) (r resources, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return r, err
	}
	for line := range strings.Lines(string(text)) {
		_, _ = fmt.Sscanf(line, "VmRSS: %d kB", &r.rss) // other lines do not match
		_, _ = fmt.Sscanf(line, "Threads: %d", &r.threads)
	}
	for range 20 {
		list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
		if err != nil {
			return r, err
		}
		if r.descrip == 0 || len(list) < r.descrip {
			r.descrip = len(list)
		}
		time.Sleep(5 * time.Millisecond)
	}
	return r, nil
}
