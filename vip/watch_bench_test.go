package vip

import (
	"net/netip"
	"testing"
)

// BenchmarkTable follows an interface that is given 4000 addresses and then loses
// them, the last one first, as the manager does it. It tells of them every hundred.
func BenchmarkTable(b *testing.B) {
	table := newTable(func([]LinkState) {})
	table.setLink(up("eth0", 2))
	own := addrState{LinkAddress: LinkAddress{Prefix: netip.MustParsePrefix("10.9.255.1/16")}}
	linkLocal := addrState{LinkAddress: LinkAddress{Prefix: netip.MustParsePrefix("fe80::1/64")}, scope: 253}
	table.setAddr(2, own)
	table.setAddr(2, linkLocal)
	var addrs []addrState
	for i := range 4000 {
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 9, byte(i / 250), byte(1 + i%250)}), 16)
		addrs = append(addrs, addrState{LinkAddress: LinkAddress{Prefix: p}, secondary: true})
	}
	b.ReportAllocs()
	for b.Loop() {
		for i, a := range addrs {
			table.setAddr(2, a)
			if i%100 == 0 {
				table.flush()
			}
		}
		if n := len(table.state("eth0").Addresses); n != len(addrs)+2 {
			b.Fatalf("%d addresses, want %d", n, len(addrs)+2)
		}
		for i := range addrs {
			i = len(addrs) - 1 - i
			table.deleteAddr(2, addrs[i].Prefix)
			if i%100 == 0 {
				table.flush()
			}
		}
	}
}
