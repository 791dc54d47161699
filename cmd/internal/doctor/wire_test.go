package doctor

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/config"
	"github.com/holdfast-vrrp/holdfast/cmd/internal/sniff"
	"github.com/holdfast-vrrp/holdfast/vrrp"
)

var (
	begun   = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	hostMAC = sniff.MAC{2, 0, 0, 0, 0, 1}
	peerMAC = sniff.MAC{2, 0, 0, 0, 0, 2}
	elseMAC = sniff.MAC{2, 0, 0, 0, 0, 9}
)

// heardOn is a link with instances of VRID 51 and up, one VIP each, on which
// nothing was heard yet.
func heardOn(instances int) (x *Examination, list []virtual) {
	w := &wire{took: 5 * time.Second}
	l := &wireLink{
		link:    &Link{Name: "eth0", MAC: net.HardwareAddr(hostMAC[:])},
		routers: map[routerID]*wireRouter{}, vrids: map[uint8]bool{}, answers: map[netip.Addr][]answer{},
	}
	x = &Examination{Config: &config.Config{}, Wait: w.took, Files: fstest.MapFS{
		"sys/class/net/eth0/master/uevent":            {Data: []byte("DEVTYPE=bridge\nINTERFACE=br0\nIFINDEX=7\n")},
		"sys/class/net/br0/bridge/multicast_snooping": {Data: []byte("1\n")},
		"sys/class/net/br0/bridge/multicast_querier":  {Data: []byte("0\n")},
	}}
	for n := range instances {
		x.Config.Instances = append(x.Config.Instances, vrrp.Config{
			Name: fmt.Sprintf("i%d", n), Interface: "eth0", VRID: uint8(51 + n), Version: vrrp.Version3, AdvertInterval: time.Second,
			Addresses: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(100 + n)}), 32)},
		})
	}
	for n := range x.Config.Instances {
		x.Instances = append(x.Instances, &x.Config.Instances[n])
		list = append(list, virtual{x.Instances[n], vrrp.IPv4, w, l})
	}
	return x, list
}

// hears notes a router as it is heard from a moment on.
func (l *wireLink) hears(vrid uint8, mac sniff.MAC, own bool, at time.Duration, addrs ...netip.Addr) *wireRouter {
	a := &sniff.Advert{
		Time: begun.Add(at), Decoded: true, Version: vrrp.Version3, VRID: vrid, Priority: 100, Interval: time.Second, SourceMAC: mac, Outgoing: own,
		Source: netip.AddrFrom4([4]byte{192, 0, 2, mac[5]}), Destination: vrrp.GroupIPv4, Addresses: addrs,
	}
	l.advert(a, nil)
	return l.routers[routerID{vrid, a.Source, own}]
}

// Who answers is held against who was heard, and told once for all addresses.
func TestAnswers(t *testing.T) {
	at := func(d time.Duration) time.Time { return begun.Add(d) }
	for _, tt := range []struct {
		name   string
		record func(list []virtual)
		want   []string // ID, on what
	}{
		{"nobody", func([]virtual) {}, nil},
		{"the master", func(list []virtual) {
			for _, v := range list {
				v.hears(v.VRID, peerMAC, false, 0, v.vips()...)
				v.answers[v.vips()[0]] = []answer{{peerMAC, at(4 * time.Second)}}
			}
		}, nil},
		{"a virtual router", func(list []virtual) {
			list[0].hears(51, peerMAC, false, 0, list[0].vips()...)
			list[0].answers[list[0].vips()[0]] = []answer{{sniff.MAC{0, 0, 0x5e, 0, 1, 51}, at(4 * time.Second)}}
		}, nil},
		{"somebody else, for all", func(list []virtual) {
			for _, v := range list {
				v.hears(v.VRID, peerMAC, false, 0, v.vips()...)
				v.answers[v.vips()[0]] = []answer{{peerMAC, at(4 * time.Second)}, {elseMAC, at(4 * time.Second)}}
			}
		}, []string{"answered-by-other eth0"}},
		{"somebody else, while this node is master", func(list []virtual) {
			list[0].hears(51, hostMAC, true, 0, list[0].vips()...)
			list[0].answers[list[0].vips()[0]] = []answer{{elseMAC, at(4 * time.Second)}}
		}, []string{"answered-by-other i0"}},
		{"the master before the one that was heard", func(list []virtual) {
			list[0].hears(51, peerMAC, false, 2*time.Second, list[0].vips()...)
			list[0].answers[list[0].vips()[0]] = []answer{{elseMAC, at(2200 * time.Millisecond)}, {peerMAC, at(4 * time.Second)}}
		}, nil},
		{"a host that is not heard", func(list []virtual) {
			list[0].answers[list[0].vips()[0]] = []answer{{elseMAC, at(4 * time.Second)}}
			list[1].answers[list[1].vips()[0]] = []answer{{elseMAC, at(4 * time.Second)}}
		}, []string{"adverts-absent eth0"}},
		{"a host whose adverts come seldom", func(list []virtual) {
			list[0].AdvertInterval = 10 * time.Second
			list[0].answers[list[0].vips()[0]] = []answer{{elseMAC, at(4 * time.Second)}}
		}, nil},
	} {
		x, list := heardOn(2)
		tt.record(list)
		var got []string
		for _, f := range answers(x, list) {
			got = append(got, f.ID+" "+f.On)
			if f.Why == "" || f.Fix == "" {
				t.Errorf("%s: %+v", tt.name, f)
			}
			if !strings.HasSuffix(f.Fix, "\nip link set dev br0 type bridge mcast_querier 1") {
				t.Errorf("%s: nothing of the bridge is in %s", tt.name, f.Fix)
			}
		}
		if strings.Join(got, ", ") != strings.Join(tt.want, ", ") {
			t.Errorf("%s: found %q, want %q", tt.name, got, tt.want)
		}
	}
}

// A VRID is proposed that nobody has, as far as was heard and is configured.
func TestFreeVRID(t *testing.T) {
	x, list := heardOn(3)
	v := &list[0]
	v.vrids[54], v.vrids[56] = true, true
	if got := v.free(x); got != 55 {
		t.Errorf("%d is proposed, want 55", got)
	}
	for n := range 256 {
		v.vrids[uint8(n)] = n != 7
	}
	if got := v.free(x); got != 7 {
		t.Errorf("%d is proposed, want 7", got)
	}
	v.vrids[7] = true
	r := v.hears(51, elseMAC, false, 0, netip.MustParseAddr("192.0.2.200"))
	if f := v.taken(x, r); strings.Contains(f.Fix, "vrid =") || !strings.Contains(f.Fix, "every VRID is used") {
		t.Errorf("without a free one it says %q", f.Fix)
	}
}

// Large sets are asked for as far as time allows, and that is told.
func TestQuestions(t *testing.T) {
	x, list := heardOn(1)
	x.Instances[0].Addresses = nil
	for n := range 4000 {
		x.Instances[0].Addresses = append(x.Instances[0].Addresses, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}), 32))
	}
	asked, more := x.questions(list[0].wireLink)
	if most := int((x.Wait - answerTime).Seconds() * askRate / askTimes); len(asked) != most || len(asked)+more != 4000 {
		t.Errorf("%d are asked for, %d are not; in %v there is time for %d", len(asked), more, x.Wait, most)
	}
	list[0].asked, list[0].unasked = asked, more
	found := answers(x, list)
	if len(found) != 1 || found[0].Severity != Unseen || !strings.Contains(found[0].Title, "of 4000 addresses 562 were asked for within 5s") {
		t.Errorf("%+v", found)
	}
}
