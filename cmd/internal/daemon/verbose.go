package daemon

import (
	"net/netip"
	"strconv"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/logbook"
	"github.com/holdfast-vrrp/holdfast/healthcheck"
	"github.com/holdfast-vrrp/holdfast/vip"
)

// What only those see who look closer: it is put together while somebody does.

// traceAdvert logs an advert, received or sent.
func (d *Daemon) traceAdvert(message string, iface int, from, to netip.Addr, payload []byte) {
	if !d.log.Verbose(logbook.Trace) || len(payload) < 3 {
		return
	}
	name := strconv.Itoa(iface)
	for _, l := range d.links {
		if l.Index == iface {
			name = l.Name
		}
	}
	d.log.Trace(message, "interface", name, "from", from.String(), "to", to.String(),
		"version", int(payload[0]>>4), "vrid", int(payload[1]), "priority", int(payload[2]), "bytes", len(payload))
}

// debugProbe logs what came of one probe.
func (d *Daemon) debugProbe(r *healthcheck.Result) {
	if !d.log.Verbose(logbook.Debug) {
		return
	}
	d.log.Debug("probe", "check", r.Check, "ok", r.OK, "healthy", r.Healthy, "took", round(r.Duration).String(), "output", r.Output)
}

// debugReport logs what became of an order for addresses; what goes on all the
// time, renewals, for those who trace.
func (d *Daemon) debugReport(rep *vip.Report) {
	level := logbook.Debug
	if rep.Order == vip.OrderRenew || rep.Order == vip.OrderAudit {
		level = logbook.Trace
	}
	if !d.log.Verbose(level) {
		return
	}
	list := make([]string, len(rep.Addresses))
	for n, a := range rep.Addresses {
		list[n] = a.Prefix.String()
	}
	log := d.log.Debug
	if level == logbook.Trace {
		log = d.log.Trace
	}
	log("addresses", "order", rep.Order.String(), "interface", rep.Interface, "addresses", few(list))
}
