package rehearsal

import "time"

// Report is what a rehearsal found.
type Report struct {
	// Version is that of the JSON form.
	Version int    `json:"version"`
	Seed    uint64 `json:"seed"`
	// Nodes and Instances are in the order of the files.
	Nodes     []string   `json:"nodes"`
	Instances []Instance `json:"instances"`
	// Failures has one entry for each single failure.
	Failures []Scenario `json:"failures"`
	// Pairs has those pairs of failures that ended or went worse than each alone
	// would; PairsTried counts all.
	Pairs      []Scenario `json:"pairs"`
	PairsTried int        `json:"pairs_tried"`
	// Findings are what will surprise.
	Findings []Finding `json:"findings"`
	// Bad is set when a scenario ends with nobody or two serving.
	Bad bool `json:"bad"`
}

// Instance is a service of the nodes.
type Instance struct {
	Name      string   `json:"name"`
	VRID      int      `json:"vrid"`
	Addresses []string `json:"addresses"`
	Nodes     []string `json:"nodes"`
}

// Scenario is what became of the instances when something happened.
type Scenario struct {
	// Name is what happens, such as "lb1 dies".
	Name string `json:"name"`
	// Lasts is how long it is so.
	Lasts time.Duration `json:"lasts_ns,omitempty"`
	Rows  []Row         `json:"rows"`
	// Bad is set when nobody or two serve at the end.
	Bad bool `json:"bad"`
	// Trace is the story, when it was asked for.
	Trace []string `json:"trace,omitempty"`
}

// Row is one instance in a scenario. Who serves is a node, several with " + "
// between them, or nobody.
type Row struct {
	Instance string `json:"instance"`
	Before   string `json:"before,omitempty"`
	During   string `json:"during,omitempty"`
	After    string `json:"after"`
	// Unserved is how long the client was without service in all, Two how long
	// two nodes were master and held the addresses.
	Unserved time.Duration `json:"unserved_ns"`
	Two      time.Duration `json:"two_ns"`

	moved bool // another node served meanwhile
}

// Finding is something that will surprise.
type Finding struct {
	Instance string `json:"instance,omitempty"`
	// Scenario is where it was seen; empty when the files alone tell.
	Scenario string `json:"scenario,omitempty"`
	Text     string `json:"text"`
	Hint     string `json:"hint,omitempty"`
	// More counts the other scenarios that show the same.
	More int `json:"more,omitempty"`
	// Note is set when it may well be meant.
	Note bool `json:"note,omitempty"`
}
