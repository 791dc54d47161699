package sniff

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// Advert is a VRRP packet, decoded as far as it goes, or another packet to the
// group of VRRP.
type Advert struct {
	Time      time.Time
	Interface string
	VLANs     []uint16
	// Outgoing is set when the host that captured it sent it.
	Outgoing bool
	// SourceMAC and DestinationMAC are zero when the capture does not say.
	SourceMAC, DestinationMAC MAC

	Source, Destination netip.Addr
	// TTL is the IPv6 hop limit, too.
	TTL int
	// Protocol is the IP protocol number: of VRRP 112.
	Protocol uint8
	// Authenticated is set for what was inside an authentication header.
	Authenticated bool

	// Decoded is set when there is a header of VRRP. All below is zero without.
	Decoded  bool
	Version  vrrp.Version
	Type     uint8
	VRID     uint8
	Priority uint8
	// Interval is the advert interval.
	Interval time.Duration
	// Count is how many addresses there should be, Addresses are those there are.
	Count     int
	Addresses []netip.Addr
	AuthType  uint8
	Auth      [8]byte
	Checksum  Checksum
	// Length is that of the VRRP message as the IP header says it.
	Length int

	// Findings are what there is to say of it.
	Findings []Finding

	group verdict // sent to a multicast address of the link
	found bool    // the message is whole and has the right size
}

// Family is the address family of the packet, which is that of its virtual
// router.
func (a *Advert) Family() vrrp.Family { return vrrp.FamilyOf(a.Source) }

// VirtualMAC tells whether the frame came from the MAC of the virtual router.
func (a *Advert) VirtualMAC() bool {
	return a.Decoded && a.SourceMAC == virtualMAC(a.Source.Is6(), a.VRID)
}

// advertises tells whether the packet is a router's claim to be master, however
// wrong it is otherwise, or its release.
func (a *Advert) advertises() bool {
	return a.Decoded && a.Protocol == vrrp.Protocol && a.Type == typeAdvertisement && !a.has(KindCARP) && !a.has(KindVRID)
}

// sound tells whether what the message says can be believed: it is whole and
// not damaged.
func (a *Advert) sound() bool {
	return a.found && a.Checksum != ChecksumUnknown && a.Checksum != ChecksumNone && a.Checksum != ChecksumWrong
}

// has tells whether something of a kind was found.
func (a *Advert) has(kind Kind) bool {
	for _, f := range a.Findings {
		if f.Kind == kind {
			return true
		}
	}
	return false
}

// Worst is the worst severity that was found.
func (a *Advert) Worst() (worst Severity) {
	for _, f := range a.Findings {
		worst = max(worst, f.Severity)
	}
	return worst
}

const (
	typeAdvertisement = 1
	headerLen         = 8
	authLen           = 8
)

// DecodeAdvert decodes a frame that VRRP sent, or that was sent to its group. ok
// is false for any other frame. Nothing of the result points into the frame.
func DecodeAdvert(f Frame) (a Advert, ok bool) {
	l, ok := f.open()
	if !ok {
		return a, false
	}
	p, ok := l.openIP()
	if !ok || !concerns(&p) {
		return a, false
	}
	a = Advert{
		Time: f.Time, Interface: f.Interface, VLANs: l.vlans, Outgoing: l.outgoing,
		SourceMAC: l.src, DestinationMAC: l.dst,
		Source: p.src, Destination: p.dst, TTL: p.ttl, Protocol: p.protocol, Authenticated: p.authenticated,
		group: l.group,
	}
	a.Length = len(p.payload) + p.missing
	if p.protocol == vrrp.Protocol && !p.rest {
		a.decode(p.payload, p.missing > 0 || p.fragment)
	}
	a.judge(&p, f.Length > len(f.Data))
	return a, true
}

// concerns tells whether a packet is worth a look: VRRP, or something else that
// goes to its group, other than the reports of its members and pings.
func concerns(p *ipPacket) bool {
	switch p.protocol {
	case vrrp.Protocol:
		return true
	case protoIGMP, protoICMP, protoICMPv6:
		return false
	}
	return p.dst == vrrp.GroupIPv4 || p.dst == vrrp.GroupIPv6
}

// decode takes what is there of a message. partial is set when not all of it is.
func (a *Advert) decode(b []byte, partial bool) {
	if len(b) < headerLen {
		return
	}
	a.Decoded = true
	a.Version, a.Type = vrrp.Version(b[0]>>4), b[0]&15
	a.VRID, a.Priority, a.Count = b[1], b[2], int(b[3])
	size, trailer := 4, 0
	if a.Source.Is6() {
		size = 16
	}
	if a.Version == vrrp.Version2 {
		a.AuthType, a.Interval = b[4], time.Duration(b[5])*time.Second
		trailer = authLen
	} else {
		a.Interval = time.Duration(binary.BigEndian.Uint16(b[4:])&0x0fff) * vrrp.IntervalStep
	}
	whole := headerLen + a.Count*size + trailer
	a.found = !partial && len(b) == whole
	list := b[headerLen:]
	// Where the length is wrong, too, nothing of a password may pass for an
	// address.
	if trailer > 0 && len(b) != whole-trailer {
		end := max(0, len(list)-trailer)
		copy(a.Auth[:], list[end:])
		list = list[:end]
	}
	for range min(a.Count, len(list)/size) {
		addr, _ := netip.AddrFromSlice(list[:size])
		a.Addresses = append(a.Addresses, addr)
		list = list[size:]
	}
	a.Checksum = checksumOf(b, a.Version, a.Source, a.Destination)
	if partial {
		a.Checksum = ChecksumUnknown
	}
}

// carpAuthLen is what a CARP packet has where VRRP counts addresses, and
// carpLen how long it is: shorter than an advert of so many.
const (
	carpAuthLen = 7
	carpLen     = 36
)

// carp tells whether the packet is one of CARP, the virtual addresses of BSD,
// pfSense and OPNsense. It has the protocol number, group and version of VRRP.
func (a *Advert) carp() bool {
	return a.Decoded && a.Version == vrrp.Version2 && a.Type == typeAdvertisement && a.Count == carpAuthLen && a.Length == carpLen
}

// Checksum is which bytes a checksum is right for.
type Checksum uint8

// The forms of a checksum.
const (
	// ChecksumUnknown is that of a packet that is not all here.
	ChecksumUnknown Checksum = iota
	// ChecksumGood is right, in a packet that has but one form.
	ChecksumGood
	// ChecksumRFC9568 covers the message alone, in version 3 over IPv4.
	ChecksumRFC9568
	// ChecksumPseudo covers the pseudo-header, too, in version 3 over IPv4, as
	// keepalived sends it.
	ChecksumPseudo
	// ChecksumGroup covers a pseudo-header with the group instead of the
	// destination, as old versions of keepalived send it to unicast peers.
	ChecksumGroup
	// ChecksumMessage and ChecksumV2Pseudo are right for the wrong bytes:
	// without the pseudo-header in IPv6, with it in version 2.
	ChecksumMessage
	ChecksumV2Pseudo
	// ChecksumNone is zero.
	ChecksumNone
	// ChecksumWrong fits nothing.
	ChecksumWrong
)

var checksumNames = []string{
	ChecksumUnknown: "unknown", ChecksumGood: "ok", ChecksumRFC9568: "rfc9568", ChecksumPseudo: "pseudo-header",
	ChecksumGroup: "group-pseudo-header", ChecksumMessage: "no-pseudo-header", ChecksumV2Pseudo: "pseudo-header",
	ChecksumNone: "none", ChecksumWrong: "wrong",
}

func (c Checksum) String() string { return checksumNames[c] }

// checksumOf finds out what the checksum of a whole message is right for.
func checksumOf(b []byte, version vrrp.Version, src, dst netip.Addr) Checksum {
	message := onesSum(b) == 0xffff
	pseudo := onesSum(pseudoHeader(src, dst, vrrp.Protocol, len(b)), b) == 0xffff
	switch six, v2 := src.Is6(), version == vrrp.Version2; {
	case six && pseudo, !six && v2 && message:
		return ChecksumGood
	case six && message:
		return ChecksumMessage
	case v2 && pseudo:
		return ChecksumV2Pseudo
	case message:
		return ChecksumRFC9568
	case pseudo:
		return ChecksumPseudo
	case !six && !v2 && onesSum(pseudoHeader(src, vrrp.GroupIPv4, vrrp.Protocol, len(b)), b) == 0xffff:
		return ChecksumGroup
	case b[6] == 0 && b[7] == 0:
		return ChecksumNone
	}
	return ChecksumWrong
}
