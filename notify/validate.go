package notify

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// The states a hook may be told about.
const (
	StateMaster = "master"
	StateBackup = "backup"
	StateFault  = "fault"
	StateStop   = "stop"
	// These are no states but what else happens: another master was heard, a
	// check passes or fails from now on, somebody else meddled with an address.
	StateRival   = "rival"
	StateCheck   = "check"
	StateAddress = "address"
)

// What became of a check, or of an address.
const (
	ChangeHealthy = "healthy"
	ChangeFailing = "failing"
	// ChangeRepaired is what somebody removed or changed, or what the kernel took away
	// because its lease ran out, and this node put right; ChangeRefused what the kernel
	// does not take, ChangeElsewhere what somebody has configured on another interface
	// as well, or on its own while this node is not master.
	ChangeRepaired  = "repaired"
	ChangeRefused   = "refused"
	ChangeElsewhere = "elsewhere"
)

var states = []string{StateMaster, StateBackup, StateFault, StateStop, StateRival, StateCheck, StateAddress}

// isState tells a state from what else happens.
func isState(s string) bool { return s != StateRival && s != StateCheck && s != StateAddress }

// Validate reports everything that is wrong with c. It looks at c alone, never
// at the host: a program that is missing makes the [Outcome] an error.
func (c *Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	for i, s := range c.On {
		if !slices.Contains(states, s) {
			bad("on: %q must be one of %s", s, strings.Join(states, ", "))
		} else if c.Style == Keepalived && !isState(s) {
			bad("on: %q is no state: keepalived knows nothing of it", s)
		}
		if slices.Contains(c.On[:i], s) {
			bad("on: %q is listed twice", s)
		}
	}
	for i, s := range c.Instances {
		if s == "" {
			bad("instances: a name is empty")
		}
		if slices.Contains(c.Instances[:i], s) {
			bad("instances: %q is listed twice", s)
		}
	}
	switch {
	case len(c.Exec) == 0:
		bad("exec: the command is empty")
	case !filepath.IsAbs(c.Exec[0]):
		bad("exec: program %q must be an absolute path", c.Exec[0])
	}
	for _, s := range c.Exec {
		if strings.ContainsRune(s, 0) {
			bad("exec: argument %q contains a NUL byte", s)
		}
	}
	if c.Timeout <= 0 {
		bad("timeout %v must be more than 0", c.Timeout)
	}
	if c.Style > Keepalived {
		bad("style %d must be Holdfast or Keepalived", c.Style)
	}
	return errors.Join(errs...)
}

// wants tells whether the hook is to run for an event.
func (c *Config) wants(e *Event) bool {
	return (len(c.On) == 0 && isState(e.State) || slices.Contains(c.On, e.State)) &&
		(len(c.Instances) == 0 || slices.Contains(c.Instances, e.Instance))
}

// clone copies c with all it points to, so that the caller may reuse it.
func (c Config) clone() Config {
	c.On = slices.Clone(c.On)
	c.Instances = slices.Clone(c.Instances)
	c.Exec = slices.Clone(c.Exec)
	return c
}
