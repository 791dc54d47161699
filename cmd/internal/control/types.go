package control

import (
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/history"
)

// Version is the version of the JSON documents. It changes only when a reader
// of an earlier one could misunderstand.
const Version = 1

// Status is the answer to GET /v1/status.
type Status struct {
	Version int    `json:"version"`
	Node    string `json:"node"`
	Daemon  Daemon `json:"daemon"`
	// Instances are in the order of the configuration.
	Instances []Instance `json:"instances"`
	Checks    []Check    `json:"checks"`
}

// Daemon is the running program.
type Daemon struct {
	Version string    `json:"version"`
	PID     int       `json:"pid"`
	Started time.Time `json:"started"`
	Config  string    `json:"config"`
	// ReloadError is why the last reload was refused; empty when it was not.
	ReloadError string `json:"reload_error,omitempty"`
	// ListError is why the interfaces of the host cannot be listed, so that nothing is
	// known of them or of what has changed; empty while they can be.
	ListError string `json:"list_error,omitempty"`
	// JournalError is why the journal is not kept, so that a restart will not go
	// unnoticed by the peers; empty while it is. The daemon tries again.
	JournalError string `json:"journal_error,omitempty"`
	// HooksFailed and HooksDropped count notify hooks since the start.
	HooksFailed  uint64 `json:"hooks_failed"`
	HooksDropped uint64 `json:"hooks_dropped"`
	// Dropped counts packets that belonged to no instance, by reason.
	Dropped   map[string]uint64 `json:"dropped"`
	Telemetry Telemetry         `json:"telemetry"`
}

// Instance is one instance.
type Instance struct {
	Name string `json:"name"`
	// State is init, backup, master or fault: the strongest of its families.
	State     string    `json:"state"`
	Since     time.Time `json:"since"`
	Reason    string    `json:"reason"`
	Interface string    `json:"interface"`
	// PortOf is what the interface is a port of, such as "bridge br0": that takes all
	// that arrives, and no peer is heard. Absent when it is none.
	PortOf string `json:"port_of,omitempty"`
	VRID   int    `json:"vrid"`
	// Group is the group that the instance moves together with, when there is one.
	Group    string   `json:"group,omitempty"`
	Protocol int      `json:"protocol"`
	Priority Priority `json:"priority"`
	// Demoted is set while a failing check demotes the instance.
	Demoted    bool   `json:"demoted"`
	DemotedWhy string `json:"demoted_why,omitempty"`
	// Drained is set while the operator keeps the instance behind.
	Drained bool `json:"drained"`
	// Drain tells of that; null while the instance is not drained.
	Drain *Drain `json:"drain"`
	// Failover is set after a failover by the operator, until this node is
	// master again: it does not take over by preemption.
	Failover *Failover `json:"failover,omitempty"`
	// Master is who serves, as far as this node knows; null when it does not.
	Master    *Master   `json:"master"`
	Addresses []Address `json:"addresses"`
	// Elsewhere are addresses of the instance that somebody has configured on
	// another interface of this host, where it may answer for them, or on the
	// instance's own while this node is not master.
	Elsewhere []Elsewhere `json:"elsewhere,omitempty"`
	Checks    []string    `json:"checks"`
	// AdvertIntervalMS is the interval in force, in milliseconds.
	AdvertIntervalMS float64 `json:"advert_interval_ms"`
	// LeaseMS is for how long the kernel keeps the addresses when this node does
	// not renew them, in milliseconds; 0 when it keeps them for ever.
	LeaseMS int64 `json:"lease_ms"`
	// LeaseLeftMS is what is left of that since the last renewal; absent while
	// the addresses are not here.
	LeaseLeftMS *int64 `json:"lease_left_ms,omitempty"`
	// ConflictSince is since when another master is heard beside this one, and
	// ConflictWith which one was heard last in one of the families, each of which
	// tells its own; absent when none is.
	ConflictSince *time.Time `json:"conflict_since,omitempty"`
	ConflictWith  string     `json:"conflict_with,omitempty"`
	// Refused is the last packet for the instance that was refused; absent when
	// there was none lately.
	Refused *RefusedPacket `json:"refused,omitempty"`
	// AddressesDiffer tells of another router that advertises other addresses; absent
	// when there was none lately.
	AddressesDiffer *Difference `json:"addresses_differ,omitempty"`
	// HandingOver is set while addresses are kept for a successor.
	HandingOver bool     `json:"handing_over"`
	Counters    Counters `json:"counters"`
	// Families are the virtual routers of the instance.
	Families []Family `json:"families"`
}

// Drain is what the operator ordered, and who that was.
type Drain struct {
	Since time.Time `json:"since"`
	// Until is when it ends by itself; null when an order ends it.
	Until *time.Time `json:"until"`
	// Persist is set when it survives a restart of the daemon.
	Persist bool `json:"persist"`
	// By is who asked for it, such as "root (uid 0, pid 7)".
	By string `json:"by"`
	// Why is what they gave as the reason; empty when nothing.
	Why string `json:"why,omitempty"`
}

// Failover is a mastership that the operator gave away.
type Failover struct {
	Since time.Time `json:"since"`
	By    string    `json:"by"`
}

// Priority is what the instance was given and what it elects with.
type Priority struct {
	Base      int `json:"base"`
	Effective int `json:"effective"`
}

// RefusedPacket is one that was not heeded, such as an advert of another version.
type RefusedPacket struct {
	From string `json:"from"`
	// Reason is one of the words of [Counters.Dropped], Why is for people.
	Reason string    `json:"reason"`
	Why    string    `json:"why"`
	At     time.Time `json:"at"`
}

// Difference is that another router advertises other addresses than this one would.
type Difference struct {
	From string `json:"from"`
	// Why is for people. Strange is set when the two have no address in common: while
	// the other is master nobody serves the addresses of this one.
	Why     string    `json:"why"`
	Strange bool      `json:"strange"`
	At      time.Time `json:"at"`
}

// IsOwn tells that the packet has this node's own address as its source: as a rule the
// network sends back what this node sent.
func (p *RefusedPacket) IsOwn() bool { return p.Reason == "own" }

// Master is the router that serves.
type Master struct {
	Address  string `json:"address"`
	Priority int    `json:"priority"`
	// Self is set when it is this node.
	Self bool `json:"self"`
	// LastHeard is when the master was last heard; absent for this node.
	LastHeard *time.Time `json:"last_heard,omitempty"`
}

// Address is a VIP.
type Address struct {
	Address string `json:"address"`
	// Present is set while this node has the address on its interface.
	Present bool   `json:"present"`
	Problem string `json:"problem,omitempty"`
}

// Elsewhere is a VIP that somebody else has put on an interface of this host.
type Elsewhere struct {
	Address   string    `json:"address"`
	Interface string    `json:"interface"`
	Since     time.Time `json:"since"`
}

// Counters count since the daemon started or the instance was configured.
type Counters struct {
	AdvertsSent       uint64 `json:"adverts_sent"`
	AdvertsReceived   uint64 `json:"adverts_received"`
	ReleasesSent      uint64 `json:"releases_sent"`
	ReleasesReceived  uint64 `json:"releases_received"`
	SendErrors        uint64 `json:"send_errors"`
	BecameMaster      uint64 `json:"became_master"`
	LeftMaster        uint64 `json:"left_master"`
	Announcements     uint64 `json:"announcements"`
	AddressesRepaired uint64 `json:"addresses_repaired"`
	// AddressesLapsed counts those put back because their lease ran out, or may have.
	AddressesLapsed uint64 `json:"addresses_lapsed"`
	// AddressesElsewhere counts how often somebody else put a VIP on this host.
	AddressesElsewhere uint64 `json:"addresses_elsewhere"`
	Rivals             uint64 `json:"rivals"`
	// Transitions counts changes of the state by the kind of their reason,
	// Dropped packets by why they were refused.
	Transitions map[string]uint64 `json:"transitions"`
	Dropped     map[string]uint64 `json:"dropped"`
}

// Family is the virtual router of one address family.
type Family struct {
	Family string    `json:"family"`
	State  string    `json:"state"`
	Since  time.Time `json:"since"`
	Reason string    `json:"reason"`
	// Source is the address adverts are sent from; empty when there is none.
	Source string  `json:"source"`
	Master *Master `json:"master"`
	// ConflictWith is another master that is heard beside this one; absent when none is.
	ConflictWith string `json:"conflict_with,omitempty"`
}

// Rivals are the other masters that are heard beside this one, one for each family at
// most. An older daemon tells of one for all families, or of none.
func (i *Instance) Rivals() (list []string) {
	for _, f := range i.Families {
		if f.ConflictWith != "" {
			list = append(list, f.ConflictWith)
		}
	}
	if len(list) == 0 && i.ConflictWith != "" {
		list = append(list, i.ConflictWith)
	}
	return list
}

// Check is a health check.
type Check struct {
	Name string `json:"name"`
	// State is unknown, healthy or failing.
	State string     `json:"state"`
	Since *time.Time `json:"since,omitempty"`
	// LastDurationMS is how long the last probe took, in milliseconds.
	LastDurationMS float64 `json:"last_duration_ms"`
	LastOutput     string  `json:"last_output"`
	// LastAt is when it ended; absent before the first one.
	LastAt *time.Time `json:"last_at,omitempty"`
	// Passed and Failed count probes, Changes how often the state changed.
	Passed  uint64 `json:"passed"`
	Failed  uint64 `json:"failed"`
	Changes uint64 `json:"changes"`
	// Recent are the last probes, at most [RecentProbes], the latest at the end;
	// only when asked for.
	Recent []Probe `json:"recent,omitempty"`
}

// RecentProbes is how many probes of each check are kept.
const RecentProbes = 30

// Probe is how one probe of a check went.
type Probe struct {
	DurationMS float64 `json:"duration_ms"`
	Passed     bool    `json:"passed"`
}

// Event is one thing that happened.
type Event = history.Event

// Events is the answer to GET /v1/events.
type Events struct {
	Version int `json:"version"`
	// History tells this history, which numbers its events from 1, from others
	// of the same node: a node that was booted begins a new one.
	History string `json:"history"`
	// Last is the sequence of the latest event of all.
	Last uint64 `json:"last"`
	// Lost is how many of the events asked for are not kept any more.
	Lost   uint64   `json:"lost,omitempty"`
	Events []*Event `json:"events"`
}

// Lost stands in a stream in the place of events that the reader missed, because
// it was slow or away for too long.
type Lost struct {
	Lost uint64 `json:"lost"`
}

// Reloaded is the answer to POST /v1/reload.
type Reloaded struct {
	Version  int      `json:"version"`
	Warnings []string `json:"warnings,omitempty"`
}

// Error is the answer when something is refused.
type Error struct {
	Error string `json:"error"`
}
