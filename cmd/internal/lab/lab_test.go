package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// needRoot skips a test that makes namespaces, or fails it when the caller
// insists.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("HOLDFAST_REQUIRE") == "1" {
		t.Fatal("network namespaces need root")
	}
	t.Skip("network namespaces need root")
}

func newLab(t *testing.T) *Lab {
	t.Helper()
	needRoot(t)
	l, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("close lab: %v", err)
		}
	})
	return l
}

func addHost(t *testing.T, l *Lab, name string, addrs ...string) *Host {
	t.Helper()
	h, err := l.Host(name, addrs...)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// within5s is the context of a step that takes milliseconds.
func within5s(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// ask sends one datagram from h to the echo responder at addr and tells
// whether the answer came within limit.
func ask(t *testing.T, h *Host, addr string, limit time.Duration) bool {
	t.Helper()
	var conn net.Conn
	err := h.Do(func() (err error) {
		conn, err = net.Dial("udp", net.JoinHostPort(addr, fmt.Sprint(EchoPort)))
		return err
	})
	if err != nil {
		return false
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(limit)); err != nil {
		t.Fatal(err)
	}
	// Answers echo the request and add the host's name.
	if _, err := conn.Write([]byte("0123456789abcdef")); err != nil {
		return false
	}
	_, err = conn.Read(make([]byte, 64))
	return err == nil
}

func TestHostsReachEachOther(t *testing.T) {
	l := newLab(t)
	a := addHost(t, l, "a", "192.0.2.1/24", "2001:db8::1/64")
	b := addHost(t, l, "b", "192.0.2.2/24", "2001:db8::2/64")
	if _, err := b.Echo(); err != nil {
		t.Fatal(err)
	}
	for _, addr := range []string{"192.0.2.2", "2001:db8::2"} {
		if !ask(t, a, addr, 5*time.Second) {
			t.Errorf("no answer from %s", addr)
		}
	}

	pa, pb := mustPort(t, a, "eth0"), mustPort(t, b, "eth0")
	if slices.Equal(pa.MAC(), pb.MAC()) {
		t.Errorf("both hosts have the MAC %v", pa.MAC())
	}
	got, err := a.Addresses("eth0")
	if err != nil {
		t.Fatal(err)
	}
	want := []netip.Prefix{
		netip.MustParsePrefix("192.0.2.1/24"),
		netip.MustParsePrefix("2001:db8::1/64"),
		netip.MustParsePrefix("fe80::48:46ff:fe00:1/64"),
	}
	slices.SortFunc(got, netip.Prefix.Compare)
	slices.SortFunc(want, netip.Prefix.Compare)
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Errorf("addresses of a (-want +got):\n%s", diff)
	}
	if !a.HasAddress(netip.MustParseAddr("192.0.2.1")) || a.HasAddress(netip.MustParseAddr("192.0.2.2")) {
		t.Error("HasAddress does not tell a's address from b's")
	}
}

func mustPort(t *testing.T, h *Host, name string) *Port {
	t.Helper()
	p, err := h.Port(name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestSecondSwitchIsAnotherNetwork(t *testing.T) {
	l := newLab(t)
	inside, err := l.Switch("inside")
	if err != nil {
		t.Fatal(err)
	}
	a, b := addHost(t, l, "a", "192.0.2.1/24"), addHost(t, l, "b", "192.0.2.2/24")
	for i, h := range []*Host{a, b} {
		if _, err := h.Plug("eth1", inside, fmt.Sprintf("198.51.100.%d/24", i+1)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.Echo(); err != nil {
		t.Fatal(err)
	}
	if !ask(t, a, "198.51.100.2", 5*time.Second) {
		t.Error("no answer over the second switch")
	}
	// The cable of eth0 has nothing to do with eth1.
	if err := b.Unplug(); err != nil {
		t.Fatal(err)
	}
	if !ask(t, a, "198.51.100.2", 5*time.Second) {
		t.Error("eth1 went with eth0")
	}
}

func TestCables(t *testing.T) {
	tests := []struct {
		name      string
		cut, mend func(*Host) error
		carrier   bool
	}{
		{"unplug", (*Host).Unplug, (*Host).PlugIn, false},
		{"isolate", on((*Host).Isolate), off((*Host).Isolate), true},
		{"deafen", on((*Host).Deafen), off((*Host).Deafen), true},
		{"mute", on((*Host).Mute), off((*Host).Mute), true},
	}
	l := newLab(t)
	a, b := addHost(t, l, "a", "192.0.2.1/24"), addHost(t, l, "b", "192.0.2.2/24")
	if _, err := b.Echo(); err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if !ask(t, a, "192.0.2.2", 5*time.Second) {
				t.Fatal("no answer before the cut")
			}
			if err := tt.cut(b); err != nil {
				t.Fatal(err)
			}
			if got, err := mustPort(t, b, "eth0").Carrier(); err != nil || got != tt.carrier {
				t.Errorf("carrier %v, %v; want %v", got, err, tt.carrier)
			}
			if ask(t, a, "192.0.2.2", 100*time.Millisecond) {
				t.Error("an answer in spite of the cut")
			}
			if err := tt.mend(b); err != nil {
				t.Fatal(err)
			}
			if !ask(t, a, "192.0.2.2", 5*time.Second) {
				t.Error("no answer after mending")
			}
		})
	}
}

func on(f func(*Host, bool) error) func(*Host) error {
	return func(h *Host) error { return f(h, true) }
}

func off(f func(*Host, bool) error) func(*Host) error {
	return func(h *Host) error { return f(h, false) }
}

func TestIsolationOutlivesPlugging(t *testing.T) {
	l := newLab(t)
	a, b := addHost(t, l, "a", "192.0.2.1/24"), addHost(t, l, "b", "192.0.2.2/24")
	if _, err := b.Echo(); err != nil {
		t.Fatal(err)
	}
	for _, step := range []func(*Host) error{on((*Host).Isolate), (*Host).Unplug, (*Host).PlugIn} {
		if err := step(b); err != nil {
			t.Fatal(err)
		}
	}
	if ask(t, a, "192.0.2.2", 100*time.Millisecond) {
		t.Error("an answer from an isolated host")
	}
}

func TestOneWayLoss(t *testing.T) {
	l := newLab(t)
	a, b := addHost(t, l, "a", "192.0.2.1/24"), addHost(t, l, "b", "192.0.2.2/24")
	ears := map[*Host]*Capture{}
	for _, h := range []*Host{a, b} {
		c, err := h.Capture("eth0", func(f Frame) bool { return !f.Outgoing && isTest(f.Data) })
		if err != nil {
			t.Fatal(err)
		}
		ears[h] = c
	}
	// sent returns whether a frame that from sends reaches to; a second frame,
	// after mending, shows that the first will not come any more.
	sent := func(t *testing.T, from, to *Host, mend func() error) bool {
		t.Helper()
		if err := from.Inject("eth0", testFrame("first")); err != nil {
			t.Fatal(err)
		}
		if err := mend(); err != nil {
			t.Fatal(err)
		}
		if err := from.Inject("eth0", testFrame("second")); err != nil {
			t.Fatal(err)
		}
		f, err := ears[to].Next(within5s(t))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(f.Data), "first") {
			if _, err := ears[to].Next(within5s(t)); err != nil {
				t.Fatal(err)
			}
			return true
		}
		return false
	}
	tests := []struct {
		name          string
		cut           func(bool) error
		hears, speaks bool
	}{
		{"whole", func(bool) error { return nil }, true, true},
		{"deaf", b.Deafen, false, true},
		{"mute", b.Mute, true, false},
		{"isolated", b.Isolate, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, way := range []struct {
				name     string
				from, to *Host
				want     bool
			}{{"hears", a, b, tt.hears}, {"speaks", b, a, tt.speaks}} {
				if err := tt.cut(true); err != nil {
					t.Fatal(err)
				}
				if got := sent(t, way.from, way.to, func() error { return tt.cut(false) }); got != way.want {
					t.Errorf("%s: %v, want %v", way.name, got, way.want)
				}
			}
		})
	}
}

func TestDo(t *testing.T) {
	l := newLab(t)
	h := addHost(t, l, "a", "192.0.2.1/24")
	home := netnsOf(t)

	var inside string
	if err := h.Do(func() error { inside = netnsOf(t); return nil }); err != nil {
		t.Fatal(err)
	}
	if inside == home {
		t.Error("Do did not change the network namespace")
	}
	if got := netnsOf(t); got != home {
		t.Errorf("the caller was moved to %s", got)
	}

	want := errors.New("on purpose")
	if err := h.Do(func() error { return want }); !errors.Is(err, want) {
		t.Errorf("error %v, want %v", err, want)
	}
	// Nested calls must not wait for each other.
	if err := h.Do(func() error { return h.Do(func() error { return nil }) }); err != nil {
		t.Error(err)
	}
	func() {
		defer func() {
			if got := recover(); got != want {
				t.Errorf("recovered %v, want %v", got, want)
			}
		}()
		_ = h.Do(func() error { panic(want) })
		t.Error("the panic did not reach the caller")
	}()
	ended := make(chan bool)
	go func() {
		defer close(ended)
		_ = h.Do(func() error { runtimeGoexit(); return nil })
		ended <- false
	}()
	if _, ok := <-ended; ok {
		t.Error("Goexit did not reach the caller")
	}
}

func netnsOf(t *testing.T) string {
	t.Helper()
	ns, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	return ns
}

func TestHostsHaveTheirOwnFilesAndNames(t *testing.T) {
	l := newLab(t)
	a, b := addHost(t, l, "a"), addHost(t, l, "b")
	if err := a.WriteFile("/run/hf-lab-test", "mine", 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := a.ReadFile("/run/hf-lab-test"); err != nil || got != "mine" {
		t.Errorf("a reads %q, %v", got, err)
	}
	if _, err := b.ReadFile("/run/hf-lab-test"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("b sees a's file: %v", err)
	}
	if _, err := os.Stat("/run/hf-lab-test"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the machine sees a's file: %v", err)
	}
	out, err := a.Command(t.Context(), "sh", "-c", "cat /run/hf-lab-test; uname -n; ls /sys/class/net").CombinedOutput()
	if want := "minea\neth0\nlo\n"; err != nil || string(out) != want {
		t.Errorf("program on a: %q, %v; want %q", out, err, want)
	}
	if name, err := os.Hostname(); err != nil || name == "a" {
		t.Errorf("the machine is now called %q, %v", name, err)
	}
}

func TestSettingsDoNotComeFromTheMachine(t *testing.T) {
	l := newLab(t)
	h := addHost(t, l, "a")
	for key, want := range kernelDefaults {
		path := filepath.Join("/proc/sys/net/ipv4/conf/eth0", key)
		err := h.Do(func() error {
			got, err := os.ReadFile(path)
			if err == nil && strings.TrimSpace(string(got)) != want {
				return fmt.Errorf("got %s, want %s", strings.TrimSpace(string(got)), want)
			}
			return err
		})
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if err := h.SetSysctl("net.ipv4.conf.eth0.arp_ignore", "1"); err != nil {
		t.Fatal(err)
	}
	if got, err := h.ReadFile("/proc/sys/net/ipv4/conf/eth0/arp_ignore"); err != nil || got != "1\n" {
		t.Errorf("after SetSysctl: %q, %v", got, err)
	}
	if err := h.SetSysctl("kernel.pid_max", "1"); err == nil {
		t.Error("SetSysctl would change the whole machine")
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	needRoot(t)
	before := linkNames(t)
	l, err := New()
	if err != nil {
		t.Fatal(err)
	}
	h := addHost(t, l, "a", "192.0.2.1/24")
	if _, err := h.Echo(); err != nil {
		t.Fatal(err)
	}
	p, err := h.Start("sh", "-c", "sleep 1000 & echo ready; wait")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.WaitOutput(within5s(t), "ready"); err != nil {
		t.Fatal(err)
	}
	spaces := []string{namespaceOf(t, l.room), namespaceOf(t, h.keep)}
	children := processesIn(t, spaces[1])
	if len(children) != 2 {
		t.Fatalf("processes %v on the host, want sh and sleep", children)
	}
	for _, ns := range spaces {
		if len(heldHere(t, ns)) < 2 {
			t.Fatalf("%s is held by %v; want a thread and a descriptor", ns, heldHere(t, ns))
		}
	}

	for range 2 {
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for _, ns := range spaces {
		err := poll(5*time.Second, "namespace still held", func() (bool, error) { return len(heldHere(t, ns)) == 0, nil })
		if err != nil {
			t.Errorf("%s: %v by %v", ns, err, heldHere(t, ns))
		}
	}
	if err := poll(5*time.Second, "processes stay", func() (bool, error) { return !slices.ContainsFunc(children, alive), nil }); err != nil {
		t.Errorf("%v: %v", err, children)
	}
	if diff := cmp.Diff(before, linkNames(t)); diff != "" {
		t.Errorf("links of the machine (-before +after):\n%s", diff)
	}

	if _, err := h.Start("true"); !errors.Is(err, errClosed) {
		t.Errorf("start after close: %v", err)
	}
	if err := h.Do(func() error { return nil }); !errors.Is(err, errClosed) {
		t.Errorf("do after close: %v", err)
	}
	if _, err := l.Host("b"); err == nil {
		t.Error("a closed lab took a new host")
	}
}

func linkNames(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir("/sys/class/net")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// namespaceOf names the network namespace of k as links in /proc do.
func namespaceOf(t *testing.T, k *keeper) string {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Fstat(int(k.netns.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("net:[%d]", st.Ino)
}

// heldHere lists by what this process keeps a namespace alive: threads in it and
// descriptors open on it. Others are not asked: the number of a namespace that
// has gone may already be that of one of theirs.
func heldHere(t *testing.T, ns string) []string {
	t.Helper()
	var found []string
	for _, pattern := range []string{"/proc/self/task/*/ns/net", "/proc/self/fd/*"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			// What went meanwhile holds nothing.
			if target, err := os.Readlink(path); err == nil && target == ns {
				found = append(found, path)
			}
		}
	}
	return found
}
