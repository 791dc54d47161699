package daemon

import (
	"net/netip"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/claim"
	"github.com/holdfast-vrrp/holdfast/vip"
	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// beside is a neighbour that takes part as a VRID on eth0 with an address.
func beside(vrid uint8, addr netip.Prefix) neighbour {
	return neighbour{
		Holder:  claim.Holder{PID: 4711, RunDir: "/run/other"},
		routers: []heldRouter{{Interface: "eth0", VRID: vrid, Family: vrrp.IPv4, Addresses: []netip.Prefix{addr}}},
	}
}

// What a daemon finds with its mark beside another one may be that one's: it removes
// only what its own journal lists.
func TestLeftoversBesideANeighbour(t *testing.T) {
	theirs, unknown := netip.MustParsePrefix("192.0.2.200/32"), netip.MustParsePrefix("192.0.2.201/32")
	for _, tells := range []bool{true, false} { // the neighbour
		inBubble(t, func(t *testing.T, lan *network) {
			a := newNode(t, lan, "a", 1, conf(150, "1s")).journaling(t.TempDir())
			a.start()
			await(t, 5*time.Second, "a", a)
			a.kill()
			time.Sleep(time.Minute) // too long for it to be adopted
			b := a.successor(conf(150, "1s"))
			for _, p := range []netip.Prefix{theirs, unknown} {
				b.kernel.Install("eth0", p, vip.Proto)
			}
			n := beside(52, theirs)
			if !tells {
				n.routers = nil
			}
			b.d.opts.Neighbours = []neighbour{n}
			b.start()
			synctest.Wait()
			if b.holds(testVIP) || !b.holds(theirs) || !b.holds(unknown) {
				t.Errorf("eth0 has %v", b.kernel.On("eth0"))
			}
			if want := "another holdfast runs on this host"; b.log.count(want) != 1 || b.log.count("/run/other") != 1 {
				t.Errorf("the log does not say %q once:\n%s", want, b.log)
			}
			b.stop()
			if !b.holds(theirs) || !b.holds(unknown) {
				t.Errorf("after the end eth0 has %v", b.kernel.On("eth0"))
			}
		})
	}
}

// What both list stays, too: it may be the neighbour's by now.
func TestLeftoverThatANeighbourLists(t *testing.T) {
	d := &Daemon{opts: Options{Neighbours: []neighbour{beside(52, testVIP)}}}
	earlier := []journalRouter{{Interface: "eth0", Addresses: []netip.Prefix{testVIP}}}
	p := vip.Present{Interface: "eth0", Prefix: testVIP}
	if !d.notOurs(earlier)(p) {
		t.Error("it is removed")
	}
	if d.opts.Neighbours[0].routers = nil; d.notOurs(earlier)(p) {
		t.Error("what only the own journal lists stays")
	}
}

func TestDisjoint(t *testing.T) {
	cfg := mustParse(t, conf(150, "1s"))
	other := netip.MustParsePrefix("192.0.2.200/32")
	exists := func(iface string) bool { return iface == "eth0" }
	err := disjoint(cfg, []neighbour{beside(52, other), beside(51, other)}, exists)
	want := "is vrid 51 (ipv4) on eth0, which another holdfast on this host (pid 4711, run directory /run/other) has already: "
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("the same VRID: %v", err)
	}
	six := beside(51, other)
	six.routers[0].Family = vrrp.IPv6
	if err := disjoint(cfg, []neighbour{beside(52, other), six, {}}, exists); err != nil {
		t.Errorf("other ones: %v", err)
	}
	if err := disjoint(cfg, []neighbour{beside(51, other)}, func(string) bool { return false }); err != nil {
		t.Errorf("without the interface: %v", err)
	}
}

// A neighbour is known by its claim, and tells its routers to whoever asks that.
func TestNeighbours(t *testing.T) {
	dir := t.TempDir()
	cfg := mustParse(t, conf(150, "1s"))
	c, err := claimRunDir(dir, func() []byte { return tellRouters(cfg) })
	if err != nil {
		t.Fatal(err)
	}
	defer c.Release()
	find := func(own *claim.Claim) (found []neighbour) {
		for _, n := range neighbours(own) {
			if n.Has(dir) {
				found = append(found, n)
			}
		}
		return found
	}
	if l := find(nil); len(l) != 1 || l[0].PID != os.Getpid() || len(l[0].routers) != 1 || l[0].routers[0].VRID != 51 || l[0].routers[0].Addresses[0] != testVIP {
		t.Errorf("found %+v", l)
	}
	if l := find(c); len(l) != 0 {
		t.Errorf("it is its own neighbour: %+v", l)
	}
}
