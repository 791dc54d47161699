package vrrp

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestValidate(t *testing.T) {
	edit := func(f func(*Config)) func(*Config) { return f }
	from := func(s string) func(*Config) { return func(c *Config) { c.Source = addr(s) } }
	for _, tt := range []struct {
		name   string
		change func(*Config)
		want   []string // one line an error; none when the instance is good
	}{
		{"good", edit(func(*Config) {}), nil},
		{"good version 2", edit(v2), nil},
		{"good owner", prio(255), nil},
		{"lowest priority", prio(32), nil},
		{"both families", vips("2.2.2.2/32", "fe80::1/128", "2001:db8::1/128"), nil},
		{"link-local first of its family, not of the list", vips("fe80::1/64", "192.0.2.100/24", "2001:db8::1/64"), nil},
		{"no name", edit(func(c *Config) { c.Name = "" }), []string{"name is missing"}},
		{"no interface", edit(func(c *Config) { c.Interface = "" }), []string{"interface is missing"}},
		{"no vrid", edit(func(c *Config) { c.VRID = 0 }), []string{"vrid must be between 1 and 255"}},
		{"no priority", prio(0), []string{"priority 0 must be between 32 and 255: 1 to 31 are for demoted nodes"}},
		{"priority in the demoted band", prio(31), []string{"priority 31 must be between 32 and 255: 1 to 31 are for demoted nodes"}},
		{"no version", edit(func(c *Config) { c.Version = 0 }), []string{"version 0 must be 2 or 3"}},
		{"version 4", edit(func(c *Config) { c.Version = 4 }), []string{"version 4 must be 2 or 3"}},
		{"no addresses", vips(), []string{"addresses must name at least one address"}},
		{"invalid address", edit(func(c *Config) { c.Addresses = []netip.Prefix{{}} }), []string{"an address is not valid"}},
		{"mapped address", vips("::ffff:192.0.2.1/128"), []string{"address ::ffff:192.0.2.1 must be plain IPv4 or IPv6"}},
		{"multicast", vips("224.0.0.18/32"), []string{"address 224.0.0.18 cannot be a host's"}},
		{"unspecified", vips("0.0.0.0/32"), []string{"address 0.0.0.0 cannot be a host's"}},
		{"loopback", vips("127.0.0.1/32"), []string{"address 127.0.0.1 cannot be a host's"}},
		{"twice", vips("192.0.2.100/24", "192.0.2.100/32"), []string{"address 192.0.2.100 is listed twice"}},
		{"global IPv6 first", vips("2001:db8::1/64", "fe80::1/64"), []string{"the first IPv6 address must be link-local (RFC 9568 section 5.2.9), not 2001:db8::1"}},
		{"IPv6 in version 2", edit(func(c *Config) { v2(c); vips("fe80::1/64")(c) }), []string{"version 2 carries IPv4 addresses only: use version 3 for IPv6"}},
		{"password in version 3", password("abc"), []string{"version 3 has no authentication: remove the password or use version 2"}},
		{"long password", edit(func(c *Config) { v2(c); c.Password = "123456789" }), []string{"password is 9 bytes long: version 2 carries at most 8"}},
		{"no interval", every(0), []string{"advert interval 0s must be between 10ms and 40.95s in steps of 10ms with version 3"}},
		{"long interval", every(41 * second), []string{"advert interval 41s must be between 10ms and 40.95s in steps of 10ms with version 3"}},
		{"odd interval", every(12345 * time.Microsecond), []string{"advert interval 12.345ms must be between 10ms and 40.95s in steps of 10ms with version 3"}},
		{"sub-second in version 2", edit(func(c *Config) { v2(c); c.AdvertInterval = second / 2 }), []string{"advert interval 500ms must be between 1s and 4m15s in steps of 1s with version 2"}},
		{"peers", unicast(peer, peer3), nil},
		{"peer twice", unicast(peer, peer), []string{"peer 192.0.2.2 is listed twice"}},
		{"peer is the source", edit(func(c *Config) { c.Peers, c.Source = []netip.Addr{peer}, peer }), []string{"peer 192.0.2.2 is this node's own source"}},
		{"peer is a group", unicast(peer, GroupIPv4), []string{"peer 224.0.0.18 is not the address of a host"}},
		{"peer is unspecified", unicast(peer, addr("0.0.0.0")), []string{"peer 0.0.0.0 is not the address of a host"}},
		{"peer with a zone", edit(func(c *Config) { *c = six(unicast(addr("fe80::2%eth0"))) }), []string{"peer fe80::2%eth0 must be plain IPv4 or IPv6"}},
		{"mapped peer", edit(func(c *Config) { *c = six(unicast(addr("::ffff:192.0.2.2"))) }), []string{"peer ::ffff:192.0.2.2 must be plain IPv4 or IPv6"}},
		{"no peer at all", unicast(peer, netip.Addr{}), []string{"peer invalid IP is not the address of a host"}},
		{"source", from("192.0.2.1"), nil},
		{"source with a zone", edit(func(c *Config) { *c = six(from("fe80::1%eth0")) }), []string{"source fe80::1%eth0 must be plain IPv4 or IPv6"}},
		{"source is a group", from("224.0.0.18"), []string{"source 224.0.0.18 is not the address of a host"}},
		{"source of another family", from("fe80::1"), []string{"source fe80::1 is an ipv6 address, but the instance has none of that family"}},
		{"global source of multicast", edit(func(c *Config) { *c = six(from("2001:db8::1")) }), []string{"source 2001:db8::1 must be link-local: multicast adverts over IPv6 are (RFC 9568 section 5.1.2.1)"}},
		{"global source of unicast", edit(func(c *Config) { *c = six(from("2001:db8::1"), unicast(addr("2001:db8::2"))) }), nil},
		{"peers of one family for both", edit(func(c *Config) { *c = dual(unicast(peer)) }), []string{"peers has no ipv6 address, but the instance has ipv6 addresses"}},
		{"announce never", edit(func(c *Config) { c.Announce.Repeat = 0 }), []string{"announce repeat must be at least 1"}},
		{"announce backwards", edit(func(c *Config) { c.Announce.Interval = -1 }), []string{"announce interval and refresh must not be negative"}},
		{"refresh backwards", edit(func(c *Config) { c.Announce.Refresh = -1 }), []string{"announce interval and refresh must not be negative"}},
		{"preempt backwards", edit(func(c *Config) { c.PreemptDelay = -1 }), []string{"preempt delay and startup delay must not be negative"}},
		{"start backwards", edit(func(c *Config) { c.StartupDelay = -1 }), []string{"preempt delay and startup delay must not be negative"}},
		{"weights", checks(Check{"a", Weigh, 253}, Check{"b", Weigh, -253}, Check{"c", Demote, 0}), nil},
		{"weight 0", checks(Check{"a", Weigh, 0}), []string{`check "a": weight 0 must be between -253 and 253, and not 0`}},
		{"weight 254", checks(Check{"a", Weigh, 254}), []string{`check "a": weight 254 must be between -253 and 253, and not 0`}},
		{"weight -254", checks(Check{"a", Weigh, -254}), []string{`check "a": weight -254 must be between -253 and 253, and not 0`}},
		{"check twice", checks(Check{"a", Weigh, 5}, Check{"a", Demote, 0}), []string{`check "a" is listed twice`}},
		{"everything at once", edit(func(c *Config) { *c = Config{} }), []string{
			"name is missing", "interface is missing", "vrid must be between 1 and 255",
			"priority 0 must be between 32 and 255: 1 to 31 are for demoted nodes",
			"addresses must name at least one address", "version 0 must be 2 or 3", "announce repeat must be at least 1",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := web(tt.change)
			if diff := cmp.Diff(tt.want, lines(c.Validate())); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
		})
	}
}

// lines are the lines of an error.
func lines(err error) []string {
	if err == nil {
		return nil
	}
	return strings.Split(err.Error(), "\n")
}

func TestValidateAll(t *testing.T) {
	on := func(iface string) func(*Config) { return func(c *Config) { c.Interface = iface } }
	for _, tt := range []struct {
		name    string
		configs []Config
		want    []string
	}{
		{"none", nil, nil},
		{"two", []Config{web(), web(named("inside", 52, "192.0.2.101/24"))}, nil},
		{"one vrid on two interfaces", []Config{web(), web(named("inside", 51, "192.0.2.101/24"), on("eth1"))}, nil},
		{"one vrid in two families", []Config{web(), web(named("web6", 51, "fe80::100/64"))}, nil},
		{"one link-local address on two interfaces", []Config{
			web(named("a", 1, "fe80::100/64")), web(named("b", 1, "fe80::100/64"), on("eth1")),
		}, nil},
		{
			"one link-local address twice on a link",
			[]Config{web(named("a", 1, "fe80::100/64")), web(named("b", 2, "fe80::100/64"))},
			[]string{`instance "b": address fe80::100 belongs to instance "a" already`},
		},
		{"name", []Config{web(), web(named("web", 52, "192.0.2.101/24"))}, []string{`instance "web": the name is used twice`}},
		{
			"vrid",
			[]Config{web(), web(named("inside", 51, "192.0.2.101/24"))},
			[]string{`instance "inside": vrid 51 on eth0 (ipv4) is used by instance "web" already`},
		},
		{
			"address",
			[]Config{web(), web(named("inside", 52, "192.0.2.100/32"))},
			[]string{`instance "inside": address 192.0.2.100 belongs to instance "web" already`},
		},
		{"its own errors", []Config{web(prio(1)), web(named("inside", 0, "192.0.2.101/24"))}, []string{
			`instance "web": priority 1 must be between 32 and 255: 1 to 31 are for demoted nodes`,
			`instance "inside": vrid must be between 1 and 255`,
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, lines(ValidateAll(tt.configs))); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
		})
	}
}

// The Engine keeps what it was configured with, and writes to none of it: who gave
// it reads it still.
func TestEngineWritesToNothingOfTheConfiguration(t *testing.T) {
	configured := func() []Config {
		edge := func(c *Config) { c.Group, c.Lease = "edge", 2*second }
		return []Config{
			web(unicast(peer), checks(Check{Name: "nginx"}), edge),
			web(named("dns", 52, "192.0.2.101/24"), checks(Check{Name: "named"}), edge),
		}
	}
	given, again := configured(), configured()
	te := newBare(t)
	te.do(eth0())
	te.configure(given...)
	te.health("nginx", true, "")
	te.health("named", true, "")
	te.advance(down150)
	te.wantState("web", StateMaster)
	te.configure(again...)
	te.do(&Drain{Instance: "web", By: "root"})
	te.health("named", false, "timeout")
	te.advance(down150)
	te.configure(again[1])
	te.do(&Stop{})
	for _, got := range [][]Config{given, again} {
		if diff := cmp.Diff(configured(), got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
			t.Errorf("the configuration (-before +after):\n%s", diff)
		}
	}
}

// Names that people and programs see.
func TestNames(t *testing.T) {
	for got, want := range map[string]string{
		IPv4.String(): "ipv4", IPv6.String(): "ipv6",
		StateInit.String(): "init", StateBackup.String(): "backup", StateMaster.String(): "master", StateFault.String(): "fault",
		State(9).String(): "invalid", NoticeKind(0).String(): "invalid", DropReason(99).String(): "invalid",
	} {
		if got != want {
			t.Errorf("name %q, want %q", got, want)
		}
	}
	seen := map[string]bool{}
	for k := NoticeDropped; k < noticeKinds; k++ {
		if s := k.String(); s == "invalid" || seen[s] {
			t.Errorf("notice %d is called %q", k, s)
		}
		seen[k.String()] = true
	}
	for _, d := range DropReasons() {
		if s := d.String(); s == "" || s == "none" || seen[s] {
			t.Errorf("drop reason %d is called %q", d, s)
		}
		seen[d.String()] = true
	}
}
