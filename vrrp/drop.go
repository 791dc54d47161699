package vrrp

// DropReason is why a received packet was refused. The words are the same in
// status, metrics and logs.
type DropReason uint8

// The reasons, in the order in which they are tried (RFC 9568 section 7.1).
const (
	dropNone DropReason = iota
	// DropShort: fewer than 8 bytes.
	DropShort
	// DropVRID: no instance on this interface has the VRID.
	DropVRID
	// DropTTL: the TTL or hop limit is not 255.
	DropTTL
	// DropVersion: not the version of the instance.
	DropVersion
	// DropType: not an advertisement.
	DropType
	// DropCount: no address in the list (erratum 8299).
	DropCount
	// DropLength: longer or shorter than the address count says.
	DropLength
	// DropChecksum: no known form of the checksum fits.
	DropChecksum
	// DropIntervalZero: a version 3 advert interval of zero (erratum 8301).
	DropIntervalZero
	// DropFirstAddress: the first IPv6 address is not link-local (erratum 8300).
	DropFirstAddress
	// DropOwn: the source is this node's own address.
	DropOwn
	// DropDestination: multicast for a unicast instance or the other way round.
	DropDestination
	// DropPeer: the sender is not among the unicast peers.
	DropPeer
	// DropAuthType: not the local authentication type (version 2).
	DropAuthType
	// DropAuthData: the password differs (version 2).
	DropAuthData
	// DropInterval: another advert interval than ours (version 2 only).
	DropInterval
	// DropOwner: this node is the address owner (version 2 only).
	DropOwner

	dropReasons
)

var dropNames = [dropReasons]string{
	dropNone:         "none",
	DropShort:        "short",
	DropVRID:         "vrid",
	DropTTL:          "ttl",
	DropVersion:      "version",
	DropType:         "type",
	DropCount:        "address_count",
	DropLength:       "length",
	DropChecksum:     "checksum",
	DropIntervalZero: "interval_zero",
	DropFirstAddress: "first_address",
	DropOwn:          "own",
	DropDestination:  "destination",
	DropPeer:         "peer",
	DropAuthType:     "auth_type",
	DropAuthData:     "auth_data",
	DropInterval:     "interval",
	DropOwner:        "owner",
}

func (d DropReason) String() string {
	if d < dropReasons {
		return dropNames[d]
	}
	return "invalid"
}

// DropReasons lists every reason a packet can be refused for.
func DropReasons() []DropReason {
	all := make([]DropReason, 0, dropReasons-1)
	for d := DropShort; d < dropReasons; d++ {
		all = append(all, d)
	}
	return all
}

// Drops counts refused packets by reason.
type Drops [dropReasons]uint64

// Of returns the count of one reason.
func (d *Drops) Of(r DropReason) uint64 { return d[r] }

// Total returns the count of all reasons together.
func (d *Drops) Total() (n uint64) {
	for _, c := range d {
		n += c
	}
	return n
}
