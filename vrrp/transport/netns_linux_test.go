package transport

import (
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// namespace is a network namespace without a name: it is gone when the test
// has ended, whichever way.
type namespace struct {
	handle netns.NsHandle
	*netlink.Handle
}

// newNamespace makes a network namespace, or skips the test when it may not.
func newNamespace(t testing.TB) *namespace {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("HOLDFAST_REQUIRE") == "1" {
			t.Fatal("HOLDFAST_REQUIRE=1, but making network namespaces needs root")
		}
		t.Skip("making network namespaces needs root")
	}
	handle, err := onThread(func() (netns.NsHandle, error) {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return netns.None(), os.NewSyscallError("unshare", err)
		}
		return netns.Get()
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { handle.Close() })
	link, err := netlink.NewHandleAt(handle, unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(link.Close)
	return &namespace{handle, link}
}

// onThread runs f on a thread of its own, which dies afterwards: no other
// goroutine ever runs in the namespace that f may enter.
func onThread[T any](f func() (T, error)) (result T, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		result, err = f()
	}()
	<-done
	return result, err
}

// in runs f inside ns.
func in[T any](t testing.TB, ns *namespace, f func() (T, error)) T {
	t.Helper()
	result, err := onThread(func() (T, error) {
		if err := netns.Set(ns.handle); err != nil {
			var zero T
			return zero, fmt.Errorf("enter namespace: %w", err)
		}
		return f()
	})
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// must fails the test when a step of its preparation failed.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// end is one end of a cable.
type end struct {
	*namespace
	name  string
	index int
}

// newCable joins two namespaces by a veth pair that is up and has only the
// addresses given to it later.
func newCable(t testing.TB, a, b *namespace, name string) (*end, *end) {
	t.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	must(t, a.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: name, PeerNamespace: netlink.NsFd(b.handle)}))
	ends := [2]*end{{namespace: a, name: name}, {namespace: b, name: name}}
	for _, e := range ends {
		link := e.link(t)
		e.index = link.Attrs().Index
		// No address of the kernel's own, which would be tentative for a second.
		must(t, e.LinkSetIP6AddrGenMode(link, nl.IN6_ADDR_GEN_MODE_NONE))
		must(t, e.LinkSetUp(link))
	}
	return ends[0], ends[1]
}

func (e *end) link(t testing.TB) netlink.Link {
	t.Helper()
	link, err := e.LinkByName(e.name)
	must(t, err)
	return link
}

// addAddress gives e an address that can be used at once.
func (e *end) addAddress(t testing.TB, prefix string) {
	t.Helper()
	a, err := netlink.ParseAddr(prefix)
	must(t, err)
	if netip.MustParsePrefix(prefix).Addr().Is6() {
		a.Flags = unix.IFA_F_NODAD
	}
	must(t, e.AddrAdd(e.link(t), a))
}

func (e *end) listen(t testing.TB, f vrrp.Family) Conn {
	t.Helper()
	return e.listenOn(t, newKernel(t), f)
}

func (e *end) listenOn(t testing.TB, k *Kernel, f vrrp.Family) Conn {
	t.Helper()
	c := in(t, e.namespace, func() (Conn, error) { return k.Listen(e.index, e.name, f) })
	t.Cleanup(func() { c.Close() })
	return c
}

func newKernel(t testing.TB) *Kernel {
	t.Helper()
	k, err := New()
	must(t, err)
	t.Cleanup(func() { k.Close() })
	return k
}

// newPair returns the two ends of a cable between two new namespaces, with the
// addresses 192.0.2.1 and fe80::1, and 192.0.2.2 and fe80::2.
func newPair(t testing.TB) (*end, *end) {
	t.Helper()
	a, b := newCable(t, newNamespace(t), newNamespace(t), "hft0")
	a.addAddress(t, "192.0.2.1/24")
	a.addAddress(t, "fe80::1/64")
	b.addAddress(t, "192.0.2.2/24")
	b.addAddress(t, "fe80::2/64")
	return a, b
}
