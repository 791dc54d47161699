package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// table is one table of the schema.
type table struct {
	name string
	// within is the table this one is a value of; nil for one with a header.
	within *table
	// many is set when the header is written [[name]] and may be repeated.
	many bool
	keys []string
}

func (t *table) String() string {
	switch {
	case t.within != nil:
		return t.within.name + "." + t.name
	case t.many:
		return "[[" + t.name + "]]"
	}
	return "[" + t.name + "]"
}

// The schema. Each kind of check is a key, with the keys that only it has.
var (
	nodeTable    = &table{name: "node", keys: []string{"name", "log_level", "log_format", "run_dir"}}
	controlTable = &table{name: "control", keys: []string{"socket", "group"}}
	metricsTable = &table{name: "metrics", keys: []string{"listen", "compat"}}

	instanceTable = &table{name: "instance", many: true, keys: []string{
		"name", "interface", "vrid", "priority", "addresses", "advert_interval", "version",
		"preempt", "startup_delay", "peers", "source", "checks", "lease", "checksum",
		"accept", "virtual_mac", "announce", "auth",
	}}
	announceTable = &table{name: "announce", within: instanceTable, keys: []string{"repeat", "interval", "refresh", "arp"}}
	authTable     = &table{name: "auth", within: instanceTable, keys: []string{"type", "password"}}

	groupTable = &table{name: "group", many: true, keys: []string{"name", "instances"}}

	checkTable = &table{name: "check", many: true, keys: []string{
		"name",
		"http", "status", "body", "method", "headers", "host", "ca_file", "insecure",
		"tcp", "send", "expect",
		"exec", "user", "env",
		"process", "pid_file", "systemd", "interface", "file", "when",
		"interval", "timeout", "fall", "rise", "retry", "on_failure", "weight",
	}}

	notifyTable = &table{name: "notify", many: true, keys: []string{
		"on", "instances", "exec", "webhook", "fifo", "timeout", "style",
	}}

	// schema lists the tables in the order of the reference.
	schema = []*table{
		nodeTable, controlTable, metricsTable, instanceTable, announceTable, authTable,
		groupTable, checkTable, notifyTable,
	}
)

// checkKinds are the keys that say what a check probes, and what goes with each.
var checkKinds = []struct {
	key  string
	with []string
}{
	{"http", []string{"status", "body", "method", "headers", "host", "ca_file", "insecure"}},
	{"tcp", []string{"send", "expect"}},
	{"exec", []string{"user", "env"}},
	{"process", nil},
	{"pid_file", nil},
	{"systemd", nil},
	{"interface", nil},
	{"file", []string{"when"}},
}

// hookKinds are the keys that say how a hook is reached.
var hookKinds = []string{"exec", "webhook", "fifo"}

// topLevel lists the tables that have a header.
func topLevel() []string {
	var names []string
	for _, t := range schema {
		if t.within == nil {
			names = append(names, t.name)
		}
	}
	return names
}

// familiar answers people who come from keepalived, or who think of a key by
// another name: what to write in place of a key that does not exist.
var familiar = map[string]string{
	"instance.interval":                   `the time between adverts is advert_interval`,
	"instance.advert_int":                 `write advert_interval = "1s"`,
	"instance.virtual_router_id":          `write vrid`,
	"instance.virtual_ipaddress":          `write addresses = ["192.0.2.100/24"]`,
	"instance.virtual_ipaddress_excluded": `write them at the end of addresses`,
	"instance.virtual_addresses":          `write addresses = ["192.0.2.100/24"]`,
	"instance.vip":                        `write addresses = ["192.0.2.100/24"]`,
	"instance.vips":                       `write addresses = ["192.0.2.100/24"]`,
	"instance.state":                      `there is no initial state: the priorities decide who is master`,
	"instance.nopreempt":                  `write preempt = false`,
	"instance.preempt_delay":              `write preempt = "30s"`,
	"instance.unicast_peer":               `write peers = ["192.0.2.2"]`,
	"instance.unicast_src_ip":             `write source`,
	"instance.mcast_src_ip":               `write source`,
	"instance.track_script":               `write checks = ["name"] and a [[check]] of that name`,
	"instance.track_interface":            `the own interface is always watched; another one is when its instance is in the same [[group]]`,
	"instance.dont_track_primary":         `the own interface is always watched`,
	"instance.track_process":              `write checks = ["name"] and a [[check]] of that name, with exec = ["/usr/bin/pidof", "nginx"]`,
	"instance.track_file":                 `write checks = ["name"] and a [[check]] of that name; before maintenance there is 'holdfast drain'`,
	"instance.track_bfd":                  `there is no BFD: with a short advert_interval a dead master is noticed as soon`,
	"instance.use_vmac":                   `remove it: the interface's own MAC address is announced`,
	"instance.vrrp_version":               `write version`,
	"instance.authentication":             `write auth = { type = "pass", password = "..." } (version 2 only)`,
	"instance.virtual_routes":             `holdfast moves addresses alone: a [[notify]] can set routes`,
	"instance.virtual_rules":              `holdfast moves addresses alone: a [[notify]] can set rules`,
	"instance.auth_type":                  `write auth = { type = "pass", password = "..." } (version 2 only)`,
	"instance.auth_pass":                  `write auth = { type = "pass", password = "..." } (version 2 only)`,
	"instance.password":                   `write auth = { type = "pass", password = "..." } (version 2 only)`,
	"instance.garp_master_repeat":         `write announce = { repeat = 5 }`,
	"instance.garp_master_delay":          `write announce = { interval = "200ms" }`,
	"instance.garp_master_refresh":        `write announce = { refresh = "60s" }`,
	"instance.notify":                     `write a [[notify]] table`,
	"instance.notify_master":              `write a [[notify]] table with on = ["master"]`,
	"instance.notify_backup":              `write a [[notify]] table with on = ["backup"]`,
	"instance.notify_fault":               `write a [[notify]] table with on = ["fault"]`,
	"instance.notify_stop":                `write a [[notify]] table with on = ["stop"]`,
	"instance.smtp_alert":                 `a [[notify]] can send mail`,
	"check.script":                        `write exec = ["/path/to/check", "argument"]`,
	"check.command":                       `write exec = ["/path/to/check", "argument"]`,
	"check.url":                           `write http = "http://127.0.0.1/healthz"`,
	"check.instances":                     `an instance names its checks: write checks = ["name"] in [[instance]]`,
	"notify.script":                       `write exec = ["/path/to/hook", "argument"]`,
	"notify.command":                      `write exec = ["/path/to/hook", "argument"]`,
	"notify.instance":                     `write instances = ["name"]`,
	"notify.states":                       `write on = ["master", "backup"]`,
	"node.router_id":                      `write name`,
	"node.vrrp_version":                   `write version in [[instance]]`,
	"node.script_user":                    `write user in [[check]]`,
	"vrrp_instance":                       `write [[instance]]`,
	"vrrp_script":                         `write [[check]]`,
	"vrrp_track_process":                  `write [[check]] with exec = ["/usr/bin/pidof", "nginx"]`,
	"vrrp_track_file":                     `write [[check]]; before maintenance there is 'holdfast drain'`,
	"vrrp_sync_group":                     `write [[group]]`,
	"virtual_server":                      `holdfast balances nothing: keepalived can go on with that, without its vrrp_instance`,
	"global_defs":                         `write [node]`,
	"instance.advertisement_interval":     `write advert_interval = "1s"`,
}

// hintForKey says what to write in place of an unknown key of t.
func hintForKey(t *table, key string) string {
	if hint, ok := familiar[t.name+"."+key]; ok {
		if homes := homesOf(key); homes != "" {
			return fmt.Sprintf("%q belongs to %s; %s", key, homes, hint)
		}
		return hint
	}
	if homes := homesOf(key); homes != "" {
		return fmt.Sprintf("%q belongs to %s", key, homes)
	}
	return cmp.Or(didYouMean(key, t.keys), allKeys)
}

// allKeys helps with a word that resembles none.
const allKeys = "'holdfast check --reference' shows every key"

// hintForTable says what to write in place of an unknown table or top-level key.
func hintForTable(name string) string {
	if hint, ok := familiar[name]; ok {
		return hint
	}
	if homes := homesOf(name); homes != "" {
		return fmt.Sprintf("%q belongs to %s", name, homes)
	}
	near := Nearest(name, topLevel())
	for _, t := range schema {
		if t.within == nil && t.name == near {
			return fmt.Sprintf("did you mean %v?", t)
		}
	}
	return allKeys
}

// homesOf lists the tables that have a key.
func homesOf(key string) string {
	var homes []string
	for _, t := range schema {
		if slices.Contains(t.keys, key) {
			homes = append(homes, t.String())
		}
	}
	return strings.Join(homes, " and ")
}
