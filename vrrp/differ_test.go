package vrrp

import (
	"net/netip"
	"testing"
)

// The status tells of a router that advertises other addresses for as long as it
// does, and whether it has any in common with this one.
func TestStatusOfOtherAddresses(t *testing.T) {
	te := newTest(t, web(vips("192.0.2.100/24", "192.0.2.101/24")))
	wants := func(what string, from netip.Addr, strange bool) {
		t.Helper()
		d := te.e.Snapshot(te.now).Instances[0].Routers[0].Differs
		if (d != nil) != from.IsValid() || d != nil && (d.From != from || d.Strange != strange || d.Why == "") {
			t.Errorf("%s: the status tells of %+v", what, d)
		}
	}
	none := netip.Addr{}
	te.advert(peer, 200, carrying("192.0.2.101", "192.0.2.100"))
	wants("another order", none, false)
	te.advert(peer, 200, carrying("192.0.2.101"))
	wants("one less", peer, false)
	te.advance(second)
	te.advert(peer, 200, carrying("192.0.2.200"))
	wants("others", peer, true)
	te.advert(peer, 200, carrying("192.0.2.100", "192.0.2.101"))
	wants("the same", none, false)
	te.advert(peer, 200, carrying("192.0.2.200"))
	te.advance(refusedShown)
	wants("others, long ago", none, false)
	te.advert(peer, 200, carrying("192.0.2.200"))
	te.do(&Configure{Instances: []Config{web(vips("192.0.2.200/24"))}})
	wants("others, until a reload", none, false)
}

// The link-local address that is derived from the VRID makes no friends.
func TestStrangerWithTheSameLinkLocalAddress(t *testing.T) {
	te := newTest(t, web(vips("fe80::100/64", "2001:db8::100/64")))
	te.advert(peer6, 200, carrying("fe80::100", "2001:db8::200"))
	if d := te.e.Snapshot(te.now).Instances[0].Routers[0].Differs; d == nil || !d.Strange {
		t.Errorf("the status tells of %+v", d)
	}
}
