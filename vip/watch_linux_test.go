package vip

import (
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// watched runs Watch in the namespace of the test. The function returned waits
// for deliveries until one about the interface satisfies ok.
func watched(t *testing.T) (until func(iface string, ok func(LinkState) bool) LinkState) {
	t.Helper()
	return watchedBy(t, Watch)
}

// watchedBy is watched for another function Watch.
func watchedBy(t *testing.T, watch func(context.Context, func([]LinkState), func(error)) error) (until func(iface string, ok func(LinkState) bool) LinkState) {
	t.Helper()
	deliveries := make(chan []LinkState, 1000)
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	wait := goNetns(t, func() { result <- watch(ctx, func(s []LinkState) { deliveries <- s }, nil) })
	t.Cleanup(func() {
		cancel()
		if err := <-result; !errors.Is(err, context.Canceled) {
			t.Errorf("watch: %v", err)
		}
		wait()
	})
	return func(iface string, ok func(LinkState) bool) LinkState {
		t.Helper()
		var seen []string
		timeout := time.After(10 * time.Second)
		for {
			select {
			case states := <-deliveries:
				for _, s := range states {
					if s.Name == iface && ok(s) {
						return s
					}
					seen = append(seen, sayLink(s))
				}
			case <-timeout:
				t.Fatalf("what was waited for did not come; seen:\n%s", strings.Join(seen, "\n"))
			}
		}
	}
}

func has(prefix string, proto uint8) func(LinkState) bool {
	return func(s LinkState) bool {
		return slices.Contains(s.Addresses, LinkAddress{Prefix: netip.MustParsePrefix(prefix), Proto: proto})
	}
}

func lacks(prefix string) func(LinkState) bool {
	return func(s LinkState) bool {
		return s.Index != 0 && !slices.ContainsFunc(s.Addresses, func(a LinkAddress) bool { return a.Prefix.String() == prefix })
	}
}

func TestLinuxWatch(t *testing.T) {
	enterNetns(t)
	vethPair(t)
	k := newKernel(t)
	until := watched(t)

	first := until("hf0", func(s LinkState) bool { return s.Up && s.Carrier })
	if first.MTU != 1500 || first.MAC.String() != "02:42:c0:00:02:01" || len(first.Addresses) != 0 {
		t.Errorf("first state %+v", first)
	}

	run(t, "ip link set hf1 down")
	until("hf0", func(s LinkState) bool { return s.Up && !s.Carrier })
	run(t, "ip link set hf1 up")
	until("hf0", func(s LinkState) bool { return s.Up && s.Carrier })
	run(t, "ip link set hf0 down")
	until("hf0", func(s LinkState) bool { return !s.Up && !s.Carrier })
	run(t, "ip link set hf0 up")
	until("hf0", func(s LinkState) bool { return s.Up && s.Carrier })

	run(t, "ip addr add 192.0.2.1/24 dev hf0")
	until("hf0", has("192.0.2.1/24", 0))
	run(t, "ip addr add 2001:db8::1/64 dev hf0") // tentative at first
	until("hf0", has("2001:db8::1/64", 0))
	run(t, "ip addr del 192.0.2.1/24 dev hf0")
	until("hf0", lacks("192.0.2.1/24"))

	vips := changes(Create, prefixes("192.0.2.100/24", "2001:db8::100/128"))
	if err := errors.Join(k.Apply("hf0", vips)...); err != nil {
		t.Fatal(err)
	}
	until("hf0", func(s LinkState) bool { return has("192.0.2.100/24", Proto)(s) && has("2001:db8::100/128", Proto)(s) })
	run(t, "ip addr del 192.0.2.100/24 dev hf0")
	until("hf0", lacks("192.0.2.100/24"))

	run(t, "ip link set hf0 down")
	run(t, "ip link set hf0 name hf2")
	until("hf0", func(s LinkState) bool { return s.Index == 0 })
	run(t, "ip link set hf2 mtu 1400")
	until("hf2", func(s LinkState) bool { return s.Index == first.Index && s.MTU == 1400 })

	run(t, "ip link del hf2")
	until("hf2", func(s LinkState) bool { return s.Index == 0 })
	vethPair(t)
	again := until("hf0", func(s LinkState) bool { return s.Up && s.Carrier })
	if again.Index == first.Index {
		t.Errorf("index %d as before", again.Index)
	}
}

// A port of a bridge hears nothing any more, one of a VRF does.
func TestLinuxWatchPort(t *testing.T) {
	enterNetns(t)
	vethPair(t)
	run(t, "ip link add hfbr type bridge")
	until := watched(t)
	bridge := until("hfbr", func(s LinkState) bool { return s.Index != 0 })
	run(t, "ip link set hf0 master hfbr")
	until("hf0", func(s LinkState) bool { return s.PortOf == "bridge" && s.Master == bridge.Index })
	run(t, "ip link set hf0 nomaster")
	until("hf0", func(s LinkState) bool { return s.PortOf == "" && s.Master == 0 })
}

// Kinds of devices that a kernel of the tests may lack.
func TestParseLinkPort(t *testing.T) {
	for kind, want := range map[string]string{"bridge": "bridge", "bond": "bond", "team": "team", "openvswitch": "openvswitch", "vrf": "", "": ""} {
		data := make([]byte, unix.SizeofIfInfomsg)
		binary.NativeEndian.PutUint32(data[4:], 7)
		data = appendAttr(data, unix.IFLA_IFNAME, []byte("eth0\x00"))
		data = appendAttr32(data, unix.IFLA_MASTER, 3)
		if kind != "" {
			data = appendAttr(data, unix.IFLA_LINKINFO|unix.NLA_F_NESTED, appendAttr(nil, unix.IFLA_INFO_SLAVE_KIND, []byte(kind+"\x00")))
		}
		master := 3
		if want == "" {
			master = 0
		}
		if l, ok := parseLink(data); !ok || l.PortOf != want || l.Master != master {
			t.Errorf("port of %q: %v, %q %d; want %q %d", kind, ok, l.PortOf, l.Master, want, master)
		}
	}
}

// A port that leaves a bridge is announced by a message that looks like the
// deletion of the link.
func TestLinuxWatchBridgePort(t *testing.T) {
	enterNetns(t)
	vethPair(t)
	run(t, "ip link add hfbr type bridge")
	run(t, "ip link set hf0 master hfbr")
	until := watched(t)
	until("hf0", func(s LinkState) bool { return s.Up })
	run(t, "ip link set hf0 nomaster")
	run(t, "ip link set hf0 mtu 1400")
	until("hf0", func(s LinkState) bool {
		if s.Index == 0 {
			t.Errorf("hf0 was taken for deleted")
		}
		return s.MTU == 1400
	})
}

// A renewal is not an event, and the order of addresses stays that of the
// kernel, whatever is added and removed.
func TestLinuxWatchFollowsTheKernel(t *testing.T) {
	enterNetns(t)
	vethPair(t)
	run(t, "sysctl -q net.ipv4.conf.hf0.promote_secondaries=1")
	w, err := newWatcher(func([]LinkState) {})
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	if err := w.resync(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{
		"ip addr add 192.0.2.1/24 dev hf0",
		"ip addr add 192.0.2.2/24 dev hf0", // secondary
		"ip addr add 198.51.100.1/24 dev hf0",
		"ip addr add 169.254.0.1/16 scope link dev hf0",
		"ip addr add 203.0.113.1/32 dev hf0",
		"ip addr add fe80::1/64 dev hf0 nodad",
		"ip addr add 2001:db8::1/64 dev hf0 nodad",
		"ip addr add 2001:db8::2/64 dev hf0 nodad",
		"ip addr del 192.0.2.1/24 dev hf0", // the other one is promoted
		"ip addr add 192.0.2.3/24 dev hf0",
		"ip addr change 203.0.113.1/32 dev hf0 valid_lft 60 preferred_lft 60",
	} {
		run(t, command)
		var told LinkState
		w.table.deliver = func(s []LinkState) { told = s[0] }
		if err := w.turn(); err != nil {
			t.Fatal(err)
		}
		links, addrs, err := w.route.listing()
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(links, func(s LinkState) bool { return s.Name == "hf0" })
		want := links[i]
		for _, a := range addrs[want.Index] {
			want.Addresses = append(want.Addresses, a.LinkAddress)
		}
		if strings.Contains(command, "change") {
			if told.Name != "" {
				t.Errorf("a renewal was delivered: %s", sayLink(told))
			}
			continue
		}
		if diff := cmp.Diff(sayLink(want), sayLink(told)); diff != "" {
			t.Errorf("%s (-kernel +table):\n%s", command, diff)
		}
	}
}

// overflowed returns a watcher whose socket has just overflowed, from the addresses
// that were added to hf0, and where the last delivery about hf0 is kept.
func overflowed(t *testing.T) (w *watcher, k *Linux, added []netip.Prefix, last *LinkState) {
	t.Helper()
	enterNetns(t)
	vethPair(t)
	k, last = newKernel(t), &LinkState{}
	w, err := newWatcher(func(states []LinkState) {
		for _, s := range states { // the other end may have changed as well
			if s.Name == "hf0" {
				*last = s
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.close)
	if err := unix.SetsockoptInt(w.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 1); err != nil {
		t.Fatal(err)
	}
	if err := w.resync(t.Context()); err != nil {
		t.Fatal(err)
	}
	added, _ = many(200, 0)
	if err := errors.Join(k.Apply("hf0", changes(Create, added))...); err != nil {
		t.Fatal(err)
	}
	if err := w.turn(); !errors.Is(err, unix.ENOBUFS) {
		t.Fatalf("turn: %v, want an overflow: else the test is worth nothing", err)
	}
	return w, k, added, last
}

// A burst that overflows the socket ends in a fresh listing.
func TestLinuxWatchOverflow(t *testing.T) {
	w, _, v4, last := overflowed(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = w.bell.file.SetReadDeadline(time.Unix(1, 0)) })()
	deliver := w.table.deliver
	w.table.deliver = func(states []LinkState) {
		deliver(states)
		if len(last.Addresses) == len(v4) {
			cancel()
		}
	}
	if err := w.run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("run: %v", err)
	}
	if last.Name != "hf0" || len(last.Addresses) != len(v4) {
		t.Errorf("%d addresses on %s, want %d on hf0", len(last.Addresses), last.Name, len(v4))
	}
}

// What waited when the socket overflowed is older than the listing, and what comes
// after it is heard.
func TestLinuxWatchAfterOverflow(t *testing.T) {
	w, k, v4, last := overflowed(t)
	if err := errors.Join(k.Apply("hf0", changes(Remove, v4))...); err != nil {
		t.Fatal(err)
	}
	if err := w.resync(t.Context()); err != nil {
		t.Fatal(err)
	}
	run(t, "ip addr add 203.0.113.1/32 dev hf0")
	if err := w.turn(); err != nil {
		t.Fatal(err)
	}
	if len(last.Addresses) != 1 || last.Addresses[0].Prefix != netip.MustParsePrefix("203.0.113.1/32") {
		t.Errorf("hf0 has %v, want 203.0.113.1/32", last.Addresses)
	}
}

// An IPv4 address that the Kernel renews makes no work for its watcher, unlike what it adds and
// what others renew.
func TestLinuxWatchIgnoresRenewals(t *testing.T) {
	enterNetns(t)
	vethPair(t)
	k := newKernel(t)
	w, err := newWatcher(func([]LinkState) {})
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	if err := w.ignore(k.renewal); err != nil {
		t.Fatal(err)
	}
	heard := func() (four, six int) { // addresses told of, one a datagram
		for {
			n, err := w.read()
			if err != nil {
				return four, six
			}
			if n <= unix.NLMSG_HDRLEN || binary.NativeEndian.Uint16(w.receive[4:]) != unix.RTM_NEWADDR {
				continue
			}
			if w.receive[unix.NLMSG_HDRLEN] == unix.AF_INET {
				four++
			} else {
				six++
			}
		}
	}
	v4, v6 := many(20, 20)
	all := slices.Concat(v4, v6)
	for _, v := range []Verb{Create, Renew, Replace} {
		heard()
		if err := errors.Join(k.Apply("hf0", changes(v, all))...); err != nil {
			t.Fatal(err)
		}
		// Of IPv6 addresses the kernel does not tell who renewed them, and it tells of
		// them a little later.
		four, six := 0, 0
		for began := time.Now(); six < len(v6) && time.Since(began) < 5*time.Second; time.Sleep(time.Millisecond) {
			more4, more6 := heard()
			four, six = four+more4, six+more6
		}
		if v == Renew && four != 0 || v != Renew && four < len(v4) || six < len(v6) {
			t.Errorf("verb %d: told of %d IPv4 and %d IPv6 addresses, of %d each", v, four, six, len(v4))
		}
	}
	run(t, "ip addr change "+v4[0].String()+" dev hf0 valid_lft 100 preferred_lft 100")
	if four, _ := heard(); four == 0 {
		t.Error("nothing tells of a renewal by another")
	}
}

// An address that somebody removed, and that a renewal brought back before anyone
// looked, is seen again: else the next removal would not be.
func TestLinuxRenewalBringsBack(t *testing.T) {
	enterNetns(t)
	vethPair(t)
	k := newKernel(t)
	until := watchedBy(t, k.Watch)
	m := NewManager(k, nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	wait := goNetns(t, func() { _ = m.Run(ctx) })
	defer wait()
	defer cancel()

	const vip = "192.0.2.100/24"
	m.Add("web", "hf0", prefixes(vip), time.Minute)
	until("hf0", has(vip, Proto))
	for range 2 {
		run(t, "ip addr del "+vip+" dev hf0")
		gone := until("hf0", lacks(vip))
		m.Renew("web", "hf0", prefixes(vip), time.Minute, time.Now().Add(time.Minute))
		m.Audit("hf0", gone.Addresses)
		until("hf0", has(vip, Proto))
	}
}

// TestWatchTellsTrouble has listings fail until that was told, and some more: it is
// told once, and once more when they work.
func TestWatchTellsTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		delivered := 0
		w, err := newWatcher(func([]LinkState) { delivered++ })
		if err != nil {
			t.Fatal(err)
		}
		defer w.close()
		began, ends := time.Now(), troubleAfter/2
		w.route.recv = func(fd int, b []byte, flags int) (int, error) {
			if time.Since(began) < ends {
				return 0, unix.ENOMEM
			}
			return recvfrom(fd, b, flags)
		}
		var told []error
		w.trouble = func(err error) {
			told = append(told, err)
			if since := time.Since(began); err != nil && since > troubleAfter+resyncPause {
				t.Errorf("told after %v", since)
			}
		}
		if err := w.resync(t.Context()); err != nil || delivered != 1 {
			t.Fatalf("%d deliveries, error %v", delivered, err)
		}
		if len(told) != 0 {
			t.Errorf("listings that failed for %v were told: %v", ends, told)
		}
		began, ends = time.Now(), 10*troubleAfter
		if err := w.resync(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(told) != 2 || !errors.Is(told[0], unix.ENOMEM) || !strings.Contains(told[0].Error(), "list links: ") || told[1] != nil {
			t.Errorf("told %v, want once that links cannot be listed, and once that they can", told)
		}
	})
}
