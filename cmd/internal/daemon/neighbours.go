package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
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
	routers []heldRouter // none where it does not tell in time
}

// heldRouter is a virtual router as a daemon tells its neighbours of it.
type heldRouter struct {
	Interface string         `json:"interface"`
	VRID      uint8          `json:"vrid"`
	Family    vrrp.Family    `json:"family"`
	Addresses []netip.Prefix `json:"addresses"`
}

// tellRouters renders the routers of a configuration for the neighbours.
func tellRouters(cfg *config.Config) []byte {
	var list []heldRouter
	for n := range cfg.Instances {
		c := &cfg.Instances[n]
		for _, f := range c.Families() {
			list = append(list, heldRouter{c.Interface, c.VRID, f, ofFamily(c.Addresses, f)})
		}
	}
	text, err := json.Marshal(list)
	if err != nil { // cannot happen
		return nil
	}
	return text
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
		if json.Unmarshal(h.Told, &list[n].routers) != nil {
			list[n].routers = nil
		}
	}
	return list
}

// disjoint refuses a configuration with a virtual router that a neighbour takes part
// in, too. Neither would hear the other one: the kernel returns to no host what it
// sent itself.
func disjoint(cfg *config.Config, beside []neighbour, exists func(iface string) bool) error {
	type place struct {
		iface  string
		vrid   uint8
		family vrrp.Family
	}
	taken := map[place]*neighbour{}
	for n := range beside {
		for _, r := range beside[n].routers {
			taken[place{r.Interface, r.VRID, r.Family}] = &beside[n]
		}
	}
	var errs []error
	for n := range cfg.Instances {
		c := &cfg.Instances[n]
		for _, f := range c.Families() {
			if by := taken[place{c.Interface, c.VRID, f}]; by != nil && exists(c.Interface) {
				errs = append(errs, fmt.Errorf("instance %s is vrid %d (%v) on %s, which another holdfast on this host (%v) has already: take it out of one of the two configurations, or stop the other daemon",
					c.Name, c.VRID, f, c.Interface, by))
				break
			}
		}
	}
	return errors.Join(errs...)
}

// notOurs tells which leftovers stay because they may be a neighbour's: all that the
// earlier run of this daemon did not list, and what a neighbour has. Where nobody
// else runs that is none.
func (d *Daemon) notOurs(earlier []journalRouter) func(vip.Present) bool {
	if len(d.opts.Neighbours) == 0 {
		return func(vip.Present) bool { return false }
	}
	return func(p vip.Present) bool {
		listed := slices.ContainsFunc(earlier, func(r journalRouter) bool {
			return r.Interface == p.Interface && slices.Contains(r.Addresses, p.Prefix)
		})
		return !listed || slices.ContainsFunc(d.opts.Neighbours, func(n neighbour) bool {
			return slices.ContainsFunc(n.routers, func(r heldRouter) bool { return r.Interface == p.Interface && slices.Contains(r.Addresses, p.Prefix) })
		})
	}
}

// existing reports whether there is an interface: who has none is nobody's rival yet.
func existing(iface string) bool {
	_, err := net.InterfaceByName(iface)
	return err == nil
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
