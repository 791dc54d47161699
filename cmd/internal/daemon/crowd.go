package daemon

import (
	"time"

	"github.com/holdfast-vrrp/holdfast/vrrp"
	"github.com/holdfast-vrrp/holdfast/vrrp/transport"
)

// crowd is what becomes of adverts of virtual routers that this node has no part
// in. A few are heard like any other. Of many the kernel is asked to keep them
// away, so that they wake nobody, and to count them; that has a price for each
// advert of our own, so it is not done before.
type crowd struct {
	vrids transport.VRIDs // of the instances there
	seen  int             // strangers, in this second
	apart bool            // the kernel keeps them away
	told  uint64          // as many of those the Engine knows of
}

const (
	// crowdGap is how often strangers are counted.
	crowdGap = time.Second
	// crowdLen is how many strangers make a crowd in that time.
	crowdLen = 10
)

// watchCrowds looks, once in a while, where strangers are many, and counts those
// that are kept away.
func (d *Daemon) watchCrowds() {
	if d.now.Sub(d.crowdsSeen) < crowdGap {
		return
	}
	d.crowdsSeen = d.now
	for key, s := range d.sockets {
		c := &s.crowd
		if c.seen >= crowdLen && !c.apart && !d.crowdsStay {
			c.apart = true
			iface := d.socketNames[key]
			if err := d.refilter(key, s); err != nil {
				d.crowdsStay = true // nobody gains by a socket that is opened anew each second
				d.trouble("adverts of other virtual routers will wake this daemon, at a cost", err)
				d.linkChanged(iface) // which opens another socket
				continue
			}
		}
		c.seen = 0
		d.countStrangers(key, s)
	}
}

// refilter tells the kernel whom to let in, where it keeps anybody away. A socket
// that failed at it would be deaf to whoever is new.
func (d *Daemon) refilter(key transport.Place, s *socket) error {
	if !s.crowd.apart {
		return nil
	}
	err := s.conn.Admit(s.crowd.vrids)
	if err != nil {
		d.closeSocket(key)
	}
	return err
}

// countStrangers tells the Engine of the packets that were kept away.
func (d *Daemon) countStrangers(key transport.Place, s *socket) {
	if !s.crowd.apart {
		return
	}
	if n := s.conn.Strangers(); n > s.crowd.told {
		d.step(&vrrp.StrangersHeard{Interface: key.Interface, Packets: n - s.crowd.told})
		s.crowd.told = n
	}
}
