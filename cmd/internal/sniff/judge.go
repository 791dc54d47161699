package sniff

import (
	"fmt"
	"slices"

	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// find notes something about the packet.
func (a *Advert) find(kind Kind, how Severity, format string, args ...any) {
	a.Findings = append(a.Findings, Finding{kind, how, fmt.Sprintf(format, args...)})
}

// judge says what is wrong with the packet on its own. cut is set when the
// capture kept less than the frame.
func (a *Advert) judge(p *ipPacket, cut bool) {
	a.judgeIP(p)
	switch {
	case a.Protocol != vrrp.Protocol:
		return
	case p.rest:
		return
	case p.missing > 0 && cut:
		a.find(KindCut, Warning, "the capture kept %d of its %d bytes: capture with a larger snapshot length (tcpdump -s 0)", a.Length-p.missing, a.Length)
	case p.missing > 0:
		a.find(KindLength, Fault, "the IP header says %d bytes, but only %d came", a.Length, a.Length-p.missing)
	case !a.Decoded:
		a.find(KindShort, Fault, "%s, where the shortest header has 8", count(a.Length, "byte"))
	}
	if !a.Decoded {
		return
	}
	if a.carp() {
		a.find(KindCARP, Warning, "this is CARP (pfSense, OPNsense, BSD), not VRRP: give it a VHID that is no VRID here")
		return
	}
	a.judgeHeader()
	if p.missing == 0 && !p.fragment {
		a.judgeSize()
		a.judgeChecksum()
	}
	a.judgeContent()
	a.judgeMACs()
}

// judgeIP looks at what lies around the message.
func (a *Advert) judgeIP(p *ipPacket) {
	if a.Protocol != vrrp.Protocol {
		a.find(KindProtocol, Fault, "IP protocol %d, VRRP is 112", a.Protocol)
		return
	}
	if a.Authenticated {
		a.find(KindProtocol, Warning, "inside an authentication header (auth_type AH of keepalived): only routers with the same setting take it")
	}
	if p.badHeader {
		a.find(KindIPHeader, Fault, "the checksum of its IP header is wrong: every host drops it")
	}
	if p.fragment {
		a.find(KindFragment, Fault, "a fragment of an IP packet, which adverts never are")
	}
	switch multicast := a.Destination.IsMulticast(); {
	case a.TTL == vrrp.TTL:
	case multicast:
		a.find(KindTTL, Fault, "ttl %d instead of 255: it did not come from this link, routers refuse it", a.TTL)
	default:
		a.find(KindTTL, Warning, "ttl %d instead of 255: routers on the same link may refuse it", a.TTL)
	}
	group := vrrp.GroupIPv4
	if a.Source.Is6() {
		group = vrrp.GroupIPv6
	}
	switch {
	case a.Destination == group:
	case a.Destination.IsMulticast():
		a.find(KindDestination, Fault, "sent to %v, the group of VRRP is %v", a.Destination, group)
	case a.Destination == broadcast:
		a.find(KindDestination, Fault, "sent to all hosts, the group of VRRP is %v", group)
	}
	switch s := a.Source; {
	case s.IsUnspecified(), s.IsMulticast(), s.IsLoopback():
		a.find(KindSource, Fault, "sent from %v, which is no address of a router", s)
	case s.Is6() && a.Destination.IsMulticast() && !s.IsLinkLocalUnicast():
		a.find(KindSource, Warning, "sent from %v, which is not link-local as it must be", s)
	}
}

// judgeHeader looks at the first two bytes.
func (a *Advert) judgeHeader() {
	switch {
	case a.Version != vrrp.Version2 && a.Version != vrrp.Version3:
		a.find(KindVersion, Fault, "version %d, there are 2 and 3", a.Version)
	case a.Version == vrrp.Version2 && a.Source.Is6():
		a.find(KindVersion, Fault, "version 2, which IPv6 does not have")
	}
	if a.Type != typeAdvertisement {
		a.find(KindType, Fault, "type %d, an advertisement is 1", a.Type)
	}
	if a.VRID == 0 {
		a.find(KindVRID, Fault, "vrid 0, there are 1 to 255")
	}
}

// judgeSize holds the length against the number of addresses.
func (a *Advert) judgeSize() {
	if a.Count == 0 {
		a.find(KindCount, Fault, "no address: routers refuse it")
	}
	if a.found {
		return
	}
	size := 4
	if a.Source.Is6() {
		size = 16
	}
	want := headerLen + a.Count*size
	hint := ""
	switch {
	case a.Version == vrrp.Version2 && a.Length == want:
		hint = ": it lacks the 8 of the authentication data, as in version 3"
	case a.Version == vrrp.Version3 && a.Length == want+authLen:
		hint = ": authentication data, which version 3 does not have?"
	case a.Version == vrrp.Version3 && a.Length > want+authLen:
		hint = ": an authentication of its maker's own (auth_hmac of keepalived)?"
	}
	if a.Version == vrrp.Version2 {
		want += authLen
	}
	a.find(KindLength, Fault, "%s where %s %d%s", count(a.Length, "byte"), countOf(a.Count, "address makes", "addresses make"), want, hint)
}

func (a *Advert) judgeChecksum() {
	switch a.Checksum {
	case ChecksumGroup:
		a.find(KindChecksum, Fault, "checksum for %v instead of its destination (an old keepalived, or its old_unicast_checksum)", vrrp.GroupIPv4)
	case ChecksumMessage:
		a.find(KindChecksum, Fault, "checksum without the pseudo-header, which IPv6 needs")
	case ChecksumV2Pseudo:
		a.find(KindChecksum, Fault, "checksum with the pseudo-header, which version 2 does not have")
	case ChecksumNone:
		a.find(KindChecksum, Fault, "no checksum")
	case ChecksumWrong:
		a.find(KindChecksum, Fault, "wrong checksum: damaged on the way, or built wrongly")
	}
}

// judgeContent looks at what a router would act on.
func (a *Advert) judgeContent() {
	if a.Interval == 0 {
		a.find(KindIntervalZero, Fault, "advert interval 0: routers refuse it")
	}
	if a.Version == vrrp.Version2 && a.AuthType > vrrp.AuthSimple {
		a.find(KindAuthType, Warning, "authentication type %d: only routers of the same make take it", a.AuthType)
	}
	if a.Source.Is6() && len(a.Addresses) > 0 && !a.Addresses[0].IsLinkLocalUnicast() {
		a.find(KindFirstAddress, Fault, "its first address %v is not link-local: routers refuse it; put the link-local address first on the sender", a.Addresses[0])
	}
	if slices.Contains(a.Addresses, a.Source) && a.Priority != vrrp.PriorityOwner && a.Priority != vrrp.PriorityRelease {
		a.find(KindSource, Warning, "sent from %v, which is among its virtual addresses: they change hosts, and only their owner (priority 255) may send from one", a.Source)
	}
}

// judgeMACs looks at the Ethernet addresses.
func (a *Advert) judgeMACs() {
	if a.SourceMAC.virtual() && !a.VirtualMAC() {
		family := "IPv4"
		if a.SourceMAC[4] == 2 {
			family = "IPv6"
		}
		a.find(KindSourceMAC, Warning, "sent from %v, the virtual MAC of vrid %d in %s", a.SourceMAC, a.SourceMAC[5], family)
	}
	if !a.Destination.IsMulticast() {
		return
	}
	switch {
	case a.DestinationMAC != MAC{} && a.DestinationMAC != groupMAC(a.Destination):
		a.find(KindDestinationMAC, Warning, "sent to MAC %v, the group has %v: a switch or access point rewrites multicast", a.DestinationMAC, groupMAC(a.Destination))
	case a.group == no:
		a.find(KindDestinationMAC, Warning, "not sent to the MAC of the group, %v: a switch or access point rewrites multicast", groupMAC(a.Destination))
	}
}
