package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/holdfast-vrrp/holdfast/healthcheck"
	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// check is a [[check]] on its way to a [healthcheck.Config].
type check struct {
	*section
	healthcheck.Config
	onFailure vrrp.OnFailure
	weight    int
}

func newCheck(s *section) *check {
	c := &check{section: s}
	c.Name, _ = s.name()
	switch c.readKind() {
	case "http":
		c.HTTP = c.readHTTP()
	case "tcp":
		c.TCP = c.readTCP()
	case "exec":
		c.Exec = c.readExec()
	case "process":
		s.text("process")
	case "pid_file":
		s.absolutePath("pid_file")
	case "systemd":
		s.text("systemd")
	case "interface":
		s.interfaceName("interface")
	case "file":
		s.absolutePath("file")
		s.choice("when", "absent", "present")
	}
	c.readSchedule()
	c.readEffect()
	return c
}

// readKind returns the one kind the check is of, and reports the keys that do
// not go with it.
func (c *check) readKind() string {
	kind := ""
	var with []string
	for _, k := range checkKinds {
		if !c.has(k.key) {
			continue
		}
		if kind != "" {
			c.src.problem(c.keyAt(k.key), "make two checks of it", "a check has one kind: this one has %s and %s", kind, k.key)
			return ""
		}
		kind, with = k.key, k.with
	}
	if kind == "" {
		c.src.problem(c.at.start, `add http = "http://...", tcp = "host:port" or exec = ["/path"]`, "%v does not say what to check", c.table)
		return ""
	}
	for _, k := range checkKinds {
		for _, key := range k.with {
			if c.has(key) && !slices.Contains(with, key) {
				c.src.problem(c.keyAt(key), "", "%s goes with %s, but this check has %s", key, k.key, kind)
			}
		}
	}
	return kind
}

func (c *check) readSchedule() {
	c.Interval, c.Retry = defaultCheckEvery, defaultCheckRetry
	c.Fall, c.Rise = defaultFall, defaultRise
	if d, ok := c.duration("interval", minProbeInterval, maxProbeInterval); ok {
		c.Interval = d
	}
	c.Timeout = min(c.Interval, maxProbeTimeout)
	if d, ok := c.duration("timeout", minProbeInterval, maxProbeTimeout); ok {
		c.Timeout = d
	}
	// A short interval is a short spacing already.
	c.Retry = min(c.Retry, c.Interval)
	if d, ok := c.duration("retry", minProbeInterval, maxProbeInterval); ok {
		if d > c.Interval {
			c.bad("retry", "", "retry %s must not be longer than interval %s", human(d), human(c.Interval))
		}
		c.Retry = d
	}
	if v, ok := c.integer("fall", 1, maxRounds); ok {
		c.Fall = v
	}
	if v, ok := c.integer("rise", 1, maxRounds); ok {
		c.Rise = v
	}
}

func (c *check) readEffect() {
	if word, ok := c.choice("on_failure", "demote", "release"); ok && word == "release" {
		c.onFailure = vrrp.Release
	}
	if !c.has("weight") {
		return
	}
	if c.has("on_failure") {
		c.src.problem(c.keyAt("weight"), "on_failure is the better choice: remove weight", "weight and on_failure exclude each other")
	}
	const most = vrrp.PriorityOwner - 2 // from one end of 1 to 254 to the other
	v, ok := c.integer("weight", -most, most)
	if !ok {
		return
	}
	if v == 0 {
		c.bad("weight", `for keepalived's meaning of 0 write on_failure = "release"`, "weight 0 would change nothing")
	}
	c.onFailure, c.weight = vrrp.Weigh, v
}

func (c *check) readTCP() *healthcheck.TCP {
	t := &healthcheck.TCP{}
	if v, ok := c.text("tcp"); ok {
		if reason := hostPortFault(v, false); reason != "" {
			c.bad("tcp", `write "127.0.0.1:80" or "[::1]:80"`, "tcp %q %s", v, reason)
		}
		t.Address = v
	}
	t.Send, _ = c.str("send")
	t.Expect = c.pattern("expect")
	return t
}

func (c *check) readExec() *healthcheck.Exec {
	e := &healthcheck.Exec{}
	e.Command, _ = c.command("exec")
	if v, ok := c.account("user"); ok {
		if v == "" {
			c.bad("user", "leave it out to run as the daemon does", "user is empty")
		}
		e.User = v
	}
	items, _ := c.stringsNotEmpty("env", `["NAME=value"]`, "leave it out")
	seen := map[string]bool{}
	for _, it := range items {
		name, _, ok := strings.Cut(it.value, "=")
		switch {
		case !ok || name == "" || strings.ContainsRune(it.value, 0):
			c.src.problem(it.at, "", "env %q must be NAME=value", it.value)
		case seen[name]:
			c.src.problem(it.at, "", "env has %s twice", name)
		}
		seen[name] = true
	}
	e.Env = values(items)
	return e
}

// label names the check in messages about others.
func (c *check) label() string { return fmt.Sprintf("check %q", c.Name) }
