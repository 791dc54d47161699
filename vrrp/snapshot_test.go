package vrrp

import (
	"fmt"
	"net/netip"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A snapshot taken in parts has what a whole one has, and no part costs more than
// it may.
func TestSnapshotInParts(t *testing.T) {
	configs := []Config{web()}
	for n := range 40 {
		configs = append(configs, web(func(c *Config) {
			c.Name, c.VRID, c.Addresses = fmt.Sprintf("i%d", n), uint8(100+n), nil
			for k := range 1 + n%3*addressesAsOne { // up to 65
				c.Addresses = append(c.Addresses, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(n), byte(k >> 8), byte(k)}), 32))
			}
		}))
	}
	te := newMaster(t, configs...)
	want := te.e.Snapshot(te.now)
	for _, most := range []int{1, 2, 7, 41, 1000} {
		got := &Snapshot{}
		for whole := false; !whole; {
			before := len(got.Instances)
			whole = te.e.Extend(got, te.now, most)
			added := got.Instances[before:]
			if len(added) == 0 || len(added) > most {
				t.Fatalf("%d instances were added, want 1 to %d", len(added), most)
			}
			cost := 0
			for n := range added[:len(added)-1] { // the last one may exceed it
				cost += 1 + len(added[n].Config.Addresses)/addressesAsOne
			}
			if cost >= most && len(added) > 1 {
				t.Errorf("%d instances that cost %d were added after that, want at most %d", len(added), cost, most)
			}
			if whole == got.At.IsZero() {
				t.Errorf("whole is %v at %v", whole, got.At)
			}
		}
		if diff := cmp.Diff(want, got, cmp.Exporter(func(reflect.Type) bool { return true })); diff != "" {
			t.Errorf("in parts of %d (-whole +parts):\n%s", most, diff)
		}
	}
}
