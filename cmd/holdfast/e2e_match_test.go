package main

// What the tests with foreign peers share: ours on one host, theirs on another,
// and the same virtual routers on both.

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
	"github.com/holdfast-vrrp/holdfast/cmd/internal/lab"
)

// theirRoom is what is added to a bound that foreign programs must keep, too. It
// is generous: how fast they run on a busy machine is not our promise.
const theirRoom = 2 * time.Second

// Priorities of the two sides.
const (
	strong = 200
	weak   = 100
)

// dialect is one way of speaking VRRP. Its VRID is the last number of its
// first address.
type dialect struct {
	name     string
	version  int
	vips     []string
	unicast  bool
	password string
	checksum string // of ours; empty for the default

	theirPassword string        // when it differs
	theirInterval time.Duration // when it differs
}

// mix is the dialects that a pair of hosts speaks, one virtual router each.
type mix struct {
	interval time.Duration
	dialects []dialect
}

// Addresses of the two hosts.
var (
	ourAddrs   = []string{"192.0.2.1/24", "2001:db8::1/64"}
	theirAddrs = []string{"192.0.2.2/24", "2001:db8::2/64"}
)

func is6(addr string) bool { return strings.Contains(addr, ":") }

// hostAddr picks the address of a host that is of the family of vip.
func hostAddr(prefixes []string, vip string) string {
	n := slices.IndexFunc(prefixes, func(p string) bool { return is6(p) == is6(vip) })
	return netip.MustParsePrefix(prefixes[n]).Addr().String()
}

func (d *dialect) vrid() (vrid int) {
	last := d.vips[0][strings.LastIndexAny(d.vips[0], ".:")+1:]
	if _, err := fmt.Sscan(last, &vrid); err != nil {
		panic(err)
	}
	return vrid
}

// linkLocal is the link-local address of the virtual router. keepalived and FRR
// want it written out; holdfast adds it by itself.
func (d *dialect) linkLocal() string { return fmt.Sprintf("fe80::200:5eff:fe00:2%02x", d.vrid()) }

// families splits the VIPs by address family, IPv4 first, and adds the
// link-local address.
func (d *dialect) families() [][]string {
	var v4, v6 []string
	for _, v := range d.vips {
		if is6(v) {
			v6 = append(v6, v)
		} else {
			v4 = append(v4, v)
		}
	}
	if v6 != nil {
		v6 = append([]string{d.linkLocal()}, v6...)
	}
	return slices.DeleteFunc([][]string{v4, v6}, func(l []string) bool { return l == nil })
}

// addresses is all addresses of all virtual routers.
func (x *mix) addresses() (all []netip.Addr) {
	for _, d := range x.dialects {
		for _, v := range slices.Concat(d.families()...) {
			all = append(all, netip.MustParseAddr(v))
		}
	}
	return all
}

// holdfast renders our side.
func (x *mix) holdfast(priority int, lines ...string) string {
	var b strings.Builder
	quoted := func(list []string) string { return `["` + strings.Join(list, `", "`) + `"]` }
	for _, d := range x.dialects {
		fmt.Fprintf(&b, "[[instance]]\nname = %q\ninterface = \"eth0\"\nvrid = %d\npriority = %d\nversion = %d\nadvert_interval = %q\naddresses = %s\n",
			d.name, d.vrid(), priority, d.version, x.interval, quoted(d.vips))
		if d.checksum != "" {
			fmt.Fprintf(&b, "checksum = %q\n", d.checksum)
		}
		if d.password != "" {
			fmt.Fprintf(&b, "auth = { type = \"pass\", password = %q }\n", d.password)
		}
		if d.unicast {
			fmt.Fprintf(&b, "peers = %s\n", quoted([]string{hostAddr(theirAddrs, d.vips[0])}))
		}
		for _, l := range lines {
			b.WriteString(l + "\n")
		}
	}
	return b.String()
}

// keepalived renders their side: one vrrp_instance for each family.
func (x *mix) keepalived(priority int, lines ...string) string {
	var b strings.Builder
	for _, d := range x.dialects {
		for _, vips := range d.families() {
			family := "v4"
			if is6(vips[0]) {
				family = "v6"
			}
			fmt.Fprintf(&b, "vrrp_instance %s-%s {\n state BACKUP\n interface eth0\n virtual_router_id %d\n version %d\n priority %d\n advert_int %g\n",
				d.name, family, d.vrid(), d.version, priority, cmp.Or(d.theirInterval, x.interval).Seconds())
			if d.unicast {
				fmt.Fprintf(&b, " unicast_src_ip %s\n unicast_peer { %s }\n", hostAddr(theirAddrs, vips[0]), hostAddr(ourAddrs, vips[0]))
			}
			if d.password != "" {
				fmt.Fprintf(&b, " authentication {\n  auth_type PASS\n  auth_pass %s\n }\n", cmp.Or(d.theirPassword, d.password))
			}
			for _, l := range lines {
				b.WriteString(" " + l + "\n")
			}
			fmt.Fprintf(&b, " virtual_ipaddress {\n  %s\n }\n}\n", strings.Join(vips, "\n  "))
		}
	}
	return b.String()
}

// down is how long a backup of that priority takes to notice a silent master.
// The skew of version 2 does not depend on the interval.
func (x *mix) down(priority int) time.Duration {
	if x.dialects[0].version == 2 {
		return 3*x.interval + time.Duration(256-priority)*time.Second/256
	}
	return detection(x.interval, priority)
}

// skew is how long a backup of that priority waits after a plain release.
func (x *mix) skew(priority int) time.Duration { return x.down(priority) - 3*x.interval }

// match is holdfast on one host and somebody else on another.
type match struct {
	mix
	t            *testing.T
	lab          *lab.Lab
	ours, theirs *node        // theirs runs no holdfast
	daemon       *lab.Process // theirs
}

// newMatch is a match with keepalived.
func newMatch(t *testing.T, x mix) *match {
	t.Helper()
	_, err := lab.FindPeer("keepalived")
	require(t, err == nil, "keepalived (run .ci/peers)")
	return newHosts(t, x)
}

// newHosts makes the two hosts of a match.
func newHosts(t *testing.T, x mix) *match {
	t.Helper()
	m := &match{mix: x, t: t, lab: newLab(t)}
	m.ours = newNode(t, m.lab, "ours", ourAddrs...)
	m.theirs = newNode(t, m.lab, "theirs", theirAddrs...)
	return m
}

// startKeepalived starts their side and returns when all its instances are
// backups.
func (m *match) startKeepalived(config string) {
	m.t.Helper()
	p, err := m.theirs.StartKeepalived(config)
	must(m.t, err)
	m.daemon = p
	m.theirs.daemon = p // its log is shown when the test fails
	ctx, cancel := context.WithTimeout(m.t.Context(), 10*time.Second)
	defer cancel()
	must(m.t, p.WaitOutput(ctx, "Entering BACKUP STATE"))
}

// look lists the VIPs which a host lacks and those that it has.
func (m *match) look(n *node) (missing, present []netip.Addr) {
	prefixes, err := n.Host.Addresses("eth0")
	if err != nil {
		m.t.Error(err)
	}
	for _, a := range m.addresses() {
		if slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Addr() == a }) {
			present = append(present, a)
		} else {
			missing = append(missing, a)
		}
	}
	return missing, present
}

// lacks tells what a host misses of the addresses; empty when it has all.
func (m *match) lacks(n *node) string {
	if missing, _ := m.look(n); missing != nil {
		return fmt.Sprintf("%s has not %v", n.Name(), missing)
	}
	return ""
}

// notAlone tells why one host is not the only one with all addresses; empty
// when it is.
func (m *match) notAlone(holder, other *node) string {
	if why := m.lacks(holder); why != "" {
		return why
	}
	if _, present := m.look(other); present != nil {
		return fmt.Sprintf("%s has %v", other.Name(), present)
	}
	return ""
}

// await waits until nothing is wrong any more. The bound is that of the
// protocol, to which slack is added.
func (m *match) await(began time.Time, what string, bound, slack time.Duration, wrong func() string) {
	m.t.Helper()
	for {
		why := wrong()
		took := time.Since(began)
		switch {
		case why == "":
			m.t.Logf("measured: %s after %v (bound %v)", what, took.Round(time.Millisecond), bound.Round(time.Millisecond))
			return
		case took > bound+slack:
			m.t.Fatalf("not within %v: %s: %s", bound+slack, what, why)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// only waits until one side has all VIPs and the other has none.
func (m *match) only(what string, holder, other *node, bound time.Duration) {
	m.t.Helper()
	m.await(time.Now(), what, bound, theirRoom, func() string { return m.notAlone(holder, other) })
}

// takes waits until a side has all VIPs, whoever else has them.
func (m *match) takes(what string, n *node, bound time.Duration) {
	m.t.Helper()
	m.takesSince(time.Now(), what, n, bound)
}

func (m *match) takesSince(began time.Time, what string, n *node, bound time.Duration) {
	m.t.Helper()
	slack := room
	if n == m.theirs {
		slack = theirRoom
	}
	m.await(began, what, bound, slack, func() string { return m.lacks(n) })
}

// stays checks that one side goes on being the only master, for longer than a
// backup that hears nothing would bear it.
func (m *match) stays(holder, other *node) {
	m.t.Helper()
	long := m.down(weak) * 6 / 5
	for began := time.Now(); time.Since(began) < long; time.Sleep(5 * time.Millisecond) {
		if why := m.notAlone(holder, other); why != "" {
			m.t.Fatalf("after %v of peace: %s", time.Since(began).Round(time.Millisecond), why)
		}
	}
}

// clear takes the VIPs off their host and tells how many there were.
func (m *match) clear() int {
	m.t.Helper()
	prefixes, err := m.theirs.Addresses("eth0")
	must(m.t, err)
	_, left := m.look(m.theirs)
	for _, p := range prefixes {
		if slices.Contains(left, p.Addr()) {
			must(m.t, m.theirs.RemoveAddress("eth0", p.String()))
		}
	}
	return len(left)
}

// knowsMaster checks that ours is backup everywhere and names theirs, with its
// priority, as the master.
func (m *match) knowsMaster(priority int) {
	m.t.Helper()
	instances := map[string]control.Instance{}
	for _, i := range m.ours.status().Instances {
		instances[i.Name] = i
	}
	for _, d := range m.dialects {
		i := instances[d.name]
		if i.State != "backup" || i.Master == nil || i.Master.Priority != priority || len(i.Families) != len(d.families()) {
			m.t.Errorf("%s is %s with master %+v and families %+v", d.name, i.State, i.Master, i.Families)
			continue
		}
		for n, f := range i.Families {
			want := m.theirSource(&d, d.families()[n][0])
			if f.State != "backup" || f.Master == nil || f.Master.Address != want || f.Master.Priority != priority || f.Master.Self {
				m.t.Errorf("%s %s is %s with master %+v, want backup and master %s with priority %d", d.name, f.Family, f.State, f.Master, want, priority)
			}
		}
	}
}

// theirSource is where their adverts come from.
func (m *match) theirSource(d *dialect, vip string) string {
	m.t.Helper()
	if d.unicast || !is6(vip) {
		return hostAddr(theirAddrs, vip)
	}
	prefixes, err := m.theirs.Addresses("eth0")
	must(m.t, err)
	for _, p := range prefixes {
		if a := p.Addr(); a.IsLinkLocalUnicast() && !slices.Contains(m.addresses(), a) {
			return a.String()
		}
	}
	m.t.Fatal("their host has no link-local address")
	return ""
}

// complaint is what keepalived logs about a packet that it does not like.
var complaint = regexp.MustCompile(`(?i)[^\n]*(bogus|checksum|invalid|mismatch|wrong|error|different|expected|unknown|ignoring)[^\n]*`)

// noComplaint checks that keepalived found nothing wrong with what we sent.
func (m *match) noComplaint() {
	m.t.Helper()
	lines := complaint.FindAllString(m.daemon.Output(), -1)
	if lines != nil {
		m.t.Errorf("keepalived complains:\n%s", strings.Join(slices.Compact(lines), "\n"))
	}
}

// must ends the test on an error.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
