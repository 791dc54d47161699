package vip

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	// extSkipStats keeps the statistics out of an answer about links.
	extSkipStats = 1 << 3
	// dumpTries is how often a listing that changed under way is begun again.
	dumpTries = 10
)

// errInterrupted is why a listing is incomplete.
var errInterrupted = errors.New("the list changed while it was read")

// linkInfo is a link as rtnetlink describes it.
type linkInfo struct {
	LinkState
	flags uint32
}

// parseLink reads the body of RTM_NEWLINK or RTM_DELLINK. ok is false for what
// is not about the link itself, such as what a bridge tells of its ports, or that a
// wireless link has looked for others: that has next to nothing of the link.
func parseLink(data []byte) (l linkInfo, ok bool) {
	if len(data) < unix.SizeofIfInfomsg || data[0] != unix.AF_UNSPEC {
		return linkInfo{}, false
	}
	portOf := ""
	for kind, value := range attributes(data[unix.SizeofIfInfomsg:]) {
		switch kind {
		case unix.IFLA_WIRELESS:
			return linkInfo{}, false
		case unix.IFLA_LINKINFO:
			portOf = portKind(value)
		}
	}
	parsed, err := netlink.LinkDeserialize(nil, data)
	if err != nil {
		return linkInfo{}, false
	}
	a := parsed.Attrs()
	if a.Name == "" {
		return linkInfo{}, false
	}
	l.LinkState = LinkState{
		Name: a.Name, Index: a.Index, MTU: a.MTU,
		MAC:     slices.Clone(a.HardwareAddr), // that of the library is part of data
		Up:      a.RawFlags&unix.IFF_UP != 0,
		Carrier: a.OperState == netlink.OperUp || a.OperState == netlink.OperUnknown && a.RawFlags&unix.IFF_LOWER_UP != 0,
	}
	if portOf != "" && a.MasterIndex != 0 {
		l.PortOf, l.Master = portOf, a.MasterIndex
	}
	l.flags = a.RawFlags
	return l, true
}

// portKind reads from IFLA_LINKINFO of what kind of device a link is a port; empty
// for one of a VRF.
func portKind(info []byte) string {
	for kind, value := range attributes(info) {
		if text := unix.ByteSliceToString(value); kind == unix.IFLA_INFO_SLAVE_KIND && text != "vrf" {
			return text
		}
	}
	return ""
}

// addrInfo is an address as rtnetlink describes it.
type addrInfo struct {
	addrState
	index      int
	deprecated bool
	valid      time.Duration // 0 means for ever
}

// parseAddr reads the body of RTM_NEWADDR or RTM_DELADDR.
func parseAddr(data []byte) (a addrInfo, ok bool) {
	if len(data) < unix.SizeofIfAddrmsg || data[0] != unix.AF_INET && data[0] != unix.AF_INET6 {
		return addrInfo{}, false
	}
	bits, flags := int(data[1]), uint32(data[2])
	a.scope = data[3]
	a.index = int(binary.NativeEndian.Uint32(data[4:]))
	var local, address netip.Addr
	for kind, value := range attributes(data[unix.SizeofIfAddrmsg:]) {
		switch {
		case kind == unix.IFA_LOCAL:
			local, _ = netip.AddrFromSlice(value)
		case kind == unix.IFA_ADDRESS:
			address, _ = netip.AddrFromSlice(value)
		case kind == unix.IFA_FLAGS && len(value) >= 4:
			flags = binary.NativeEndian.Uint32(value)
		case kind == unix.IFA_CACHEINFO && len(value) >= 8:
			if s := binary.NativeEndian.Uint32(value[4:]); s != forever {
				a.valid = time.Duration(s) * time.Second
			}
		case kind == ifaProto && len(value) >= 1:
			a.Proto = value[0]
		}
	}
	// Of a point-to-point address IFA_ADDRESS is the peer's; IPv6 often has no
	// IFA_LOCAL.
	if !local.IsValid() {
		local = address
	}
	a.Prefix = netip.PrefixFrom(local, bits)
	a.Tentative = flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED) != 0 && flags&unix.IFA_F_OPTIMISTIC == 0
	a.secondary = data[0] == unix.AF_INET && flags&unix.IFA_F_SECONDARY != 0
	a.deprecated = flags&unix.IFA_F_DEPRECATED != 0
	return a, a.Prefix.IsValid()
}

// dump asks for a listing, again when it changed under way. begin is called at
// each attempt, each for every message.
func (s *rtnl) dump(kind uint16, body func([]byte) []byte, begin func(), each func(message)) error {
	for range dumpTries {
		begin()
		err := s.dumpOnce(kind, body, each)
		if !errors.Is(err, errInterrupted) {
			return err
		}
	}
	return errInterrupted
}

func (s *rtnl) dumpOnce(kind uint16, body func([]byte) []byte, each func(message)) error {
	s.seq++
	s.send = appendRequest(s.send[:0], kind, unix.NLM_F_DUMP, s.seq, body)
	if err := s.write(s.send); err != nil {
		return err
	}
	interrupted := false
	for {
		b, err := s.read(0)
		if err != nil {
			s.drain()
			return err
		}
		for m := range messages(b) {
			if m.seq != s.seq {
				continue
			}
			interrupted = interrupted || m.flags&unix.NLM_F_DUMP_INTR != 0
			switch {
			case m.kind == unix.NLMSG_ERROR:
				return m.answer()
			case m.kind != unix.NLMSG_DONE:
				each(m)
			case interrupted:
				return errInterrupted
			default:
				// A dump may end with the errno of why it is incomplete.
				return m.answer()
			}
		}
	}
}

// drain reads the rest of a listing that failed: until then the kernel begins
// no other.
func (s *rtnl) drain() {
	for {
		if _, err := s.read(unix.MSG_DONTWAIT); err != nil {
			return
		}
	}
}

// links lists all links.
func (s *rtnl) links() (links []linkInfo, err error) {
	err = s.dump(unix.RTM_GETLINK, func(b []byte) []byte {
		b = append(b, make([]byte, unix.SizeofIfInfomsg)...)
		return appendAttr32(b, unix.IFLA_EXT_MASK, extSkipStats)
	}, func() { links = nil }, func(m message) {
		if l, ok := parseLink(m.data); ok && m.kind == unix.RTM_NEWLINK {
			links = append(links, l)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("list links: %w", err)
	}
	return links, nil
}

// addrs lists the addresses of a family on the interface of an index, or on
// all for index 0.
func (s *rtnl) addrs(family byte, index int) (addrs []addrInfo, err error) {
	err = s.dump(unix.RTM_GETADDR, func(b []byte) []byte {
		b = append(b, family, 0, 0, 0)
		return binary.NativeEndian.AppendUint32(b, uint32(index))
	}, func() { addrs = nil }, func(m message) {
		a, ok := parseAddr(m.data)
		switch {
		case !ok || m.kind != unix.RTM_NEWADDR:
		case index != 0 && a.index != index: // kernels before 4.20 list all interfaces
		case family != unix.AF_UNSPEC && m.data[0] != family: // without IPv6 they list IPv4 for it
		default:
			addrs = append(addrs, a)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	return addrs, nil
}

// link looks an interface up by its name.
func (s *rtnl) link(name string) (linkInfo, error) {
	s.seq++
	s.send = appendRequest(s.send[:0], unix.RTM_GETLINK, 0, s.seq, func(b []byte) []byte {
		b = append(b, make([]byte, unix.SizeofIfInfomsg)...)
		b = appendAttr32(b, unix.IFLA_EXT_MASK, extSkipStats)
		return appendAttr(b, unix.IFLA_IFNAME, append([]byte(name), 0))
	})
	if err := s.write(s.send); err != nil {
		return linkInfo{}, err
	}
	for {
		b, err := s.read(0)
		if err != nil {
			return linkInfo{}, err
		}
		for m := range messages(b) {
			switch {
			case m.seq != s.seq:
			case m.kind == unix.NLMSG_ERROR:
				return linkInfo{}, meaning(Replace, m.answer())
			case m.kind == unix.RTM_NEWLINK:
				if l, ok := parseLink(m.data); ok {
					return l, nil
				}
				return linkInfo{}, errors.New("the kernel's answer makes no sense")
			}
		}
	}
}

// delivers tells whether the host takes packets to an IPv6 address of the
// interface of an index for its own. It asks for the route alone: else the kernel
// would choose a source address among all that there are, too.
func (s *rtnl) delivers(index int, a netip.Addr) bool {
	s.seq++
	s.send = appendRequest(s.send[:0], unix.RTM_GETROUTE, 0, s.seq, func(b []byte) []byte {
		b = append(b, unix.AF_INET6, 128, 0, 0, 0, 0, 0, 0) // struct rtmsg
		b = binary.NativeEndian.AppendUint32(b, unix.RTM_F_FIB_MATCH)
		b = appendAttrAddr(b, unix.RTA_DST, a)
		// By this interface: another one may have the address, too, and that of a VRF
		// has a table of its own.
		return appendAttr32(b, unix.RTA_OIF, uint32(index))
	})
	if s.write(s.send) != nil {
		return false
	}
	for {
		b, err := s.read(0)
		if err != nil {
			return false
		}
		for m := range messages(b) {
			if m.seq == s.seq {
				const kind = 7 // rtm_type
				return m.kind == unix.RTM_NEWROUTE && len(m.data) > kind && m.data[kind] == unix.RTN_LOCAL
			}
		}
	}
}

// listing lists all links and their addresses.
func (s *rtnl) listing() (links []LinkState, addrs map[int][]addrState, err error) {
	infos, err := s.links()
	if err != nil {
		return nil, nil, err
	}
	for _, l := range infos {
		links = append(links, l.LinkState)
	}
	addrs = map[int][]addrState{}
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		list, err := s.addrs(family, 0)
		if err != nil {
			return nil, nil, err
		}
		for _, a := range list {
			addrs[a.index] = append(addrs[a.index], a.addrState)
		}
	}
	return links, addrs, nil
}
