package vip

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// obeying is a kernel that says yes to all changes, and makes no garbage.
type obeying struct {
	*Fake
	answers []error
}

func (k *obeying) Apply(_ string, changes []Change) []error { return k.answers[:len(changes)] }

// Thousands of leases are renewed each second, so that one makes no garbage but
// the copy of its addresses.
func TestRenewMakesHardlyAnyGarbage(t *testing.T) {
	const count = 2 * sliceLimit
	m := NewManager(&obeying{NewFake("eth0"), make([]error, count)}, nil)
	carryOut := func() {
		for {
			orders, _ := m.queue.take()
			if len(orders) == 0 {
				return
			}
			if reports := m.turn(orders); orders[0].kind == OrderRenew && len(reports) > 0 {
				t.Errorf("renewals that went well are told: %+v", reports)
			}
		}
	}
	owners, addrs := make([]string, count), make([][]netip.Prefix, count)
	for n := range count {
		owners[n] = fmt.Sprint(n)
		addrs[n] = []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}), 32)}
		m.Add(owners[n], "eth0", addrs[n], 2*time.Second)
	}
	carryOut()
	before := time.Now().Add(time.Hour)
	each := testing.AllocsPerRun(20, func() {
		for n := range count {
			m.Renew(owners[n], "eth0", addrs[n], 2*time.Second, before)
		}
		carryOut()
	}) / count
	t.Logf("measured: %.2f allocations a renewal", each)
	if each > 1.5 {
		t.Errorf("%.2f allocations a renewal, want the copy alone", each)
	}
}
