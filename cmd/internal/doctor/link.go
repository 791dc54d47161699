package doctor

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
	"github.com/holdfast-vrrp/holdfast/vip"
	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// Link is an interface of this host.
type Link struct {
	Name  string
	Index int
	MAC   net.HardwareAddr
	// MTU is in bytes.
	MTU int
	// Up is the administrative state, Carrier whether the link works.
	Up, Carrier bool
	// Multicast is the flag, Loopback whether it is that one.
	Multicast, Loopback bool
	// Kind is what the kernel calls a virtual interface, such as "bridge", Master
	// the index of the one that this is a port of.
	Kind   string
	Master int
	// Addresses are in the order in which the kernel has them, IPv4 first.
	Addresses []Present
}

// Present is an address of an interface.
type Present = vip.Present

// Own lists the addresses of a family that no holdfast configured.
func (l *Link) Own(f vrrp.Family) (list []Present) {
	for _, a := range l.Addresses {
		if !a.Ours() && vrrp.FamilyOf(a.Prefix.Addr()) == f {
			list = append(list, a)
		}
	}
	return list
}

// markOurs tells VIPs that a holdfast put on their interface from those of others
// where the kernel does not note who did (before Linux 5.18): by their lease, and
// by what the daemon says.
func (x *Examination) markOurs() {
	for _, l := range x.Links {
		if slices.ContainsFunc(l.Addresses, func(a Present) bool { return a.Proto != 0 }) {
			return // the kernel marks its own 127.0.0.1, for one
		}
	}
	for _, in := range x.Instances {
		l := x.Link(in.Interface)
		if l == nil || in.Priority == vrrp.PriorityOwner {
			continue
		}
		for n := range l.Addresses {
			a := &l.Addresses[n]
			isVIP := slices.ContainsFunc(in.Addresses, func(p netip.Prefix) bool { return p.Addr() == a.Prefix.Addr() })
			if isVIP && (a.ValidLifetime > 0 || x.isMaster(in.Name)) {
				a.Proto = vip.Proto
			}
		}
	}
}

// ports are those of a bridge; none of another interface.
func (x *Examination) ports(iface string) (names []string) {
	bridge := x.Link(iface)
	if bridge == nil || bridge.Kind != "bridge" {
		return nil
	}
	for _, l := range x.Links {
		if l.Master == bridge.Index {
			names = append(names, l.Name)
		}
	}
	return names
}

// isMaster tells whether the daemon says so of an instance.
func (x *Examination) isMaster(name string) bool {
	return x.Status != nil && slices.ContainsFunc(x.Status.Instances, func(i control.Instance) bool { return i.Name == name && i.State == "master" })
}

// listLinks lists the interfaces of this network namespace.
func listLinks() ([]*Link, error) {
	all, err := dump(netlink.LinkList)
	if err != nil {
		return nil, fmt.Errorf("cannot list the interfaces of this host: %w", err)
	}
	var links []*Link
	byIndex := map[int]*Link{}
	for _, one := range all {
		a := one.Attrs()
		l := &Link{
			Name: a.Name, Index: a.Index, MAC: a.HardwareAddr, MTU: a.MTU, Kind: one.Type(), Master: a.MasterIndex,
			Up: a.RawFlags&unix.IFF_UP != 0, Carrier: a.RawFlags&unix.IFF_LOWER_UP != 0,
			Multicast: a.RawFlags&unix.IFF_MULTICAST != 0, Loopback: a.RawFlags&unix.IFF_LOOPBACK != 0,
		}
		links = append(links, l)
		byIndex[l.Index] = l
	}
	addrs, err := vip.Addresses()
	if err != nil {
		return nil, fmt.Errorf("cannot list the addresses of this host: %w", err)
	}
	for _, a := range addrs {
		if l := byIndex[a.Index]; l != nil {
			l.Addresses = append(l.Addresses, a)
		}
	}
	return links, nil
}

// dump repeats a listing that the kernel says was overtaken by a change.
func dump[T any](list func() (T, error)) (t T, err error) {
	for range 20 {
		if t, err = list(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	return t, err
}
