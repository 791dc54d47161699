package main

// Packets that no honest router would send, and what becomes of them: nothing,
// but for a counter (RFC 9568 section 7.1 with errata 8299 to 8301).

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// injectTOML has an instance for each set of rules that packets are held to.
const injectTOML = `
[[instance]]
name = "three"
interface = "eth0"
vrid = 51
priority = 150
addresses = ["192.0.2.100/24"]
advert_interval = "200ms"

[[instance]]
name = "six"
interface = "eth0"
vrid = 56
priority = 150
addresses = ["fe80::56", "2001:db8::100/64"]
advert_interval = "200ms"

[[instance]]
name = "two"
interface = "eth0"
vrid = 52
priority = 150
addresses = ["192.0.2.102/24"]
version = 2
auth = { type = "pass", password = "secret" }

[[instance]]
name = "unicast"
interface = "eth0"
vrid = 53
priority = 150
addresses = ["192.0.2.103/24"]
advert_interval = "200ms"
peers = ["192.0.2.2"]

[[instance]]
name = "owner"
interface = "eth0"
vrid = 54
priority = 255
addresses = ["192.0.2.104/24"]
version = 2
`

var (
	vip51 = netip.MustParseAddr("192.0.2.100")
	vip52 = netip.MustParseAddr("192.0.2.102")
	vip53 = netip.MustParseAddr("192.0.2.103")
	vip54 = netip.MustParseAddr("192.0.2.104")
	vip56 = netip.MustParseAddr("fe80::56")
	vipV6 = netip.MustParseAddr("2001:db8::100")
)

// The adverts that would win, if they were accepted: one for each instance.
func threeAdvert() advert {
	return advert{version: 3, kind: 1, vrid: 51, priority: 254, count: -1, word: 20, addresses: []netip.Addr{vip51}}
}

func sixAdvert() advert {
	return advert{version: 3, kind: 1, vrid: 56, priority: 254, count: -1, word: 20, addresses: []netip.Addr{vip56, vipV6}}
}

func twoAdvert() advert {
	return advert{version: 2, kind: 1, vrid: 52, priority: 254, count: -1, word: 1<<8 | 1, addresses: []netip.Addr{vip52}, trailer: []byte("secret\x00\x00")}
}

func unicastAdvert() advert {
	return advert{version: 3, kind: 1, vrid: 53, priority: 254, count: -1, word: 20, addresses: []netip.Addr{vip53}}
}

func ownerAdvert() advert {
	return advert{version: 2, kind: 1, vrid: 54, priority: 255, count: -1, word: 1, addresses: []netip.Addr{vip54}, trailer: make([]byte, 8)}
}

// badPacket is a packet with one thing wrong.
type badPacket struct {
	reason, what string
	instance     string // "" when the packet belongs to none
	good         func() advert
	change       func(*advert) // before the checksum
	wire         func(*packet) // after it
}

func badPackets(target, targetLocal netip.Addr) []badPacket {
	ttl := func(n byte) func(*packet) { return func(p *packet) { p.ttl = n } }
	cut := func(n int) func(*packet) { return func(p *packet) { p.payload = p.payload[:n] } }
	list := []badPacket{
		{"short", "7 bytes", "", threeAdvert, nil, cut(7)},
		{"short", "no byte", "", threeAdvert, nil, cut(0)},
		{"short", "7 bytes in IPv6", "", sixAdvert, nil, cut(7)},
		{"vrid", "unknown", "", threeAdvert, func(a *advert) { a.vrid = 99 }, nil},
		{"vrid", "0", "", threeAdvert, func(a *advert) { a.vrid = 0 }, nil},
		{"vrid", "of the other family", "", sixAdvert, func(a *advert) { a.vrid = 51 }, nil},
		{"version", "2 where 3 is spoken", "three", threeAdvert, func(a *advert) { a.version = 2 }, nil},
		{"version", "4", "three", threeAdvert, func(a *advert) { a.version = 4 }, nil},
		{"version", "2 in IPv6", "six", sixAdvert, func(a *advert) { a.version = 2 }, nil},
		{"version", "3 where 2 is spoken", "two", twoAdvert, func(a *advert) { a.version = 3 }, nil},
		{"interval_zero", "reserved bits alone", "three", threeAdvert, func(a *advert) { a.word = 0xf000 }, nil},
		{"interval_zero", "0", "six", sixAdvert, func(a *advert) { a.word = 0 }, nil},
		{"first_address", "global first", "six", sixAdvert, func(a *advert) { slices.Reverse(a.addresses) }, nil},
		{"destination", "unicast to a multicast instance", "three", threeAdvert, nil, func(p *packet) { p.dst = target }},
		{"destination", "unicast to a version 2 instance", "two", twoAdvert, nil, func(p *packet) { p.dst = target }},
		{"destination", "multicast to a unicast instance", "unicast", unicastAdvert, nil, nil},
		{"own", "the node's own address", "three", threeAdvert, nil, func(p *packet) { p.src = target }},
		{"own", "the node's own address, version 2", "two", twoAdvert, nil, func(p *packet) { p.src = target }},
		{"peer", "a host that is no peer", "unicast", unicastAdvert, nil, func(p *packet) { p.dst = target }},
		{"auth_type", "none", "two", twoAdvert, func(a *advert) { a.word = 1; a.trailer = make([]byte, 8) }, nil},
		{"auth_type", "2, of RFC 2338", "two", twoAdvert, func(a *advert) { a.word = 2<<8 | 1 }, nil},
		{"auth_type", "a password nobody asked for", "owner", ownerAdvert, func(a *advert) { a.word = 1<<8 | 1 }, nil},
		{"auth_data", "wrong password", "two", twoAdvert, func(a *advert) { a.trailer = []byte("Secret\x00\x00") }, nil},
		{"interval", "2 s instead of 1 s", "two", twoAdvert, func(a *advert) { a.word = 1<<8 | 2 }, nil},
		{"interval", "0 s", "two", twoAdvert, func(a *advert) { a.word = 1 << 8 }, nil},
		{"owner", "another owner", "owner", ownerAdvert, nil, nil},
		{"owner", "a lesser master", "owner", ownerAdvert, func(a *advert) { a.priority = 100 }, nil},
	}
	// What all three formats have in common.
	for instance, good := range map[string]func() advert{"three": threeAdvert, "six": sixAdvert, "two": twoAdvert} {
		size := 4
		if instance == "six" {
			size = 16
		}
		list = append(list, []badPacket{
			{"ttl", "254", instance, good, nil, ttl(254)},
			{"ttl", "64", instance, good, nil, ttl(64)},
			{"ttl", "1", instance, good, nil, ttl(1)},
			{"type", "0", instance, good, func(a *advert) { a.kind = 0 }, nil},
			{"type", "2", instance, good, func(a *advert) { a.kind = 2 }, nil},
			{"type", "15", instance, good, func(a *advert) { a.kind = 15 }, nil},
			{"address_count", "0", instance, good, func(a *advert) { a.count, a.addresses = 0, nil }, nil},
			{"length", "an address is cut off", instance, good, func(a *advert) { a.count = len(a.addresses) + 1 }, nil},
			{"length", "count 255", instance, good, func(a *advert) { a.count = 255 }, nil},
			{"length", "an address too many", instance, good, func(a *advert) { a.count = len(a.addresses); a.trailer = append(make([]byte, size), a.trailer...) }, nil},
			{"length", "a byte too many", instance, good, func(a *advert) { a.trailer = append(a.trailer, 0) }, nil},
			{"checksum", "a bit", instance, good, nil, func(p *packet) { p.payload[7] ^= 1 }},
			{"checksum", "the priority was changed", instance, good, nil, func(p *packet) { p.payload[2]-- }},
			{"checksum", "none", instance, good, nil, func(p *packet) { p.payload[6], p.payload[7] = 0, 0 }},
		}...)
	}
	// IPv6 has it in the pseudo-header, so the checksum is made for it.
	list = append(list, badPacket{"own", "the node's own link-local address", "six", sixAdvert, nil, func(p *packet) {
		p.src = targetLocal
		a := sixAdvert()
		p.payload = a.bytes(p.src, p.dst)
	}})
	slices.SortStableFunc(list, func(a, b badPacket) int { return strings.Compare(a.reason, b.reason) })
	return list
}

// bad sends a bad packet.
func (s *stranger) bad(b *badPacket) {
	s.t.Helper()
	a := b.good()
	if b.change != nil {
		b.change(&a)
	}
	p := packet{src: s.ip, dst: vrrpGroup, ttl: 255}
	if b.good().addresses[0].Is6() {
		p.src, p.dst = s.local, vrrpGroup6
	}
	p.payload = a.bytes(p.src, p.dst)
	if b.wire != nil {
		b.wire(&p)
	}
	s.send(p)
}

// injectBed is a node that is master of everything, and a stranger.
func injectBed(t *testing.T) (*node, *stranger) {
	t.Helper()
	l := newLab(t)
	n := newNode(t, l, "lb1", "192.0.2.1/24", "2001:db8::1/64")
	// Linux itself drops what comes from an address of its own; let it pass.
	for _, key := range []string{"net.ipv4.conf.all.accept_local", "net.ipv4.conf.eth0.accept_local"} {
		if err := n.SetSysctl(key, "1"); err != nil {
			t.Fatal(err)
		}
	}
	s := newStranger(t, l, n)
	n.run(injectTOML)
	eventually(t, patience, "master of all", func() bool { return mastersOf(n.status()) == 5 })
	return n, s
}

func mastersOf(st *control.Status) (count int) {
	for _, i := range st.Instances {
		if i.State == "master" && !slices.ContainsFunc(i.Addresses, func(a control.Address) bool { return !a.Present }) {
			count++
		}
	}
	return count
}

// drops is what was counted, by place and reason, without zeros.
func drops(st *control.Status) map[string]uint64 {
	all := map[string]uint64{}
	add := func(place string, list map[string]uint64) {
		for reason, n := range list {
			if n > 0 {
				all[place+"/"+reason] += n
			}
		}
	}
	add("", st.Daemon.Dropped)
	for _, i := range st.Instances {
		add(i.Name, i.Counters.Dropped)
	}
	return all
}

// calm is what a bad packet must not change.
func calm(st *control.Status) (list []string) {
	for _, i := range st.Instances {
		list = append(list, fmt.Sprintf("%s: %s since %v, became %d left %d, received %d, rivals %d, repaired %d, addresses %v",
			i.Name, i.State, i.Since, i.Counters.BecameMaster, i.Counters.LeftMaster, i.Counters.AdvertsReceived,
			i.Counters.Rivals, i.Counters.AddressesRepaired, i.Addresses))
	}
	return list
}

func TestBadPackets(t *testing.T) {
	n, s := injectBed(t)
	start := n.status()
	before := drops(start)
	if len(before) != 0 {
		t.Fatalf("dropped before anything was sent: %v", before)
	}
	reached := map[string]int{}
	for _, b := range badPackets(netip.MustParseAddr("192.0.2.1"), s.targetLocal) {
		key := b.instance + "/" + b.reason
		reached[b.reason]++
		want := maps.Clone(before)
		want[key]++
		s.bad(&b)
		var got map[string]uint64
		var st *control.Status
		for began := time.Now(); ; {
			st = n.status()
			if got = drops(st); cmp.Equal(want, got) || time.Since(began) > patience {
				break
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s, %s: counters (-want +got):\n%s", key, b.what, diff)
		}
		if diff := cmp.Diff(calm(start), calm(st)); diff != "" {
			t.Fatalf("%s, %s: changed something (-want +got):\n%s", key, b.what, diff)
		}
		before = got
	}
	for _, r := range vrrp.DropReasons() {
		if reached[r.String()] == 0 {
			t.Errorf("no packet for reason %s", r)
		}
	}
	t.Logf("measured: %d bad packets for %d reasons, each counted once under its reason, none had an effect", len(badPackets(vip51, vip56)), len(reached))

	// One line for each reason and instance, which says who and what.
	lines := map[string]int{}
	for line := range strings.Lines(n.daemon.Output()) {
		if strings.Contains(line, "dropped a packet") || strings.Contains(line, "own packet came back") {
			for _, i := range start.Instances {
				if strings.Contains(line, "instance="+i.Name) {
					lines[i.Name]++
				}
			}
			if !strings.Contains(line, "peer=") || !strings.Contains(line, "detail=") {
				t.Errorf("the log does not say who or what: %s", line)
			}
		}
	}
	want := map[string]int{}
	for key := range before {
		if name, _, _ := strings.Cut(key, "/"); name != "" {
			want[name]++
		}
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("log lines about dropped packets by instance (-want +got):\n%s", diff)
	}
	n.stop()
}

// TestFloodOfBadPackets sends a thousand of each kind: all are counted, one
// line a minute is logged, nothing else happens.
func TestFloodOfBadPackets(t *testing.T) {
	n, s := injectBed(t)
	start := n.status()
	const each = 1000
	want := map[string]uint64{}
	for _, b := range badPackets(netip.MustParseAddr("192.0.2.1"), s.targetLocal) {
		if !slices.Contains([]string{"a bit", "7 bytes", "wrong password", "254"}, b.what) {
			continue
		}
		for range each {
			s.bad(&b)
		}
		want[b.instance+"/"+b.reason] += each
	}
	var st *control.Status
	took := eventually(t, patience, "all are counted", func() bool {
		st = n.status()
		return cmp.Equal(want, drops(st))
	})
	if diff := cmp.Diff(calm(start), calm(st)); diff != "" {
		t.Errorf("changed something (-want +got):\n%s", diff)
	}
	lines := strings.Count(n.daemon.Output(), "dropped a packet")
	if kinds := len(want) - 1; lines != kinds { // nobody's packets are only counted
		t.Errorf("%d log lines about %d packets of %d kinds, want %d", lines, len(want)*each, kinds, kinds)
	}
	t.Logf("measured: %d bad packets counted, the last ones after %v; %d log lines", len(want)*each, took, lines)
	n.stop()
}
