package transport

import (
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/holdfast-vrrp/holdfast/vrrp"
)

func TestSocketClose(t *testing.T) {
	a, _ := newPair(t)
	for _, f := range []vrrp.Family{vrrp.IPv4, vrrp.IPv6} {
		t.Run(f.String(), func(t *testing.T) {
			c := a.listen(t, f)
			if n, err := c.ReadBatch(make([]Packet, 1)); n != 0 || err != nil {
				t.Errorf("ReadBatch without a packet: %d, %v", n, err)
			}
			must(t, c.Close())
			if _, err := c.ReadBatch(make([]Packet, 1)); err != net.ErrClosed {
				t.Errorf("later ReadBatch: %v, want %v", err, net.ErrClosed)
			}
			if _, err := c.WriteBatch([]Packet{{Destination: vrrp.GroupIPv4}, {Destination: vrrp.GroupIPv6}}); !errors.Is(err, net.ErrClosed) {
				t.Errorf("later WriteBatch: %v, want %v", err, net.ErrClosed)
			}
			if err := c.Close(); err != net.ErrClosed {
				t.Errorf("second Close: %v, want %v", err, net.ErrClosed)
			}
		})
	}
}

func TestSocketInterfaceDown(t *testing.T) {
	a, b := newPair(t)
	for _, f := range []vrrp.Family{vrrp.IPv4, vrrp.IPv6} {
		t.Run(f.String(), func(t *testing.T) {
			source, group, prefix := a4, vrrp.GroupIPv4, ""
			if f == vrrp.IPv6 {
				// The kernel takes the IPv6 addresses away with the link.
				source, group, prefix = a6, vrrp.GroupIPv6, "fe80::1/64"
			}
			p := Packet{Source: source, Destination: group, Payload: []byte("x")}
			ca, cb := a.listen(t, f), b.listen(t, f)
			must(t, a.LinkSetDown(a.link(t)))
			if n, err := ca.WriteBatch([]Packet{p}); n != 0 || !Transient(err) {
				t.Errorf("down: sent %d, error %v; want a transient error", n, err)
			}
			if c := a.listen(t, f); c.Close() != nil {
				t.Error("a Conn that was opened while down does not close")
			}
			must(t, a.LinkSetUp(a.link(t)))
			if prefix != "" {
				a.addAddress(t, prefix)
			}
			// The same sockets go on, and are members of the group still.
			mustWrite(t, ca, p)
			read(t, cb, 1)
			p.Source = b4
			if f == vrrp.IPv6 {
				p.Source = b6
			}
			mustWrite(t, cb, p)
			read(t, ca, 1)
		})
	}
}

func TestSocketInterfaceDeleted(t *testing.T) {
	for _, f := range []vrrp.Family{vrrp.IPv4, vrrp.IPv6} {
		t.Run(f.String(), func(t *testing.T) {
			a, b := newPair(t)
			source, group := a4, vrrp.GroupIPv4
			if f == vrrp.IPv6 {
				source, group = a6, vrrp.GroupIPv6
			}
			p := Packet{Source: source, Destination: group, Payload: []byte("x")}
			old := b.listen(t, f)
			fromA := a.listen(t, f)
			must(t, a.LinkDel(a.link(t)))
			if n, err := fromA.WriteBatch([]Packet{p}); n != 0 || !Transient(err) {
				t.Errorf("deleted: sent %d, error %v; want a transient error", n, err)
			}
			k := newKernel(t)
			_, err := onThread(func() (Conn, error) {
				return k.Listen(1<<20, "hft0", f)
			})
			if !errors.Is(err, syscall.ENODEV) || !Transient(err) {
				t.Errorf("listen on no interface: %v, want ENODEV", err)
			}

			// The new interface of the same name, while the old Conn is open.
			a2, b2 := newCable(t, a.namespace, b.namespace, "hft0")
			a2.addAddress(t, "192.0.2.1/24")
			a2.addAddress(t, "fe80::1/64")
			b2.addAddress(t, "192.0.2.2/24")
			fresh := b2.listen(t, f)
			mustWrite(t, a2.listen(t, f), p)
			read(t, fresh, 1)
			must(t, old.Close())
			mustWrite(t, a2.listen(t, f), p)
			read(t, fresh, 1)
		})
	}
}

func TestSocketListenErrors(t *testing.T) {
	a, _ := newPair(t)
	k := newKernel(t)
	type result struct{ err error }
	listen := func(index int, f vrrp.Family) error {
		return in(t, a.namespace, func() (result, error) {
			c, err := k.Listen(index, "hft0", f)
			if err != nil {
				return result{err}, nil
			}
			return result{c.Close()}, nil
		}).err
	}
	if err := listen(a.index, 5); err == nil || Transient(err) {
		t.Errorf("family 5: %v, want a permanent error", err)
	}
	for _, index := range []int{-1, 0} {
		if err := listen(index, vrrp.IPv4); !errors.Is(err, unix.ENODEV) {
			t.Errorf("interface %d: %v, want ENODEV", index, err)
		}
	}
	// Below the least MTU of IPv6 an interface has no IPv6.
	must(t, a.LinkSetMTU(a.link(t), 1000))
	if err := listen(a.index, vrrp.IPv6); !Transient(err) || !strings.Contains(err.Error(), "hft0") {
		t.Errorf("MTU 1000: %v, want a transient error that names the interface", err)
	}
	must(t, a.LinkSetMTU(a.link(t), 1500))
	must(t, listen(a.index, vrrp.IPv6))
}

func TestSocketListenUnprivileged(t *testing.T) {
	newNamespace(t) // skips without root
	k := newKernel(t)
	_, err := onThread(func() (Conn, error) {
		if err := dropCapabilities(); err != nil {
			return nil, err
		}
		return k.Listen(1, "lo", vrrp.IPv4)
	})
	if !errors.Is(err, unix.EPERM) || Transient(err) {
		t.Errorf("without CAP_NET_RAW: %v, want EPERM, which is permanent", err)
	}
}

// dropCapabilities gives up the effective capabilities of the thread.
func dropCapabilities() error {
	h := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	return os.NewSyscallError("capset", unix.Capset(&h, &none[0]))
}

func TestSocketOptions(t *testing.T) {
	a, _ := newPair(t)
	for _, f := range []vrrp.Family{vrrp.IPv4, vrrp.IPv6} {
		t.Run(f.String(), func(t *testing.T) {
			want := append([]option{
				{name: "SO_PRIORITY", level: unix.SOL_SOCKET, opt: unix.SO_PRIORITY, value: 7},
				{name: "SO_BINDTOIFINDEX", level: unix.SOL_SOCKET, opt: unix.SO_BINDTOIFINDEX, value: a.index},
				// The kernel doubles what it is asked for.
				{name: "SO_RCVBUF", level: unix.SOL_SOCKET, opt: unix.SO_RCVBUF, value: 2 * bufferLen},
				{name: "SO_SNDBUF", level: unix.SOL_SOCKET, opt: unix.SO_SNDBUF, value: 2 * bufferLen},
			}, options[f]...)
			c := a.listen(t, f).(*socket)
			for _, o := range want {
				if got, err := unix.GetsockoptInt(c.fd, o.level, o.opt); got != o.value || err != nil {
					t.Errorf("%s is %d, %v; want %d", o.name, got, err, o.value)
				}
			}
		})
	}
}
