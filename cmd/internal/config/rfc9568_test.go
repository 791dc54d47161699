package config

import (
	"strings"
	"testing"
	"time"
)

// RFC 9568 section 6.1, not met: there is no Accept_Mode False, and to ask for it
// is refused, so that nobody relies on it.
func TestRFC9568_P6_AcceptModeFalseIsRefused(t *testing.T) {
	mustParse(t, oneInstance+"accept = true")
	_, _, err := Parse(caseFile, []byte(oneInstance+"accept = false"))
	if err == nil || !strings.Contains(err.Error(), "accept = false is not available yet") {
		t.Errorf("accept = false: %v", err)
	}
}

// RFC 9568 section 6.1: the defaults are those of the RFC, without any delay that
// it does not know.
func TestRFC9568_P9_Defaults(t *testing.T) {
	c := mustParse(t, oneInstance).Instances[0]
	if c.Version != 3 || c.Priority != 100 || c.AdvertInterval != time.Second || !c.Preempt || c.PreemptDelay != 0 || c.StartupDelay != 0 {
		t.Errorf("version %d, priority %d, interval %v, preempt %t after %v, startup delay %v",
			c.Version, c.Priority, c.AdvertInterval, c.Preempt, c.PreemptDelay, c.StartupDelay)
	}
}

// RFC 9568 section 7.3, not met: there is no virtual MAC, and to ask for one is
// refused.
func TestRFC9568_T25_VirtualMACIsRefused(t *testing.T) {
	mustParse(t, oneInstance+"virtual_mac = false")
	_, _, err := Parse(caseFile, []byte(oneInstance+"virtual_mac = true"))
	if err == nil || !strings.Contains(err.Error(), "virtual_mac is not available yet") {
		t.Errorf("virtual_mac = true: %v", err)
	}
}
