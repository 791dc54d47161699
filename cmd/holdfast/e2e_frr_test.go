package main

// Interoperation with FRR's vrrpd. FRR puts the addresses on an interface with
// the virtual MAC address, where they are always; who is master is what vrrpd
// itself says.

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/lab"
)

// Two virtual routers, for the two ways to find the form of the checksum over
// IPv4: FRR 8.4 sends and takes only that with the pseudo-header.
var frrMix = mix{interval: 200 * time.Millisecond, dialects: []dialect{
	{name: "set", version: 3, vips: []string{"192.0.2.61", "2001:db8::61"}, checksum: "pseudo-header"},
	{name: "auto", version: 3, vips: []string{"192.0.2.62", "2001:db8::62"}},
}}

// frrMatch is holdfast on one host and FRR on another.
type frrMatch struct {
	*match
	frr     *lab.FRR
	clients int
}

func newFRRMatch(t *testing.T, x mix) *frrMatch {
	t.Helper()
	for _, name := range []string{"zebra", "vrrpd"} {
		_, err := lab.FindPeer(name)
		require(t, err == nil, "FRR (run .ci/peers)")
	}
	m := &frrMatch{match: newHosts(t, x)}
	// FRR as backup shuts its interfaces down, but Linux answers for their
	// addresses on eth0 unless it is told not to.
	must(t, m.theirs.SetSysctl("net.ipv4.conf.all.arp_ignore", "1"))
	for _, n := range []*node{m.ours, m.theirs} {
		_, err := n.Echo()
		must(t, err)
	}
	for n, d := range x.dialects {
		for _, vips := range d.families() {
			family := 4
			if is6(vips[0]) {
				family = 6
				// Adverts come from the link-local address of this interface, which
				// must not be that of the virtual router.
				vips = append([]string{fmt.Sprintf("fe80::2:%d", n+1)}, vips[1:]...)
			}
			name := fmt.Sprintf("vrrp%d-%d", family, d.vrid())
			prefix := func(a string) string { return a + map[int]string{4: "/24", 6: "/64"}[family] }
			must(t, m.theirs.AddVirtualMAC(name, "eth0", family, uint8(d.vrid()), netip.MustParsePrefix(prefix(vips[0]))))
			for _, v := range vips[1:] {
				must(t, m.theirs.AddAddress(name, prefix(v)))
			}
		}
	}
	return m
}

// startFRR starts FRR with a priority for all virtual routers.
func (m *frrMatch) startFRR(priority int) {
	m.t.Helper()
	var b strings.Builder
	b.WriteString("interface eth0\n")
	for _, d := range m.dialects {
		id := d.vrid()
		fmt.Fprintf(&b, " vrrp %d version 3\n vrrp %d priority %d\n vrrp %d advertisement-interval %d\n",
			id, id, priority, id, cmp.Or(d.theirInterval, m.interval).Milliseconds())
		for _, vips := range d.families() {
			for _, v := range vips {
				fmt.Fprintf(&b, " vrrp %d %s %s\n", id, map[bool]string{false: "ip", true: "ipv6"}[is6(v)], v)
			}
		}
	}
	f, err := m.theirs.StartFRR(b.String())
	must(m.t, err)
	m.frr, m.daemon, m.theirs.daemon = f, f.VRRPD, f.VRRPD
}

// frrRouter is a virtual router as vrrpd shows it.
type frrRouter struct {
	VRID   int
	V4, V6 struct {
		Status         string
		PrimaryAddress string
		Stats          struct{ AdverTx, AdverRx, Transitions int }
	}
}

// show asks vrrpd. It is nil while vrrpd does not answer.
func (m *frrMatch) show() []frrRouter {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), 5*time.Second)
	defer cancel()
	text, err := m.frr.Show(ctx, "show vrrp json")
	if err != nil {
		return nil // it is starting
	}
	var list []frrRouter
	must(m.t, json.Unmarshal([]byte(text), &list))
	return list
}

// frrIs tells which virtual routers of FRR are not in a state; empty when all
// are.
func (m *frrMatch) frrIs(state string) string {
	m.t.Helper()
	list := m.show()
	if len(list) != len(m.dialects) {
		return fmt.Sprintf("FRR shows %d virtual routers", len(list))
	}
	for _, r := range list {
		if r.V4.Status != state || r.V6.Status != state {
			return fmt.Sprintf("FRR is %s (IPv4) and %s (IPv6) of %d, not %s", r.V4.Status, r.V6.Status, r.VRID, state)
		}
	}
	return ""
}

// oursOnly tells why ours is not the only master; empty when it is.
func (m *frrMatch) oursOnly() string { return cmp.Or(m.lacks(m.ours), m.frrIs("Backup")) }

// theirsOnly tells why FRR is not the only master; empty when it is.
func (m *frrMatch) theirsOnly() string {
	if _, present := m.look(m.ours); present != nil {
		return fmt.Sprintf("ours has %v", present)
	}
	return m.frrIs("Master")
}

// lasts checks that nothing becomes wrong for longer than a backup that hears
// nothing would bear it.
func (m *frrMatch) lasts(wrong func() string) {
	m.t.Helper()
	for began := time.Now(); time.Since(began) < m.down(weak)*6/5; time.Sleep(10 * time.Millisecond) {
		if why := wrong(); why != "" {
			m.t.Fatalf("after %v of peace: %s", time.Since(began).Round(time.Millisecond), why)
		}
	}
}

// answers checks that a host that is new in the network, and so asks for the
// hardware addresses, reaches one side at all VIPs.
func (m *frrMatch) answers(n *node) {
	m.t.Helper()
	m.clients++
	c, err := m.lab.Host(fmt.Sprintf("client%d", m.clients), fmt.Sprintf("192.0.2.%d/24", 10+m.clients), fmt.Sprintf("2001:db8::1:%d/64", m.clients))
	must(m.t, err)
	for _, d := range m.dialects {
		for _, v := range d.vips {
			p, err := c.Probe(netip.MustParseAddr(v), 100)
			must(m.t, err)
			eventually(m.t, 10*time.Second, v+" answers", func() bool { return p.Since(lab.Mark{}).Answered >= 10 })
			r, err := p.Stop()
			must(m.t, err)
			if len(r.Servers) != 1 || r.LastServer() != n.Name() {
				m.t.Errorf("%s: %v; want all by %s", v, r, n.Name())
			}
		}
	}
}

// transitions counts the changes of state of FRR's virtual router.
func (m *frrMatch) transitions(name string) (v4, v6 int) {
	m.t.Helper()
	for n, r := range m.show() {
		if m.dialects[n].name == name {
			return r.V4.Stats.Transitions, r.V6.Stats.Transitions
		}
	}
	m.t.Fatalf("FRR does not show %s", name)
	return 0, 0
}

func TestFRRAsBackup(t *testing.T) {
	t.Parallel()
	m := newFRRMatch(t, frrMix)
	m.ours.run(m.holdfast(strong))
	m.takes("ours started: it is master", m.ours, m.down(strong))
	m.startFRR(weak)
	// With checksum auto FRR becomes master for a moment, and so is heard.
	m.await(time.Now(), "FRR was master of auto once", m.down(weak), theirRoom, func() string {
		for n, r := range m.show() {
			if m.dialects[n].name == "auto" && r.V4.Stats.AdverTx > 0 {
				return ""
			}
		}
		return "it was not"
	})
	m.await(time.Now(), "ours alone is master", m.interval, theirRoom, m.oursOnly)
	m.lasts(m.oursOnly)
	m.answers(m.ours)
	if v4, v6 := m.transitions("set"); v4 != 1 || v6 != 1 {
		t.Errorf("FRR changed state %d (IPv4) and %d (IPv6) times though it heard a stronger master", v4-1, v6-1)
	}
	for _, r := range m.show() {
		t.Logf("measured: VRID %d: FRR sent %d adverts over IPv4, %d over IPv6", r.VRID, r.V4.Stats.AdverTx, r.V6.Stats.AdverTx)
	}

	must(t, m.ours.Isolate(true))
	m.await(time.Now(), "ours cut off: FRR took over", m.down(weak), theirRoom, func() string { return m.frrIs("Master") })
	must(t, m.ours.Isolate(false))
	m.await(time.Now(), "ours back: FRR yielded", m.interval, theirRoom, m.oursOnly)
	m.lasts(m.oursOnly)

	began := time.Now()
	must(t, m.ours.daemon.Signal(syscall.SIGTERM))
	m.await(began, "ours stopped: FRR took over", m.skew(weak), theirRoom, func() string { return m.frrIs("Master") })
	must(t, m.ours.daemon.Wait(t.Context()))
	m.lasts(m.theirsOnly)
	m.answers(m.theirs)
	m.ours.start()
	m.await(time.Now(), "ours started again: it preempted", m.down(strong), theirRoom, m.oursOnly)
	m.lasts(m.oursOnly)
	m.answers(m.ours)
}

func TestFRRAsMaster(t *testing.T) {
	t.Parallel()
	m := newFRRMatch(t, frrMix)
	m.startFRR(strong)
	m.await(time.Now(), "FRR started: it is master", time.Second+m.down(strong), theirRoom, m.theirsOnly)
	m.ours.run(m.holdfast(weak))
	m.lasts(m.theirsOnly)
	m.knowsFRR(strong)
	m.answers(m.theirs)

	must(t, m.frr.VRRPD.Kill())
	m.takes("FRR killed: ours took over", m.ours, m.down(weak))
	must(t, m.frr.Zebra.Kill())
	m.startFRR(strong)
	m.await(time.Now(), "FRR started again: ours yielded", time.Second+m.down(strong), theirRoom, m.theirsOnly)
	m.lasts(m.theirsOnly)
	m.knowsFRR(strong)

	must(t, m.theirs.Isolate(true))
	m.takes("FRR cut off: ours took over", m.ours, m.down(weak))
	m.answers(m.ours)
	must(t, m.theirs.Isolate(false))
	m.await(time.Now(), "FRR back: ours yielded", m.interval, theirRoom, m.theirsOnly)
	m.lasts(m.theirsOnly)
	m.answers(m.theirs)

	must(t, m.frr.VRRPD.Signal(syscall.SIGTERM))
	m.takes("FRR stopped: ours took over", m.ours, m.skew(weak))
	if n := strings.Count(m.ours.daemon.Output(), "[WARN]"); n > 0 {
		t.Errorf("ours gave %d warnings in a network where all is well", n)
	}
}

// knowsFRR checks that ours is backup everywhere and names FRR as the master.
func (m *frrMatch) knowsFRR(priority int) {
	m.t.Helper()
	shown := m.show()
	for n, i := range m.ours.status().Instances {
		want := []string{shown[n].V4.PrimaryAddress, shown[n].V6.PrimaryAddress}
		for k, f := range i.Families {
			if f.State != "backup" || f.Master == nil || f.Master.Address != want[k] || f.Master.Priority != priority {
				m.t.Errorf("%s %s is %s with master %+v, want backup and master %s with priority %d", i.Name, f.Family, f.State, f.Master, want[k], priority)
			}
		}
	}
}
