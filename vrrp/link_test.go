package vrrp

import (
	"net/netip"
	"testing"
	"time"
)

// broken are links that cannot be used, and what the user reads.
var broken = []struct {
	name   string
	cfg    Config
	link   *Link
	reason string
}{
	{"missing", web(), &Link{Name: "eth0"}, "interface eth0 does not exist"},
	{"down", web(), eth0(func(l *Link) { l.Up = false }), "interface eth0 is down"},
	{"down and no carrier", web(), eth0(func(l *Link) { l.Up, l.Carrier = false, false }), "interface eth0 is down"},
	{"no carrier", web(), eth0(func(l *Link) { l.Carrier = false }), "interface eth0 has no carrier"},
	{"problem", web(), eth0(func(l *Link) { l.Problem = "eth0: cannot open a socket: permission denied" }), "eth0: cannot open a socket: permission denied"},
	{"no address", web(), eth0(func(l *Link) { l.Addresses = nil }), "interface eth0 has no ipv4 address to send from"},
	{"no IPv4 address", web(), eth0(func(l *Link) { l.Addresses = prefixes("fe80::1/64") }), "interface eth0 has no ipv4 address to send from"},
	{
		"a VIP alone", web(), eth0(func(l *Link) { l.Addresses, l.Virtual = nil, prefixes("2001:db8::100/64", "192.0.2.100/24") }),
		"interface eth0 has no ipv4 address of its own to send from, only the virtual 192.0.2.100: give it another one, or set priority = 255 if this host owns 192.0.2.100",
	},
	{
		"a link-local VIP alone", web(vips("fe80::100/64")), eth0(func(l *Link) { l.Addresses, l.Virtual = nil, prefixes("2001:db8::100/64", "fe80::100/64") }),
		"interface eth0 has no IPv6 link-local address of its own to send from, only the virtual fe80::100: give it another one, or set priority = 255 if this host owns fe80::100",
	},
	{
		"no link-local address", web(vips("fe80::100/64")), eth0(func(l *Link) { l.Addresses = prefixes("192.0.2.1/24", "2001:db8::1/64") }),
		"interface eth0 has no IPv6 link-local address to send from",
	},
	{
		"no global address for a global peer", web(vips("fe80::100/64"), unicast(addr("2001:db8::2"))),
		eth0(func(l *Link) { l.Addresses = prefixes("fe80::1/64") }), "interface eth0 has no ipv6 address to send from",
	},
	{
		"source vanished", web(func(c *Config) { c.Source = self }), eth0(func(l *Link) { l.Addresses = prefixes("192.0.2.9/24") }),
		"source 192.0.2.1 is not on interface eth0",
	},
}

// A master whose link fails lets go at once, sends nothing while the link is
// bad, and starts as a backup with a fresh timer when it is good again.
func TestLinkFaultOfMaster(t *testing.T) {
	for _, tt := range broken {
		t.Run(tt.name, func(t *testing.T) {
			te := newMaster(t, tt.cfg)
			te.advance(second / 2)
			te.do(tt.link)
			te.wantOnly("web: master", "web: master -> fault ("+tt.reason+")")
			te.wantAddresses("eth0")
			te.do(tt.link) // again
			te.advert(peer, 50)
			te.advert(peer, 0)
			te.do(&AnnounceNow{})
			te.advance(time.Hour)
			te.wantNone()
			te.wantReason("web", tt.reason)

			te.do(eth0())
			te.want("web: fault -> backup (listening for a master)", "web: hook backup")
			te.wantDue(down150)
			te.advance(down150)
			te.wantState("web", StateMaster)
		})
	}
}

// The same at start, and as a backup.
func TestLinkFaultOfBackupAndAtStart(t *testing.T) {
	for _, tt := range broken {
		t.Run(tt.name, func(t *testing.T) {
			te := newTest(t, tt.cfg)
			te.do(tt.link)
			te.want("web: backup -> fault ("+tt.reason+")", "web: hook fault")
			te.advance(time.Hour)
			te.wantNone()

			te = newBare(t)
			te.configure(tt.cfg)
			te.wantReason("web", "waiting for the state of interface eth0")
			te.do(tt.link)
			te.want("web: init -> fault ("+tt.reason+")", "web: hook fault")
		})
	}
}

// The order in which addresses go and hooks run when the link fails.
func TestLinkFaultOrder(t *testing.T) {
	te := newMaster(t, web())
	te.do(eth0(func(l *Link) { l.Carrier = false }))
	te.want(
		"web: stop announcing eth0",
		"web: remove 192.0.2.100/24 eth0",
		"web: master -> fault (interface eth0 has no carrier)",
		"web: hook fault",
	)
}

// An owner is master again as soon as the link is back.
func TestLinkFaultOfOwner(t *testing.T) {
	te := newMaster(t, web(prio(255)))
	te.do(eth0(func(l *Link) { l.Carrier = false }))
	te.lines = nil
	te.advance(second / 4)
	te.do(eth0())
	te.want(
		"web: advert prio=255 interval=1s to=224.0.0.18",
		"web: add 192.0.2.100/24 eth0",
		"web: announce 192.0.2.100/24 eth0",
		"web: fault -> master (address owner)",
		"web: hook master",
	)
}

// The reason follows what is wrong now, without another transition.
func TestLinkFaultReasonChanges(t *testing.T) {
	te := newTest(t, web())
	te.do(eth0(func(l *Link) { l.Carrier = false }))
	te.lines = nil
	te.do(eth0(func(l *Link) { l.Up, l.Carrier = false, false }))
	te.wantReason("web", "interface eth0 is down")
	te.do(&Link{Name: "eth0"})
	te.wantReason("web", "interface eth0 does not exist")
	te.wantNone()
}

// A fault of one family leaves the other alone.
func TestLinkFaultOfOneFamily(t *testing.T) {
	te := newMaster(t, dual())
	te.do(eth0(func(l *Link) { l.Addresses = prefixes("192.0.2.1/24") }))
	te.want("web: stop announcing eth0", "web: remove fe80::100/64 2001:db8::100/64 eth0")
	te.wantState("web", StateMaster)
	if s := te.status("web"); s.Routers[1].State != StateFault || s.Routers[0].State != StateMaster {
		t.Errorf("IPv4 %v, IPv6 %v; want master, fault", s.Routers[0].State, s.Routers[1].State)
	}
	te.do(eth0())
	if s := te.status("web"); s.Routers[1].State != StateBackup {
		t.Errorf("IPv6 is %v after its address came back, want backup", s.Routers[1].State)
	}
}

// A renamed interface: its index moves to another name, in either order.
func TestLinkRenamed(t *testing.T) {
	gone, come := &Link{Name: "eth0"}, eth0(func(l *Link) { l.Name = "lan0" })
	for name, events := range map[string][]*Link{"old name first": {gone, come}, "new name first": {come, gone}} {
		t.Run(name, func(t *testing.T) {
			te := newTest(t, web(), web(func(c *Config) { named("lan", 52, "192.0.2.101/24")(c); c.Interface = "lan0" }))
			te.wantState("lan", StateInit)
			for _, l := range events {
				te.do(l)
			}
			te.wantState("web", StateFault)
			te.wantState("lan", StateBackup)
			te.lines = nil
			te.advert(peer, 200, ofVRID(52), carrying("192.0.2.101")) // comes by index 2
			te.advert(peer, 200)                                      // web is not on that link any more
			te.wantReason("lan", "192.0.2.2 is master with priority 200")
			te.wantNone()
			if got := dropsOn(te, "lan0").Of(DropVRID); got != 1 {
				t.Errorf("%d packets dropped on lan0, want 1", got)
			}
		})
	}
}

func dropsOn(te *engineTest, name string) *Drops {
	te.Helper()
	for _, l := range te.e.Snapshot(te.now).Links {
		if l.Name == name {
			return &l.Drops
		}
	}
	te.Fatalf("no link %s", name)
	return nil
}

// An interface that was made anew has another index: adverts leave there.
func TestLinkMadeAnew(t *testing.T) {
	te := newMaster(t, web())
	te.do(eth0(func(l *Link) { l.Index = 7 }))
	got := sends(te, second)
	if len(got) != 1 || got[0].Interface != 7 {
		t.Errorf("adverts %+v, want one on 7", got)
	}
	te.advert(peer, 200) // on the old index
	te.wantState("web", StateMaster)
	te.advert(peer, 200, func(p *packet) { p.on = 7 })
	te.wantState("web", StateBackup)
}

// The Engine keeps nothing of the event.
func TestLinkEventIsNotKept(t *testing.T) {
	te := newTest(t, web())
	l := eth0()
	te.do(l)
	l.Addresses[0] = netip.MustParsePrefix("203.0.113.9/24")
	te.advert(self, 200)
	if got := te.router(); got.Source != self || got.Counters.Dropped.Of(DropOwn) != 1 {
		t.Errorf("source %v", got.Source)
	}
}

// The source of adverts.
func TestSource(t *testing.T) {
	all := prefixes("192.0.2.1/24", "192.0.2.9/24", "2001:db8::1/64", "fe80::1/64", "fe80::9/64", "2001:db8::9/64")
	source := func(s string) func(*Config) { return func(c *Config) { c.Source = addr(s) } }
	for _, tt := range []struct {
		name string
		cfg  Config
		want map[Family]string
	}{
		{"first", web(), map[Family]string{IPv4: "192.0.2.1"}},
		{"configured", web(source("192.0.2.9")), map[Family]string{IPv4: "192.0.2.9"}},
		{"first link-local", web(vips("fe80::100/64")), map[Family]string{IPv6: "fe80::1"}},
		{"configured link-local", web(vips("fe80::100/64"), source("fe80::9")), map[Family]string{IPv6: "fe80::9"}},
		{"global for a global peer", web(vips("fe80::100/64"), unicast(addr("2001:db8::2"))), map[Family]string{IPv6: "2001:db8::1"}},
		{"link-local for a link-local peer", web(vips("fe80::100/64"), unicast(peer6)), map[Family]string{IPv6: "fe80::1"}},
		{"configured for one family alone", dual(source("192.0.2.9")), map[Family]string{IPv4: "192.0.2.9", IPv6: "fe80::1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			te := newTest(t, tt.cfg)
			te.do(eth0(func(l *Link) { l.Addresses = all }))
			for _, r := range te.status("web").Routers {
				if r.Source.String() != tt.want[r.Family] {
					t.Errorf("%v: source %v, want %v", r.Family, r.Source, tt.want[r.Family])
				}
			}
		})
	}
}

// An interface that has its old name back is heard on again, though nothing was told
// of the old name meanwhile, which nobody used.
func TestLinkBackUnderItsOldName(t *testing.T) {
	te := newTest(t, web())
	te.configure(web(func(c *Config) { c.Interface = "lan0" }))
	te.do(&Link{Name: "lan0"})
	te.do(eth0(func(l *Link) { l.Name = "lan0" }))
	te.do(&Link{Name: "lan0"})
	te.configure(web())
	te.do(eth0())
	te.advert(peer, 200)
	if got := te.router().Master; got != peer {
		t.Errorf("the master is %v, want %v", got, peer)
	}
}

// What an interface was like when an instance was on it last says nothing of it once
// another one is: nobody tells of an interface that nobody uses.
func TestLinkUsedAgain(t *testing.T) {
	elsewhere := web(func(c *Config) { c.Interface = "lan0" })
	lan0 := eth0(func(l *Link) { l.Name, l.Index = "lan0", 3 })
	unplug := func(l *Link) { l.Carrier = false }
	for name, c := range map[string]struct {
		before, now *Link
		want        string
	}{
		"it had no carrier": {eth0(unplug), eth0(), "web: init -> backup (listening for a master)"},
		"it had one":        {eth0(), eth0(unplug), "web: init -> fault (interface eth0 has no carrier)"},
	} {
		t.Run(name, func(t *testing.T) {
			te := newTest(t, web())
			te.do(c.before)
			te.configure(elsewhere)
			te.do(c.before) // by who looks at all that the old configuration has
			te.do(lan0)
			te.lines = nil
			te.configure(web())
			te.do(c.now)
			te.wantOnly("web: init ->", c.want)
		})
	}
}

// An address owner needs no more than an interface to become master: it waits for what
// is true now, also when a master hands over there still.
func TestLinkUsedAgainByAnOwner(t *testing.T) {
	elsewhere := web(func(c *Config) { c.Interface = "lan0" })
	te := newMaster(t, web())
	te.configure(elsewhere)
	te.do(eth0())
	te.do(eth0(func(l *Link) { l.Name, l.Index = "lan0", 3 }))
	te.advert(peer, 100) // the successor
	te.wantReason("web", "listening for a master")
	te.advance(lingered)
	te.wantAddresses("eth0")
	te.lines = nil
	te.configure(web(prio(PriorityOwner)))
	te.wantReason("web", "waiting for the state of interface eth0")
	te.do(&Link{Name: "eth0"})
	te.wantState("web", StateFault)
	te.wantOnly("advert")
}
