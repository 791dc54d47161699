package metrics

import (
	"strconv"
	"strings"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
)

// states are the states of an instance.
var states = []string{"backup", "fault", "init", "master"}

// eachInstance is a metric with series of each instance. The label "instance" is
// Prometheus's own, it names what is scraped; so ours is vrrp_instance.
func eachInstance(name string, k kind, help string, series func(e *encoder, s *scrape, i *control.Instance)) metric {
	return metric{name: "holdfast_" + name, kind: k, help: help, series: func(e *encoder, s *scrape) {
		for n := range s.st.Instances {
			series(e, s, &s.st.Instances[n])
		}
	}}
}

// eachFamily is a metric with series of each address family of each instance.
func eachFamily(name, help string, series func(e *encoder, s *scrape, i *control.Instance, f *control.Family)) metric {
	return eachInstance(name, gauge, help, func(e *encoder, s *scrape, i *control.Instance) {
		for n := range i.Families {
			series(e, s, i, &i.Families[n])
		}
	})
}

// instanceMetrics are of each instance.
func instanceMetrics() []metric {
	value := func(name, help string, of func(i *control.Instance) float64) metric {
		return eachInstance("instance_"+name, gauge, help, func(e *encoder, _ *scrape, i *control.Instance) { e.sample(of(i), "vrrp_instance", i.Name) })
	}
	return append(
		append(familyMetrics(), counterMetrics()...),
		eachInstance("instance_info", gauge, "What the instance is: always 1.", func(e *encoder, _ *scrape, i *control.Instance) {
			e.sample(1, "group", i.Group, "interface", i.Interface, "version", strconv.Itoa(i.Protocol), "vrid", strconv.Itoa(i.VRID), "vrrp_instance", i.Name)
		}),
		eachInstance("instance_state", gauge, "1 for the state that the instance is in, the strongest of its address families: init, backup, master or fault.", func(e *encoder, _ *scrape, i *control.Instance) {
			for _, state := range states {
				e.sample(truth(state == i.State), "state", state, "vrrp_instance", i.Name)
			}
		}),
		value("last_transition_timestamp_seconds", "When the instance came to its state, in seconds since the epoch.", func(i *control.Instance) float64 { return timestamp(i.Since) }),
		value("priority_base", "The priority in the configuration.", func(i *control.Instance) float64 { return float64(i.Priority.Base) }),
		value("priority_effective", "The priority that the node elects with; 1 to 31 while it is demoted or drained.", func(i *control.Instance) float64 { return float64(i.Priority.Effective) }),
		value("demoted", "Whether a failing check, or trouble with the addresses, demotes the instance.", func(i *control.Instance) float64 { return truth(i.Demoted) }),
		value("drained", "Whether the operator keeps the instance behind every healthy node.", func(i *control.Instance) float64 { return truth(i.Drained) }),
		value("stands_back", "Whether the node does not take over by preemption, because the operator gave the mastership away by a failover.", func(i *control.Instance) float64 { return truth(i.Failover != nil) }),
		value("handing_over", "Whether addresses are kept for a successor at the moment.", func(i *control.Instance) float64 { return truth(i.HandingOver) }),
		value("conflict", "Whether another master is heard beside this one.", func(i *control.Instance) float64 { return truth(i.ConflictSince != nil) }),
		value("advert_interval_seconds", "The advert interval in force.", func(i *control.Instance) float64 { return seconds(i.AdvertIntervalMS) }),
		value("lease_seconds", "For how long the kernel keeps the addresses of a node that does not renew them; 0 is for ever.", func(i *control.Instance) float64 { return seconds(float64(i.LeaseMS)) }),
		eachInstance("instance_lease_remaining_seconds", gauge, "What is left of the lease since the last renewal; absent while the addresses are not here.", func(e *encoder, _ *scrape, i *control.Instance) {
			if i.LeaseLeftMS != nil {
				e.sample(seconds(float64(*i.LeaseLeftMS)), "vrrp_instance", i.Name)
			}
		}),
		value("addresses_elsewhere_now", "How many of its addresses somebody else has put on this host: on another interface, or on its own while this node is not master.", func(i *control.Instance) float64 { return float64(len(i.Elsewhere)) }),
	)
}

// familyMetrics are of the virtual routers of an instance.
func familyMetrics() []metric {
	return []metric{
		eachFamily("family_state", "1 for the state that the virtual router of one address family is in: init, backup, master or fault.", func(e *encoder, _ *scrape, i *control.Instance, f *control.Family) {
			for _, state := range states {
				e.sample(truth(state == f.State), "family", f.Family, "state", state, "vrrp_instance", i.Name)
			}
		}),
		eachFamily("instance_addresses", "How many virtual addresses the instance has in a family.", func(e *encoder, _ *scrape, i *control.Instance, f *control.Family) {
			all, _ := countAddresses(i, f)
			e.sample(float64(all), "family", f.Family, "vrrp_instance", i.Name)
		}),
		eachFamily("instance_addresses_present", "How many of these are on its interface of this host.", func(e *encoder, _ *scrape, i *control.Instance, f *control.Family) {
			_, present := countAddresses(i, f)
			e.sample(float64(present), "family", f.Family, "vrrp_instance", i.Name)
		}),
		eachFamily("master_silence_seconds", "How long ago the master that this node listens to was heard.", func(e *encoder, s *scrape, i *control.Instance, f *control.Family) {
			if f.Master != nil && f.Master.LastHeard != nil {
				e.sample(max(0, s.now.Sub(*f.Master.LastHeard)).Seconds(), "family", f.Family, "master", f.Master.Address, "vrrp_instance", i.Name)
			}
		}),
		eachFamily("master_priority", "The priority of the master: this node's own, or what the master last heard had.", func(e *encoder, _ *scrape, i *control.Instance, f *control.Family) {
			if f.Master != nil {
				e.sample(float64(f.Master.Priority), "family", f.Family, "master", f.Master.Address, "vrrp_instance", i.Name)
			}
		}),
	}
}

// countAddresses counts those of a family.
func countAddresses(i *control.Instance, f *control.Family) (all, present int) {
	for n := range i.Addresses {
		if strings.Contains(i.Addresses[n].Address, ":") != (f.Family == "ipv6") {
			continue
		}
		if all++; i.Addresses[n].Present {
			present++
		}
	}
	return all, present
}

// counterMetrics are control.Counters, field by field.
func counterMetrics() []metric {
	count := func(name, help string, of func(c *control.Counters) uint64) metric {
		return eachInstance("instance_"+name, counter, help, func(e *encoder, _ *scrape, i *control.Instance) { e.count(of(&i.Counters), "vrrp_instance", i.Name) })
	}
	return []metric{
		count("adverts_sent_total", "Adverts sent.", func(c *control.Counters) uint64 { return c.AdvertsSent }),
		count("adverts_received_total", "Good adverts received.", func(c *control.Counters) uint64 { return c.AdvertsReceived }),
		count("releases_sent_total", "Adverts of priority 0 sent: this node let go on purpose.", func(c *control.Counters) uint64 { return c.ReleasesSent }),
		count("releases_received_total", "Adverts of priority 0 received: another one let go on purpose.", func(c *control.Counters) uint64 { return c.ReleasesReceived }),
		count("send_errors_total", "Adverts that could not be sent.", func(c *control.Counters) uint64 { return c.SendErrors }),
		count("became_master_total", "How often a virtual router of the instance became master.", func(c *control.Counters) uint64 { return c.BecameMaster }),
		count("left_master_total", "How often a virtual router of the instance ceased to be master.", func(c *control.Counters) uint64 { return c.LeftMaster }),
		count("announcements_total", "Rounds of gratuitous ARP or unsolicited neighbour advertisements.", func(c *control.Counters) uint64 { return c.Announcements }),
		count("addresses_repaired_total", "Addresses that somebody else removed or changed and that were put right.", func(c *control.Counters) uint64 { return c.AddressesRepaired }),
		count("addresses_lapsed_total", "Addresses that were put back because their lease ran out before it was renewed, or may have.", func(c *control.Counters) uint64 { return c.AddressesLapsed }),
		count("addresses_elsewhere_total", "How often somebody else put an address of the instance on this host.", func(c *control.Counters) uint64 { return c.AddressesElsewhere }),
		count("rival_adverts_total", "Adverts of another master heard while this node was master.", func(c *control.Counters) uint64 { return c.Rivals }),
		// All reasons: a first one is to be seen as a rise.
		eachInstance("instance_transitions_total", counter, "Changes of the state by the kind of their reason.", func(e *encoder, s *scrape, i *control.Instance) {
			for _, reason := range s.sorted(i.Counters.Transitions) {
				e.count(i.Counters.Transitions[reason], "reason", reason, "vrrp_instance", i.Name)
			}
		}),
		// Most reasons never happen, and with many instances all their zeros would be
		// most of the answer.
		eachInstance("instance_adverts_dropped_total", counter, "Packets for the instance that were refused, by reason. A reason appears when it first happens.", func(e *encoder, s *scrape, i *control.Instance) {
			for _, reason := range s.sorted(i.Counters.Dropped) {
				if n := i.Counters.Dropped[reason]; n > 0 {
					e.count(n, "reason", reason, "vrrp_instance", i.Name)
				}
			}
		}),
	}
}
