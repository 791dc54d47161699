package daemon

import (
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/history"
	"github.com/holdfast-vrrp/holdfast/vrrp/transport"
)

// deaf is a place whose socket stopped receiving. One such failure costs a packet.
// Where sockets fail one after the other nobody is heard, and that must not pass for
// a network without a master.
type deaf struct {
	failed time.Time // last
	told   time.Time // when people last heard of it
	why    string    // set from the second failure until a socket has proved itself
}

// deafAgain is for how long a failure is a recent one, and how often at most people
// hear of those at one place.
const deafAgain = time.Minute

// reopen replaces a socket that does not receive any more: at once, unless it has
// done so before and was of no use, for that could keep the loop from everything else.
func (d *Daemon) reopen(key transport.Place, s *socket, err error) {
	iface := d.socketNames[key]
	h := d.deaf[key]
	if h == nil {
		h = &deaf{}
		d.deaf[key] = h
	}
	recent := !h.failed.IsZero() && d.now.Sub(h.failed) < deafAgain
	h.failed = d.now
	if h.told.IsZero() || d.now.Sub(h.told) >= deafAgain {
		h.told = d.now
		d.record(history.Event{
			Kind: history.KindDaemon, Severity: history.Warning, Interface: iface, Family: key.Family.String(), Reason: oneLine(err),
			Text: sentence(iface+": a VRRP socket stopped receiving, another one is opened", err),
		}, "a VRRP socket stopped receiving; another one is opened", "interface", iface, "family", key.Family.String(), "error", err)
	}
	d.closeSocket(key)
	if d.now.Sub(s.opened) < socketRetry || recent && !s.heard {
		if h.why == "" {
			h.why = fmt.Sprintf("VRRP sockets on %s fail again and again: %s", iface, oneLine(err))
		}
	} else if d.openSocket(key, iface, s.crowd.vrids) == nil {
		return
	}
	d.linkChanged(iface)
}

// listen opens the socket of a place, unless it is open. Where sockets failed it
// waits before it opens one, and reports the failure until that one has heard
// somebody, or was quiet for as long as a master may be.
func (d *Daemon) listen(key transport.Place, iface string, vrids transport.VRIDs) error {
	h := d.deaf[key]
	fails := h != nil && h.why != ""
	if fails && d.sockets[key] == nil && d.now.Sub(h.failed) < socketRetry {
		return errors.New(h.why)
	}
	if err := d.openSocket(key, iface, vrids); err != nil {
		return err
	}
	if !fails {
		return nil
	}
	if s := d.sockets[key]; !s.heard && d.now.Sub(s.opened) < d.quietest(iface) {
		return errors.New(h.why)
	}
	h.why = ""
	d.record(history.Event{
		Kind: history.KindDaemon, Interface: iface, Family: key.Family.String(), Text: iface + ": VRRP sockets do not fail any more",
	}, "VRRP sockets do not fail any more", "interface", iface, "family", key.Family.String())
	return nil
}

// quietest is how long at least nothing is heard on an interface whose masters are
// dead.
func (d *Daemon) quietest(iface string) time.Duration {
	longest := socketRetry
	for n := range d.cfg.Instances {
		if c := &d.cfg.Instances[n]; c.Interface == iface {
			longest = max(longest, 4*c.AdvertInterval)
		}
	}
	return longest
}
