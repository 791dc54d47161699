package sniff

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// rescan is how often to look for interfaces that have come, gone or changed.
const rescan = 2 * time.Second

// scan looks which interfaces there are and joins the groups on new ones.
func (c *Capture) scan() error {
	list, err := net.Interfaces()
	if err != nil {
		return fmt.Errorf("list the interfaces: %w", err)
	}
	names, states := map[int]string{}, map[string]string{}
	for _, i := range list {
		wanted := slices.Contains(c.opts.Interfaces, i.Name) || len(c.opts.Interfaces) == 0 && i.Flags&net.FlagLoopback == 0
		if !wanted {
			continue
		}
		names[i.Index], states[i.Name] = i.Name, stateOf(i.Flags)
		if _, known := c.names[i.Index]; !known {
			c.join(i.Index)
		}
	}
	if c.states != nil && c.opts.Tell != nil {
		c.compare(states)
	}
	c.names, c.states, c.scanned = names, states, time.Now()
	return nil
}

// The states of an interface in which nothing is heard.
const (
	stateGone      = "is gone"
	stateDown      = "is down"
	stateNoCarrier = "has no carrier"
)

// stateOf is "" for an interface that can be heard.
func stateOf(f net.Flags) string {
	switch {
	case f&net.FlagUp == 0:
		return stateDown
	case f&net.FlagRunning == 0:
		return stateNoCarrier
	}
	return ""
}

// compare tells what has become of the interfaces.
func (c *Capture) compare(now map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(c.states)) {
		state, there := now[name]
		if !there {
			state = stateGone
		}
		if !there && len(c.opts.Interfaces) > 0 {
			now[name] = state // to be told when it is back
		}
		switch {
		case state == c.states[name]:
		case state != "":
			c.opts.Tell(name + " " + state + ": silence there means nothing until it is back")
		default:
			c.opts.Tell(name + " is back")
		}
	}
}

// join makes the interface pass the groups of VRRP, which a network card drops
// when no program wants them. Interfaces without such a filter refuse, and pass
// all anyway.
//
// A switch may withhold an IPv6 group from hosts that have not reported to be
// members, which those of IPv4 on the link need not (RFC 4541 section 2.1.2).
func (c *Capture) join(index int) {
	if c.member >= 0 {
		m := &unix.IPv6Mreq{Multiaddr: vrrp.GroupIPv6.As16(), Interface: uint32(index)}
		_ = unix.SetsockoptIPv6Mreq(c.member, unix.IPPROTO_IPV6, unix.IPV6_JOIN_GROUP, m)
	}
	_ = c.raw.Control(func(fd uintptr) {
		groups := []MAC{groupMAC(vrrp.GroupIPv4), groupMAC(vrrp.GroupIPv6)}
		if c.opts.Announcements {
			groups = append(groups, MAC{0x33, 0x33, 0, 0, 0, 1}) // all nodes
		}
		for _, g := range groups {
			m := &unix.PacketMreq{Ifindex: int32(index), Type: unix.PACKET_MR_MULTICAST, Alen: uint16(len(g))}
			copy(m.Address[:], g[:])
			_ = unix.SetsockoptPacketMreq(int(fd), unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, m)
		}
		if c.opts.Promiscuous {
			m := &unix.PacketMreq{Ifindex: int32(index), Type: unix.PACKET_MR_PROMISC}
			_ = unix.SetsockoptPacketMreq(int(fd), unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, m)
		}
	})
}

// missing tells of an interface that there is not.
func (c *Capture) missing() error {
	list, err := net.Interfaces()
	if err != nil {
		return fmt.Errorf("list the interfaces: %w", err)
	}
	var have []string
	for _, i := range list {
		have = append(have, i.Name)
	}
	for _, name := range c.opts.Interfaces {
		if name == "any" && !slices.Contains(have, name) {
			return errors.New("there is no interface any: without -i all are captured")
		}
		if !slices.Contains(have, name) {
			return fmt.Errorf("there is no interface %s; there are %s", name, strings.Join(have, ", "))
		}
	}
	if len(c.names) == 0 {
		return errors.New("there is no interface to capture from but the loopback one: name it with -i lo to capture there")
	}
	return nil
}

// Interfaces names those that are captured, and what is the matter with those
// of them where nothing can be heard now.
func (c *Capture) Interfaces() (all, deaf []string) {
	for name, state := range c.states {
		all = append(all, name)
		if state != "" {
			deaf = append(deaf, name+" "+state)
		}
	}
	slices.Sort(all)
	slices.Sort(deaf)
	return all, deaf
}
