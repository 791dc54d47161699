package metrics

import (
	"slices"
	"strconv"
	"strings"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
)

const forKeepalived = "; for dashboards of keepalived."

// compatStates are the states by the numbers that keepalived gives them.
var compatStates = []string{"init", "backup", "master", "fault"}

// compatMetrics are the metrics of mehdy/keepalived-exporter, with its labels and
// values, for dashboards and alerts that were made for it.
func compatMetrics() []metric {
	check := func(name, help string, of func(c *control.Check) float64) metric {
		return metric{name: "keepalived_script_" + name, kind: gauge, help: help + forKeepalived, series: func(e *encoder, s *scrape) {
			for n := range s.st.Checks {
				if c := &s.st.Checks[n]; c.State != "unknown" {
					e.sample(of(c), "name", c.Name)
				}
			}
		}}
	}
	return append(
		compatCounters(),
		up("keepalived_up", "Whether the daemon answers"+forKeepalived),
		metric{name: "keepalived_vrrp_state", kind: gauge, help: "State of an address: 0 init, 1 backup, 2 master, 3 fault" + forKeepalived, series: func(e *encoder, s *scrape) {
			for n := range s.st.Instances {
				i := &s.st.Instances[n]
				for _, a := range i.Addresses {
					state := slices.Index(compatStates, addressState(i, a.Address))
					e.sample(float64(state), "iname", i.Name, "intf", i.Interface, "ip_address", compatAddress(a.Address), "vrid", strconv.Itoa(i.VRID))
				}
			}
		}},
		check("status", "Whether a check is healthy", func(c *control.Check) float64 { return truth(c.State == "healthy") }),
		check("state", "Always 0", func(*control.Check) float64 { return 0 }),
	)
}

func compatCounters() []metric {
	count := func(name, help string, of func(c *control.Counters) uint64) metric {
		return metric{name: "keepalived_" + name + "_total", kind: counter, help: help + forKeepalived, series: func(e *encoder, s *scrape) {
			for n := range s.st.Instances {
				i := &s.st.Instances[n]
				e.count(of(&i.Counters), "iname", i.Name, "intf", i.Interface, "vrid", strconv.Itoa(i.VRID))
			}
		}}
	}
	dropped := func(name, help string, reasons ...string) metric {
		return count(name, help, func(c *control.Counters) (n uint64) {
			for _, r := range reasons {
				n += c.Dropped[r]
			}
			return n
		})
	}
	return []metric{
		count("advertisements_received", "Adverts received", func(c *control.Counters) uint64 { return c.AdvertsReceived }),
		count("advertisements_sent", "Adverts sent", func(c *control.Counters) uint64 { return c.AdvertsSent }),
		count("become_master", "Times it became master", func(c *control.Counters) uint64 { return c.BecameMaster }),
		count("release_master", "Times it ceased to be master", func(c *control.Counters) uint64 { return c.LeftMaster }),
		dropped("packet_length_errors", "Packets of a wrong length", "short", "length"),
		dropped("advertisements_interval_errors", "Packets with another advert interval", "interval", "interval_zero"),
		dropped("ip_ttl_errors", "Packets with a TTL that is not 255", "ttl"),
		dropped("invalid_type_received", "Packets of an unknown type", "type"),
		dropped("address_list_errors", "Packets with a bad address list", "address_count", "first_address"),
		dropped("authentication_invalid", "Always 0: every type that is not the configured one is a mismatch"),
		dropped("authentication_mismatch", "Packets with another type of authentication", "auth_type"),
		dropped("authentication_failure", "Packets with a wrong password", "auth_data"),
		count("priority_zero_received", "Adverts of priority 0 received", func(c *control.Counters) uint64 { return c.ReleasesReceived }),
		count("priority_zero_sent", "Adverts of priority 0 sent", func(c *control.Counters) uint64 { return c.ReleasesSent }),
		dropped("gratuitous_arp_delay", "Always 0: announcements are not delayed"),
	}
}

// addressState is the state of the family that an address belongs to.
func addressState(i *control.Instance, address string) string {
	family := "ipv4"
	if strings.Contains(address, ":") {
		family = "ipv6"
	}
	for n := range i.Families {
		if i.Families[n].Family == family {
			return i.Families[n].State
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
