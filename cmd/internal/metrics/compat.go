package metrics

import (
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
)

// compatDescs describe the metrics of mehdy/keepalived-exporter, with its
// labels and values, for dashboards and alerts that were made for it.
type compatDescs struct {
	up, state, scriptStatus, scriptState *prometheus.Desc
	counters                             []compatCounter
}

// compatCounter is one of its counters and what that counts here.
type compatCounter struct {
	desc  *prometheus.Desc
	value func(*control.Counters) uint64
}

func (c *collector) newCompatDescs() compatDescs {
	d := compatDescs{
		up:           c.desc("keepalived_up", "Whether the daemon answers; for dashboards of keepalived."),
		state:        c.desc("keepalived_vrrp_state", "State of an address: 0 init, 1 backup, 2 master, 3 fault; for dashboards of keepalived.", "iname", "intf", "vrid", "ip_address"),
		scriptStatus: c.desc("keepalived_script_status", "Whether a check is healthy; for dashboards of keepalived.", "name"),
		scriptState:  c.desc("keepalived_script_state", "Always 0; for dashboards of keepalived.", "name"),
	}
	dropped := func(reasons ...string) func(*control.Counters) uint64 {
		return func(c *control.Counters) (n uint64) {
			for _, r := range reasons {
				n += c.Dropped[r]
			}
			return n
		}
	}
	for _, m := range []struct {
		name, help string
		value      func(*control.Counters) uint64
	}{
		{"advertisements_received", "Adverts received", func(c *control.Counters) uint64 { return c.AdvertsReceived }},
		{"advertisements_sent", "Adverts sent", func(c *control.Counters) uint64 { return c.AdvertsSent }},
		{"become_master", "Times it became master", func(c *control.Counters) uint64 { return c.BecameMaster }},
		{"release_master", "Times it ceased to be master", func(c *control.Counters) uint64 { return c.LeftMaster }},
		{"packet_length_errors", "Packets of a wrong length", dropped("short", "length")},
		{"advertisements_interval_errors", "Packets with another advert interval", dropped("interval", "interval_zero")},
		{"ip_ttl_errors", "Packets with a TTL that is not 255", dropped("ttl")},
		{"invalid_type_received", "Packets of an unknown type", dropped("type")},
		{"address_list_errors", "Packets with a bad address list", dropped("address_count", "first_address")},
		{"authentication_invalid", "Always 0: every type that is not the configured one is a mismatch", dropped()},
		{"authentication_mismatch", "Packets with another type of authentication", dropped("auth_type")},
		{"authentication_failure", "Packets with a wrong password", dropped("auth_data")},
		{"priority_zero_received", "Adverts of priority 0 received", func(c *control.Counters) uint64 { return c.ReleasesReceived }},
		{"priority_zero_sent", "Adverts of priority 0 sent", func(c *control.Counters) uint64 { return c.ReleasesSent }},
		{"gratuitous_arp_delay", "Always 0: announcements are not delayed", dropped()},
	} {
		desc := c.desc("keepalived_"+m.name+"_total", m.help+"; for dashboards of keepalived.", "iname", "intf", "vrid")
		d.counters = append(d.counters, compatCounter{desc, m.value})
	}
	return d
}

func (d *compatDescs) collect(o out, st *control.Status) {
	for n := range st.Instances {
		i := &st.Instances[n]
		vrid := strconv.Itoa(i.VRID)
		for _, c := range d.counters {
			o.counter(c.desc, c.value(&i.Counters), i.Name, i.Interface, vrid)
		}
		for _, a := range i.Addresses {
			o.gauge(d.state, float64(slices.Index(states, addressState(i, a.Address))), i.Name, i.Interface, vrid, compatAddress(a.Address))
		}
	}
	for _, c := range st.Checks {
		if c.State == "unknown" {
			continue
		}
		o.gauge(d.scriptStatus, truth(c.State == "healthy"), c.Name)
		o.gauge(d.scriptState, 0, c.Name)
	}
}

// addressState is the state of the family that an address belongs to.
func addressState(i *control.Instance, address string) string {
	family := "ipv4"
	if strings.Contains(address, ":") {
		family = "ipv6"
	}
	for _, f := range i.Families {
		if f.Family == family {
			return f.State
		}
	}
	return i.State
}

// compatAddress is an address as keepalived prints it: a single one without
// its length.
func compatAddress(a string) string {
	if strings.Contains(a, ":") {
		return strings.TrimSuffix(a, "/128")
	}
	return strings.TrimSuffix(a, "/32")
}
