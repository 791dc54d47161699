package vip

import "net/netip"

// Order is a kind of order to a [Manager].
type Order uint8

// The orders.
const (
	OrderAdd Order = iota + 1
	OrderRemove
	OrderAnnounce
	OrderAudit
	OrderRenew
)

func (o Order) String() string {
	switch o {
	case OrderAdd:
		return "add"
	case OrderRemove:
		return "remove"
	case OrderAnnounce:
		return "announce"
	case OrderRenew:
		return "renew"
	case OrderAudit:
		return "audit"
	}
	return "invalid"
}

// Report says how an order, or a slice of a large one, was carried out. Reports
// come in the order in which that was done.
type Report struct {
	Order     Order
	Owner     string
	Interface string
	// Addresses has one result for each address of the order or slice. After an
	// announcement it has those that were announced.
	Addresses []Result
	// Err is what went wrong beside the addresses: an announcement or a
	// setting of the interface.
	Err error
}

// Result is what became of one address.
type Result struct {
	Prefix netip.Prefix
	// Present is set while the owner has the address on the interface: after
	// an addition that succeeded, and after a removal that failed.
	Present bool
	// Kept is set when the address is on the interface whatever the owner
	// does: somebody else configured it, or, after a removal, another owner
	// holds it.
	Kept bool
	// Changed is set when somebody had changed the address, and it was set right.
	Changed bool
	// Lapse is set when an audit found that the address had gone, and it had a
	// lease. When it is present all the same, a renewal has brought it back.
	Lapse *Lapse
	// Err is why the kernel refused.
	Err error
}

// idle reports whether there is nothing to tell: an audit or a renewal that
// found all in order.
func (r Report) idle() bool {
	switch r.Order {
	case OrderAudit, OrderRenew:
		return len(r.Addresses) == 0 && r.Err == nil
	}
	return false
}
