package control

import "time"

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
	// HooksFailed and HooksDropped count notify hooks since the start.
	HooksFailed  uint64 `json:"hooks_failed"`
	HooksDropped uint64 `json:"hooks_dropped"`
	// Dropped counts packets that belonged to no instance, by reason.
	Dropped map[string]uint64 `json:"dropped"`
}

// Instance is one instance.
type Instance struct {
	Name string `json:"name"`
	// State is init, backup, master or fault: the strongest of its families.
	State     string    `json:"state"`
	Since     time.Time `json:"since"`
	Reason    string    `json:"reason"`
	Interface string    `json:"interface"`
	VRID      int       `json:"vrid"`
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
	// another interface of this host, where it may answer for them.
	Elsewhere []Elsewhere `json:"elsewhere,omitempty"`
	Checks    []string    `json:"checks"`
	// AdvertIntervalMS is the interval in force, in milliseconds.
	AdvertIntervalMS float64 `json:"advert_interval_ms"`
	// LeaseMS is for how long the kernel keeps the addresses when this node does
	// not renew them, in milliseconds; 0 when it keeps them for ever.
	LeaseMS int64 `json:"lease_ms"`
	// ConflictSince is since when another master is heard beside this one.
	ConflictSince *time.Time `json:"conflict_since,omitempty"`
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

// Elsewhere is a VIP on an interface that is not its own.
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
	// AddressesElsewhere counts how often a VIP appeared on another interface.
	AddressesElsewhere uint64            `json:"addresses_elsewhere"`
	Rivals             uint64            `json:"rivals"`
	Dropped            map[string]uint64 `json:"dropped"`
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
}

// Event is one thing that happened, kept in the history and told to those who
// follow it.
type Event struct {
	// Sequence counts the events of this node, also across restarts of the
	// daemon.
	Sequence uint64    `json:"sequence"`
	Time     time.Time `json:"time"`
	// Kind is what it is about: transition, check, rival, address, hook,
	// reload, operator, notice or daemon.
	Kind string `json:"kind"`
	// Severity is info, warning or error.
	Severity string `json:"severity"`
	// Text is one plain sentence, without a full stop, that says it all.
	Text string `json:"text"`

	Instance  string `json:"instance,omitempty"`
	Family    string `json:"family,omitempty"`
	Interface string `json:"interface,omitempty"`
	Check     string `json:"check,omitempty"`
	// From and To are the states of a transition or of a check.
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
	// Reason is why, as the state itself would tell it.
	Reason string `json:"reason,omitempty"`
	// Peer is the other router of the story.
	Peer         string `json:"peer,omitempty"`
	PeerPriority int    `json:"peer_priority,omitempty"`
	Priority     int    `json:"priority,omitempty"`
	// Who asked for it, when somebody did.
	Who string `json:"who,omitempty"`
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
