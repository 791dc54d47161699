package vip

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
)

// promoteSecondaries makes the kernel keep the other addresses of a network
// when the first one of it is removed, before we add one to a network: else
// removing ours could take those of others with it.
func (t *turn) promoteSecondaries() {
	if t.link.promote != "" || !slices.ContainsFunc(t.changes, joinsNetwork) {
		return
	}
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
	if t.link.promote == "" {
		return
	}
	for _, e := range t.link.entries {
		if e.installed {
			return
		}
	}
	err := t.m.kernel.SetSysctl(promotePath(t.iface), t.link.promote)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		t.link.promote = ""
	}
	t.setting(err)
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

func promotePath(iface string) string {
	return "net/ipv4/conf/" + iface + "/promote_secondaries"
}
