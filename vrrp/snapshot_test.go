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

// What is told in brief is what a snapshot has.
func TestBriefsAndRoutersAreThoseOfTheSnapshot(t *testing.T) {
	grouped := func(c *Config) { c.Group = "edge" }
	te := newTest(t, web(vips("192.0.2.100/24", "fe80::100/64"), grouped, nginx), web(named("dns", 52, "192.0.2.101/24"), grouped), web(named("mail", 53, "192.0.2.102/24")))
	compare := func() {
		t.Helper()
		s := te.e.Snapshot(te.now)
		var briefs, wantBriefs []Brief
		for b := range te.e.Briefs() {
			briefs = append(briefs, b)
		}
		type listed struct {
			id     RouterID
			config string
		}
		var routers, wantRouters []listed
		for id, c := range te.e.Routers() {
			routers = append(routers, listed{id, c.Name})
		}
		for n := range s.Instances {
			i := &s.Instances[n]
			wantBriefs = append(wantBriefs, Brief{&i.Config, i.State, i.Reason, i.Effective, i.Demoted, i.DemotedWhy, i.Drained})
			for _, r := range i.Routers {
				wantRouters = append(wantRouters, listed{RouterID{i.Config.Name, r.Family, r.Serial}, i.Config.Name})
			}
		}
		if diff := cmp.Diff(wantBriefs, briefs, cmp.Comparer(func(a, b *Config) bool { return a.Same(b) })); diff != "" {
			t.Errorf("briefs (-snapshot +got):\n%s", diff)
		}
		if diff := cmp.Diff(wantRouters, routers, cmp.AllowUnexported(listed{})); diff != "" {
			t.Errorf("routers (-snapshot +got):\n%s", diff)
		}
	}
	compare()
	te.health("nginx", true, "")
	te.advance(down150)
	compare()
	te.health("nginx", false, "connection refused")
	te.do(&Drain{Instance: "dns", By: "root"})
	compare()
	te.do(eth0(func(l *Link) { l.Carrier = false }))
	compare()
	for range te.e.Briefs() { // who has seen enough may stop
		break
	}
	for range te.e.Routers() {
		break
	}
}
