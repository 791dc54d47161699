package doctor

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/ndp"
	"golang.org/x/sys/unix"

	"github.com/holdfast-vrrp/holdfast/vip"
	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// Questions for addresses go out at no more than askRate a second, so that large
// sets disturb nobody. Each is asked askTimes: at the beginning, and at the end
// with answerTime left, so that a master which leaves meanwhile is told from a
// host that stays.
const (
	askRate    = 250
	askTimes   = 2
	answerTime = 500 * time.Millisecond
)

// questions lists the addresses to ask for on a link: the VIPs, the peers, and
// those that this host sends from; IPv6 ones only when it can ask for them. more is
// how many there is no time for.
func (x *Examination) questions(l *wireLink) (list []netip.Addr, more int) {
	add := func(a netip.Addr) {
		if a.IsValid() && !slices.Contains(list, a) {
			list = append(list, a)
		}
	}
	for _, in := range x.On(l.link.Name) {
		for _, p := range in.Peers {
			if l.onLink(p) {
				add(p)
			}
		}
		for _, f := range in.Families() {
			for _, p := range l.link.Own(f) {
				if f == vrrp.IPv4 {
					add(p.Prefix.Addr())
				}
			}
		}
	}
	seen := map[netip.Addr]bool{}
	for _, in := range x.On(l.link.Name) {
		for _, p := range in.Addresses {
			if a := p.Addr(); !seen[a] && !slices.Contains(list[:min(len(list), 64)], a) {
				seen[a] = true
				list = append(list, a)
			}
		}
	}
	if !l.asker().IsValid() {
		list = slices.DeleteFunc(list, netip.Addr.Is6)
	}
	most := max(1, int((x.Wait-answerTime).Seconds()*askRate/askTimes))
	if len(list) > most {
		return list[:most], len(list) - most
	}
	return list, 0
}

// onLink tells whether an address is in a network of the link, so that it can be
// asked for there.
func (l *wireLink) onLink(a netip.Addr) bool {
	if a.IsLinkLocalUnicast() {
		return true
	}
	return slices.ContainsFunc(l.link.Own(vrrp.FamilyOf(a)), func(p vip.Present) bool {
		return p.Prefix.Contains(a) && !p.Prefix.IsSingleIP()
	})
}

// ask asks for the addresses of a link, the last time so that the answers come
// before the end. The questions change nothing at those who hear them: ARP probes have no sender
// (RFC 5227 section 2.1.1), and neighbour solicitations come from this host.
func ask(ctx context.Context, l *wireLink, end time.Time) error {
	if len(l.link.MAC) != 6 {
		return nil // a link without addresses has no such questions
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open a packet socket: %w", err)
	}
	defer unix.Close(fd)
	to := &unix.SockaddrLinklayer{Ifindex: l.link.Index}
	tick := time.NewTicker(time.Second / askRate)
	defer tick.Stop()
	for round := range askTimes {
		wait := time.Duration(0)
		if round == askTimes-1 {
			wait = time.Until(end) - answerTime - time.Duration(len(l.asked))*time.Second/askRate
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil
		}
		for _, a := range l.asked {
			frame, err := l.question(a)
			if err != nil {
				return err
			}
			if err := unix.Sendto(fd, frame, 0, to); err != nil && err != unix.ENOBUFS && err != unix.ENETDOWN {
				return fmt.Errorf("ask for %v on %s: %w", a, l.link.Name, err)
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return nil
			}
		}
	}
	return nil
}

// question is the frame that asks who has an address.
func (l *wireLink) question(a netip.Addr) ([]byte, error) {
	if a.Is4() {
		p, err := arp.NewPacket(arp.OperationRequest, l.link.MAC, netip.IPv4Unspecified(), make(net.HardwareAddr, 6), a)
		if err != nil {
			return nil, err
		}
		payload, err := p.MarshalBinary()
		if err != nil {
			return nil, err
		}
		return (&ethernet.Frame{Destination: ethernet.Broadcast, Source: l.link.MAC, EtherType: ethernet.EtherTypeARP, Payload: payload}).MarshalBinary()
	}
	group, err := ndp.SolicitedNodeMulticast(a)
	if err != nil {
		return nil, err
	}
	message, err := ndp.MarshalMessageChecksum(&ndp.NeighborSolicitation{
		TargetAddress: a,
		Options:       []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Source, Addr: l.link.MAC}},
	}, l.asker(), group)
	if err != nil {
		return nil, err
	}
	b := []byte{0x60, 0, 0, 0, byte(len(message) >> 8), byte(len(message)), unix.IPPROTO_ICMPV6, 255}
	b = append(append(b, l.asker().AsSlice()...), group.AsSlice()...)
	g := group.As16()
	return (&ethernet.Frame{
		Destination: net.HardwareAddr{0x33, 0x33, g[12], g[13], g[14], g[15]}, Source: l.link.MAC,
		EtherType: ethernet.EtherTypeIPv6, Payload: append(b, message...),
	}).MarshalBinary()
}

// asker is the IPv6 address of this host that asks on the link, which is no VIP:
// the link-local one, or else another (RFC 4861 section 4.3 allows any). It is
// invalid when there is none.
func (l *wireLink) asker() (from netip.Addr) {
	for _, p := range l.link.Own(vrrp.IPv6) {
		switch a := p.Prefix.Addr(); {
		case p.Tentative:
		case a.IsLinkLocalUnicast():
			return a
		case !from.IsValid():
			from = a
		}
	}
	return from
}
