package transport

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// memoryQueueLen is how many packets a [Memory] Conn holds for its reader. As
// with a socket, what comes when it is full is lost.
const memoryQueueLen = 4096

// Memory is a set of local networks in memory with hosts on them: the twin of
// the kernel's for tests. A packet is there as soon as WriteBatch returns, in
// the order of sending; hosts get a multicast packet in the order in which
// they were made. It works inside a testing/synctest bubble.
type Memory struct {
	// Drop, when it is set, decides about each packet and receiving host:
	// true loses the packet. It must not keep the payload. Set it before the
	// first packet is sent.
	Drop func(from, to string, p Packet) bool

	mu    sync.Mutex // guards all below, of hosts and interfaces too
	hosts []*MemoryHost
}

// NewMemory returns a Memory without hosts.
func NewMemory() *Memory { return &Memory{} }

// Host returns the host of that name and makes it when it is new.
func (m *Memory) Host(name string) *MemoryHost {
	m.mu.Lock()
	defer m.mu.Unlock()
	if i := slices.IndexFunc(m.hosts, func(h *MemoryHost) bool { return h.name == name }); i >= 0 {
		return m.hosts[i]
	}
	h := &MemoryHost{memory: m, name: name, bell: make(chan struct{}, 1)}
	m.hosts = append(m.hosts, h)
	return h
}

// MemoryHost is a host in a [Memory]. It implements [Network].
type MemoryHost struct {
	memory     *Memory
	name       string
	interfaces []*memoryInterface
	bell       chan struct{} // has a token when Wait is to look
}

type memoryInterface struct {
	host  *MemoryHost
	index int
	name  string
	lan   string
	addrs []netip.Addr
	down  bool
	gone  bool
	conns []*memoryConn
}

// AddInterface attaches the host to a LAN. Hosts that name the same LAN hear
// each other. An interface with that index that is there already is changed,
// and its Conns stay open.
func (h *MemoryHost) AddInterface(index int, name, lan string, addrs ...netip.Addr) {
	h.memory.mu.Lock()
	defer h.memory.mu.Unlock()
	nic := h.find(index)
	if nic == nil {
		nic = &memoryInterface{host: h, index: index}
		h.interfaces = append(h.interfaces, nic)
	}
	nic.name, nic.lan, nic.addrs = name, lan, slices.Clone(addrs)
}

// RemoveInterface deletes an interface. Its Conns fall silent: they receive
// nothing more, and what they send fails with ENODEV.
func (h *MemoryHost) RemoveInterface(index int) {
	h.memory.mu.Lock()
	defer h.memory.mu.Unlock()
	if nic := h.find(index); nic != nil {
		nic.gone = true
		h.interfaces = slices.DeleteFunc(h.interfaces, func(o *memoryInterface) bool { return o == nic })
	}
}

// SetUp takes an interface down or up again. While it is down it receives
// nothing, and sending fails with ENETDOWN.
func (h *MemoryHost) SetUp(index int, up bool) {
	h.memory.mu.Lock()
	defer h.memory.mu.Unlock()
	if nic := h.find(index); nic != nil {
		nic.down = !up
	}
}

// Listen implements [Network].
func (h *MemoryHost) Listen(ifindex int, ifname string, f vrrp.Family) (Conn, error) {
	h.memory.mu.Lock()
	defer h.memory.mu.Unlock()
	if f != vrrp.IPv4 && f != vrrp.IPv6 {
		return nil, fmt.Errorf("listen on %s: address family %d is neither IPv4 nor IPv6", ifname, f)
	}
	nic := h.find(ifindex)
	if nic == nil {
		return nil, fmt.Errorf("listen for %v adverts on %s: interface index %d: %w", f, ifname, ifindex, syscall.ENODEV)
	}
	c := &memoryConn{
		nic:    nic,
		family: f,
		queue:  make(chan Packet, memoryQueueLen),
		closed: make(chan struct{}),
	}
	nic.conns = append(nic.conns, c)
	return c, nil
}

// Wait implements [Network].
func (h *MemoryHost) Wait(until time.Time, _ func()) ([]Place, error) {
	if places := h.waiting(); len(places) > 0 {
		return places, nil
	}
	var due <-chan time.Time
	if !until.IsZero() {
		t := time.NewTimer(time.Until(until))
		defer t.Stop()
		due = t.C
	}
	select {
	case <-h.bell:
	case <-due:
	}
	return h.waiting(), nil
}

// Wake implements [Network].
func (h *MemoryHost) Wake() {
	select {
	case h.bell <- struct{}{}:
	default:
	}
}

// waiting returns where packets wait for their reader.
func (h *MemoryHost) waiting() (places []Place) {
	h.memory.mu.Lock()
	defer h.memory.mu.Unlock()
	for _, nic := range h.interfaces {
		for _, c := range nic.conns {
			if len(c.queue) > 0 {
				places = append(places, Place{nic.index, c.family})
			}
		}
	}
	return places
}

// find returns the interface with that index, or nil. h.memory.mu is held.
func (h *MemoryHost) find(index int) *memoryInterface {
	i := slices.IndexFunc(h.interfaces, func(n *memoryInterface) bool { return n.index == index })
	if i < 0 {
		return nil
	}
	return h.interfaces[i]
}

// receivers returns the interfaces that a packet from nic reaches: those of
// other hosts on the same LAN that are up and, unless it is multicast, hold
// the address. m.mu is held.
func (m *Memory) receivers(nic *memoryInterface, dst netip.Addr) (nics []*memoryInterface) {
	for _, h := range m.hosts {
		if h == nic.host {
			continue
		}
		for _, o := range h.interfaces {
			if o.lan == nic.lan && !o.down && (dst.IsMulticast() || slices.Contains(o.addrs, dst)) {
				nics = append(nics, o)
			}
		}
	}
	return nics
}

// memoryConn is a [Conn] of a [MemoryHost].
type memoryConn struct {
	nic    *memoryInterface
	family vrrp.Family
	queue  chan Packet
	closed chan struct{} // closed by Close

	vrids     *VRIDs // nil admits all
	strangers uint64
}

// Admit implements [Conn].
func (c *memoryConn) Admit(vrids VRIDs) error {
	c.nic.host.memory.mu.Lock()
	defer c.nic.host.memory.mu.Unlock()
	c.vrids = &vrids
	return nil
}

// Strangers implements [Conn].
func (c *memoryConn) Strangers() uint64 {
	c.nic.host.memory.mu.Lock()
	defer c.nic.host.memory.mu.Unlock()
	return c.strangers
}

// ReadBatch implements [Conn].
func (c *memoryConn) ReadBatch(dst []Packet) (int, error) {
	if len(dst) == 0 {
		return 0, nil
	}
	select {
	case <-c.closed: // first, so that what is still queued is not read
		return 0, net.ErrClosed
	default:
	}
	for n := range dst {
		select {
		case p := <-c.queue:
			receive(&dst[n], p)
		default:
			return n, nil
		}
	}
	return len(dst), nil
}

// receive copies p into dst and keeps the buffer of dst.
func receive(dst *Packet, p Packet) {
	p.Payload = append(dst.Payload[:0], p.Payload...)
	*dst = p
}

// WriteBatch implements [Conn].
func (c *memoryConn) WriteBatch(src []Packet) (sent int, err error) {
	var errs []error
	for i := range src {
		select {
		case <-c.closed:
			return sent, errors.Join(append(errs, net.ErrClosed)...)
		default:
		}
		if err := c.write(src[i]); err != nil {
			errs = append(errs, &WriteError{Index: i, Err: err})
			continue
		}
		sent++
	}
	return sent, errors.Join(errs...)
}

// write sends one packet to whoever it reaches.
func (c *memoryConn) write(p Packet) error {
	m := c.nic.host.memory
	m.mu.Lock()
	err := c.complete(&p)
	to := m.receivers(c.nic, p.Destination)
	m.mu.Unlock()
	if err != nil {
		return err
	}
	for _, nic := range to {
		// Without the lock: the hook may ask or change the Memory.
		if m.Drop != nil && m.Drop(c.nic.host.name, nic.host.name, p) {
			continue
		}
		nic.deliver(p, c.family)
	}
	return nil
}

// complete fills in what a kernel would, or says why p cannot be sent.
// The lock of the Memory is held.
func (c *memoryConn) complete(p *Packet) error {
	nic := c.nic
	if err := sendable(p, c.family, nic.index); err != nil {
		return err
	}
	failed := func(errno syscall.Errno) error {
		return fmt.Errorf("send to %v on %s: %w", p.Destination, nic.name, errno)
	}
	switch {
	case nic.gone:
		return failed(syscall.ENODEV)
	case nic.down:
		return failed(syscall.ENETDOWN)
	}
	if !p.Source.IsValid() {
		i := slices.IndexFunc(nic.addrs, func(a netip.Addr) bool { return vrrp.FamilyOf(a) == c.family })
		if i < 0 {
			return failed(syscall.EADDRNOTAVAIL)
		}
		p.Source = nic.addrs[i]
	}
	if c.family == vrrp.IPv6 && !slices.Contains(nic.addrs, p.Source) {
		return failed(syscall.EADDRNOTAVAIL)
	}
	p.TTL = vrrp.TTL
	return nil
}

// deliver puts a copy of p in the queue of every Conn of the family.
func (nic *memoryInterface) deliver(p Packet, f vrrp.Family) {
	m := nic.host.memory
	m.mu.Lock()
	defer m.mu.Unlock()
	p.Interface = nic.index
	for _, c := range nic.conns {
		if c.family != f || nic.gone {
			continue
		}
		if c.vrids != nil && len(p.Payload) >= headerLen && !c.vrids.Has(p.Payload[1]) {
			c.strangers++
			continue
		}
		p.Payload = slices.Clone(p.Payload)
		select {
		case c.queue <- p:
		default:
		}
		nic.host.Wake()
	}
}

// Close implements [Conn].
func (c *memoryConn) Close() error {
	m := c.nic.host.memory
	m.mu.Lock()
	defer m.mu.Unlock()
	i := slices.Index(c.nic.conns, c)
	if i < 0 {
		return net.ErrClosed
	}
	c.nic.conns = slices.Delete(c.nic.conns, i, i+1)
	close(c.closed)
	return nil
}
