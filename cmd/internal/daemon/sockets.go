package daemon

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/holdfast-vrrp/holdfast/vrrp"
	"github.com/holdfast-vrrp/holdfast/vrrp/transport"
)

const (
	// batchLen is how many packets are read at once.
	batchLen = 64
	// batchBytes holds the largest advert: 255 IPv4 addresses.
	batchBytes = 2048
	// socketRetry is how long after a failure a socket is opened again.
	socketRetry = time.Second
)

// socketKey names a socket: one address family on one interface.
type socketKey struct {
	index  int
	family vrrp.Family
}

// socket is an open socket and the adverts of this turn that leave by it.
type socket struct {
	conn    transport.Conn
	out     []transport.Packet
	senders []sender // of out, position by position
}

// sender is the virtual router of an advert, the form of its checksum, and whether
// it is master no more.
type sender struct {
	id             vrrp.RouterID
	pseudo, letsGo bool
}

// batch is packets that were read together.
type batch struct {
	key     socketKey
	packets []transport.Packet
	n       int
}

// ensureSockets opens what the instances on an interface need and closes the
// rest. It returns why one could not be opened, for people.
func (d *Daemon) ensureSockets(iface string) (problem string) {
	l := d.links[iface]
	need := map[vrrp.Family]bool{}
	for n := range d.cfg.Instances {
		if c := &d.cfg.Instances[n]; c.Interface == iface {
			for _, f := range c.Families() {
				need[f] = true
			}
		}
	}
	for key := range d.sockets {
		switch {
		case d.socketNames[key] != iface || key.index == l.Index && need[key.family]:
		case key.index == l.Index && d.engine.Departing(iface, key.family):
			d.retrySockets(iface) // it releases and hears its successor first
		default:
			d.closeSocket(key)
		}
	}
	if l.Index == 0 {
		return ""
	}
	for _, f := range []vrrp.Family{vrrp.IPv4, vrrp.IPv6} {
		if !need[f] {
			continue
		}
		if err := d.openSocket(socketKey{l.Index, f}, iface); err != nil {
			problem = err.Error()
			d.retrySockets(iface)
		}
	}
	return problem
}

// retrySockets has the interface looked at again after a while: once, however
// often it changes meanwhile.
func (d *Daemon) retrySockets(iface string) {
	if d.retrying[iface] {
		return
	}
	d.retrying[iface] = true
	d.later(socketRetry, func() {
		delete(d.retrying, iface)
		d.linkChanged(iface)
	})
}

func (d *Daemon) openSocket(key socketKey, iface string) error {
	if d.sockets[key] != nil {
		return nil
	}
	conn, err := d.opts.Network.Listen(key.index, iface, key.family)
	if err != nil {
		return fmt.Errorf("cannot open a VRRP socket on %s: %w", iface, err)
	}
	d.sockets[key] = &socket{conn: conn}
	d.socketNames[key] = iface
	d.workers.Go(func() { d.read(key, conn) })
	return nil
}

func (d *Daemon) closeSocket(key socketKey) {
	d.sockets[key].conn.Close() // the reader ends with it
	delete(d.sockets, key)
	delete(d.socketNames, key)
}

// read passes packets to the loop until the socket is closed.
func (d *Daemon) read(key socketKey, conn transport.Conn) {
	for {
		b := d.batches.Get().(*batch)
		b.key = key
		n, err := conn.ReadBatch(b.packets)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			// The link went down or away, which the watcher tells as well.
			d.batches.Put(b)
			select {
			case <-time.After(100 * time.Millisecond):
			case <-d.ended:
				return
			}
			continue
		}
		b.n = n
		select {
		case d.packets <- b:
		case <-d.ended:
			return
		}
	}
}

func newBatch() any {
	b := &batch{packets: make([]transport.Packet, batchLen)}
	for n := range b.packets {
		b.packets[n].Payload = make([]byte, 0, batchBytes)
	}
	return b
}

// receive feeds a batch to the Engine.
func (d *Daemon) receive(b *batch) {
	if d.sockets[b.key] != nil { // else it was closed meanwhile
		for n := range b.n {
			p := &b.packets[n]
			d.advert = vrrp.AdvertReceived{
				Interface: p.Interface, Source: p.Source, Destination: p.Destination,
				TTL: p.TTL, Payload: p.Payload,
			}
			d.step(&d.advert)
		}
	}
	d.batches.Put(b)
}

// send queues an advert for the end of the turn.
func (d *Daemon) send(a *vrrp.SendAdvert) {
	s := d.sockets[socketKey{a.Interface, a.Router.Family}]
	if s == nil {
		return // the interface has just gone; the Engine is about to hear it
	}
	if len(s.out) == 0 {
		d.writing = append(d.writing, s)
	}
	s.out = append(s.out, transport.Packet{
		Interface: a.Interface, Source: a.Source, Destination: a.Destination, Payload: a.Payload,
	})
	s.senders = append(s.senders, sender{id: a.Router, pseudo: a.PseudoHeader})
}

// letGo notes in the journal which of the senders are masters no more, before
// they say so: a crash in between must not make them go on. The last word of one
// that has just yielded, while it still has the addresses, is not a master's.
func (d *Daemon) letGo(s *socket) {
	if d.journal == nil {
		return
	}
	for n := range s.senders {
		from := &s.senders[n]
		from.letsGo = s.out[n].Payload[2] == vrrp.PriorityRelease || !d.engine.IsMaster(from.id)
		if from.letsGo {
			d.journal.stamp(from.id.Serial, 0)
		}
	}
}

// spoken notes in the journal who spoke as master: those whose adverts have left,
// for the others are dead to their peers.
func (d *Daemon) spoken(s *socket, failed []*transport.WriteError) {
	if d.journal == nil {
		return
	}
	at := d.opts.Boottime()
	for n, from := range s.senders {
		switch {
		case from.letsGo: // perhaps an advert before this one was noted
			d.journal.stamp(from.id.Serial, 0)
		case !slices.ContainsFunc(failed, func(e *transport.WriteError) bool { return e.Index == n }):
			d.journal.stampAdvert(from.id.Serial, at, from.pseudo)
		}
	}
}

// flushSockets sends the adverts of this turn, one batch a socket.
func (d *Daemon) flushSockets() {
	writing := d.writing
	d.writing = nil
	for _, s := range writing {
		d.letGo(s)
		_, err := s.conn.WriteBatch(s.out)
		failed := writeErrors(err)
		d.spoken(s, failed)
		senders := s.senders
		s.out, s.senders = s.out[:0], nil
		for _, e := range failed {
			if e.Index < len(senders) {
				d.step(&vrrp.SendFailed{Router: senders[e.Index].id, Reason: e.Err.Error()})
			}
		}
		if err == nil {
			s.senders = senders[:0]
		}
	}
	if d.writing == nil {
		d.writing = writing[:0]
	}
}

// writeErrors lists the packets that failed.
func writeErrors(err error) (list []*transport.WriteError) {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range many.Unwrap() {
			list = append(list, writeErrors(e)...)
		}
		return list
	}
	if e, ok := errors.AsType[*transport.WriteError](err); ok {
		list = append(list, e)
	}
	return list
}
