package metrics

import (
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
)

// instanceDescs describe an instance.
type instanceDescs struct {
	info, state, familyState, since *prometheus.Desc
	base, effective                 *prometheus.Desc
	demoted, drained, handing       *prometheus.Desc
	standsBack                      *prometheus.Desc
	conflict                        *prometheus.Desc
	interval, lease, leaseLeft      *prometheus.Desc
	addresses, present, elsewhere   *prometheus.Desc
	silence, masterPriority         *prometheus.Desc
	counters                        counterDescs
}

// counterDescs describe control.Counters, field by field.
type counterDescs struct {
	advertsSent, advertsReceived, releasesSent, releasesReceived, sendErrors *prometheus.Desc
	becameMaster, leftMaster, announcements, repaired, elsewhere, rivals     *prometheus.Desc
	transitions, dropped                                                     *prometheus.Desc
}

// states are the states of an instance.
var states = []string{"init", "backup", "master", "fault"}

func (c *collector) newInstanceDescs() instanceDescs {
	// of is a metric of each instance. The label "instance" is Prometheus's own: it
	// names what is scraped.
	of := func(name, help string, labels ...string) *prometheus.Desc {
		return c.desc("holdfast_"+name, help, append([]string{"vrrp_instance"}, labels...)...)
	}
	return instanceDescs{
		info:           of("instance_info", "What the instance is: always 1.", "interface", "vrid", "version", "group"),
		state:          of("instance_state", "1 for the state that the instance is in, the strongest of its address families: init, backup, master or fault.", "state"),
		familyState:    of("family_state", "1 for the state that the virtual router of one address family is in: init, backup, master or fault.", "family", "state"),
		since:          of("instance_last_transition_timestamp_seconds", "When the instance came to its state, in seconds since the epoch."),
		base:           of("instance_priority_base", "The priority in the configuration."),
		effective:      of("instance_priority_effective", "The priority that the node elects with; 1 to 31 while it is demoted or drained."),
		demoted:        of("instance_demoted", "Whether a failing check, or trouble with the addresses, demotes the instance."),
		drained:        of("instance_drained", "Whether the operator keeps the instance behind every healthy node."),
		standsBack:     of("instance_stands_back", "Whether the node does not take over by preemption, because the operator gave the mastership away by a failover."),
		handing:        of("instance_handing_over", "Whether addresses are kept for a successor at the moment."),
		conflict:       of("instance_conflict", "Whether another master is heard beside this one."),
		interval:       of("instance_advert_interval_seconds", "The advert interval in force."),
		lease:          of("instance_lease_seconds", "For how long the kernel keeps the addresses of a node that does not renew them; 0 is for ever."),
		leaseLeft:      of("instance_lease_remaining_seconds", "What is left of the lease since the last renewal; absent while the addresses are not here."),
		addresses:      of("instance_addresses", "How many virtual addresses the instance has in a family.", "family"),
		present:        of("instance_addresses_present", "How many of these are on its interface of this host.", "family"),
		elsewhere:      of("instance_addresses_elsewhere_now", "How many of its addresses are on another interface of this host, put there by somebody else."),
		silence:        of("master_silence_seconds", "How long ago the master that this node listens to was heard.", "family", "master"),
		masterPriority: of("master_priority", "The priority of the master: this node's own, or what the master last heard had.", "family", "master"),
		counters: counterDescs{
			advertsSent:      of("instance_adverts_sent_total", "Adverts sent."),
			advertsReceived:  of("instance_adverts_received_total", "Good adverts received."),
			releasesSent:     of("instance_releases_sent_total", "Adverts of priority 0 sent: this node let go on purpose."),
			releasesReceived: of("instance_releases_received_total", "Adverts of priority 0 received: another one let go on purpose."),
			sendErrors:       of("instance_send_errors_total", "Adverts that could not be sent."),
			becameMaster:     of("instance_became_master_total", "How often a virtual router of the instance became master."),
			leftMaster:       of("instance_left_master_total", "How often a virtual router of the instance ceased to be master."),
			announcements:    of("instance_announcements_total", "Rounds of gratuitous ARP or unsolicited neighbour advertisements."),
			repaired:         of("instance_addresses_repaired_total", "Addresses that somebody else removed or changed and that were put right."),
			elsewhere:        of("instance_addresses_elsewhere_total", "How often an address of the instance appeared on another interface of this host."),
			rivals:           of("instance_rival_adverts_total", "Adverts of another master heard while this node was master."),
			transitions:      of("instance_transitions_total", "Changes of the state by the kind of their reason.", "reason"),
			dropped:          of("instance_adverts_dropped_total", "Packets for the instance that were refused, by reason. A reason appears when it first happens.", "reason"),
		},
	}
}

func (d *instanceDescs) collect(o out, i *control.Instance, now time.Time) {
	o.gauge(d.info, 1, i.Name, i.Interface, strconv.Itoa(i.VRID), strconv.Itoa(i.Protocol), i.Group)
	o.each(d.state, states, i.State, i.Name)
	o.gauge(d.since, timestamp(i.Since), i.Name)
	o.gauge(d.base, float64(i.Priority.Base), i.Name)
	o.gauge(d.effective, float64(i.Priority.Effective), i.Name)
	o.gauge(d.demoted, truth(i.Demoted), i.Name)
	o.gauge(d.drained, truth(i.Drained), i.Name)
	o.gauge(d.standsBack, truth(i.Failover != nil), i.Name)
	o.gauge(d.handing, truth(i.HandingOver), i.Name)
	o.gauge(d.conflict, truth(i.ConflictSince != nil), i.Name)
	o.gauge(d.interval, seconds(i.AdvertIntervalMS), i.Name)
	o.gauge(d.lease, seconds(float64(i.LeaseMS)), i.Name)
	if i.LeaseLeftMS != nil {
		o.gauge(d.leaseLeft, seconds(float64(*i.LeaseLeftMS)), i.Name)
	}
	o.gauge(d.elsewhere, float64(len(i.Elsewhere)), i.Name)
	for n := range i.Families {
		d.family(o, i, &i.Families[n], now)
	}
	d.counters.collect(o, i.Name, &i.Counters)
}

func (d *instanceDescs) family(o out, i *control.Instance, f *control.Family, now time.Time) {
	o.each(d.familyState, states, f.State, i.Name, f.Family)
	all, present := 0, 0
	for _, a := range i.Addresses {
		if strings.Contains(a.Address, ":") != (f.Family == "ipv6") {
			continue
		}
		if all++; a.Present {
			present++
		}
	}
	o.gauge(d.addresses, float64(all), i.Name, f.Family)
	o.gauge(d.present, float64(present), i.Name, f.Family)
	if f.Master == nil {
		return
	}
	o.gauge(d.masterPriority, float64(f.Master.Priority), i.Name, f.Family, f.Master.Address)
	if heard := f.Master.LastHeard; heard != nil {
		o.gauge(d.silence, max(0, now.Sub(*heard)).Seconds(), i.Name, f.Family, f.Master.Address)
	}
}

func (d *counterDescs) collect(o out, name string, c *control.Counters) {
	o.counter(d.advertsSent, c.AdvertsSent, name)
	o.counter(d.advertsReceived, c.AdvertsReceived, name)
	o.counter(d.releasesSent, c.ReleasesSent, name)
	o.counter(d.releasesReceived, c.ReleasesReceived, name)
	o.counter(d.sendErrors, c.SendErrors, name)
	o.counter(d.becameMaster, c.BecameMaster, name)
	o.counter(d.leftMaster, c.LeftMaster, name)
	o.counter(d.announcements, c.Announcements, name)
	o.counter(d.repaired, c.AddressesRepaired, name)
	o.counter(d.elsewhere, c.AddressesElsewhere, name)
	o.counter(d.rivals, c.Rivals, name)
	for reason, n := range c.Transitions { // all: a first one is to be seen as a rise
		o.counter(d.transitions, n, name, reason)
	}
	o.reasons(d.dropped, c.Dropped, name)
}
