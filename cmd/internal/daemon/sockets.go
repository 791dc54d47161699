package daemon

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-vrrp/holdfast/vrrp"
	"github.com/holdfast-vrrp/holdfast/vrrp/transport"
)

const (
	// batchLen is how many packets are read at once at most, batchLeast at least: room
	// for each is made ready before. turnPackets is how many in one turn, so that a
	// flood cannot hold an advert up.
	batchLeast  = 2
	batchLen    = 64
	turnPackets = 1024
	// socketRetry is how long after a failure a socket is opened again.
	socketRetry = time.Second
)

// socket is an open socket and the adverts of this turn that leave by it.
type socket struct {
	conn   transport.Conn
	opened time.Time
	heard  bool // somebody
	read   int  // packets, by the last reading that found any
	crowd  crowd
	out    []*vrrp.SendAdvert
}

// ensureSockets opens what the instances on an interface need and closes the
// rest. It returns why one could not be opened, for people.
func (d *Daemon) ensureSockets(iface string) (problem string) {
	l := d.links[iface]
	need := map[vrrp.Family]*transport.VRIDs{}
	for n := range d.cfg.Instances {
		if c := &d.cfg.Instances[n]; c.Interface == iface {
			for _, f := range c.Families() {
				if need[f] == nil {
					need[f] = &transport.VRIDs{}
				}
				need[f].Add(c.VRID)
			}
		}
	}
	for key := range d.sockets {
		switch {
		case d.socketNames[key] != iface || key.Interface == l.Index && need[key.Family] != nil:
		case key.Interface == l.Index && d.engine.Departing(iface, key.Family):
			d.retrySockets(iface) // it releases and hears its successor first
		default:
			d.closeSocket(key)
		}
	}
	if l.Index == 0 {
		return ""
	}
	for _, f := range []vrrp.Family{vrrp.IPv4, vrrp.IPv6} {
		if need[f] == nil {
			continue
		}
		if err := d.listen(transport.Place{Interface: l.Index, Family: f}, iface, *need[f]); err != nil {
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

// openSocket opens the socket, unless it is open, and has it hear these virtual
// routers.
func (d *Daemon) openSocket(key transport.Place, iface string, vrids transport.VRIDs) error {
	s := d.sockets[key]
	if s == nil {
		conn, err := d.opts.Network.Listen(key.Interface, iface, key.Family)
		if err != nil {
			return fmt.Errorf("cannot open a VRRP socket on %s: %w", iface, err)
		}
		d.sockets[key] = &socket{conn: conn, opened: d.now, crowd: crowd{vrids: vrids}}
		d.socketNames[key] = iface
		return nil
	}
	if d.engine.Departing(iface, key.Family) { // that one still hears its successor
		vrids.Join(s.crowd.vrids)
		d.retrySockets(iface)
	}
	s.crowd.vrids = vrids
	return d.refilter(key, s)
}

// closeSocket closes a socket and keeps what it counted.
func (d *Daemon) closeSocket(key transport.Place) {
	d.countStrangers(key, d.sockets[key])
	d.sockets[key].conn.Close()
	delete(d.sockets, key)
	delete(d.socketNames, key)
}

// receive feeds the packets that wait at a socket to the Engine, of a flood as
// many as one turn takes.
func (d *Daemon) receive(key transport.Place) {
	s := d.sockets[key]
	if s == nil {
		return // closed meanwhile
	}
	for read := 0; read < turnPackets; {
		ask := d.packets[:min(max(batchLeast, 2*s.read), batchLen)]
		n, err := s.conn.ReadBatch(ask)
		if err != nil {
			d.reopen(key, s, err)
			return
		}
		if n > 0 {
			s.heard, s.read = true, n
		}
		for n := range n {
			p := &d.packets[n]
			d.advert = vrrp.AdvertReceived{
				Interface: p.Interface, Source: p.Source, Destination: p.Destination,
				TTL: p.TTL, Payload: p.Payload,
			}
			if len(p.Payload) > 1 && !s.crowd.vrids.Has(p.Payload[1]) {
				s.crowd.seen++
			}
			d.traceAdvert("advert received", p.Interface, p.Source, p.Destination, p.Payload)
			d.step(&d.advert)
		}
		if read += n; n < len(ask) {
			return
		}
	}
}

// send queues an advert for the end of the turn.
func (d *Daemon) send(a *vrrp.SendAdvert) {
	s := d.sockets[transport.Place{Interface: a.Interface, Family: a.Router.Family}]
	if s == nil {
		return // the interface has just gone, or its socket; the Engine is about to hear it
	}
	d.traceAdvert("advert sent", a.Interface, a.Source, a.Destination, a.Payload)
	if len(s.out) == 0 {
		d.writing = append(d.writing, s)
	}
	s.out = append(s.out, a)
}

// batch is the adverts that one socket sends. It is used for one after the other.
type batch struct {
	adverts []*vrrp.SendAdvert
	packets []transport.Packet
	letsGo  []bool // whether the virtual router is master no more
}

func (b *batch) fill(adverts []*vrrp.SendAdvert) {
	b.adverts, b.packets, b.letsGo = adverts, b.packets[:0], b.letsGo[:0]
	for _, a := range adverts {
		b.packets = append(b.packets, transport.Packet{
			Interface: a.Interface, Source: a.Source, Destination: a.Destination, Payload: a.Payload,
		})
		b.letsGo = append(b.letsGo, false)
	}
}

// letGo notes in the journal which of the senders are masters no more, before
// they say so: a crash in between must not make them go on. The last word of one
// that has just yielded, while it still has the addresses, is not a master's.
func (d *Daemon) letGo(b *batch) {
	if d.journal == nil {
		return
	}
	for n, a := range b.adverts {
		b.letsGo[n] = a.Payload[2] == vrrp.PriorityRelease || !d.engine.IsMaster(a.Router)
		if b.letsGo[n] {
			d.journal.stamp(a.Router.Serial, 0)
		}
	}
}

// spoken notes in the journal who spoke as master: those whose adverts have left,
// for the others are dead to their peers.
func (d *Daemon) spoken(b *batch, failed []*transport.WriteError) {
	if d.journal == nil {
		return
	}
	for n, a := range b.adverts {
		switch {
		case b.letsGo[n]: // perhaps an advert before this one was noted
			d.journal.stamp(a.Router.Serial, 0)
		case !slices.ContainsFunc(failed, func(e *transport.WriteError) bool { return e.Index == n }):
			d.journal.stampAdvert(a.Router.Serial, d.boot, a.PseudoHeader)
		}
	}
}

// flushSockets sends the adverts of this turn, one batch a socket.
func (d *Daemon) flushSockets() {
	writing := d.writing
	d.writing = nil
	b := &d.batch
	for _, s := range writing {
		b.fill(s.out)
		s.out = nil
		d.letGo(b)
		_, err := s.conn.WriteBatch(b.packets)
		failed := writeErrors(err)
		d.spoken(b, failed)
		for _, e := range failed {
			if e.Index < len(b.adverts) {
				d.step(&vrrp.SendFailed{Router: b.adverts[e.Index].Router, Reason: e.Err.Error()})
			}
		}
		if err == nil { // else these steps may have queued more
			clear(b.adverts)
			s.out = b.adverts[:0]
		}
	}
	b.adverts = nil
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
