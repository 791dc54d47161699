package daemon

import (
	"fmt"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/history"
	"github.com/holdfast-vrrp/holdfast/vip"
)

// tellPort tells that an interface is a port of a bridge, a bond or the like, which
// takes all that arrives on it, or is none any more. No peer is heard there. It is no
// fault: a master whose adverts still leave may well serve, and would let go of the
// addresses for nothing.
func (d *Daemon) tellPort(iface string, s *vip.LinkState) {
	before, now, master := d.ports[iface], "", ""
	if s.PortOf != "" {
		master = d.nameOf(s.Master)
		now = s.PortOf + " " + master
	}
	switch {
	case now == before:
		return
	case now != "":
		d.ports[iface] = now
		d.record(history.Event{
			Kind: history.KindInterface, Severity: history.Warning, Interface: iface,
			Text: fmt.Sprintf("interface %s is a port of %s, which takes all that arrives: this node hears no peer there; use interface = %q, or run 'ip link set %s nomaster'",
				iface, now, master, iface),
		}, "interface is a port of another, which takes all that arrives: this node hears no peer there; use the other one in the configuration, or run 'ip link set INTERFACE nomaster'",
			"interface", iface, "port_of", now)
		return
	}
	delete(d.ports, iface)
	if s.Index == 0 {
		return // which is told
	}
	d.record(history.Event{
		Kind: history.KindInterface, Interface: iface, Text: fmt.Sprintf("interface %s is no port of %s any more", iface, before),
	}, "interface is no port of another any more", "interface", iface, "port_of", before)
}

// nameOf is the name of the interface of an index.
func (d *Daemon) nameOf(index int) string {
	for name := range d.links {
		if d.links[name].Index == index {
			return name
		}
	}
	return fmt.Sprintf("(index %d)", index)
}
