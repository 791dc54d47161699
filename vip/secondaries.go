package vip

import (
	"errors"
	"fmt"
	"io/fs"
)

// promoteSecondaries makes the kernel keep the other addresses of a network
// when the first one of it is removed, if we add to a network: else removing ours
// could take those of others with it. So it comes before removals; additions, and
// what announces them, are not held up for it.
func (t *turn) promoteSecondaries() {
	if !t.joins || t.link.promote != "" {
		return
	}
	t.joins = false
	path := promotePath(t.iface)
	value, err := t.m.kernel.Sysctl(path)
	if err == nil && value == "0" {
		if err = t.m.kernel.SetSysctl(path, "1"); err == nil {
			t.link.promote = value
		}
	}
	t.setting(err)
}

// restoreSecondaries puts the setting back once no address of ours is left.
func (t *turn) restoreSecondaries() {
	if t.link.promote == "" || t.link.serves() {
		return
	}
	err := t.m.kernel.SetSysctl(promotePath(t.iface), t.link.promote)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		t.link.promote = ""
	}
	t.setting(err)
}

// serves reports whether an address of ours is on the interface.
func (l *link) serves() bool {
	for _, e := range l.entries {
		if e.installed {
			return true
		}
	}
	return false
}

// setting notes what came of a setting; an interface that is gone has none.
func (t *turn) setting(err error) {
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.settings = append(t.settings, fmt.Errorf("cannot keep the secondary addresses of %s: %w", t.iface, err))
	}
}

// joinsNetwork reports whether a change adds an IPv4 address that shares a
// network with others.
func joinsNetwork(c Change) bool {
	return c.Verb == Create && c.Address.Prefix.Addr().Is4() && !c.Address.Prefix.IsSingleIP()
}

func removes(c Change) bool { return c.Verb == Remove }

func promotePath(iface string) string {
	return "net/ipv4/conf/" + iface + "/promote_secondaries"
}
