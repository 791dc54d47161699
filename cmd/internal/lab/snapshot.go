package lab

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Snapshot writes down the network state of the host, line by line and in an
// order that does not depend on history: links, addresses, routes and rules of
// all tables and both families, and the settings in conf/* of both. It has
// nothing that changes by itself, such as counters, lifetimes or neighbours, so
// two snapshots are equal if nobody changed anything in between. For what the
// kernel does in the background after a change it waits, for at most a second.
func (h *Host) Snapshot() (string, error) {
	text, err := h.snapshot()
	for range 50 {
		time.Sleep(20 * time.Millisecond)
		last := text
		if text, err = h.snapshot(); err != nil || text == last {
			break
		}
	}
	if err != nil {
		return "", fmt.Errorf("take snapshot of %s: %w", h.name, err)
	}
	return text, nil
}

func (h *Host) snapshot() (string, error) {
	var lines []string
	for _, part := range []func() ([]string, error){h.linkLines, h.addressLines, h.routeLines, h.ruleLines, h.sysctlLines} {
		some, err := part()
		if err != nil {
			return "", err
		}
		slices.Sort(some)
		lines = append(lines, some...)
	}
	return strings.Join(lines, "\n") + "\n", nil
}

func (h *Host) linkLines() ([]string, error) {
	links, err := retryDump(h.nl.LinkList)
	if err != nil {
		return nil, err
	}
	lines := make([]string, 0, len(links))
	for _, l := range links {
		a := l.Attrs()
		lines = append(lines, fmt.Sprintf("link %s type %s mac %v mtu %d flags %v state %v promisc %d allmulti %d alias %q%s%s", a.Name, l.Type(),
			a.HardwareAddr, a.MTU, a.Flags, a.OperState, a.Promisc, a.Allmulti, a.Alias,
			relation("on", links, a.ParentIndex), relation("master", links, a.MasterIndex)))
	}
	return lines, nil
}

// relation names another link, by its name as numbers may change; one in another
// namespace, like the far end of a cable, has none.
func relation(word string, links []netlink.Link, index int) string {
	for _, l := range links {
		if index != 0 && l.Attrs().Index == index {
			return " " + word + " " + l.Attrs().Name
		}
	}
	return ""
}

func (h *Host) addressLines() ([]string, error) {
	names, err := h.linkNames()
	if err != nil {
		return nil, err
	}
	addrs, err := retryDump(func() ([]netlink.Addr, error) { return h.nl.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, err
	}
	lines := make([]string, 0, len(addrs))
	for _, a := range addrs {
		lines = append(lines, fmt.Sprintf("address %v on %s scope %d flags %#x label %q peer %v broadcast %v",
			a.IPNet, names[a.LinkIndex], a.Scope, a.Flags, a.Label, a.Peer, a.Broadcast))
	}
	return lines, nil
}

func (h *Host) linkNames() (map[int]string, error) {
	links, err := retryDump(h.nl.LinkList)
	if err != nil {
		return nil, err
	}
	names := make(map[int]string, len(links))
	for _, l := range links {
		names[l.Attrs().Index] = l.Attrs().Name
	}
	return names, nil
}

func (h *Host) routeLines() ([]string, error) {
	names, err := h.linkNames()
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		routes, err := retryDump(func() ([]netlink.Route, error) {
			all := &netlink.Route{Table: unix.RT_TABLE_UNSPEC}
			return h.nl.RouteListFiltered(family, all, netlink.RT_FILTER_TABLE)
		})
		if err != nil {
			return nil, err
		}
		for _, r := range routes {
			via := gateway(r.Gw, names[r.LinkIndex])
			for _, hop := range r.MultiPath {
				via += gateway(hop.Gw, names[hop.LinkIndex])
			}
			lines = append(lines, fmt.Sprintf("route family %d table %d type %d %v%s src %v scope %v protocol %v metric %d tos %d mtu %d flags %#x",
				family, r.Table, r.Type, r.Dst, via, r.Src, r.Scope, r.Protocol, r.Priority, r.Tos, r.MTU, r.Flags))
		}
	}
	return lines, nil
}

func gateway(ip net.IP, link string) string { return fmt.Sprintf(" via %v dev %s", ip, link) }

func (h *Host) ruleLines() ([]string, error) {
	var lines []string
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		rules, err := retryDump(func() ([]netlink.Rule, error) { return h.nl.RuleList(family) })
		if err != nil {
			return nil, err
		}
		for _, r := range rules {
			lines = append(lines, fmt.Sprintf("rule family %d %v iif %q oif %q mark %d type %d", family, r, r.IifName, r.OifName, r.Mark, r.Type))
		}
	}
	return lines, nil
}

func (h *Host) sysctlLines() (lines []string, err error) {
	err = h.Do(func() error {
		for _, pattern := range []string{"/proc/sys/net/ipv4/conf/*/*", "/proc/sys/net/ipv6/conf/*/*"} {
			paths, err := filepath.Glob(pattern)
			if err != nil {
				return err
			}
			for _, path := range paths {
				text, err := os.ReadFile(path)
				if errors.Is(err, os.ErrPermission) || errors.Is(err, unix.EIO) {
					text = []byte("-") // write-only, or never set (stable_secret)
				} else if err != nil {
					return err
				}
				lines = append(lines, fmt.Sprintf("sysctl %s = %s", path, strings.TrimSpace(string(text))))
			}
		}
		return nil
	})
	return lines, err
}
