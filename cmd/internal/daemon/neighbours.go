package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/claim"
	"github.com/holdfast-vrrp/holdfast/cmd/internal/config"
	"github.com/holdfast-vrrp/holdfast/cmd/internal/history"
	"github.com/holdfast-vrrp/holdfast/vip"
	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// neighbour is another daemon in this network namespace, with a run directory of its
// own. Its addresses carry the same mark as those that an earlier run left.
type neighbour struct {
	claim.Holder
	// routers are what its journal lists: none where that cannot be read, as from
	// another container.
	routers []journalRouter
}

func (n *neighbour) String() string {
	if n.RunDir == "" {
		return n.Holder.String()
	}
	return n.Holder.String() + ", run directory " + n.RunDir
}

// neighbours lists the daemons beside the one that has a claim.
func neighbours(c *claim.Claim) []neighbour {
	others, err := c.Others()
	if err != nil { // without /proc nothing is known of them
		return nil
	}
	list := make([]neighbour, len(others))
	for n, h := range others {
		list[n].Holder = h
		if h.RunDir == "" {
			continue
		}
		var f journalFile
		text, err := os.ReadFile(filepath.Join(h.RunDir, journalName))
		if err == nil && json.Unmarshal(text, &f) == nil && f.Version == journalVersion {
			list[n].routers = f.Routers
		}
	}
	return list
}

// disjoint refuses a configuration with a virtual router that a neighbour takes part
// in, too. Neither would hear the other one: the kernel returns to no host what it
// sent itself.
func disjoint(cfg *config.Config, beside []neighbour) error {
	type place struct {
		iface  string
		vrid   uint8
		family vrrp.Family
	}
	taken := map[place]*neighbour{}
	for n := range beside {
		for _, r := range beside[n].routers {
			if r.Index != 0 { // else there is no such interface
				taken[place{r.Interface, r.VRID, r.Family}] = &beside[n]
			}
		}
	}
	var errs []error
	for n := range cfg.Instances {
		c := &cfg.Instances[n]
		for _, f := range c.Families() {
			if by := taken[place{c.Interface, c.VRID, f}]; by != nil {
				errs = append(errs, fmt.Errorf("instance %s is vrid %d (%v) on %s, which another holdfast on this host (%v) has already: take it out of one of the two configurations, or stop the other daemon",
					c.Name, c.VRID, f, c.Interface, by))
				break
			}
		}
	}
	return errors.Join(errs...)
}

// notOurs tells which leftovers stay because they may be a neighbour's: all that the
// earlier run of this daemon did not list, and what a neighbour lists. Where nobody
// else runs that is none.
func (d *Daemon) notOurs(earlier []journalRouter) func(vip.Present) bool {
	if len(d.opts.Neighbours) == 0 {
		return func(vip.Present) bool { return false }
	}
	lists := func(routers []journalRouter, iface string, p netip.Prefix) bool {
		return slices.ContainsFunc(routers, func(r journalRouter) bool { return r.Interface == iface && slices.Contains(r.Addresses, p) })
	}
	return func(p vip.Present) bool {
		return !lists(earlier, p.Interface, p.Prefix) ||
			slices.ContainsFunc(d.opts.Neighbours, func(n neighbour) bool { return lists(n.routers, p.Interface, p.Prefix) })
	}
}

// tellNeighbours says who else is there, and what that is for.
func (d *Daemon) tellNeighbours() {
	for n := range d.opts.Neighbours {
		by := d.opts.Neighbours[n].String()
		d.record(history.Event{
			Kind: history.KindDaemon, Severity: history.Warning,
			Text: "another holdfast runs on this host (" + by + "): of what an earlier run left, only those addresses are removed that the journal of this one lists",
		}, "another holdfast runs on this host; of what an earlier run left only what this one's journal lists is removed", "other", by)
	}
}
