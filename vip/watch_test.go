package vip

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
)

// sayLink renders a state in one line.
func sayLink(s LinkState) string {
	if s.Index == 0 {
		return s.Name + " gone"
	}
	line := fmt.Sprintf("%s %d", s.Name, s.Index)
	if !s.Up {
		line += " down"
	} else if !s.Carrier {
		line += " no-carrier"
	}
	for _, a := range s.Addresses {
		line += " " + a.Prefix.String()
		if a.Proto != 0 {
			line += fmt.Sprintf("/proto%d", a.Proto)
		}
		if a.Tentative {
			line += "/tentative"
		}
	}
	return line
}

// recorder collects deliveries, one line each.
type recorder struct{ got []string }

func (r *recorder) deliver(links []LinkState) {
	var words []string
	for _, s := range links {
		words = append(words, sayLink(s))
	}
	r.got = append(r.got, strings.Join(words, "; "))
}

func up(name string, index int) LinkState {
	return LinkState{Name: name, Index: index, MAC: net.HardwareAddr{2, 0, 0, 0, 0, byte(index)}, MTU: 1500, Up: true, Carrier: true}
}

func addr(s string) addrState {
	return addrState{LinkAddress: LinkAddress{Prefix: netip.MustParsePrefix(s)}}
}

func TestTable(t *testing.T) {
	noCarrier := up("eth0", 1)
	noCarrier.Carrier = false
	tentative := addr("2001:db8::1/64")
	tentative.Tentative = true
	ours := addr("192.0.2.100/32")
	ours.Proto = Proto

	tests := []struct {
		name string
		do   func(t *table)
		want []string
	}{
		{"nothing new", func(t *table) { t.setLink(up("eth0", 1)); t.flush() }, nil},
		{"carrier lost and back", func(t *table) {
			t.setLink(noCarrier)
			t.setLink(up("eth0", 1))
			t.flush()
		}, []string{"eth0 1 no-carrier 192.0.2.1/24", "eth0 1 192.0.2.1/24"}},
		{"addresses together", func(t *table) {
			t.setAddr(1, ours)
			t.setAddr(1, addr("192.0.2.2/24"))
			t.setAddr(2, addr("198.51.100.1/24"))
			t.flush()
		}, []string{"eth0 1 192.0.2.1/24 192.0.2.100/32/proto72 192.0.2.2/24; eth1 2 198.51.100.1/24"}},
		{"address renewed", func(t *table) { t.setAddr(1, addr("192.0.2.1/24")); t.flush() }, nil},
		{"address gone and back in one turn", func(t *table) {
			t.deleteAddr(1, netip.MustParsePrefix("192.0.2.1/24"))
			t.setAddr(1, addr("192.0.2.1/24"))
			t.flush()
		}, nil},
		{"address gone", func(t *table) {
			t.deleteAddr(1, netip.MustParsePrefix("192.0.2.1/24"))
			t.deleteAddr(1, netip.MustParsePrefix("192.0.2.1/24"))
			t.flush()
		}, []string{"eth0 1"}},
		{"duplicate address detection", func(t *table) {
			t.setAddr(1, tentative)
			t.flush()
			t.setAddr(1, addr("2001:db8::1/64"))
			t.flush()
		}, []string{"eth0 1 192.0.2.1/24 2001:db8::1/64/tentative", "eth0 1 192.0.2.1/24 2001:db8::1/64"}},
		{"mark changed", func(t *table) {
			a := addr("192.0.2.1/24")
			a.Proto = 3
			t.setAddr(1, a)
			t.flush()
		}, []string{"eth0 1 192.0.2.1/24/proto3"}},
		{"deleted and made again", func(t *table) {
			t.deleteLink(1)
			t.deleteAddr(1, netip.MustParsePrefix("192.0.2.1/24")) // comes late
			t.setLink(up("eth0", 7))
			t.setAddr(7, addr("192.0.2.9/24"))
			t.flush()
		}, []string{"eth0 gone", "eth0 7", "eth0 7 192.0.2.9/24"}},
		{
			"renamed", func(t *table) { t.setLink(up("wan", 1)); t.flush() },
			[]string{"eth0 gone; wan 1 192.0.2.1/24"},
		},
		{"names swapped", func(t *table) {
			t.setLink(up("tmp", 1))
			t.setLink(up("eth0", 2))
			t.setLink(up("eth1", 1))
			t.flush()
		}, []string{"eth0 gone; tmp 1 192.0.2.1/24", "eth1 gone; eth0 2", "tmp gone; eth1 1 192.0.2.1/24"}},
		{"unknown link", func(t *table) {
			t.deleteLink(9)
			t.setAddr(9, addr("192.0.2.9/24"))
			t.deleteAddr(9, netip.MustParsePrefix("192.0.2.9/24"))
			t.flush()
		}, nil},
		{"listing with differences", func(t *table) {
			t.replace([]LinkState{up("eth0", 1), up("eth2", 3)}, map[int][]addrState{1: {addr("192.0.2.1/24")}})
		}, []string{"eth1 gone; eth2 3"}},
		{"listing without differences", func(t *table) {
			t.replace([]LinkState{up("eth1", 2), up("eth0", 1)}, map[int][]addrState{1: {addr("192.0.2.1/24")}})
		}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var r recorder
			table := newTable(r.deliver)
			table.replace([]LinkState{up("eth0", 1), up("eth1", 2)}, map[int][]addrState{1: {addr("192.0.2.1/24")}})
			if diff := cmp.Diff([]string{"eth0 1 192.0.2.1/24; eth1 2"}, r.got); diff != "" {
				t.Fatalf("first delivery (-want +got):\n%s", diff)
			}
			r.got = nil
			tt.do(table)
			if diff := cmp.Diff(tt.want, r.got); diff != "" {
				t.Errorf("deliveries (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTableDeliversAnEmptyHost(t *testing.T) {
	var r recorder
	table := newTable(r.deliver)
	table.replace(nil, nil)
	table.replace(nil, nil)
	if diff := cmp.Diff([]string{""}, r.got); diff != "" {
		t.Errorf("deliveries (-want +got):\n%s", diff)
	}
}

func TestTableOrder(t *testing.T) {
	secondary := func(s string) addrState { a := addr(s); a.secondary = true; return a }
	scoped := func(s string, scope uint8) addrState { a := addr(s); a.scope = scope; return a }
	tests := []struct {
		name string
		add  []addrState
		want string
	}{
		{"ipv4 as they come", []addrState{addr("10.0.0.1/24"), addr("10.1.0.1/24")}, "10.0.0.1/24 10.1.0.1/24"},
		{"primaries before secondaries", []addrState{addr("10.0.0.1/24"), secondary("10.0.0.2/24"), addr("10.1.0.1/24")}, "10.0.0.1/24 10.1.0.1/24 10.0.0.2/24"},
		{"narrow scope first", []addrState{addr("10.0.0.1/24"), scoped("169.254.0.1/16", 253), addr("10.1.0.1/24")}, "169.254.0.1/16 10.0.0.1/24 10.1.0.1/24"},
		{"ipv6 newest first, link-local last", []addrState{scoped("fe80::1/64", 253), addr("2001:db8::1/64"), addr("2001:db8::2/64")}, "2001:db8::2/64 2001:db8::1/64 fe80::1/64"},
		{"ipv4 before ipv6", []addrState{addr("2001:db8::1/64"), addr("10.0.0.1/24"), secondary("10.0.0.2/24")}, "10.0.0.1/24 10.0.0.2/24 2001:db8::1/64"},
		{"promoted", []addrState{secondary("10.0.0.2/24"), addr("10.1.0.1/24"), addr("10.0.0.2/24")}, "10.1.0.1/24 10.0.0.2/24"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var r recorder
			table := newTable(r.deliver)
			table.replace([]LinkState{up("eth0", 1)}, nil)
			for _, a := range tt.add {
				table.setAddr(1, a)
			}
			table.flush()
			if got := r.got[len(r.got)-1]; got != "eth0 1 "+tt.want {
				t.Errorf("got  %s\nwant eth0 1 %s", got, tt.want)
			}
		})
	}
}

func TestDeliveryIsTheReceivers(t *testing.T) {
	var kept []LinkState
	table := newTable(func(s []LinkState) { kept = append(kept, s...) })
	table.replace([]LinkState{up("eth0", 1)}, map[int][]addrState{1: {addr("192.0.2.1/24")}})
	table.setAddr(1, addr("192.0.2.2/24"))
	table.deleteAddr(1, netip.MustParsePrefix("192.0.2.1/24"))
	table.flush()
	if got := sayLink(kept[0]); got != "eth0 1 192.0.2.1/24" {
		t.Errorf("the first delivery became %q", got)
	}
}

func TestFakeWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := NewFake("eth0")
		var r recorder
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error, 1)
		go func() { result <- fake.Watch(ctx, r.deliver, nil) }()
		synctest.Wait()
		steps := []func(){
			func() {
				fake.Apply("eth0", []Change{{Create, Address{Prefix: netip.MustParsePrefix("192.0.2.1/32")}}})
			},
			func() { fake.Delete("eth0", netip.MustParsePrefix("192.0.2.1/32")) },
			func() { fake.SetCarrier("eth0", false) },
			func() { fake.RenameInterface("eth0", "wan") },
			func() { fake.DeleteInterface("wan") },
			func() { fake.AddInterface("eth0") },
		}
		for _, step := range steps {
			step()
			synctest.Wait()
		}
		cancel()
		if err := <-result; !errors.Is(err, context.Canceled) {
			t.Errorf("watch: %v", err)
		}
		want := []string{
			"eth0 1", "eth0 1 192.0.2.1/32/proto72", "eth0 1", "eth0 1 no-carrier",
			"eth0 gone; wan 1 no-carrier", "wan gone", "eth0 2",
		}
		if diff := cmp.Diff(want, r.got); diff != "" {
			t.Errorf("deliveries (-want +got):\n%s", diff)
		}
	})
}
