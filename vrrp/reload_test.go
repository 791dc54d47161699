package vrrp

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func inside(change ...func(*Config)) Config {
	return web(append([]func(*Config){named("inside", 52, "192.0.2.101/24")}, change...)...)
}

// Whatever a reload does to one instance, the adverts of the other go out at
// exactly their times.
func TestReloadDisturbsNobodyElse(t *testing.T) {
	for _, tt := range []struct {
		name   string
		before []Config
		after  []Config
	}{
		{"nothing changes", []Config{web(), inside()}, []Config{web(), inside()}},
		{"another order", []Config{web(), inside()}, []Config{inside(), web()}},
		{"add", []Config{web()}, []Config{inside(), web()}},
		{"remove", []Config{inside(), web()}, []Config{web()}},
		{"rename", []Config{inside(), web()}, []Config{web(), inside(func(c *Config) { c.Name = "outside" })}},
		{"other vrid", []Config{web(), inside()}, []Config{web(), inside(func(c *Config) { c.VRID = 77 })}},
		{"other version", []Config{web(), inside()}, []Config{web(), inside(v2)}},
		{"other priority", []Config{web(), inside()}, []Config{web(), inside(prio(200))}},
		{"other interval", []Config{web(), inside()}, []Config{web(), inside(every(3 * second))}},
		{"other address", []Config{web(), inside()}, []Config{web(), inside(vips("192.0.2.109/24"))}},
		{"other interface", []Config{web(), inside()}, []Config{web(), inside(func(c *Config) { c.Interface = "eth1" })}},
		{"more families", []Config{web(), inside()}, []Config{web(), inside(vips("192.0.2.101/24", "fe80::101/64"))}},
		{"new unknown check", []Config{web(), inside()}, []Config{web(), inside(checks(Check{Name: "new"}))}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			te := newMaster(t, tt.before...)
			te.advance(3 * second / 10)
			te.configure(tt.after...)
			te.wantOnly("web:")
			te.wantState("web", StateMaster)
			te.advance(7*second/10 - 1)
			te.wantOnly("web:")
			te.advance(1)
			te.wantOnly("web:", "web: advert prio=150 interval=1s to=224.0.0.18")
			te.advance(10*second - 1)
			if n := len(te.lines); n == 0 {
				t.Error("no adverts in 10 s")
			}
			if got := te.status("web").Routers[0].Counters; got.BecameMaster != 1 || got.LeftMaster != 0 || got.AdvertsSent != 11 {
				t.Errorf("web became master %d times, left %d times, sent %d adverts; want 1, 0, 11", got.BecameMaster, got.LeftMaster, got.AdvertsSent)
			}
		})
	}
}

// The same holds for a backup: its timer runs on.
func TestReloadDoesNotRestartABackup(t *testing.T) {
	te := newBackup(t, web())
	te.advance(second)
	te.configure(web(), inside())
	te.wantDue(down150 - second)
	if r := te.router(); r.Master != peer || r.MasterPriority != 200 {
		t.Errorf("master %v with priority %d, want %v with 200", r.Master, r.MasterPriority, peer)
	}
}

func TestReloadedPriorityIsInNextAdvert(t *testing.T) {
	te := newMaster(t, web())
	te.configure(web(prio(90)))
	te.wantNone()
	te.advance(second)
	te.want("web: advert prio=90 interval=1s to=224.0.0.18")
}

func TestReloadedAddresses(t *testing.T) {
	te := newMaster(t, web(vips("192.0.2.100/24", "192.0.2.101/24")))
	te.configure(web(vips("192.0.2.102/24", "192.0.2.100/24")))
	te.want(
		"web: add 192.0.2.102/24 eth0",
		"web: announce 192.0.2.102/24 192.0.2.100/24 eth0",
		"web: remove 192.0.2.101/24 eth0",
	)
	te.advance(second)
	got := sends(te, second)
	var p Packet
	if _, ok := p.Parse(got[0].Payload, got[0].Source, got[0].Destination); !ok {
		t.Fatal("the advert does not parse")
	}
	if p.Addresses[0] != addr("192.0.2.102") || len(p.Addresses) != 2 {
		t.Errorf("advertises %v", p.Addresses)
	}

	te = newBackup(t, web())
	te.configure(web(vips("192.0.2.102/24")))
	te.wantNone()
}

// Peers are told of another interval at once: they, and this node after a crash,
// go by what was told last.
func TestReloadedInterval(t *testing.T) {
	te := newMaster(t, web())
	for _, tt := range []struct {
		interval time.Duration
		advert   string
	}{{second / 10, "100ms"}, {5 * second, "5s"}} {
		te.configure(web(every(tt.interval)))
		te.wantDue(0)
		te.lines = nil
		te.do(&Tick{})
		te.want("web: advert prio=150 interval=" + tt.advert + " to=224.0.0.18")
		te.wantDue(tt.interval)
	}
	te.configure(web(every(5*second), noPreempt))
	te.lines = nil
	te.do(&Tick{})
	te.wantNone()

	te = newTest(t, web()) // a backup that has heard nobody
	te.configure(web(every(second / 10)))
	te.wantDue(down150 / 10)

	te = newBackup(t, web()) // one that follows its master
	te.configure(web(every(second / 10)))
	te.wantDue(down150)
}

// An interval reloaded while the master is handing over does not end that.
func TestReloadDuringHandover(t *testing.T) {
	te := newMaster(t, web())
	te.do(&Drain{Instance: "web"})
	te.configure(web(every(second / 10)))
	te.wantDue(bound)
	if s := te.status("web"); !s.Drained {
		t.Error("the reload ended the drain")
	}
}

// A check that is taken away no longer demotes.
func TestReloadRemovesFailingCheck(t *testing.T) {
	te := newChecked(t, web(nginx))
	te.health("nginx", false, "")
	te.advance(bound)
	te.configure(web())
	if s := te.status("web"); s.Demoted || s.Effective != 150 {
		t.Errorf("demoted %v, effective %d", s.Demoted, s.Effective)
	}
	if len(te.e.Snapshot(te.now).Checks) != 0 {
		t.Error("the check is still known")
	}
	te.lines = nil
	te.advance(second)
	te.want("web: advert prio=150 interval=1s to=224.0.0.18")
}

// A check that fails for another reason is told with that.
func TestCheckToldAgain(t *testing.T) {
	te := newChecked(t, web(nginx))
	for _, why := range []string{"refused", "refused", "timeout"} {
		te.health("nginx", false, why)
		if got, want := te.status("web").DemotedWhy, "check nginx fails: "+why; got != want {
			t.Errorf("demoted because %q, want %q", got, want)
		}
	}
}

// Hooks that wait until a former master has let its addresses go wait on when
// something else is reloaded, and run before those of another instance of its name.
func TestReloadWhileHooksWait(t *testing.T) {
	waiting := func(t *testing.T) *engineTest {
		te := newMaster(t, web(), inside())
		te.do(&Drain{Instance: "web"})
		te.advance(5 * time.Millisecond)
		te.advert(peer, 100)
		te.wantState("web", StateBackup)
		te.wantAddresses("eth0", "192.0.2.100/24", "192.0.2.101/24")
		te.lines = nil
		return te
	}
	for name, after := range map[string][]Config{
		"nothing":          {web(), inside()},
		"another instance": {web(), inside(prio(90))},
		"its own priority": {web(prio(90)), inside()},
		"another removed":  {web()},
	} {
		t.Run(name, func(t *testing.T) {
			te := waiting(t)
			te.configure(after...)
			te.wantOnly("web:")
			te.advance(lingered)
			te.want("web: remove 192.0.2.100/24 eth0", "web: hook backup")
		})
	}
	t.Run("removed", func(t *testing.T) {
		te := waiting(t)
		te.configure(inside())
		te.wantOnly("web:", "web: backup -> init (removed from the configuration)")
		te.advance(lingered)
		te.want("web: remove 192.0.2.100/24 eth0", "web: hook backup", "web: hook init")
	})
	for reason, edit := range map[string]func(*Config){
		"the configuration moves it to eth1, where it starts anew":        func(c *Config) { c.Interface = "eth1" },
		"the configuration gives it vrid 53, with which it starts anew":   func(c *Config) { c.VRID = 53 },
		"the configuration gives it version 2, with which it starts anew": func(c *Config) { c.Version = Version2 },
		"the configuration makes it another virtual router, which starts anew": func(c *Config) {
			c.Addresses = prefixes("fe80::100/64")
		},
	} {
		t.Run(reason, func(t *testing.T) {
			te := waiting(t)
			te.configure(web(edit), inside())
			if !slices.Contains(te.lines, "web: backup -> init ("+reason+")") {
				t.Errorf("it does not say so: %q", te.lines)
			}
		})
	}
	t.Run("another of its name", func(t *testing.T) {
		te := waiting(t)
		te.configure(web(func(c *Config) { c.Name = "www" }), inside(func(c *Config) { c.Name = "web" }), web(named("new", 53, "192.0.2.103/24")))
		te.want("web: hook backup", "new: init -> backup (listening for a master)", "new: hook backup")
	})
}

// A rename is no change of state, and events by the new name arrive.
func TestReloadRenames(t *testing.T) {
	te := newMaster(t, web())
	te.configure(web(func(c *Config) { c.Name = "www" }))
	te.wantNone()
	te.advance(second)
	te.want("www: advert prio=150 interval=1s to=224.0.0.18")
	te.do(&Drain{Instance: "www"})
	te.wantOnly("prio=0", "www: advert prio=0 interval=1s to=224.0.0.18")
}

// An address may move from one instance to another: it is never off the link.
func TestReloadMovesAddress(t *testing.T) {
	for name, after := range map[string][]Config{
		"to the first":  {web(vips("192.0.2.100/24", "192.0.2.102/24")), inside()},
		"to the second": {inside(), web(vips("192.0.2.100/24", "192.0.2.102/24"))},
	} {
		t.Run(name, func(t *testing.T) {
			te := newMaster(t, web(), inside(vips("192.0.2.101/24", "192.0.2.102/24")))
			te.configure(after...)
			te.wantOnly("remove 192", "inside: remove 192.0.2.102/24 eth0") // ends its claim
			te.wantAddresses("eth0", "192.0.2.100/24", "192.0.2.101/24", "192.0.2.102/24")
		})
	}
}

// An instance that takes over the addresses of one which the reload removed
// keeps them when the old one ends.
func TestReloadedVersionKeepsAddresses(t *testing.T) {
	te := newMaster(t, web(every(second)))
	te.configure(web(v2))
	te.wantOnly("prio=0", "web: advert prio=0 interval=1s to=224.0.0.18")
	te.advance(bound)
	te.wantAddresses("eth0") // a new version 2 backup listens first
	te.advance(down150)
	te.wantAddresses("eth0", "192.0.2.100/24")

	te = newMaster(t, web(every(MinInterval)))
	te.configure(web(every(MinInterval), named("other", 99, "192.0.2.100/24")))
	te.advance(down150 / 100) // sooner than the bound of the old one
	te.wantState("other", StateMaster)
	te.advance(second)
	te.wantOnly("remove 192", "web: remove 192.0.2.100/24 eth0") // ends its claim
	te.wantAddresses("eth0", "192.0.2.100/24")
}

// Adding or removing one family leaves the other alone.
func TestReloadChangesFamilies(t *testing.T) {
	te := newMaster(t, web())
	te.configure(dual())
	te.wantNone()
	te.advance(down150)
	te.lines = nil
	if s := te.status("web"); len(s.Routers) != 2 || s.Routers[0].Family != IPv4 || s.Routers[0].Counters.BecameMaster != 1 {
		t.Errorf("routers %+v", s.Routers)
	}
	te.wantAddresses("eth0", "192.0.2.100/24", "fe80::100/64", "2001:db8::100/64")

	te.configure(web())
	te.want("web: advert prio=150 interval=10ms to=ff02::12", "web: advert prio=0 interval=1s to=ff02::12")
	te.advance(5 * time.Millisecond)
	te.advert(peer6, 100)
	te.advance(lingered)
	te.want("web: stop announcing eth0", "web: remove fe80::100/64 2001:db8::100/64 eth0")
	te.wantState("web", StateMaster)
	if n := te.router().Counters.LeftMaster; n != 0 {
		t.Errorf("IPv4 left master %d times", n)
	}
}

// After a reload an old instance's packets reach the new one in its place.
func TestReloadReplacesInstanceInPlace(t *testing.T) {
	te := newMaster(t, web())
	te.configure(web(v2))
	te.advance(bound)
	te.advert(peer, 200, version2)
	if r := te.router(); r.Master != peer || r.State != StateBackup {
		t.Errorf("%v, master %v; want backup of %v", r.State, r.Master, peer)
	}
}

// The snapshot shares nothing with the Engine that changes.
func TestSnapshotIsACopy(t *testing.T) {
	te := newMaster(t, dual())
	te.advert(peer, 100)
	a := te.e.Snapshot(te.now)
	b := te.e.Snapshot(te.now)
	te.advert(peer, 200)
	te.health("nginx", false, "")
	te.do(eth0(func(l *Link) { l.Carrier = false }))
	te.advance(10 * second)
	te.do(&Configure{Instances: []Config{web()}})
	if diff := cmp.Diff(b, a, cmp.Exporter(func(reflect.Type) bool { return true })); diff != "" {
		t.Errorf("the snapshot changed:\n%s", diff)
	}
}
