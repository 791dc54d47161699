package vip

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// capture receives the frames that arrive on an interface.
type capture struct {
	t  *testing.T
	fd int
}

func startCapture(t *testing.T, iface string) *capture {
	t.Helper()
	const all = unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8 // network order
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, all)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	ifi, err := net.InterfaceByName(iface)
	if err != nil {
		t.Fatal(err)
	}
	timeout := unix.NsecToTimeval(int64(5 * time.Second))
	for _, err := range []error{
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout),
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: ifi.Index}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return &capture{t, fd}
}

// frames waits for n announcements and describes them; the kernel's own
// chatter, such as multicast listener reports, is left out.
func (c *capture) frames(n int) []string {
	c.t.Helper()
	var got []string
	b := make([]byte, 2048)
	for len(got) < n {
		size, _, err := unix.Recvfrom(c.fd, b, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			c.t.Fatalf("%d of %d frames arrived: %v", len(got), n, err)
		}
		if s := describe(c.t, b[:size]); s[:2] == "ar" || s[:2] == "na" {
			if mac := net.HardwareAddr(b[6:12]).String(); mac != "02:42:c0:00:02:01" {
				s += " by " + mac
			}
			got = append(got, s)
		}
	}
	return got
}

func TestLinuxAnnounce(t *testing.T) {
	enterNetns(t)
	vethPair(t)
	c := startCapture(t, "hf1")
	k := newKernel(t)
	m, reports, closeAll := managed(t, k)
	defer closeAll()
	v4, v6 := prefixes("192.0.2.100/24", "192.0.2.101/32"), prefixes("2001:db8::100/128", "fe80::100/64")
	m.Add("web/ipv4", "hf0", v4, 0)
	m.Announce("web/ipv4", "hf0", v4, ARPBoth)
	m.Add("web/ipv6", "hf0", v6, 0)
	m.Announce("web/ipv6", "hf0", v6, ARPRequest)
	for range 4 {
		done(t, reports)
	}
	got := c.frames(6)
	slices.Sort(got)
	want := []string{
		"arp 1 192.0.2.100", "arp 1 192.0.2.101", "arp 2 192.0.2.100", "arp 2 192.0.2.101",
		// The only link-local address is a VIP: it speaks for itself alone.
		"na 2001:db8::100 from 2001:db8::100", "na fe80::100 from fe80::100",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("frames (-want +got):\n%s", diff)
	}

	run(t, "ip addr add fe80::1/64 dev hf0 nodad")
	m.Announce("web/ipv6", "hf0", v6, ARPRequest)
	done(t, reports)
	want = []string{"na 2001:db8::100 from fe80::1", "na fe80::100 from fe80::100"}
	if diff := cmp.Diff(want, c.frames(2)); diff != "" {
		t.Errorf("frames (-want +got):\n%s", diff)
	}
}

// A neighbour that knew the old place of an address learns the new one.
func TestLinuxAnnounceMovesNeighbours(t *testing.T) {
	enterNetns(t)
	vethPair(t)
	run(t, "ip neigh add 192.0.2.100 lladdr 02:00:00:00:00:99 nud stale dev hf1")
	run(t, "ip -6 neigh add 2001:db8::100 lladdr 02:00:00:00:00:99 nud stale dev hf1")
	// The host needs addresses of its own to take ARP and neighbour discovery.
	run(t, "ip addr add 192.0.2.2/24 dev hf1")
	run(t, "ip addr add fe80::2/64 dev hf1 nodad")
	k := newKernel(t)
	addrs := []netip.Addr{netip.MustParseAddr("192.0.2.100"), netip.MustParseAddr("2001:db8::100")}
	c := startCapture(t, "hf1")
	if err := k.Announce("hf0", ARPRequest, addrs, nil); err != nil {
		t.Fatal(err)
	}
	c.frames(2) // what the capture has seen, the stack has handled or does now
	want := "2001:db8::100 lladdr 02:42:c0:00:02:01 router STALE \n192.0.2.100 lladdr 02:42:c0:00:02:01 STALE \n"
	got := ""
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); {
		if got = run(t, "ip -6 neigh show dev hf1 2001:db8::100") + run(t, "ip neigh show dev hf1 192.0.2.100"); got == want {
			return
		}
	}
	t.Errorf("neighbours:\n%s\nwant:\n%s", got, want)
}

// More frames than one system call takes.
func TestLinuxAnnounceMany(t *testing.T) {
	enterNetns(t)
	vethPair(t)
	c := startCapture(t, "hf1")
	k := newKernel(t)
	v4, v6 := many(sendLimit+500, 255)
	var addrs []netip.Addr
	want := map[string]bool{}
	for _, p := range slices.Concat(v4, v6) {
		addrs = append(addrs, p.Addr())
		if p.Addr().Is4() {
			want["arp 1 "+p.Addr().String()] = true
		} else {
			want["na "+p.Addr().String()+" from "+p.Addr().String()] = true
		}
	}
	if err := k.Announce("hf0", ARPRequest, addrs, nil); err != nil {
		t.Fatal(err)
	}
	for _, s := range c.frames(len(addrs)) {
		if !want[s] {
			t.Fatalf("frame %q is unexpected or came twice", s)
		}
		delete(want, s)
	}
}

// On an interface without ARP there is nobody to tell.
func TestLinuxAnnounceWithoutNeighbours(t *testing.T) {
	enterNetns(t)
	vethPair(t)
	run(t, "ip link set hf0 arp off")
	k := newKernel(t)
	c := startCapture(t, "hf1")
	for _, name := range []string{"lo", "hf0"} {
		if err := k.Announce(name, ARPBoth, []netip.Addr{netip.MustParseAddr("192.0.2.1")}, nil); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	run(t, "ip link set hf0 arp on")
	if err := k.Announce("hf0", ARPRequest, []netip.Addr{netip.MustParseAddr("192.0.2.2")}, nil); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"arp 1 192.0.2.2"}, c.frames(1)); diff != "" {
		t.Errorf("frames (-want +got):\n%s", diff)
	}
}

func BenchmarkAnnounce(b *testing.B) {
	enterNetns(b)
	vethPair(b)
	k := newKernel(b)
	v4, _ := many(1000, 0)
	var addrs []netip.Addr
	for _, p := range v4 {
		addrs = append(addrs, p.Addr())
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := k.Announce("hf0", ARPRequest, addrs, nil); err != nil {
			b.Fatal(err)
		}
	}
}

// An address is announced when the kernel answers for it, not when it has
// merely accepted it. Duplicate address detection stands in for a busy kernel.
func TestLinuxAnnounceWaitsForTheKernel(t *testing.T) {
	enterNetns(t)
	vethPair(t)
	run(t, "sysctl -qw net.ipv6.conf.hf0.router_solicitation_delay=0 net.ipv6.neigh.hf0.retrans_time_ms=350")
	c := startCapture(t, "hf1")
	k := newKernel(t)
	k.patience = time.Minute                        // the kernel is late, too, on a busy machine
	run(t, "ip addr add 2001:db8::100/128 dev hf0") // without nodad
	tentative := func() bool { return strings.Contains(run(t, "ip addr show dev hf0 tentative"), "2001:db8::100") }
	if !tentative() {
		t.Fatal("the address is no example: it works already")
	}
	if err := k.Announce("hf0", ARPRequest, []netip.Addr{netip.MustParseAddr("2001:db8::100")}, nil); err != nil {
		t.Fatal(err)
	}
	if tentative() {
		t.Error("announced while the kernel does not answer for the address")
	}
	if diff := cmp.Diff([]string{"na 2001:db8::100 from 2001:db8::100"}, c.frames(1)); diff != "" {
		t.Errorf("frames (-want +got):\n%s", diff)
	}
}

// An address that the kernel never finishes, for duplicate address detection goes on
// and on, is announced nevertheless.
func TestLinuxAnnounceGivesUpWaiting(t *testing.T) {
	enterNetns(t)
	vethPair(t)
	run(t, "sysctl -qw net.ipv6.conf.hf0.router_solicitation_delay=0 net.ipv6.neigh.hf0.retrans_time_ms=3600000")
	c := startCapture(t, "hf1")
	k := newKernel(t)
	k.patience = settlePauseMax
	run(t, "ip addr add 2001:db8::100/128 dev hf0") // without nodad
	if err := k.Announce("hf0", ARPRequest, []netip.Addr{netip.MustParseAddr("2001:db8::100")}, nil); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(run(t, "ip addr show dev hf0 tentative"), "2001:db8::100") {
		t.Fatal("the address is no example: it works already")
	}
	if diff := cmp.Diff([]string{"na 2001:db8::100 from 2001:db8::100"}, c.frames(1)); diff != "" {
		t.Errorf("frames (-want +got):\n%s", diff)
	}
}

// How long an announcement waits for the kernel to finish addresses.
func TestSettle(t *testing.T) {
	never := time.Hour
	for _, tt := range []struct {
		name           string
		finished, gone time.Duration // after the beginning, or never
		least, most    time.Duration
	}{
		{"finished already", 0, never, 0, 0},
		{"finished soon", 3 * time.Millisecond, never, 3 * time.Millisecond, 3*time.Millisecond + settlePauseMax},
		{"gone again", never, 10 * time.Millisecond, 10 * time.Millisecond, 10*time.Millisecond + settlePauseMax},
		{"never finished", never, never, settlePatience, settlePatience + settlePauseMax},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				addrs := []netip.Addr{netip.MustParseAddr("2001:db8::100"), netip.MustParseAddr("2001:db8::101")}
				err := settle(addrs, settlePatience, func(a netip.Addr) bool {
					return a == addrs[0] || time.Since(began) >= tt.finished // one of them works
				}, func() (list []addrInfo, err error) {
					for _, a := range addrs {
						if a == addrs[0] || time.Since(began) < tt.gone {
							list = append(list, addrInfo{addrState: addrState{LinkAddress: LinkAddress{Prefix: netip.PrefixFrom(a, 128)}}})
						}
					}
					return list, nil
				})
				if took := time.Since(began); err != nil || took < tt.least || took > tt.most {
					t.Errorf("it waited for %v, want %v to %v; error: %v", took, tt.least, tt.most, err)
				}
			})
		})
	}
}
