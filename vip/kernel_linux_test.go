package vip

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"
)

// many returns n IPv4 host addresses and m IPv6 ones.
func many(n, m int) (v4, v6 []netip.Prefix) {
	for i := range n {
		v4 = append(v4, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), 32))
	}
	for i := range m {
		a := netip.MustParseAddr("2001:db8::").As16()
		a[14], a[15] = byte((i+1)>>8), byte(i+1)
		v6 = append(v6, netip.PrefixFrom(netip.AddrFrom16(a), 128))
	}
	return v4, v6
}

func changes(v Verb, ps []netip.Prefix) []Change {
	cs := make([]Change, len(ps))
	for i, p := range ps {
		cs[i] = Change{v, Address{Prefix: p}}
	}
	return cs
}

// onInterface lists the addresses of an interface as the kernel has them.
func onInterface(t *testing.T, k Kernel, iface string) map[netip.Prefix]Present {
	t.Helper()
	present, err := k.Addresses(iface)
	if err != nil {
		t.Fatal(err)
	}
	on := map[netip.Prefix]Present{}
	for _, p := range present {
		on[p.Prefix] = p
	}
	return on
}

// The addresses of one interface are those that it has among all.
func TestLinuxAddressesOfOne(t *testing.T) {
	enterNetns(t)
	vethPair(t)
	for _, c := range []string{"192.0.2.1/24 dev hf0", "2001:db8::1/64 dev hf0 nodad", "192.0.2.2/24 dev hf1", "2001:db8::2/64 dev hf1 nodad"} {
		run(t, "ip addr add "+c)
	}
	k := newKernel(t)
	all, err := k.Addresses("")
	if err != nil {
		t.Fatal(err)
	}
	for iface, count := range map[string]int{"lo": 2, "hf0": 2, "hf1": 2, "hf9": 0} {
		var want []Present
		for _, p := range all {
			if p.Interface == iface {
				want = append(want, p)
			}
		}
		got, err := k.Addresses(iface)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" || len(got) != count {
			t.Errorf("%s has %d, want %d (-among all +alone):\n%s", iface, len(got), count, diff)
		}
	}
}

// managed runs a Manager over the kernel of the test's namespace. The function
// returned closes it.
func managed(t *testing.T, k Kernel) (m *Manager, reports chan Report, closeAll func()) {
	t.Helper()
	reports = make(chan Report, 100)
	m = NewManager(k, func(r Report) { reports <- r })
	wait := goNetns(t, func() { _ = m.Run(t.Context()) })
	return m, reports, func() {
		t.Helper()
		if err := m.Close(t.Context()); err != nil {
			t.Errorf("close: %v", err)
		}
		wait()
	}
}

// done waits for a report and complains about errors in it.
func done(t *testing.T, reports chan Report) Report {
	t.Helper()
	select {
	case r := <-reports:
		if r.Err != nil {
			t.Errorf("%v: %v", r.Order, r.Err)
		}
		for _, a := range r.Addresses {
			if a.Err != nil {
				t.Fatalf("%v: %v", r.Order, a.Err)
			}
		}
		return r
	case <-time.After(10 * time.Second):
		t.Fatal("no report for 10s")
		return Report{}
	}
}

// doneAll waits for the reports of an order for so many addresses.
func doneAll(t *testing.T, reports chan Report, count int) {
	t.Helper()
	for count > 0 {
		count -= len(done(t, reports).Addresses)
	}
}

func TestLinuxAddAndRemoveMany(t *testing.T) {
	enterNetns(t)
	vethPair(t)
	k := newKernel(t)
	m, reports, closeAll := managed(t, k)
	v4, v6 := many(1000, 255)
	both := slices.Concat(v4, v6)
	for range 2 { // the second time they are there already
		m.Add("a", "hf0", both, 0)
		doneAll(t, reports, len(both))
		on := onInterface(t, k, "hf0")
		if len(on) != len(both) {
			t.Fatalf("%d addresses on hf0, want %d", len(on), len(both))
		}
		for _, p := range both {
			a := on[p]
			if a.Proto != Proto || a.Tentative || a.Deprecated != p.Addr().Is6() || a.ValidLifetime != 0 {
				t.Fatalf("%v: %+v", p, a)
			}
		}
	}
	m.Remove("a", "hf0", v4)
	doneAll(t, reports, len(v4))
	if on := onInterface(t, k, "hf0"); len(on) != len(v6) {
		t.Errorf("%d addresses on hf0, want %d", len(on), len(v6))
	}
	closeAll()
	if on := onInterface(t, k, "hf0"); len(on) != 0 {
		t.Errorf("%d addresses left on hf0", len(on))
	}
}

// What iproute2 shows is what the design promises.
func TestLinuxAddressAsOthersSeeIt(t *testing.T) {
	enterNetns(t)
	vethPair(t)
	k := newKernel(t)
	addresses := []Address{
		{Prefix: netip.MustParsePrefix("192.0.2.100/24")},
		{Prefix: netip.MustParsePrefix("192.0.2.101/32"), ValidLifetime: 100 * time.Second},
		{Prefix: netip.MustParsePrefix("2001:db8::100/128")},
		{Prefix: netip.MustParsePrefix("2001:db8:1::100/64")},
		{Prefix: netip.MustParsePrefix("fe80::100/64")},
	}
	for _, verb := range []Verb{Create, Replace} {
		var cs []Change
		for _, a := range addresses {
			cs = append(cs, Change{verb, a})
		}
		if err := errors.Join(k.Apply("hf0", cs)...); err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for _, a := range ipAddrs(t, "hf0") {
			got[fmt.Sprintf("%s/%d", a.Local, a.Prefixlen)] = a.String()
		}
		want := map[string]string{
			"192.0.2.100/24":     "scope global forever",
			"192.0.2.101/32":     "scope global valid",
			"2001:db8::100/128":  "scope global nodad noprefixroute deprecated forever",
			"2001:db8:1::100/64": "scope global nodad forever",
			"fe80::100/64":       "scope link nodad forever",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("after %v (-want +got):\n%s", verb, diff)
		}
	}
	if routes := run(t, "ip -6 route show dev hf0"); strings.Contains(routes, "2001:db8::100") || !strings.Contains(routes, "2001:db8:1::/64") {
		t.Errorf("routes:\n%s", routes)
	}
}

// ipAddr is an address as iproute2 shows it.
type ipAddr struct {
	Local         string
	Prefixlen     int
	Scope         string
	Broadcast     string
	Nodad         bool
	Noprefixroute bool
	Deprecated    bool
	Tentative     bool
	Valid         uint32 `json:"valid_life_time"`
}

func ipAddrs(t *testing.T, iface string) []ipAddr {
	t.Helper()
	var links []struct {
		Addrs []ipAddr `json:"addr_info"`
	}
	if err := json.Unmarshal([]byte(run(t, "ip -d -j addr show dev "+iface)), &links); err != nil {
		t.Fatal(err)
	}
	return links[0].Addrs
}

func (a ipAddr) String() string {
	s := "scope " + a.Scope
	for _, flag := range []struct {
		set  bool
		name string
	}{
		{a.Nodad, "nodad"},
		{a.Noprefixroute, "noprefixroute"},
		{a.Deprecated, "deprecated"},
		{a.Tentative, "tentative"},
		{a.Broadcast != "", "brd " + a.Broadcast},
		{a.Valid == forever, "forever"},
		{a.Valid > 95 && a.Valid <= 100, "valid"},
	} {
		if flag.set {
			s += " " + flag.name
		}
	}
	return s
}

func TestLinuxKeepsSecondaries(t *testing.T) {
	enterNetns(t)
	vethPair(t)
	run(t, "sysctl -q net.ipv4.conf.all.promote_secondaries=0 net.ipv4.conf.hf0.promote_secondaries=0")
	k := newKernel(t)
	m, reports, closeAll := managed(t, k)
	m.Add("a", "hf0", prefixes("192.0.2.100/24"), 0)
	done(t, reports)
	if v, err := k.Sysctl(promotePath("hf0")); v != "1" || err != nil {
		t.Errorf("promote_secondaries is %q, %v; want 1 while ours is there", v, err)
	}
	run(t, "ip addr add 192.0.2.1/24 dev hf0") // secondary to ours
	if a := onInterface(t, k, "hf0")[netip.MustParsePrefix("192.0.2.1/24")]; !a.Secondary {
		t.Fatalf("%+v is not secondary: the test is worth nothing", a)
	}
	closeAll()
	on := onInterface(t, k, "hf0")
	if _, ok := on[netip.MustParsePrefix("192.0.2.1/24")]; !ok || len(on) != 1 {
		t.Errorf("on hf0: %+v, want 192.0.2.1/24 alone", on)
	}
	if v, err := k.Sysctl(promotePath("hf0")); v != "0" || err != nil {
		t.Errorf("promote_secondaries is %q, %v; want 0 as before", v, err)
	}
}

func TestLinuxForeignAddresses(t *testing.T) {
	enterNetns(t)
	vethPair(t)
	run(t, "ip addr add 192.0.2.1/24 brd + dev hf0")
	run(t, "ip addr add 2001:db8::1/64 dev hf0 nodad")
	before := ipAddrs(t, "hf0")
	k := newKernel(t)
	m, reports, closeAll := managed(t, k)
	// The /32 is another address to the kernel; the other two are not.
	m.Add("owner", "hf0", prefixes("192.0.2.1/24", "2001:db8::1/128", "192.0.2.1/32"), 0)
	r := done(t, reports)
	if a := r.Addresses; !a[0].Kept || !a[1].Kept || a[2].Kept || !a[2].Present {
		t.Errorf("results %+v", a)
	}
	m.Remove("owner", "hf0", prefixes("192.0.2.1/24", "2001:db8::1/128", "192.0.2.1/32"))
	done(t, reports)
	closeAll()
	if diff := cmp.Diff(before, ipAddrs(t, "hf0")); diff != "" {
		t.Errorf("addresses of others (-want +got):\n%s", diff)
	}
	if got := run(t, "ip route get 192.0.2.1"); !strings.HasPrefix(got, "local") {
		t.Errorf("192.0.2.1 is not local any more: %s", got)
	}
}

func TestLinuxLeftovers(t *testing.T) {
	enterNetns(t)
	vethPair(t)
	k := newKernel(t)
	for _, iface := range []string{"hf0", "hf1"} {
		if err := errors.Join(k.Apply(iface, changes(Create, prefixes("192.0.2.7/32", "2001:db8::7/128")))...); err != nil {
			t.Fatal(err)
		}
	}
	run(t, "ip addr add 192.0.2.1/24 dev hf0")
	m, reports, closeAll := managed(t, k)
	m.Add("a", "hf0", prefixes("192.0.2.7/32"), 0)
	done(t, reports)
	removed, err := m.CleanLeftovers(func(p Present) bool { return p.Interface == "hf1" && p.Prefix.Addr().Is6() })
	if err != nil || len(removed) != 2 {
		t.Errorf("removed %+v, %v; want 2", removed, err)
	}
	if on := onInterface(t, k, "hf0"); len(on) != 2 {
		t.Errorf("on hf0: %+v", on)
	}
	if on := onInterface(t, k, "hf1"); len(on) != 1 {
		t.Errorf("on hf1: %+v", on)
	}
	closeAll()
}

// An MTU below 1280 bytes takes all IPv6 off an interface: what is to be removed
// there is gone.
func TestLinuxRemoveWithoutIPv6(t *testing.T) {
	enterNetns(t)
	vethPair(t)
	k := newKernel(t)
	p := prefixes("192.0.2.1/32", "2001:db8::1/128")
	if errs := k.Apply("hf0", changes(Create, p)); errs[0] != nil || errs[1] != nil {
		t.Fatal(errs)
	}
	run(t, "ip link set hf0 mtu 1279")
	if errs := k.Apply("hf0", changes(Remove, p)); errs[0] != nil || !errors.Is(errs[1], ErrNotFound) {
		t.Errorf("remove: %v", errs)
	}
}

func TestLinuxErrors(t *testing.T) {
	enterNetns(t)
	vethPair(t)
	run(t, "sysctl -q net.ipv6.conf.hf0.disable_ipv6=1")
	k := newKernel(t)
	p := prefixes("192.0.2.1/32", "2001:db8::1/128", "192.0.2.2/32")
	errs := k.Apply("hf0", changes(Create, p))
	if errs[0] != nil || errs[2] != nil {
		t.Errorf("a failure stopped others: %v", errs)
	}
	if !errors.Is(errs[1], unix.EACCES) || !errorHas(errs[1], "IPv6 is disabled on this device") {
		t.Errorf("error %v, want the kernel's explanation", errs[1])
	}
	if errs := k.Apply("hf0", changes(Create, p[:1])); !errors.Is(errs[0], ErrExists) {
		t.Errorf("create again: %v", errs)
	}
	if errs := k.Apply("hf0", changes(Remove, prefixes("192.0.2.9/32", "2001:db8::9/128"))); !errors.Is(errs[0], ErrNotFound) || !errors.Is(errs[1], ErrNotFound) {
		t.Errorf("remove what is not there: %v", errs)
	}
	for _, name := range []string{"hf9", "no-interface-has-such-a-long-name", ""} {
		if errs := k.Apply(name, changes(Create, p[:2])); len(errs) != 2 || errs[0] == nil || errs[1] == nil {
			t.Errorf("interface %q: %v", name, errs)
		}
	}
	if err := k.Apply("hf9", changes(Remove, p[:1]))[0]; !errors.Is(err, ErrNoInterface) {
		t.Errorf("remove from nowhere: %v", err)
	}
	if err := k.Announce("hf9", ARPRequest, []netip.Addr{p[0].Addr()}, nil); !errors.Is(err, ErrNoInterface) {
		t.Errorf("announce nowhere: %v", err)
	}
	run(t, "ip link set hf0 down")
	if err := k.Announce("hf0", ARPRequest, []netip.Addr{p[0].Addr()}, nil); !errors.Is(err, unix.ENETDOWN) {
		t.Errorf("announce on an interface that is down: %v", err)
	}
	if _, err := k.Sysctl(promotePath("hf9")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("setting of no interface: %v", err)
	}
	if err := k.SetSysctl(promotePath("hf9"), "1"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("setting of no interface: %v", err)
	}
}

// When the answers do not fit the receive buffer, none of them is lost for good:
// no refusal passes for a success. Only refusals are answered one by one.
func TestLinuxLostAnswers(t *testing.T) {
	enterNetns(t)
	vethPair(t)
	k := newKernel(t)
	v4, _ := many(300, 0)
	there := map[netip.Prefix]bool{}
	for i := 0; i < len(v4); i += 2 {
		there[v4[i]] = true
		if err := k.Apply("hf0", changes(Create, v4[i:i+1]))[0]; err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.SetsockoptInt(k.route.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 1); err != nil { // the least there is
		t.Fatal(err)
	}
	k.route.acks = 1000
	repeated := 0
	for i, err := range k.Apply("hf0", changes(Create, v4)) {
		switch {
		case there[v4[i]] && !errors.Is(err, ErrExists):
			t.Errorf("%v, which was there: %v", v4[i], err)
		case there[v4[i]]:
		case errors.Is(err, ErrExists):
			repeated++
		case err != nil:
			t.Fatal(err)
		}
	}
	if repeated == 0 {
		t.Error("no answer was lost: the test is worth nothing")
	}
	if on := onInterface(t, k, "hf0"); len(on) != len(v4) {
		t.Errorf("%d addresses, want %d", len(on), len(v4))
	}
	m, reports, closeAll := managed(t, k)
	m.Add("a", "hf0", v4, 0)
	doneAll(t, reports, len(v4))
	closeAll()
	if on := onInterface(t, k, "hf0"); len(on) != 0 {
		t.Errorf("%d addresses left", len(on))
	}
}

func BenchmarkApply(b *testing.B) {
	for _, size := range []struct{ v4, v6 int }{{1, 0}, {255, 0}, {1000, 0}, {0, 255}} {
		b.Run(fmt.Sprintf("%dv4+%dv6", size.v4, size.v6), func(b *testing.B) {
			enterNetns(b)
			vethPair(b)
			k := newKernel(b)
			v4, v6 := many(size.v4, size.v6)
			both := slices.Concat(v4, v6)
			b.ReportAllocs()
			for b.Loop() {
				for _, v := range []Verb{Create, Remove} {
					if err := errors.Join(k.Apply("hf0", changes(v, both))...); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

// BenchmarkRenew replaces addresses that are there, as leases are renewed.
func BenchmarkRenew(b *testing.B) {
	for _, count := range []int{1, 255, 4000} {
		b.Run(fmt.Sprintf("%dv4", count), func(b *testing.B) {
			enterNetns(b)
			vethPair(b)
			k := newKernel(b)
			v4, _ := many(count, 0)
			renew := func() {
				if err := errors.Join(k.Apply("hf0", changes(Replace, v4))...); err != nil {
					b.Fatal(err)
				}
			}
			renew() // now they are there
			b.ReportAllocs()
			for b.Loop() {
				renew()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*count), "ns/address")
		})
	}
}

// Only an address of the interface, in use, is one that packets are delivered to.
func TestLinuxDelivers(t *testing.T) {
	enterNetns(t)
	vethPair(t)
	run(t, "ip addr add 2001:db8::1/64 dev hf0 nodad")
	run(t, "ip addr add fe80::1/64 dev hf0 nodad")
	run(t, "ip addr add 2001:db8::9/64 dev hf1 nodad")
	k := newKernel(t)
	ifi, err := net.InterfaceByName("hf0")
	if err != nil {
		t.Fatal(err)
	}
	other, err := net.InterfaceByName("hf1")
	if err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); !k.route.delivers(other.Index, netip.MustParseAddr("2001:db8::9")); {
		if time.Since(began) > 5*time.Second {
			t.Fatal("the other interface does not get its address")
		}
	}
	run(t, "ip addr add 2001:db8::2/64 dev hf0") // tentative for a second
	for a, want := range map[string]bool{
		"2001:db8::1": true, "fe80::1": true, "2001:db8::2": false, "2001:db8::3": false, "fe80::3": false, "2001:db8:1::1": false, "2001:db8::9": false,
	} {
		got := k.route.delivers(ifi.Index, netip.MustParseAddr(a))
		for deadline := time.Now().Add(2 * time.Second); want && !got && time.Now().Before(deadline); { // also nodad takes a moment
			got = k.route.delivers(ifi.Index, netip.MustParseAddr(a))
		}
		if got != want {
			t.Errorf("delivers to %s: %v, want %v", a, got, want)
		}
	}
}
